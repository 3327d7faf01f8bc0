//! From the first connection to the last answer: doors, signals, draining.
//!
//! The first SIGTERM or Ctrl-C says so to probes and clients, closes the doors, lets running requests end and then ends at
//! once; a second one does not wait for them. SIGQUIT does the same, and hands the sockets over to a successor that waits.
//! pingora's sessions do the talking; its own server loop is not used, because it waits out a fixed grace
//! period and retries a port that is taken for half a minute.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pingora::apps::ServerApp;
use prometheus::IntGauge;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::now;
use super::serve::House;
use crate::admin::{Admin, Health, Vending};
use crate::authn::{Remembered, ReplayMemory};
use crate::listen::{Connection, Door, GuestCounters, Guests, Heir, Inherited};
use crate::local_kms::LocalKms;
use crate::proxy::{Api, Behind, Drain};
use crate::settings::{Credentials, CredentialsDoor, Limits, Listen, Settings};
use crate::store::Reloader;

/// How many may be at the admin port, or fetch credentials, at the same time.
const OPERATORS_MAX: usize = 64;

/// How long whoever came in just before the doors closed may take to begin a request.
const LATE: Duration = Duration::from_secs(1);

/// How long each of them may take for one request, the time before it included.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(20);

/// The doors, taken before anything is promised.
pub struct Doors {
    api: Vec<Door>,
    admin: Door,
    health: Option<Door>,
    credentials: Option<(Door, Arc<Vending>)>,
    /// Where the API is, as clients write it: `http://…`, `https://…`, or the path of a Unix socket.
    pub endpoints: Vec<String>,
    /// Where the API listens without TLS.
    pub api_address: Option<SocketAddr>,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    /// Where probes from elsewhere may ask.
    pub health_address: Option<SocketAddr>,
    /// Where credentials are handed out on loopback.
    pub credentials_address: Option<SocketAddr>,
}

impl Doors {
    /// Takes all of them; those that were handed over as they are.
    ///
    /// # Errors
    /// Says which cannot be had, and why.
    pub fn take(house: &House, inherited: &mut Inherited) -> Result<Self, String> {
        let (listen, patience) = (&house.settings.listen, house.settings.limits.request);
        let proxies = &house.settings.network.proxy_protocol;
        let (mut api, mut endpoints, mut api_address) = (Vec::new(), Vec::new(), None);
        if let Some(address) = listen.api {
            let door = Door::tcp("listen.api", address, patience, inherited)?.behind(proxies);
            api_address = door.address();
            endpoints.extend(api_address.map(|address| format!("http://{address}")));
            api.push(door);
        }
        if let Some(((address, _), tls)) = listen.tls.as_ref().zip(house.tls.clone()) {
            let door = Door::tcp("listen.tls", *address, patience, inherited)?.behind(proxies).with_tls(tls);
            endpoints.extend(door.address().map(|address| format!("https://{address}")));
            api.push(door);
        }
        if let Some(socket) = &listen.socket {
            api.push(Door::unix("listen.socket", socket, patience, inherited)?);
            endpoints.push(socket.path.display().to_string());
        }
        let admin = Door::tcp("listen.admin", listen.admin, patience, inherited)?;
        let health =
            listen.health.map(|address| Door::tcp("listen.health", address, patience, inherited)).transpose()?;
        let admin_address = admin.address().unwrap_or(listen.admin);
        let credentials =
            house.settings.credentials.as_ref().map(|it| vending_door(house, it, inherited)).transpose()?;
        let credentials_address = credentials.as_ref().and_then(|(door, _)| door.address());
        let health_address = health.as_ref().and_then(Door::address);
        Ok(Self {
            health_address,
            api,
            admin,
            health,
            credentials,
            endpoints,
            api_address,
            admin_address,
            credentials_address,
        })
    }
}

