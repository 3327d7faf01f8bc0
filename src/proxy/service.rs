//! The service: connections, and the path of one request through them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version as HttpVersion;
use jiff::Timestamp;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use super::client::{Client, begins, ended, send, watch};
use super::drain::{Drain, Running};
use super::forward::{self, Patience};
use super::receive::{HEAD_BYTES_MAX, Unreceived, receive};
use super::reply::{Executed, Told};
use super::throttle::Throttle;
use super::turns::Turns;
use crate::authn::{Remembered, ReplayMemory};
use crate::authz::{Judgement, Permit, Snapshot, Trail, authorize};
use crate::kms::{Answer, ErrorCode, Format, Origin, RawRequest};
use crate::listen::{Allowance, Connection, Peer};
use crate::local_kms::{LocalKms, Work};
use crate::served::{self, Asked};
use crate::settings::{Limits, Settings};
use crate::store::{PolicyChange, Store};
use crate::telemetry::{Record, Telemetry};
use crate::upstream::Upstream;

/// How long a connection may be idle. Clients keep connections for reuse and take it badly when one is closed under them.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// The API as applications see it.
pub struct Api {
    store: Arc<Store>,
    behind: Behind,
    telemetry: Telemetry,
    limits: Limits,
    throttle: Throttle,
    drain: Arc<Drain>,
    replays: Option<Mutex<ReplayMemory>>,
    turns: Turns,
    /// Whether answers say which set of policies judged them.
    version_header: bool,
}

/// The KMS that executes what is permitted.
#[derive(Clone)]
pub enum Behind {
    /// The embedded one.
    Embedded(Arc<LocalKms>),
    /// Another one.
    Elsewhere(Arc<Upstream>),
}

/// What is sent back, and what is recorded about it.
struct Outcome {
    trail: Trail,
    answer: Answer,
    code: Option<String>,
    decision: Duration,
    upstream: Option<Duration>,
    changes: Vec<PolicyChange>,
    told: Told,
    /// Whether the client still waited for it.
    is_delivered: bool,
}

impl Api {
    /// A service over this store and KMS.
    pub fn new(
        store: Arc<Store>,
        behind: Behind,
        telemetry: Telemetry,
        settings: &Settings,
        drain: Arc<Drain>,
        replays: Option<ReplayMemory>,
    ) -> Self {
        let replays = replays.map(Mutex::new);
        let limits = settings.limits.clone();
        let version_header = settings.policies.version_header;
        let throttle = Throttle::new(&settings.throttle);
        let turns = Turns::leaving_a_core();
        Self { store, behind, telemetry, limits, throttle, drain, replays, turns, version_header }
    }

    /// The requests that were taken and could still be sent again, for a successor.
    pub fn remembers(&self) -> Option<Remembered> {
        let memory = self.replays.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(memory.remembers())
    }

    /// Answers one request after the other, until the client or the service ends.
    pub async fn serve(&self, connection: Connection, mut ending: ShutdownWatch) {
        let Connection { stream, allowance, mut peer, guest: _guest } = connection;
        let mut next = Some(stream);
        // Who has not asked anything yet has no connection worth keeping.
        let (mut patience, mut was_answered) = (self.limits.request, false);
        while let Some(mut stream) = next.take() {
            let begun = tokio::select! {
                begun = begins(&mut stream, patience) => begun,
                // Who was answered knows that it ends, and asks nothing more. Who came late may be about to ask.
                () = ended(&mut ending), if was_answered => None,
            };
            if begun.is_none() || !peer.may_stay() {
                return;
            }
            next = self.serve_one(stream, &allowance, &mut peer, &ending).await;
            (patience, was_answered) = (KEEPALIVE, true);
        }
    }

