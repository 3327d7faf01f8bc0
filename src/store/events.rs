//! Waiting for files to change: events for speed, a rescan for truth.
//!
//! Events get lost (queues overflow, mounted folders are swapped), so everything is looked at from time to time without
//! one. A watcher that fails is reported, begun anew and never fatal.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::layout::is_ignored;
use super::stamp::{Inode, Stamp};
use super::status::Watching;

/// How many times the quiet time may pass while changes go on, before they are read all the same.
const PATIENCE: u32 = 20;

/// How long one file must be quiet that its writer closed, or moved into its place.
const QUIET_WHEN_DONE: Duration = Duration::from_millis(20);

/// How many changed files are told apart. When there are more, everything is looked at.
const PATHS_MAX: usize = 1000;

/// What is watched: a folder, with or without everything below it.
pub type Watched = (PathBuf, RecursiveMode);

/// What happens to some files.
pub struct Events {
    watched: Vec<Watched>,
    relevant: Relevant,
    /// Kept here too, so that without a watcher the rescan still comes.
    wake: Sender<Wake>,
    woken: Receiver<Wake>,
    watcher: Option<RecommendedWatcher>,
    /// The folders as they were when watching them began.
    inodes: Vec<Option<Inode>>,
    failed: Arc<AtomicBool>,
    /// Whether it was said that watching fails. It is tried again all the time, and said once.
    has_told: bool,
    watching: Arc<Watching>,
}

/// Whether a change of this path matters.
type Relevant = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// Why it is time to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Something changed.
    Change(Changed),
    /// Nothing is known to have changed, for a long time.
    Rescan,
    /// Somebody wants it.
    Asked(Vec<Ask>),
    /// It is not: nobody shall wait any more.
    Stop,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Files and folders, and whether whoever wrote each is known to be done with it.
    pub paths: HashMap<PathBuf, bool>,
    /// Whether there is more than that, and nobody knows what.
    pub more: bool,
}

/// Somebody who wants a look, and to know what came of it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The hash of a waiting set that is approved.
    pub approved: Option<String>,
    /// Told when the look is over.
    pub done: Sender<()>,
}

impl PartialEq for Ask {
    fn eq(&self, other: &Self) -> bool {
        self.approved == other.approved
    }
}

impl Eq for Ask {}

enum Wake {
    Changed(Changed),
    Asked(Ask),
    Stop,
}

/// Ends the waiting, and asks for a look.
#[derive(Clone)]
pub struct Waker(Sender<Wake>);

impl Waker {
    /// Whoever waits, now or later, is told to stop.
    pub fn stop(&self) {
        let _ = self.0.send(Wake::Stop);
    }

    /// Asks for a look. `false` if nobody is there to look any more.
    pub fn ask(&self, ask: Ask) -> bool {
        self.0.send(Wake::Asked(ask)).is_ok()
    }
}

impl Changed {
    /// What changed, with what changed since.
    pub fn merge(&mut self, other: Self) {
        self.more |= other.more;
        self.paths.extend(other.paths);
        if self.paths.len() > PATHS_MAX {
            self.paths.clear();
            self.more = true;
        }
    }

    /// How long these must be quiet: not for long, if it is one file and its writer is done.
    pub fn quiet(&self, quiet: Duration) -> Duration {
        let is_done = self.paths.len() == 1 && self.paths.values().all(|done| *done);
        if is_done && !self.more { quiet.min(QUIET_WHEN_DONE) } else { quiet }
    }
}

impl Events {
    /// Begins to watch folders.
    pub fn of(watched: Vec<Watched>) -> Self {
        Self::among(watched, Arc::new(|_| true), Arc::default())
    }

    /// The same, of which only what is relevant matters, for all to see how it goes.
    pub fn among(watched: Vec<Watched>, relevant: Relevant, watching: Arc<Watching>) -> Self {
        let (wake, woken) = mpsc::channel();
        let mut events = Self {
            watched,
            relevant,
            wake,
            woken,
            watcher: None,
            inodes: Vec::new(),
            failed: Arc::default(),
            has_told: false,
            watching,
        };
        events.arm();
        events
    }

    /// What ends the waiting, for another thread.
    pub fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// Whether events come.
    pub fn is_watching(&self) -> bool {
        self.watching.is_told()
    }

    /// Whether what is watched is not what is there any more.
    pub fn is_outdated(&self) -> bool {
        self.watching.is_outdated()
    }

