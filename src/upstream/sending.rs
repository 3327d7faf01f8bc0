//! Sending one request: to which address, over which connection, and what that says of the others.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::circuit::Circuit;
use super::exchange::{Failure, FailureKind, Received};
use super::outgoing::Outgoing;
use super::{NoAnswer, Upstream};
use crate::telemetry::UpstreamMetrics;

/// How many addresses are tried for one request.
const ADDRESSES_TRIED_MAX: usize = 3;

impl Upstream {
    /// Sends a request, to one address after the other until one can be connected to. What changes something goes over a
    /// connection that nobody used before, so that it is not lost to one that is being closed.
    pub(super) async fn send(
        &self,
        make: &(dyn Fn() -> Option<Outgoing> + Send + Sync),
        changes: bool,
        is_repeatable: bool,
    ) -> Result<Received, NoAnswer> {
        let result = self.send_uncounted(make, changes, is_repeatable).await;
        if let Err(why) = &result {
            self.metrics.errors.with_label_values(&[why.reason()]).inc();
        }
        result
    }

    async fn send_uncounted(
        &self,
        make: &(dyn Fn() -> Option<Outgoing> + Send + Sync),
        changes: bool,
        is_repeatable: bool,
    ) -> Result<Received, NoAnswer> {
        let _room = self.room.try_acquire().map_err(|_| NoAnswer::Busy)?;
        let _running = Running::new(&self.metrics);
        let addresses = self.addresses.in_turn(Instant::now());
        if addresses.is_empty() {
            return Err(NoAnswer::NoAddress);
        }
        if !self.lock_circuit().may_try(Instant::now()) {
            return Err(NoAnswer::CircuitOpen);
        }
        let mut attempt = Attempt { circuit: &self.circuit, is_noted: false };
        let result = self.try_each(&addresses, make, changes, is_repeatable).await;
        attempt.is_noted = true;
        self.noted(&result);
        result
    }

    async fn try_each(
        &self,
        addresses: &[SocketAddr],
        make: &(dyn Fn() -> Option<Outgoing> + Send + Sync),
        changes: bool,
        is_repeatable: bool,
    ) -> Result<Received, NoAnswer> {
        let mut last = NoAnswer::NoAddress;
        for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
            let outgoing = make().ok_or(NoAnswer::NoCredentials)?;
            let mut result = self.connections.exchange(*address, &outgoing, changes).await;
            if is_repeatable && matches!(&result, Err(failure) if failure.was_stale) {
                self.metrics.retries.inc();
                let outgoing = make().ok_or(NoAnswer::NoCredentials)?;
                result = self.connections.exchange(*address, &outgoing, true).await;
            }
            let connected = !matches!(&result, Err(failure) if !failure.may_be_executed);
            self.addresses.tried(*address, connected, Instant::now());
            match result {
                Ok(received) => return Ok(received),
                Err(failure) if failure.may_be_executed => return Err(NoAnswer::Failed(failure)),
                Err(failure) => last = NoAnswer::Failed(failure),
            }
        }
        Err(last)
    }

    /// What came of it, for those who come next.
    fn noted(&self, result: &Result<Received, NoAnswer>) {
        let mut circuit = self.lock_circuit();
        match result {
            Ok(_) => circuit.answered(),
            // An answer that is too large or leads elsewhere is one.
            Err(NoAnswer::Failed(Failure { kind: FailureKind::TooLarge | FailureKind::Redirect, .. })) => {
                circuit.answered();
            }
            Err(why) => {
                if circuit.failed(Instant::now()) {
                    tracing::error!(
                        endpoint = self.endpoint(),
                        reason = why.reason(),
                        "KMS does not answer; requests are refused for a moment"
                    );
                }
            }
        }
        self.metrics.circuit_open.set(i64::from(circuit.is_open()));
    }

    pub(super) fn lock_circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is on its way, for the metrics, until this is dropped.
struct Running<'a>(&'a UpstreamMetrics);

impl<'a> Running<'a> {
    fn new(metrics: &'a UpstreamMetrics) -> Self {
        metrics.running.inc();
        Self(metrics)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.dec();
    }
}

/// An attempt that may be given up on its way: then nobody knows more of KMS than before.
struct Attempt<'a> {
    circuit: &'a Mutex<Circuit>,
    is_noted: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_noted {
            self.circuit.lock().unwrap_or_else(PoisonError::into_inner).given_up(Instant::now());
        }
    }
}
