//! What metrics say about policies and identities, and about keeping up with their files.

use std::sync::atomic::Ordering;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::{as_gauge, raise, register};
use crate::store::{Status, Watching};

/// How policies and their files stand.
pub struct PolicyReport<'a> {
    /// What is in force.
    pub status: &'a Status,
    /// How watching goes.
    pub watching: &'a Watching,
    /// How many generations requests are judged by.
    pub generations_alive: usize,
}

/// Metrics of policies and identities.
pub struct PolicyMetrics {
    policies: IntGaugeVec,
    callers: IntGauge,
    generation: IntGauge,
    info: IntGaugeVec,
    confirmed: IntGauge,
    generations: IntGauge,
    waiting: IntGauge,
    invalid_files: IntGauge,
    reloads: IntCounterVec,
    watching: IntGauge,
    watch_errors: IntCounter,
    watch_rearmed: IntCounter,
}

impl PolicyMetrics {
    /// Metrics that say nothing yet.
    ///
    /// # Errors
    /// Never with the names in this file; the library checks them at run time.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let total = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let gauges = |name: &str, help: &str, label: &str| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), &[label])?)
        };
        let reloads = Opts::new("keyward_reloads_total", "Changed sets of files, taken or refused.");
        Ok(Self {
            policies: gauges("keyward_policies", "Policies in force, by kind.", "kind")?,
            callers: gauge("keyward_callers", "Callers that can prove who they are.")?,
            generation: gauge("keyward_policy_generation", "Counts the sets of policies that were in force.")?,
            info: gauges("keyward_policy_info", "The hash of the set that is in force; always 1.", "hash")?,
            confirmed: gauge(
                "keyward_policy_confirmed_seconds",
                "When the files were found last to say what is in force, or to wait for approval: seconds since 1970.",
            )?,
            generations: gauge("keyward_policy_generations_alive", "Sets of policies that requests are judged by.")?,
            waiting: gauge("keyward_policy_waiting", "1 if a changed set waits for approval.")?,
            invalid_files: gauge("keyward_invalid_files", "Files whose present version cannot be used.")?,
            reloads: register(registry, IntCounterVec::new(reloads, &["result"])?)?,
            watching: gauge("keyward_watching", "1 if changes of files are told by the system, 0 if only looked for.")?,
            watch_errors: total("keyward_watch_errors_total", "Failures to watch files.")?,
            watch_rearmed: total("keyward_watch_rearmed_total", "How often watching files began anew.")?,
        })
    }

    /// Says how it is. Whoever calls sees to it that nobody else does at the same time.
    pub fn update(&self, report: &PolicyReport<'_>) {
        let PolicyReport { status, watching, generations_alive } = report;
        let counts = &status.counts;
        for (kind, count) in
            [("key", counts.key_policies), ("secret", counts.secret_policies), ("ram", counts.ram_policies)]
        {
            self.policies.with_label_values(&[kind]).set(as_gauge(count as u64));
        }
        self.callers.set(as_gauge(counts.callers as u64));
        self.generation.set(as_gauge(status.generation));
        // One series at a time.
        self.info.reset();
        self.info.with_label_values(&[&*status.hash]).set(1);
        self.confirmed.set(status.confirmed.map_or(0, |confirmed| confirmed.as_second()));
        self.generations.set(as_gauge(*generations_alive as u64));
        self.waiting.set(i64::from(status.waiting.is_some()));
        let mut invalid: Vec<&str> = status.problems.iter().map(|problem| problem.file.as_str()).collect();
        invalid.dedup();
        self.invalid_files.set(as_gauge(invalid.len() as u64));
        raise(&self.reloads.with_label_values(&["taken"]), status.reloads_taken);
        raise(&self.reloads.with_label_values(&["refused"]), status.reloads_refused);
        self.watching.set(i64::from(watching.is_told()));
        raise(&self.watch_errors, watching.errors.load(Ordering::Relaxed));
        raise(&self.watch_rearmed, watching.rearmed.load(Ordering::Relaxed));
    }
}
