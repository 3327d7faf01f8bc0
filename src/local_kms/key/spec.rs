//! TABLES: the specs of keys, what keys of each spec are for, and where their material comes from.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::super::asymmetric::PairSpec;
use super::super::cipher::Cipher;
use super::super::mac::MacAlgorithm;

/// What kind of key it is. Source: CreateKey, "KeySpec".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpec {
    /// AES with 256 bits.
    Aes256,
    /// AES with 192 bits; only in a KMS instance.
    Aes192,
    /// AES with 128 bits; only in a KMS instance.
    Aes128,
    /// SM4, which has 128 bits.
    Sm4,
    /// An asymmetric key.
    Pair(PairSpec),
    /// A key for one kind of message authentication code. KMS documents no names of such specs: these are called as
    /// their algorithm is.
    Mac(MacAlgorithm),
}

/// The specs of symmetric keys: name, cipher, how many bytes their material has, whether they need a KMS instance.
const SYMMETRIC: &[(KeySpec, &str, Cipher, usize, bool)] = &[
    (KeySpec::Aes256, "Aliyun_AES_256", Cipher::Aes, 32, false),
    (KeySpec::Aes192, "Aliyun_AES_192", Cipher::Aes, 24, true),
    (KeySpec::Aes128, "Aliyun_AES_128", Cipher::Aes, 16, true),
    (KeySpec::Sm4, "Aliyun_SM4", Cipher::Sm4, 16, false),
];

/// Why a spec cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no such spec.
    #[error(
        "there is no such key spec; there are Aliyun_AES_256, Aliyun_AES_192, Aliyun_AES_128, Aliyun_SM4, RSA_2048, \
         RSA_3072, RSA_4096, EC_P256, EC_P256K, EC_SM2, HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512 and \
         HMAC_SM3"
    )]
    Unknown,
    /// It exists in KMS instances only.
    #[error("keys of the spec {0} are in a KMS instance only")]
    NeedsInstance(&'static str),
}

impl KeySpec {
    /// The spec of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let symmetric = SYMMETRIC.iter().find(|(_, known, ..)| *known == name).map(|(spec, ..)| *spec);
        let pair = || PairSpec::parse(name).map(Self::Pair);
        let mac = || MacAlgorithm::parse(name).map(Self::Mac);
        symmetric.or_else(pair).or_else(mac)
    }

    /// The spec of that name, for a new key in a KMS instance or outside.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn of_new(name: &str, in_instance: bool) -> Result<Self, SpecError> {
        let spec = Self::parse(name).ok_or(SpecError::Unknown)?;
        match SYMMETRIC.iter().find(|(known, ..)| *known == spec) {
            Some((_, name, .., true)) if !in_instance => Err(SpecError::NeedsInstance(name)),
            _ => Ok(spec),
        }
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pair(spec) => spec.as_str(),
            Self::Mac(algorithm) => algorithm.as_str(),
            _ => SYMMETRIC.iter().find(|(spec, ..)| *spec == self).map_or("", |(_, name, ..)| name),
        }
    }

    /// The cipher of a symmetric key, and how many bytes its material has.
    pub fn symmetric(self) -> Option<(Cipher, usize)> {
        SYMMETRIC.iter().find(|(spec, ..)| *spec == self).map(|(_, _, cipher, bytes, _)| (*cipher, *bytes))
    }

    /// What keys of this spec can be for, the default first: signing, where they can sign.
    pub fn usages(self) -> &'static [Usage] {
        match self {
            Self::Pair(spec) if spec.encrypts() => &[Usage::SignVerify, Usage::EncryptDecrypt],
            Self::Pair(_) => &[Usage::SignVerify],
            Self::Mac(_) => &[Usage::GenerateVerify],
            _ => &[Usage::EncryptDecrypt],
        }
    }
}

impl Serialize for KeySpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| de::Error::custom("there is no such key spec"))
    }
}

/// What a key is for; it never changes. Source: CreateKey, "KeyUsage".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// Encrypting and decrypting.
    #[default]
    #[serde(rename = "ENCRYPT/DECRYPT")]
    EncryptDecrypt,
    /// Signing and verifying signatures.
    #[serde(rename = "SIGN/VERIFY")]
    SignVerify,
    /// Making and verifying message authentication codes. KMS documents no name of this usage.
    #[serde(rename = "GENERATE/VERIFY")]
    GenerateVerify,
}

