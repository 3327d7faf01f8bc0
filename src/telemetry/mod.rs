//! WHAT OPERATORS SEE: one audit line and a few numbers for each request, and logs.
//!
//! Everything here is made from a [`Trail`], which holds no value of any parameter. Labels of
//! metrics come from closed sets, so no request can add a series.

mod audit;
mod logs;
mod metrics;
mod policies;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

pub use audit::Audit;
pub use logs::init as init_logs;
pub use metrics::Metrics;
pub use policies::PolicyReport;
pub use upstream::UpstreamMetrics;

use crate::authz::Trail;
use crate::kms::Origin;
use crate::source::Problem;
use crate::store::PolicyChange;

/// What became of one request.
pub struct Record<'a> {
    /// When it arrived: RFC 3339, UTC.
    pub time: jiff::Timestamp,
    /// Its id, which the client has too.
    pub request_id: &'a str,
    /// What is known of the connection that it came over.
    pub origin: &'a Origin,
    /// What was found out about it.
    pub trail: &'a Trail,
    /// The status of the answer.
    pub status: u16,
    /// The code of an error answer.
    pub code: Option<&'a str>,
    /// How long reading its meaning, identifying its sender and deciding took.
    pub decision: Duration,
    /// How long KMS took, if it was asked.
    pub upstream: Option<Duration>,
    /// Whether a KMS elsewhere executed it: `yes`, `no` or `unknown`.
    pub executed: Option<&'static str>,
    /// Why that one gave no answer.
    pub upstream_error: Option<&'static str>,
    /// The id that it gave the request.
    pub upstream_request_id: Option<&'a str>,
    /// The code of the error that it answered.
    pub upstream_code: Option<&'a str>,
    /// Whether the answer could be sent.
    pub is_delivered: bool,
    /// The policies that it changed.
    pub changes: &'a [PolicyChange],
}

/// How TLS stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsReport {
    /// When our certificate expires.
    pub expires: Option<jiff::Timestamp>,
    /// How often changed files were taken.
    pub reloads_taken: u64,
    /// How often changed files could not be taken.
    pub reloads_refused: u64,
    /// What is wrong with the files at present.
    pub problems: Vec<Problem>,
}

/// Where records go.
#[derive(Clone)]
pub struct Telemetry {
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// Lines.
    pub audit: Arc<Audit>,
}

impl Telemetry {
    /// Counts the request and writes its line.
    pub fn record(&self, record: &Record<'_>) {
        self.metrics.observe(record);
        self.audit.write(record);
    }
}
