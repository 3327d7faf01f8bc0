//! `keyward serve`: load everything or name every mistake, then serve until told to end.

use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;

use super::banner;
use super::doors::{self, Doors};
use super::{Exit, SettingsFile, lifecycle, now, signals};
use crate::listen::{Inherited, Successor, Tls};
use crate::local_kms::{LocalKms, OpenError, check_seed};
use crate::proxy::Behind;
use crate::served;
use crate::settings::{AuditTarget, Policies, Settings};
use crate::source::{Problem, shown};
use crate::store::{Store, Watcher, inspect};
use crate::telemetry::{Audit, Metrics, Telemetry, init_logs};
use crate::upstream::Upstream;

/// Arguments of `keyward serve`.
#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    settings: SettingsFile,
    /// Keep everything in memory: nothing is read or written in the data folder, and everything ends with the process
    #[arg(long)]
    ephemeral: bool,
    /// Count ids of keys and versions from 1, and have everything that is kept happen at one time
    #[arg(long, value_name = "TIME", requires = "ephemeral", num_args = 0..=1,
          default_missing_value = "2026-01-01T00:00:00Z")]
    repeatable: Option<Timestamp>,
    /// Wait at listen.handover until the Keyward that serves now hands over (on SIGQUIT), and go on at its sockets
    #[arg(long)]
    take_over: bool,
}

/// Everything that serves.
pub struct House {
    /// What is in the settings file.
    pub settings: Settings,
    /// Policies and identities.
    pub store: Arc<Store>,
    /// The KMS that executes what is permitted.
    pub behind: Behind,
    /// The TLS of the API, if it has any.
    pub tls: Option<Arc<Tls>>,
    /// Where records go.
    pub telemetry: Telemetry,
    /// Whether what the KMS holds ends with the process.
    pub ephemeral: bool,
}

/// Why serving could not begin.
enum NotStarted {
    /// Something that a person wrote cannot be used.
    Problems(Vec<Problem>),
    /// Something that the machine does not give.
    Failed(String),
}

/// Serves until SIGTERM or Ctrl-C.
pub fn run(arguments: &Serve) -> Exit {
    match serve(arguments) {
        Ok(()) => Exit::Yes,
        Err(NotStarted::Problems(problems)) => {
            banner::problems(&problems);
            Exit::No
        }
        Err(NotStarted::Failed(message)) => {
            banner::failure(&message);
            Exit::CouldNotSay
        }
    }
}

fn serve(arguments: &Serve) -> Result<(), NotStarted> {
    let mut settings = Settings::load(&arguments.settings.config).map_err(NotStarted::Problems)?;
    let _logs = init_logs(&settings.log);
    let _signals = signals::ignore().map_err(NotStarted::Failed)?;
    doors::make_room(&mut settings.limits, &settings.listen);
    // A dump of this process would hold keys and plaintexts. Where it cannot be forbidden, it is the system's affair.
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0);
    let (mut inherited, memory, prepared) = match arguments.take_over {
        true => take_over(&settings, arguments)?,
        false => (Inherited::default(), None, Prepared::new()?),
    };
    let house = build(settings, arguments, prepared)?;
    let watcher = Watcher::start(house.store.clone(), &house.settings.policies, now);
    let watcher = watcher.map_err(|error| failed("the thread that watches policies cannot be started", &error))?;
    let tls_watcher = house.tls.clone().map(|tls| watch_tls(tls, &house.settings.policies)).transpose()?;
    let doors = Doors::take(&house, &mut inherited).map_err(NotStarted::Failed)?;
    inherited.close();
    let memory = lifecycle::memory(house.settings.signatures.nonces, memory.as_deref()).map_err(NotStarted::Failed)?;
    banner::welcome(&house, &doors, &arguments.settings.config);
    let successor = lifecycle::run(&house, doors, &watcher.reloader(), memory).map_err(NotStarted::Failed)?;
    drop((watcher, tls_watcher));
    house.telemetry.audit.finish();
    // The successor goes on when this process has ended, and nothing is open any more.
    std::mem::forget(successor);
    Ok(())
}

/// What a successor has ready before whoever serves begins to end.
struct Prepared {
    metrics: Metrics,
    upstream: Option<Upstream>,
}

impl Prepared {
    /// Nothing but metrics.
    fn new() -> Result<Self, NotStarted> {
        let metrics = Metrics::new().map_err(|error| failed("metrics cannot be set up", &error))?;
        Ok(Self { metrics, upstream: None })
    }

    /// Everything that can be had while somebody else serves: what would keep this one from serving is found now.
    fn for_taking_over(settings: &Settings, arguments: &Serve) -> Result<Self, NotStarted> {
        let mut found = inspect(settings).problems;
        found.extend(settings.kms.seed.as_deref().map(check_seed).unwrap_or_default());
        if !found.is_empty() {
            return Err(NotStarted::Problems(found));
        }
        settings.listen.tls.as_ref().map(|(_, tls)| Tls::open(tls)).transpose().map_err(NotStarted::Problems)?;
        Audit::check(&settings.log.audit).map_err(|error| audit_failed(settings, &error))?;
        if !arguments.ephemeral {
            served::open(&settings.kms.data).map_err(|error| NotStarted::Failed(error.to_string()))?;
        }
        let mut prepared = Self::new()?;
        let Some(upstream) = &settings.upstream else { return Ok(prepared) };
        let store = Arc::new(Store::open(settings, now()).map_err(NotStarted::Problems)?);
        let metrics = prepared.metrics.elsewhere.clone();
        let upstream = Upstream::open(settings, upstream, store, metrics, now).map_err(NotStarted::Problems)?;
        upstream.warm_up().map_err(NotStarted::Failed)?;
        prepared.upstream = Some(upstream);
        Ok(prepared)
    }
}

