//! The durable storage: one redb file in the data folder.
//!
//! A commit is on the disk when it returns. What cannot be read is never repaired or skipped: the embedded KMS does not
//! start with it. Two processes cannot have the same storage.
#![expect(clippy::disallowed_methods, reason = "the embedded KMS keeps its data in files")]

mod problem;
mod records;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

pub use problem::{CommitError, OpenError};

use super::moment::Moment;
use super::state::{Record, State};
use crate::store::make_folder;

/// The name of the file in the data folder.
const FILE: &str = "kms.redb";

/// All records are in memory anyway, so the database needs no large cache of its own.
const CACHE_BYTES: usize = 16 << 20;

/// The open storage.
pub struct Storage {
    path: PathBuf,
    /// Device and inode of the file that was opened.
    identity: (u64, u64),
    /// `None` after a failure: redb gives up on a file that failed it once, and has to open it again.
    database: Option<Database>,
}

impl Storage {
    /// Opens the storage in `folder`, or creates it, and reads everything in it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(folder: &Path, now: Moment) -> Result<(Self, State), OpenError> {
        let path = folder.join(FILE);
        let file = create(folder, &path)?;
        let identity = file.metadata().map(|metadata| identity_of(&metadata)).map_err(unusable(&path))?;
        let database = open_database(&path, file)?;
        records::prepare(&database, &path, now)?;
        let state = records::load(&database, &path)?;
        Ok((Self { path, identity, database: Some(database) }, state))
    }

    /// Where the records are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps records, all or none of them. When this returns they are on the disk.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(&mut self, records: &[Record]) -> Result<(), CommitError> {
        self.check_identity()?;
        let rows = records::rows(records)?;
        let database = self.database.as_ref().ok_or(CommitError::Closed)?;
        records::write(database, &rows).map_err(|error| {
            self.database = None;
            CommitError::Database(Box::new(error))
        })
    }

    /// Makes the storage usable again after a failure, for example of a full disk. If there was one, returns what is
    /// in the storage: only now it is known whether the commit that failed reached the disk.
    ///
    /// # Errors
    /// It is not usable yet.
    pub fn recover(&mut self) -> Result<Option<State>, CommitError> {
        if self.database.is_some() {
            return Ok(None);
        }
        // Only the file that failed may be opened: an empty one in its place would silently lose all keys.
        self.check_identity()?;
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(unusable(&self.path))?;
        let database = open_database(&self.path, file)?;
        let state = records::load(&database, &self.path)?;
        self.database = Some(database);
        Ok(Some(state))
    }

    /// Whether the file is still the one at its path. An open file outlives its name: writing to it would succeed, and
    /// what was written would be gone with the process.
    fn check_identity(&self) -> Result<(), CommitError> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if identity_of(&metadata) == self.identity => Ok(()),
            _ => Err(CommitError::Vanished(self.path.clone())),
        }
    }
}

/// Opens the file for its owner only, and makes it and its folder where they are missing.
fn create(folder: &Path, path: &Path) -> Result<File, OpenError> {
    make_folder(folder, 0o700).map_err(unusable(folder))?;
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
    let file = options.open(path).map_err(unusable(path))?;
    // Without this, the name of a new file may be lost with the power, and its contents with it.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable(folder))?;
    Ok(file)
}

fn open_database(path: &Path, file: File) -> Result<Database, OpenError> {
    let mut builder = Builder::new();
    // Without the check, redb trusts the file and may panic on a damaged one.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = FileBackend::new(file).and_then(|backend| builder.create_with_backend(backend));
    database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(redb::StorageError::Io(why)) if why.kind() != io::ErrorKind::InvalidData => {
            unusable(path)(why)
        }
        other => OpenError::damaged(path, other.to_string()),
    })
}

fn identity_of(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |why| OpenError::Unusable { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests;
