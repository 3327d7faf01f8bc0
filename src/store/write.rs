//! Replacing a file so that every reader sees the old or the new one, and a crash loses neither.

#![expect(clippy::disallowed_methods, reason = "the store writes policies to disk")]

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes `text` to `path`: to a hidden file beside it, to disk, into its place, and the folder to disk.
///
/// # Errors
/// The file that was there is unchanged.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".keyward-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
