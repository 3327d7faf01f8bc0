//! Handing sockets over to a successor: a new Keyward, with other settings or of another version, goes on at the same
//! sockets, and no client finds the door closed.
//!
//! The successor waits at a Unix socket. Whoever hands over connects there and sends the listening sockets; the successor says
//! whether it can serve with them, and only then the other one begins to end. When it has, it sends what must not be
//! forgotten, and the successor says that it has it, or the other one opens its doors again. The successor opens its own when
//! the process that handed over is gone. Meanwhile clients wait in the sockets' queues. Both run as the same user.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::unix;
use crate::settings::Socket;

/// How many sockets are handed over at most: there are six doors.
const SOCKETS_MAX: usize = 8;

/// The longest list of their names, in bytes.
const NAMES_BYTES_MAX: usize = 4096;

/// How much may be handed over beside sockets, in bytes: the memory of a hundred million requests would be more.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How long each part of a conversation may take in which nobody waits for requests to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a successor may take to find out whether it can serve. Requests are answered meanwhile.
const PATIENCE_WITH_CHECKS: Duration = Duration::from_secs(30);

/// How long a process may take to end that has said everything.
const ENDING: Duration = Duration::from_secs(20);

/// The longest reason why somebody cannot serve, in bytes.
const REASON_BYTES_MAX: u64 = 4096;

/// What somebody says who can serve with the sockets that it got, and later who has everything.
const READY: &[u8] = b"ready\n";

/// Listening sockets by where they listen.
#[derive(Default)]
pub struct Inherited(HashMap<String, OwnedFd>);

impl Inherited {
    /// These.
    pub fn of(sockets: impl IntoIterator<Item = (String, OwnedFd)>) -> Self {
        Self(sockets.into_iter().collect())
    }

    /// The socket of this name, if it was handed over. It is nobody else's any more.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.0.remove(name)
    }

    /// Whether a socket of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Keeps another one.
    pub fn put(&mut self, (name, socket): (String, OwnedFd)) {
        self.0.insert(name, socket);
    }

    /// Closes those that are left, which nobody listens at any more. The files of Unix sockets go with them.
    pub fn close(self) {
        for path in self.0.keys().filter_map(|name| name.strip_prefix("unix ")) {
            drop(unix::File::taken_over(Path::new(path)));
        }
    }
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

    /// Blocks until somebody offers its sockets, and `can_serve` with them. Whoever connects as another user, or says nothing
    /// sensible, is not listened to.
    ///
    /// # Errors
    /// Nobody can connect any more.
    pub fn accept(
        &self,
        can_serve: impl Fn(Inherited) -> Result<Inherited, String>,
    ) -> io::Result<(Inherited, Predecessor)> {
        loop {
            let (stream, _) = self.listener.accept()?;
            let offered = process_of(&stream).and_then(|process| Ok((receive(&stream)?, process)));
            let answered = offered.and_then(|(offered, process)| Ok((answer(&stream, can_serve(offered))?, process)));
            match answered {
                Ok((inherited, process)) => return Ok((inherited, Predecessor { stream, process })),
                Err(error) => {
                    tracing::warn!(%error, "somebody offered to hand over, and nothing came of it; still waiting")
                }
            }
        }
    }
}

/// Whoever hands over, and still serves.
pub struct Predecessor {
    stream: UnixStream,
    process: OwnedFd,
}

impl Predecessor {
    /// Blocks until its process is gone: what must not be forgotten; `None` if it ended before it told.
    ///
    /// # Errors
    /// It does not hand over after all, and lives on.
    pub fn gone(mut self) -> io::Result<Option<Vec<u8>>> {
        let memory = self.memory();
        // To the end of what it says, which is that of the process if all is well.
        let _ = self.stream.read_to_end(&mut Vec::new());
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        let patience = Timespec { tv_sec: ENDING.as_secs().cast_signed(), tv_nsec: 0 };
        if poll(&mut ended, Some(&patience))? == 0 {
            return Err(io::Error::other("it goes on"));
        }
        Ok(memory.ok())
    }

