//! Keys: what is known of one, and its versions, which seal and open.
//!
//! Immutable values; a change makes a new one. They know nothing of requests or of where they are kept, and none of
//! them prints.

mod life;
mod spec;
mod version;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::kms::{ErrorCode, KmsError};

pub use life::{Import, KeyState, Purpose, Rotation};
pub use spec::{KeySpec, Usage};
pub use version::KeyVersion;

use super::moment::{Moment, is_within};

/// Most versions of a key (CreateKeyVersion).
pub const VERSIONS_MAX: usize = 50;

/// The shortest and the longest time between two rotations, in days (UpdateRotationPolicy, "RotationInterval").
pub const ROTATION_DAYS: RangeInclusive<u32> = 7..=730;

/// The same for a new key (CreateKey, "RotationInterval").
pub const NEW_KEY_ROTATION_DAYS: RangeInclusive<u32> = 7..=365;

/// A key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What kind of key it is.
    pub spec: KeySpec,
    /// What it is for.
    #[serde(default)]
    pub usage: Usage,
    /// Only if its material comes from outside: what is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
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
    /// A key of that account, made when its version was, and nothing more to say about it: enabled, outside of any
    /// instance, for what is the default for its spec.
    pub fn new(spec: KeySpec, primary: KeyVersion, creator: &str) -> Self {
        Self {
            spec,
            usage: spec.usages().first().copied().unwrap_or_default(),
            import: None,
            deletion: None,
            protected: None,
            rotation: None,
            state: KeyState::Enabled,
            description: String::new(),
            instance: None,
            protection: Protection::Software,
            creator: creator.to_owned(),
            created: primary.created,
            tags: Vec::new(),
            primary,
            earlier: Vec::new(),
        }
    }

    /// What keeps it from being a key that could have come about here; `None` for one that could.
    pub fn flaw(&self) -> Option<&'static str> {
        let waits = self.state == KeyState::PendingDeletion;
        let awaits = self.versions().any(KeyVersion::is_awaiting);
        let interval = self.rotation.as_ref().map(|rotation| rotation.interval);
        let may_rotate = self.spec.symmetric().is_some() && self.import.is_none();
        let flaws = [
            (!self.spec.usages().contains(&self.usage), "that is for something else than keys of its spec"),
            (!self.versions().all(|version| version.fits(self.spec)), "with material of another spec"),
            (self.versions().count() > VERSIONS_MAX, "with more versions than a key can have"),
            (awaits && self.import.is_none(), "without material"),
            (awaits && matches!(self.state, KeyState::Enabled | KeyState::Disabled), "whose material is missing"),
            (waits != self.deletion.is_some(), "whose state and date of deletion do not go together"),
            (interval.is_some() && !may_rotate, "that rotates, and cannot"),
            (interval.is_some_and(|interval| !is_within(&ROTATION_DAYS, interval)), "that rotates too often"),
        ];
        flaws.iter().find(|(is_so, _)| *is_so).map(|(_, flaw)| *flaw)
    }

    /// All versions, the one that encrypts first.
    pub fn versions(&self) -> impl Iterator<Item = &KeyVersion> {
        std::iter::once(&self.primary).chain(&self.earlier)
    }

    /// The version with this id.
    pub fn version(&self, id: &str) -> Option<&KeyVersion> {
        self.versions().find(|version| version.id == id)
    }

    /// Its primary version, if it may seal and open now: it is symmetric, and usable.
    ///
    /// # Errors
    /// As [`Self::fit_for`]; 400 `UnsupportedOperation`: it is not symmetric.
    pub fn sealing(&self) -> Result<&KeyVersion, KmsError> {
        self.fit_for(Purpose::Cryptography)?;
        if self.spec.symmetric().is_none() {
            return Err(ErrorCode::UnsupportedOperation.into());
        }
        Ok(&self.primary)
    }

    /// Its version with this id, if it may be used for this now.
    ///
    /// # Errors
    /// As [`Self::fit_for`]; 400 `Rejected.UnsupportedOperation`: it is for something else, or is symmetric; 404
    /// `Forbidden.KeyVersionNotFound`.
    pub fn pair(&self, usage: Usage, version: &str) -> Result<&KeyVersion, KmsError> {
        self.fit_for(Purpose::Cryptography)?;
        if self.usage != usage || self.spec.symmetric().is_some() {
            return Err(ErrorCode::RejectedUnsupportedOperation.into());
        }
        self.version(version).ok_or_else(|| ErrorCode::KeyVersionNotFound.into())
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

/// Longest key or value of a tag, in characters.
const TAG_CHARS_MAX: usize = 128;

impl Tag {
    /// A tag.
    ///
    /// # Errors
    /// What a tag is like (TagResource, "Tags").
    pub fn new(key: &str, value: &str) -> Result<Self, &'static str> {
        let legal = |text: &str| {
            text.len() <= TAG_CHARS_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/\\_-.+=:@".contains(&b))
        };
        if key.is_empty() || !legal(key) || !legal(value) || key.starts_with("aliyun") || key.starts_with("acs:") {
            return Err("a key and a value have at most 128 characters from A-Z a-z 0-9 / \\ _ - . + = : @, \
                 and a key does not start with aliyun or acs:");
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
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
    fn instance_ids_have_their_prefix_and_alphabet() {
        for (text, expected) in
            [("kst-example01", true), ("kst-a-B-9", true), ("kst-", false), ("key-1", false), ("kst-a/b", false)]
        {
            assert_eq!(is_instance_id(text), expected, "{text}");
        }
    }
}
