//! What is counted of a KMS that requests are forwarded to.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::register;

/// Numbers about a KMS elsewhere; all zero with the embedded one.
#[derive(Clone)]
pub struct UpstreamMetrics {
    /// Exchanges that failed, by kind.
    pub errors: IntCounterVec,
    /// Connections that requests were sent over: new ones, and those that were kept.
    pub connections: IntCounterVec,
    /// Requests that were sent once more.
    pub retries: IntCounter,
    /// Requests on their way at the moment.
    pub running: IntGauge,
    /// Whether nobody tries at present.
    pub circuit_open: IntGauge,
    /// Addresses of the endpoint, by state.
    pub addresses: IntGaugeVec,
    /// Answers that were judged before they were released, or withheld.
    pub judged: IntCounterVec,
    /// Questions to KMS about names, by what came of them.
    pub lookups: IntCounterVec,
    /// Names whose meaning is remembered.
    pub names: IntGauge,
    /// Seconds until a credential expires.
    pub credential_seconds: IntGaugeVec,
    /// Fetching a credential, by what came of it.
    pub credential_fetches: IntCounterVec,
}

impl UpstreamMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        // With all of their values from the beginning, so that the first one of a kind is not missed.
        let counters = |name: &str, help: &str, (label, values): (&str, &[&str])| {
            let counters = register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)?;
            values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
            Ok::<_, prometheus::Error>(counters)
        };
        let gauges = |name: &str, help: &str, label: &str| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), &[label])?)
        };
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            errors: counters(
                "keyward_upstream_errors_total",
                "Exchanges with KMS that failed, by kind.",
                ("kind", &[]),
            )?,
            connections: counters(
                "keyward_upstream_connections_total",
                "Connections that requests were sent to KMS over: new, or reused.",
                ("how", &["new", "reused"]),
            )?,
            retries: register(
                registry,
                IntCounter::new("keyward_upstream_retries_total", "Requests that were sent to KMS once more.")?,
            )?,
            running: gauge("keyward_upstream_requests_running", "Requests on their way to KMS at the moment.")?,
            circuit_open: gauge("keyward_upstream_circuit_open", "1 if KMS is not asked, after failures in a row.")?,
            addresses: gauges("keyward_upstream_addresses", "Addresses of KMS: good, or left aside.", "state")?,
            judged: counters(
                "keyward_answers_judged_total",
                "Answers that were judged by the key that they name: released, or withheld.",
                ("result", &["released", "withheld"]),
            )?,
            lookups: counters(
                "keyward_lookups_total",
                "Questions to KMS about names, by what came of them.",
                ("result", &["learned", "unknown", "failed", "refused"]),
            )?,
            names: gauge("keyward_names", "Names whose meaning is remembered.")?,
            credential_seconds: gauges(
                "keyward_upstream_credential_seconds",
                "Seconds until the credential expires that requests to KMS are signed with, if it does; -1 if there is none.",
                "of",
            )?,
            credential_fetches: counters(
                "keyward_upstream_credential_fetches_total",
                "Fetching credentials to sign with: fetched, or failed.",
                ("result", &["fetched", "failed"]),
            )?,
        })
    }
}
