//! The circuit: after so many failures in a row, nobody tries for a while, and then one does. Pure.

use std::time::{Duration, Instant};

/// Whether KMS is worth trying.
#[derive(Debug)]
pub struct Circuit {
    /// How many failures in a row open it.
    limit: u32,
    /// How long it stays open at first.
    pause: Duration,
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Nobody tries until then.
    Open(Instant, Duration),
    /// One tries.
    Trying(Duration),
}

/// The longest time that nobody tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

impl Circuit {
    /// A closed circuit.
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit, pause, failures: 0, state: State::Closed }
    }

    /// Whether one may try now. When a pause is over, one may, and the others wait for what comes of it.
    pub fn may_try(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open(until, pause) if now >= until => {
                self.state = State::Trying(pause);
                true
            }
            State::Open(..) | State::Trying(_) => false,
        }
    }

    /// KMS answered, whatever it said.
    pub fn answered(&mut self) {
        self.failures = 0;
        self.state = State::Closed;
    }

    /// KMS did not answer. Whether the circuit opened by that.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let pause = match self.state {
            State::Closed if self.failures < self.limit => return false,
            State::Closed => self.pause,
            // Requests that were on their way already.
            State::Open(..) => return false,
            State::Trying(pause) => (pause * 2).min(PAUSE_MAX),
        };
        let was_closed = self.state == State::Closed;
        self.state = State::Open(now + pause, pause);
        was_closed
    }

    /// A try was given up before anything came of it: the next one may try at once.
    pub fn given_up(&mut self, now: Instant) {
        if let State::Trying(pause) = self.state {
            self.state = State::Open(now, pause);
        }
    }

    /// Whether nobody tries at present, but for one.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_one_trial_closes_it() {
        let (begin, pause) = (Instant::now(), Duration::from_secs(1));
        let mut circuit = Circuit::new(3, pause);
        assert!(!circuit.failed(begin) && !circuit.failed(begin));
        circuit.answered();
        assert!(!circuit.failed(begin) && !circuit.failed(begin) && circuit.may_try(begin));
        assert!(circuit.failed(begin), "the third in a row");
        assert!(circuit.is_open() && !circuit.may_try(begin));
        assert!(!circuit.failed(begin), "one that was on its way");
        let later = begin + pause;
        assert!(circuit.may_try(later), "one may try");
        assert!(!circuit.may_try(later), "and nobody else");
        circuit.failed(later);
        assert!(!circuit.may_try(later + pause), "twice as long");
        assert!(circuit.may_try(later + 2 * pause));
        circuit.answered();
        assert!(!circuit.is_open() && circuit.may_try(later));
    }

    #[test]
    fn pauses_are_bounded_and_a_lost_trial_is_not_waited_for() {
        let mut now = Instant::now();
        let mut circuit = Circuit::new(1, Duration::from_secs(20));
        circuit.failed(now);
        for _ in 0..9 {
            now += PAUSE_MAX;
            assert!(circuit.may_try(now));
            circuit.failed(now);
        }
        now += PAUSE_MAX;
        assert!(circuit.may_try(now) && !circuit.may_try(now));
        circuit.given_up(now);
        assert!(circuit.may_try(now) && !circuit.may_try(now));
    }
}
