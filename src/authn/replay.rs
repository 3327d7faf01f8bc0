//! The memory of requests that were taken: a captured request cannot be sent again.
//!
//! A signature is good for [`CLOCK_WINDOW`] to both sides of its time, so that long its nonce must be remembered. The
//! memory is bounded: when it is full, the oldest nonces are forgotten, and every request from before the time that is
//! still remembered is refused. So a replay never passes, whatever is sent; a request that is late may have to be signed
//! again. What was taken before the start is not known either, so requests from before it are refused too.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashSet;
use jiff::Timestamp;

use super::CLOCK_WINDOW;

/// What makes a request another one than all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Who signed it.
    pub access_key_id: String,
    /// Its nonce.
    pub nonce: String,
    /// When it was signed.
    pub signed: Timestamp,
}

/// The requests that were taken and could still be sent again.
pub struct ReplayMemory {
    capacity: usize,
    /// Requests signed in an earlier second are refused.
    floor: i64,
    /// Fingerprints of access key and nonce.
    taken: HashSet<u64>,
    /// The same, by the second they were signed in.
    by_second: BTreeMap<i64, Vec<u64>>,
    forgotten_early: u64,
    hasher: RandomState,
}

/// A request that was taken before, or is so old that nobody remembers whether it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed;

impl ReplayMemory {
    /// An empty memory for `capacity` requests, of a process that starts `now`.
    pub fn new(capacity: usize, now: Timestamp) -> Self {
        Self {
            capacity: capacity.max(1),
            floor: now.as_second(),
            taken: HashSet::new(),
            by_second: BTreeMap::new(),
            forgotten_early: 0,
            hasher: RandomState::new(),
        }
    }

    /// Takes a request once.
    ///
    /// # Errors
    /// It was taken before, or it is from before the time that is remembered.
    pub fn take(&mut self, once: &Once, now: Timestamp) -> Result<(), Replayed> {
        self.forget_expired(now);
        let second = once.signed.as_second();
        if second < self.floor {
            return Err(Replayed);
        }
        // Keyed at random, so that nobody can look for two requests with the same fingerprint; and if two had one, the
        // second would be refused.
        let fingerprint = self.hasher.hash_one((&once.access_key_id, &once.nonce));
        if !self.taken.insert(fingerprint) {
            return Err(Replayed);
        }
        self.by_second.entry(second).or_default().push(fingerprint);
        while self.taken.len() > self.capacity {
            self.forgotten_early += self.forget_oldest();
        }
        if second < self.floor { Err(Replayed) } else { Ok(()) }
    }

    /// How many requests are remembered.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// How many requests were forgotten while they could still be sent again, because there was no room. Who signed in
    /// their time or before is refused.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// What was signed before the clock window is refused for its time.
    fn forget_expired(&mut self, now: Timestamp) {
        let oldest = now.checked_sub(CLOCK_WINDOW).map_or(i64::MIN, |oldest| oldest.as_second());
        while self.by_second.first_key_value().is_some_and(|(second, _)| *second < oldest) {
            self.forget_oldest();
        }
    }

    /// How many were forgotten.
    fn forget_oldest(&mut self) -> u64 {
        let Some((second, forgotten)) = self.by_second.pop_first() else { return 0 };
        for fingerprint in &forgotten {
            self.taken.remove(fingerprint);
        }
        self.floor = self.floor.max(second + 1);
        forgotten.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + second).unwrap()
    }

    fn once(key: &str, nonce: &str, signed: i64) -> Once {
        Once { access_key_id: key.into(), nonce: nonce.into(), signed: at(signed) }
    }

    /// G05: sent twice; sent to a process that started in between; sent under another key.
    #[test]
    fn a_request_is_taken_once() {
        let mut memory = ReplayMemory::new(100, at(0));
        assert_eq!(memory.take(&once("a", "n", 5), at(6)), Ok(()));
        assert_eq!(memory.take(&once("a", "n", 5), at(7)), Err(Replayed));
        assert_eq!(memory.take(&once("a", "n", 6), at(7)), Err(Replayed), "the nonce, whenever it was signed");
        assert_eq!(memory.take(&once("b", "n", 5), at(7)), Ok(()));
        assert_eq!(ReplayMemory::new(100, at(6)).take(&once("a", "n", 5), at(7)), Err(Replayed));
    }

    /// G06: whoever floods it shortens the time that is remembered, and gains no replay.
    #[test]
    fn a_full_memory_refuses_what_it_cannot_remember() {
        let mut memory = ReplayMemory::new(10, at(0));
        for second in 0..100 {
            assert_eq!(memory.take(&once("a", &second.to_string(), second), at(second)), Ok(()));
            assert!(memory.len() <= 10);
        }
        assert_eq!(memory.forgotten_early(), 90);
        assert_eq!(memory.take(&once("a", "0", 0), at(100)), Err(Replayed));
        assert_eq!(memory.take(&once("a", "fresh", 50), at(100)), Err(Replayed));
        assert_eq!(memory.take(&once("a", "fresh", 99), at(100)), Ok(()));
        memory.take(&once("a", "last", 2000), at(2000)).unwrap();
        assert_eq!(memory.len(), 1, "what the clock window refuses is forgotten");
    }

    proptest! {
        /// Whatever comes, in whatever order and however small the memory: nothing that was taken is taken again.
        #[test]
        fn no_replay_ever_passes(
            capacity in 1_usize..20,
            requests in prop::collection::vec((0_u8..12, -1200_i64..1200, 0_i64..120, prop::option::of(any::<prop::sample::Index>())), 1..200),
        ) {
            let mut memory = ReplayMemory::new(capacity, at(0));
            let mut taken: HashMap<(String, String), Timestamp> = HashMap::new();
            let mut sent: Vec<Once> = Vec::new();
            let mut now = 0;
            for (nonce, skew, step, again) in requests {
                now += step;
                let request = match again {
                    Some(index) if !sent.is_empty() => sent[index.index(sent.len())].clone(),
                    _ => once("a", &nonce.to_string(), now + skew),
                };
                sent.push(request.clone());
                // As `identify` does before.
                if at(now).duration_since(request.signed).abs() > CLOCK_WINDOW {
                    continue;
                }
                let key = (request.access_key_id.clone(), request.nonce.clone());
                if memory.take(&request, at(now)).is_ok() {
                    // The same nonce may come back when its first request could not be sent any more.
                    let before = taken.insert(key, request.signed);
                    let window = CLOCK_WINDOW + SignedDuration::from_secs(1);
                    prop_assert!(before.is_none_or(|signed| signed != request.signed));
                    prop_assert!(before.is_none_or(|signed| capacity < 20 || at(now).duration_since(signed) > window));
                }
                prop_assert!(memory.len() <= capacity);
            }
        }

        /// With room for everything, nobody who signs afresh and in time is refused.
        #[test]
        fn fresh_requests_pass(skews in prop::collection::vec(-900_i64..900, 1..100)) {
            let mut memory = ReplayMemory::new(1000, at(-10_000));
            for (index, skew) in skews.into_iter().enumerate() {
                prop_assert!(memory.take(&once("a", &index.to_string(), skew), at(0)).is_ok());
            }
        }
    }
}
