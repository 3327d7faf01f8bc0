//! WHAT OPERATORS SEE: one audit line and a few numbers for each request, and logs.
//!
//! Everything here is made from a [`Trail`], which holds no value of any parameter. Labels of
//! metrics come from closed sets, so no request can add a series.

mod audit;
mod logs;
mod metrics;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use audit::Audit;
pub use logs::init as init_logs;
pub use metrics::Metrics;

use crate::authz::Trail;

/// What became of one request.
pub struct Record<'a> {
    /// When it arrived: RFC 3339, UTC.
    pub time: jiff::Timestamp,
    /// Its id, which the client has too.
    pub request_id: &'a str,
    /// Who was at the other end of the socket.
    pub peer: Option<IpAddr>,
    /// What was found out about it.
    pub trail: &'a Trail,
    /// The status of the answer.
    pub status: u16,
    /// The code of an error answer.
    pub code: Option<&'static str>,
    /// How long reading its meaning, identifying its sender and deciding took.
    pub decision: Duration,
    /// How long KMS took, if it was asked.
    pub upstream: Option<Duration>,
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