impl Usage {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "ENCRYPT/DECRYPT",
            Self::SignVerify => "SIGN/VERIFY",
            Self::GenerateVerify => "GENERATE/VERIFY",
        }
    }

    /// The usage of that name, or without one the default, if keys of the spec can be for it.
    ///
    /// # Errors
    /// What keys of the spec can be for.
    pub fn parse(name: Option<&str>, spec: KeySpec) -> Result<Self, String> {
        let usages = spec.usages();
        let wanted = |usage: &&Self| name.is_none_or(|name| usage.as_str() == name);
        usages.iter().find(wanted).copied().ok_or_else(|| {
            let names: Vec<&str> = usages.iter().map(|usage| usage.as_str()).collect();
            format!("keys of this spec are for {}", names.join(" or "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "Aliyun_AES_256",
        "Aliyun_AES_192",
        "Aliyun_AES_128",
        "Aliyun_SM4",
        "RSA_2048",
        "RSA_3072",
        "RSA_4096",
        "EC_P256",
        "EC_P256K",
        "EC_SM2",
        "HMAC_SHA_224",
        "HMAC_SHA_256",
        "HMAC_SHA_384",
        "HMAC_SHA_512",
        "HMAC_SM3",
    ];

    #[test]
    fn specs_are_those_of_the_documentation() {
        let told = SpecError::Unknown.to_string();
        for name in NAMES {
            let spec = KeySpec::of_new(name, true).unwrap();
            assert_eq!((spec.as_str(), told.contains(name)), (*name, true));
        }
        for (name, in_instance, expected) in [
            ("Aliyun_AES_128", false, Err(SpecError::NeedsInstance("Aliyun_AES_128"))),
            ("Aliyun_AES_192", false, Err(SpecError::NeedsInstance("Aliyun_AES_192"))),
            ("Aliyun_AES_256", false, Ok(KeySpec::Aes256)),
            ("RSA_2048", false, Ok(KeySpec::Pair(PairSpec::Rsa2048))),
            ("aliyun_aes_256", true, Err(SpecError::Unknown)),
            ("AES_256", true, Err(SpecError::Unknown)),
            ("RSA_1024", true, Err(SpecError::Unknown)),
        ] {
            assert_eq!(KeySpec::of_new(name, in_instance), expected, "{name}");
        }
    }

    #[test]
    fn the_storage_knows_specs_and_usages_by_their_names_on_the_wire() {
        for name in NAMES {
            let spec = KeySpec::parse(name).unwrap();
            assert_eq!(serde_json::to_value(spec).unwrap(), *name);
            assert_eq!(serde_json::from_value::<KeySpec>((*name).into()).unwrap(), spec);
            for usage in spec.usages() {
                assert_eq!(serde_json::to_value(usage).unwrap(), usage.as_str());
            }
        }
    }

    #[test]
    fn a_spec_has_usages_and_a_default_one() {
        for (spec, name, expected) in [
            ("Aliyun_AES_256", None, Ok("ENCRYPT/DECRYPT")),
            ("Aliyun_SM4", Some("SIGN/VERIFY"), Err("keys of this spec are for ENCRYPT/DECRYPT")),
            ("RSA_2048", None, Ok("SIGN/VERIFY")),
            ("RSA_2048", Some("ENCRYPT/DECRYPT"), Ok("ENCRYPT/DECRYPT")),
            ("EC_SM2", Some("ENCRYPT/DECRYPT"), Ok("ENCRYPT/DECRYPT")),
            ("EC_P256", Some("ENCRYPT/DECRYPT"), Err("keys of this spec are for SIGN/VERIFY")),
            ("RSA_2048", Some("SIGN"), Err("keys of this spec are for SIGN/VERIFY or ENCRYPT/DECRYPT")),
            ("HMAC_SM3", None, Ok("GENERATE/VERIFY")),
        ] {
            let usage = Usage::parse(name, KeySpec::parse(spec).unwrap()).map(Usage::as_str);
            assert_eq!(usage, expected.map_err(str::to_owned), "{spec} {name:?}");
        }
    }
}
