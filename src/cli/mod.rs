//! The command line: one module for each command.
//!
//! Results go to standard output, narration to standard error. Exit codes are an interface: 0 yes, 1 no (an error
//! answer, settings or policies that cannot be used), 2 could not say (wrong usage, no connection, no port).

mod ask;
mod banner;
mod call;
mod check;
mod credentials;
mod data;
mod doors;
mod explain;
mod lifecycle;
mod memory;
mod sarif;
mod serve;
mod signals;
mod status;
mod succession;
mod template;
mod test;
mod who_can;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

/// The settings file that is read unless another one is named.
const DEFAULT_CONFIG: &str = "config/keyward.toml";

/// An argument of nearly every command.
#[derive(clap::Args)]
struct SettingsFile {
    /// The settings file; paths in it are relative to its folder
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// How to tell what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked, and the answer is yes.
    Yes,
    /// The answer is no.
    No,
    /// There is no answer.
    CouldNotSay,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::CouldNotSay => 2,
        })
    }
}

/// Keyward stands between applications and Alibaba Cloud KMS: it finds out who calls and what is asked, judges that
/// against key, secret and RAM policies on disk, and answers Forbidden.NoPermission where they do not allow it. With
/// its embedded KMS it is a local KMS endpoint that enforces real policies.
#[derive(Parser)]
#[command(
    name = "keyward",
    version,
    after_help = "Without a command, `keyward` serves.\n\
    Exit codes: 0 yes; 1 no (an error answer, a failed case, unusable settings or policies); 2 could not say."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and the admin port
    Serve(serve::Serve),
    /// Say what is wrong with policies, identities and the seed, and what is most likely not meant
    Check(check::Check),
    /// Say why a request or a question is allowed or denied
    Explain(explain::Explain),
    /// Send one signed request to a KMS endpoint and print the answer
    Call(call::Call),
    /// Export everything in the data folder as one document, or import it
    Data(data::Data),
    /// Judge the cases in the policy folder, and say which statements they leave out
    Test(test::Test),
    /// Say who may do something
    WhoCan(who_can::WhoCan),
    /// Say which policies a running Keyward has in force, and how it stands with their files
    Status(status::Status),
    /// Have a running Keyward read policies and identities again, and say what came of it
    Reload(status::Reload),
    /// Print a policy to begin with
    Template(template::Template),
}

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Check(check)) => check::run(&check),
        Some(Command::Explain(explain)) => explain::run(&explain),
        Some(Command::Call(call)) => call::run(&call),
        Some(Command::Data(data)) => data::run(&data),
        Some(Command::Test(test)) => test::run(&test),
        Some(Command::WhoCan(who_can)) => who_can::run(&who_can),
        Some(Command::Status(arguments)) => status::status(&arguments),
        Some(Command::Reload(arguments)) => status::reload(&arguments),
        Some(Command::Template(template)) => template::run(&template),
    }
    .into()
}

#[expect(clippy::disallowed_methods, reason = "the clock of the running program")]
fn now() -> Timestamp {
    Timestamp::now()
}
