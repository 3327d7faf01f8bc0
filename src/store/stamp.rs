//! What is known of a file without reading it: whether it may have changed, and whether what it says counts.

use std::io;
use std::path::Path;

use cap_std::fs::{Metadata, MetadataExt};

/// What everybody on the machine may write.
const WORLD_WRITABLE: u32 = 0o002;

/// Seconds since 1970, and nanoseconds.
pub type Time = (i64, i64);

/// Device and inode: what a name leads to.
pub type Inode = (u64, u64);

/// What tells that a file may have changed. The change time cannot be set back by a program, so a file that was edited
/// and then given its old date is noticed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: Time,
    changed: Time,
}

impl Stamp {
    /// The stamp of the file at `path`, which a link may lead to.
    ///
    /// # Errors
    /// The file is not there or may not be looked at.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&Metadata::from_just_metadata(std::fs::metadata(path)?)))
    }

    /// The stamp of a file that was looked at.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// What its name leads to.
    pub fn leads_to(&self) -> Inode {
        (self.device, self.inode)
    }

    /// When it changed last, in content, name or permissions.
    pub fn latest(&self) -> Time {
        self.modified.max(self.changed)
    }
}

/// Whether what everybody may write is nothing that decides.
///
/// # Errors
/// It may be written by everybody. Says what would be right.
pub fn trusted(mode: u32, others_may_write: bool) -> Result<(), String> {
    if others_may_write || mode & WORLD_WRITABLE == 0 {
        return Ok(());
    }
    Err(format!(
        "may be written by everybody on this machine (mode {:04o}); chmod o-w it, or set \
         policies.others_may_write = true",
        mode & 0o7777
    ))
}
