//! `keyward who-can`: everybody in the directory who may do something, and what grants it.

use std::io::Write;

use serde_json::json;

use super::ask::{Ground, given, ground_of, pair, reason_for, unknown_action};
use super::{Exit, Format, SettingsFile, banner};
use crate::authz::{Hypothetical, Snapshot};
use crate::policy::Decision;

/// Arguments of `keyward who-can`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyward who-can kms:Decrypt key/key-exampleorders01\n  \
    keyward who-can kms:GetSecretValue secret/orders/db-password --context acs:SourceIp=10.0.0.1 --all\n\
    Exit codes: 0 somebody may; 1 nobody may; 2 could not say.")]
pub struct WhoCan {
    /// The action, for example kms:Decrypt
    action: String,
    /// The resource: key/ID, secret/NAME, alias/NAME, key, secret, alias, * or an ARN
    resource: String,
    /// The value of a condition key, as KEY=VALUE; may be repeated
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// Name those too who may not, and why
    #[arg(long)]
    all: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: SettingsFile,
}

/// What one member of the directory may.
struct Answer {
    principal: String,
    allowed: bool,
    reason: String,
}

/// Asks for everybody and prints who may.
pub fn run(arguments: &WhoCan) -> Exit {
    let Some(ground) = banner::usable(Ground::open(&arguments.settings.config)) else {
        return Exit::CouldNotSay;
    };
    match answers(arguments, &ground, &ground.store.current()) {
        Ok(mut answers) => {
            let somebody = answers.iter().any(|answer| answer.allowed);
            answers.retain(|answer| answer.allowed || arguments.all);
            print(arguments.format, &answers);
            if somebody { Exit::Yes } else { Exit::No }
        }
        Err(message) => {
            banner::failure(&message);
            Exit::CouldNotSay
        }
    }
}

fn answers(arguments: &WhoCan, ground: &Ground, snapshot: &Snapshot) -> Result<Vec<Answer>, String> {
    if let Some(message) = unknown_action(&arguments.action) {
        return Err(message);
    }
    let context = given(&arguments.context)?;
    let members = snapshot.directory.members().iter();
    let answer = |principal: String| {
        let (action, resource) = (&arguments.action, &arguments.resource);
        let question =
            Hypothetical::parse(&principal, action, resource, (ground.here(), &snapshot.index), context.clone())?;
        let (allowed, reason) = question.ask(snapshot, ground.now, |explanation| {
            let allowed = matches!(explanation.decision, Decision::Allow(_));
            (allowed, if allowed { ground_of(explanation) } else { reason_for(explanation) })
        });
        Ok(Answer { principal, allowed, reason })
    };
    members.map(|member| member.principal.role_arn()).map(answer).collect()
}

fn print(format: Format, answers: &[Answer]) {
    let mut out = anstream::stdout().lock();
    if format == Format::Json {
        let object = |answer: &Answer| json!({ "principal": answer.principal, "allowed": answer.allowed, "reason": answer.reason });
        let list: Vec<serde_json::Value> = answers.iter().map(object).collect();
        let _ = writeln!(out, "{:#}", serde_json::Value::Array(list));
        return;
    }
    let width = answers.iter().map(|answer| answer.principal.len()).max().unwrap_or(0);
    for Answer { principal, allowed, reason } in answers {
        let no = if *allowed { "" } else { "no: " };
        let _ = writeln!(out, "{principal:<width$}  {no}{reason}");
    }
    if answers.is_empty() {
        let _ = writeln!(out, "nobody");
    }
}
