//! Reading what people wrote: bounded, regular files only, and with errors that name what is wrong.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// The largest text that is read, in bytes. Every kind of policy is far smaller.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The text of a file.
///
/// # Errors
/// A message for people: it is no regular file, too large, not UTF-8, or cannot be read.
pub fn read_text(path: &Path) -> Result<String, String> {
    let (file, _) = open_text(path)?;
    read_bounded(file, TEXT_BYTES_MAX)
}

/// The text in an open file of at most `most` bytes.
///
/// # Errors
/// A message for people: it is too large, not UTF-8, or cannot be read.
pub fn read_bounded(file: impl Read, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {most} bytes"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err("begins with a byte order mark; save it as UTF-8 without one".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 (at byte {})", error.utf8_error().valid_up_to()))
}

/// A regular file, and what is known of the one that was opened: another may be at its place by now.
///
/// # Errors
/// A message for people: it is no regular file, or cannot be opened.
pub fn open_text(path: &Path) -> Result<(File, Metadata), String> {
    // Looked at before it is opened: opening a pipe waits for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no regular file".to_owned());
    }
    #[expect(clippy::disallowed_methods, reason = "this is where texts are read")]
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err("is no regular file".to_owned()) }
}

/// What is told about a file that cannot be read.
pub fn unreadable(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
