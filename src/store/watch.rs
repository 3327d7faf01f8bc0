//! Watching the files: events for speed, a rescan for truth.
//!
//! Events get lost (queues overflow, mounted folders are swapped), so everything is looked at from time to time without
//! one. A watcher that fails is reported and never fatal.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Store;
use crate::settings::Policies;

/// How many times the quiet time may pass while changes go on, before they are read all the same.
const PATIENCE: u32 = 20;

/// The thread that watches. It ends when this is dropped.
pub struct Watcher {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    Changed,
    Stop,
}

impl Watcher {
    /// Begins to watch what `store` was loaded from. `clock` gives the time of a reload.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(store: Arc<Store>, policies: &Policies, clock: fn() -> Timestamp) -> std::io::Result<Self> {
        let (wake, woken) = mpsc::channel();
        let watcher = watch(policies, wake.clone());
        let (quiet, rescan) = (policies.debounce, policies.rescan);
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let _watching = watcher;
            let mut patience = rescan;
            while wait(&woken, quiet, patience) {
                patience = if look(&store, clock()) { quiet } else { rescan };
            }
        })?;
        Ok(Self { wake, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Looks at the files; `true` if it is worth looking again soon. Whatever goes wrong with one look, the next one comes.
fn look(store: &Store, now: Timestamp) -> bool {
    let reload = panic::catch_unwind(AssertUnwindSafe(|| store.reload(now)));
    reload.is_ok_and(|reload| reload.unsettled)
}

/// Waits until there is something to look at; `false` to end. After a change, files must be quiet first: an editor or a
/// deployment writes several of them.
fn wait(woken: &Receiver<Wake>, quiet: Duration, rescan: Duration) -> bool {
    match woken.recv_timeout(rescan) {
        Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        Err(RecvTimeoutError::Timeout) => return true,
        Ok(Wake::Changed) => {}
    }
    for _ in 0..PATIENCE {
        match woken.recv_timeout(quiet) {
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return true,
            // Changes come in bursts: the rest of this one is no reason to wait again.
            Ok(Wake::Changed) => while matches!(woken.try_recv(), Ok(Wake::Changed)) {},
        }
    }
    true
}

fn watch(policies: &Policies, wake: Sender<Wake>) -> Option<RecommendedWatcher> {
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
    // The identities file is watched through its folder: editors replace files, and a watch would stay with the old one.
    let identities = folder_of(&policies.identities);
    for (path, mode) in [(&policies.directory, RecursiveMode::Recursive), (&identities, RecursiveMode::NonRecursive)] {
        if let Err(error) = watcher.watch(path, mode) {
            tracing::warn!(path = %path.display(), %error, "cannot be watched; changes are found by the rescan");
        }
    }
    Some(watcher)
}

/// Reading a file is an event too. Whoever reads because of it wakes himself for ever.
pub fn is_only_reading(event: &Event) -> bool {
    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

fn folder_of(path: &Path) -> PathBuf {
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
        let (wake, woken) = mpsc::channel();
        assert!(wait(&woken, SOON, SOON), "a rescan");
        wake.send(Wake::Changed).unwrap();
        assert!(wait(&woken, SOON, LATE), "a change");
        wake.send(Wake::Changed).unwrap();
        wake.send(Wake::Stop).unwrap();
        assert!(!wait(&woken, LATE, LATE), "the end");
        drop(wake);
        assert!(!wait(&woken, LATE, LATE), "nobody is left");
    }
}
