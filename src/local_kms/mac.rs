//! HMAC: made and verified with a key's bytes. Source: GenerateMac, "Algorithm".

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sm3::Sm3;
use zeroize::Zeroizing;

use super::cipher::{CipherError, random_bytes};

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

/// A key for one algorithm. Does not print.
#[derive(Clone)]
pub struct MacKey {
    algorithm: MacAlgorithm,
    bytes: Zeroizing<Vec<u8>>,
}

impl MacKey {
    /// A new key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(algorithm: MacAlgorithm) -> Result<Self, CipherError> {
        Ok(Self { algorithm, bytes: random_bytes(algorithm.bytes())? })
    }

    /// What it is for.
    pub fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// The code of a message.
    pub fn make(&self, message: &[u8]) -> Vec<u8> {
        self.algorithm.make(&self.bytes, message)
    }

    /// Whether this is the whole code of the message.
    pub fn verify(&self, message: &[u8], code: &[u8]) -> bool {
        self.algorithm.verify(&self.bytes, message, code)
    }
}

impl Serialize for MacKey {
    /// `ALGORITHM:BASE64`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(BASE64.encode(&self.bytes));
        serializer.serialize_str(&Zeroizing::new([self.algorithm.as_str(), ":", &text].concat()))
    }
}

impl<'de> Deserialize<'de> for MacKey {
    /// Says nothing about what it found: it may be a key all the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let parse = || {
            let (name, bytes) = text.split_once(':')?;
            let algorithm = MacAlgorithm::parse(name)?;
            let bytes = BASE64.decode(bytes.as_bytes()).map(Zeroizing::new).ok()?;
            (bytes.len() == algorithm.bytes()).then_some(Self { algorithm, bytes })
        };
        parse().ok_or_else(|| de::Error::custom("a key for message authentication codes is damaged"))
    }
}

#[cfg(test)]
mod tests;
