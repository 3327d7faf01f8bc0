//! THE KMS ELSEWHERE: forwarding what is permitted, and what its answers teach.
//!
//! It asks nobody whether a request is allowed: a [`Permit`] says so, and how it is to be executed. Whether an answer may
//! be released is for `authz` to say. A request is sent once; only what changes nothing is sent again, and only when a kept
//! connection turned out to be closed.

mod addresses;
mod check;
mod circuit;
mod credentials;
mod exchange;
mod heard;
mod keys;
mod knowledge;
mod listing;
mod lookups;
mod no_answer;
mod outgoing;
mod sending;
mod troubles;
mod warm;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

pub use check::check_files;
pub use credentials::{Credential, Profile, Report, cli_profile_in};
pub use exchange::{Failure, FailureKind, Received};

use crate::authn::Directory;
use crate::authz::{Owned, Permit};
use crate::kms::{Address, Call, Effect, Format, KeyId, RawRequest};
use crate::settings::{self, Mode, Settings};
use crate::source::Problem;
use crate::store::Store;
use crate::telemetry::UpstreamMetrics;
use addresses::{Addresses, Resolved};
use circuit::Circuit;
use exchange::Connections;
use heard::Heard;
use keys::{Key, Keys};
use knowledge::{Knowledge, Times};
use lookups::Asking;
pub use no_answer::NoAnswer;
use troubles::Troubles;

/// How often what was heard too long ago is forgotten.
const FORGET_EVERY: Duration = Duration::from_millis(500);

/// How soon a name is resolved again that could not be.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);

/// A KMS elsewhere.
pub struct Upstream {
    settings: settings::Upstream,
    region: String,
    /// What it is told its name is.
    host: String,
    connections: Connections,
    addresses: Addresses,
    circuit: Mutex<Circuit>,
    /// For requests on their way.
    room: Semaphore,
    keys: Keys,
    knowledge: Mutex<Knowledge>,
    asking: Asking,
    troubles: Arc<Troubles>,
    /// For who sets a policy there and here.
    setting: tokio::sync::Mutex<()>,
    store: Arc<Store>,
    metrics: UpstreamMetrics,
    clock: fn() -> Timestamp,
}

/// How it stands with a KMS elsewhere.
pub struct Standing {
    /// How many addresses there are, and how many of them are not left aside.
    pub addresses: (usize, usize),
    /// Whether nobody tries at present.
    pub is_circuit_open: bool,
    /// The credentials, by whose they are.
    pub credentials: Vec<(String, Report)>,
    /// What keeps it from being used, beside these: connections that cannot be made, and what KMS refuses Keyward.
    pub problems: Vec<String>,
}

impl Upstream {
    /// Nothing is connected yet; credentials are being fetched.
    ///
    /// # Errors
    /// The authorities cannot be used, or a thread cannot be started.
    pub fn open(
        settings: &Settings,
        upstream: &settings::Upstream,
        store: Arc<Store>,
        metrics: UpstreamMetrics,
        clock: fn() -> Timestamp,
    ) -> Result<Self, Vec<Problem>> {
        check::check_authorities(settings).map_err(|problem| vec![problem])?;
        if upstream.lookups && upstream.credentials.own.is_none() {
            tracing::warn!(
                "KMS cannot be asked what names stand for: there are no [upstream.credentials]. What needs one is refused, unless policies/resources.toml says it"
            );
        }
        let keys = Keys::start(upstream, clock);
        let keys = keys.map_err(|error| vec![Problem::of_file("upstream.credentials", error.to_string())])?;
        // The first one of a kind is not to be missed.
        NoAnswer::reasons().for_each(|reason| drop(metrics.errors.with_label_values(&[reason])));
        let ((failures, pause), troubles) = (upstream.circuit, Arc::<Troubles>::default());
        let opened = Self {
            region: settings.kms.region.clone(),
            host: upstream.endpoint.authority(),
            connections: Connections::new(upstream, metrics.clone(), troubles.clone()),
            addresses: Addresses::new(upstream.endpoint.clone(), upstream.networks.clone()),
            circuit: Mutex::new(Circuit::new(failures, pause)),
            room: Semaphore::new(upstream.requests),
            keys,
            knowledge: Mutex::new(Knowledge::new(upstream.remember)),
            asking: Asking::default(),
            troubles,
            setting: tokio::sync::Mutex::default(),
            settings: upstream.clone(),
            store,
            metrics,
            clock,
        };
        opened.publish();
        Ok(opened)
    }

