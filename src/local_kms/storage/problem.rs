//! Why the storage cannot be opened or written, in words for the operator.
//!
//! Every message holds its causes. It names files and records, and never holds a part of a record, which may be key
//! material.

use std::io;
use std::path::{Path, PathBuf};

use crate::served::SessionKeyError;
use crate::source::Problem;

use super::super::cipher::CipherError;
use super::records::FORMAT;

/// Why the embedded KMS cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder or the file in it cannot be made or opened.
    #[error("the data of the embedded KMS cannot be opened at `{}`: {why}", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Another process has it.
    #[error("the data of the embedded KMS at `{}` is in use by another process; stop that one, or choose another data folder", .0.display())]
    InUse(PathBuf),
    /// It is not what was written.
    #[error("the data of the embedded KMS at `{}` is damaged: {what}; restore a backup, or move the file away to start empty", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A later version of this program wrote it.
    #[error("the data of the embedded KMS at `{}` has format {found}, and this version knows formats up to {FORMAT}; use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The key that everything is sealed under cannot be used.
    #[error("the root key `{}` {what}", path.display())]
    RootKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The seed has mistakes.
    #[error("the seed of the embedded KMS cannot be used:{}", listed(.0))]
    Seed(Vec<Problem>),
    /// A policy of the seed cannot be put in force.
    #[error("the policy that the seed has for `{name}` cannot be written: {why}")]
    Policy {
        /// Of which key or secret.
        name: String,
        /// Why.
        why: String,
    },
    /// The key of role sessions cannot be used.
    #[error(transparent)]
    SessionKey(#[from] SessionKeyError),
    /// There is no randomness for keys.
    #[error("the embedded KMS cannot make keys: {0}")]
    Cipher(CipherError),
    /// The first records could not be kept.
    #[error("the data of the embedded KMS at `{}` cannot be written: {why}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: CommitError,
    },
}

impl OpenError {
    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Why records could not be kept. None of them came into force.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The file is not where it was: what is written now would be gone with the process.
    #[error("the file `{}` was moved or removed while it was in use", .0.display())]
    Vanished(PathBuf),
    /// A record cannot be written as JSON.
    #[error("a record cannot be encoded")]
    Encoding,
    /// There is no randomness to seal it with.
    #[error("a record cannot be sealed: {0}")]
    Cipher(CipherError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(Box<redb::Error>),
    /// It failed before, and was not opened again.
    #[error("the database is closed after a failure")]
    Closed,
    /// It failed before, and cannot be opened again.
    #[error("the database cannot be opened again after a failure: {0}")]
    Reopening(Box<OpenError>),
}

impl From<CipherError> for OpenError {
    fn from(error: CipherError) -> Self {
        Self::Cipher(error)
    }
}

impl From<OpenError> for CommitError {
    fn from(error: OpenError) -> Self {
        Self::Reopening(Box::new(error))
    }
}
