//! Runs the cases again and again while somebody works on policies or cases.
//!
//! A rescan that finds nothing new says nothing.

use std::path::PathBuf;

use notify::RecursiveMode;

use super::super::banner;
use super::{Exit, Round, Test, round};
use crate::settings::Settings;
use crate::store::{Cause, Events, folder_of};

/// Runs the cases until Ctrl-C, or until nobody reads the results any more.
pub fn run(arguments: &Test) -> Exit {
    let Some(settings) = banner::usable(Settings::load(&arguments.settings.config)) else {
        return Exit::CouldNotSay;
    };
    let events = watch(arguments, &settings);
    let mut before = round(arguments);
    while before.print().is_ok() {
        match next(arguments, &settings, &events, &before) {
            Some(round) => before = round,
            None => break,
        }
    }
    before.exit
}

/// The next round that is worth showing: after a change, or with other results than before. `None` at the end.
fn next(arguments: &Test, settings: &Settings, events: &Events, before: &Round) -> Option<Round> {
    loop {
        let cause = events.wait(settings.policies.debounce, settings.policies.rescan);
        let round = round(arguments);
        match cause {
            Cause::Stop => return None,
            Cause::Rescan if round == *before => {}
            _ => return Some(round),
        }
    }
}

fn watch(arguments: &Test, settings: &Settings) -> Events {
    let policies = &settings.policies;
    let mut folders: Vec<PathBuf> =
        [&policies.identities, &arguments.settings.config].map(|file| folder_of(file)).into();
    folders.extend(arguments.directory.clone());
    let alone = folders.into_iter().map(|folder| (folder, RecursiveMode::NonRecursive));
    Events::of(alone.chain([(policies.directory.clone(), RecursiveMode::Recursive)]).collect())
}
