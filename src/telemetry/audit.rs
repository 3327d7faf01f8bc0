//! The audit trail: one JSON line for each request, written by a thread of its own.
//!
//! The queue is bounded. When the sink cannot keep up or fails, lines are dropped and counted: an audit trail that stands
//! still must not stand in the way of requests, and must not pretend to be complete. A file is opened once and appended
//! to; who moves it away restarts Keyward.

use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use serde::Serialize;

use super::Record;
use crate::kms::Origin;
use crate::settings::AuditTarget;
use crate::store::PolicyChange;

/// How many lines may wait to be written.
const QUEUE: usize = 8192;

/// How many lines may be written before they are flushed, and known to be written or lost.
const BATCH: u64 = 256;

/// How long the end waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The audit trail.
pub struct Audit {
    is_off: bool,
    lines: Mutex<Option<SyncSender<String>>>,
    /// Hangs up when the writer has written everything.
    done: Mutex<Receiver<()>>,
    dropped: IntCounter,
}

/// A line. Members are written in this order; what is not known is left out.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    permissions: Vec<Needed<'a>>,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    statements: &'a [String],
    generation: u64,
    policy_hash: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    policy_changes: &'a [PolicyChange],
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    decision_us: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_us: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<bool>,
}

#[derive(Serialize)]
struct Needed<'a> {
    action: &'a str,
    resource: &'a str,
}

impl<'a> Line<'a> {
    fn new(record: &'a Record<'_>) -> Self {
        let trail = record.trail;
        let needed = |(action, resource): &'a (String, String)| Needed { action, resource };
        Self {
            time: format!("{:.3}", record.time),
            request_id: record.request_id,
            peer: peer(record.origin),
            caller: trail.caller.as_deref(),
            access_key_id: trail.access_key_id.as_deref(),
            proof: trail.proof,
            algorithm: trail.algorithm,
            operation: trail.operation.as_deref(),
            permissions: trail.permissions.iter().map(needed).collect(),
            decision: trail.outcome.as_str(),
            reason: trail.reason,
            statements: &trail.statements,
            generation: trail.version.generation,
            policy_hash: &trail.version.hash,
            policy_changes: record.changes,
            status: record.status,
            code: record.code,
            decision_us: record.decision.as_micros(),
            upstream_us: record.upstream.map(|upstream| upstream.as_micros()),
            executed: record.executed,
            upstream_error: record.upstream_error,
            upstream_request_id: record.upstream_request_id,
            upstream_code: record.upstream_code.filter(|code| Some(*code) != record.code),
            delivered: (!record.is_delivered).then_some(false),
        }
    }
}

/// An address, or the user id at a Unix socket.
fn peer(origin: &Origin) -> Option<String> {
    let address = origin.address.map(|address| address.to_string());
    address.or_else(|| origin.uid.map(|uid| format!("uid:{uid}")))
}

impl Audit {
    /// Opens the sink and starts its writer. Lines that are lost are counted in `dropped`.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn start(target: &AuditTarget, dropped: IntCounter) -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE);
        let (hang_up, done) = sync_channel(0);
        let sink = open(target)?;
        let is_off = sink.is_none();
        if let Some(sink) = sink {
            let writer = Writer { queue, sink: BufWriter::new(sink), dropped: dropped.clone(), _hang_up: hang_up };
            thread::Builder::new().name("keyward-audit".to_owned()).spawn(move || writer.run())?;
        }
        Ok(Self { is_off, lines: Mutex::new(Some(lines)), done: Mutex::new(done), dropped })
    }

    /// Queues the line of a request.
    pub fn write(&self, record: &Record<'_>) {
        if self.is_off {
            return;
        }
        let Ok(line) = serde_json::to_string(&Line::new(record)) else { return };
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            self.dropped.inc();
        }
    }

    /// Waits until what is queued is written, but not for long: a sink that stands still must not keep the process. Later
    /// lines are dropped.
    pub fn finish(&self) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the audit trail is not complete: its sink takes no more lines");
        }
    }
}

fn open(target: &AuditTarget) -> io::Result<Option<Box<dyn Write + Send>>> {
    Ok(match target {
        AuditTarget::Off => None,
        AuditTarget::Stdout => Some(Box::new(io::stdout())),
        AuditTarget::Stderr => Some(Box::new(io::stderr())),
        AuditTarget::File(path) => Some(Box::new(std::fs::OpenOptions::new().create(true).append(true).open(path)?)),
    })
}

/// The thread that writes.
struct Writer {
    queue: Receiver<String>,
    sink: BufWriter<Box<dyn Write + Send>>,
    dropped: IntCounter,
    _hang_up: SyncSender<()>,
}

impl Writer {
    /// Writes lines as they come, and flushes whenever none is waiting or a batch is full.
    fn run(mut self) {
        let mut works = true;
        while let Ok(line) = self.queue.recv() {
            let mut lines = 0;
            let mut next = Some(line);
            let mut written = Ok(());
            while let Some(line) = next {
                lines += 1;
                written = written.and_then(|()| writeln!(self.sink, "{line}"));
                next = if lines < BATCH { self.queue.try_recv().ok() } else { None };
            }
            let written = written.and_then(|()| self.sink.flush());
            if let Err(error) = &written {
                self.dropped.inc_by(lines);
                if works {
                    tracing::error!(%error, "the audit trail cannot be written; lines are lost and counted");
                }
            }
            works = written.is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Outcome, Trail, Version};

    #[test]
    fn a_line_says_who_did_what_and_why() {
        let trail = Trail {
            version: Version { generation: 3, hash: "ab12".into() },
            operation: Some("Decrypt".into()),
            caller: Some("acs:ram::1:user/bob\n".into()),
            access_key_id: Some("K".into()),
            proof: Some("signature_v3"),
            permissions: vec![("kms:Decrypt".into(), "acs:kms:cn-hangzhou:1:key/k".into())],
            statements: vec!["ram/A.json statement 1".into()],
            outcome: Outcome::Deny,
            reason: Some("explicit_deny"),
            ..Trail::default()
        };
        let record = Record {
            time: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            request_id: "R",
            origin: &Origin { address: "127.0.0.1".parse().ok(), ..Origin::default() },
            trail: &trail,
            status: 403,
            code: Some("Forbidden.NoPermission"),
            decision: std::time::Duration::from_micros(12),
            upstream: None,
            executed: None,
            upstream_error: None,
            upstream_request_id: None,
            upstream_code: None,
            is_delivered: true,
            changes: &[],
        };
        let line = serde_json::to_string(&Line::new(&record)).unwrap();
        let expected = concat!(
            r#"{"time":"2026-01-02T03:04:05.678Z","request_id":"R","peer":"127.0.0.1","caller":"acs:ram::1:user/bob\n","#,
            r#""access_key_id":"K","proof":"signature_v3","operation":"Decrypt","#,
            r#""permissions":[{"action":"kms:Decrypt","resource":"acs:kms:cn-hangzhou:1:key/k"}],"#,
            r#""decision":"deny","reason":"explicit_deny","statements":["ram/A.json statement 1"],"generation":3,"policy_hash":"ab12","#,
            r#""status":403,"code":"Forbidden.NoPermission","decision_us":12}"#
        );
        assert_eq!(line, expected);
    }
}
