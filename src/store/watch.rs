//! Watching the files: events for speed, a rescan for truth.
//!
//! Events get lost (queues overflow, mounted folders are swapped), so everything is looked at from time to time without
//! one. A watcher that fails is reported and never fatal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use notify_debouncer_mini::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};

use super::Store;
use crate::settings::Policies;

/// The thread that watches. It ends when this is dropped.
pub struct Watcher {
    stop: Option<Sender<Wake>>,
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
        let debouncer = watch(policies, wake.clone());
        let rescan = policies.rescan;
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let _watching = debouncer;
            loop {
                match woken.recv_timeout(rescan) {
                    Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => {
                        store.reload(clock());
                    }
                    Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { stop: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(Wake::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(policies: &Policies, wake: Sender<Wake>) -> Option<Debouncer<RecommendedWatcher>> {
    let on_events = move |events: DebounceEventResult| {
        if let Err(error) = events {
            tracing::warn!(%error, "watching files failed; changes are found by the rescan");
        }
        let _ = wake.send(Wake::Changed);
    };
    let mut debouncer = new_debouncer(policies.debounce, on_events)
        .inspect_err(|error| tracing::warn!(%error, "files cannot be watched; changes are found by the rescan"))
        .ok()?;
    // The identities file is watched through its folder: editors replace files, and a watch would stay with the old one.
    let identities = folder_of(&policies.identities);
    for (path, mode) in [(&policies.directory, RecursiveMode::Recursive), (&identities, RecursiveMode::NonRecursive)] {
        if let Err(error) = debouncer.watcher().watch(path, mode) {
            report(path, &error);
        }
    }
    Some(debouncer)
}

fn report(path: &Path, error: &notify::Error) {
    tracing::warn!(path = %path.display(), %error, "cannot be watched; changes are found by the rescan");
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
