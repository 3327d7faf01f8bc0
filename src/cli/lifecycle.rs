//! From the first connection to the last answer: doors, signals, draining.
//!
//! The first SIGTERM or Ctrl-C closes the doors, lets running requests end and then ends at once; a second one does not
//! wait for them. pingora's sessions do the talking; its own server loop is not used, because it waits out a fixed grace
//! period and retries a port that is taken for half a minute.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::now;
use super::serve::House;
use crate::admin::{Admin, Vending};
use crate::listen::{Connection, Door, GuestCounters, Guests};
use crate::local_kms::LocalKms;
use crate::proxy::{Api, Behind, Drain};
use crate::settings::{Credentials, CredentialsDoor, Limits, Listen};
use crate::store::Reloader;

/// How many may be at the admin port, or fetch credentials, at the same time.
const OPERATORS_MAX: usize = 64;

/// How long each of them may take for one request, the time before it included.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(20);

/// The doors, taken before anything is promised.
pub struct Doors {
    api: Vec<Door>,
    admin: Door,
    credentials: Option<(Door, Arc<Vending>)>,
    /// Where the API is, as clients write it: `http://…`, `https://…`, or the path of a Unix socket.
    pub endpoints: Vec<String>,
    /// Where the API listens without TLS.
    pub api_address: Option<SocketAddr>,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    /// Where credentials are handed out on loopback.
    pub credentials_address: Option<SocketAddr>,
}

impl Doors {
    /// Takes all of them.
    ///
    /// # Errors
    /// Says which cannot be had, and why.
    pub fn take(house: &House) -> Result<Self, String> {
        let (listen, patience) = (&house.settings.listen, house.settings.limits.request);
        let proxies = &house.settings.network.proxy_protocol;
        let (mut api, mut endpoints, mut api_address) = (Vec::new(), Vec::new(), None);
        if let Some(address) = listen.api {
            let door = Door::tcp("listen.api", address, patience)?.behind(proxies);
            api_address = door.address();
            endpoints.extend(api_address.map(|address| format!("http://{address}")));
            api.push(door);
        }
        if let Some(((address, _), tls)) = listen.tls.as_ref().zip(house.tls.clone()) {
            let door = Door::tcp("listen.tls", *address, patience)?.behind(proxies).with_tls(tls);
            endpoints.extend(door.address().map(|address| format!("https://{address}")));
            api.push(door);
        }
        if let Some(socket) = &listen.socket {
            api.push(Door::unix("listen.socket", socket, patience)?);
            endpoints.push(socket.path.display().to_string());
        }
        let admin = Door::tcp("listen.admin", listen.admin, patience)?;
        let admin_address = admin.address().unwrap_or(listen.admin);
        let credentials = house.settings.credentials.as_ref().map(|it| vending_door(house, it)).transpose()?;
        let credentials_address = credentials.as_ref().and_then(|(door, _)| door.address());
        Ok(Self { api, admin, credentials, endpoints, api_address, admin_address, credentials_address })
    }
}

/// File descriptors that the process needs for other things than clients.
const DESCRIPTORS_OF_OURS: u64 = 192;

/// Makes room for as many clients as the settings allow, or lowers what they allow to the room there is: without a
/// descriptor left, not even the admin port would answer.
///
/// Each of the API's doors has room for as many.
pub fn make_room(limits: &mut Limits, listen: &Listen) {
    let doors = [listen.api.is_some(), listen.tls.is_some(), listen.socket.is_some()];
    let doors = doors.into_iter().filter(|is_there| *is_there).count().max(1);
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let room = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_OF_OURS)).unwrap_or(usize::MAX);
    let room = (room / doors).max(1);
    if limits.connections > room {
        let wanted = limits.connections;
        tracing::warn!(wanted, room, "limits.connections is lowered: the process may not have more file descriptors");
        limits.connections = room;
    }
}

fn vending_door(house: &House, credentials: &Credentials) -> Result<(Door, Arc<Vending>), String> {
    let patience = house.settings.limits.request;
    let door = match &credentials.at {
        CredentialsDoor::Loopback(address, _) => Door::tcp("credentials.listen", *address, patience),
        CredentialsDoor::Socket(socket, _) => Door::unix("credentials.socket", socket, patience),
    }?;
    let counter = house.telemetry.metrics.credentials.clone();
    let vending = Vending::new(house.store.clone(), credentials.clone(), door.address(), counter)?;
    Ok((door, Arc::new(vending)))
}

