//! The memory of requests that were taken: a captured request cannot be sent again.
//!
//! A signature is good for [`CLOCK_WINDOW`] to both sides of its time, so that long its nonce must be remembered. The
//! memory is bounded: when it is full, whoever has most in it loses his oldest nonces, and his requests from before that
//! time are refused from then on. So a replay never passes, a flood costs nobody but its sender, and a request that is late
//! may have to be signed again.
//!
//! What was taken before the start of the process is not known, so requests from before it are refused too. One gap is
//! left there: a client whose clock is ahead dates its requests into the future, and such a request can be sent once more
//! after a restart, until that time.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CLOCK_WINDOW;

/// What makes a request another one than all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// On whose account it is remembered: a user's or role's ARN. Sessions share their role's.
    pub holder: String,
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
    start: i64,
    /// Fingerprints of access key and nonce.
    taken: HashSet<u64>,
    holders: HashMap<String, Held>,
    /// When it was last looked for what can be forgotten.
    swept: i64,
    forgotten_early: u64,
    /// Keys the fingerprints.
    key: [u8; 32],
}

/// What a memory holds, for the process that takes over. Who has it can find out which nonces were used, and nothing else.
#[derive(Serialize, Deserialize)]
pub struct Remembered {
    start: i64,
    key: [u8; 32],
    holders: BTreeMap<String, Held>,
}

/// What is remembered on one account.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Held {
    /// Its requests signed in an earlier second are refused.
    floor: i64,
    /// Fingerprints, by the second they were signed in.
    by_second: BTreeMap<i64, Vec<u64>>,
    count: usize,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It was taken before.
    Replayed,
    /// It is so old that nobody remembers whether it was.
    Forgotten,
}

impl ReplayMemory {
    /// An empty memory for `capacity` requests, of a process that starts `now`. Nobody else knows `key`.
    pub fn new(capacity: usize, now: Timestamp, key: [u8; 32]) -> Self {
        Self {
            capacity: capacity.max(1),
            start: now.as_second(),
            taken: HashSet::new(),
            holders: HashMap::new(),
            swept: i64::MIN,
            forgotten_early: 0,
            key,
        }
    }

    /// The memory of the process that this one takes over from. What has no room in it is refused for its time.
    pub fn taken_over(capacity: usize, remembered: Remembered) -> Self {
        let Remembered { start, key, holders } = remembered;
        let mut memory = Self::new(capacity, Timestamp::UNIX_EPOCH, key);
        memory.start = start;
        memory.taken = holders.values().flat_map(|held| held.by_second.values().flatten().copied()).collect();
        memory.holders = holders.into_iter().collect();
        while memory.taken.len() > memory.capacity {
            memory.forget_of_the_greediest();
        }
        memory
    }

    /// Everything that it holds.
    pub fn remembers(&self) -> Remembered {
        let holders = self.holders.iter().map(|(name, held)| (name.clone(), held.clone())).collect();
        Remembered { start: self.start, key: self.key, holders }
    }

    /// Takes a request once.
    ///
    /// # Errors
    /// It was taken before, or it is from before the time that is remembered.
    pub fn take(&mut self, once: &Once, now: Timestamp) -> Result<(), NotTaken> {
        self.sweep(now);
        let second = once.signed.as_second();
        let floor = self.holders.get(&once.holder).map_or(i64::MIN, |held| held.floor);
        if second < self.start.max(floor) {
            return Err(NotTaken::Forgotten);
        }
        // Keyed at random, so that nobody can look for two requests with the same fingerprint; and if two had one, the
        // second would be refused.
        let fingerprint = self.fingerprint(once);
        if !self.taken.insert(fingerprint) {
            return Err(NotTaken::Replayed);
        }
        let held = self.holders.entry_ref(&once.holder).or_default();
        held.by_second.entry(second).or_default().push(fingerprint);
        held.count += 1;
        while self.taken.len() > self.capacity {
            self.forget_of_the_greediest();
        }
        let floor = self.holders.get(&once.holder).map_or(i64::MIN, |held| held.floor);
        if second < floor { Err(NotTaken::Forgotten) } else { Ok(()) }
    }

    /// How many requests are remembered.
    pub fn remembered(&self) -> usize {
        self.taken.len()
    }

