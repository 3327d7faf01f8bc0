//! `keyward explain`: why a question is answered as it is. The same judge as for requests, on the files as they are now.
//!
//! The question is either written down (who, what, on what), or a request in a file, as it came over the wire. Serves
//! nothing, and reads nothing of the embedded KMS but the key of role sessions, for a request.

mod recording;
mod story;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;

use self::recording::Recording;
use self::story::{Answer, Refused, Story};
use super::ask::{Ground, given, pair, unknown_action};
use super::{Exit, Format, SettingsFile, banner};
use crate::authn::Directory;
use crate::authz::{
    Hypothetical, Judgement, Open, Outcome, Permission, Rejection, Snapshot, Target, Unresolved, authorize_explained,
};
use crate::kms::{KmsRequest, Origin, RawRequest};
use crate::settings::read_text;

/// Arguments of `keyward explain`.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 allowed; 1 not allowed; 2 could not say, for example because a policy has \
    mistakes (see `keyward check`), or because it rests on what only KMS knows.\n\n\
    Examples:\n  \
    keyward explain --as alice --action kms:Encrypt --resource key/key-exampleorders01\n  \
    keyward explain --as bob --action kms:Decrypt --resource key/key-exampleorders01 --context acs:SourceIp=10.0.0.1\n  \
    keyward explain --request request.http --peer 10.0.0.1")]
pub struct Explain {
    /// Who: a user's name, ACCOUNT/NAME, or an ARN
    #[arg(long = "as", value_name = "NAME", required_unless_present = "request", conflicts_with = "request")]
    caller: Option<String>,
    /// What, for example kms:Decrypt
    #[arg(long, required_unless_present = "request", conflicts_with = "request")]
    action: Option<String>,
    /// On what: key/ID, secret/NAME, alias/NAME, a container (key, secret, alias), * or an ARN
    #[arg(long, required_unless_present = "request", conflicts_with = "request")]
    resource: Option<String>,
    /// The value of a condition key, for example acs:SourceIp=10.0.0.1
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "request")]
    context: Vec<(String, String)>,
    /// A request in a file, as it came over the wire: HTTP/1.1 with head and body
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Where the request came from
    #[arg(long, value_name = "IP", requires = "request")]
    peer: Option<IpAddr>,
    /// The request came over TLS
    #[arg(long, requires = "request")]
    tls: bool,
    /// At what time, for example 2026-01-02T03:04:05Z; otherwise when the request was signed, or now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    settings: SettingsFile,
    /// How to tell: for people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Explains and tells.
pub fn run(explain: &Explain) -> Exit {
    let Some(ground) = banner::usable(Ground::open(&explain.settings.config)) else {
        return Exit::CouldNotSay;
    };
    let story = match answer(explain, &ground) {
        Ok(story) => story,
        Err(error) => {
            banner::failure(&format!("{error:#}"));
            return Exit::CouldNotSay;
        }
    };
    let mut out = anstream::stdout().lock();
    // Who closes the pipe has read enough.
    let _ = match explain.format {
        Format::Text => story.text(&mut out),
        Format::Json => writeln!(out, "{:#}", story.json()),
    };
    match story.outcome {
        Outcome::Allow => Exit::Yes,
        Outcome::Undecided => Exit::CouldNotSay,
        Outcome::Deny | Outcome::Reject => Exit::No,
    }
}

fn answer(explain: &Explain, ground: &Ground) -> Result<Story> {
    match &explain.request {
        Some(file) => of_request(explain, file, ground),
        None => of_question(explain, ground, &ground.store.current()),
    }
}

fn of_question(explain: &Explain, ground: &Ground, snapshot: &Snapshot) -> Result<Story> {
    let context = given(&explain.context).map_err(|why| anyhow!(why))?;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (caller, action, resource) = (text(&explain.caller), text(&explain.action), text(&explain.resource));
    let caller = arn(&caller, &snapshot.directory)?;
    let here = (ground.here(), &snapshot.index);
    let asked = Hypothetical::parse(&caller, &action, &resource, here, context).map_err(|why| anyhow!(why))?;
    let time = explain.at.unwrap_or(ground.now);
    let answer = asked.ask(snapshot, time, |told| Answer::new(&asked.action, &asked.resource.arn, told));
    Ok(Story {
        outcome: answer.outcome(),
        caller: Some(asked.principal.to_string()),
        operation: None,
        rejection: None,
        permissions: vec![answer],
        notes: doubts(&asked, snapshot),
    })
}

/// What may be meant otherwise than it was asked.
fn doubts(asked: &Hypothetical, snapshot: &Snapshot) -> Vec<String> {
    let mut notes = Vec::from_iter(unknown_action(&asked.action));
    if asked.member(snapshot).is_none() {
        notes.push(format!("{} is nobody in the directory, and so has no RAM policies", asked.principal));
    }
    notes
}