    /// Answers one request. Returns the connection if another one may follow.
    async fn serve_one(
        &self,
        stream: Stream,
        allowance: &Allowance,
        peer: &mut Peer,
        ending: &ShutdownWatch,
    ) -> Option<Stream> {
        let _running = Running::new(&self.drain.count, &self.telemetry.metrics.running);
        // Counted first, and looked then: whoever waits for the last one does not miss this one.
        if self.drain.is_over() {
            return None;
        }
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(KEEPALIVE.as_secs()));
        // One deadline for the whole request: the time between two bytes of it does not count anew.
        let deadline = tokio::time::Instant::now() + self.limits.request;
        allowance.begin(HEAD_BYTES_MAX);
        let read = tokio::time::timeout_at(deadline, session.read_request()).await;
        let head_is_too_long = allowance.is_exhausted();
        allowance.set(usize::MAX);
        let received = match read {
            Ok(Ok(false)) => return None,
            Ok(Ok(true)) => receive(&mut session, allowance, self.limits.body_bytes, deadline).await,
            Ok(_) if head_is_too_long => return self.refuse_head(session, peer, &Unreceived::head_too_long()).await,
            Ok(Err(error)) => return self.refuse_head(session, peer, &Unreceived::unparsable(&error)).await,
            Err(_) => return self.refuse_head(session, peer, &Unreceived::too_slow()).await,
        };
        let origin = peer.origin();
        let is_kept = session.req_header().version == HttpVersion::HTTP_11;
        let mut reusable = is_kept && received.is_ok();
        let outcome = match &self.behind {
            Behind::Embedded(_) => self.judge(session.req_header(), origin, received, &Notify::new()).await,
            Behind::Elsewhere(_) => {
                let (outcome, client) = self.judge_watching(&mut session, origin, received).await;
                reusable &= client == Client::Waits;
                outcome
            }
        };
        // The door that it came through may be closed for good when others are opened again.
        let may_ask_again = !self.drain.is_ending() && !*ending.borrow();
        self.conclude(session, origin, outcome, reusable && may_ask_again).await
    }

    /// The same, with an eye on the client: a KMS elsewhere takes its time, and who has left need not be answered.
    async fn judge_watching(
        &self,
        session: &mut ServerSession,
        origin: &Origin,
        received: Result<Bytes, Unreceived>,
    ) -> ((String, Outcome), Client) {
        let (head, left) = (session.req_header().clone(), Notify::new());
        let mut answering = std::pin::pin!(self.judge(&head, origin, received, &left));
        let client = tokio::select! {
            outcome = &mut answering => return (outcome, Client::Waits),
            client = watch(session) => client,
        };
        if client == Client::Left {
            left.notify_one();
        }
        let (request_id, mut outcome) = answering.await;
        outcome.is_delivered = client != Client::Left;
        ((request_id, outcome), client)
    }

    /// Answers a request of which not even the head could be read.
    async fn refuse_head(&self, session: ServerSession, peer: &mut Peer, why: &Unreceived) -> Option<Stream> {
        let outcome = self.unreceived(Format::Json, "", why);
        self.conclude(session, peer.origin(), outcome, false).await
    }

    async fn judge(
        &self,
        head: &RequestHeader,
        origin: &Origin,
        received: Result<Bytes, Unreceived>,
        left: &Notify,
    ) -> (String, Outcome) {
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let body = match &received {
            Ok(body) => body.as_ref(),
            Err(_) => &[],
        };
        let target = String::from_utf8_lossy(head.raw_path());
        let raw = RawRequest { method: head.method.as_str(), target: &target, headers: &head.headers, body, origin };
        match &received {
            Ok(_) => self.answer(&raw, host, left).await,
            Err(unreceived) => self.unreceived(Format::requested(&raw), host, unreceived),
        }
    }

    /// The path of a request that was received whole.
    async fn answer(&self, raw: &RawRequest<'_>, host: &str, left: &Notify) -> (String, Outcome) {
        let request_id = new_request_id();
        let (now, begin) = (now(), Instant::now());
        let (snapshot, judgement) = match &self.behind {
            Behind::Embedded(_) => {
                let snapshot = self.store.current();
                let judgement = authorize(&snapshot, raw, now);
                (snapshot, judgement)
            }
            Behind::Elsewhere(upstream) => forward::judge(upstream, &self.store, raw, now).await,
        };
        let Judgement { mut trail, verdict, .. } = self.once(judgement, now);
        let decision = begin.elapsed();
        let begin = Instant::now();
        let (operation, format, executed) = match verdict {
            Ok(permit) => {
                let operation = permit.request().call.name().to_owned();
                let format = permit.request().format;
                (operation, format, self.execute(&snapshot, permit, raw, &mut trail, (now, left)).await)
            }
            Err(rejection) => (String::new(), Format::requested(raw), Executed::failed(rejection.error())),
        };
        let upstream = (!operation.is_empty()).then(|| begin.elapsed());
        let Executed { result, changes, told } = executed;
        let code = result.as_ref().err().map(|error| error.code.as_str().to_owned()).or_else(|| told.code.clone());
        let answer = match result {
            Ok(reply) => reply.into_answer(format, &operation, &request_id),
            Err(error) => Answer::error(Format::requested(raw), host, &request_id, &error),
        };
        (request_id, Outcome { trail, answer, code, decision, upstream, changes, told, is_delivered: true })
    }

    /// Lets a request through once, if requests are remembered.
    fn once(&self, judgement: Judgement, now: Timestamp) -> Judgement {
        match &self.replays {
            // A panic while the lock was held may have lost a nonce that was being noted, and no other.
            Some(replays) => {
                let mut memory = replays.lock().unwrap_or_else(PoisonError::into_inner);
                let judgement = judgement.once(&mut memory, now);
                self.telemetry.metrics.remembered(&memory);
                judgement
            }
            None => judgement,
        }
    }

    /// Has a permitted request executed, unless its caller asked for too much.
    async fn execute(
        &self,
        snapshot: &Snapshot,
        permit: Permit,
        raw: &RawRequest<'_>,
        trail: &mut Trail,
        (now, left): (Timestamp, &Notify),
    ) -> Executed {
        if let Err(class) = self.throttle.take(&permit) {
            self.telemetry.metrics.throttled.with_label_values(&[class.name()]).inc();
            return Executed::failed(ErrorCode::Throttling.into());
        }
        match &self.behind {
            Behind::Embedded(kms) => self.execute_embedded(kms, permit, now).await,
            Behind::Elsewhere(_) if permit.route().is_served => self.serve_here(permit, now).await,
            Behind::Elsewhere(upstream) => {
                let patience = Patience { left, drain: &self.drain };
                forward::execute(upstream, &self.store, snapshot, &permit, raw, trail, (now, &patience)).await
            }
        }
    }

    /// What blocks, on a thread that may. Whatever is computed for long leaves a core to the others.
    async fn execute_embedded(&self, kms: &Arc<LocalKms>, permit: Permit, now: Timestamp) -> Executed {
        let here = |executed: crate::local_kms::Executed| Executed::here(executed.result, executed.changes);
        let _turn = match kms.work(&permit, now) {
            Work::Quick => return here(kms.execute(&permit, now)),
            Work::Waits => None,
            Work::Computes => match self.turns.take().await {
                Ok(turn) => Some(turn),
                Err(error) => return Executed::failed(error),
            },
        };
        let kms = kms.clone();
        let executed = tokio::task::spawn_blocking(move || kms.execute(&permit, now)).await;
        executed.map_or_else(|_| Executed::failed(ErrorCode::InternalFailure.into()), here)
    }

    /// What is answered here, whichever KMS is behind.
    async fn serve_here(&self, permit: Permit, now: Timestamp) -> Executed {
        let store = self.store.clone();
        let served = tokio::task::spawn_blocking(move || {
            let (result, changes) = served::execute(&Asked { permit: &permit, store: &store, now });
            Executed::here(result, changes)
        });
        served.await.unwrap_or_else(|_| Executed::failed(ErrorCode::InternalFailure.into()))
    }

    fn unreceived(&self, format: Format, host: &str, unreceived: &Unreceived) -> (String, Outcome) {
        let request_id = new_request_id();
        let answer = Answer::error(format, host, &request_id, &unreceived.error);
        let outcome = Outcome {
            trail: Trail::unreadable(self.store.current().version.clone(), unreceived.reason),
            answer,
            code: Some(unreceived.error.code.as_str().to_owned()),
            decision: Duration::ZERO,
            upstream: None,
            changes: Vec::new(),
            told: Told::default(),
            is_delivered: true,
        };
        (request_id, outcome)
    }

    /// Sends the answer and records it.
    async fn conclude(
        &self,
        mut session: ServerSession,
        origin: &Origin,
        (request_id, outcome): (String, Outcome),
        reusable: bool,
    ) -> Option<Stream> {
        if !reusable {
            session.set_keepalive(None);
        }
        let (answer, trail) = (outcome.answer, outcome.trail);
        let status = answer.status;
        let version = self.version_header.then_some(&trail.version);
        // Whoever reads too slowly is left alone, so that nobody holds a place for ever.
        let sent = timeout(self.limits.request, send(&mut session, &request_id, version, answer)).await;
        let is_delivered = outcome.is_delivered && sent.is_ok_and(|sent| sent.is_ok());
        self.telemetry.record(&Record {
            time: now(),
            request_id: &request_id,
            origin,
            trail: &trail,
            status,
            code: outcome.code.as_deref(),
            decision: outcome.decision,
            upstream: outcome.upstream,
            executed: outcome.told.executed,
            upstream_error: outcome.told.error,
            upstream_request_id: outcome.told.request_id.as_deref(),
            upstream_code: outcome.told.code.as_deref(),
            is_delivered,
            changes: &outcome.changes,
        });
        let finished = match is_delivered {
            true => timeout(self.limits.request, session.finish()).await.ok()?.ok()??,
            false => return None,
        };
        Some(finished.into_parts().0).filter(|_| reusable)
    }
}

fn new_request_id() -> String {
    Uuid::new_v4().hyphenated().encode_upper(&mut Uuid::encode_buffer()).to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a request is judged at the time it arrives")]
fn now() -> Timestamp {
    Timestamp::now()
}
