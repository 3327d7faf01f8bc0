//! `keyward test`: the policies on disk, asked the questions of the case files.
//!
//! Each case is judged by the same judge as a request, on one snapshot. Nothing is sent and nothing is served.

mod cases;
mod coverage;
mod judge;
mod report;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::ask::Ground;
use super::{Exit, SettingsFile, banner};
use crate::source::{Problem, shown};
use judge::Results;

/// Arguments of `keyward test`.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 every case passed; 1 some did not, or too few statements are covered; \
    2 could not say (settings, policies or cases cannot be used, or there are none).")]
pub struct Test {
    /// The folder of the case files, *.toml [default: cases/ in the policy folder]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFile,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail when cases reach less than this share of all statements, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Run again whenever policies, identities or cases change, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For continuous integration
    Junit,
    /// For programs
    Json,
}

/// One run of all cases: what is to be printed about it.
#[derive(PartialEq, Eq)]
struct Round {
    exit: Exit,
    text: String,
    /// What kept it from running.
    problems: Vec<Problem>,
}

impl Round {
    /// Results go to standard output, what went wrong to standard error.
    ///
    /// # Errors
    /// Nobody reads them any more.
    fn print(&self) -> io::Result<()> {
        banner::listed(&self.problems);
        let mut out = anstream::stdout();
        out.write_all(self.text.as_bytes())?;
        out.flush()
    }
}

/// Runs all cases and prints what became of them.
pub fn run(arguments: &Test) -> Exit {
    if arguments.watch {
        return watch::run(arguments);
    }
    let round = round(arguments);
    let _ = round.print();
    round.exit
}

fn round(arguments: &Test) -> Round {
    match judged(arguments) {
        Ok(results) => {
            let text = match arguments.format {
                Format::Text => report::text(&results),
                Format::Junit => report::junit(&results),
                Format::Json => report::json(&results),
            };
            let exit = if results.passed() { Exit::Yes } else { Exit::No };
            Round { exit, text, problems: Vec::new() }
        }
        Err(problems) => Round { exit: Exit::CouldNotSay, text: String::new(), problems },
    }
}

fn judged(arguments: &Test) -> Result<Results, Vec<Problem>> {
    let ground = Ground::open(&arguments.settings.config)?;
    let default = ground.settings.policies.directory.join("cases");
    let directory = arguments.directory.as_ref().unwrap_or(&default);
    let snapshot = ground.store.current();
    let cases = cases::read_all(directory, &snapshot, ground.here())?;
    if cases.is_empty() {
        return Err(vec![Problem::of_file(shown(directory), "has no cases; write [[case]] tables into *.toml there")]);
    }
    Ok(judge::run(&cases, &snapshot, ground.now, arguments.min_coverage))
}
