//! Why nobody could be identified, and what the client is told.

use std::fmt;

use crate::kms::{Algorithm, ErrorCode, KmsError};

/// Why nobody could be identified. The string to sign goes back to the client, who sent its contents, and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub enum Unidentified {
    /// The request is not signed, and its connection proves nobody.
    Unsigned,
    /// The settings do not take this way to sign.
    AlgorithmNotAccepted(Algorithm),
    /// An AccessKey signed as a key pair would, or the other way round.
    KeyOfAnotherKind,
    /// The access key id is in no record.
    UnknownAccessKey,
    /// The access key is switched off.
    InactiveAccessKey,
    /// A session's access key came without its token.
    TokenMissing,
    /// Nobody here made this token.
    TokenMalformed,
    /// The token is another access key's.
    TokenMismatch,
    /// The session is over.
    TokenExpired,
    /// The session's role is not in the directory any more.
    RoleIsGone,
    /// There is no time of signing.
    TimestampMissing,
    /// The time of signing is not `YYYY-MM-DDThh:mm:ssZ`.
    TimestampMalformed,
    /// The time of signing is too far from now.
    TimestampExpired,
    /// The key that signed was derived for another day.
    AnotherDay,
    /// The body is not the one that was signed.
    BodyChanged,
    /// The signature is another than the secret would have made of this string.
    SignatureMismatch {
        /// What was signed, as we see it.
        string_to_sign: String,
    },
    /// The client's certificate is not valid any more.
    CertificateExpired,
    /// Signature and connection, or two names of a certificate, prove two different callers.
    TwoIdentities,
    /// What the connection proves is not the sender's: the request came through a proxy or from a browser.
    Foreign,
    /// The request was taken before.
    Replayed,
    /// It was signed before the time that is remembered, so nobody can tell whether it was taken before.
    Forgotten,
}

impl Unidentified {
    /// The reason in one word, for metrics and the audit trail, and the code that the client reads.
    fn row(&self) -> (&'static str, ErrorCode) {
        match self {
            Self::Unsigned => ("unsigned", ErrorCode::IncompleteSignature),
            Self::AlgorithmNotAccepted(_) => ("signature_method", ErrorCode::InvalidSignatureMethod),
            Self::KeyOfAnotherKind => ("signature_method", ErrorCode::InvalidSignatureMethod),
            Self::UnknownAccessKey => ("unknown_access_key", ErrorCode::InvalidAccessKeyId),
            Self::InactiveAccessKey => ("inactive_access_key", ErrorCode::AccessKeyNotEnabled),
            Self::TokenMissing => ("token_missing", ErrorCode::MissingSecurityToken),
            Self::TokenMalformed => ("token_malformed", ErrorCode::InvalidSecurityTokenMalformed),
            Self::TokenMismatch => ("token_mismatch", ErrorCode::InvalidSecurityTokenMismatch),
            Self::TokenExpired => ("token_expired", ErrorCode::InvalidSecurityTokenExpired),
            Self::RoleIsGone => ("unknown_role", ErrorCode::InvalidAccessKeyId),
            Self::TimestampMissing => ("malformed_timestamp", ErrorCode::IllegalTimestamp),
            Self::TimestampMalformed => ("malformed_timestamp", ErrorCode::InvalidTimeStampFormat),
            Self::TimestampExpired => ("expired_timestamp", ErrorCode::InvalidTimeStampExpired),
            Self::AnotherDay => ("malformed_timestamp", ErrorCode::IncompleteSignature),
            Self::BodyChanged => ("body_mismatch", ErrorCode::InvalidParameter),
            Self::SignatureMismatch { .. } => ("signature_mismatch", ErrorCode::SignatureDoesNotMatch),
            Self::CertificateExpired => ("certificate_expired", ErrorCode::IncompleteSignature),
            Self::TwoIdentities => ("two_identities", ErrorCode::IncompleteSignature),
            Self::Foreign => ("foreign", ErrorCode::IncompleteSignature),
            Self::Forgotten => ("forgotten", ErrorCode::InvalidTimeStampExpired),
            Self::Replayed => ("replayed", ErrorCode::SignatureNonceUsed),
        }
    }

    /// The reason in one word, for metrics and the audit trail.
    pub fn reason(&self) -> &'static str {
        self.row().0
    }

    /// What the client is told.
    pub fn error(&self) -> KmsError {
        let code = self.row().1;
        match self {
            Self::Unsigned => KmsError::because(code, "the request is not signed"),
            Self::AlgorithmNotAccepted(algorithm) => {
                KmsError::because(code, format!("{} is not taken here", algorithm.name()))
            }
            Self::KeyOfAnotherKind => KmsError::because(
                code,
                "an AccessKey signs with HMAC, a key pair with RSA; this key is of the other kind",
            ),
            Self::AnotherDay => KmsError::because(code, "the Credential is of another day than x-acs-date"),
            Self::BodyChanged => KmsError::invalid_parameter("x-acs-content-sha256"),
            Self::SignatureMismatch { string_to_sign } => {
                KmsError::new(code, format!("{}{string_to_sign}", code.message()))
            }
            Self::Foreign => {
                KmsError::because(code, "a request that comes through a proxy or from a browser has to be signed")
            }
            Self::Forgotten => {
                let why =
                    "it was signed before Keyward started, or before the requests that it can remember; sign it anew";
                KmsError::because(code, why)
            }
            Self::CertificateExpired => KmsError::because(code, "the client certificate has expired"),
            Self::TwoIdentities => {
                KmsError::because(code, "the connection proves another caller than the request is signed by")
            }
            _ => code.into(),
        }
    }
}

/// The reason only: a string to sign holds plaintexts.
impl fmt::Debug for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that clients act on.
    #[test]
    fn each_reason_has_the_code_that_kms_documents() {
        for (why, expected) in [
            (Unidentified::Unsigned, "400 IncompleteSignature"),
            (Unidentified::AlgorithmNotAccepted(Algorithm::ALL[0]), "400 InvalidSignatureMethod"),
            (Unidentified::UnknownAccessKey, "404 InvalidAccessKeyId.NotFound"),
            (Unidentified::InactiveAccessKey, "403 Forbidden.AccessKey"),
            (Unidentified::TokenMissing, "400 MissingSecurityToken"),
            (Unidentified::TokenMalformed, "400 InvalidSecurityToken.Malformed"),
            (Unidentified::TokenMismatch, "400 InvalidSecurityToken.MismatchWithAccessKey"),
            (Unidentified::TokenExpired, "400 InvalidSecurityToken.Expired"),
            (Unidentified::RoleIsGone, "404 InvalidAccessKeyId.NotFound"),
            (Unidentified::TimestampMissing, "400 IllegalTimestamp"),
            (Unidentified::TimestampMalformed, "400 InvalidTimeStamp.Format"),
            (Unidentified::TimestampExpired, "400 InvalidTimeStamp.Expired"),
            (Unidentified::AnotherDay, "400 IncompleteSignature"),
            (Unidentified::BodyChanged, "400 InvalidParameter"),
            (Unidentified::SignatureMismatch { string_to_sign: String::new() }, "400 SignatureDoesNotMatch"),
            (Unidentified::TwoIdentities, "400 IncompleteSignature"),
            (Unidentified::Foreign, "400 IncompleteSignature"),
            (Unidentified::Replayed, "400 SignatureNonceUsed"),
            (Unidentified::Forgotten, "400 InvalidTimeStamp.Expired"),
        ] {
            let error = why.error();
            assert_eq!(format!("{} {}", error.status, error.code.as_str()), expected, "{}", why.reason());
        }
    }
}