impl Doors {
    /// The sockets of all of them, once more, for a successor.
    fn handles(&self) -> std::io::Result<Vec<(String, OwnedFd)>> {
        let credentials = self.credentials.as_ref().map(|(door, _)| door);
        let all = self.api.iter().chain([&self.admin]).chain(&self.health).chain(credentials);
        all.map(Door::handle).collect()
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

fn vending_door(
    house: &House,
    credentials: &Credentials,
    inherited: &mut Inherited,
) -> Result<(Door, Arc<Vending>), String> {
    let patience = house.settings.limits.request;
    let door = match &credentials.at {
        CredentialsDoor::Loopback(address, _) => Door::tcp("credentials.listen", *address, patience, inherited),
        CredentialsDoor::Socket(socket, _) => Door::unix("credentials.socket", socket, patience, inherited),
    }?;
    let counter = house.telemetry.metrics.credentials.clone();
    let vending = Vending::new(house.store.clone(), credentials.clone(), door.address(), counter)?;
    Ok((door, Arc::new(vending)))
}

/// Takes the sockets of the settings that were not handed over, and closes those that the settings do not have.
///
/// # Errors
/// Says which cannot be had, and why.
pub fn reserve(settings: &Settings, mut inherited: Inherited) -> Result<Inherited, String> {
    let (listen, patience) = (&settings.listen, settings.limits.request);
    let credentials = settings.credentials.as_ref().map(|credentials| &credentials.at);
    let vending = credentials.and_then(|at| match at {
        CredentialsDoor::Loopback(address, _) => Some(*address),
        CredentialsDoor::Socket(..) => None,
    });
    let tcp = [
        ("listen.api", listen.api),
        ("listen.tls", listen.tls.as_ref().map(|(address, _)| *address)),
        ("listen.admin", Some(listen.admin)),
        ("listen.health", listen.health),
        ("credentials.listen", vending),
    ];
    let vending = credentials.and_then(|at| match at {
        CredentialsDoor::Socket(socket, _) => Some(socket),
        CredentialsDoor::Loopback(..) => None,
    });
    let unix = [("listen.socket", listen.socket.as_ref()), ("credentials.socket", vending)];
    let mut doors = Vec::new();
    for (setting, address) in tcp.into_iter().filter_map(|(setting, address)| Some((setting, address?))) {
        doors.push(Door::tcp(setting, address, patience, &mut inherited)?);
    }
    for (setting, socket) in unix.into_iter().filter_map(|(setting, socket)| Some((setting, socket?))) {
        doors.push(Door::unix(setting, socket, patience, &mut inherited)?);
    }
    let kept: io::Result<Vec<_>> = doors.into_iter().map(Door::into_kept).collect();
    inherited.close();
    kept.map(Inherited::of).map_err(|error| format!("sockets cannot be kept: {error}"))
}

/// Has signals do nothing for the time being that would end a process that is not ready to handle them: SIGQUIT and SIGHUP
/// are for one that serves. As long as what is returned lives, and after that for ever.
///
/// # Errors
/// The system does not allow it.
pub fn ignore_signals() -> Result<Runtime, String> {
    let told = |error: io::Error| format!("signals cannot be handled: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::quit(), SignalKind::hangup()] {
            drop(signal(kind).map_err(told)?);
        }
    }
    Ok(runtime)
}

/// Serves until told to end. What is returned is held until the process ends: a successor waits for that.
///
/// # Errors
/// The runtime or the signal handlers cannot be set up.
pub fn run(
    house: &House,
    doors: Doors,
    reloader: &Reloader,
    memory: Option<ReplayMemory>,
) -> Result<Option<UnixStream>, String> {
    let runtime = Runtime::new().map_err(|error| format!("the runtime cannot be started: {error}"))?;
    let handed_over = runtime.block_on(serve(house, doors, reloader, memory))?;
    // Answers are out; whatever still waits for input has nothing to wait for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(handed_over)
}

async fn serve(
    house: &House,
    mut doors: Doors,
    reloader: &Reloader,
    mut memory: Option<ReplayMemory>,
) -> Result<Option<UnixStream>, String> {
    match &house.behind {
        Behind::Embedded(kms) => drop(tokio::spawn(keep_time(kms.clone()))),
        Behind::Elsewhere(upstream) => drop(tokio::spawn(upstream.clone().keep())),
    }
    let mut signals = Signals::new().map_err(|error| format!("signals cannot be handled: {error}"))?;
    loop {
        let sockets = house.settings.listen.handover.as_ref().map(|_| doors.handles()).transpose();
        let sockets = sockets.map_err(|error| format!("sockets cannot be made ready to be handed over: {error}"))?;
        let sockets = Arc::new(sockets.unwrap_or_default());
        let (heir, api) = serve_once(house, doors, reloader, memory, &sockets, &mut signals).await;
        let Some(heir) = heir else { return Ok(None) };
        let remembered = api.remembers();
        let text = serde_json::to_vec(&remembered).unwrap_or_default();
        match tokio::task::block_in_place(|| heir.hand_over(&text)) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => tracing::error!(%error, "the successor did not take over; serving goes on"),
        }
        let kept = Arc::try_unwrap(sockets).map_err(|_| "sockets are still in use".to_owned())?;
        doors = Doors::take(house, &mut Inherited::of(kept))?;
        memory = remembered.map(|remembered| ReplayMemory::taken_over(house.settings.signatures.nonces, remembered));
    }
}

