//! THE DOORS: sockets that clients come in by, and what a connection itself says about who is at its other end.
//!
//! TCP, TLS and Unix sockets become one kind of [`Connection`]: a stream, and its origin. A door decides nothing: who a
//! certificate or a user id belongs to is for `authn` to say. Every door is bounded in how many it lets in, and in how long
//! each may take to get through.

mod allowance;
mod buffered;
mod guests;
mod handover;
mod proxy_protocol;
mod tls;
mod unix;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Plain;
use pingora::server::ShutdownWatch;

pub use allowance::Allowance;
pub use guests::{Guest, GuestCounters, Guests};
pub use handover::{Heir, Inherited, Predecessor, Successor};
pub use tls::{Tls, Verified};

use crate::kms::Origin;
use crate::settings::Socket;
use buffered::Buffered;

/// How long to wait when no connection can be accepted: mostly because the process has no file descriptor left.
const BREATH: Duration = Duration::from_millis(50);

/// A socket that listens.
pub struct Door {
    /// The setting that it is of, and where it is: by this a successor knows it.
    name: String,
    socket: Listening,
    through: Through,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, unix::File),
}

/// Somebody who came in.
pub struct Connection {
    /// What it sends and receives.
    pub stream: Stream,
    /// How much of it may be read; nothing, until somebody allows it.
    pub allowance: Allowance,
    /// What is known of the other end.
    pub peer: Peer,
    /// Leaves when it is dropped.
    pub guest: Guest,
}

/// What is known of the other end of a connection.
pub struct Peer {
    origin: Origin,
    verified: Option<(Arc<Tls>, Verified)>,
    turned_out: bool,
}

impl Peer {
    /// Whether it may stay: not if the door asks for a certificate, and its own is not good any more.
    pub fn may_stay(&mut self) -> bool {
        self.origin();
        !self.turned_out
    }

    /// What is known now. A certificate that its authorities do not stand for any more is not part of it.
    pub fn origin(&mut self) -> &Origin {
        if let Some((tls, verified)) = &mut self.verified
            && !tls.still_trusts(verified)
        {
            self.turned_out = tls.requires_certificate();
            self.origin.certificate = None;
            self.verified = None;
        }
        &self.origin
    }
}

/// The name of a Unix socket, by which a successor knows it.
fn name_of_unix(socket: &Socket) -> String {
    format!("unix {}", socket.path.display())
}

/// The name of a TCP socket, by which a successor knows it: its address, whatever it is for. Ports that the system chooses
/// have none.
fn name_of(setting: &str, address: SocketAddr) -> String {
    if address.port() == 0 { format!("tcp {setting} {address}") } else { format!("tcp {address}") }
}