/// Waits until whoever serves now handed over, and is gone.
fn take_over(settings: &Settings, arguments: &Serve) -> Result<(Inherited, Option<Vec<u8>>, Prepared), NotStarted> {
    let Some(path) = &settings.listen.handover else {
        return Err(NotStarted::Failed("--take-over needs listen.handover in the settings".to_owned()));
    };
    let prepared = Prepared::for_taking_over(settings, arguments)?;
    let cannot =
        |why| NotStarted::Failed(format!("nobody can hand over at listen.handover = \"{}\": {why}", shown(path)));
    let successor = Successor::wait_at(path).map_err(cannot)?;
    banner::waiting(path);
    let (inherited, predecessor) =
        successor.accept(|inherited| doors::reserve(settings, inherited)).map_err(|error| cannot(error.to_string()))?;
    tracing::info!("taking over when the one that serves has answered its requests");
    let memory = predecessor.gone();
    if memory.is_none() {
        tracing::warn!("the one that served ended before it handed over what it remembers of requests");
    }
    Ok((inherited, memory, prepared))
}

/// Takes new certificates as they come.
fn watch_tls(tls: Arc<Tls>, policies: &Policies) -> Result<Watcher, NotStarted> {
    let looking = tls.clone();
    let watcher = Watcher::of_files(tls.files(), policies, move || looking.reload());
    watcher.map_err(|error| failed("the thread that watches TLS files cannot be started", &error))
}

fn build(settings: Settings, arguments: &Serve, prepared: Prepared) -> Result<House, NotStarted> {
    let tls = settings.listen.tls.as_ref().map(|(_, tls)| Tls::open(tls)).transpose();
    let mut settings = settings;
    if arguments.ephemeral {
        // Nothing is written, and nothing that somebody else wrote is opened for it.
        settings.policies.last_good = None;
    }
    let store = Store::open(&settings, now());
    let (store, tls) = match (store, tls) {
        (Ok(mut store), Ok(tls)) => {
            if arguments.ephemeral {
                store.keep_in_memory();
            } else {
                store.sweep();
            }
            store.keep_last_good();
            (Arc::new(store), tls.map(Arc::new))
        }
        (store, tls) => {
            // All mistakes at once, also those that would come later.
            let mut problems: Vec<Problem> = [store.err(), tls.err()].into_iter().flatten().flatten().collect();
            problems.extend(settings.kms.seed.as_deref().map(check_seed).unwrap_or_default());
            return Err(NotStarted::Problems(problems));
        }
    };
    let Prepared { metrics, upstream } = prepared;
    let audit = Audit::start(&settings.log.audit, metrics.audit_dropped.clone());
    let audit = audit.map_err(|error| audit_failed(&settings, &error))?;
    let telemetry = Telemetry { metrics: Arc::new(metrics), audit: Arc::new(audit) };
    let behind = behind(&settings, arguments, &store, &telemetry, upstream)?;
    telemetry.metrics.trust_upstream.set(i64::from(settings.signatures.rules.trust_upstream));
    Ok(House { settings, store, behind, tls, telemetry, ephemeral: arguments.ephemeral })
}

/// The KMS that the settings name, or the embedded one.
fn behind(
    settings: &Settings,
    arguments: &Serve,
    store: &Arc<Store>,
    telemetry: &Telemetry,
    prepared: Option<Upstream>,
) -> Result<Behind, NotStarted> {
    let told = |error: OpenError| match error {
        OpenError::Seed(problems) => NotStarted::Problems(problems),
        other => NotStarted::Failed(other.to_string()),
    };
    let Some(upstream) = &settings.upstream else {
        let kms = match arguments.ephemeral {
            true => LocalKms::ephemeral(&settings.kms, store.clone(), arguments.repeatable, now()),
            false => LocalKms::open(&settings.kms, store.clone(), now()),
        };
        return kms.map(|kms| Behind::Embedded(Arc::new(kms))).map_err(told);
    };
    let sessions = if arguments.ephemeral { served::ephemeral() } else { served::open(&settings.kms.data) };
    let sessions = sessions.map_err(|error| NotStarted::Failed(error.to_string()))?;
    store.publish_sessions(Arc::new(sessions));
    let metrics = telemetry.metrics.elsewhere.clone();
    let upstream = match prepared {
        Some(prepared) => Ok(prepared.over(store.clone())),
        None => Upstream::open(settings, upstream, store.clone(), metrics, now),
    };
    upstream.map(|upstream| Behind::Elsewhere(Arc::new(upstream))).map_err(NotStarted::Problems)
}

fn audit_failed(settings: &Settings, error: &dyn Display) -> NotStarted {
    let target = match &settings.log.audit {
        AuditTarget::File(path) => shown(path),
        _ => "its thread".to_owned(),
    };
    failed(&format!("the audit trail (log.audit) cannot be written to {target}"), error)
}

fn failed(what: &str, error: &dyn Display) -> NotStarted {
    NotStarted::Failed(format!("{what}: {error}"))
}
