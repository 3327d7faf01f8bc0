//! From the first connection to the last answer: doors, signals, draining.
//!
//! The first SIGTERM or Ctrl-C says so to probes and clients, closes the doors, lets running requests end and then ends at
//! once; a second one does not wait for them. SIGQUIT does the same, and hands the sockets over to a successor that waits.
//! pingora's sessions do the talking; its own server loop is not used, because it waits out a fixed grace
//! period and retries a port that is taken for half a minute.

use std::future::Future;
use std::io;
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
use super::signals::{End, Signals, Sockets};
use crate::admin::{Admin, Health};
use crate::authn::ReplayMemory;
use crate::listen::{Connection, Door, GuestCounters, Guests, Heir, Inherited};
use crate::local_kms::LocalKms;
use crate::proxy::{Api, Behind, Drain};
use crate::store::Reloader;

/// How many may be at the admin port, or fetch credentials, at the same time.
const OPERATORS_MAX: usize = 64;

/// How often is looked whether a successor is still there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often is looked whether requests are answered.
const ANSWERED_EVERY: Duration = Duration::from_millis(5);

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
    memory: Option<ReplayMemory>,
) -> Result<Option<UnixStream>, String> {
    match &house.behind {
        Behind::Embedded(kms) => drop(tokio::spawn(keep_time(kms.clone()))),
        Behind::Elsewhere(upstream) => drop(tokio::spawn(upstream.clone().keep())),
    }
    let mut signals = Signals::new(reloader.clone(), house.behind.clone())
        .map_err(|error| format!("signals cannot be handled: {error}"))?;
    // One for all times that doors are opened: what was taken is remembered by one.
    let drain = Arc::new(Drain::default());
    let (store, telemetry, behind) = (house.store.clone(), house.telemetry.clone(), house.behind.clone());
    let api = Arc::new(Api::new(store, behind, telemetry, &house.settings, drain.clone(), memory));
    loop {
        let sockets = house.settings.listen.handover.as_ref().map(|_| doors.handles()).transpose();
        let sockets = sockets.map_err(|error| format!("sockets cannot be made ready to be handed over: {error}"))?;
        let mut sockets = Arc::new(sockets.unwrap_or_default());
        let (clients, operators) = (Shift::new(), Shift::new());
        open(house, doors, reloader, &api, &drain, (&clients, &operators));
        let mut end = until_noticed(house, &drain, &sockets, &mut signals).await;
        clients.end(end.heir.is_some()).await;
        if end.heir.is_none() {
            // Who comes now is to go elsewhere at once, and not to wait in a queue that nobody serves.
            sockets = Arc::default();
        }
        let is_given_up = !until_answered(house, &drain, &mut end, &mut signals).await;
        // Probes and operators are answered to the end.
        operators.end(end.heir.is_some()).await;
        let Some(heir) = end.heir else { return Ok(None) };
        let handed_over = match is_given_up {
            true => Err(io::Error::other("it is gone")),
            false => {
                let memory = serde_json::to_vec(&api.remembers()).unwrap_or_default();
                tokio::task::block_in_place(|| heir.hand_over(&memory))
            }
        };
        let why = match handed_over {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => error,
        };
        let kept = Arc::try_unwrap(sockets).map_err(|_| "sockets are still in use".to_owned())?;
        let mut kept = Inherited::of(kept);
        if end.is_hurried {
            tracing::error!(error = %why, "the successor did not take over, and nobody serves: a signal said to end");
            kept.close();
            return Ok(None);
        }
        tracing::error!(error = %why, "the successor did not take over; serving goes on");
        doors = Doors::take(house, &mut kept)?;
        drain.resume();
    }
}

/// Serves until told to end, and everybody knows.
async fn until_noticed(house: &House, drain: &Drain, sockets: &Sockets, signals: &mut Signals) -> End {
    let inside = &house.telemetry.metrics.connections;
    loop {
        let end = signals.end(house.settings.listen.handover.as_deref(), sockets).await;
        drain.begin();
        let running = drain.running();
        match &end.heir {
            None => tracing::info!(running, "ending; a second signal ends at once"),
            Some(_) => tracing::info!(running, "handing over to a successor when requests have ended"),
        }
        tokio::select! {
            biased;
            () = std::future::ready(()), if end.is_hurried => return end,
            () = noticed(inside, house.settings.limits.notice) => return end,
            () = signals.end_now() => return End { is_hurried: true, ..end },
            () = gone(end.heir.as_ref()) => {
                tracing::error!("the successor is gone; serving goes on");
                drain.resume();
            }
        }
    }
}

