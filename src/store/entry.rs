//! One policy file in a set, and what became another one.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::layout::FileKey;
use super::stamp::Stamp;
use crate::policy::Policy;

/// SHA-256 of a text.
pub type Hash = [u8; 32];

/// A policy file: its last good version.
#[derive(Clone)]
pub struct Entry {
    /// What it is for.
    pub key: FileKey,
    /// The stamp of the version that was looked at last; `None` if it was never looked at, or is gone.
    pub stamp: Option<Stamp>,
    /// The last good version, if there ever was one.
    pub good: Option<Good>,
    /// Whether it was set here, and no file says so: it lasts until the file at its path is another one.
    pub only_here: bool,
}

/// A policy that can be used.
#[derive(Clone)]
pub struct Good {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Of its text.
    pub hash: Hash,
}

impl Good {
    /// A policy, with the hash of its text.
    pub fn new(policy: Policy) -> Self {
        let hash = Sha256::digest(policy.text.as_bytes()).into();
        Self { policy: Arc::new(policy), hash }
    }
}

/// What became another one while a set was drafted.
#[derive(Default)]
pub struct Touched {
    /// Policies that are in force now, were, or say something else.
    pub paths: HashSet<Arc<str>>,
    /// Whether RAM policies are among them.
    pub ram: bool,
    /// Whether another directory is in force.
    pub identities: bool,
    /// Whether the operator says something else of names.
    pub resources: bool,
}

impl Touched {
    /// Whether another set is in force than before.
    pub fn is_something(&self) -> bool {
        self.identities || self.resources || !self.paths.is_empty()
    }
}
