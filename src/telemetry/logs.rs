//! Logs: for people or machines, on standard error.
//!
//! A thread of its own writes them, from a bounded queue: a standard error that nobody reads must not stop the service.
//! Records of the `log` crate are not taken in, on purpose: pingora's errors quote request lines, and those hold
//! plaintexts and signatures.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// Starts logging. What is queued is written when the guard is dropped. The first call in a process counts; later ones
/// change nothing.
pub fn init(log: &Log) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default().thread_name("keyward-log").finish(io::stderr());
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would be told on standard error, which is what failed.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = match log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.with_target(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
    };
    guard
}
