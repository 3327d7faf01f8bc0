//! `keyward check`: everything that is wrong with settings, policies and identities, and everything that is legal and
//! most likely not meant. Serves nothing and changes nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Exit, SettingsFile, banner, sarif};
use crate::local_kms::check_seed;
use crate::policy::Finding;
use crate::served;
use crate::settings::{CredentialsDoor, Settings};
use crate::source::{Problem, counted, shown};
use crate::store::{Inspection, inspect, read_private};
use crate::upstream::check_files;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Arguments of `keyward check`.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 nothing is wrong (there may be warnings); 1 errors, or warnings with \
    --deny-warnings; 2 could not say, for example because the settings cannot be read.\n\n\
    Examples:\n  \
    keyward check\n  \
    keyward check policies --deny-warnings\n  \
    keyward check --format sarif > keyward.sarif")]
pub struct Check {
    /// The policy folder, in place of the one that the settings name
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFile,
    /// How to tell: for people, for programs, or for code scanning (SARIF 2.1.0)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A warning is as bad as an error
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

/// What was found.
pub struct Report {
    /// What cannot be used.
    pub errors: Vec<Problem>,
    /// What is legal and most likely not meant.
    pub warnings: Vec<Finding>,
    policies: usize,
    callers: usize,
    hash: String,
}

/// Looks at everything and tells what it found.
pub fn run(check: &Check) -> Exit {
    let Some(mut settings) = banner::usable(Settings::load(&check.settings.config)) else {
        return Exit::CouldNotSay;
    };
    if let Some(directory) = &check.directory {
        settings.policies.directory.clone_from(directory);
    }
    if !settings.policies.directory.is_dir() {
        banner::failure(&format!("{} is no folder", settings.policies.directory.display()));
        return Exit::CouldNotSay;
    }
    let mut report = Report::of(inspect(&settings));
    report.errors.extend(settings.kms.seed.as_deref().map(check_seed).unwrap_or_default());
    report.errors.extend(check_files(&settings));
    report.errors.extend(made_secrets(&settings));
    report.errors.sort();
    // Who closes the pipe has read enough.
    let _ = report.write(check.format, &mut anstream::stdout().lock());
    report.exit(check.deny_warnings)
}

/// What is wrong with the secrets that Keyward made itself. What is missing is made at the start.
fn made_secrets(settings: &Settings) -> Vec<Problem> {
    let at = |name: &str, why: String| settings.written.problem(name, &why);
    let token = settings.credentials.as_ref().and_then(|vended| match &vended.at {
        CredentialsDoor::Loopback(_, file) if file.exists() => {
            let why = read_private(file).err()?;
            Some(at("credentials.token_file", format!("names {}, which {why}", shown(file))))
        }
        _ => None,
    });
    let session_key = served::existing(&settings.kms.data).err();
    let session_key = session_key.map(|error| at("kms.data", format!("has what cannot be used: {error}")));
    token.into_iter().chain(session_key).collect()
}

impl Report {
    fn of(inspection: Inspection) -> Self {
        Self {
            warnings: inspection.findings,
            policies: inspection.policies,
            callers: inspection.directory.caller_count(),
            errors: inspection.problems,
            hash: inspection.hash,
        }
    }

    fn exit(&self, deny_warnings: bool) -> Exit {
        let denied = deny_warnings && !self.warnings.is_empty();
        if self.errors.is_empty() && !denied { Exit::Yes } else { Exit::No }
    }

    fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => self.text(out),
            Format::Json => writeln!(out, "{:#}", self.json()),
            Format::Sarif => writeln!(out, "{:#}", sarif::log(self)),
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for error in &self.errors {
            writeln!(out, "{ERROR}error{ERROR:#}: {error}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "{WARNING}warning{WARNING:#}{warning}")?;
        }
        let (errors, warnings) = (self.errors.len(), self.warnings.len());
        writeln!(
            out,
            "{} and {} checked: {}, {}",
            counted(self.policies, "policy", "policies"),
            counted(self.callers, "caller", "callers"),
            counted(errors, "error", "errors"),
            counted(warnings, "warning", "warnings"),
        )?;
        // What a running Keyward tells of what is in force, if that is the same.
        if self.errors.is_empty() { writeln!(out, "hash {}", self.hash) } else { Ok(()) }
    }

    fn json(&self) -> Value {
        let errors: Vec<Value> = self.errors.iter().map(|problem| Value::Object(place(problem))).collect();
        let warning = |finding: &Finding| {
            let mut members = place(&finding.problem);
            members.insert("code".to_owned(), finding.code.into());
            members.insert("why".to_owned(), why(finding.code).into());
            Value::Object(members)
        };
        let warnings: Vec<Value> = self.warnings.iter().map(warning).collect();
        let counts = json!({
            "errors": errors.len(), "warnings": warnings.len(), "policies": self.policies, "callers": self.callers,
        });
        json!({ "errors": errors, "warnings": warnings, "counts": counts, "hash": self.hash })
    }
}

fn place(problem: &Problem) -> serde_json::Map<String, Value> {
    let members = [
        ("file", Value::from(problem.file.as_str())),
        ("line", problem.position.map(|position| position.line).into()),
        ("column", problem.position.map(|position| position.column).into()),
        ("message", problem.message.as_str().into()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn why(code: &str) -> &'static str {
    sarif::warning_rules().find(|(known, ..)| *known == code).map_or("", |(.., why)| why)
}
