//! What the admin port tells about policies: for probes, for `keyward status`, and for whoever asks it directly.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::authz::Validity;
use crate::source::shown;
use crate::store::{Difference, Shown, Status, Store, Watching};
use crate::telemetry::TlsReport;
use crate::upstream::{Report, Upstream};

/// How many problems and how many warnings are listed.
const LISTED_MAX: usize = 100;

/// What readiness tells. `unready` is why no requests are taken, in one word.
pub fn readiness(unready: Option<&'static str>, store: &Store, tls: Option<&TlsReport>) -> Map<String, Value> {
    let status = store.status();
    let problems = problems(store, &status, tls);
    let warnings: Vec<String> = status.warnings.iter().map(|finding| format!("warning{finding}")).collect();
    let (problems, warnings) = (first(problems), first(warnings));
    let members = [
        ("ready", unready.is_none().into()),
        ("unready", unready.map_or(Value::Null, Value::from)),
        ("generation", status.generation.into()),
        ("hash", status.hash.as_ref().into()),
        ("in_force_since", time(status.since)),
        ("confirmed", time(status.confirmed)),
        (
            "policies",
            json!({ "key": status.counts.key_policies, "secret": status.counts.secret_policies, "ram": status.counts.ram_policies }),
        ),
        ("callers", status.counts.callers.into()),
        ("problems", problems.into()),
        ("warnings", warnings.into()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Everything there is to tell. `with_files` adds every policy file in force, with its hash.
pub fn everything(
    unready: Option<&'static str>,
    store: &Store,
    tls: Option<&TlsReport>,
    with_files: bool,
) -> Map<String, Value> {
    let status = store.status();
    let mut members = readiness(unready, store, tls);
    let is_well = unready.is_none() && problems(store, &status, tls).is_empty() && status.waiting.is_none();
    let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    let settings = store.settings();
    // Whether what is in force is what the files say, and is judged by.
    add("well", is_well.into());
    add("accounts", status.counts.accounts.into());
    add("directory", shown(&settings.directory).into());
    add("identities", shown(&settings.identities).into());
    add("looked", time(status.looked));
    let last = status.last_problem.as_ref();
    add(
        "last_problem",
        last.map_or(Value::Null, |(at, it)| json!({ "time": format!("{at:.3}"), "problem": it.to_string() })),
    );
    let waiting = status.waiting.as_ref();
    add(
        "waiting",
        waiting.map_or(Value::Null, |waiting| {
            let differences: Vec<Value> = waiting.differences.iter().map(difference).collect();
            json!({ "approval": waiting.approval, "differences": differences })
        }),
    );
    add("watching", watching(store.watching()));
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

/// How it stands with a KMS elsewhere, and what is wrong with it. Requests are taken all the same: KMS may be there again
/// before the next one comes, and who asks is told.
pub fn add_upstream(members: &mut Map<String, Value>, upstream: &Upstream) {
    let standing = upstream.standing();
    let credential = |(of, report): &(String, Report)| {
        json!({
            "of": of,
            "access_key_id": report.access_key_id,
            "expires": report.expires.map(|expires| expires.to_string()),
            "problem": report.problem,
        })
    };
    let of_credentials = standing.credentials.iter().filter_map(|(of, report)| {
        Some(format!("the credential of {of} cannot be fetched: {}", report.problem.as_ref()?))
    });
    let mut problems: Vec<String> = of_credentials.collect();
    if standing.addresses.0 == 0 {
        problems.push(format!("{} has no address that may be used", upstream.endpoint()));
    }
    if standing.is_circuit_open {
        problems.push(format!("{} does not answer; requests are refused for a moment", upstream.endpoint()));
    }
    problems.extend(standing.problems);
    if let Some(Value::Array(listed)) = members.get_mut("problems") {
        listed.extend(problems.into_iter().map(Value::from));
    }
    let (all, good) = standing.addresses;
    let upstream = json!({
        "endpoint": upstream.endpoint(),
        "addresses": { "all": all, "good": good },
        "circuit_open": standing.is_circuit_open,
        "credentials": standing.credentials.iter().map(credential).collect::<Vec<_>>(),
    });
    members.insert("upstream".to_owned(), upstream);
}

/// Everything that is wrong, with files of any kind.
fn problems(store: &Store, status: &Status, tls: Option<&TlsReport>) -> Vec<String> {
    let of_tls = tls.into_iter().flat_map(|tls| &tls.problems);
    let of_copy = store.not_kept();
    status.problems.iter().chain(of_tls).chain(of_copy.as_deref()).map(ToString::to_string).collect()
}

/// As many as somebody reads, and how many more there are.
fn first(mut texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(LISTED_MAX);
    texts.truncate(LISTED_MAX);
    texts.extend((more > 0).then(|| format!("and {more} more; `keyward check` names them")));
    texts
}

fn difference(of: &Difference) -> Value {
    let (lines, why) = match &of.shown {
        Shown::Lines(lines) => (Some(lines), None),
        Shown::TooLong => (None, Some("too long")),
        Shown::Secret => (None, Some("may be secret")),
    };
    json!({ "file": of.file, "lines": lines, "not_shown": why })
}

fn watching(watching: &Watching) -> Value {
    json!({
        "told": watching.is_told(),
        "changes": watching.changes.load(Ordering::Relaxed),
        "errors": watching.errors.load(Ordering::Relaxed),
        "rearmed": watching.rearmed.load(Ordering::Relaxed),
    })
}

fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| format!("{time:.3}").into())
}
