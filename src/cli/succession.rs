//! Taking over from a Keyward that serves: everything is ready before that one begins to end, and what was ready is good
//! enough if something breaks in the meantime.

use std::cell::RefCell;
use std::sync::Arc;

use super::serve::{NotStarted, audit_failed, failed};
use super::{banner, doors, now};
use crate::authn::SessionKey;
use crate::listen::{Inherited, Successor, Tls};
use crate::local_kms::{LocalKms, check_seed};
use crate::served;
use crate::settings::Settings;
use crate::source::{Problem, shown};
use crate::store::{Store, inspect};
use crate::telemetry::{Audit, Metrics};
use crate::upstream::Upstream;

/// What serving begins with.
pub struct Succession {
    /// Sockets that were handed over, and those that were taken beside them.
    pub inherited: Inherited,
    /// What a predecessor remembers of requests, if there was one that told.
    pub memory: Option<Vec<u8>>,
    /// What is ready.
    pub prepared: Prepared,
}

impl Succession {
    /// Without a predecessor.
    ///
    /// # Errors
    /// Metrics cannot be set up.
    pub fn none() -> Result<Self, NotStarted> {
        Ok(Self { inherited: Inherited::default(), memory: None, prepared: Prepared::new()? })
    }
}

/// What a successor has ready before whoever serves begins to end.
pub struct Prepared {
    /// Where everything is counted.
    pub metrics: Metrics,
    /// The open audit trail.
    pub audit: Option<Audit>,
    /// The TLS of the API.
    pub tls: Option<Tls>,
    /// Policies and identities.
    pub store: Option<Arc<Store>>,
    /// The key of role sessions, in front of a KMS elsewhere.
    pub sessions: Option<SessionKey>,
    /// That KMS, with credentials and addresses.
    pub upstream: Option<Upstream>,
}

impl Prepared {
    fn new() -> Result<Self, NotStarted> {
        let metrics = Metrics::new().map_err(|error| failed("metrics cannot be set up", &error))?;
        Ok(Self { metrics, audit: None, tls: None, store: None, sessions: None, upstream: None })
    }

    /// Everything that can be had while somebody else serves: what would keep this one from serving is found now.
    fn for_taking_over(settings: &Settings, is_ephemeral: bool) -> Result<Self, NotStarted> {
        let mut prepared = Self::new()?;
        prepared.look_again(settings, is_ephemeral)?;
        let audit = Audit::start(&settings.log.audit, prepared.metrics.audit_dropped.clone());
        prepared.audit = Some(audit.map_err(|error| audit_failed(settings, &error))?);
        if let (Some(upstream), Some(store)) = (&settings.upstream, &prepared.store) {
            let metrics = prepared.metrics.elsewhere.clone();
            let upstream = Upstream::open(settings, upstream, store.clone(), metrics, now);
            let upstream = upstream.map_err(NotStarted::Problems)?;
            upstream.warm_up().map_err(NotStarted::Failed)?;
            prepared.upstream = Some(upstream);
        }
        Ok(prepared)
    }

    /// Reads all files once more.
    fn look_again(&mut self, settings: &Settings, is_ephemeral: bool) -> Result<(), NotStarted> {
        let mut found = inspect(settings).problems;
        found.extend(settings.kms.seed.as_deref().map(check_seed).unwrap_or_default());
        if !found.is_empty() {
            return Err(NotStarted::Problems(found));
        }
        if settings.upstream.is_none() && !is_ephemeral {
            LocalKms::check(&settings.kms, now()).map_err(|error| NotStarted::Failed(error.to_string()))?;
        }
        let tls = settings.listen.tls.as_ref().map(|(_, tls)| Tls::open(tls)).transpose();
        self.tls = tls.map_err(NotStarted::Problems)?;
        let sessions = session_key(settings, is_ephemeral)?;
        self.sessions = settings.upstream.is_some().then_some(sessions);
        // The copy of what was in force is still open elsewhere.
        let mut without_copy = settings.clone();
        without_copy.policies.last_good = None;
        let mut store = Store::open(&without_copy, now()).map_err(NotStarted::Problems)?;
        if is_ephemeral {
            store.keep_in_memory();
        }
        self.store = Some(Arc::new(store));
        Ok(())
    }
}

/// The key of role sessions.
///
/// # Errors
/// It cannot be read or made.
pub fn session_key(settings: &Settings, is_ephemeral: bool) -> Result<SessionKey, NotStarted> {
    let sessions = if is_ephemeral { served::ephemeral() } else { served::open(&settings.kms.data) };
    sessions.map_err(|error| NotStarted::Failed(error.to_string()))
}

/// Waits until whoever serves now handed over, and is gone.
///
/// # Errors
/// This one could not serve, or nobody can hand over.
pub fn take_over(settings: &Settings, is_ephemeral: bool) -> Result<Succession, NotStarted> {
    let Some(path) = &settings.listen.handover else {
        return Err(NotStarted::Failed("--take-over needs listen.handover in the settings".to_owned()));
    };
    let prepared = RefCell::new(Prepared::for_taking_over(settings, is_ephemeral)?);
    let cannot =
        |why| NotStarted::Failed(format!("nobody can hand over at listen.handover = \"{}\": {why}", shown(path)));
    let successor = Successor::wait_at(path).map_err(cannot)?;
    banner::waiting(path);
    // A while may have gone by since everything was ready.
    let can_serve = |inherited| {
        prepared.borrow_mut().look_again(settings, is_ephemeral).map_err(|why| why.to_string())?;
        doors::reserve(settings, inherited)
    };
    loop {
        let (inherited, predecessor) = successor.accept(can_serve).map_err(|error| cannot(error.to_string()))?;
        tracing::info!("taking over when the one that serves has answered its requests");
        match predecessor.gone() {
            Ok(memory) => {
                if memory.is_none() {
                    tracing::warn!("the one that served ended before it handed over what it remembers of requests");
                }
                return Ok(Succession { inherited, memory, prepared: prepared.into_inner() });
            }
            Err(error) => tracing::warn!(%error, "the one that serves did not hand over; still waiting"),
        }
    }
}

/// What was opened, or what was ready before, if it cannot be opened any more.
///
/// # Errors
/// Neither is there.
pub fn or_before<T>(opened: Result<T, Vec<Problem>>, before: Option<T>) -> Result<T, Vec<Problem>> {
    match (opened, before) {
        (Err(problems), Some(before)) => {
            for problem in problems {
                tracing::error!(%problem, "this broke while somebody else served; it is used as it was before");
            }
            Ok(before)
        }
        (opened, _) => opened,
    }
}
