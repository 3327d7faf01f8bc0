//! Waiting for files to change: events for speed, a rescan for truth.
//!
//! Events get lost (queues overflow, mounted folders are swapped), so everything is looked at from time to time without
//! one. A watcher that fails is reported and never fatal.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How many times the quiet time may pass while changes go on, before they are read all the same.
const PATIENCE: u32 = 20;

/// What happens to some files.
pub struct Events {
    /// Kept here too, so that without a watcher the rescan still comes.
    wake: Sender<Wake>,
    woken: Receiver<Wake>,
    _watcher: Option<RecommendedWatcher>,
}

/// Why it is time to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Something changed.
    Change,
    /// Nothing is known to have changed, for a long time.
    Rescan,
    /// It is not: nobody shall wait any more.
    Stop,
}

enum Wake {
    Changed,
    Stop,
}

/// Ends the waiting.
pub struct Stopper(Sender<Wake>);

impl Stopper {
    /// Whoever waits, now or later, is told to stop.
    pub fn stop(&self) {
        let _ = self.0.send(Wake::Stop);
    }
}

impl Events {
    /// Begins to watch folders, with or without everything below them.
    pub fn of(folders: &[(&Path, RecursiveMode)]) -> Self {
        let (wake, woken) = mpsc::channel();
        Self { _watcher: watch(folders, wake.clone()), wake, woken }
    }

    /// What ends the waiting, for another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.wake.clone())
    }

    /// Waits until there is something to look at. After a change, files must be quiet first: an editor or a deployment
    /// writes several of them.
    pub fn wait(&self, quiet: Duration, rescan: Duration) -> Cause {
        match self.woken.recv_timeout(rescan) {
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Cause::Stop,
            Err(RecvTimeoutError::Timeout) => return Cause::Rescan,
            Ok(Wake::Changed) => {}
        }
        for _ in 0..PATIENCE {
            // Changes come in bursts: the rest of this one is no reason to wait again.
            loop {
                match self.woken.try_recv() {
                    Ok(Wake::Changed) => {}
                    Ok(Wake::Stop) => return Cause::Stop,
                    Err(_) => break,
                }
            }
            match self.woken.recv_timeout(quiet) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Cause::Stop,
                Err(RecvTimeoutError::Timeout) => break,
                Ok(Wake::Changed) => {}
            }
        }
        Cause::Change
    }
}

fn watch(folders: &[(&Path, RecursiveMode)], wake: Sender<Wake>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<Event>| match event {
        Ok(event) if is_only_reading(&event) => {}
        Ok(_) => drop(wake.send(Wake::Changed)),
        Err(error) => {
            tracing::warn!(%error, "watching files failed; changes are found by the rescan");
            let _ = wake.send(Wake::Changed);
        }
    };
    let mut watcher = notify::recommended_watcher(on_event)
        .inspect_err(|error| tracing::warn!(%error, "files cannot be watched; changes are found by the rescan"))
        .ok()?;
    for (path, mode) in folders {
        if let Err(error) = watcher.watch(path, *mode) {
            tracing::warn!(path = %path.display(), %error, "cannot be watched; changes are found by the rescan");
        }
    }
    Some(watcher)
}

/// Reading a file is an event too. Whoever reads because of it wakes himself for ever.
fn is_only_reading(event: &Event) -> bool {
    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// The folder of a file. A file is watched through it: editors replace files, and a watch would stay with the old one.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(60);

    #[test]
    fn reading_is_no_change() {
        for (kind, is_reading) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), true),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), true),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), false),
            (EventKind::Any, false),
        ] {
            assert_eq!(is_only_reading(&Event::new(kind)), is_reading, "{kind:?}");
        }
    }

    #[test]
    fn a_change_a_rescan_and_the_end_are_told_apart() {
        let events = Events::of(&[]);
        assert_eq!(events.wait(SOON, SOON), Cause::Rescan);
        for _ in 0..3 {
            events.wake.send(Wake::Changed).unwrap();
        }
        assert_eq!(events.wait(SOON, LATE), Cause::Change);
        assert_eq!(events.wait(SOON, SOON), Cause::Rescan, "a burst of changes is one change");
        events.wake.send(Wake::Changed).unwrap();
        events.stopper().stop();
        assert_eq!(events.wait(LATE, LATE), Cause::Stop);
    }
}
