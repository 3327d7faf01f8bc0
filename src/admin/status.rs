//! What the admin port tells about policies: for probes, for `keyward status`, and for whoever asks it directly.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::authz::Validity;
use crate::store::{Health, Status, Store};
use crate::telemetry::TlsReport;

use std::sync::atomic::Ordering;

/// What readiness tells.
pub fn readiness(ready: bool, status: &Status, tls: Option<&TlsReport>) -> Map<String, Value> {
    let of_tls = tls.into_iter().flat_map(|tls| &tls.problems);
    let problems: Vec<String> = status.problems.iter().chain(of_tls).map(ToString::to_string).collect();
    let warnings: Vec<String> = status.warnings.iter().map(|finding| format!("warning{finding}")).collect();
    let members = [
        ("ready", ready.into()),
        ("generation", status.generation.into()),
        ("hash", status.hash.as_ref().into()),
        ("in_force_since", time(status.since)),
        ("confirmed", time(status.confirmed)),
        (
            "policies",
            json!({ "key": status.key_policies, "secret": status.secret_policies, "ram": status.ram_policies }),
        ),
        ("callers", status.callers.into()),
        ("problems", problems.into()),
        ("warnings", warnings.into()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Everything there is to tell. `with_files` adds every policy file in force, with its hash.
pub fn everything(ready: bool, store: &Store, tls: Option<&TlsReport>, with_files: bool) -> Map<String, Value> {
    let status = store.status();
    let mut members = readiness(ready, &status, tls);
    let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    let settings = store.settings();
    add("accounts", status.accounts.into());
    add("directory", crate::source::shown(&settings.directory).into());
    add("identities", crate::source::shown(&settings.identities).into());
    add("looked", time(status.looked));
    let last = status.last_problem.as_ref();
    add(
        "last_problem",
        last.map_or(Value::Null, |(at, it)| json!({ "time": format!("{at:.3}"), "problem": it.to_string() })),
    );
    add(
        "waiting",
        status.waiting.as_ref().map_or(Value::Null, |waiting| {
            let changes: Vec<Value> =
                waiting.changes.iter().map(|change| json!({ "file": change.file, "diff": change.diff })).collect();
            json!({ "hash": waiting.hash, "changes": changes })
        }),
    );
    add("watching", watching(store.health()));
    add("reloads", json!({ "taken": status.reloads_taken, "refused": status.reloads_refused }));
    add("generations_alive", store.generations_alive().into());
    add(
        "valid_until",
        match store.current().validity {
            Validity::Until(end) => end.to_string().into(),
            Validity::Unlimited | Validity::NoIdentities => Value::Null,
        },
    );
    if with_files {
        let files = store.files_in_force().into_iter().map(|(file, hash)| json!({ "file": file, "sha256": hash }));
        add("files", files.collect());
    }
    members
}

fn watching(health: &Health) -> Value {
    json!({
        "events": health.is_watching(),
        "changes": health.events.load(Ordering::Relaxed),
        "errors": health.errors.load(Ordering::Relaxed),
        "rearmed": health.rearmed.load(Ordering::Relaxed),
    })
}

fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| format!("{time:.3}").into())
}
