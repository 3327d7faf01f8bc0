//! Logs: for people or machines, on standard error.
//!
//! Records of the `log` crate are not taken in, on purpose: pingora's errors quote request lines, and those hold
//! plaintexts and signatures.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// Starts logging. The first call in a process counts; later ones change nothing.
pub fn init(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = match log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.with_target(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
    };
}
