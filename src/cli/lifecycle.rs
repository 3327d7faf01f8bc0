//! From the first connection to the last answer: doors, signals, draining.
//!
//! The first SIGTERM or Ctrl-C says so to probes and clients, closes the doors, lets running requests end and then ends at
//! once; a second one does not wait for them. SIGQUIT does the same, and hands the sockets over to a successor that waits.
//! pingora's sessions do the talking; its own server loop is not used, because it waits out a fixed grace
//! period and retries a port that is taken for half a minute.

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pingora::apps::ServerApp;
use prometheus::IntGauge;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::doors::Doors;
use super::now;
use super::serve::House;
use super::signals::{Signals, Sockets};
use crate::admin::{Admin, Health};
use crate::authn::{Remembered, ReplayMemory};
use crate::listen::{Connection, Door, GuestCounters, Guests, Heir, Inherited};
use crate::local_kms::LocalKms;
use crate::proxy::{Api, Behind, Drain};
use crate::store::Reloader;

/// How many may be at the admin port, or fetch credentials, at the same time.
const OPERATORS_MAX: usize = 64;

/// How long requests that are cut off may take to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long whoever came in just before the doors closed may take to begin a request.
const LATE: Duration = Duration::from_secs(1);

/// How long each of them may take for one request, the time before it included.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(20);

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
    let mut signals = Signals::new(reloader.clone(), house.behind.clone())
        .map_err(|error| format!("signals cannot be handled: {error}"))?;
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
    let (is_open, mut closed) = mpsc::channel(1);
    let leaving = Leaving { ending, handed_over: Arc::default(), open: is_open };
    let api = open(house, doors, reloader, memory, &drain, &leaving);
    let heir = signals.end(house.settings.listen.handover.as_deref(), sockets).await;
    drain.begin();
    let running = drain.running();
    match &heir {
        None => tracing::info!(running, "ending; a second signal ends at once"),
        Some(_) => tracing::info!(running, "handing over to a successor when requests have ended"),
    }
    let inside = &house.telemetry.metrics.connections;
    tokio::select! {
        () = noticed(inside, house.settings.limits.notice) => {}
        () = signals.end_now() => {
            cut_off(&drain, "by a second signal").await;
            return (None, api);
        }
    }
    leaving.handed_over.store(heir.is_some(), Ordering::SeqCst);
    let _ = end.send(true);
    drop(leaving);
    // Who slips in while a door closes is inside, and waited for.
    while closed.recv().await.is_some() {}
    let deadline = tokio::time::sleep(house.settings.limits.drain);
    tokio::select! {
        () = drained(&drain, inside) => {}
        () = deadline => cut_off(&drain, "because they did not end in time").await,
        () = signals.end_now() => cut_off(&drain, "by a second signal").await,
    }
    (heir, api)
}

/// Has requests given up that are on their way, and gives them a moment to say so.
async fn cut_off(drain: &Drain, why: &str) {
    if drain.running() == 0 {
        return;
    }
    tracing::warn!(running = drain.running(), "requests are cut off {why}");
    drain.cut_off();
    let until = tokio::time::Instant::now() + LAST_WORDS;
    while drain.running() > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How whoever lets clients in learns that it ends, and whether somebody else goes on.
struct Leaving {
    ending: watch::Receiver<bool>,
    handed_over: Arc<AtomicBool>,
    /// Every open door has one.
    open: mpsc::Sender<()>,
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
        start_app(door, Arc::new(Health::new(store.clone(), drain.clone(), behind.clone())), leaving, |_| true);
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
    let is_open = leaving.open.clone();
    tokio::spawn(async move {
        let _is_open = is_open;
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
