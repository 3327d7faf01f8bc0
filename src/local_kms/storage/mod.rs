//! The durable storage: one redb file in the data folder, its rows sealed under the root key beside it.
//!
//! A commit is on the disk when it returns. What cannot be read is never repaired or skipped: the embedded KMS does not
//! start with it. Two processes cannot have the same storage. In memory, there is no file, and nothing is kept.
#![expect(clippy::disallowed_methods, reason = "the embedded KMS keeps its data in files")]

mod file;
mod problem;
mod records;
mod root_key;

use std::path::{Path, PathBuf};

use redb::Database;

pub use problem::{CommitError, OpenError};
pub use records::Contents;

use super::ids::Ids;
use super::key::KeyVersion;
use super::moment::Moment;
use super::state::{Change, State};
use crate::store::make_folder;
use file::{FILE, FolderLock, Opened, UNFINISHED, unusable};
use root_key::RowKey;

/// The open storage.
pub enum Storage {
    /// In a folder.
    Disk(Disk),
    /// Nowhere: what it is given ends with the process.
    Memory,
}

/// A storage in a folder.
pub struct Disk {
    path: PathBuf,
    /// Device and inode of the file that was opened.
    identity: (u64, u64),
    /// `None` after a failure: redb gives up on a file that failed it once, and has to open it again.
    database: Option<Database>,
    key: RowKey,
    /// Let go after the database.
    _lock: FolderLock,
}

impl Storage {
    /// Opens the storage in `folder`, or creates it, and reads everything in it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(folder: &Path, now: Moment) -> Result<(Self, Contents), OpenError> {
        Disk::open(folder, now).map(|(disk, contents)| (Self::Disk(disk), contents))
    }

    /// Whether the storage in `folder` could be opened, as far as can be told while another process has it: then its root key
    /// is looked at, and nothing else.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn check(folder: &Path, now: Moment) -> Result<(), OpenError> {
        match Disk::open(folder, now) {
            Err(OpenError::InUse(path)) => RowKey::of_existing(folder, &path).map(drop),
            other => other.map(drop),
        }
    }

    /// Whether there is a storage in `folder`.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Keeps changes, all or none of them. When this returns they are on the disk.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        self.commit_with(None, changes)
    }

    /// The same for changes that come with a default key of their own, if any.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit_with(&mut self, default_key: Option<&KeyVersion>, changes: &[Change]) -> Result<(), CommitError> {
        match self {
            Self::Disk(disk) => disk.commit(default_key, changes),
            Self::Memory => Ok(()),
        }
    }

    /// Makes the storage usable again after a failure, for example of a full disk. If there was one, returns what is
    /// in the storage: only now it is known whether the commit that failed reached the disk.
    ///
    /// # Errors
    /// It is not usable yet.
    pub fn recover(&mut self) -> Result<Option<State>, CommitError> {
        match self {
            Self::Disk(disk) => disk.recover(),
            Self::Memory => Ok(None),
        }
    }

    /// What is to be said when the first records cannot be kept.
    pub fn unwritable(&self, why: CommitError) -> OpenError {
        let path = match self {
            Self::Disk(disk) => disk.path.clone(),
            Self::Memory => PathBuf::new(),
        };
        OpenError::Unwritable { path, why }
    }
}

impl Disk {
    fn open(folder: &Path, now: Moment) -> Result<(Self, Contents), OpenError> {
        make_folder(folder, 0o700).map_err(unusable(folder))?;
        let lock = FolderLock::take(folder)?;
        let path = folder.join(FILE);
        file::discard(&folder.join(UNFINISHED))?;
        let (opened, key, contents) = match file::length(&path)? {
            None => {
                if root_key::path_in(folder).exists() {
                    tracing::warn!(file = %path.display(), "is not there beside its root key, and is made anew, empty");
                }
                create(folder, &path, Contents::new(&Ids::Random, now)?)?
            }
            // An earlier version that died at its very first start left an empty file. With a root key beside it, there
            // was data in it.
            Some(0) if !root_key::path_in(folder).exists() => create(folder, &path, Contents::new(&Ids::Random, now)?)?,
            Some(0) => return Err(OpenError::damaged(&path, "it is empty")),
            Some(_) => open_existing(folder, &path, now)?,
        };
        let disk = Self { path, identity: opened.identity, database: Some(opened.database), key, _lock: lock };
        Ok((disk, contents))
    }

    fn commit(&mut self, default_key: Option<&KeyVersion>, changes: &[Change]) -> Result<(), CommitError> {
        self.check_identity()?;
        let mut rows = records::rows(changes)?;
        rows.extend(default_key.map(records::default_key_row).transpose()?);
        let database = self.database.as_ref().ok_or(CommitError::Closed)?;
        records::write(database, &self.key, &rows).inspect_err(|error| {
            if matches!(error, CommitError::Database(_)) {
                self.database = None;
            }
        })
    }

    fn recover(&mut self) -> Result<Option<State>, CommitError> {
        if self.database.is_some() {
            return Ok(None);
        }
        // Only the file that failed may be opened: an empty one in its place would silently lose all keys.
        self.check_identity()?;
        let database = file::open(&self.path)?.database;
        let contents = records::read(&database, &self.path, Some(&self.key))?;
        self.database = Some(database);
        Ok(Some(contents.into_state()))
    }

    /// Whether the file is still the one at its path. An open file outlives its name: writing to it would succeed, and
    /// what was written would be gone with the process.
    fn check_identity(&self) -> Result<(), CommitError> {
        match file::identity_at(&self.path) {
            Some(identity) if identity == self.identity => Ok(()),
            _ => Err(CommitError::Vanished(self.path.clone())),
        }
    }
}

/// Makes a file with these contents, in place of what is there.
fn create(folder: &Path, path: &Path, contents: Contents) -> Result<(Opened, RowKey, Contents), OpenError> {
    let unwritable = |why| OpenError::Unwritable { path: path.to_owned(), why };
    let key = RowKey::of_new(folder)?;
    let rows = records::all_rows(&contents).map_err(unwritable)?;
    let opened = file::replace(folder, path, &key, &rows)?;
    Ok((opened, key, contents))
}

/// Opens the file that is there. One of an earlier format is read, and a new one takes its place; the old one is open to
/// the end of that, so that an earlier version of this program cannot write to it meanwhile.
fn open_existing(folder: &Path, path: &Path, now: Moment) -> Result<(Opened, RowKey, Contents), OpenError> {
    let opened = file::open(path)?;
    let contents = match records::format(&opened.database, path)? {
        records::FORMAT => {
            let key = RowKey::of_existing(folder, path)?;
            let contents = records::read(&opened.database, path, Some(&key))?;
            return Ok((opened, key, contents));
        }
        0 => Contents::new(&Ids::Random, now)?,
        _ => records::read(&opened.database, path, None)?,
    };
    let made = create(folder, path, contents)?;
    let format = records::FORMAT;
    tracing::info!(file = %path.display(), format, "the data was written anew in this version's format: encrypted");
    Ok(made)
}

#[cfg(test)]
mod tests;
