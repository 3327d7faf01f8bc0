//! Keeping the snapshot in force what the files say.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use notify::RecursiveMode;

use super::Store;
use super::events::{Ask, Cause, Changed, Events, Waker, folder_of};
use super::load::Scope;
use crate::settings::Policies;

/// Looks without an event take at most one part in so many of the time, while events come.
const REST: u32 = 200;

/// How long somebody who asked for a look waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The thread that watches. It ends when this is dropped.
pub struct Watcher {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Asks the thread that watches for a look.
#[derive(Clone)]
pub struct Reloader(Waker);

impl Reloader {
    /// Has everything read again; what is settled by then, and approved where that is needed, is in force when this
    /// returns. Blocks. `false` if nobody looked: it is ending, or takes more than a minute.
    pub fn reload(&self, approved: Option<String>) -> bool {
        let (done, told) = mpsc::channel();
        self.0.ask(Ask { approved, done }) && told.recv_timeout(PATIENCE).is_ok()
    }

    /// The same without waiting.
    pub fn nudge(&self) {
        let (done, _) = mpsc::channel();
        self.0.ask(Ask { approved: None, done });
    }
}

impl Watcher {
    /// Begins to watch what `store` was loaded from. `clock` gives the time of a reload.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(store: Arc<Store>, policies: &Policies, clock: fn() -> Timestamp) -> std::io::Result<Self> {
        // As events name them.
        let root = path::absolute(&policies.directory)?;
        let beside_identities = folder_of(&path::absolute(&policies.identities)?);
        let watched = vec![
            (root.clone(), RecursiveMode::Recursive),
            // Where the folder comes back, if it was moved away.
            (folder_of(&root), RecursiveMode::NonRecursive),
            (beside_identities.clone(), RecursiveMode::NonRecursive),
        ];
        let relevant = {
            let (root, callers) = (root.clone(), beside_identities.clone());
            move |path: &Path| path.starts_with(&root) || path.parent() == Some(&callers)
        };
        let events = Events::among(watched, Arc::new(relevant), store.watching().clone());
        let looking = Looking { store, clock, root, beside_identities, quiet: policies.debounce };
        Self::of(events, policies, move |cause| looking.look(cause))
    }

    /// Begins to watch some files. `look` looks at them.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn of_files<'f>(
        files: impl Iterator<Item = &'f Path>,
        policies: &Policies,
        look: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let folders: HashSet<PathBuf> = files.map(folder_of).collect();
        let watched = folders.into_iter().map(|folder| (folder, RecursiveMode::NonRecursive)).collect();
        Self::of(Events::of(watched), policies, move |_| {
            look();
            false
        })
    }

    /// What asks this thread for a look.
    pub fn reloader(&self) -> Reloader {
        Reloader(self.waker.clone())
    }

    fn of(
        mut events: Events,
        policies: &Policies,
        look: impl Fn(&Cause) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let waker = events.waker();
        let (quiet, rescan) = (policies.debounce, policies.rescan);
        // What has to be confirmed in time cannot rest for longer.
        let rest_max = policies.max_age.map_or(Duration::MAX, |age| age / 2);
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let (mut patience, mut pending) = (rescan, Changed::default());
            loop {
                let mut cause = events.wait(quiet, patience);
                if cause == Cause::Stop {
                    return;
                }
                if events.rearm() {
                    pending.more = true;
                }
                if pending != Changed::default() && !matches!(cause, Cause::Asked(_)) {
                    if let Cause::Change(changed) = cause {
                        pending.merge(changed);
                    }
                    cause = Cause::Change(std::mem::take(&mut pending));
                }
                let begun = Instant::now();
                // Whatever goes wrong with one look, the next one comes.
                let soon = panic::catch_unwind(AssertUnwindSafe(|| look(&cause))).unwrap_or(false);
                let rest = if events.is_watching() { begun.elapsed() * REST } else { Duration::ZERO };
                patience = if soon { quiet } else { rescan.max(rest.min(rest_max)) };
                match cause {
                    Cause::Change(changed) if soon => pending = changed,
                    Cause::Rescan if soon => pending.more = true,
                    _ => {}
                }
            }
        })?;
        Ok(Self { waker, thread: Some(thread) })
    }
}

/// What a look needs.
struct Looking {
    store: Arc<Store>,
    clock: fn() -> Timestamp,
    root: PathBuf,
    /// The folder of the identities file.
    beside_identities: PathBuf,
    quiet: Duration,
}

impl Looking {
    /// Looks; returns whether it is worth looking again soon.
    fn look(&self, cause: &Cause) -> bool {
        let unsettled = match cause {
            Cause::Change(changed) => {
                self.store.reload(&self.scope(changed), changed.quiet(self.quiet), None, (self.clock)()).unsettled
            }
            Cause::Asked(asked) => return self.answer(asked),
            Cause::Rescan | Cause::Stop => {
                self.store.reload(&Scope::Everything, self.quiet, None, (self.clock)()).unsettled
            }
        };
        self.store.keep_last_good();
        unsettled
    }

    /// Whoever asked is told when everything is as settled as it gets; then it is not worth looking again soon.
    fn answer(&self, asked: &[Ask]) -> bool {
        let mut approvals: Vec<Option<&str>> = asked.iter().map(|ask| ask.approved.as_deref()).collect();
        approvals.sort_unstable();
        approvals.dedup();
        for approved in approvals {
            while self.store.reload(&Scope::Anew, self.quiet, approved, (self.clock)()).unsettled {
                thread::park_timeout(self.quiet);
            }
        }
        self.store.keep_last_good();
        for ask in asked {
            let _ = ask.done.send(());
        }
        false
    }

    fn scope(&self, changed: &Changed) -> Scope {
        if changed.more {
            return Scope::Everything;
        }
        let in_folder = changed.paths.keys().filter_map(|path| path.strip_prefix(&self.root).ok());
        let identities = changed.paths.keys().any(|path| path.parent() == Some(&self.beside_identities));
        Scope::Only { paths: in_folder.map(Path::to_owned).collect(), identities }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
