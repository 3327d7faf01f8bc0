//! What a person sees at the start: what runs, where, and what to try; or every mistake that keeps it from running.

use std::io::Write;

use anstyle::{AnsiColor, Style};

use super::lifecycle::Listeners;
use super::serve::House;
use crate::source::{Problem, shown};

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const LABEL: Style = Style::new().dimmed();
const WRONG: Style = AnsiColor::Red.on_default().bold();

/// Tells what runs.
pub fn welcome(house: &House, listeners: &Listeners) {
    let (settings, status) = (&house.settings, house.store.status());
    let program = std::env::args().next().unwrap_or_else(|| "keyward".to_owned());
    let endpoint = format!("http://{}", listeners.api_address);
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "\n{TITLE}Keyward {}{TITLE:#}  embedded KMS, policies enforced\n", env!("CARGO_PKG_VERSION"));
    let rows = [
        ("endpoint", format!("{endpoint}  region {}, account {}", settings.kms.region, settings.kms.account)),
        (
            "policies",
            format!(
                "{} for keys, {} for secrets, {} RAM policies  in {}",
                status.key_policies,
                status.secret_policies,
                status.ram_policies,
                shown(&settings.policies.directory)
            ),
        ),
        (
            "callers",
            format!("{} in {} accounts  in {}", status.callers, status.accounts, shown(&settings.policies.identities)),
        ),
        (
            "holds",
            format!(
                "{} keys and {} secrets  in {}",
                house.kms.key_count(),
                house.kms.secret_count(),
                shown(&settings.kms.data)
            ),
        ),
        ("metrics", format!("http://{}/metrics, /healthz, /readyz", listeners.admin_address)),
    ];
    for (label, text) in rows {
        let _ = writeln!(out, "  {LABEL}{label:<10}{LABEL:#}{text}");
    }
    let at = if listeners.api_address == super::call::DEFAULT_ENDPOINT_ADDRESS {
        String::new()
    } else {
        format!(" --endpoint {endpoint}")
    };
    let _ = writeln!(out, "\n  {LABEL}allowed, then refused:{LABEL:#}");
    let _ = writeln!(out, "    {program} call Encrypt --as alice KeyId=alias/orders Plaintext=aGVsbG8={at}");
    let _ = writeln!(out, "    {program} call GetSecretValue --as bob SecretName=orders/db-password{at}\n");
}

/// Names every mistake.
pub fn problems(problems: &[Problem]) {
    let mut out = anstream::stderr().lock();
    for problem in problems {
        let _ = writeln!(out, "{WRONG}error{WRONG:#}: {problem}");
    }
    let count = problems.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let _ = writeln!(out, "\nKeyward does not start with {count} {noun} in its settings, policies or identities.");
}

/// Tells what went wrong.
pub fn failure(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{WRONG}error{WRONG:#}: {message}");
}