/// Waits until requests are answered or cut off, and nobody is being answered any more. Whether the successor is still there,
/// if there was one.
async fn until_answered(house: &House, drain: &Drain, end: &mut End, signals: &mut Signals) -> bool {
    let inside = &house.telemetry.metrics.connections;
    let answered = async {
        drained(drain, inside).await;
        // Whoever began in the last moment is answered, too.
        drain.close();
        while drain.running() > 0 {
            tokio::time::sleep(ANSWERED_EVERY).await;
        }
    };
    let why = tokio::select! {
        biased;
        () = std::future::ready(()), if end.is_hurried => "by a second signal",
        () = gone(end.heir.as_ref()) => return false,
        () = answered => return true,
        () = tokio::time::sleep(house.settings.limits.drain) => "because they did not end in time",
        () = signals.end_now() => {
            end.is_hurried = true;
            "by a second signal"
        }
    };
    drain.close();
    cut_off(drain, why).await;
    true
}

/// Resolves when a successor is gone that was there.
async fn gone(heir: Option<&Heir>) {
    let Some(heir) = heir else { return std::future::pending().await };
    while heir.is_there() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Has requests given up that are on their way, and gives them a moment to say so.
async fn cut_off(drain: &Drain, why: &str) {
    if drain.running() > 0 {
        tracing::warn!(running = drain.running(), "requests are cut off {why}");
    }
    drain.cut_off();
    let until = tokio::time::Instant::now() + LAST_WORDS;
    while drain.running() > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(ANSWERED_EVERY).await;
    }
}

/// The doors that are open to some people, until they are closed together.
struct Shift {
    end: watch::Sender<bool>,
    ending: watch::Receiver<bool>,
    handed_over: Arc<AtomicBool>,
    /// Every open door has one.
    open: mpsc::Sender<()>,
    closed: mpsc::Receiver<()>,
}

impl Shift {
    fn new() -> Self {
        let ((end, ending), (open, closed)) = (watch::channel(false), mpsc::channel(1));
        Self { end, ending, handed_over: Arc::default(), open, closed }
    }

    /// Closes them; the files of their sockets stay if somebody takes them over.
    async fn end(self, is_handed_over: bool) {
        let Self { end, handed_over, open, mut closed, .. } = self;
        handed_over.store(is_handed_over, Ordering::SeqCst);
        let _ = end.send(true);
        drop(open);
        // Who slips in while a door closes is inside, and waited for.
        while closed.recv().await.is_some() {}
    }
}

/// Opens all doors.
fn open(
    house: &House,
    doors: Doors,
    reloader: &Reloader,
    api: &Arc<Api>,
    drain: &Arc<Drain>,
    (clients, operators): (&Shift, &Shift),
) {
    let (store, telemetry, behind) = (house.store.clone(), house.telemetry.clone(), house.behind.clone());
    let metrics = &telemetry.metrics;
    let counters = GuestCounters {
        inside: metrics.connections.clone(),
        turned_away: metrics.connections_refused.clone(),
        failed: metrics.connections_failed.clone(),
    };
    for door in doors.api {
        let guests = Guests::new(house.settings.limits.connections, Some(counters.clone()));
        let (api, told) = (api.clone(), clients.ending.clone());
        start(door, guests, clients, move |connection| {
            let (api, told) = (api.clone(), told.clone());
            async move { api.serve(connection, told).await }
        });
    }
    if let Some((door, vending)) = doors.credentials {
        start_app(door, vending.clone(), clients, move |connection| vending.admits(connection.peer.origin().uid));
    }
    if let Some(door) = doors.health {
        start_app(door, Arc::new(Health::new(store.clone(), drain.clone(), behind.clone())), operators, |_| true);
    }
    let (address, tls) = (doors.admin_address, house.tls.clone());
    let admin = Admin::new(store, telemetry, drain.clone(), address, tls, reloader.clone(), behind);
    start_app(doors.admin, Arc::new(admin), operators, |_| true);
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
fn start<F, Fut>(door: Door, guests: Guests, leaving: &Shift, enter: F)
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
    leaving: &Shift,
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