    fn memory(&mut self) -> io::Result<Vec<u8>> {
        // Requests end before it comes.
        self.stream.set_read_timeout(None)?;
        let mut length = [0; 8];
        self.stream.read_exact(&mut length)?;
        let length = u64::from_be_bytes(length);
        if length > MEMORY_BYTES_MAX {
            return Err(io::Error::other("there is too much to remember"));
        }
        let mut memory = Vec::new();
        (&self.stream).take(length).read_to_end(&mut memory)?;
        if u64::try_from(memory.len()).ok() != Some(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.write_all(READY)?;
        Ok(memory)
    }
}

/// The process at the other end, if it is of our user.
fn process_of(stream: &UnixStream) -> io::Result<OwnedFd> {
    is_of_ours(stream)?;
    Ok(pidfd_open(socket_peercred(stream)?.pid, PidfdFlags::empty())?)
}

fn is_of_ours(stream: &UnixStream) -> io::Result<()> {
    let theirs = socket_peercred(stream)?.uid;
    if theirs == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::other(format!("user {} is not the one that this program runs as", theirs.as_raw())))
}

fn receive(stream: &UnixStream) -> io::Result<Inherited> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
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
        return Err(io::Error::other("it said nothing, or nothing that makes sense"));
    }
    Ok(Inherited::of(names.into_iter().map(str::to_owned).zip(sockets)))
}

fn answer(mut stream: &UnixStream, can_serve: Result<Inherited, String>) -> io::Result<Inherited> {
    let inherited = can_serve.map_err(|why| {
        let _ = stream.write_all(why.as_bytes());
        io::Error::other(why)
    })?;
    // Who cannot be told any more may be gone, and then nobody else serves.
    let _ = stream.write_all(READY);
    Ok(inherited)
}

/// Somebody who takes over, and could serve at once.
pub struct Heir(UnixStream);

