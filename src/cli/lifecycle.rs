//! From the first connection to the last answer: ports, signals, draining.
//!
//! The first SIGTERM or Ctrl-C closes the ports, lets running requests end and then ends at once; a second one does not
//! wait for them. pingora's services do the accepting; its own server loop is not used, because it waits out a fixed
//! grace period and retries a port that is taken for half a minute.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::server::{Fds, ListenFds};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::serve::House;
use crate::admin::Admin;
use crate::proxy::{Api, Drain};
use crate::settings::{Limits, Listen};

/// The ports, bound before anything is promised.
pub struct Listeners {
    api: TcpListener,
    admin: TcpListener,
    /// Where the API listens.
    pub api_address: SocketAddr,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
}

impl Listeners {
    /// Binds both ports.
    ///
    /// # Errors
    /// Says which address cannot be had, and why.
    pub fn bind(listen: &Listen) -> Result<Self, String> {
        let (api, admin) = (bind("listen.api", listen.api)?, bind("listen.admin", listen.admin)?);
        let address = |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        Ok(Self { api_address: address(&api)?, admin_address: address(&admin)?, api, admin })
    }
}

fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is taken by another program; end it or choose another {setting}")
        }
        _ => format!("{setting} = \"{address}\" cannot be listened on: {error}"),
    })
}

/// File descriptors that the process needs for other things than clients.
const DESCRIPTORS_OF_OURS: u64 = 64;

/// Makes room for as many clients as the settings allow, or lowers what they allow to the room there is: without a
/// descriptor left, not even the admin port would answer.
pub fn make_room(limits: &mut Limits) {
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let room = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_OF_OURS)).unwrap_or(usize::MAX).max(1);
    if limits.connections > room {
        let wanted = limits.connections;
        tracing::warn!(wanted, room, "limits.connections is lowered: the process may not have more file descriptors");
        limits.connections = room;
    }
}

/// Serves until told to end.
///
/// # Errors
/// The runtime or the signal handlers cannot be set up.
pub fn run(house: &House, listeners: Listeners) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(serve(house, listeners))?;
    // Answers are out; whatever still waits for input has nothing to wait for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}

async fn serve(house: &House, listeners: Listeners) -> Result<(), String> {
    let drain = Arc::new(Drain::default());
    let (end, ending) = watch::channel(false);
    let (store, telemetry) = (house.store.clone(), house.telemetry.clone());
    let api = Api::new(store.clone(), house.kms.clone(), telemetry.clone(), &house.settings, drain.clone());
    let admin = Admin::new(store, telemetry, drain.clone(), listeners.admin_address);
    start("api", api, listeners.api, listeners.api_address, &ending);
    start("admin", admin, listeners.admin, listeners.admin_address, &ending);

    let mut signals = Signals::new().map_err(|error| format!("signals cannot be handled: {error}"))?;
    signals.next().await;
    drain.begin();
    let _ = end.send(true);
    tracing::info!(running = drain.running(), "ending; a second signal ends at once");
    let deadline = tokio::time::sleep(house.settings.limits.drain);
    tokio::select! {
        () = drained(&drain) => {}
        () = deadline => tracing::warn!(running = drain.running(), "requests are cut off: they did not end in time"),
        () = signals.next() => tracing::warn!(running = drain.running(), "requests are cut off by a second signal"),
    }
    Ok(())
}

/// Runs a pingora service on a port that is bound already.
fn start<A: ServerApp + Send + Sync + 'static>(
    name: &str,
    app: A,
    listener: TcpListener,
    address: SocketAddr,
    ending: &watch::Receiver<bool>,
) {
    let address = address.to_string();
    let mut service = Service::new(name.to_owned(), app);
    service.add_tcp(&address);
    let mut fds = Fds::new();
    fds.add(address, listener.into_raw_fd());
    let (fds, ending): (ListenFds, _) = (Arc::new(Mutex::new(fds)), ending.clone());
    tokio::spawn(async move { service.start_service(Some(fds), ending, 1).await });
}

/// Resolves when no request is being answered any more.
async fn drained(drain: &Drain) {
    while drain.running() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
