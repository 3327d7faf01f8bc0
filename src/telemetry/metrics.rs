//! The metrics that Prometheus reads.
//!
//! | name | labels | what |
//! |---|---|---|
//! | `keyward_requests_total` | operation, decision, status | requests answered |
//! | `keyward_rejections_total` | reason | requests not allowed, by reason |
//! | `keyward_decision_seconds` | | reading, identifying and deciding |
//! | `keyward_upstream_seconds` | | what KMS took |
//! | `keyward_connections` | | clients connected |
//! | `keyward_connections_refused_total` | | clients turned away because there were too many |
//! | `keyward_connections_failed_total` | reason | clients that did not get in: `tls`, `proxy_protocol`, `timeout` |
//! | `keyward_requests_running` | | requests being received or answered |
//! | `keyward_policies` | kind | policies in force |
//! | `keyward_callers` | | callers that can prove who they are |
//! | `keyward_policy_generation` | | which set is in force |
//! | `keyward_policy_info` | hash | the hash of that set; always 1 |
//! | `keyward_policy_confirmed_seconds` | | when the files were found last to say what is in force: seconds since 1970 |
//! | `keyward_policy_generations_alive` | | sets that requests are judged by: the one in force, and older ones |
//! | `keyward_policy_waiting` | | 1 if a changed set waits for approval |
//! | `keyward_watching` | | 1 if changes of files are told by the system, 0 if only looked for |
//! | `keyward_watch_errors_total` | | failures to watch files |
//! | `keyward_watch_rearmed_total` | | how often watching files began anew |
//! | `keyward_invalid_files` | | files whose present version cannot be used |
//! | `keyward_reloads_total` | result | changed sets taken, or not |
//! | `keyward_audit_dropped_total` | | audit lines lost |
//! | `keyward_nonces` | | requests remembered, so that none is taken twice |
//! | `keyward_nonces_forgotten_total` | | requests forgotten early, because there was no room |
//! | `keyward_ignored_headers_total` | header | headers with claims of identity or origin that nobody trusted made |
//! | `keyward_credentials_total` | result | credentials handed out, and refused |
//! | `keyward_tls_certificate_expires_seconds` | | when our certificate expires: seconds since 1970 |
//! | `keyward_tls_reloads_total` | result | changed TLS files taken, or not |
//! | `keyward_trust_upstream` | | 1 if signatures are left to the KMS behind us |
//! | `keyward_throttled_total` | class | permitted requests of callers who asked for too much |
//! | `keyward_upstream_errors_total` | kind | exchanges with a KMS elsewhere that failed |
//! | `keyward_upstream_connections_total` | how | connections used for them: `new`, `reused` |
//! | `keyward_upstream_retries_total` | | requests sent to it once more |
//! | `keyward_upstream_requests_running` | | requests on their way to it |
//! | `keyward_upstream_circuit_open` | | 1 if it is not asked, after failures in a row |
//! | `keyward_upstream_addresses` | state | its addresses: `good`, `aside` |
//! | `keyward_answers_judged_total` | result | answers judged by the key that they name: `released`, `withheld` |
//! | `keyward_lookups_total` | result | questions to it about names: `learned`, `unknown`, `failed` |
//! | `keyward_names` | | names whose meaning is remembered |
//! | `keyward_upstream_credential_seconds` | of | until the credential expires that requests are signed with, if it does; -1 for none |
//! | `keyward_upstream_credential_fetches_total` | result | `fetched`, `failed` |
//! | `keyward_build_info` | version | always 1 |

use http::StatusCode;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::policies::{PolicyMetrics, PolicyReport};
use super::upstream::UpstreamMetrics;
use super::{Record, TlsReport};
use crate::authn::ReplayMemory;

/// All metrics of a running Keyward.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rejections: IntCounterVec,
    decision: Histogram,
    upstream: Histogram,
    policies: PolicyMetrics,
    tls_expires: IntGauge,
    tls_reloads: IntCounterVec,
    ignored_headers: IntCounterVec,
    nonces: IntGauge,
    nonces_forgotten: IntCounter,
    /// Whether signatures are left to the KMS behind us.
    pub trust_upstream: IntGauge,
    /// Credentials handed out, and refused.
    pub credentials: IntCounterVec,
    /// A KMS that requests are forwarded to.
    pub elsewhere: UpstreamMetrics,
    /// Permitted requests of callers who asked for too much.
    pub throttled: IntCounterVec,
    /// Raising a counter to what was counted elsewhere is two steps: two at once would raise it twice.
    raising: Mutex<()>,
    /// Audit lines lost.
    pub audit_dropped: IntCounter,
    /// Clients connected at the moment.
    pub connections: IntGauge,
    /// Clients turned away because there were too many.
    pub connections_refused: IntCounter,
    /// Clients that did not get through a door.
    pub connections_failed: IntCounterVec,
    /// Requests being received or answered at the moment.
    pub running: IntGauge,
}

/// From one microsecond to ten seconds.
const SECONDS: &[f64] =
    &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25, 1.0, 10.0];

