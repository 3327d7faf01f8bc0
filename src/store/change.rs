//! Changing policies from here: on the disk, durably, and then in force, before anybody is told.
//!
//! A change is made to what is in force. Where the file says something else by then, because somebody edited it or another
//! process wrote it, the change is refused and the file stays: nothing that somebody saved is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rustix::fs::{Access, access};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Store;
use super::entry::{Entry, Good, Touched};
use super::events::folder_of;
use super::layout::{FileKey, parent_of};
use super::load::Loader;
use super::read::read_policy;
use super::write::{self, NotReplaced, Step};
use crate::policy::Kind;
use crate::source::{Problem, in_one_line};

/// A change that was made to a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// The policy's file, as its name stands in audit lines.
    pub file: String,
    /// The hash of the document before; `None` if there was none.
    pub old: Option<String>,
    /// The hash of the document since; `None` if there is none.
    pub new: Option<String>,
}

/// Why a policy was not changed. The old one stays in force.
#[derive(Debug)]
pub enum SetPolicyError {
    /// The document is no policy.
    Invalid(Vec<Problem>),
    /// What is in force is not what the caller wants to replace.
    Precondition,
    /// The file is not what is in force: somebody else changed it.
    Conflict {
        /// The file.
        file: String,
    },
    /// Nothing can be written there.
    ReadOnly {
        /// The file.
        file: String,
    },
    /// It could not be written.
    Io(io::Error),
}