/// The sockets of all doors, for a successor.
type Sockets = Arc<Vec<(String, OwnedFd)>>;

/// Serves until told to end, and requests are answered: with the successor that takes over, if one does.
async fn serve_once(
    house: &House,
    doors: Doors,
    reloader: &Reloader,
    memory: Option<ReplayMemory>,
    sockets: &Sockets,
    signals: &mut Signals,
) -> (Option<Heir>, Arc<Api>) {
    let drain = Arc::new(Drain::default());
    let (end, ending) = watch::channel(false);
    let leaving = Leaving { ending, handed_over: Arc::default() };
    let api = open(house, doors, reloader, memory, &drain, &leaving);
    let heir = signals.end(reloader, house.settings.listen.handover.as_deref(), sockets).await;
    drain.begin();
    let running = drain.running();
    match &heir {
        None => tracing::info!(running, "ending; a second signal ends at once"),
        Some(_) => tracing::info!(running, "handing over to a successor when requests have ended"),
    }
    let inside = &house.telemetry.metrics.connections;
    tokio::select! {
        () = noticed(inside, house.settings.limits.notice) => {}
        () = signals.end_now(reloader) => {
            cut_off(&drain, "by a second signal");
            return (None, api);
        }
    }
    leaving.handed_over.store(heir.is_some(), Ordering::SeqCst);
    let _ = end.send(true);
    let deadline = tokio::time::sleep(house.settings.limits.drain);
    tokio::select! {
        () = drained(&drain, inside) => {}
        () = deadline => cut_off(&drain, "because they did not end in time"),
        () = signals.end_now(reloader) => cut_off(&drain, "by a second signal"),
    }
    (heir, api)
}

fn cut_off(drain: &Drain, why: &str) {
    if drain.running() > 0 {
        tracing::warn!(running = drain.running(), "requests are cut off {why}");
    }
}

/// How whoever lets clients in learns that it ends, and whether somebody else goes on.
struct Leaving {
    ending: watch::Receiver<bool>,
    handed_over: Arc<AtomicBool>,
}

/// Opens all doors.
fn open(
    house: &House,
    doors: Doors,
    reloader: &Reloader,
    memory: Option<ReplayMemory>,
    drain: &Arc<Drain>,
    leaving: &Leaving,
) -> Arc<Api> {
    let (store, telemetry, behind) = (house.store.clone(), house.telemetry.clone(), house.behind.clone());
    let metrics = &telemetry.metrics;
    let counters = GuestCounters {
        inside: metrics.connections.clone(),
        turned_away: metrics.connections_refused.clone(),
        failed: metrics.connections_failed.clone(),
    };
    let api = Api::new(store.clone(), behind.clone(), telemetry.clone(), &house.settings, drain.clone(), memory);
    let api = Arc::new(api);
    for door in doors.api {
        let guests = Guests::new(house.settings.limits.connections, Some(counters.clone()));
        let (api, told) = (api.clone(), leaving.ending.clone());
        start(door, guests, leaving, move |connection| {
            let (api, told) = (api.clone(), told.clone());
            async move { api.serve(connection, told).await }
        });
    }
    if let Some((door, vending)) = doors.credentials {
        start_app(door, vending.clone(), leaving, move |connection| vending.admits(connection.peer.origin().uid));
    }
    if let Some(door) = doors.health {
        start_app(door, Arc::new(Health::new(store.clone(), drain.clone())), leaving, |_| true);
    }
    let (address, tls) = (doors.admin_address, house.tls.clone());
    let admin = Admin::new(store, telemetry, drain.clone(), address, tls, reloader.clone(), behind);
    start_app(doors.admin, Arc::new(admin), leaving, |_| true);
    api
}

