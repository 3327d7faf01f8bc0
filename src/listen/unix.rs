//! Unix sockets: made with their permissions, in the place of one that nobody listens at any more.

#![expect(clippy::disallowed_methods, reason = "a Unix socket is a file, and takes its place by being renamed")]

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::settings::Socket;
use crate::store::make_folder;

/// The file of a socket. It is removed when this is dropped, unless it is another one by then.
pub struct File {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl File {
    /// The file of a socket that was taken over.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn taken_over(path: &Path) -> io::Result<Self> {
        identity(path).map(|identity| Self { path: path.to_owned(), identity })
    }

    /// Leaves the file where it is: somebody else listens there now.
    pub fn leave(mut self) {
        self.identity = (0, 0);
    }
}

/// Listens at a Unix socket.
///
/// # Errors
/// A sentence: somebody listens there already, something else is there, or the machine does not give it.
pub fn bind(socket: &Socket) -> Result<(UnixListener, File), String> {
    let path = &socket.path;
    make_way(path)?;
    let told = |error: io::Error| error.to_string();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder, 0o755).map_err(told)?;
    }
    // Bound under another name, given its permissions, and only then put in its place: nobody finds it open wider.
    let hidden = path.with_file_name(format!(".keyward-{}.sock", std::process::id()));
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(told)?;
    let placed = fs::set_permissions(&hidden, Permissions::from_mode(socket.mode))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&hidden, path))
        .and_then(|()| identity(path));
    match placed {
        Ok(identity) => Ok((listener, File { path: path.clone(), identity })),
        Err(error) => {
            let _ = fs::remove_file(&hidden);
            Err(error.to_string())
        }
    }
}

/// A socket that nobody listens at may be replaced; nothing else may.
fn make_way(path: &Path) -> Result<(), String> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err("something else than a socket is there; remove it or choose another path".to_owned());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another program listens there; end it or choose another path".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(format!("something is there, and it cannot be told whether anybody listens: {error}")),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for File {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket { path: folder.path().join("a/keyward.sock"), mode: 0o600 };
        let (listener, file) = bind(&socket).unwrap();
        assert_eq!(fs::metadata(&socket.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&socket).err().unwrap().contains("another program listens there"));
        // As if the process had been killed: the file stays, and nobody listens.
        std::mem::forget(file);
        drop(listener);
        let (_listener, file) = bind(&socket).unwrap();
        drop(file);
        assert!(!socket.path.exists(), "the file goes with its process");
        fs::write(&socket.path, "precious").unwrap();
        assert!(bind(&socket).err().unwrap().contains("something else than a socket"));
        assert_eq!(fs::read_to_string(&socket.path).unwrap(), "precious");
    }
}
