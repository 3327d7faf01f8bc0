//! How many clients are in at a door: one that is full does not shut the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::{IntCounter, IntCounterVec, IntGauge};

/// Everybody who is in.
pub struct Guests {
    most: usize,
    inside: AtomicUsize,
    counters: GuestCounters,
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
pub struct Guest(Arc<Guests>);

impl Guests {
    /// Room for `most` of them.
    pub fn new(most: usize, counters: GuestCounters) -> Arc<Self> {
        Arc::new(Self { most, inside: AtomicUsize::new(0), counters })
    }

    /// One more; `None` when there is no room.
    pub fn enter(self: &Arc<Self>) -> Option<Guest> {
        let guest = self
            .inside
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |inside| (inside < self.most).then_some(inside + 1));
        if guest.is_err() {
            self.counters.turned_away.inc();
            return None;
        }
        self.counters.inside.inc();
        Some(Guest(self.clone()))
    }
}

impl Guest {
    /// Did not get through the door.
    pub fn failed(self, why: &str) {
        self.0.counters.failed.with_label_values(&[why]).inc();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        self.0.counters.inside.dec();
    }
}
