//! `keyward serve`: load everything or name every mistake, then serve until told to end.

use std::fmt::{self, Display};
use std::sync::Arc;

use jiff::Timestamp;

use super::banner;
use super::doors::{self, Doors};
use super::succession::{self, Prepared, Succession};
use super::{Exit, SettingsFile, lifecycle, memory, now, signals};
use crate::authn::SessionKey;
use crate::listen::Tls;
use crate::local_kms::{LocalKms, OpenError, check_seed};
use crate::proxy::Behind;
use crate::settings::{AuditTarget, Policies, Settings};
use crate::source::{Problem, shown};
use crate::store::{Store, Watcher};
use crate::telemetry::{Audit, Telemetry, init_logs};
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
pub enum NotStarted {
    /// Something that a person wrote cannot be used.
    Problems(Vec<Problem>),
    /// Something that the machine does not give.
    Failed(String),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Problems(problems) => {
                let problems: Vec<String> =
                    problems.iter().map(|problem| problem.to_string().trim().to_owned()).collect();
                f.write_str(&problems.join("; "))
            }
        }
    }
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
    let Succession { mut inherited, memory, prepared } = match arguments.take_over {
        true => succession::take_over(&settings, arguments.ephemeral)?,
        false => Succession::none()?,
    };
    let house = build(settings, arguments, prepared)?;
    let watcher = Watcher::start(house.store.clone(), &house.settings.policies, now);
    let watcher = watcher.map_err(|error| failed("the thread that watches policies cannot be started", &error))?;
    let tls_watcher = house.tls.clone().map(|tls| watch_tls(tls, &house.settings.policies)).transpose()?;
    let doors = Doors::take(&house, &mut inherited).map_err(NotStarted::Failed)?;
    inherited.close();
    let memory = memory::of(house.settings.signatures.nonces, memory.as_deref()).map_err(NotStarted::Failed)?;
    banner::welcome(&house, &doors, &arguments.settings.config);
    let successor = lifecycle::run(&house, doors, &watcher.reloader(), memory).map_err(NotStarted::Failed)?;
    drop((watcher, tls_watcher));
    house.telemetry.audit.finish();
    // The successor goes on when this process has ended, and nothing is open any more.
    std::mem::forget(successor);
    Ok(())
}

/// Takes new certificates as they come.
fn watch_tls(tls: Arc<Tls>, policies: &Policies) -> Result<Watcher, NotStarted> {
    let looking = tls.clone();
    let watcher = Watcher::of_files(tls.files(), policies, move || looking.reload());
    watcher.map_err(|error| failed("the thread that watches TLS files cannot be started", &error))
}

fn build(mut settings: Settings, arguments: &Serve, prepared: Prepared) -> Result<House, NotStarted> {
    let Prepared { metrics, audit, tls: tls_before, store: store_before, sessions, upstream } = prepared;
    let tls = settings.listen.tls.as_ref().map(|(_, tls)| Tls::open(tls)).transpose();
    if arguments.ephemeral {
        // Nothing is written, and nothing that somebody else wrote is opened for it.
        settings.policies.last_good = None;
    }
    let tls = succession::or_before(tls, tls_before.map(Some));
    let store = succession::or_before(open_store(&settings, arguments.ephemeral), store_before);
    let (store, tls) = match (store, tls) {
        (Ok(store), Ok(tls)) => (store, tls.map(Arc::new)),
        (store, tls) => {
            // All mistakes at once, also those that would come later.
            let mut problems: Vec<Problem> = [store.err(), tls.err()].into_iter().flatten().flatten().collect();
            problems.extend(settings.kms.seed.as_deref().map(check_seed).unwrap_or_default());
            return Err(NotStarted::Problems(problems));
        }
    };
    let audit = match audit {
        Some(audit) => audit,
        None => Audit::start(&settings.log.audit, metrics.audit_dropped.clone())
            .map_err(|error| audit_failed(&settings, &error))?,
    };
    let telemetry = Telemetry { metrics: Arc::new(metrics), audit: Arc::new(audit) };
    let behind = behind(&settings, arguments, &store, &telemetry, (sessions, upstream))?;
    telemetry.metrics.trust_upstream.set(i64::from(settings.signatures.rules.trust_upstream));
    Ok(House { settings, store, behind, tls, telemetry, ephemeral: arguments.ephemeral })
}

fn open_store(settings: &Settings, is_ephemeral: bool) -> Result<Arc<Store>, Vec<Problem>> {
    let mut store = Store::open(settings, now())?;
    if is_ephemeral {
        store.keep_in_memory();
    } else {
        store.sweep();
    }
    store.keep_last_good();
    Ok(Arc::new(store))
}

/// The KMS that the settings name, or the embedded one.
fn behind(
    settings: &Settings,
    arguments: &Serve,
    store: &Arc<Store>,
    telemetry: &Telemetry,
    (sessions, prepared): (Option<SessionKey>, Option<Upstream>),
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
    let sessions = match sessions {
        Some(sessions) => sessions,
        None => succession::session_key(settings, arguments.ephemeral)?,
    };
    store.publish_sessions(Arc::new(sessions));
    let metrics = telemetry.metrics.elsewhere.clone();
    let upstream = match prepared {
        Some(prepared) => Ok(prepared.over(store.clone())),
        None => Upstream::open(settings, upstream, store.clone(), metrics, now),
    };
    upstream.map(|upstream| Behind::Elsewhere(Arc::new(upstream))).map_err(NotStarted::Problems)
}

/// The audit trail cannot be opened.
pub fn audit_failed(settings: &Settings, error: &dyn Display) -> NotStarted {
    let target = match &settings.log.audit {
        AuditTarget::File(path) => shown(path),
        _ => "its thread".to_owned(),
    };
    failed(&format!("the audit trail (log.audit) cannot be written to {target}"), error)
}

/// What could not be done, and why.
pub fn failed(what: &str, error: &dyn Display) -> NotStarted {
    NotStarted::Failed(format!("{what}: {error}"))
}
