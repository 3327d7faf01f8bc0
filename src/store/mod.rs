//! POLICIES ON DISK: files ⇄ the snapshot in force.
//!
//! Loads policies and identities, watches them, and swaps in a new [`Snapshot`] when they changed. In the place of a file
//! that cannot be used stands its last good version, or a denial; log, metrics and readiness say so. Starting with such a
//! file fails. It decides nothing; what a text means is for `policy` and `authn` to say.

mod callers;
mod change;
mod entry;
mod events;
mod findings;
mod folder;
mod identities;
mod inspect;
mod last_good;
mod layout;
mod load;
mod look;
mod private;
mod read;
mod report;
mod resources;
mod rules;
mod set;
mod settle;
mod stamp;
mod status;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

pub use change::{PolicyChange, Precondition, SetPolicyError, hash_of};
pub use events::{Cause, Events, folder_of};
pub use findings::FILE_RULES;
pub use identities::read_directory;
pub use inspect::{Inspection, inspect};
pub use load::Scope;
pub use private::{is_readable_by_all, read_or_make, read_private, replace_private};
pub use status::{Counts, Difference, Shown, Status, Waiting, Watching};
pub use watch::{Reloader, Watcher};
pub use write::{make_folder, remove, sync_folder};

use crate::authn::SessionKey;
use crate::authz::{PolicyTable, ResourceIndex, Snapshot, Validity, Version};
use crate::policy::Kind;
use crate::settings::{Policies, Settings};
use crate::source::Problem;
use callers::unknown_callers;
use entry::Touched;
use last_good::LastGood;
use load::Loader;
use look::Look;
use report::report;
use rules::rules;
use settle::Pace;

/// From how many generations on that requests still hold it is worth an alarm.
const GENERATIONS_MANY: usize = 16;

/// The snapshot in force, and the files behind it.
pub struct Store {
    current: ArcSwap<Snapshot>,
    loader: Mutex<Loader>,
    status: ArcSwap<Status>,
    settings: Policies,
    /// Whether what is set here stays in memory.
    in_memory: bool,
    /// The copy of what is in force, and why it is not kept.
    last_good: Option<Mutex<LastGood>>,
    not_kept: ArcSwapOption<Problem>,
    /// When it began.
    begun: Timestamp,
    /// Everything that was in force, as long as somebody has it.
    generations: Mutex<Vec<Weak<PolicyTable>>>,
    watching: Arc<Watching>,
}

/// What a look at the files came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Whether a new generation is in force.
    pub changed: bool,
    /// Whether a file is still being written, so that it is worth looking again soon.
    pub unsettled: bool,
}

