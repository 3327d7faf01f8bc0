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
const PATIENCE: Duration = Duration::from_secs(15);

/// How long files must be quiet for somebody who asked.
const QUIET_WHEN_ASKED: Duration = Duration::from_millis(500);

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
    /// returns. Blocks. `false` if nobody looked: it is ending, or takes more than 15 seconds.
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
            // The file, or the link by which Kubernetes swaps what is mounted; not everything that lies beside it.
            let (root, file) = (root.clone(), path::absolute(&policies.identities)?);
            let link = beside_identities.join("..data");
            move |path: &Path| path.starts_with(&root) || path == file || path == link
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
        look: impl Fn(&LookAt) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let waker = events.waker();
        let (quiet, rescan) = (policies.debounce, policies.rescan);
        // What has to be confirmed in time cannot rest for longer.
        let rest_max = policies.max_age.map_or(Duration::MAX, |age| age / 2);
        let thread = thread::Builder::new().name("keyward-watch".to_owned()).spawn(move || {
            let (mut pending, mut next_whole) = (Changed::default(), Instant::now() + rescan);
            let mut soon = false;
            loop {
                let until_whole = next_whole.saturating_duration_since(Instant::now());
                let cause = events.wait(quiet, if soon { quiet.min(until_whole) } else { until_whole });
                let is_due = Instant::now() >= next_whole;
                let mut look_at = match cause {
                    Cause::Stop => return,
                    Cause::Asked(asked) => LookAt::Asked(asked),
                    Cause::Change(changed) => LookAt::Changed(changed),
                    Cause::Rescan => LookAt::Changed(Changed::default()),
                };
                if let LookAt::Changed(changed) = &mut look_at {
                    changed.merge(std::mem::take(&mut pending));
                    // However much happens, everything is looked at when it is time to.
                    changed.more |= is_due | events.rearm();
                }
                let begun = Instant::now();
                // Whatever goes wrong with one look, the next one comes.
                soon =
                    panic::catch_unwind(AssertUnwindSafe(|| look(&look_at))).unwrap_or(false) || events.is_outdated();
                let is_whole = match &look_at {
                    LookAt::Asked(_) => true,
                    LookAt::Changed(changed) => changed.more,
                };
                if is_whole && !soon {
                    let rest = if events.is_watching() { begun.elapsed() * REST } else { Duration::ZERO };
                    next_whole = Instant::now() + rescan.max(rest.min(rest_max));
                }
                if let (true, LookAt::Changed(changed)) = (soon, look_at) {
                    pending = changed;
                }
            }
        })?;
        Ok(Self { waker, thread: Some(thread) })
    }
}

/// What is looked at.
enum LookAt {
    /// What changed.
    Changed(Changed),
    /// Everything, because somebody wants it.
    Asked(Vec<Ask>),
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
    fn look(&self, at: &LookAt) -> bool {
        let changed = match at {
            LookAt::Asked(asked) => return self.answer(asked),
            LookAt::Changed(changed) => changed,
        };
        let quiet = changed.quiet(self.quiet);
        let unsettled = self.store.reload(&self.scope(changed), quiet, None, (self.clock)()).unsettled;
        self.store.keep_last_good();
        unsettled
    }

    /// Whoever asked is told when everything is as settled as it gets; then it is not worth looking again soon.
    fn answer(&self, asked: &[Ask]) -> bool {
        let mut approvals: Vec<Option<&str>> = asked.iter().map(|ask| ask.approved.as_deref()).collect();
        approvals.sort_unstable();
        approvals.dedup();
        for approved in approvals {
            // Who asks has finished writing, and does not wait for long.
            let quiet = self.quiet.min(QUIET_WHEN_ASKED);
            while self.store.reload(&Scope::Anew, quiet, approved, (self.clock)()).unsettled {
                thread::park_timeout(quiet);
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
