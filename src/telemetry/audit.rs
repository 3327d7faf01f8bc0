//! The audit trail: one JSON line for each request, written by a thread of its own.
//!
//! The queue is bounded. When the sink cannot keep up, lines are dropped and counted: an audit trail that stands still
//! must not stand in the way of requests, and must not pretend to be complete.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde::Serialize;

use super::Record;
use crate::settings::AuditTarget;

/// How many lines may wait to be written.
const QUEUE: usize = 8192;

/// The audit trail.
pub struct Audit {
    is_off: bool,
    lines: Mutex<Option<SyncSender<String>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: AtomicU64,
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
    operation: Option<&'a str>,
    permissions: Vec<Needed<'a>>,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    statements: &'a [String],
    generation: u64,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    decision_us: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_us: Option<u128>,
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
            peer: record.peer.map(|peer| peer.to_string()),
            caller: trail.caller.as_deref(),
            access_key_id: trail.access_key_id.as_deref(),
            proof: trail.proof,
            operation: trail.operation.as_deref(),
            permissions: trail.permissions.iter().map(needed).collect(),
            decision: trail.outcome.as_str(),
            reason: trail.reason,
            statements: &trail.statements,
            generation: trail.generation,
            status: record.status,
            code: record.code,
            decision_us: record.decision.as_micros(),
            upstream_us: record.upstream.map(|upstream| upstream.as_micros()),
        }
    }
}

impl Audit {
    /// Opens the sink and starts its writer.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn start(target: &AuditTarget) -> io::Result<Self> {
        let (mut lines, mut writer) = (None, None);
        if let Some(sink) = open(target)? {
            let (sender, queue) = sync_channel(QUEUE);
            let thread = thread::Builder::new().name("keyward-audit".to_owned());
            writer = Some(thread.spawn(move || write_all(&queue, sink))?);
            lines = Some(sender);
        }
        let (is_off, dropped) = (lines.is_none(), AtomicU64::new(0));
        Ok(Self { is_off, lines: Mutex::new(lines), writer: Mutex::new(writer), dropped })
    }

    /// Queues the line of a request.
    pub fn write(&self, record: &Record<'_>) {
        if self.is_off {
            return;
        }
        let Ok(line) = serde_json::to_string(&Line::new(record)) else { return };
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were dropped because the sink did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is queued and ends the writer. Later lines go nowhere.
    pub fn finish(&self) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
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

/// Writes lines as they come; flushes whenever none is waiting. A sink that fails loses lines, never the service.
fn write_all(queue: &Receiver<String>, sink: Box<dyn Write + Send>) {
    let mut sink = io::BufWriter::new(sink);
    while let Ok(line) = queue.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            let _ = writeln!(sink, "{line}");
            next = queue.try_recv().ok();
        }
        let _ = sink.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Outcome, Trail};

    #[test]
    fn a_line_says_who_did_what_and_why() {
        let trail = Trail {
            generation: 3,
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
            peer: "127.0.0.1".parse().ok(),
            trail: &trail,
            status: 403,
            code: Some("Forbidden.NoPermission"),
            decision: std::time::Duration::from_micros(12),
            upstream: None,
        };
        let line = serde_json::to_string(&Line::new(&record)).unwrap();
        let expected = concat!(
            r#"{"time":"2026-01-02T03:04:05.678Z","request_id":"R","peer":"127.0.0.1","caller":"acs:ram::1:user/bob\n","#,
            r#""access_key_id":"K","proof":"signature_v3","operation":"Decrypt","#,
            r#""permissions":[{"action":"kms:Decrypt","resource":"acs:kms:cn-hangzhou:1:key/k"}],"#,
            r#""decision":"deny","reason":"explicit_deny","statements":["ram/A.json statement 1"],"generation":3,"#,
            r#""status":403,"code":"Forbidden.NoPermission","decision_us":12}"#
        );
        assert_eq!(line, expected);
    }
}