    /// Begins to watch anew, if watching failed or a folder is another one by now. Then something may have been missed:
    /// returns whether that is so.
    pub fn rearm(&mut self) -> bool {
        let is_broken = self.watcher.is_none() || self.failed.load(Ordering::Relaxed) || self.watching.is_outdated();
        if !is_broken && self.inodes == inodes(&self.watched) {
            return false;
        }
        self.arm();
        self.watching.rearmed.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn arm(&mut self) {
        self.failed.store(false, Ordering::Relaxed);
        self.inodes = inodes(&self.watched);
        // The old one ends first: both may not fit into what the system allows.
        self.watcher = None;
        let mut failures = Vec::new();
        match self.watch() {
            Err(error) => failures.push(error),
            Ok(mut watcher) => {
                for (path, mode) in &self.watched {
                    failures.extend(watcher.watch(path, *mode).err());
                }
                self.watcher = Some(watcher);
            }
        }
        self.watching.set_told(failures.is_empty());
        self.watching.errors.fetch_add(failures.len() as u64, Ordering::Relaxed);
        // What is not there is waited for; anything else is tried again.
        let is_not_there = |error: &notify::Error| matches!(error.kind, ErrorKind::PathNotFound);
        let is_broken = failures.iter().any(|error| !is_not_there(error));
        self.failed.store(is_broken, Ordering::Relaxed);
        if let Some(error) = failures.first().filter(|_| !self.has_told) {
            tracing::warn!(%error, "not all files can be watched; changes are found by the rescan");
        }
        self.has_told = !failures.is_empty();
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let (wake, relevant) = (self.wake.clone(), self.relevant.clone());
        let (failed, watching) = (self.failed.clone(), self.watching.clone());
        let watched: Vec<PathBuf> = self.watched.iter().map(|(path, _)| path.clone()).collect();
        let on_event = move |event: notify::Result<Event>| {
            let changed = match event {
                Ok(event) => {
                    // Another folder may come in its place, even with its inode; the watch ends with this one.
                    if event.kind.is_remove() && event.paths.iter().any(|path| watched.contains(path)) {
                        failed.store(true, Ordering::Relaxed);
                    }
                    changed(&event, &*relevant)
                }
                Err(error) => {
                    tracing::warn!(%error, "watching files failed; it begins anew");
                    watching.errors.fetch_add(1, Ordering::Relaxed);
                    failed.store(true, Ordering::Relaxed);
                    Some(Changed { more: true, ..Changed::default() })
                }
            };
            if let Some(changed) = changed {
                watching.changes.fetch_add(1, Ordering::Relaxed);
                let _ = wake.send(Wake::Changed(changed));
            }
        };
        // What links lead to is in the folder, and watched there, or is not read.
        RecommendedWatcher::new(on_event, notify::Config::default().with_follow_symlinks(false))
    }

    /// Waits until there is something to look at. After a change, files must be quiet first: an editor or a deployment
    /// writes several of them.
    pub fn wait(&self, quiet: Duration, rescan: Duration) -> Cause {
        let mut changed = match self.woken.recv_timeout(rescan) {
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Cause::Stop,
            Err(RecvTimeoutError::Timeout) => return Cause::Rescan,
            Ok(Wake::Asked(ask)) => return self.asked(ask),
            Ok(Wake::Changed(changed)) => changed,
        };
        for _ in 0..PATIENCE {
            // Changes come in bursts: the rest of this one is no reason to wait again.
            loop {
                match self.woken.try_recv() {
                    Ok(Wake::Changed(more)) => changed.merge(more),
                    Ok(Wake::Asked(ask)) => return self.asked(ask),
                    Ok(Wake::Stop) => return Cause::Stop,
                    Err(_) => break,
                }
            }
            match self.woken.recv_timeout(changed.quiet(quiet)) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return Cause::Stop,
                Err(RecvTimeoutError::Timeout) => break,
                Ok(Wake::Asked(ask)) => return self.asked(ask),
                Ok(Wake::Changed(more)) => changed.merge(more),
            }
        }
        Cause::Change(changed)
    }

    /// Everybody who asks by now is told by one look, which is at everything anyway.
    fn asked(&self, first: Ask) -> Cause {
        let mut asked = vec![first];
        while let Ok(wake) = self.woken.try_recv() {
            match wake {
                Wake::Asked(ask) => asked.push(ask),
                Wake::Changed(_) => {}
                Wake::Stop => return Cause::Stop,
            }
        }
        Cause::Asked(asked)
    }
}

