//! How many clients are in, at all doors together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::{IntCounter, IntGauge};

/// Everybody who is in.
pub struct Guests {
    most: usize,
    inside: AtomicUsize,
    gauge: IntGauge,
    turned_away: IntCounter,
}

/// Somebody who is in, until this is dropped.
pub struct Guest(Arc<Guests>);

impl Guests {
    /// Room for `most` of them. The gauge shows how many are in, the counter how many were turned away.
    pub fn new(most: usize, gauge: IntGauge, turned_away: IntCounter) -> Arc<Self> {
        Arc::new(Self { most, inside: AtomicUsize::new(0), gauge, turned_away })
    }

    /// One more; `None` when there is no room.
    pub fn enter(self: &Arc<Self>) -> Option<Guest> {
        let guest = self
            .inside
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |inside| (inside < self.most).then_some(inside + 1));
        if guest.is_err() {
            self.turned_away.inc();
            return None;
        }
        self.gauge.inc();
        Some(Guest(self.clone()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        self.0.gauge.dec();
    }
}
