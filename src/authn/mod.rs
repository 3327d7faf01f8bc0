//! WHO IS CALLING: from a request's signature to a proven caller.
//!
//! Identity is proven, never claimed: the access key's secret is looked up in the [`Directory`], the signature computed
//! again and compared in constant time. It decides nothing about permissions, keeps no state, and reads no clock.

mod directory;
mod signature;

use std::fmt;

use jiff::{SignedDuration, Timestamp};

pub use directory::{AccessKey, Attachment, Directory, Member, SecretSource};
pub use signature::{AcsParts, Signer, acs_signature, payload_hash, rpc_signature};

use crate::kms::{ErrorCode, KmsError, KmsRequest, RawRequest, Scheme};
use crate::policy::Principal;

/// How far a request's time may be from ours, either way ("Specified time stamp or date value is expired": 15 minutes).
pub const CLOCK_WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// A caller whose identity is proven.
#[derive(Clone)]
pub struct Caller<'d> {
    /// Who it is.
    pub principal: &'d Principal,
    /// Where it stands in the directory, to find its policies.
    pub member: usize,
    /// The access key that proved it.
    pub access_key_id: &'d str,
    /// How it was proven.
    pub proof: Proof,
}

/// How an identity was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A V1 signature.
    SignatureV1,
    /// A V3 signature.
    SignatureV3,
}

impl Proof {
    /// The word for it in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignatureV1 => "signature_v1",
            Self::SignatureV3 => "signature_v3",
        }
    }
}

/// Why nobody could be identified. The string to sign goes back to the client, who sent its contents, and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub enum Unidentified {
    /// The access key id is in no record.
    UnknownAccessKey,
    /// The access key is switched off.
    InactiveAccessKey,
    /// A session token came along with a long-lived access key.
    TokenForLongLivedKey,
    /// There is no time of signing.
    TimestampMissing,
    /// The time of signing is not `YYYY-MM-DDThh:mm:ssZ`.
    TimestampMalformed,
    /// The time of signing is too far from now.
    TimestampExpired,
    /// The body is not the one that was signed.
    BodyChanged,
    /// The signature is another than the secret would have made of this string.
    SignatureMismatch {
        /// What was signed, as we see it.
        string_to_sign: String,
    },
}

impl Unidentified {
    /// The reason in one word, for metrics and the audit trail.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownAccessKey => "unknown_access_key",
            Self::InactiveAccessKey => "inactive_access_key",
            Self::TokenForLongLivedKey => "token_mismatch",
            Self::TimestampMissing | Self::TimestampMalformed => "malformed_timestamp",
            Self::TimestampExpired => "expired_timestamp",
            Self::BodyChanged => "body_mismatch",
            Self::SignatureMismatch { .. } => "signature_mismatch",
        }
    }

    /// What the client is told.
    pub fn error(&self) -> KmsError {
        let code = match self {
            Self::UnknownAccessKey => ErrorCode::InvalidAccessKeyId,
            Self::InactiveAccessKey => ErrorCode::AccessKeyNotEnabled,
            Self::TokenForLongLivedKey => ErrorCode::InvalidSecurityTokenMismatch,
            Self::TimestampMissing => ErrorCode::IllegalTimestamp,
            Self::TimestampMalformed => ErrorCode::InvalidTimeStampFormat,
            Self::TimestampExpired => ErrorCode::InvalidTimeStampExpired,
            Self::BodyChanged => return KmsError::invalid_parameter("x-acs-content-sha256"),
            Self::SignatureMismatch { string_to_sign } => {
                let code = ErrorCode::SignatureDoesNotMatch;
                return KmsError::new(code, format!("{}{string_to_sign}", code.message()));
            }
        };
        code.into()
    }
}

/// The reason only: a string to sign holds plaintexts.
impl fmt::Debug for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// Finds out who sent `request`.
///
/// # Errors
/// The first reason why its identity is not proven. The time is checked before the signature, so that an old request
/// costs nothing.
pub fn identify<'d>(
    directory: &'d Directory,
    raw: &RawRequest<'_>,
    request: &KmsRequest,
    now: Timestamp,
) -> Result<Caller<'d>, Unidentified> {
    let scheme = &request.scheme;
    let (id, key) = directory.access_key(scheme.access_key_id()).ok_or(Unidentified::UnknownAccessKey)?;
    if !key.active {
        return Err(Unidentified::InactiveAccessKey);
    }
    if scheme.security_token().is_some() {
        return Err(Unidentified::TokenForLongLivedKey);
    }
    check_time(scheme.timestamp(), now)?;
    signature::verify(scheme, raw, &key.secret)?;
    let member = directory.member(key.member).ok_or(Unidentified::UnknownAccessKey)?;
    let proof = match scheme {
        Scheme::Rpc(_) => Proof::SignatureV1,
        Scheme::Acs(_) => Proof::SignatureV3,
    };
    Ok(Caller { principal: &member.principal, member: key.member, access_key_id: id, proof })
}

/// `YYYY-MM-DDThh:mm:ssZ`, with milliseconds where `@alicloud/kms-sdk` sends them.
fn check_time(timestamp: &str, now: Timestamp) -> Result<(), Unidentified> {
    if timestamp.is_empty() {
        return Err(Unidentified::TimestampMissing);
    }
    let legal = matches!(timestamp.len(), 20 | 24) && timestamp.ends_with('Z') && timestamp.get(10..11) == Some("T");
    let time: Timestamp = timestamp.parse().ok().filter(|_| legal).ok_or(Unidentified::TimestampMalformed)?;
    if now.duration_since(time).abs() > CLOCK_WINDOW { Err(Unidentified::TimestampExpired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_signing_must_be_near() {
        let now: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        for (timestamp, expected) in [
            ("2026-01-02T03:00:00Z", Ok(())),
            ("2026-01-02T03:00:00.123Z", Ok(())),
            ("2026-01-02T03:15:00Z", Ok(())),
            ("2026-01-02T02:45:00Z", Ok(())),
            ("2026-01-02T03:15:01Z", Err(Unidentified::TimestampExpired)),
            ("2026-01-02T02:44:59Z", Err(Unidentified::TimestampExpired)),
            ("9999-01-02T02:44:59Z", Err(Unidentified::TimestampExpired)),
            ("", Err(Unidentified::TimestampMissing)),
            ("2026-01-02 03:00:00Z", Err(Unidentified::TimestampMalformed)),
            ("2026-01-02T03:00:00+00:00", Err(Unidentified::TimestampMalformed)),
            ("2026-01-02T03:00:00", Err(Unidentified::TimestampMalformed)),
            ("2026-02-30T03:00:00Z", Err(Unidentified::TimestampMalformed)),
            ("Fri, 02 Jan 2026 03:00", Err(Unidentified::TimestampMalformed)),
        ] {
            assert_eq!(check_time(timestamp, now), expected, "{timestamp}");
        }
    }
}
