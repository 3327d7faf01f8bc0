//! The end of serving: who still has to be answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::Notify;

/// Whether the service is ending, and how many requests it still has to answer.
#[derive(Default)]
pub struct Drain {
    ending: AtomicBool,
    cut: Notify,
    /// How many requests are being answered.
    pub count: AtomicUsize,
}

impl Drain {
    /// From now on, every answer closes its connection.
    pub fn begin(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Nobody is waited for any more: what is on its way is given up, and told to be.
    pub fn cut_off(&self) {
        self.cut.notify_waiters();
    }

    /// Resolves when nobody is waited for any more.
    pub async fn is_cut_off(&self) {
        self.cut.notified().await;
    }

    /// Whether the service is ending.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// How many requests are being answered.
    pub fn running(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// A request that is being answered, for us and for the metrics, until this is dropped.
pub struct Running<'a> {
    running: &'a AtomicUsize,
    gauge: &'a IntGauge,
}

impl<'a> Running<'a> {
    /// Counts it.
    pub fn new(running: &'a AtomicUsize, gauge: &'a IntGauge) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        gauge.inc();
        Self { running, gauge }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.gauge.dec();
    }
}
