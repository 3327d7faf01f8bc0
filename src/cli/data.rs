//! `keyward data`: everything in the data folder as one document, for fixtures, and back.
//!
//! The document holds key material. It is written for its owner only.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, SettingsFile, banner, now};
use crate::local_kms::{TransferError, export, import};
use crate::settings::{Settings, read_text};
use crate::source::shown;
use crate::store::replace_private;

/// Arguments of `keyward data`.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 the data folder is not empty, or says something else (import); 2 could not \
    be done, for example because another process has the data.\n\n\
    Examples:\n  \
    keyward data export fixture.json\n  \
    keyward data import fixture.json --config other/keyward.toml\n  \
    keyward data import more.json --merge"
)]
pub struct Data {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write keys with their material, aliases and secrets to a file
    Export(Export),
    /// Put what was exported into an empty data folder
    Import(Import),
}

#[derive(clap::Args)]
struct Export {
    /// Where to write; a file that is there is replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    settings: SettingsFile,
}

#[derive(clap::Args)]
struct Import {
    /// What was exported
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    settings: SettingsFile,
    /// Add what is missing to a data folder that is not empty; nothing that is there is changed
    #[arg(long)]
    merge: bool,
}

/// Exports or imports.
pub fn run(data: &Data) -> Exit {
    let file = match &data.action {
        Action::Export(export) => &export.settings,
        Action::Import(import) => &import.settings,
    };
    let Some(settings) = banner::usable(Settings::load(&file.config)) else { return Exit::CouldNotSay };
    let done = match &data.action {
        Action::Export(export) => write(export, &settings),
        Action::Import(import) => take(import, &settings),
    };
    match done {
        Ok(told) => {
            let _ = writeln!(anstream::stdout(), "{told}");
            Exit::Yes
        }
        Err((exit, message)) => {
            banner::failure(&message);
            exit
        }
    }
}

fn write(arguments: &Export, settings: &Settings) -> Result<String, (Exit, String)> {
    let (text, counts) = export(&settings.kms.data, now()).map_err(failed)?;
    let file = shown(&arguments.file);
    replace_private(&arguments.file, &text).map_err(|why| (Exit::CouldNotSay, format!("{file} {why}")))?;
    Ok(format!("exported {counts} to {file}, which holds key material: whoever can read it has the keys"))
}

fn take(arguments: &Import, settings: &Settings) -> Result<String, (Exit, String)> {
    let file = shown(&arguments.file);
    let told = |what: String| (Exit::CouldNotSay, format!("{file} {what}"));
    let text = zeroize::Zeroizing::new(read_text(&arguments.file).map_err(told)?);
    let counts = import(&settings.kms.data, &text, arguments.merge, now()).map_err(|error| match error {
        TransferError::Document(what) => told(what),
        other => failed(other),
    })?;
    Ok(format!("imported {counts} into {}", shown(&settings.kms.data)))
}

fn failed(error: TransferError) -> (Exit, String) {
    let exit = match error {
        TransferError::NotEmpty { .. } | TransferError::Conflicts(_) => Exit::No,
        _ => Exit::CouldNotSay,
    };
    (exit, error.to_string())
}
