//! Replacing a file so that every reader sees the old or the new one, and a crash loses neither.

#![expect(clippy::disallowed_methods, reason = "the store writes policies to disk")]

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::events::folder_of;

/// How the names of hidden files begin and end.
const PREFIX: &str = ".keyward-";
const SUFFIX: &str = ".tmp";

/// A step of replacing a file, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A hidden file beside it is made, and on the disk as a whole.
    Write,
    /// It takes its place.
    Install,
    /// The folder is on the disk.
    SyncFolder,
    /// What it replaced is removed.
    Remove,
}

/// Why a file was not replaced. What was there is there as it was.
#[derive(Debug)]
pub enum NotReplaced {
    /// Somebody else changed it meanwhile.
    Conflict,
    /// It could not be written.
    Io(io::Error),
}

impl From<io::Error> for NotReplaced {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes `text` to `path` if the file there says `expected` (with `None`: if none is there): to a hidden file beside it,
/// to the disk, into its place, and the folder to the disk. The two files change places in one step and what came out is
/// looked at, so nothing that somebody saved meanwhile is lost. `step` is told each step before it is done, and may fail it.
///
/// # Errors
/// The file that was there is there, or nothing if none was.
pub fn replace(
    path: &Path,
    text: &str,
    expected: Option<&str>,
    step: &dyn Fn(Step) -> io::Result<()>,
) -> Result<(), NotReplaced> {
    let folder = folder_of(path);
    make_folder(&folder, 0o777)?;
    let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
    step(Step::Write)?;
    let file = unfinished(&folder, text, mode)?;
    step(Step::Install)?;
    match expected {
        None => install_new(path, file, step),
        Some(expected) => install_over(path, file, (expected, text), step),
    }
}

fn install_new(path: &Path, file: NamedTempFile, step: &dyn Fn(Step) -> io::Result<()>) -> Result<(), NotReplaced> {
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => NotReplaced::Conflict,
        _ => NotReplaced::Io(error.error),
    })?;
    if let Err(error) = step(Step::SyncFolder).and_then(|()| sync_folder(&folder_of(path))) {
        fs::remove_file(path)?;
        return Err(error.into());
    }
    Ok(())
}

fn install_over(
    path: &Path,
    file: NamedTempFile,
    (expected, text): (&str, &str),
    step: &dyn Fn(Step) -> io::Result<()>,
) -> Result<(), NotReplaced> {
    // Known beforehand, it is not even tried: nobody shall read in between what is refused.
    if !says(path, expected) {
        return Err(NotReplaced::Conflict);
    }
    match exchange(file.path(), path) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(NotReplaced::Conflict),
        Err(Errno::INVAL | Errno::NOSYS) => return install_blindly(path, file, expected, step),
        Err(error) => return Err(NotReplaced::Io(error.into())),
    }
    // What came out is now at the hidden file's place.
    let kept = match says(file.path(), expected) {
        true => step(Step::SyncFolder).and_then(|()| sync_folder(&folder_of(path))).map_err(NotReplaced::Io),
        false => Err(NotReplaced::Conflict),
    };
    if let Err(why) = kept {
        undo(path, file, text)?;
        return Err(why);
    }
    // Whatever becomes of what came out: the new file is in its place.
    let _ = step(Step::Remove).and_then(|()| file.close());
    Ok(())
}

/// Takes the new file out of its place again. Where somebody saved there since, what comes out is not ours: it is the newer
/// one and goes back, and what it replaced goes.
fn undo(path: &Path, file: NamedTempFile, ours: &str) -> io::Result<()> {
    let undone = exchange(file.path(), path).and_then(|()| match says(file.path(), ours) {
        true => Ok(()),
        false => exchange(file.path(), path),
    });
    undone.map_err(|error| {
        // It may be somebody's work: it stays, under its hidden name.
        let _ = file.keep();
        error.into()
    })
}

/// On a file system that cannot exchange two files. What somebody saves since the file was looked at is lost.
fn install_blindly(
    path: &Path,
    file: NamedTempFile,
    expected: &str,
    step: &dyn Fn(Step) -> io::Result<()>,
) -> Result<(), NotReplaced> {
    let folder = folder_of(path);
    let mode = fs::metadata(path)?.permissions().mode();
    file.persist(path).map_err(|error| error.error)?;
    if let Err(error) = step(Step::SyncFolder).and_then(|()| sync_folder(&folder)) {
        unfinished(&folder, expected, mode)?.persist(path).map_err(|error| error.error)?;
        return Err(error.into());
    }
    Ok(())
}

fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

/// Whether a regular file says this. Whatever else is there is not waited for, and not read.
pub fn says(path: &Path, expected: &str) -> bool {
    let Ok(file) = open_at_once(path) else { return false };
    let is_as_long = file.metadata().is_ok_and(|it| it.is_file() && it.len() == expected.len() as u64);
    let mut text = Vec::with_capacity(expected.len());
    let read = || file.take(expected.len() as u64 + 1).read_to_end(&mut text);
    is_as_long && read().is_ok() && text == expected.as_bytes()
}

/// Opens a file, without waiting for the other end of a pipe.
fn open_at_once(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Removes hidden files that a process left in a folder when it died. One that is still being written is locked.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        let is_dead = || open_at_once(&entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_ours && is_dead() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A hidden file in the folder, with this text on the disk. It has this mode from when it is whole; before, it is its
/// owner's only.
///
/// # Errors
/// It cannot be written.
pub fn unfinished(folder: &Path, text: &str, mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder)?;
    file.as_file().lock()?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts the names in a folder on the disk: without that, a new name may be lost with the power, and what it names with it.
///
/// # Errors
/// The folder cannot be opened, or not be written.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file, if it is there, whatever it says; when this returns, it does not come back.
///
/// # Errors
/// It stays.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(&folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a folder, with those that it lies in, where they are missing, each with `mode` and its name on the disk.
///
/// # Errors
/// A folder cannot be made, or its parent cannot be written to the disk.
pub fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    if !parent.exists() {
        make_folder(&parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(folder) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync_folder(&parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_cannot_be_exchanged_a_failure_restores_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "old").unwrap();
        for fails in [true, false] {
            let file = unfinished(folder.path(), "new", 0o644).unwrap();
            let step = |_| if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
            assert_eq!(install_blindly(&path, file, "old", &step).is_err(), fails);
            assert_eq!(fs::read_to_string(&path).unwrap(), if fails { "old" } else { "new" });
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
