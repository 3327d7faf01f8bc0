//! What keeps Keyward from KMS: connections that cannot be made, and what KMS refuses Keyward itself, its questions and what it
//! signs with. No client can do anything about it, so operators have to know: it is told now and then, and stands among what
//! is wrong until it is over, or was not seen for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many of them are remembered.
const TROUBLES_MAX: usize = 64;

/// How often one is told in the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How long one is a problem that was not seen again.
const PROBLEM_FOR: Duration = Duration::from_secs(300);

/// What was refused lately, by what it was.
#[derive(Default)]
pub struct Troubles(Mutex<BTreeMap<String, Trouble>>);

struct Trouble {
    why: String,
    seen: Instant,
    told: Instant,
}

impl Troubles {
    /// Notes that something was refused, and why. Whether it is time to tell somebody.
    pub fn note(&self, what: &str, why: String, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, trouble| now.duration_since(trouble.seen) < PROBLEM_FOR);
        if let Some(trouble) = all.get_mut(what) {
            let is_due = now.duration_since(trouble.told) >= TOLD_EVERY;
            *trouble = Trouble { why, seen: now, told: if is_due { now } else { trouble.told } };
            return is_due;
        }
        // There is enough to do already.
        let has_room = all.len() < TROUBLES_MAX;
        if has_room {
            all.insert(what.to_owned(), Trouble { why, seen: now, told: now });
        }
        has_room
    }

    /// Notes that it was not refused.
    pub fn is_over(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// Everything that is a problem.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = all.iter().filter(|(_, trouble)| now.duration_since(trouble.seen) < PROBLEM_FOR);
        lately.map(|(what, trouble)| format!("{what}: {}", trouble.why)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_now_and_then_and_is_a_problem_for_a_while() {
        let (troubles, begin) = (Troubles::default(), Instant::now());
        let why = || "no".to_owned();
        assert!(troubles.note("a", why(), begin));
        assert!(!troubles.note("a", "never".to_owned(), begin + TOLD_EVERY / 2));
        assert!(troubles.note("b", why(), begin + TOLD_EVERY / 2));
        assert!(troubles.note("a", "never".to_owned(), begin + TOLD_EVERY));
        assert_eq!(troubles.problems(begin + TOLD_EVERY), ["a: never", "b: no"]);
        assert_eq!(troubles.problems(begin + PROBLEM_FOR + TOLD_EVERY / 2), ["a: never"]);
        troubles.is_over("a");
        assert_eq!(troubles.problems(begin + PROBLEM_FOR), ["b: no"]);
        let told = (0..2 * TROUBLES_MAX).filter(|number| troubles.note(&number.to_string(), why(), begin)).count();
        assert_eq!(told, TROUBLES_MAX - 1, "beside b");
        assert_eq!(troubles.problems(begin).len(), TROUBLES_MAX);
    }
}
