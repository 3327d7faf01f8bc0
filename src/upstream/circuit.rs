//! The circuit: after so many failures in a row, nobody tries for a while, and then one does now and then. Pure.
//!
//! A failure counts only if nobody was answered since it began: one operation that KMS is slow with says nothing of the
//! others.

use std::time::{Duration, Instant};

/// Whether KMS is worth trying.
#[derive(Debug)]
pub struct Circuit {
    /// How many failures in a row open it.
    limit: u32,
    /// How often one may try while it is open.
    pause: Duration,
    failures: u32,
    answered: Option<Instant>,
    /// While it is open: when the next one may try.
    next_try: Option<Instant>,
}

impl Circuit {
    /// A closed circuit.
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit, pause, failures: 0, answered: None, next_try: None }
    }

    /// Whether one may try now. While it is open, one may in each pause, whatever came of those before.
    pub fn may_try(&mut self, now: Instant) -> bool {
        match self.next_try {
            None => true,
            Some(next) if now >= next => {
                self.next_try = Some(now + self.pause);
                true
            }
            Some(_) => false,
        }
    }

    /// KMS answered, whatever it said. Whether the circuit closed by that.
    pub fn answered(&mut self, now: Instant) -> bool {
        self.failures = 0;
        self.answered = Some(now);
        self.next_try.take().is_some()
    }

    /// KMS did not answer something that was begun then. Whether the circuit opened by that.
    pub fn failed(&mut self, begun: Instant, now: Instant) -> bool {
        if self.answered.is_some_and(|answered| answered >= begun) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let opens = self.next_try.is_none() && self.failures >= self.limit;
        if opens {
            self.next_try = Some(now + self.pause);
        }
        opens
    }

    /// Whether nobody tries at present, but for one now and then.
    pub fn is_open(&self) -> bool {
        self.next_try.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_closes_it() {
        let mut now = Instant::now();
        let mut circuit = Circuit::new(3, PAUSE);
        assert!(!circuit.failed(now, now) && !circuit.failed(now, now));
        assert!(!circuit.answered(now), "it was not open");
        now += PAUSE;
        assert!(!circuit.failed(now, now) && !circuit.failed(now, now) && circuit.may_try(now));
        assert!(circuit.failed(now, now), "the third in a row");
        assert!(circuit.is_open() && !circuit.may_try(now));
        assert!(!circuit.failed(now, now), "one that was on its way");
        for _ in 0..9 {
            now += PAUSE;
            assert!(circuit.may_try(now), "one may try, whatever became of the last one");
            assert!(!circuit.may_try(now), "and nobody else");
        }
        assert!(circuit.answered(now));
        assert!(!circuit.is_open() && circuit.may_try(now));
    }

    #[test]
    fn one_slow_operation_locks_nobody_out() {
        let begun = Instant::now();
        let mut circuit = Circuit::new(3, PAUSE);
        circuit.answered(begun + PAUSE);
        for _ in 0..99 {
            assert!(!circuit.failed(begun, begun + 8 * PAUSE));
        }
        assert!(circuit.may_try(begun + 8 * PAUSE));
    }
}
