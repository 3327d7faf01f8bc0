//! Runs the cases again and again while somebody works on policies or cases.
//!
//! Events for speed, a rescan for truth, as in the store. A rescan that finds nothing new says nothing.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::super::banner;
use super::{Exit, Test, round};
use crate::settings::Settings;
use crate::store::is_only_reading;

/// How often the quiet time may pass while changes go on, before the cases run all the same.
const PATIENCE: u32 = 20;

/// Why the cases run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Change,
    Rescan,
}

/// Runs the cases until Ctrl-C, or until nobody reads the results any more.
pub fn run(arguments: &Test) -> Exit {
    let Some(settings) = banner::usable(Settings::load(&arguments.settings.config)) else {
        return Exit::CouldNotSay;
    };
    // Kept here too, so that without a watcher the rescan still comes.
    let (wake, woken) = mpsc::channel();
    let _watcher = watch(arguments, &settings, wake.clone());
    let mut before = round(arguments);
    while before.print().is_ok() {
        before = next(arguments, &settings, &woken, before);
    }
    before.exit
}

/// The next round that is worth showing: after a change, or with other results than before.
fn next(arguments: &Test, settings: &Settings, woken: &Receiver<()>, before: super::Round) -> super::Round {
    loop {
        let cause = wait(woken, settings.policies.debounce, settings.policies.rescan);
        let round = round(arguments);
        if cause == Cause::Change || round != before {
            return round;
        }
    }
}

/// Waits until the cases should run again. After a change, files must be quiet first: an editor writes several times.
fn wait(woken: &Receiver<()>, quiet: Duration, rescan: Duration) -> Cause {
    if woken.recv_timeout(rescan).is_err() {
        return Cause::Rescan;
    }
    for _ in 0..PATIENCE {
        match woken.recv_timeout(quiet) {
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            // Changes come in bursts: the rest of this one is no reason to wait again.
            Ok(()) => while woken.try_recv().is_ok() {},
        }
    }
    Cause::Change
}

fn watch(arguments: &Test, settings: &Settings, wake: Sender<()>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<Event>| {
        if !event.as_ref().is_ok_and(is_only_reading) {
            let _ = wake.send(());
        }
    };
    let mut watcher = notify::recommended_watcher(on_event).ok()?;
    // Single files are watched through their folders: editors replace files, and a watch would stay with the old one.
    let policies = &settings.policies;
    let _ = watcher.watch(&policies.directory, RecursiveMode::Recursive);
    for file in [&policies.identities, &arguments.settings.config] {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
    }
    if let Some(cases) = &arguments.directory {
        let _ = watcher.watch(cases, RecursiveMode::NonRecursive);
    }
    Some(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_changes_is_one_change() {
        let (wake, woken) = mpsc::channel();
        let soon = Duration::from_millis(10);
        assert_eq!(wait(&woken, soon, soon), Cause::Rescan);
        for _ in 0..3 {
            wake.send(()).unwrap();
        }
        assert_eq!(wait(&woken, soon, Duration::from_secs(60)), Cause::Change);
        assert_eq!(wait(&woken, soon, soon), Cause::Rescan);
    }
}