impl fmt::Display for SetPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => f.write_str(&in_one_line(problems)),
            Self::Precondition => f.write_str("the policy in force is not the one to be replaced"),
            Self::Conflict { file } => {
                write!(f, "{file} is not what is in force: it was changed by somebody else, or is not where it was")
            }
            Self::ReadOnly { file } => write!(f, "{file} cannot be written: it is a link, or its folder is read-only"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

/// What must be true of the document in force before it is replaced.
pub type Precondition<'a> = dyn Fn(Option<&str>) -> bool + 'a;

/// The hash of a document, in hexadecimal digits: what `sha256sum` says of its file.
pub fn hash_of(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

impl Store {
    /// Stores the policy of a key or secret: on disk, durably, and then in force. Readers see the old or the new file,
    /// never a part. Blocks.
    ///
    /// # Errors
    /// See [`SetPolicyError`]. The old policy stays in force, and its file is as it was.
    pub fn set_policy(
        &self,
        kind: Kind,
        account: &str,
        name: &str,
        text: &str,
        precondition: &Precondition<'_>,
        now: Timestamp,
    ) -> Result<PolicyChange, SetPolicyError> {
        self.change(&FileKey::new(kind, account, name), Some(text), precondition, now, &|_| Ok(()))
    }

    /// Removes the policy of a key or secret that is gone: from disk, and from force. Blocks.
    ///
    /// # Errors
    /// See [`SetPolicyError`]. The policy stays in force.
    pub fn remove_policy(
        &self,
        kind: Kind,
        account: &str,
        name: &str,
        now: Timestamp,
    ) -> Result<PolicyChange, SetPolicyError> {
        self.change(&FileKey::new(kind, account, name), None, &|_| true, now, &|_| Ok(()))
    }

    /// Whether a policy could be set now, as far as that can be told without doing it.
    ///
    /// # Errors
    /// See [`SetPolicyError`].
    pub fn check_settable(&self, kind: Kind, account: &str, name: &str) -> Result<(), SetPolicyError> {
        if self.in_memory {
            return Ok(());
        }
        let loader = self.lock();
        let path: Arc<str> = loader.files().layout().path(&FileKey::new(kind, account, name)).into();
        let place = place_of(&loader, &path)?;
        let file = || loader.files().shown(&path);
        let in_force = loader.files().entry(&path).and_then(|entry| entry.good.as_ref());
        let is_as_in_force = match in_force {
            Some(good) => write::says(&place, &good.policy.text),
            None => !place.exists(),
        };
        if !is_as_in_force {
            return Err(SetPolicyError::Conflict { file: file() });
        }
        let mut folders = place.ancestors().skip(1);
        let folder = folders.find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        access(folder, Access::WRITE_OK).map_err(|_| SetPolicyError::ReadOnly { file: file() })
    }

    pub(super) fn change(
        &self,
        key: &FileKey,
        text: Option<&str>,
        precondition: &Precondition<'_>,
        now: Timestamp,
        step: &dyn Fn(Step) -> io::Result<()>,
    ) -> Result<PolicyChange, SetPolicyError> {
        let mut loader = self.lock();
        let path: Arc<str> = loader.files().layout().path(key).into();
        let new = text.map(|text| read_policy(key, &path, text)).transpose().map_err(SetPolicyError::Invalid)?;
        let before = loader.files().entry(&path).and_then(|entry| entry.good.as_ref());
        let before = before.map(|good| good.policy.text.clone());
        if !precondition(before.as_deref()) {
            return Err(SetPolicyError::Precondition);
        }
        let change =
            PolicyChange { file: path.to_string(), old: before.as_deref().map(hash_of), new: text.map(hash_of) };
        if !self.in_memory {
            save(&loader, &path, before.as_deref(), text, step)?;
        }
        // In memory, what was looked at last is what is replaced. On the disk, whatever is there by now is looked at next:
        // it may be more than what was written.
        let seen = loader.files().entry(&path).and_then(|entry| entry.stamp).filter(|_| self.in_memory);
        let mut files = loader.files().clone();
        let mut touched = Touched::default();
        let good = new.map(Good::new);
        if good.is_none() && !self.in_memory {
            files.remove(&path, &mut touched);
        } else if good.is_some() || before.is_some() {
            let entry = Entry { key: key.clone(), stamp: seen, good, only_here: self.in_memory };
            files.put(&path, entry, Vec::new(), &mut touched);
        }
        files.finish(&touched);
        loader.take(files);
        self.changed_here(&loader, &touched, now);
        Ok(change)
    }
}

/// Makes the change on the disk, if the file is what is in force.
fn save(
    loader: &Loader,
    path: &Arc<str>,
    before: Option<&str>,
    text: Option<&str>,
    step: &dyn Fn(Step) -> io::Result<()>,
) -> Result<(), SetPolicyError> {
    let place = place_of(loader, path)?;
    let file = || loader.files().shown(path);
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            SetPolicyError::ReadOnly { file: file() }
        }
        _ => SetPolicyError::Io(error),
    };
    match text {
        Some(text) => write::replace(&place, text, before, step).map_err(|error| match error {
            NotReplaced::Conflict => SetPolicyError::Conflict { file: file() },
            NotReplaced::Io(error) => told(error),
        }),
        // What is gone takes its policy along, also one that somebody is editing: it must not fall to the next of its name.
        None => write::remove(&place).map_err(told),
    }
}

/// Where the file of a policy is, or is to be, if it may be written at all.
fn place_of(loader: &Loader, path: &Arc<str>) -> Result<PathBuf, SetPolicyError> {
    let place = loader.files().on_disk(path);
    let file = || loader.files().shown(path);
    // A link, also one that a folder is, is somebody's way to deploy: what it leads to is changed there.
    let mut below_root = Path::new(&**path).ancestors().filter(|it| !it.as_os_str().is_empty());
    if below_root.any(|it| loader.files().on_disk(&it.to_string_lossy()).is_symlink()) {
        return Err(SetPolicyError::ReadOnly { file: file() });
    }
    // A folder that vanished keeps what was in it in force. Made anew, it would say that all of that was removed.
    let folder = folder_of(&place);
    let was_there = loader.files().knows_files_in(parent_of(path));
    if !loader.is_there() || (was_there && !folder.is_dir()) {
        return Err(SetPolicyError::Conflict { file: file() });
    }
    Ok(place)
}