impl Door {
    /// A door on a TCP address, which may have been handed over. `setting` is its name in the settings.
    ///
    /// # Errors
    /// Says which address cannot be had, and why.
    pub fn tcp(
        setting: &str,
        address: SocketAddr,
        patience: Duration,
        inherited: &mut Inherited,
    ) -> Result<Self, String> {
        let name = name_of(setting, address);
        let listener = inherited.take(&name).map_or_else(|| TcpListener::bind(address), |it| Ok(it.into()));
        let listener = listener.and_then(|it| it.set_nonblocking(true).map(|()| it));
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{address} is taken by another program; end it or choose another {setting}")
            }
            _ => format!("{setting} = \"{address}\" cannot be listened on: {error}"),
        })?;
        Ok(Self::new(name, Listening::Tcp(listener), patience))
    }

    /// A door at a Unix socket, which may have been handed over.
    ///
    /// # Errors
    /// Says why it cannot be had.
    pub fn unix(setting: &str, socket: &Socket, patience: Duration, inherited: &mut Inherited) -> Result<Self, String> {
        let name = name_of_unix(socket);
        let taken_over =
            inherited.take(&name).and_then(|it| Some((it.into(), unix::File::taken_over(&socket.path).ok()?)));
        let (listener, file) = taken_over
            .map_or_else(|| unix::bind(socket), Ok)
            .map_err(|why| format!("{setting} = \"{}\" cannot be listened on: {why}", socket.path.display()))?;
        Ok(Self::new(name, Listening::Unix(listener, file), patience))
    }

    /// Takes a TCP socket now, unless it was handed over, and keeps it there until a door is made of it.
    ///
    /// # Errors
    /// Says which address cannot be had, and why.
    pub fn reserve_tcp(setting: &str, address: SocketAddr, inherited: &mut Inherited) -> Result<(), String> {
        if !inherited.has(&name_of(setting, address)) {
            let door = Self::tcp(setting, address, Duration::ZERO, &mut Inherited::default())?;
            inherited.put(door.into_kept().map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// The same of a Unix socket.
    ///
    /// # Errors
    /// Says why it cannot be had.
    pub fn reserve_unix(setting: &str, socket: &Socket, inherited: &mut Inherited) -> Result<(), String> {
        if !inherited.has(&name_of_unix(socket)) {
            let door = Self::unix(setting, socket, Duration::ZERO, &mut Inherited::default())?;
            inherited.put(door.into_kept().map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// The same as a socket that is kept, in whatever way it was had.
    ///
    /// # Errors
    /// The process may not have more file descriptors.
    fn into_kept(self) -> io::Result<(String, OwnedFd)> {
        let handle = self.handle()?;
        if let Listening::Unix(_, file) = self.socket {
            file.leave();
        }
        Ok(handle)
    }

    /// Its socket, once more, with the name by which a successor knows it.
    ///
    /// # Errors
    /// The process may not have more file descriptors.
    pub fn handle(&self) -> io::Result<(String, OwnedFd)> {
        let handle: OwnedFd = match &self.socket {
            Listening::Tcp(listener) => listener.try_clone()?.into(),
            Listening::Unix(listener, _) => listener.try_clone()?.into(),
        };
        Ok((self.name.clone(), handle))
    }

    fn new(name: String, socket: Listening, patience: Duration) -> Self {
        Self { name, socket, through: Through { tls: None, proxies: Vec::new(), patience } }
    }

    /// The same, for TLS only.
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.through.tls = Some(tls);
        self
    }

    /// The same, where these peers speak the PROXY protocol.
    pub fn behind(mut self, proxies: &[IpNet]) -> Self {
        self.through.proxies = proxies.to_vec();
        self
    }

    /// The TCP address.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(..) => None,
        }
    }

    /// Lets clients in until the service is ending. `enter` is called for each of them. The file of a Unix socket stays if
    /// somebody else listens there by then, which `handed_over` tells.
    ///
    /// # Errors
    /// The runtime cannot use the socket.
    pub async fn open<F, Fut>(
        self,
        guests: Guests,
        mut ending: ShutdownWatch,
        handed_over: Arc<AtomicBool>,
        enter: F,
    ) -> io::Result<()>
    where
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (enter, through) = (Arc::new(enter), Arc::new(self.through));
        let socket = Accepting::new(self.socket)?;
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = ending.wait_for(|ending| *ending) => {
                    if let Accepting::Unix(_, file) = socket && handed_over.load(Ordering::SeqCst) {
                        file.leave();
                    }
                    return Ok(());
                }
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Once for each time that it begins: it may be for want of file descriptors.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(door = self.name, %error, "nobody can be let in");
                    }
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            is_failing = false;
            let Some(guest) = guests.enter() else { continue };
            let (enter, through) = (enter.clone(), through.clone());
            tokio::spawn(async move {
                match through.pass(accepted).await {
                    Ok((stream, allowance, peer)) => enter(Connection { stream, allowance, peer, guest }).await,
                    Err(why) => guest.failed(why),
                }
            });
        }
    }
}

/// A socket in the hands of the runtime.
enum Accepting {
    Tcp(tokio::net::TcpListener),
    /// The file is removed with it.
    Unix(tokio::net::UnixListener, unix::File),
}

/// A connection as the operating system gives it.
struct Accepted {
    stream: Plain,
    origin: Origin,
}

impl Accepting {
    fn new(socket: Listening) -> io::Result<Self> {
        Ok(match socket {
            Listening::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Listening::Unix(listener, file) => Self::Unix(tokio::net::UnixListener::from_std(listener)?, file),
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let origin = Origin { address: Some(address.ip()), ..Origin::default() };
                Ok(Accepted { stream: stream.into(), origin })
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let origin = Origin { uid: Some(stream.peer_cred()?.uid()), ..Origin::default() };
                Ok(Accepted { stream: stream.into(), origin })
            }
        }
    }
}

/// The way through a door.
struct Through {
    tls: Option<Arc<Tls>>,
    /// Peers that begin with a header of the PROXY protocol.
    proxies: Vec<IpNet>,
    /// How long a connection may take until it is ready.
    patience: Duration,
}

impl Through {
    /// Whoever gets through, in time.
    ///
    /// # Errors
    /// Why not, in one word of a closed set.
    async fn pass(&self, accepted: Accepted) -> Result<(Stream, Allowance, Peer), &'static str> {
        tokio::time::timeout(self.patience, self.handshake(accepted)).await.unwrap_or(Err("timeout"))
    }

    async fn handshake(&self, accepted: Accepted) -> Result<(Stream, Allowance, Peer), &'static str> {
        let Accepted { mut stream, mut origin } = accepted;
        let speaks = |proxy: &IpNet| origin.address.is_some_and(|peer| proxy.contains(&peer.to_canonical()));
        if self.proxies.iter().any(speaks)
            && let Some(client) = proxy_protocol::read(&mut stream).await.map_err(|_| "proxy_protocol")?
        {
            origin.address = Some(client);
        }
        let allowance = Allowance::default();
        let Some(tls) = &self.tls else {
            let peer = Peer { origin, verified: None, turned_out: false };
            return Ok((Box::new(Buffered::new(stream, allowance.clone())), allowance, peer));
        };
        let (stream, verified) = tls.accept(stream).await.ok_or("tls")?;
        origin.secure = true;
        origin.certificate = verified.as_ref().map(Verified::certificate);
        let verified = verified.map(|verified| (tls.clone(), verified));
        let peer = Peer { origin, verified, turned_out: false };
        Ok((Box::new(Buffered::new(stream, allowance.clone())), allowance, peer))
    }
}
