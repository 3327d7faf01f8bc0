//! Handing sockets over to a successor: a new Keyward, with other settings or of another version, goes on at the same
//! sockets, and no client finds the door closed.
//!
//! The successor waits at a Unix socket. Whoever hands over connects there and sends the listening sockets and what must
//! not be forgotten; when it has ended, the successor opens the doors. Meanwhile clients wait in the sockets' queues. Both run
//! as the same user.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::unix;
use crate::settings::Socket;

/// How many sockets are handed over at most: there are six doors.
const SOCKETS_MAX: usize = 8;

/// The longest list of their names, in bytes.
const NAMES_BYTES_MAX: usize = 4096;

/// How much may be handed over beside sockets, in bytes: the memory of a hundred million requests would be more.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How long each write and read may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listening sockets by the names of their settings and addresses.
#[derive(Default)]
pub struct Inherited(HashMap<String, OwnedFd>);

impl Inherited {
    /// The socket of this setting at this address, if it was handed over. It is nobody else's any more.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.0.remove(name)
    }
}

/// What was handed over.
pub struct HandedOver {
    /// The sockets.
    pub sockets: Inherited,
    /// What must not be forgotten.
    pub memory: Vec<u8>,
}

/// A successor that waits.
pub struct Successor {
    listener: UnixListener,
    _file: unix::File,
}

impl Successor {
    /// Waits at a Unix socket that is open to its own user only.
    ///
    /// # Errors
    /// A sentence: the socket cannot be had.
    pub fn wait_at(path: &Path) -> Result<Self, String> {
        let (listener, file) = unix::bind(&Socket { path: path.to_owned(), mode: 0o600 })?;
        listener.set_nonblocking(false).map_err(|error| error.to_string())?;
        Ok(Self { listener, _file: file })
    }

    /// Blocks until somebody handed over and ended. Whoever connects as another user, or says nothing sensible, is not
    /// listened to.
    ///
    /// # Errors
    /// Nobody can connect any more.
    pub fn take_over(&self) -> io::Result<HandedOver> {
        loop {
            let (stream, _) = self.listener.accept()?;
            match is_of_ours(&stream).and_then(|()| receive(&stream)) {
                Ok(handed_over) => return Ok(handed_over),
                Err(error) => tracing::warn!(%error, "somebody connected to hand over, and did not"),
            }
        }
    }
}

fn is_of_ours(stream: &UnixStream) -> io::Result<()> {
    let theirs = socket_peercred(stream)?.uid;
    if theirs == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::other(format!("user {} is not the one that this program runs as", theirs.as_raw())))
}

fn receive(stream: &UnixStream) -> io::Result<HandedOver> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut names = vec![0; NAMES_BYTES_MAX];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut names)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    let names = std::str::from_utf8(names.get(..received.bytes).unwrap_or_default()).map_err(io::Error::other)?;
    let names: Vec<&str> = names.strip_suffix('\n').unwrap_or_default().split('\n').collect();
    if names.len() != sockets.len() {
        return Err(io::Error::other(format!("{} sockets came, and {} names", sockets.len(), names.len())));
    }
    let sockets = names.into_iter().map(str::to_owned).zip(sockets).collect();
    let mut memory = Vec::new();
    // To its end, which is that of whoever hands over.
    stream.set_read_timeout(None)?;
    stream.take(MEMORY_BYTES_MAX).read_to_end(&mut memory)?;
    Ok(HandedOver { sockets: Inherited(sockets), memory })
}

/// Somebody who waits to take over.
pub struct Heir(UnixStream);

impl Heir {
    /// Finds the successor that waits at this socket.
    ///
    /// # Errors
    /// Nobody waits there, or another user does.
    pub fn find(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        is_of_ours(&stream)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Hands over sockets with their names, and what must not be forgotten. The successor goes on when what this returns
    /// is dropped, or the process ends.
    ///
    /// # Errors
    /// The successor is gone.
    pub fn hand_over(mut self, sockets: &[(String, OwnedFd)], memory: &[u8]) -> io::Result<UnixStream> {
        let names: String = sockets.iter().map(|(name, _)| format!("{name}\n")).collect();
        let handles: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&handles)) {
            return Err(io::Error::other("there are more sockets than can be handed over"));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(names.as_bytes())], &mut control, SendFlags::empty())?;
        if sent != names.len() {
            return Err(io::Error::other("the names of the sockets were cut off"));
        }
        self.0.write_all(memory)?;
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    #[test]
    fn a_client_in_the_queue_is_served_by_the_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover.sock");
        assert!(Heir::find(&path).is_err(), "nobody waits");
        let successor = Successor::wait_at(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        let taking = thread::spawn(move || {
            let mut handed_over = successor.take_over().unwrap();
            (handed_over.sockets.take("listen.api x"), handed_over.sockets.take("listen.api x"), handed_over.memory)
        });
        // Whoever says nothing sensible is not listened to.
        drop(UnixStream::connect(&path).unwrap());
        let sockets = [("listen.api x".to_owned(), OwnedFd::from(listener))];
        let stream = Heir::find(&path).unwrap().hand_over(&sockets, b"memory").unwrap();
        drop(sockets);
        drop(stream);
        let (socket, again, memory) = taking.join().unwrap();
        assert!(again.is_none());
        assert_eq!(memory, b"memory");
        let (mut stream, _) = TcpListener::from(socket.unwrap()).accept().unwrap();
        let mut told = [0; 5];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"hello");
    }
}
