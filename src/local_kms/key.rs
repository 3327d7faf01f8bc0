//! Keys: what is known of one, and its versions, which seal and open.
//!
//! Immutable values; a change makes a new one. They know nothing of requests or of where they are kept, and none of
//! them prints.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kms::{CiphertextBlob, ErrorCode, KmsError};

use super::cipher::{CipherError, Material};
use super::moment::Moment;

/// Most versions of a key (CreateKeyVersion).
pub const VERSIONS_MAX: usize = 50;

/// A key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What kind of key it is.
    pub spec: KeySpec,
    /// When it will be deleted; only if its state is [`KeyState::PendingDeletion`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Moment>,
    /// Why it must not be deleted, if its owner protects it; the reason may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<String>,
    /// How it gets new versions by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Whether it may be used.
    pub state: KeyState,
    /// What its owner says about it.
    pub description: String,
    /// The KMS instance that it is in, if any.
    pub instance: Option<String>,
    /// Where its material is said to be kept.
    pub protection: Protection,
    /// The account that created it.
    pub creator: String,
    /// When it was created.
    pub created: Moment,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The version that encrypts.
    pub primary: KeyVersion,
    /// Versions that encrypted earlier, and still decrypt.
    pub earlier: Vec<KeyVersion>,
}

impl Key {
    /// All versions, the one that encrypts first.
    pub fn versions(&self) -> impl Iterator<Item = &KeyVersion> {
        std::iter::once(&self.primary).chain(&self.earlier)
    }

    /// The version with this id.
    pub fn version(&self, id: &str) -> Option<&KeyVersion> {
        self.versions().find(|version| version.id == id)
    }

    /// The key itself, if it may be used for cryptography.
    ///
    /// # Errors
    /// As [`Self::fit_for`].
    pub fn usable(&self) -> Result<&Self, KmsError> {
        self.fit_for(Purpose::Cryptography)
    }

    /// The key itself, if its state lets it be used for this (KMS: "Impact of the key state on API calls").
    ///
    /// # Errors
    /// 409 `Rejected.…`, the code for the key's state.
    pub fn fit_for(&self, purpose: Purpose) -> Result<&Self, KmsError> {
        let row = REJECTIONS.iter().find(|(row, ..)| *row == purpose);
        let Some((_, enabled, disabled, pending_deletion)) = row else { return Ok(self) };
        let rejection = match self.state {
            KeyState::Enabled => enabled,
            KeyState::Disabled => disabled,
            KeyState::PendingDeletion => pending_deletion,
        };
        rejection.map_or(Ok(self), |code| Err(code.into()))
    }

    /// The key with a new version, which encrypts from now on; its other versions still decrypt.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn rotated(&self, now: Moment) -> Result<Self, CipherError> {
        let mut next = self.clone();
        let former = std::mem::replace(&mut next.primary, KeyVersion::generate(self.spec, now)?);
        next.earlier.insert(0, former);
        if let Some(rotation) = &mut next.rotation {
            rotation.next = now.plus(rotation.interval);
        }
        Ok(next)
    }

    /// Whether it can get new versions by itself.
    pub fn rotates(&self) -> bool {
        true
    }

    /// The key without automatic rotation: it has as many versions as a key can have.
    pub fn resting(&self) -> Self {
        Self { rotation: None, ..self.clone() }
    }

    /// When something happens to it by itself: its deletion, or its next rotation.
    pub fn due(&self) -> Option<Moment> {
        let rotation = self.rotation.as_ref().filter(|_| self.state == KeyState::Enabled);
        self.deletion.into_iter().chain(rotation.map(|rotation| rotation.next)).min()
    }
}

/// For what a key is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Encrypting, decrypting, signing; making versions, and rotating.
    Cryptography,
    /// Changing its description or tags, or pointing an alias elsewhere to it.
    Update,
    /// Enabling and disabling it.
    Switch,
    /// Scheduling its deletion, or giving it an alias.
    Schedule,
    /// Cancelling its deletion.
    Cancel,
}

/// The rejections for each purpose: of enabled and disabled keys, and of those that wait for their deletion.
type Rejection = (Purpose, Option<ErrorCode>, Option<ErrorCode>, Option<ErrorCode>);

const REJECTIONS: &[Rejection] = &[
    (Purpose::Cryptography, None, Some(ErrorCode::Disabled), Some(ErrorCode::PendingDeletion)),
    (Purpose::Update, None, None, Some(ErrorCode::PendingDeletion)),
    (Purpose::Switch, None, None, Some(ErrorCode::StateModifiedFailed)),
    (Purpose::Schedule, None, None, Some(ErrorCode::StateModifiedFailed)),
    (Purpose::Cancel, Some(ErrorCode::StateModifiedFailed), Some(ErrorCode::StateModifiedFailed), None),
];

/// Automatic rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How often, in seconds.
    pub interval: u32,
    /// When the next time is.
    pub next: Moment,
}

/// A version of a key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyVersion {
    /// Its id, a UUID: 36 characters, as [`CiphertextBlob`] needs it.
    pub id: String,
    /// When it was created.
    pub created: Moment,
    material: Material,
}