impl Store {
    /// Loads everything.
    ///
    /// # Errors
    /// Every problem of every file: at the start there is no last good version to stay with, unless a copy of what was in
    /// force is kept.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Self, Vec<Problem>> {
        let policies = &settings.policies;
        let mut loader = Loader::new(settings);
        let last_good = policies.last_good.as_deref().map(LastGood::open).transpose();
        let mut last_good = last_good.map_err(|problem| vec![problem])?;
        let restored = last_good.as_mut().is_some_and(|copy| loader.restore(copy));
        let look = loader.look(&Scope::Everything, None);
        let mut problems = look.files.problems();
        if !restored {
            problems.extend(unknown_callers(settings, &look.files.identities().directory()));
        }
        // With what was in force before, a start is like a reload.
        if !problems.is_empty() && !restored {
            return Err(problems);
        }
        let waiting = (restored && policies.approval && look.touched.is_something()).then(|| {
            let approval = loader.approval(&look, &look.files.hash());
            Arc::new(report::waiting(approval, loader.files(), &look))
        });
        if waiting.is_none() {
            loader.take(look.files);
        }
        let files = loader.files();
        let version = Version { generation: 1, hash: files.hash().into() };
        let table = Arc::new(files.table().clone());
        let index = if settings.upstream.is_some() { ResourceIndex::of_hearsay() } else { ResourceIndex::default() };
        let snapshot = Snapshot {
            directory: files.identities().directory(),
            sessions: None,
            policies: table.clone(),
            index: index.with_stated(files.resources().index()),
            rules: Arc::new(rules(settings)),
            validity: Validity::default(),
            version: version.clone(),
        };
        let status = Status {
            generation: 1,
            hash: version.hash,
            since: Some(now),
            looked: Some(now),
            confirmed: problems.is_empty().then_some(now),
            waiting,
            problems,
            warnings: files.findings(),
            counts: files.counts(),
            ..Status::default()
        };
        report(&Status::default(), &status, policies.on_invalid);
        let store = Self {
            current: ArcSwap::from_pointee(snapshot),
            status: ArcSwap::from_pointee(status),
            loader: Mutex::new(loader),
            settings: policies.clone(),
            in_memory: false,
            last_good: last_good.map(Mutex::new),
            not_kept: ArcSwapOption::empty(),
            begun: now,
            generations: Mutex::new(vec![Arc::downgrade(&table)]),
            watching: Arc::default(),
        };
        store.revalidate(&store.lock());
        Ok(store)
    }

    /// The snapshot in force. Take it once per request and keep it to the end.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How files and snapshot stand to each other.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Where everything is, and how it is taken.
    pub fn settings(&self) -> &Policies {
        &self.settings
    }

    /// How many generations there are at the moment: the one in force, and those that requests are still judged by.
    pub fn generations_alive(&self) -> usize {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().filter(|generation| generation.strong_count() > 0).count()
    }

    /// How watching goes.
    pub fn watching(&self) -> &Arc<Watching> {
        &self.watching
    }

    /// Looks at files, and takes what changed once it is settled: quiet for this long. Where changes need approval, it is
    /// taken only if `approved` is its hash.
    pub fn reload(&self, scope: &Scope, quiet: Duration, approved: Option<&str>, now: Timestamp) -> Reload {
        let mut loader = self.lock();
        // What waits for approval is one set: a part of it is not looked at alone.
        let scope = if self.settings.approval && scope != &Scope::Anew { &Scope::Everything } else { scope };
        let look = loader.look(scope, Some(Pace { now, quiet }));
        if look.has_moved {
            self.watching.begin_anew();
        }
        if look.unsettled {
            return Reload { changed: false, unsettled: true };
        }
        let before = self.status();
        let changed = look.touched.is_something();
        let hash = if changed { look.files.hash() } else { before.hash.to_string() };
        let unapproved = (changed && self.settings.approval).then(|| loader.approval(&look, &hash));
        let unapproved = unapproved.filter(|approval| approved != Some(approval));
        let waits = unapproved.is_some();
        let mut status = seen(&look, waits, &before, now);
        let mut denied = false;
        if let Some(approval) = unapproved {
            // The same set, seen again, is not compared again.
            let known = before.waiting.clone().filter(|waiting| waiting.approval == approval);
            status.waiting = Some(known.unwrap_or_else(|| Arc::new(report::waiting(approval, loader.files(), &look))));
            // What is broken needs nobody's approval to be.
            let (files, touched) = loader.files().with_problems_of(&look.files);
            loader.take(files);
            denied = touched.is_something();
            if denied {
                self.put_in_force(&loader, loader.files().hash().into(), &mut status, now);
            }
        } else {
            loader.take(look.files);
            if changed {
                status.reloads_taken += 1;
                self.put_in_force(&loader, hash.into(), &mut status, now);
            }
        }
        self.conclude(&loader, &before, status);
        Reload { changed: (changed && !waits) || denied, unsettled: false }
    }

    /// Puts what the loader took in force, as a new generation.
    fn put_in_force(&self, loader: &Loader, hash: Arc<str>, status: &mut Status, now: Timestamp) {
        let files = loader.files();
        let (table, directory) = (Arc::new(files.table().clone()), files.identities().directory());
        let version = Version { generation: status.generation + 1, hash };
        self.current.rcu(|old| Snapshot {
            version: version.clone(),
            directory: directory.clone(),
            policies: table.clone(),
            index: old.index.clone().with_stated(files.resources().index()),
            ..(**old).clone()
        });
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.retain(|generation| generation.strong_count() > 0);
        generations.push(Arc::downgrade(&table));
        (status.generation, status.hash, status.since) = (version.generation, version.hash, Some(now));
        (status.warnings, status.counts) = (files.findings(), files.counts());
        if generations.len() == GENERATIONS_MANY {
            tracing::warn!(generations = generations.len(), "requests hold many old sets of policies: they take long");
        }
    }

    /// Tells what is new. Whatever came into force is by now: telling may fail.
    fn conclude(&self, loader: &Loader, before: &Status, status: Status) {
        let status = Arc::new(status);
        self.status.store(status.clone());
        self.revalidate(loader);
        report(before, &status, self.settings.on_invalid);
    }

    /// Has requests judged by what is in force as long as that is right.
    fn revalidate(&self, loader: &Loader) {
        let limit = |age: Duration| {
            let confirmed = self.status().confirmed.unwrap_or(self.begun);
            confirmed.checked_add(age).map_or(Validity::Unlimited, Validity::Until)
        };
        let validity = match self.settings.max_age {
            _ if loader.files().has_no_identities() => Validity::NoIdentities,
            Some(age) => limit(age),
            None => Validity::Unlimited,
        };
        if self.current.load().validity != validity {
            self.current.rcu(|old| Snapshot { validity, ..(**old).clone() });
        }
    }

    /// Puts in force what was changed here.
    fn changed_here(&self, loader: &Loader, touched: &Touched, now: Timestamp) {
        let before = self.status();
        // What was wrong with this file is gone with what it was.
        let mut status = Status { problems: loader.files().problems(), ..Status::clone(&before) };
        if touched.is_something() {
            self.put_in_force(loader, loader.files().hash().into(), &mut status, now);
        }
        self.conclude(loader, &before, status);
    }

    /// Removes what a process left in the policy folder that died while it wrote.
    pub fn sweep(&self) {
        self.lock().sweep();
    }

    /// The policy files in force as people know them, sorted, each with the hash of its content.
    pub fn files_in_force(&self) -> Vec<(String, String)> {
        let files = self.lock().files().clone();
        files.hashes().map(|(path, hash)| (files.shown(path), HEXLOWER.encode(&hash))).collect()
    }

    /// Keeps a copy of what is in force, if that is wanted and it is not kept yet. Blocks.
    pub fn keep_last_good(&self) {
        let Some(copy) = self.last_good.as_ref().filter(|_| !self.in_memory) else { return };
        let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
        let (files, generation) = {
            let loader = self.lock();
            (loader.files().clone(), self.status().generation)
        };
        let problem = copy.keep(&files, generation).err();
        if let Some(problem) = problem.as_ref().filter(|problem| self.not_kept().as_deref() != Some(problem)) {
            tracing::error!(%problem, "a restart would go on with older policies");
        }
        self.not_kept.store(problem.map(Arc::new));
    }

    /// Why the copy of what is in force is not what is in force.
    pub fn not_kept(&self) -> Option<Arc<Problem>> {
        self.not_kept.load_full()
    }

    /// The document of the policy in force for a key (by id) or secret (by name), exactly as it was stored.
    pub fn policy_text(&self, kind: Kind, account: &str, name: &str) -> Option<Arc<str>> {
        self.current().policies.text_of(kind, account, name)
    }

    /// Publishes what names stand for; policies stay as they are.
    pub fn publish_index(&self, index: ResourceIndex) {
        self.current.rcu(|old| {
            let index = index.clone().with_stated(old.index.stated().cloned());
            Snapshot { index, ..(**old).clone() }
        });
    }

    /// Publishes what the tokens of role sessions are made with.
    pub fn publish_sessions(&self, key: Arc<SessionKey>) {
        self.current.rcu(|old| Snapshot { sessions: Some(key.clone()), ..(**old).clone() });
    }

    /// From now on, policies that are set or removed here are so in memory only: no file is written or removed.
    pub fn keep_in_memory(&mut self) {
        self.in_memory = true;
    }

    /// A panic while the lock was held leaves the loader usable: what it took is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Loader> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look tells, whether its draft is taken or waits.
