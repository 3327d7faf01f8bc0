//! What a request needs to be judged, and nobody knows: in front of a KMS elsewhere, names are known by hearsay.
//!
//! Whoever can ask KMS does so, and has the request judged again. What stays unknown is refused.

use super::target::{Owned, Target};
use crate::kms::{AliasName, KeyId, SecretName};

/// What nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Which key an alias points to.
    Alias(Owned<AliasName>),
    /// Which key made a ciphertext.
    Ciphertext,
    /// Which account a key belongs to.
    Owner(KeyId),
    /// Which key encrypts a secret.
    KeyOfSecret(Owned<SecretName>),
    /// The tags of a key or secret, which a policy asks about.
    Tags(Target),
}

/// What came of asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inquiry {
    /// Nobody told, or nobody was asked.
    #[default]
    Untold,
    /// It was told: it is worth judging again.
    Learned,
    /// KMS says that there is no such thing.
    Absent,
    /// KMS could not be asked.
    Failed,
    /// KMS does not let Keyward ask.
    Refused,
}

/// Something that is known by hearsay alone, and may have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearsay {
    /// What it is that was heard of.
    pub what: Unresolved,
    /// Whether the request names a key by it, so that it can be written anew; otherwise KMS looks it up again.
    pub is_named: bool,
}

impl Unresolved {
    /// The reason in one word, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Alias(_) => "unknown_alias",
            Self::Ciphertext => "unknown_ciphertext",
            Self::Owner(_) => "unknown_owner",
            Self::KeyOfSecret(_) => "unknown_key_of_secret",
            Self::Tags(_) => "unknown_tags",
        }
    }
}