impl KeyVersion {
    /// A new version with random material.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(spec: KeySpec, now: Moment) -> Result<Self, CipherError> {
        let material = Material::generate(spec.material_bytes())?;
        Ok(Self { id: uuid::Uuid::new_v4().to_string(), created: now, material })
    }

    /// Seals `plaintext`, bound to `context` and to this version.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<CiphertextBlob, CipherError> {
        let sealed = self.material.seal(&self.associated(context), plaintext)?;
        Ok(CiphertextBlob::new(&self.id, &sealed))
    }

    /// Opens what this version sealed for this context; `None` for anything else.
    pub fn open(&self, context: &[u8], ciphertext: &CiphertextBlob) -> Option<Zeroizing<Vec<u8>>> {
        let ours = ciphertext.version_id() == self.id;
        ours.then(|| self.material.open(&self.associated(context), ciphertext.sealed())).flatten()
    }

    /// An id always has 36 characters, so where it ends and the context begins is never in doubt.
    fn associated(&self, context: &[u8]) -> Vec<u8> {
        [self.id.as_bytes(), context].concat()
    }
}

/// The specs that are served. Source: CreateKey, "KeySpec".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySpec {
    /// AES with 256 bits.
    #[serde(rename = "Aliyun_AES_256")]
    Aes256,
    /// AES with 192 bits; only in a KMS instance.
    #[serde(rename = "Aliyun_AES_192")]
    Aes192,
    /// AES with 128 bits; only in a KMS instance.
    #[serde(rename = "Aliyun_AES_128")]
    Aes128,
}

/// Every spec that is served: its name, how many bytes its material has, whether it needs a KMS instance.
const SPECS: &[(KeySpec, &str, usize, bool)] = &[
    (KeySpec::Aes256, "Aliyun_AES_256", 32, false),
    (KeySpec::Aes192, "Aliyun_AES_192", 24, true),
    (KeySpec::Aes128, "Aliyun_AES_128", 16, true),
];

/// Specs that KMS has and the embedded KMS does not serve.
const SPECS_NOT_SERVED: &[&str] = &["Aliyun_SM4", "RSA_2048", "RSA_3072", "RSA_4096", "EC_P256", "EC_P256K", "EC_SM2"];

/// Why a spec cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// KMS has it, we do not.
    #[error("the embedded KMS has no keys of the spec {0}; it has Aliyun_AES_256, Aliyun_AES_192 and Aliyun_AES_128")]
    NotServed(String),
    /// There is no such spec.
    #[error("there is no such key spec; the default is Aliyun_AES_256")]
    Unknown,
    /// It exists in KMS instances only.
    #[error("keys of the spec {0} are in a KMS instance only")]
    NeedsInstance(&'static str),
}

impl KeySpec {
    /// The spec of that name, for a key in a KMS instance or outside.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn parse(name: &str, in_instance: bool) -> Result<Self, SpecError> {
        match SPECS.iter().find(|(_, known, ..)| *known == name) {
            Some((_, known, _, true)) if !in_instance => Err(SpecError::NeedsInstance(known)),
            Some((spec, ..)) => Ok(*spec),
            None if SPECS_NOT_SERVED.contains(&name) => Err(SpecError::NotServed(name.to_owned())),
            None => Err(SpecError::Unknown),
        }
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        SPECS.iter().find(|(spec, ..)| *spec == self).map_or("", |(_, name, ..)| name)
    }

    fn material_bytes(self) -> usize {
        SPECS.iter().find(|(spec, ..)| *spec == self).map_or(0, |(_, _, bytes, _)| *bytes)
    }
}

/// What may be done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing cryptographic.
    Disabled,
    /// Nothing but to look at it, and to cancel its deletion.
    PendingDeletion,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Where a key's material is said to be kept. The embedded KMS keeps all of it in its own storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    /// In software.
    #[serde(rename = "SOFTWARE")]
    Software,
    /// In a hardware security module.
    #[serde(rename = "HSM")]
    Hsm,
}

impl Protection {
    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Software, Self::Hsm].into_iter().find(|level| level.as_str() == name)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Software => "SOFTWARE",
            Self::Hsm => "HSM",
        }
    }
}

/// A tag of a key or secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Whether a text is the id of a KMS instance: `kst-` and letters, digits and `-`.
pub fn is_instance_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() <= 128 && text.strip_prefix("kst-").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(legal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_those_of_the_documentation() {
        for (name, in_instance, expected) in [
            ("Aliyun_AES_256", false, Ok(KeySpec::Aes256)),
            ("Aliyun_AES_192", true, Ok(KeySpec::Aes192)),
            ("Aliyun_AES_128", true, Ok(KeySpec::Aes128)),
            ("Aliyun_AES_128", false, Err(SpecError::NeedsInstance("Aliyun_AES_128"))),
            ("RSA_2048", true, Err(SpecError::NotServed("RSA_2048".to_owned()))),
            ("aliyun_aes_256", true, Err(SpecError::Unknown)),
            ("AES_256", true, Err(SpecError::Unknown)),
        ] {
            assert_eq!(KeySpec::parse(name, in_instance), expected, "{name}");
        }
    }

    #[test]
    fn the_storage_knows_specs_by_their_names_on_the_wire() {
        for (spec, name, ..) in SPECS {
            assert_eq!(serde_json::to_value(spec).unwrap(), *name);
        }
    }

    #[test]
    fn instance_ids_have_their_prefix_and_alphabet() {
        for (text, expected) in
            [("kst-example01", true), ("kst-a-B-9", true), ("kst-", false), ("key-1", false), ("kst-a/b", false)]
        {
            assert_eq!(is_instance_id(text), expected, "{text}");
        }
    }
}