/// Serves until told to end.
///
/// # Errors
/// The runtime or the signal handlers cannot be set up.
pub fn run(house: &House, doors: Doors, reloader: &Reloader) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(serve(house, doors, reloader))?;
    // Answers are out; whatever still waits for input has nothing to wait for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}

async fn serve(house: &House, doors: Doors, reloader: &Reloader) -> Result<(), String> {
    let drain = Arc::new(Drain::default());
    let (end, ending) = watch::channel(false);
    let (store, telemetry) = (house.store.clone(), house.telemetry.clone());
    let metrics = &telemetry.metrics;
    let counters = GuestCounters {
        inside: metrics.connections.clone(),
        turned_away: metrics.connections_refused.clone(),
        failed: metrics.connections_failed.clone(),
    };
    let api =
        Arc::new(Api::new(store.clone(), house.behind.clone(), telemetry.clone(), &house.settings, drain.clone()));
    for door in doors.api {
        let guests = Guests::new(house.settings.limits.connections, Some(counters.clone()));
        let (api, told) = (api.clone(), ending.clone());
        start(door, guests, &ending, move |connection| {
            let (api, told) = (api.clone(), told.clone());
            async move { api.serve(connection, told).await }
        });
    }
    if let Some((door, vending)) = doors.credentials {
        start_app(door, vending.clone(), &ending, move |connection| vending.admits(connection.peer.origin().uid));
    }
    let (address, tls) = (doors.admin_address, house.tls.clone());
    let admin =
        Admin::new(store, telemetry.clone(), drain.clone(), address, tls, reloader.clone(), house.behind.clone());
    start_app(doors.admin, Arc::new(admin), &ending, |_| true);

    match &house.behind {
        Behind::Embedded(kms) => drop(tokio::spawn(keep_time(kms.clone()))),
        Behind::Elsewhere(upstream) => drop(tokio::spawn(upstream.clone().keep())),
    }

    let mut signals = Signals::new().map_err(|error| format!("signals cannot be handled: {error}"))?;
    signals.end(reloader).await;
    drain.begin();
    let _ = end.send(true);
    tracing::info!(running = drain.running(), "ending; a second signal ends at once");
    let deadline = tokio::time::sleep(house.settings.limits.drain);
    tokio::select! {
        () = drained(&drain) => {}
        () = deadline => tracing::warn!(running = drain.running(), "requests are cut off: they did not end in time"),
        () = signals.end(reloader) => tracing::warn!(running = drain.running(), "requests are cut off by a second signal"),
    }
    Ok(())
}

/// Has happen what is due, also while nobody asks anything. Requests see to it themselves.
async fn keep_time(kms: Arc<LocalKms>) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        let kms = kms.clone();
        // A failure is in the log, and the next minute tries again.
        let _ = tokio::task::spawn_blocking(move || kms.catch_up(now())).await;
    }
}

/// Lets clients in at a door.
fn start<F, Fut>(door: Door, guests: Guests, ending: &watch::Receiver<bool>, enter: F)
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let ending = ending.clone();
    tokio::spawn(async move {
        if let Err(error) = door.open(guests, ending, enter).await {
            tracing::error!(%error, "a socket cannot be listened on any more");
        }
    });
}

/// Lets those in whom `admits` admits, to one of pingora's applications.
fn start_app<A: ServerApp + Send + Sync + 'static>(
    door: Door,
    app: Arc<A>,
    ending: &watch::Receiver<bool>,
    admits: impl Fn(&mut Connection) -> bool + Send + Sync + 'static,
) {
    // Operators are few, and no metric counts them.
    let guests = Guests::new(OPERATORS_MAX, None);
    let told = ending.clone();
    start(door, guests, ending, move |mut connection| {
        let (app, ending) = (app.clone(), told.clone());
        let admitted = admits(&mut connection);
        async move {
            let Connection { stream, allowance, guest: _guest, .. } = connection;
            allowance.set(usize::MAX);
            let mut next = admitted.then_some(stream);
            while let Some(stream) = next.take() {
                let served = tokio::time::timeout(OPERATOR_PATIENCE, app.process_new(stream, &ending)).await;
                next = served.ok().flatten();
            }
        }
    });
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
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let [terminate, interrupt, hang_up] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)?, hang_up: signal(hang_up)? })
    }

    /// Resolves when it shall end. Until then, SIGHUP has the files read again.
    async fn end(&mut self, reloader: &Reloader) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reloader.nudge(),
            }
        }
    }
}