    /// How many requests were forgotten while they could still be sent again, because there was no room.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    fn fingerprint(&self, once: &Once) -> u64 {
        let length = once.access_key_id.len().to_le_bytes();
        let hash = Sha256::new().chain_update(self.key).chain_update(length).chain_update(&once.access_key_id);
        let hash = hash.chain_update(&once.nonce).finalize();
        hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Once a second: what was signed before the clock window is refused for its time, and need not be remembered.
    fn sweep(&mut self, now: Timestamp) {
        let oldest = now.checked_sub(CLOCK_WINDOW).map_or(i64::MIN, |oldest| oldest.as_second());
        if oldest == self.swept {
            return;
        }
        self.swept = oldest;
        let (taken, start) = (&mut self.taken, &mut self.start);
        self.holders.retain(|_, held| {
            while held.by_second.first_key_value().is_some_and(|(second, _)| *second < oldest) {
                held.forget_oldest(taken);
            }
            let is_needed = !held.by_second.is_empty() || held.floor > oldest;
            // Should our clock go back, what is let go of must still be refused.
            *start = if is_needed { *start } else { held.floor.max(*start) };
            is_needed
        });
    }

    fn forget_of_the_greediest(&mut self) {
        let greediest = self.holders.values_mut().max_by_key(|held| held.count);
        let Some(held) = greediest else { return };
        self.forgotten_early += held.forget_oldest(&mut self.taken);
    }
}

