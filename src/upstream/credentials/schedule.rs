//! When a credential is fetched again. Decides only; must never wait, nor ask what time it is.

use std::time::Duration;

use jiff::Timestamp;

use crate::settings::{CredentialSource, SecretPlace};

/// What is left of a credential's life when it is fetched again, in seconds; half of a life that is shorter than twice
/// that.
const MARGIN: f64 = 300.0;

/// The soonest that a credential that was just fetched is fetched again, in seconds.
const SOONEST: f64 = 1.0;

/// How often files are read again.
const REREAD: Duration = Duration::from_secs(60);

/// The longest that is waited after a failure; and the same while there is no credential, and every request fails.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
const BACK_OFF_WITHOUT_MAX: Duration = Duration::from_secs(5);

/// Which part of a wait after a failure is left to chance, so that many processes do not ask at once.
const CHANCE: f64 = 0.2;

/// When a credential that expires is fetched again: after 80 to 90 % of the life that it has left, and at least five
/// minutes before its end, or after half of a life that is short. With `jitter` between 0 and 1, as chance has it, many
/// processes do not ask at once.
pub fn when_to_fetch_again(expires: Timestamp, fetched_at: Timestamp, jitter: f64) -> Timestamp {
    let life = expires.duration_since(fetched_at).as_secs_f64().max(0.0);
    let latest = (0.9 * life).min(life - MARGIN.min(life / 2.0));
    let wait = (latest - jitter.clamp(0.0, 1.0) * 0.1 * life).max(SOONEST);
    let wait = Duration::try_from_secs_f64(wait).unwrap_or(BACK_OFF_MAX);
    fetched_at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How often a source is read again whose credential does not expire: files may be exchanged, the environment of a
/// process stays as it is.
pub fn reread_every(source: &CredentialSource) -> Option<Duration> {
    let is_variable = |place: &SecretPlace| matches!(place, SecretPlace::Environment(_));
    match source {
        CredentialSource::Environment => None,
        CredentialSource::AccessKey { secret, security_token, .. } => {
            let stays = is_variable(secret) && security_token.as_ref().is_none_or(is_variable);
            (!stays).then_some(REREAD)
        }
        _ => Some(REREAD),
    }
}

/// What there is while its source fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// No credential.
    Nothing,
    /// One that is valid for so long.
    For(Duration),
    /// One that does not expire.
    Forever,
}

/// How long is waited after so many failures in a row: a second at first, then twice as long each time. Never beyond the
/// end of the credential that there is, and not for long when there is none.
pub fn back_off(failures: u32, left: Left, jitter: f64) -> Duration {
    let seconds = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    let most = if left == Left::Nothing { BACK_OFF_WITHOUT_MAX } else { BACK_OFF_MAX };
    let wait = Duration::from_secs(seconds).min(most).mul_f64(1.0 - CHANCE * jitter.clamp(0.0, 1.0));
    match left {
        Left::For(life) => wait.min(life),
        Left::Nothing | Left::Forever => wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::constant(1_785_542_400, 0);

    fn waits(life: f64, jitter: f64) -> f64 {
        let expires = START.checked_add(Duration::from_secs_f64(life)).unwrap();
        when_to_fetch_again(expires, START, jitter).duration_since(START).as_secs_f64()
    }

    #[test]
    fn lives_and_when_they_are_renewed() {
        for (life, soonest, latest) in [
            (6.0 * 3600.0, 0.8 * 6.0 * 3600.0, 0.9 * 6.0 * 3600.0),
            (3600.0, 2880.0, 3240.0),
            (3000.0, 2400.0, 2700.0),
            (900.0, 510.0, 600.0),
            (600.0, 240.0, 300.0),
            (60.0, 24.0, 30.0),
            (2.0, 1.0, 1.0),
            (0.0, 1.0, 1.0),
        ] {
            for (jitter, expected) in [(1.0, soonest), (0.0, latest), (7.0, soonest), (-7.0, latest)] {
                assert!((waits(life, jitter) - expected).abs() < 0.001, "{life} {jitter} {}", waits(life, jitter));
            }
            assert!(waits(life, f64::NAN) >= 1.0);
        }
        assert_eq!(when_to_fetch_again(Timestamp::MIN, START, 0.5), START + Duration::from_secs(1));
        assert!(when_to_fetch_again(Timestamp::MAX, START, 0.5) > START);
    }

    proptest! {
        #[test]
        fn renewal_is_in_time(life in 2.5_f64..1e6, jitter in 0.0_f64..1.0) {
            let wait = waits(life, jitter);
            let left = life - wait;
            prop_assert!(wait >= 1.0 && left > 0.0);
            prop_assert!(wait <= 0.9 * life + 0.001);
            prop_assert!(life < 600.0 || left >= 300.0 - 0.001, "{left}");
            prop_assert!(life < 3000.0 || wait >= 0.8 * life - 0.001);
            prop_assert!(life < 10.0 || wait >= 0.4 * life - 0.001);
        }

        #[test]
        fn a_longer_life_is_never_renewed_sooner(life in 0.0_f64..1e6, more in 0.0_f64..1e4, jitter in 0.0_f64..1.0) {
            prop_assert!(waits(life + more, jitter) >= waits(life, jitter) - 0.001);
        }
    }

    #[test]
    fn files_are_read_again() {
        let variable = || SecretPlace::Environment("V".into());
        let file = || SecretPlace::File("f".into());
        let key = |secret, security_token| CredentialSource::AccessKey { id: "I".into(), secret, security_token };
        for (source, expected) in [
            (CredentialSource::Environment, None),
            (key(variable(), None), None),
            (key(variable(), Some(variable())), None),
            (key(variable(), Some(file())), Some(REREAD)),
            (key(file(), None), Some(REREAD)),
            (CredentialSource::CredentialsFile { path: None, profile: None }, Some(REREAD)),
            (CredentialSource::CliProfile { path: None, profile: None }, Some(REREAD)),
        ] {
            assert_eq!(reread_every(&source), expected, "{source:?}");
        }
    }

    #[test]
    fn failures_are_waited_after() {
        let failures = [0, 1, 2, 3, 4, 5, 6, 7, 8, 64, 65, u32::MAX];
        let second = Duration::from_secs(1);
        for (left, expected) in [
            (Left::Forever, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]),
            (Left::For(3600 * second), [1, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]),
            (Left::For(10 * second), [1, 1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10]),
            (Left::Nothing, [1, 1, 2, 4, 5, 5, 5, 5, 5, 5, 5, 5]),
        ] {
            assert_eq!(failures.map(|failures| back_off(failures, left, 0.0).as_secs()), expected, "{left:?}");
        }
        assert_eq!(back_off(7, Left::Forever, 1.0), 48 * second);
        assert_eq!(back_off(7, Left::For(50 * second), 0.0), 50 * second);
    }
}
