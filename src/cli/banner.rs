//! What a person sees at the start: what runs, where, and what to try; or every mistake that keeps it from running.

use std::io::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::DEFAULT_CONFIG;
use super::doors::Doors;
use super::serve::House;
use crate::authn::Member;
use crate::kms::role_arn;
use crate::proxy::Behind;
use crate::settings::{CredentialsDoor, Mode, SignAs};
use crate::source::{Problem, counted, shown};

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const LABEL: Style = Style::new().dimmed();
const WRONG: Style = AnsiColor::Red.on_default().bold();

/// Tells what runs.
pub fn welcome(house: &House, doors: &Doors, config: &Path) {
    let (settings, status) = (&house.settings, house.store.status());
    let program = std::env::args().next().unwrap_or_else(|| "keyward".to_owned());
    let endpoints = doors.endpoints.join("  ");
    let mut out = anstream::stderr().lock();
    let _ =
        writeln!(out, "\n{TITLE}Keyward {}{TITLE:#}  {}, policies enforced\n", env!("CARGO_PKG_VERSION"), kind(house));
    let rows = [
        ("endpoint", format!("{endpoints}  region {}, account {}", settings.kms.region, settings.kms.account)),
        (
            "policies",
            format!(
                "{} for keys, {} for secrets, {} RAM policies  in {}",
                status.counts.key_policies,
                status.counts.secret_policies,
                status.counts.ram_policies,
                shown(&settings.policies.directory)
            ),
        ),
        (
            "callers",
            format!(
                "{} in {} accounts  in {}",
                status.counts.callers,
                status.counts.accounts,
                shown(&settings.policies.identities)
            ),
        ),
        behind(house),
        ("metrics", format!("http://{}/metrics, /healthz, /readyz", doors.admin_address)),
    ];
    let health = doors.health_address.map(|address| ("health", format!("http://{address}/healthz, /readyz")));
    for (label, text) in rows.into_iter().chain(health).chain(credentials(house, doors)) {
        let _ = writeln!(out, "  {LABEL}{label:<10}{LABEL:#}{text}");
    }
    if settings.signatures.rules.trust_upstream {
        let _ = writeln!(
            out,
            "\n  {WRONG}signatures are NOT verified here{WRONG:#}: trust_upstream leaves that to the KMS behind"
        );
    }
    let Some(address) = doors.api_address else {
        let _ = writeln!(out);
        return;
    };
    let at = if address == super::call::DEFAULT_ENDPOINT_ADDRESS {
        String::new()
    } else {
        format!(" --endpoint http://{address}")
    };
    let config =
        if config == Path::new(DEFAULT_CONFIG) { String::new() } else { format!(" --config {}", config.display()) };
    let _ = writeln!(out, "\n  {LABEL}try:{LABEL:#}");
    // A signature that is passed through must not be for this address.
    let is_passed_on = settings.upstream.as_ref().is_some_and(|upstream| upstream.mode == Mode::PassThrough);
    let signature = if is_passed_on { " --signature v1" } else { "" };
    for (caller, what) in examples(house) {
        let _ = writeln!(out, "    {program} call {what} --as {caller}{signature}{at}{config}");
    }
    let _ = writeln!(out);
}

/// Tells that it is ready to take over.
pub fn waiting(path: &Path) {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(
        out,
        "\n{TITLE}Keyward {}{TITLE:#}  ready to take over at {}: send SIGQUIT to the one that serves\n",
        env!("CARGO_PKG_VERSION"),
        shown(path)
    );
}

fn kind(house: &House) -> &'static str {
    match &house.behind {
        Behind::Embedded(_) => "embedded KMS",
        Behind::Elsewhere(_) => "in front of KMS",
    }
}

/// What the embedded KMS holds and keeps where, or where another KMS is.
fn behind(house: &House) -> (&'static str, String) {
    let kms = match &house.behind {
        Behind::Embedded(kms) => kms,
        Behind::Elsewhere(upstream) => {
            let how = match upstream.mode() {
                Mode::PassThrough => "requests go on as they are signed",
                Mode::ReSign(SignAs::Keyward) => "requests are signed anew by Keyward",
                Mode::ReSign(SignAs::Caller) => "requests are signed anew with the caller's own key",
            };
            return ("upstream", format!("{}  {how}", upstream.endpoint()));
        }
    };
    let keys = counted(kms.key_count(), "key", "keys");
    let secrets = counted(kms.secret_count(), "secret", "secrets");
    let kept = match house.ephemeral {
        true => "in memory: ends with the process".to_owned(),
        false => format!("in {}", shown(&house.settings.kms.data)),
    };
    ("holds", format!("{keys} and {secrets}  {kept}"))
}

/// Where credentials are handed out. The token is in its file, and not here: this may be a log.
fn credentials(house: &House, doors: &Doors) -> Option<(&'static str, String)> {
    let credentials = house.settings.credentials.as_ref()?;
    let (account, role) = &credentials.role;
    let place = match (&credentials.at, doors.credentials_address) {
        (CredentialsDoor::Loopback(_, token), Some(address)) => {
            format!("http://{address}/credentials/TOKEN, with the token in {}", shown(token))
        }
        (CredentialsDoor::Socket(socket, _), _) => format!("{} /credentials", shown(&socket.path)),
        _ => return None,
    };
    Some(("vends", format!("sessions of {}  at {place}", role_arn(account, role))))
}

/// Two commands to try at once: those of the example set where its callers are there, otherwise what anybody may call.
fn examples(house: &House) -> Vec<(String, &'static str)> {
    let directory = &house.store.current().directory;
    let examples = [
        ("alice", "Encrypt KeyId=alias/orders Plaintext=aGVsbG8="),
        ("bob", "GetSecretValue SecretName=orders/db-password"),
    ];
    if examples.iter().all(|(caller, _)| directory.access_keys_of(caller).len() == 1) {
        return examples.map(|(caller, what)| (caller.to_owned(), what)).to_vec();
    }
    let name = |member: &Member| member.principal.to_string();
    let mut callers = directory.members().iter().map(name).filter(|arn| !directory.access_keys_of(arn).is_empty());
    callers.next().into_iter().flat_map(|caller| [(caller.clone(), "DescribeRegions"), (caller, "ListKeys")]).collect()
}

/// Names every mistake, and says that they keep it from running.
pub fn problems(problems: &[Problem]) {
    listed(problems);
    let mistakes = counted(problems.len(), "mistake", "mistakes");
    let _ = writeln!(anstream::stderr().lock(), "\n{mistakes}; Keyward does not start.");
}

/// Names every mistake.
pub fn listed(problems: &[Problem]) {
    let mut out = anstream::stderr().lock();
    for problem in problems {
        let _ = writeln!(out, "{WRONG}error{WRONG:#}: {problem}");
    }
}

/// What was read; where it has mistakes, names them all.
pub fn usable<T>(read: Result<T, Vec<Problem>>) -> Option<T> {
    read.map_err(|problems| listed(&problems)).ok()
}

/// Tells what went wrong.
pub fn failure(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WRONG}error{WRONG:#}: {message}");
}