/// The memory of requests that serving begins with: what a predecessor handed over, or none.
///
/// # Errors
/// There is no randomness, or what was handed over cannot be read.
pub fn memory(nonces: usize, handed_over: Option<&[u8]>) -> Result<Option<ReplayMemory>, String> {
    if nonces == 0 {
        return Ok(None);
    }
    let remembered: Option<Remembered> = match handed_over {
        Some(text) => {
            serde_json::from_slice(text).map_err(|error| format!("what was handed over is damaged: {error}"))?
        }
        None => None,
    };
    if let Some(remembered) = remembered {
        return Ok(Some(ReplayMemory::taken_over(nonces, remembered)));
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|_| "the operating system gives no random bytes")?;
    Ok(Some(ReplayMemory::new(nonces, now(), key)))
}

/// Resolves when nobody is connected any more, or everybody had time to learn that it ends.
async fn noticed(inside: &IntGauge, notice: Duration) {
    let until = tokio::time::Instant::now() + notice;
    while inside.get() > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
fn start<F, Fut>(door: Door, guests: Guests, leaving: &Leaving, enter: F)
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (ending, handed_over) = (leaving.ending.clone(), leaving.handed_over.clone());
    tokio::spawn(async move {
        if let Err(error) = door.open(guests, ending, handed_over, enter).await {
            tracing::error!(%error, "a socket cannot be listened on any more");
        }
    });
}

/// Lets those in whom `admits` admits, to one of pingora's applications.
fn start_app<A: ServerApp + Send + Sync + 'static>(
    door: Door,
    app: Arc<A>,
    leaving: &Leaving,
    admits: impl Fn(&mut Connection) -> bool + Send + Sync + 'static,
) {
    // Operators are few, and no metric counts them.
    let guests = Guests::new(OPERATORS_MAX, None);
    let told = leaving.ending.clone();
    start(door, guests, leaving, move |mut connection| {
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

/// Resolves when no request is being answered any more, and who has come in had a moment to ask.
async fn drained(drain: &Drain, inside: &IntGauge) {
    let late = tokio::time::Instant::now() + LATE;
    while drain.running() > 0 || (inside.get() > 0 && tokio::time::Instant::now() < late) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Resolves when it shall end, with the successor that takes over, if one does. Until then, SIGHUP has the files read
    /// again. SIGQUIT ends nothing unless a successor waits that can serve.
    async fn end(&mut self, reloader: &Reloader, handover: Option<&Path>, sockets: &Sockets) -> Option<Heir> {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return None,
                _ = self.interrupt.recv() => return None,
                _ = self.hang_up.recv() => reloader.nudge(),
                _ = self.quit.recv() => match handover {
                    Some(path) => {
                        // Requests are answered meanwhile.
                        let (path, sockets) = (path.to_owned(), sockets.clone());
                        let found = tokio::task::spawn_blocking(move || Heir::find(&path, &sockets)).await;
                        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
                            Ok(heir) => return Some(heir),
                            Err(error) => {
                                tracing::error!(%error, "nobody waits at listen.handover who could take over; serving goes on");
                            }
                        }
                    }
                    None => tracing::error!("SIGQUIT hands over to a successor, and listen.handover is not set; serving goes on"),
                },
            }
        }
    }

    /// Resolves when it shall end at once.
    async fn end_now(&mut self, reloader: &Reloader) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reloader.nudge(),
                _ = self.quit.recv() => tracing::warn!("it is ending already"),
            }
        }
    }
}