impl Heir {
    /// Offers sockets with their names to the successor that waits at this path. Blocks for a moment.
    ///
    /// # Errors
    /// Nobody waits there, another user does, or it cannot serve: in its own words.
    pub fn find(path: &Path, sockets: &[(String, OwnedFd)]) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        is_of_ours(&stream)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE_WITH_CHECKS))?;
        let names: String = sockets.iter().map(|(name, _)| format!("{name}\n")).collect();
        let handles: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&handles)) {
            return Err(io::Error::other("there are more sockets than can be handed over"));
        }
        let sent = sendmsg(&stream, &[IoSlice::new(names.as_bytes())], &mut control, SendFlags::empty())?;
        if sent != names.len() {
            return Err(io::Error::other("the names of the sockets were cut off"));
        }
        let heir = Self(stream);
        heir.is_ready()?;
        Ok(heir)
    }

    /// Hands over what must not be forgotten. The successor goes on when what this returns is dropped, or the process ends.
    /// Blocks for a moment.
    ///
    /// # Errors
    /// The successor is gone, or does not say that it has it.
    pub fn hand_over(mut self, memory: &[u8]) -> io::Result<UnixStream> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        let length = u64::try_from(memory.len()).map_err(io::Error::other)?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(memory)?;
        self.is_ready()?;
        Ok(self.0)
    }

    /// Whether the successor still waits.
    pub fn is_there(&self) -> bool {
        let mut space: [std::mem::MaybeUninit<u8>; 0] = [];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = recvmsg(&self.0, &mut [IoSliceMut::new(&mut [0])], &mut control, flags);
        // Nothing is said, which is not the same as the end.
        peeked.is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }

    fn is_ready(&self) -> io::Result<()> {
        let mut said = vec![0; READY.len()];
        let mut stream = &self.0;
        let mut read = 0;
        while read < said.len() {
            match stream.read(said.get_mut(read..).unwrap_or_default())? {
                0 => break,
                count => read += count,
            }
        }
        if said == READY {
            return Ok(());
        }
        let mut rest = Vec::new();
        let _ = stream.take(REASON_BYTES_MAX).read_to_end(&mut rest);
        said.truncate(read);
        said.extend(rest);
        let _ = stream.shutdown(Shutdown::Both);
        match String::from_utf8_lossy(&said).trim() {
            "" => Err(io::Error::other("it is gone")),
            why => Err(io::Error::other(why.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    fn listener() -> (TcpListener, Vec<(String, OwnedFd)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = vec![("x".to_owned(), OwnedFd::from(listener.try_clone().unwrap()))];
        (listener, sockets)
    }

    #[test]
    fn a_client_in_the_queue_is_served_by_the_successor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover.sock");
        let (listener, sockets) = listener();
        assert!(Heir::find(&path, &sockets).is_err(), "nobody waits");
        let successor = Successor::wait_at(&path).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let taking = thread::spawn(move || {
            let (mut inherited, mut predecessor) = successor.accept(Ok).unwrap();
            (inherited.take("x"), inherited.take("x"), predecessor.memory().ok())
        });
        // Whoever says nothing sensible is not listened to.
        drop(UnixStream::connect(&path).unwrap());
        let heir = Heir::find(&path, &sockets).unwrap();
        assert!(heir.is_there());
        let stream = heir.hand_over(b"memory").unwrap();
        drop((listener, sockets, stream));
        let (socket, again, memory) = taking.join().unwrap();
        assert!(again.is_none());
        assert_eq!(memory.as_deref(), Some(&b"memory"[..]));
        let (mut stream, _) = TcpListener::from(socket.unwrap()).accept().unwrap();
        let mut told = [0; 5];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"hello");
    }

    #[test]
    fn whoever_cannot_serve_says_so_and_whoever_is_gone_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover.sock");
        let (_listener, sockets) = listener();
        let successor = Successor::wait_at(&path).unwrap();
        let taking = thread::spawn(move || {
            let refused = std::cell::Cell::new(false);
            let may =
                |inherited| if refused.replace(true) { Ok(inherited) } else { Err("its port is taken".to_owned()) };
            successor.accept(may).map(|(_, predecessor)| drop(predecessor)).unwrap();
        });
        let why = Heir::find(&path, &sockets).err().unwrap();
        assert_eq!(why.to_string(), "its port is taken");
        let heir = Heir::find(&path, &sockets).unwrap();
        taking.join().unwrap();
        assert!(!heir.is_there());
        assert!(heir.hand_over(b"memory").is_err(), "nobody has it");
    }

    #[test]
    fn a_predecessor_that_dies_leaves_its_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover.sock");
        let (_listener, sockets) = listener();
        let successor = Successor::wait_at(&path).unwrap();
        let taking = thread::spawn(move || {
            let (mut inherited, mut predecessor) = successor.accept(Ok).unwrap();
            (inherited.take("x").is_some(), predecessor.memory().ok())
        });
        drop(Heir::find(&path, &sockets).unwrap());
        assert_eq!(taking.join().unwrap(), (true, None));
    }

    #[test]
    fn a_predecessor_that_dies_before_it_has_an_answer_leaves_its_sockets_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover.sock");
        let (_listener, sockets) = listener();
        let successor = Successor::wait_at(&path).unwrap();
        let (stream, other) = (UnixStream::connect(&path).unwrap(), sockets.first().unwrap().1.as_fd());
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let handles = [other];
        assert!(control.push(SendAncillaryMessage::ScmRights(&handles)));
        sendmsg(&stream, &[IoSlice::new(b"x\n")], &mut control, SendFlags::empty()).unwrap();
        drop(stream);
        let (mut inherited, mut predecessor) = successor.accept(Ok).unwrap();
        assert!(inherited.take("x").is_some() && predecessor.memory().is_err());
    }
}
