//! Ids of new keys and versions: random, or counted, so that two runs of a test suite give the same ones.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::kms::KeyId;

use super::cipher::{CipherError, random_text};

/// Gives ids.
pub enum Ids {
    /// Random ones.
    Random,
    /// The numbers from 1, in the form of ids.
    Counted(AtomicU64),
}

impl Ids {
    /// Ids that count from 1.
    pub fn counted() -> Self {
        Self::Counted(AtomicU64::new(0))
    }

    /// A new UUID, in 36 characters.
    pub fn uuid(&self) -> String {
        match self {
            Self::Random => uuid::Uuid::new_v4().to_string(),
            Self::Counted(count) => uuid::Builder::from_random_bytes(next(count).to_be_bytes()).into_uuid().to_string(),
        }
    }

    /// The id of a new key: `key-` and 20 letters and digits in an instance, otherwise a UUID, as in the
    /// documentation's samples.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn key_id(&self, in_instance: bool) -> Result<Option<KeyId>, CipherError> {
        let text = match self {
            _ if !in_instance => self.uuid(),
            Self::Random => {
                let letters: Vec<char> = ('a'..='z').chain('0'..='9').collect();
                format!("key-{}", *random_text(&letters, 20)?)
            }
            Self::Counted(count) => format!("key-{:020}", next(count)),
        };
        Ok(KeyId::parse(&text))
    }
}

fn next(count: &AtomicU64) -> u128 {
    u128::from(count.fetch_add(1, Ordering::SeqCst)) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_ids_have_the_form_of_ids_and_are_the_same_in_every_run() {
        let ids = Ids::counted();
        assert_eq!(ids.uuid(), "00000000-0000-4000-8000-000000000001");
        assert_eq!(ids.key_id(true).unwrap().unwrap().as_str(), "key-00000000000000000002");
        assert_eq!(ids.key_id(false).unwrap().unwrap().as_str(), "00000000-0000-4000-8000-000000000003");
    }

    #[test]
    fn random_ids_differ() {
        let ids = Ids::Random;
        assert_ne!(ids.uuid(), ids.uuid());
        assert_ne!(ids.key_id(true).unwrap(), ids.key_id(true).unwrap());
        assert_eq!(ids.key_id(true).unwrap().unwrap().as_str().len(), 24);
    }
}
