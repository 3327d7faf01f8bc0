//! Keeping the snapshot in force what the files say.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use notify::RecursiveMode;

use super::Store;
use super::events::{Cause, Events, Stopper, folder_of};
use crate::settings::Policies;

/// The thread that watches. It ends when this is dropped.
pub struct Watcher {
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch what `store` was loaded from. `clock` gives the time of a reload.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(store: Arc<Store>, policies: &Policies, clock: fn() -> Timestamp) -> std::io::Result<Self> {
        let events = Events::of(&[
            (&policies.directory, RecursiveMode::Recursive),
            (&folder_of(&policies.identities), RecursiveMode::NonRecursive),
        ]);
        Self::of(events, policies, move || store.reload(clock()).unsettled)
    }

    /// Begins to watch some files. `look` looks at them, and says whether it is worth looking again soon.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn of_files<'f>(
        files: impl Iterator<Item = &'f Path>,
        policies: &Policies,
        look: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let folders: Vec<PathBuf> = files.map(folder_of).collect();
        let folders: Vec<_> = folders.iter().map(|folder| (folder.as_path(), RecursiveMode::NonRecursive)).collect();
        Self::of(Events::of(&folders), policies, look)
    }

    fn of(events: Events, policies: &Policies, look: impl Fn() -> bool + Send + 'static) -> std::io::Result<Self> {
        let stopper = events.stopper();
        let (quiet, rescan) = (policies.debounce, policies.rescan);
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let mut patience = rescan;
            while events.wait(quiet, patience) != Cause::Stop {
                // Whatever goes wrong with one look, the next one comes.
                let soon = panic::catch_unwind(AssertUnwindSafe(&look)).unwrap_or(false);
                patience = if soon { quiet } else { rescan };
            }
        })?;
        Ok(Self { stopper, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