impl Held {
    /// How many were forgotten.
    fn forget_oldest(&mut self, taken: &mut HashSet<u64>) -> u64 {
        let Some((second, forgotten)) = self.by_second.pop_first() else { return 0 };
        for fingerprint in &forgotten {
            taken.remove(fingerprint);
        }
        self.count -= forgotten.len();
        self.floor = self.floor.max(second + 1);
        forgotten.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as Map;

    use proptest::prelude::*;

    use super::NotTaken::{Forgotten, Replayed};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + second).unwrap()
    }

    fn once(key: &str, nonce: &str, signed: i64) -> Once {
        Once { holder: key.into(), access_key_id: key.into(), nonce: nonce.into(), signed: at(signed) }
    }

    /// G05: sent twice; sent to a process that started in between; sent under another key.
    #[test]
    fn a_request_is_taken_once() {
        let mut memory = ReplayMemory::new(100, at(0), [7; 32]);
        assert_eq!(memory.take(&once("a", "n", 5), at(6)), Ok(()));
        assert_eq!(memory.take(&once("a", "n", 5), at(7)), Err(Replayed));
        assert_eq!(memory.take(&once("a", "n", 6), at(7)), Err(Replayed), "the nonce, whenever it was signed");
        assert_eq!(memory.take(&once("b", "n", 5), at(7)), Ok(()));
        assert_eq!(ReplayMemory::new(100, at(6), [7; 32]).take(&once("a", "n", 5), at(7)), Err(Forgotten));
    }

    /// G06: whoever floods it shortens the time that is remembered of himself, and gains no replay.
    #[test]
    fn a_full_memory_refuses_what_it_cannot_remember() {
        let mut memory = ReplayMemory::new(10, at(0), [7; 32]);
        memory.take(&once("quiet", "0", 0), at(0)).unwrap();
        for second in 0..100 {
            assert_eq!(memory.take(&once("a", &second.to_string(), second), at(second)), Ok(()));
            assert!(memory.remembered() <= 10);
        }
        assert_eq!(memory.forgotten_early(), 91);
        assert_eq!(memory.take(&once("a", "0", 0), at(100)), Err(Forgotten));
        assert_eq!(memory.take(&once("a", "fresh", 50), at(100)), Err(Forgotten));
        assert_eq!(memory.take(&once("a", "fresh", 99), at(100)), Ok(()));
        assert_eq!(memory.take(&once("quiet", "0", 0), at(100)), Err(Replayed));
        assert_eq!(memory.take(&once("quiet", "1", 0), at(100)), Ok(()));
        memory.take(&once("a", "last", 2000), at(2000)).unwrap();
        assert_eq!(memory.remembered(), 1, "what the clock window refuses is forgotten");
    }

    /// One caller dates all its requests as far ahead as it may: nobody else is refused for it.
    #[test]
    fn a_flood_costs_nobody_but_its_sender() {
        let mut memory = ReplayMemory::new(100, at(0), [7; 32]);
        for nonce in 0..10_000 {
            let _ = memory.take(&once("flood", &nonce.to_string(), 890), at(1));
        }
        for nonce in 0..20 {
            assert_eq!(memory.take(&once("alice", &nonce.to_string(), 1), at(1)), Ok(()));
        }
        assert_eq!(memory.take(&once("flood", "one more", 890), at(1)), Err(Forgotten));
        assert!(memory.remembered() <= 100);
    }

    /// G08: our clock jumps ahead by ten years, and back.
    #[test]
    fn a_clock_that_jumps_lets_no_replay_through() {
        let mut memory = ReplayMemory::new(100, at(0), [7; 32]);
        let request = once("a", "n", 5);
        memory.take(&request, at(6)).unwrap();
        memory.take(&once("a", "later", 300_000_000), at(300_000_000)).unwrap();
        assert_eq!(memory.take(&request, at(7)), Err(Forgotten));
        assert_eq!(memory.take(&once("a", "fresh", 7), at(7)), Ok(()), "and keeps nobody out");
        assert_eq!(memory.take(&once("b", "n", 7), at(7)), Ok(()));
    }

    /// U13: the next process goes on where this one ended.
    #[test]
    fn a_successor_remembers() {
        let mut memory = ReplayMemory::new(10, at(0), [7; 32]);
        memory.take(&once("a", "n", 5), at(6)).unwrap();
        memory.take(&once("b", "n", 5), at(6)).unwrap();
        let text = serde_json::to_string(&memory.remembers()).unwrap();
        let remembered = || serde_json::from_str(&text).unwrap();
        let mut next = ReplayMemory::taken_over(10, remembered());
        assert_eq!(next.take(&once("a", "n", 5), at(7)), Err(Replayed));
        assert_eq!(next.take(&once("a", "before", 4), at(7)), Ok(()), "signed before, and never sent");
        assert_eq!(next.take(&once("a", "older", -1), at(7)), Err(Forgotten));
        let mut small = ReplayMemory::taken_over(1, remembered());
        assert_eq!(small.remembered(), 1);
        for holder in ["a", "b"] {
            assert!(small.take(&once(holder, "n", 5), at(7)).is_err());
        }
    }

    proptest! {
        /// Whatever comes, in whatever order, however small the memory and wherever the clock goes: nothing that was taken
        /// is taken again.
        #[test]
        fn no_replay_ever_passes(
            capacity in 1_usize..20,
            requests in prop::collection::vec(
                (0_u8..3, 0_u8..12, -1200_i64..1200, -100_i64..120, prop::option::of(any::<prop::sample::Index>())),
                1..200,
            ),
        ) {
            let mut memory = ReplayMemory::new(capacity, at(0), [7; 32]);
            let mut taken: Map<(String, String), Vec<Timestamp>> = Map::new();
            let mut sent: Vec<Once> = Vec::new();
            let mut now = 0;
            for (holder, nonce, skew, step, again) in requests {
                now += step;
                let request = match again {
                    Some(index) if !sent.is_empty() => sent[index.index(sent.len())].clone(),
                    _ => once(&holder.to_string(), &nonce.to_string(), now + skew),
                };
                sent.push(request.clone());
                // As `identify` does before.
                if at(now).duration_since(request.signed).abs() > CLOCK_WINDOW {
                    continue;
                }
                if memory.take(&request, at(now)).is_ok() {
                    // The same nonce may come back with another time, once its first request cannot be sent any more.
                    let before = taken.entry((request.access_key_id, request.nonce)).or_default();
                    prop_assert!(!before.contains(&request.signed), "{:?} {:?}", before, request.signed);
                    before.push(request.signed);
                }
                prop_assert!(memory.remembered() <= capacity);
            }
        }

        /// With room for everything, nobody who signs afresh and in time is refused.
        #[test]
        fn fresh_requests_pass(skews in prop::collection::vec(-900_i64..900, 1..100)) {
            let mut memory = ReplayMemory::new(1000, at(-10_000), [7; 32]);
            for (index, skew) in skews.into_iter().enumerate() {
                prop_assert!(memory.take(&once("a", &index.to_string(), skew), at(0)).is_ok());
            }
        }
    }
}
