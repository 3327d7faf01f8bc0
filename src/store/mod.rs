//! POLICIES ON DISK: files ⇄ the snapshot in force.
//!
//! Loads policies and identities, watches them, and swaps in a new [`Snapshot`] when they changed. A file that cannot be
//! used changes nothing: its last good version stays in force, and log, metrics and readiness say so. Starting with such
//! a file fails. It decides nothing; what a text means is for `policy` and `authn` to say.

mod events;
mod files;
mod identities;
mod inspect;
mod load;
mod private;
mod watch;
mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

pub use events::{Cause, Events, folder_of};
pub use identities::read_directory;
pub use inspect::{Inspected, Inspection, READABLE_SECRET, inspect};
pub use private::{is_readable_by_all, read_or_make, read_private, replace_private};
pub use watch::Watcher;
pub use write::{make_folder, remove, sync_folder};

use crate::authn::SessionKey;
use crate::authz::{PolicyTable, ResourceIndex, Rules, Snapshot, parse_policy};
use crate::policy::{Finding, Kind};
use crate::settings::Settings;
use crate::source::{Problem, shown};
use load::{FileKey, Loader};

/// The snapshot in force, and the files behind it.
pub struct Store {
    current: ArcSwap<Snapshot>,
    loader: Mutex<Loader>,
    status: ArcSwap<Status>,
    root: PathBuf,
    account: String,
    /// How long a file must be unchanged before it is read.
    quiet: Duration,
    /// Whether what is set here stays in memory.
    in_memory: bool,
}

/// How the files and the snapshot stand to each other.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The generation in force.
    pub generation: u64,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Key policies in force.
    pub key_policies: usize,
    /// Secret policies in force.
    pub secret_policies: usize,
    /// RAM policies in force.
    pub ram_policies: usize,
    /// Callers that can prove who they are.
    pub callers: usize,
    /// Accounts in the directory.
    pub accounts: usize,
    /// What is wrong with the files at present; empty when the snapshot is what the files say.
    pub problems: Vec<Problem>,
    /// What is legal in the policies in force and most likely not meant.
    pub warnings: Vec<Finding>,
    /// How often changed files were taken.
    pub reloads_taken: u64,
    /// How often changed files could not be taken.
    pub reloads_refused: u64,
}

/// What a look at the files came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Whether a new generation is in force.
    pub changed: bool,
    /// Whether a file is still being written, so that it is worth looking again soon.
    pub unsettled: bool,
}

/// Why a policy was not stored. The old one stays in force.
#[derive(Debug)]
pub enum SetPolicyError {
    /// The document is no policy.
    Invalid(Vec<Problem>),
    /// It could not be written.
    Io(io::Error),
    /// It was written, and then could not be taken: what is on the disk by now is something else.
    NotTaken,
}

