//! The database file: how it is opened, and how a whole one takes its place.
//!
//! A file at its place is always complete: a new one is made beside it, with everything that belongs into it, and renamed.
//! So a process that dies while it makes one leaves nothing half made, and a change of the format leaves no byte of the
//! old file in the new one. Whoever has the folder's lock is the only one who opens, makes or replaces files in it.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

use super::problem::{CommitError, OpenError};
use super::records;
use super::root_key::RowKey;
use crate::store::{remove, sync_folder};

/// The name of the file in the data folder.
pub const FILE: &str = "kms.redb";

/// The name of a file that is not finished. One that is left over is of no use.
pub const UNFINISHED: &str = "kms.redb.new";

/// All records are in memory anyway, so the database needs no large cache of its own.
const CACHE_BYTES: usize = 16 << 20;

/// The lock on a data folder.
pub struct FolderLock(File);

impl FolderLock {
    /// Locks a folder.
    ///
    /// # Errors
    /// Another process has it, or it cannot be opened.
    pub fn take(folder: &Path) -> Result<Self, OpenError> {
        let file = File::open(folder).map_err(unusable(folder))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.join(FILE))),
            Err(TryLockError::Error(why)) => Err(unusable(folder)(why)),
        }
    }
}

impl Drop for FolderLock {
    /// At once, even if a process that is being started still has a copy of the open folder.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// A file that is open, and which one it is.
pub struct Opened {
    /// The database in it.
    pub database: Database,
    /// Its device and inode.
    pub identity: (u64, u64),
}

/// Opens the file at `path`, which is there.
///
/// # Errors
/// It cannot be opened, is damaged, or another process has it.
pub fn open(path: &Path) -> Result<Opened, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(unusable(path))?;
    of_file(path, file)
}

/// Makes a file with these rows and puts it at `path`, in place of the one that is there.
///
/// # Errors
/// It cannot be made; what was at its place is unchanged.
pub fn replace(folder: &Path, path: &Path, key: &RowKey, rows: &[records::Row]) -> Result<Opened, OpenError> {
    let unfinished = folder.join(UNFINISHED);
    discard(&unfinished)?;
    let made = make(&unfinished, key, rows).and_then(|opened| {
        std::fs::rename(&unfinished, path).map_err(unusable(path))?;
        sync_folder(folder).map_err(unusable(folder))?;
        Ok(opened)
    });
    made.inspect_err(|_| drop(discard(&unfinished)))
}

/// Removes a file that somebody who died did not finish.
///
/// # Errors
/// It cannot be removed.
pub fn discard(unfinished: &Path) -> Result<(), OpenError> {
    remove(unfinished).map_err(unusable(unfinished))
}

fn make(path: &Path, key: &RowKey, rows: &[records::Row]) -> Result<Opened, OpenError> {
    let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).clone();
    let opened = of_file(path, options.open(path).map_err(unusable(path))?)?;
    let unwritable = |why: CommitError| OpenError::Unwritable { path: path.to_owned(), why };
    records::write(&opened.database, key, rows).map_err(unwritable)?;
    Ok(opened)
}

fn of_file(path: &Path, file: File) -> Result<Opened, OpenError> {
    let identity = file.metadata().map(|metadata| identity_of(&metadata)).map_err(unusable(path))?;
    let mut builder = Builder::new();
    // Without the check, redb trusts the file and may panic on a damaged one.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = FileBackend::new(file).and_then(|backend| builder.create_with_backend(backend));
    let database = database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(redb::StorageError::Io(why)) if why.kind() != io::ErrorKind::InvalidData => {
            unusable(path)(why)
        }
        other => OpenError::damaged(path, other.to_string()),
    })?;
    Ok(Opened { database, identity })
}

/// Device and inode of the file at `path`; `None` if there is none.
pub fn identity_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| identity_of(&metadata))
}

fn identity_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// How many bytes the file at `path` has; `None` if there is none.
///
/// # Errors
/// Nobody can say.
pub fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(unusable(path)(why)),
    }
}

/// What is to be said about a folder or file that cannot be used.
pub fn unusable(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    move |why| OpenError::Unusable { path: path.clone(), why }
}