impl Metrics {
    /// Metrics that have counted nothing yet.
    ///
    /// # Errors
    /// Never with the names in this file; the library checks them at run time.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            register(&registry, counter)
        };
        let total = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            register(&registry, Histogram::with_opts(options)?)
        };
        let build = gauges("keyward_build_info", "The version that runs; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: counter(
                "keyward_requests_total",
                "Requests answered, by operation, decision and HTTP status.",
                &["operation", "decision", "status"],
            )?,
            rejections: counter("keyward_rejections_total", "Requests not allowed, by reason.", &["reason"])?,
            decision: histogram("keyward_decision_seconds", "Time to read, identify and decide one request.")?,
            upstream: histogram("keyward_upstream_seconds", "Time that KMS took for one permitted request.")?,
            policies: PolicyMetrics::new(&registry)?,
            elsewhere: UpstreamMetrics::new(&registry)?,
            throttled: counter(
                "keyward_throttled_total",
                "Permitted requests of callers who asked for too much, by kind of work.",
                &["class"],
            )?,
            tls_expires: gauge(
                "keyward_tls_certificate_expires_seconds",
                "When the TLS certificate expires, in seconds since 1970; 0 without TLS.",
            )?,
            tls_reloads: counter("keyward_tls_reloads_total", "Changed TLS files, taken or refused.", &["result"])?,
            ignored_headers: counter(
                "keyward_ignored_headers_total",
                "Headers that claim an identity or an origin, sent by who is not trusted with them.",
                &["header"],
            )?,
            nonces: gauge("keyward_nonces", "Requests remembered, so that none is taken twice.")?,
            nonces_forgotten: total("keyward_nonces_forgotten_total", "Requests forgotten early, for lack of room.")?,
            trust_upstream: gauge("keyward_trust_upstream", "1 if signatures are left to the KMS behind Keyward.")?,
            credentials: counter(
                "keyward_credentials_total",
                "Credentials handed out, or refused and why.",
                &["result"],
            )?,
            audit_dropped: total("keyward_audit_dropped_total", "Audit lines that could not be written.")?,
            connections_failed: counter(
                "keyward_connections_failed_total",
                "Clients that did not get in: TLS or the PROXY protocol failed, or they took too long.",
                &["reason"],
            )?,
            connections_refused: total(
                "keyward_connections_refused_total",
                "Clients turned away because there were too many.",
            )?,
            running: gauge("keyward_requests_running", "Requests being received or answered at the moment.")?,
            connections: gauge("keyward_connections", "Clients connected at the moment.")?,
            raising: Mutex::new(()),
            registry,
        })
    }

    /// Counts a request.
    pub fn observe(&self, record: &Record<'_>) {
        let trail = record.trail;
        let operation = trail.operation.as_deref().filter(|_| trail.operation_is_known).unwrap_or("other");
        let status = StatusCode::from_u16(record.status).unwrap_or_default();
        self.requests.with_label_values(&[operation, trail.outcome.as_str(), status.as_str()]).inc();
        if let Some(reason) = trail.reason {
            self.rejections.with_label_values(&[reason]).inc();
        }
        self.decision.observe(record.decision.as_secs_f64());
        if let Some(upstream) = record.upstream {
            self.upstream.observe(upstream.as_secs_f64());
        }
        for header in &trail.ignored_headers {
            self.ignored_headers.with_label_values(&[*header]).inc();
        }
    }

    /// Notes how full the memory of requests is, and how many it had to forget.
    pub fn remembered(&self, memory: &ReplayMemory) {
        self.nonces.set(as_gauge(memory.remembered() as u64));
        raise(&self.nonces_forgotten, memory.forgotten_early());
    }

    /// The text that Prometheus reads, with the store's state as it is now.
    pub fn render(&self, policies: &PolicyReport<'_>, tls: Option<&TlsReport>) -> Vec<u8> {
        let raising = self.raising.lock().unwrap_or_else(PoisonError::into_inner);
        self.policies.update(policies);
        if let Some(tls) = tls {
            self.tls_expires.set(tls.expires.map_or(0, |expires| expires.as_second()));
            raise(&self.tls_reloads.with_label_values(&["taken"]), tls.reloads_taken);
            raise(&self.tls_reloads.with_label_values(&["refused"]), tls.reloads_refused);
        }
        drop(raising);
        let mut text = Vec::new();
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Raises a counter to what was counted elsewhere.
pub(super) fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

pub(super) fn as_gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Trail;

    #[test]
    fn unknown_operations_add_no_series() {
        let metrics = Metrics::new().unwrap();
        for operation in ["Made", "Up", "Names"] {
            let trail = Trail { operation: Some(operation.into()), reason: Some("implicit_deny"), ..Trail::default() };
            metrics.observe(&Record {
                time: jiff::Timestamp::UNIX_EPOCH,
                request_id: "",
                origin: crate::kms::Origin::unknown(),
                trail: &trail,
                status: 403,
                code: None,
                decision: std::time::Duration::ZERO,
                upstream: None,
                executed: None,
                upstream_error: None,
                upstream_request_id: None,
                upstream_code: None,
                is_delivered: true,
                changes: &[],
            });
        }
        let (status, watching) = (Default::default(), Default::default());
        let report = PolicyReport { status: &status, watching: &watching, generations_alive: 1 };
        let text = String::from_utf8(metrics.render(&report, None)).unwrap();
        let expected = r#"keyward_requests_total{decision="reject",operation="other",status="403"} 3"#;
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(r#"keyward_rejections_total{reason="implicit_deny"} 3"#));
    }
}
