//! HMAC: made and verified with a key's bytes. Source: GenerateMac, "Algorithm".

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sm3::Sm3;

/// How a code is made: HMAC with one of the hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// With SHA-224.
    Sha224,
    /// With SHA-256.
    Sha256,
    /// With SHA-384.
    Sha384,
    /// With SHA-512.
    Sha512,
    /// With SM3.
    Sm3,
}

/// Every algorithm: its name, and how many bytes its codes have.
const ALGORITHMS: &[(MacAlgorithm, &str, usize)] = &[
    (MacAlgorithm::Sha224, "HMAC_SHA_224", 28),
    (MacAlgorithm::Sha256, "HMAC_SHA_256", 32),
    (MacAlgorithm::Sha384, "HMAC_SHA_384", 48),
    (MacAlgorithm::Sha512, "HMAC_SHA_512", 64),
    (MacAlgorithm::Sm3, "HMAC_SM3", 32),
];

impl MacAlgorithm {
    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(_, known, _)| *known == name).map(|(algorithm, ..)| *algorithm)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        ALGORITHMS.iter().find(|(known, ..)| *known == self).map_or("", |(_, name, _)| name)
    }

    /// How many bytes its codes have, and a key that is as strong as they are (RFC 2104, section 3).
    pub fn bytes(self) -> usize {
        ALGORITHMS.iter().find(|(known, ..)| *known == self).map_or(0, |(_, _, bytes)| *bytes)
    }

    /// The code of a message, with a key of any length.
    pub fn make(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224 => make::<Hmac<Sha224>>(key, message),
            Self::Sha256 => make::<Hmac<Sha256>>(key, message),
            Self::Sha384 => make::<Hmac<Sha384>>(key, message),
            Self::Sha512 => make::<Hmac<Sha512>>(key, message),
            Self::Sm3 => make::<Hmac<Sm3>>(key, message),
        }
    }

    /// Whether this is the whole code of the message. How long it takes does not depend on where it differs.
    pub fn verify(self, key: &[u8], message: &[u8], code: &[u8]) -> bool {
        match self {
            Self::Sha224 => verify::<Hmac<Sha224>>(key, message, code),
            Self::Sha256 => verify::<Hmac<Sha256>>(key, message, code),
            Self::Sha384 => verify::<Hmac<Sha384>>(key, message, code),
            Self::Sha512 => verify::<Hmac<Sha512>>(key, message, code),
            Self::Sm3 => verify::<Hmac<Sm3>>(key, message, code),
        }
    }
}

fn make<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    of_message::<M>(key, message).finalize().into_bytes().to_vec()
}

fn verify<M: Mac + KeyInit>(key: &[u8], message: &[u8], code: &[u8]) -> bool {
    of_message::<M>(key, message).verify_slice(code).is_ok()
}

#[expect(clippy::expect_used, reason = "HMAC is defined for keys of any length")]
fn of_message<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length").chain_update(message)
}

#[cfg(test)]
mod tests;
