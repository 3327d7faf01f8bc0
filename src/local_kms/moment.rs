//! A moment, as KMS writes it and as the storage keeps it.
//!
//! Clients read whole seconds; the storage keeps the fraction too, because lists are in the order of creation.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many seconds a day has.
pub const DAY_SECONDS: u32 = 86_400;

/// Whether so many seconds are within so many days.
pub fn is_within(days: &RangeInclusive<u32>, seconds: u32) -> bool {
    (days.start() * DAY_SECONDS..=days.end() * DAY_SECONDS).contains(&seconds)
}

/// A moment. Prints as `yyyy-MM-ddTHH:mm:ssZ`, the form of all times in KMS's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Moment {
    /// So many seconds later.
    pub fn plus(self, seconds: u32) -> Self {
        Self(self.later(seconds))
    }

    /// So many seconds later, in whole seconds.
    pub fn later(self, seconds: u32) -> Timestamp {
        let second = self.0.as_second().saturating_add(i64::from(seconds));
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_and_keeps_the_fraction() {
        let moment = Moment("2026-01-02T03:04:05.678Z".parse().unwrap());
        assert_eq!(moment.to_string(), "2026-01-02T03:04:05Z");
        let stored = serde_json::to_string(&moment).unwrap();
        assert_eq!(serde_json::from_str::<Moment>(&stored).unwrap(), moment);
    }
}
