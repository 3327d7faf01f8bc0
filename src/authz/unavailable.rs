//! Why nothing is judged at all: what is in force may not be what it should be.

use crate::kms::{ErrorCode, KmsError};

/// Why nothing is judged at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// For too long nobody could confirm that the files say what is in force.
    StalePolicies,
    /// The identities cannot be used, and the operator wants no older ones in their place.
    NoIdentities,
}

impl Unavailable {
    /// The reason in one word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::StalePolicies => "stale_policies",
            Self::NoIdentities => "no_identities",
        }
    }

    /// What the client is told: that it may come again.
    pub fn error(self) -> KmsError {
        ErrorCode::ServiceUnavailableTemporary.into()
    }
}
