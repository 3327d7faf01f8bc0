//! The end of serving: who still has to be answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::watch;

/// Whether the service is ending, and how many requests it still has to answer.
pub struct Drain {
    is_ending: AtomicBool,
    is_over: AtomicBool,
    is_cut_off: watch::Sender<bool>,
    /// How many requests are being answered.
    pub count: AtomicUsize,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            is_ending: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_cut_off: watch::Sender::new(false),
            count: AtomicUsize::new(0),
        }
    }
}

impl Drain {
    /// From now on, every answer closes its connection.
    pub fn begin(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
    }

    /// From now on, no request is even read.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Everything is as before.
    pub fn resume(&self) {
        self.is_cut_off.send_replace(false);
        self.is_over.store(false, Ordering::SeqCst);
        self.is_ending.store(false, Ordering::SeqCst);
    }

    /// Nobody is waited for any more: what is on its way is given up, and told to be, and nothing new is begun.
    pub fn cut_off(&self) {
        self.is_cut_off.send_replace(true);
    }

    /// Resolves when nobody is waited for any more.
    pub async fn until_cut_off(&self) {
        // It ends with this, so it does not end before.
        let _ = self.is_cut_off.subscribe().wait_for(|is_cut_off| *is_cut_off).await;
    }

    /// Whether nobody is waited for any more.
    pub fn is_cut_off(&self) -> bool {
        *self.is_cut_off.borrow()
    }

    /// Whether the service is ending.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Whether no request is read any more.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
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