    /// Where it is, as people write it.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.settings.endpoint.secure { "https" } else { "http" }, self.host)
    }

    /// How requests are forwarded.
    pub fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// Has a permitted request executed: its answer, as it came.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn execute(
        &self,
        permit: &Permit,
        raw: &RawRequest<'_>,
        directory: &Directory,
    ) -> Result<Received, NoAnswer> {
        let call = &permit.request().call;
        let changes = call.effect() == Effect::Write;
        let is_repeatable = matches!(call, Call::Known(operation) if operation.is_repeatable());
        match self.settings.mode {
            Mode::PassThrough => {
                let sent = outgoing::passed_through(raw, &permit.request().scheme, &self.host);
                let sent = sent.map_err(|_| self.counted(NoAnswer::Unsendable))?;
                // A signature is good for one sending.
                self.send(&|| Some(sent.clone()), changes, false).await
            }
            Mode::ReSign(sign_as) => {
                let key = self.keys.of(permit, sign_as, directory, (self.clock)());
                let key = key.ok_or_else(|| self.counted(NoAnswer::NoCredentials))?;
                let make = || Some(key.sign((self.clock)(), |signer| outgoing::re_signed(permit, &self.host, signer)));
                self.send(&make, changes, is_repeatable).await
            }
        }
    }

    /// Counts why there is no answer, where that was found out here.
    pub fn counted(&self, why: NoAnswer) -> NoAnswer {
        self.metrics.errors.with_label_values(&[why.reason()]).inc();
        why
    }

    /// Waits until nobody else is setting a policy.
    pub async fn one_policy_at_a_time(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.setting.lock().await
    }

    /// Notes that KMS does not accept what signs for the caller of this request, by the code and request id of its answer.
    pub fn refused_us(&self, permit: &Permit, directory: &Directory, (code, request_id): (&str, &str)) {
        self.counted(NoAnswer::CredentialsRefused);
        if let Mode::ReSign(sign_as) = self.settings.mode
            && let Some(key) = self.keys.of(permit, sign_as, directory, (self.clock)())
        {
            self.not_accepted(&permit.caller().to_string(), &key, code, request_id);
        }
    }

    fn not_accepted(&self, signs_for: &str, key: &Key, code: &str, request_id: &str) {
        let id = key.id();
        let what = format!("the access key {id} that signs for {signs_for}");
        if self.troubles.note(&what, format!("KMS does not accept it ({code}, request {request_id})"), Instant::now()) {
            tracing::error!(
                signs_for,
                access_key_id = id,
                code,
                request_id,
                "KMS does not accept what signs a request"
            );
        }
    }

    /// Notes that an answer was judged and may be released.
    pub fn released(&self) {
        self.metrics.judged.with_label_values(&["released"]).inc();
    }

    /// Notes that an answer was judged and is withheld.
    pub fn withheld(&self) {
        self.metrics.judged.with_label_values(&["withheld"]).inc();
    }

    /// Learns from the answer to a permitted request, which succeeded and is about `key`.
    pub fn learn(&self, permit: &Permit, answer: &Value, format: Format, key: Option<&Owned<KeyId>>, asked: Instant) {
        let account = permit.route().account.as_str();
        let here = Address { region: &self.region, account };
        let times = Times { asked, now: Instant::now() };
        Heard { knowledge: &mut self.lock_knowledge(), here, times }.answer_to(permit, answer, format, key);
        self.publish();
    }

    /// Forgets what a permitted request may change, before it is sent; when that was.
    pub fn change_begins(&self, permit: &Permit) -> Instant {
        let now = Instant::now();
        if permit.request().call.effect() == Effect::Write {
            self.lock_knowledge().change_begins(permit, now);
            self.ask_again();
            self.publish();
        }
        now
    }

    /// Forgets it once more when it is over, however it ended. If nobody knows how it ended, it `may_happen` yet.
    pub fn change_ends(&self, permit: &Permit, begun: Instant, may_happen: bool) {
        if permit.request().call.effect() == Effect::Write {
            self.lock_knowledge().change_ends(permit, begun, may_happen, Instant::now());
            self.ask_again();
            self.publish();
        }
    }

    /// Has judging know what was learned, if anything was.
    fn publish(&self) {
        let mut knowledge = self.lock_knowledge();
        if let Some(index) = knowledge.take_changed(Instant::now()) {
            self.metrics.names.set(i64::try_from(knowledge.len()).unwrap_or(i64::MAX));
            self.store.publish_index(index);
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing {
            addresses: self.addresses.count(),
            is_circuit_open: self.lock_circuit().is_open(),
            credentials: self.keys.reports(),
            problems: self.troubles.problems(Instant::now()),
        }
    }

    /// Sets the metrics that are only known when somebody looks.
    pub fn measure(&self) {
        let (now, (all, good)) = ((self.clock)(), self.addresses.count());
        for (state, count) in [("good", good), ("aside", all - good)] {
            self.metrics.addresses.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.keys.measure(&self.metrics, now);
        self.publish();
    }

    /// Has every credential fetched now, from wherever it comes. The last good one stays until there is a new one.
    pub fn refresh_credentials(&self) {
        self.keys.wake();
    }

    /// Does what has to be done again and again, as long as anybody serves: resolves the name of the endpoint, and lists
    /// what there is.
    pub async fn keep(self: Arc<Self>) {
        let listing = self.clone();
        let trying = self.clone();
        let forgetting = self.clone();
        tokio::join!(
            self.keep_resolved(),
            listing.keep_listed(),
            trying.keep_trying_addresses(),
            forgetting.keep_forgetting()
        );
    }

    /// Hearsay ends also where nobody asks anything.
    async fn keep_forgetting(&self) {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            self.publish();
        }
    }

    async fn keep_resolved(&self) {
        let Some((host, port)) = self.addresses.name() else { return };
        let mut works = true;
        loop {
            let found: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
                Ok(found) => found.collect(),
                Err(_) => Vec::new(),
            };
            let resolved = self.addresses.take(&found, Instant::now()) != Resolved::Unusable;
            if works && !resolved {
                tracing::error!(host, answers = found.len(), "the endpoint's name has no address that may be used");
            }
            works = resolved;
            tokio::time::sleep(if resolved { self.settings.resolve } else { RESOLVE_AGAIN }).await;
        }
    }

    fn lock_knowledge(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
