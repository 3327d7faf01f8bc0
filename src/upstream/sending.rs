//! Sending one request: to which address, over which connection, and what that says of the others.

use std::net::SocketAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::addresses::Did;
use super::circuit::Circuit;
use super::exchange::{Failure, FailureKind, Received};
use super::outgoing::Outgoing;
use super::{NoAnswer, Upstream};
use crate::telemetry::UpstreamMetrics;

/// How many addresses are tried for one request.
const ADDRESSES_TRIED_MAX: usize = 3;

/// How often is looked whether an address that was left aside is worth a try.
const TRY_EVERY: Duration = Duration::from_millis(500);

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
        let addresses = self.addresses.in_turn();
        if addresses.is_empty() {
            return Err(NoAnswer::NoAddress);
        }
        let begun = Instant::now();
        if !self.lock_circuit().may_try(begun) {
            return Err(NoAnswer::CircuitOpen);
        }
        let result = self.try_each(&addresses, make, changes, is_repeatable).await;
        self.noted(&result, begun);
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
            if !outgoing.is_sendable() {
                return Err(NoAnswer::Unsendable);
            }
            let mut begun = Instant::now();
            let mut result = self.connections.exchange(*address, &outgoing, changes).await;
            if is_repeatable && matches!(&result, Err(failure) if failure.was_stale) {
                self.metrics.retries.inc();
                let outgoing = make().ok_or(NoAnswer::NoCredentials)?;
                begun = Instant::now();
                result = self.connections.exchange(*address, &outgoing, true).await;
            }
            self.note_address(*address, what_it_did(&result, begun));
            match result {
                Ok(received) => return Ok(received),
                Err(failure) if failure.may_be_executed => return Err(NoAnswer::Failed(failure)),
                Err(failure) => last = NoAnswer::Failed(failure),
            }
        }
        Err(last)
    }

    fn note_address(&self, address: SocketAddr, did: Option<Did>) {
        let Some(did) = did else { return };
        match self.addresses.tried(address, did, Instant::now()) {
            (false, true) => tracing::warn!(%address, "this address of KMS does not answer, and is left aside"),
            (true, false) => tracing::info!(%address, "this address of KMS is used again"),
            _ => {}
        }
    }

    /// Tries the addresses that are left aside, so that no client has to.
    pub(super) async fn keep_trying_addresses(&self) {
        let mut were_all_tried = false;
        loop {
            // Once before anybody needs one: what is wrong with a certificate is better known at the start.
            if !were_all_tried {
                let all = self.addresses.in_turn();
                were_all_tried = !all.is_empty();
                for address in all {
                    let is_there = self.connections.can_be_made(address).await;
                    self.note_address(address, Some(if is_there { Did::Connect } else { Did::NotConnect }));
                }
            }
            for address in self.addresses.worth_a_try(Instant::now()) {
                let is_there = self.connections.can_be_made(address).await;
                self.note_address(address, Some(if is_there { Did::Connect } else { Did::NotConnect }));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// What came of it, for those who come next.
    fn noted(&self, result: &Result<Received, NoAnswer>, begun: Instant) {
        let (mut circuit, now) = (self.lock_circuit(), Instant::now());
        let endpoint = || self.endpoint();
        match result {
            // An answer that is too large or leads elsewhere is one.
            Ok(_) | Err(NoAnswer::Failed(Failure { kind: FailureKind::TooLarge | FailureKind::Redirect, .. })) => {
                if circuit.answered(now) {
                    tracing::info!(endpoint = endpoint(), "KMS answers again");
                }
            }
            Err(why) => {
                if circuit.failed(begun, now) {
                    let (endpoint, reason) = (endpoint(), why.reason());
                    tracing::error!(
                        endpoint,
                        reason,
                        "KMS does not answer; requests are refused, and one tries now and then"
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

/// What an exchange says of the address; `None` if nothing.
fn what_it_did(result: &Result<Received, Failure>, begun: Instant) -> Option<Did> {
    match result {
        Ok(_) => Some(Did::Answer),
        Err(failure) if !failure.may_be_executed => Some(Did::NotConnect),
        // A kept connection may be closed at any time.
        Err(failure) if failure.was_stale => None,
        Err(Failure { kind: FailureKind::TooLarge | FailureKind::Redirect | FailureKind::Malformed, .. }) => {
            Some(Did::Answer)
        }
        Err(_) => Some(Did::NotAnswer(begun)),
    }
}
