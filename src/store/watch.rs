//! Keeping the snapshot in force what the files say.

use std::panic::{self, AssertUnwindSafe};
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
        let stopper = events.stopper();
        let (quiet, rescan) = (policies.debounce, policies.rescan);
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let mut patience = rescan;
            while events.wait(quiet, patience) != Cause::Stop {
                patience = if look(&store, clock()) { quiet } else { rescan };
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

/// Looks at the files; `true` if it is worth looking again soon. Whatever goes wrong with one look, the next one comes.
fn look(store: &Store, now: Timestamp) -> bool {
    let reload = panic::catch_unwind(AssertUnwindSafe(|| store.reload(now)));
    reload.is_ok_and(|reload| reload.unsettled)
}