/// The ARN of the caller known as `name`.
fn arn(name: &str, directory: &Directory) -> Result<String> {
    if name.starts_with("acs:") {
        return Ok(name.to_owned());
    }
    match directory.members_known_as(name).as_slice() {
        [] => bail!("nobody is known as `{name}` in the directory; write a whole ARN for somebody who is not in it"),
        [member] => Ok(member.principal.role_arn()),
        [member, ..] => {
            bail!(
                "`{name}` is more than one; write ACCOUNT/{name}, or a whole ARN such as {}",
                member.principal.role_arn()
            )
        }
    }
}

fn of_request(explain: &Explain, file: &Path, ground: &Ground) -> Result<Story> {
    ground.know_sessions()?;
    let text = read_text(file).map_err(|why| anyhow!("{} {why}", file.display()))?;
    let recording = Recording::parse(&text).map_err(|why| anyhow!("{} is no request: {why}", file.display()))?;
    let origin = Origin { address: explain.peer, secure: explain.tls, ..Origin::default() };
    let raw = recording.raw(&origin);
    let time = explain.at.or_else(|| signed_at(&raw)).unwrap_or(ground.now);
    let (mut notes, mut open_notes) = (Vec::new(), Vec::new());
    let (judgement, permissions) =
        authorize_explained(&ground.store.current(), &raw, time, |permission, told, open| {
            let answer = Answer::new(&permission.action, &permission.resource.arn, told);
            notes.extend(unresolved(ground, permission));
            open_notes.extend(open.as_ref().map(|open| note(ground, open)));
            open.iter().fold(answer, |answer, open| answer.resting_on(&unknown(&open.what)))
        });
    let outcome = outcome(&judgement, &permissions);
    // What is denied all the same rests on nothing.
    notes.extend(open_notes.into_iter().filter(|_| outcome == Outcome::Undecided));
    notes.dedup();
    let rejection = Refused::of(&judgement);
    let trail = judgement.trail;
    let operation = trail.operation.unwrap_or_else(|| "a request that cannot be read".to_owned());
    Ok(Story { outcome, caller: trail.caller, operation: Some(operation), rejection, permissions, notes })
}

/// When the request says that it was signed.
fn signed_at(raw: &RawRequest<'_>) -> Option<Timestamp> {
    KmsRequest::parse(raw).ok()?.scheme.timestamp().parse().ok()
}

/// What it comes to. Nothing is allowed that rests on something unknown; and what one permission denies, no other allows.
fn outcome(judgement: &Judgement, permissions: &[Answer]) -> Outcome {
    let has = |outcome| permissions.iter().any(|answer| answer.outcome() == outcome);
    match judgement.verdict {
        Err(Rejection::Unresolved(_)) if has(Outcome::Deny) => Outcome::Deny,
        Err(Rejection::Unresolved(_)) => Outcome::Undecided,
        Ok(_) if has(Outcome::Undecided) => Outcome::Undecided,
        _ => judgement.trail.outcome,
    }
}

/// What a running Keyward with an embedded KMS may know better.
fn unresolved(ground: &Ground, permission: &Permission) -> Option<String> {
    match &permission.target {
        _ if ground.settings.upstream.is_some() => None,
        Target::UnknownAlias(alias) => Some(format!(
            "{} stands for no key in the seed; a running Keyward may know it, and then judges that key",
            alias.name.as_str()
        )),
        Target::UnknownCiphertext => Some(
            "which key made the ciphertext is known to a running Keyward only, which then judges that key".to_owned(),
        ),
        _ => None,
    }
}

/// How somebody comes to know what a permission rests on.
fn note(ground: &Ground, open: &Open) -> String {
    // KMS tells nobody which key made a ciphertext; whoever decrypts it sees it.
    let asks = open.what != Unresolved::Ciphertext
        && ground.settings.upstream.as_ref().is_some_and(|upstream| upstream.lookups);
    let how = match (open.is_shown, asks) {
        (true, _) => "the answer of KMS shows it, and is judged before anybody sees it",
        (false, true) => {
            "KMS is asked when this is served, and what stays unknown is refused; resources.toml may say it"
        }
        (false, false) => {
            "a running Keyward may have heard of it, and what stays unknown is refused; resources.toml may say it"
        }
    };
    format!("this rests on {}: {how}", unknown(&open.what))
}

/// What nobody knows, in words.
fn unknown(what: &Unresolved) -> String {
    match what {
        Unresolved::Alias(alias) => format!("which key {} points to", alias.name.as_str()),
        Unresolved::Ciphertext => "which key made the ciphertext".to_owned(),
        Unresolved::Owner(key) => format!("which account key {key} belongs to"),
        Unresolved::KeyOfSecret(secret) => format!("which key encrypts secret {}", secret.name.as_str()),
        Unresolved::Tags(Target::Key(key)) => format!("how key {} is tagged", key.name),
        Unresolved::Tags(Target::Secret(secret)) => format!("how secret {} is tagged", secret.name.as_str()),
        Unresolved::Tags(_) => "how it is tagged".to_owned(),
    }
}
