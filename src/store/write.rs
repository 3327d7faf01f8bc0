//! Replacing a file so that every reader sees the old or the new one, and a crash loses neither.

#![expect(clippy::disallowed_methods, reason = "the store writes policies to disk")]

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

use super::events::folder_of;

/// Writes `text` to `path`: to a hidden file beside it, to disk, into its place, and the folder to disk.
///
/// # Errors
/// The file that was there is unchanged.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = &folder_of(path);
    make_folder(folder, 0o777)?;
    let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
    let file = unfinished(folder, text, mode)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// A hidden file in the folder, with this text on the disk. It has this mode from when it is whole; before, it is its
/// owner's only.
///
/// # Errors
/// It cannot be written.
pub fn unfinished(folder: &Path, text: &str, mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".keyward-").suffix(".tmp").tempfile_in(folder)?;
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

/// Removes a file, if it is there; when this returns, it does not come back.
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
