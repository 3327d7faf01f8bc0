//! How the files and the set in force stand to each other: what metrics, readiness and `keyward status` tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;

use crate::policy::Finding;
use crate::source::Problem;

/// How the files and the snapshot stand to each other.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The generation in force.
    pub generation: u64,
    /// The hash of what is in force.
    pub hash: Arc<str>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When a whole look found last that the files say what is in force.
    pub confirmed: Option<Timestamp>,
    /// When files were looked at last.
    pub looked: Option<Timestamp>,
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
    /// The mistake that was found last, and when.
    pub last_problem: Option<(Timestamp, Problem)>,
    /// What is legal in the policies in force and most likely not meant.
    pub warnings: Vec<Finding>,
    /// A changed set that waits for approval.
    pub waiting: Option<Arc<Waiting>>,
    /// How often changed files were taken.
    pub reloads_taken: u64,
    /// How often changed files could not be taken.
    pub reloads_refused: u64,
}

/// A changed set that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its hash, by which it is approved.
    pub hash: String,
    /// What is another one in it, sorted by file.
    pub changes: Vec<Change>,
}

/// One file that is another one than what is in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The file as people know it.
    pub file: String,
    /// Lines that go and come, as `diff -u` shows them. Of the identities, nothing: they hold secrets.
    pub diff: String,
}

/// How watching goes.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether events come.
    watching: AtomicBool,
    /// Changes that were told.
    pub events: AtomicU64,
    /// Failures to watch.
    pub errors: AtomicU64,
    /// How often watching began anew.
    pub rearmed: AtomicU64,
}

impl Health {
    /// Notes whether events come.
    pub fn set_watching(&self, watching: bool) {
        self.watching.store(watching, Ordering::Relaxed);
    }

    /// Whether events come. Where they do not, changes are found by looking from time to time.
    pub fn is_watching(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }
}
