//! Files that hold a secret of ours: for their owner only.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::events::folder_of;
use crate::settings::{open_text, unreadable};

use super::write::{make_folder, sync_folder, unfinished};

/// The longest secret, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// The mode of a secret of ours.
const MODE: u32 = 0o600;

/// The bits of a mode that let others than the owner read or write.
const OTHERS: u32 = 0o077;

/// The text of a file that only its owner may read, without one newline at the end. Where it is missing, it is made with
/// the text that `make` gives.
///
/// # Errors
/// A fragment: it cannot be read or made, others may read it, or it is empty.
pub fn read_or_make(path: &Path, make: impl FnOnce() -> Result<String, String>) -> Result<Zeroizing<String>, String> {
    if !path.exists() {
        make_private(path, &make()?).map_err(|error| format!("cannot be made: {error}"))?;
    }
    read_private(path)
}

/// The text of a file that only its owner may read, without one newline at the end. Its owner is who runs this program,
/// or root.
///
/// # Errors
/// A fragment: it cannot be read, others own it or may read it, or it is empty.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    let (file, metadata) = open_text(path)?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(format!("is open to others than its owner (mode {:04o}); chmod 600 it", mode & 0o7777));
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(format!("belongs to another user (id {})", metadata.uid()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(format!("is larger than {TEXT_BYTES_MAX} bytes"));
    }
    let text = Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned());
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

/// Whether everybody on this machine may read the file.
pub fn is_readable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Writes `text` to a file that only its owner may read, in place of one that is there, whoever may read that.
///
/// # Errors
/// A fragment: it cannot be written, or something else than a file is there. What was there is unchanged.
pub fn replace_private(path: &Path, text: &str) -> Result<(), String> {
    if path.exists() && !path.is_file() {
        return Err("is no regular file".to_owned());
    }
    let written =
        unfinished(&folder_of(path), text, MODE).and_then(|file| file.persist(path).map_err(|error| error.error));
    let kept = written.and_then(|_| sync_folder(&folder_of(path)));
    kept.map_err(|error| format!("cannot be written: {error}"))
}

/// Never readable by others, not even for a moment, and whole when it is there.
fn make_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = folder_of(path);
    make_folder(&folder, 0o700)?;
    let file = unfinished(&folder, &Zeroizing::new(format!("{text}\n")), MODE)?;
    match file.persist_noclobber(path) {
        // Of two processes that make it at once, one wins, and both read the winner's.
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        _ => {}
    }
    sync_folder(&folder)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use super::*;

    /// I08: files of secrets that are open, empty, or end in a newline.
    #[test]
    fn a_secret_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/secret");
        assert_eq!(**read_or_make(&path, || Ok("made".into())).unwrap(), *"made");
        assert_eq!(**read_or_make(&path, || Err("not again".into())).unwrap(), *"made");
        for (text, mode, expected) in [
            ("s\n", 0o600, Ok("s")),
            ("s\n\n", 0o400, Ok("s\n")),
            ("s", 0o640, Err("(mode 0640)")),
            ("s", 0o604, Err("(mode 0604)")),
            ("\n", 0o600, Err("is empty")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match (read_private(&path), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(**text, *expected),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
        for (bytes, expected) in [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX + 1, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(&path, "x".repeat(usize::try_from(bytes).unwrap())).unwrap();
            assert_eq!(read_private(&path).is_ok(), expected, "{bytes}");
        }
        assert!(read_private(folder.path()).unwrap_err().contains("is no regular file"));
        assert!(read_private(&folder.path().join("none")).unwrap_err().contains("is not there"));
    }
}
