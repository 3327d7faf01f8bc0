//! When a file is read: once its writer is done.
//!
//! A file is settled when it did not change for the quiet time, by its own times or as far as we saw: clocks jump, and those
//! of a network's file server are not ours. Whoever writes without a pause does not keep the others waiting for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::stamp::{Stamp, Time};

/// How many times the quiet time may pass before what is settled is taken without the rest.
const PATIENCE: u32 = 20;

/// How long things must be quiet, and when it is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Now.
    pub now: Timestamp,
    /// How long a file must not have changed.
    pub quiet: Duration,
}

/// What was seen of files that are not settled.
#[derive(Default)]
pub struct Settling {
    /// How each looked, and since when it looks so. No stamp: it is not there.
    seen: HashMap<Arc<str>, (Option<Stamp>, Timestamp)>,
    /// Since when something is not settled.
    since: Option<Timestamp>,
}

impl Settling {
    /// Whether a file has looked like this for long enough. `changed` is when it changed by its own account.
    pub fn is_settled(&mut self, path: &Arc<str>, stamp: Option<Stamp>, changed: Time, pace: Option<Pace>) -> bool {
        let Some(Pace { now, quiet }) = pace else { return true };
        let long_ago = now.checked_sub(quiet).is_ok_and(|then| changed <= time_of(then));
        if long_ago {
            return true;
        }
        let (seen, since) = *self.seen.entry(path.clone()).or_insert((stamp, now));
        // A clock that was set back starts anew.
        if seen != stamp || since > now {
            self.seen.insert(path.clone(), (stamp, now));
            return false;
        }
        now.duration_since(since) >= SignedDuration::try_from(quiet).unwrap_or(SignedDuration::MAX)
    }

    /// Notes that something is not settled. Returns whether that went on for so long that the rest shall not wait for it.
    pub fn is_out_of_patience(&mut self, pace: Option<Pace>) -> bool {
        let Some(Pace { now, quiet }) = pace else { return true };
        let since = *self.since.get_or_insert(now);
        if since > now {
            self.since = Some(now);
        }
        now.duration_since(since) > SignedDuration::try_from(quiet * PATIENCE).unwrap_or(SignedDuration::MAX)
    }

    /// Everything is settled.
    pub fn done(&mut self) {
        *self = Self::default();
    }
}

fn time_of(timestamp: Timestamp) -> Time {
    (timestamp.as_second(), timestamp.subsec_nanosecond().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F13: whatever the clocks of writers say, a file that goes on looking the same is settled.
    #[test]
    fn a_file_is_settled_by_its_times_or_by_what_was_seen() {
        let at = |millis: i64| Timestamp::from_millisecond(1_000_000 + millis).unwrap();
        let pace = |millis| Some(Pace { now: at(millis), quiet: Duration::from_millis(100) });
        let path: Arc<str> = "keys/a.json".into();
        let mut settling = Settling::default();
        let long_ago = time_of(at(-200));
        let in_future = (i64::MAX, 0);
        assert!(settling.is_settled(&path, None, long_ago, pace(0)));
        assert!(settling.is_settled(&path, None, in_future, None), "at the start there is nothing to wait with");
        for (millis, expected) in [(0, false), (50, false), (100, true), (-1000, false), (-950, false), (-900, true)] {
            assert_eq!(settling.is_settled(&path, None, in_future, pace(millis)), expected, "{millis}");
        }
        for (millis, expected) in [(0, false), (1999, false), (2001, true)] {
            assert_eq!(settling.is_out_of_patience(pace(millis)), expected, "{millis}");
        }
        settling.done();
        assert!(!settling.is_out_of_patience(pace(9000)));
    }
}