fn inodes(watched: &[Watched]) -> Vec<Option<Inode>> {
    watched.iter().map(|(path, _)| Stamp::read(path).ok().map(|stamp| stamp.leads_to())).collect()
}

/// What an event says that matters; `None` if nothing does. Reading a file is an event too: whoever reads because of it
/// wakes himself for ever.
fn changed(event: &Event, relevant: &(dyn Fn(&Path) -> bool + Send + Sync)) -> Option<Changed> {
    if event.need_rescan() {
        return Some(Changed { more: true, ..Changed::default() });
    }
    let is_done = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => return None,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => true,
        // The same is told once more, as `To` and as `From`; together they say nothing of what was moved away.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
        _ => false,
    };
    let matters = |path: &&PathBuf| relevant(path) && !is_passing(path);
    let paths: HashMap<PathBuf, bool> =
        event.paths.iter().filter(matters).map(|path| (path.clone(), is_done)).collect();
    (!paths.is_empty()).then_some(Changed { paths, more: false })
}

/// Hidden files and copies, which editors make and remove; not the link by which Kubernetes swaps what is mounted.
fn is_passing(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_ignored(name) && name != "..data")
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

    fn change(path: &str, done: bool) -> Changed {
        Changed { paths: [(PathBuf::from(path), done)].into(), more: false }
    }

    #[test]
    fn events_that_matter_are_told_from_those_that_do_not() {
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (kind, path, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), "keys/a.json", None),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), "keys/a.json", None),
            (close, "keys/a.json", Some(true)),
            (moved, "keys/a.json", Some(true)),
            (EventKind::Modify(ModifyKind::Name(RenameMode::From)), "keys/a.json", Some(false)),
            (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), "keys/a.json", None),
            (moved, "..data", Some(true)),
            (EventKind::Any, "keys/a.json", Some(false)),
            (close, "keys/.a.json.swp", None),
            (close, "keys/a.json~", None),
            (EventKind::Any, "..2026_11_25", None),
            (EventKind::Any, "elsewhere", None),
        ] {
            let event = Event::new(kind).add_path(path.into());
            let told = changed(&event, &|path| path != Path::new("elsewhere"));
            assert_eq!(told, expected.map(|done| change(path, done)), "{kind:?} {path}");
        }
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(changed(&lost, &|_| true).unwrap().more);
    }

    /// F09, F16: however much happens, it is looked once.
    #[test]
    fn a_burst_is_one_change_and_many_who_ask_are_told_by_one_look() {
        let events = Events::of(Vec::new());
        assert_eq!(events.wait(SOON, SOON), Cause::Rescan);
        for path in ["a", "b", "a"] {
            events.wake.send(Wake::Changed(change(path, true))).unwrap();
        }
        let paths = [(PathBuf::from("a"), true), (PathBuf::from("b"), true)].into();
        assert_eq!(events.wait(SOON, LATE), Cause::Change(Changed { paths, more: false }));
        assert_eq!(events.wait(SOON, SOON), Cause::Rescan);
        let (done, _told) = mpsc::channel();
        let ask = || Ask { approved: None, done: done.clone() };
        events.wake.send(Wake::Changed(change("a", true))).unwrap();
        (0..10_000).for_each(|_| assert!(events.waker().ask(ask())));
        assert!(matches!(events.wait(LATE, LATE), Cause::Asked(asked) if asked.len() == 10_000));
        events.wake.send(Wake::Changed(change("a", false))).unwrap();
        events.waker().stop();
        assert_eq!(events.wait(LATE, LATE), Cause::Stop);
    }

    #[test]
    fn one_file_that_is_done_is_not_waited_for_long() {
        let mut changed = change("a", true);
        assert_eq!(changed.quiet(LATE), QUIET_WHEN_DONE);
        assert_eq!(changed.quiet(Duration::from_millis(1)), Duration::from_millis(1));
        assert_eq!(change("a", false).quiet(LATE), LATE);
        changed.merge(change("b", true));
        assert_eq!(changed.quiet(LATE), LATE);
        for number in 0..=PATHS_MAX {
            changed.merge(change(&number.to_string(), true));
        }
        assert!(changed.more && changed.paths.len() < PATHS_MAX);
    }
}