fn seen(look: &Look, waits: bool, before: &Status, now: Timestamp) -> Status {
    let problems = look.files.problems();
    // Both are sorted.
    let new = problems.iter().find(|problem| before.problems.binary_search(problem).is_err());
    // Whatever waits was seen: what is in force is what was approved last.
    let is_confirmed = look.is_complete && problems.is_empty();
    Status {
        looked: Some(now),
        confirmed: if is_confirmed { Some(now) } else { before.confirmed },
        reloads_refused: before.reloads_refused + u64::from(new.is_some()),
        last_problem: new.cloned().map(|problem| (now, problem)).or_else(|| before.last_problem.clone()),
        waiting: before.waiting.clone().filter(|_| waits),
        problems,
        ..before.clone()
    }
}

/// For tests of the rooms above, which know no settings.
#[cfg(test)]
impl Store {
    /// The store of a folder with `identities.toml` and `policies/`; the latter are those of `account`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn of_folder(folder: &std::path::Path, region: &str, account: &str) -> Result<Self, Vec<Problem>> {
        let text = format!(
            "[kms]\nregion = '{region}'\naccount = '{account}'\ndata = 'data'\n\
             [policies]\ndirectory = 'policies'\nidentities = 'identities.toml'\n"
        );
        Self::open(&Settings::parse(&text, folder)?, Timestamp::UNIX_EPOCH)
    }

    /// Looks at everything, as without an event.
    pub fn look(&self, now: Timestamp) -> Reload {
        self.reload(&Scope::Everything, self.settings.debounce, None, now)
    }
}

#[cfg(test)]
mod tests;
