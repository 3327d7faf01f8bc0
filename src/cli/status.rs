//! `keyward status` and `keyward reload`: what policies a running Keyward has in force, and having it read the files again.
//!
//! Both ask the admin port. What the answer says is told in a few lines, or as it came.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::{Exit, Format, SettingsFile, banner, now};
use crate::settings::Settings;
use crate::source::counted;

const LABEL: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const NOTABLE: Style = AnsiColor::Yellow.on_default();

/// How long an answer may take: a reload reads every file.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer that is read, in bytes: it may list every policy file.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Arguments of `keyward status`.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 what is in force is what the files say; 1 it is not, or Keyward is not ready; \
    2 could not say.")]
pub struct Status {
    #[command(flatten)]
    admin: AdminPort,
    /// Name every policy file in force, with the SHA-256 of its content
    #[arg(long)]
    files: bool,
}

/// Arguments of `keyward reload`.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 what is in force is what the files say; 1 it is not: something cannot be used, or \
    waits for approval; 2 could not say."
)]
pub struct Reload {
    #[command(flatten)]
    admin: AdminPort,
    /// Put in force the changed set that waits under this hash; `keyward status` told it
    #[arg(long, value_name = "HASH")]
    approve: Option<String>,
}

/// Where a running Keyward answers, and how to tell what it says.
#[derive(clap::Args)]
struct AdminPort {
    #[command(flatten)]
    settings: SettingsFile,
    /// The admin port, in place of the one that the settings name
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// How to tell
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Tells what is in force.
pub fn status(arguments: &Status) -> Exit {
    let path = if arguments.files { "/status?files" } else { "/status" };
    tell(&arguments.admin, false, path)
}

/// Has the files read again, and tells what is in force then.
pub fn reload(arguments: &Reload) -> Exit {
    let is_hash = |hash: &String| hash.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if let Some(hash) = arguments.approve.as_ref().filter(|hash| !is_hash(hash)) {
        banner::failure(&format!("`{hash}` is no hash; `keyward status` tells the one that waits"));
        return Exit::CouldNotSay;
    }
    let query = arguments.approve.as_ref().map(|hash| format!("?approve={hash}")).unwrap_or_default();
    tell(&arguments.admin, true, &format!("/-/reload{query}"))
}

fn tell(admin: &AdminPort, is_post: bool, path: &str) -> Exit {
    let answer = match ask(admin, is_post, path) {
        Ok(answer) => answer,
        Err(error) => {
            banner::failure(&format!("{error:#}"));
            return Exit::CouldNotSay;
        }
    };
    let mut out = anstream::stdout().lock();
    // Who closes the pipe has read enough.
    let _ = match admin.format {
        Format::Json => writeln!(out, "{answer:#}"),
        Format::Text => text(&mut out, &answer),
    };
    if answer.get("well") == Some(&Value::Bool(true)) { Exit::Yes } else { Exit::No }
}

fn ask(admin: &AdminPort, is_post: bool, path: &str) -> Result<Value> {
    let address = match &admin.admin {
        Some(address) => address.clone(),
        None => match Settings::load(&admin.settings.config) {
            Ok(settings) => settings.listen.admin.to_string(),
            Err(problems) => {
                banner::listed(&problems);
                bail!("where the admin port is, is not known; name it with --admin HOST:PORT")
            }
        },
    };
    // A proxy in the environment is for the way out.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
    let agent: ureq::Agent = agent.build().into();
    let url = format!("http://{address}{path}");
    let sent = if is_post { agent.post(&url).send_empty() } else { agent.get(&url).call() };
    let mut response = sent.with_context(|| format!("nobody answers at {address}; is Keyward running?"))?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
    let told = serde_json::from_str(&body);
    told.map_err(|_| anyhow::anyhow!("{address} answers {}: {}", response.status(), body.trim()))
}

/// Why it is not ready, by the word for it: what does not work, and why.
const UNREADY: [(&str, &str, &str); 4] = [
    ("ending", "no new clients are wanted", "Keyward is ending"),
    (
        "stale_policies",
        "nothing is judged by it",
        "for too long nobody could confirm that the files say this (max_age_seconds)",
    ),
    ("no_identities", "nothing is judged by it", "the identities cannot be used (on_invalid)"),
    ("no_credentials", "nothing goes on to KMS", "there are no credentials to sign with"),
];

fn text(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let said = |pointer: &str| match answer.pointer(pointer) {
        None | Some(Value::Null) => "never".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let many = |pointer: &str, one: &str, many: &str| {
        counted(usize::try_from(number(pointer)).unwrap_or(usize::MAX), one, many)
    };
    let mut line = |label: &str, text: String| writeln!(out, "{LABEL}{label:<12}{LABEL:#}{text}");
    let generation = format!("generation {}", number("/generation"));
    let unready = answer.pointer("/unready").and_then(Value::as_str);
    line(
        "in force",
        match unready.map(|why| UNREADY.iter().find(|(word, ..)| *word == why).map_or((why, ""), |it| (it.1, it.2))) {
            None => format!("{GOOD}{generation}{GOOD:#} since {}", said("/in_force_since")),
            Some((what, why)) => format!("{generation}, and {WRONG}{what}{WRONG:#}: {why}"),
        },
    )?;
    line("hash", said("/hash"))?;
    let [keys, secrets, ram] = ["key", "secret", "ram"].map(|kind| number(&format!("/policies/{kind}")));
    line("policies", format!("{keys} for keys, {secrets} for secrets, {ram} RAM policies  in {}", said("/directory")))?;
    let callers = (many("/callers", "caller", "callers"), many("/accounts", "account", "accounts"));
    line("identities", format!("{} in {}  in {}", callers.0, callers.1, said("/identities")))?;
    line("confirmed", format!("{}; looked at {}", said("/confirmed"), said("/looked")))?;
    if !answer["valid_until"].is_null() {
        line("valid until", said("/valid_until"))?;
    }
    let is_told = answer.pointer("/watching/told") == Some(&Value::Bool(true));
    let how = if is_told { "the system tells changes" } else { "changes are looked for" };
    let errors = (many("/watching/errors", "error", "errors"), many("/watching/rearmed", "time", "times"));
    let changes = many("/watching/changes", "change", "changes");
    line("watching", format!("{how}; {changes} so far, {}, begun anew {}", errors.0, errors.1))?;
    line("reloads", format!("{} taken, {} refused", number("/reloads/taken"), number("/reloads/refused")))?;
    if let Some(endpoint) = answer.pointer("/upstream/endpoint").and_then(Value::as_str) {
        let (all, good) = (number("/upstream/addresses/all"), number("/upstream/addresses/good"));
        let state =
            if answer.pointer("/upstream/circuit_open") == Some(&true.into()) { "  does not answer" } else { "" };
        line("upstream", format!("{endpoint}  {good} of {all} addresses good{state}"))?;
        for credential in answer.pointer("/upstream/credentials").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| credential[name].as_str();
            let (id, of) = (text("access_key_id").unwrap_or("none"), text("of").unwrap_or_default());
            let word = |end: &str| if is_over(end) { "over since" } else { "until" };
            let until = text("expires").map(|end| format!(", {} {end}", word(end))).unwrap_or_default();
            line("signs with", format!("{id}{until}  for {of}"))?;
        }
    }
    if !answer["last_problem"].is_null() {
        line("last error", format!("{} {}", said("/last_problem/time"), said("/last_problem/problem")))?;
    }
    lists(out, answer)
}

/// Whether a time is past.
fn is_over(time: &str) -> bool {
    time.parse::<Timestamp>().is_ok_and(|end| end <= now())
}

/// What is wrong, what is notable, what waits, and which files there are.
fn lists(out: &mut dyn Write, answer: &Value) -> io::Result<()> {
    let texts = |name: &str| answer[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    for problem in texts("problems") {
        writeln!(out, "{WRONG}error{WRONG:#}: {problem}")?;
    }
    for warning in texts("warnings") {
        writeln!(out, "{NOTABLE}{warning}{NOTABLE:#}")?;
    }
    if let Some(differences) = answer.pointer("/waiting/differences").and_then(Value::as_array) {
        let approval = answer.pointer("/waiting/approval").and_then(Value::as_str).unwrap_or_default();
        let count = counted(differences.len(), "changed file waits", "changed files wait");
        writeln!(out, "\n{NOTABLE}{count} for approval{NOTABLE:#}: keyward reload --approve {approval}\n")?;
        for difference in differences {
            let text = |name: &str| difference[name].as_str();
            match (text("lines"), text("file").unwrap_or_default()) {
                (Some(lines), _) => writeln!(out, "{lines}")?,
                (None, file) => {
                    let why = text("not_shown").unwrap_or_default();
                    writeln!(out, "{file} is another one; how is not shown: it is {why}")?;
                }
            }
        }
    }
    for file in answer["files"].as_array().into_iter().flatten() {
        let text = |name: &str| file[name].as_str().unwrap_or_default();
        writeln!(out, "{}  {}", text("sha256"), text("file"))?;
    }
    Ok(())
}
