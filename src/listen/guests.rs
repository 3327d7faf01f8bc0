//! How many clients are in at a door: one that is full does not shut the others.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Everybody who is in.
pub struct Guests {
    room: Arc<Semaphore>,
    counters: Option<GuestCounters>,
}

/// Where guests are counted.
#[derive(Clone)]
pub struct GuestCounters {
    /// Those who are in.
    pub inside: IntGauge,
    /// Those who were turned away, because there were too many.
    pub turned_away: IntCounter,
    /// Those who did not get through the door, by reason.
    pub failed: IntCounterVec,
}

/// Somebody who is in, until this is dropped.
pub struct Guest {
    counters: Option<GuestCounters>,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// Room for `most` of them, who are counted, or not.
    pub fn new(most: usize, counters: Option<GuestCounters>) -> Self {
        Self { room: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), counters }
    }

    /// One more; `None` when there is no room.
    pub fn enter(&self) -> Option<Guest> {
        let counters = self.counters.clone();
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            counters.inspect(|counters| counters.turned_away.inc());
            return None;
        };
        let counters = counters.inspect(|counters| counters.inside.inc());
        Some(Guest { counters, _place: place })
    }
}

impl Guest {
    /// Did not get through the door.
    pub fn failed(self, why: &str) {
        if let Some(counters) = &self.counters {
            counters.failed.with_label_values(&[why]).inc();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(counters) = &self.counters {
            counters.inside.dec();
        }
    }
}