impl Store {
    /// Loads everything.
    ///
    /// # Errors
    /// Every problem of every file: at the start there is no last good version to stay with.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Self, Vec<Problem>> {
        let mut loader = Loader::new(&settings.policies, &settings.kms.account);
        let changes = loader.scan(None);
        if !changes.problems.is_empty() {
            return Err(changes.problems);
        }
        let rules = Rules {
            region: settings.kms.region.clone(),
            identity: settings.signatures.rules.clone(),
            source_vpc: settings.network.source_vpc.clone(),
            trusted_proxies: settings.network.trusted_proxies.clone(),
            account_principal: settings.authorization.account_principal,
            explain_denials: settings.authorization.explain_denials,
            no_permission_status: settings.authorization.no_permission_status,
        };
        let snapshot = Snapshot {
            generation: 1,
            directory: loader.directory(),
            sessions: None,
            policies: Arc::new(loader.table()),
            index: ResourceIndex::default(),
            rules: Arc::new(rules),
        };
        let status = Status { generation: 1, since: Some(now), warnings: warnings(&loader), ..loader.counts() };
        report_warnings(&[], &status.warnings);
        Ok(Self {
            current: ArcSwap::from_pointee(snapshot),
            status: ArcSwap::from_pointee(status),
            loader: Mutex::new(loader),
            root: settings.policies.directory.clone(),
            account: settings.kms.account.clone(),
            quiet: settings.policies.debounce,
            in_memory: false,
        })
    }

    /// The snapshot in force. Take it once per request and keep it to the end.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How files and snapshot stand to each other.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Looks at all files and takes what changed and is settled.
    pub fn reload(&self, now: Timestamp) -> Reload {
        let mut loader = self.lock();
        let changes = loader.scan(now.checked_sub(self.quiet).ok());
        let before = self.status();
        let is_new = |problem: &Problem| !before.problems.contains(problem);
        let mut status = Status {
            generation: before.generation,
            since: before.since,
            reloads_taken: before.reloads_taken,
            reloads_refused: before.reloads_refused + u64::from(changes.problems.iter().any(is_new)),
            problems: changes.problems,
            warnings: before.warnings.clone(),
            ..loader.counts()
        };
        if changes.changed {
            self.put_in_force(&loader, &mut status, now);
        }
        let status = Arc::new(status);
        self.status.store(status.clone());
        // In force before anybody is told: telling may fail.
        report(&before, &status);
        Reload { changed: changes.changed, unsettled: changes.unsettled }
    }

    fn put_in_force(&self, loader: &Loader, status: &mut Status, now: Timestamp) {
        status.generation += 1;
        status.since = Some(now);
        status.reloads_taken += 1;
        status.warnings = warnings(loader);
        self.publish(status.generation, loader.table(), loader);
    }

    fn publish(&self, generation: u64, policies: PolicyTable, loader: &Loader) {
        let (policies, directory) = (Arc::new(policies), loader.directory());
        self.current.rcu(|old| Snapshot {
            generation,
            directory: directory.clone(),
            policies: policies.clone(),
            ..(**old).clone()
        });
    }

    /// Publishes what names stand for; policies stay as they are.
    pub fn publish_index(&self, index: ResourceIndex) {
        self.current.rcu(|old| Snapshot { index: index.clone(), ..(**old).clone() });
    }

    /// Publishes what the tokens of role sessions are made with.
    pub fn publish_sessions(&self, key: Arc<SessionKey>) {
        self.current.rcu(|old| Snapshot { sessions: Some(key.clone()), ..(**old).clone() });
    }

    /// The document of the policy in force for a key (by id) or secret (by name), exactly as it was stored.
    pub fn policy_text(&self, kind: Kind, account: &str, name: &str) -> Option<Arc<str>> {
        self.current.load().policies.text_of(kind, account, name)
    }

    /// From now on, policies that are set or removed here are so in memory only: no file is written or removed.
    pub fn keep_in_memory(&mut self) {
        self.in_memory = true;
    }

    /// Stores the policy of a key or secret: on disk, durably, and then in force. Readers see the old or the new file,
    /// never a part. Blocks.
    ///
    /// # Errors
    /// The document is no policy, or cannot be written, or was replaced at once by somebody else. The old policy stays
    /// in force.
    pub fn set_policy(
        &self,
        kind: Kind,
        account: &str,
        name: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<(), SetPolicyError> {
        let key = FileKey::new(kind, account, name);
        let path = key.path(&self.root, &self.account);
        parse_policy(kind, name, text).map_err(SetPolicyError::Invalid)?;
        let mut loader = self.lock();
        if self.in_memory {
            loader.set(&key, text).map_err(SetPolicyError::Invalid)?;
        } else {
            write::replace(&path, text).map_err(SetPolicyError::Io)?;
            if !loader.take_written(&key, text) {
                return Err(SetPolicyError::NotTaken);
            }
        }
        self.written(&loader, &path, now);
        Ok(())
    }

    /// Removes the policy of a key or secret that is gone: from disk, and from force. Blocks.
    ///
    /// # Errors
    /// The file cannot be removed. The policy stays in force.
    pub fn remove_policy(&self, kind: Kind, account: &str, name: &str, now: Timestamp) -> io::Result<()> {
        let key = FileKey::new(kind, account, name);
        let path = key.path(&self.root, &self.account);
        let mut loader = self.lock();
        let was_there = if self.in_memory {
            loader.unset(&key)
        } else {
            write::remove(&path)?;
            loader.let_go(&key)
        };
        if was_there {
            self.written(&loader, &path, now);
        }
        Ok(())
    }

    /// Puts in force what was written to, or removed from, this path.
    fn written(&self, loader: &Loader, path: &Path, now: Timestamp) {
        let before = self.status();
        // What was wrong with this file is gone with what it was.
        let file = shown(path);
        let problems = before.problems.iter().filter(|problem| problem.file != file).cloned().collect();
        let mut status = Status { since: before.since, problems, ..loader.counts() };
        (status.generation, status.reloads_taken) = (before.generation, before.reloads_taken);
        status.reloads_refused = before.reloads_refused;
        self.put_in_force(loader, &mut status, now);
        let status = Arc::new(status);
        self.status.store(status.clone());
        report_warnings(&before.warnings, &status.warnings);
    }

    /// A panic while the lock was held leaves the loader usable: its entries are replaced one by one, each whole.
    fn lock(&self) -> MutexGuard<'_, Loader> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner)
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
}

/// Says what is new: a generation, mistakes, and the end of all mistakes.
fn report(before: &Status, now: &Status) {
    for problem in now.problems.iter().filter(|problem| !before.problems.contains(problem)) {
        tracing::error!(%problem, "cannot be used; the last good version stays in force");
    }
    report_warnings(&before.warnings, &now.warnings);
    if now.problems.is_empty() && !before.problems.is_empty() {
        tracing::info!("all policies and identities can be used again");
    }
    if now.generation != before.generation {
        tracing::info!(generation = now.generation, "policies and identities reloaded");
    }
}

fn warnings(loader: &Loader) -> Vec<Finding> {
    inspect::findings(loader)
}

/// Says once what is most likely not meant. It is in force all the same.
fn report_warnings(before: &[Finding], now: &[Finding]) {
    // A finding that moved with its text is not new.
    let is_new = |finding: &&Finding| {
        let same = |old: &Finding| {
            (old.code, &old.problem.file, &old.problem.message)
                == (finding.code, &finding.problem.file, &finding.problem.message)
        };
        !before.iter().any(same)
    };
    for finding in now.iter().filter(is_new) {
        tracing::warn!(code = finding.code, finding = %finding.problem, "is in force, and most likely not meant");
    }
}

#[cfg(test)]
mod tests;
