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
    /// When a whole look found last that the files say what is in force, or wait for approval to.
    pub confirmed: Option<Timestamp>,
    /// When files were looked at last.
    pub looked: Option<Timestamp>,
    /// How much is in force.
    pub counts: Counts,
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

/// How much is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Key policies.
    pub key_policies: usize,
    /// Secret policies.
    pub secret_policies: usize,
    /// RAM policies.
    pub ram_policies: usize,
    /// Callers that can prove who they are.
    pub callers: usize,
    /// Accounts in the directory.
    pub accounts: usize,
}

/// A changed set that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// By what it is approved: its hash; and where secrets changed, which are not in the hash, something that is good for
    /// this set in this process only.
    pub approval: String,
    /// What is another one in it, sorted by file.
    pub differences: Vec<Difference>,
}

/// One file that is another one than what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The file as people know it.
    pub file: String,
    /// What is another one in it.
    pub shown: Shown,
}

/// How much of a difference is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Lines that go and come, as `diff -u` shows them.
    Lines(String),
    /// Nothing: it is too long.
    TooLong,
    /// Nothing: it may be a secret.
    Secret,
}

/// How watching goes.
#[derive(Debug, Default)]
pub struct Watching {
    /// Whether the system tells changes.
    is_told: AtomicBool,
    /// Whether what is watched is not what is there any more.
    is_outdated: AtomicBool,
    /// Changes that it told.
    pub changes: AtomicU64,
    /// Failures to watch.
    pub errors: AtomicU64,
    /// How often watching began anew.
    pub rearmed: AtomicU64,
}

impl Watching {
    /// Has watching begin anew: folders are others than those that are watched.
    pub fn begin_anew(&self) {
        self.is_outdated.store(true, Ordering::Relaxed);
    }

    /// Whether it shall begin anew.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Notes that watching begins, and whether the system tells changes.
    pub fn set_told(&self, is_told: bool) {
        self.is_told.store(is_told, Ordering::Relaxed);
        self.is_outdated.store(false, Ordering::Relaxed);
    }

    /// Whether the system tells changes. Where it does not, they are found by looking from time to time.
    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }
}
