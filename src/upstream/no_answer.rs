//! Why a request has no answer, and what is told of that.

use super::exchange::{Failure, FailureKind};
use crate::kms::{ErrorCode, KmsError};

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// Too many are on their way.
    Busy,
    /// KMS did not answer the last ones.
    CircuitOpen,
    /// Its name has no address.
    NoAddress,
    /// Nobody can sign.
    NoCredentials,
    /// KMS does not accept what signs.
    CredentialsRefused,
    /// The request cannot be sent as it is.
    Unsendable,
    /// Its client left, and nobody waited for it any more.
    ClientLeft,
    /// Keyward ends, and waits for nobody any more.
    CutOff,
    /// Keyward ends, and begins nothing any more.
    Ending,
    /// The exchange failed.
    Failed(Failure),
}

impl NoAnswer {
    /// The word for it in metrics and audit lines, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::CircuitOpen => "circuit_open",
            Self::NoAddress => "no_address",
            Self::NoCredentials => "no_credentials",
            Self::CredentialsRefused => "credentials_refused",
            Self::Unsendable => "unsendable",
            Self::ClientLeft => "client_left",
            Self::CutOff => "cut_off",
            Self::Ending => "ending",
            Self::Failed(failure) => failure.kind.as_str(),
        }
    }

    /// The words for those that are counted.
    pub fn reasons() -> impl Iterator<Item = &'static str> {
        let here = [
            Self::Busy,
            Self::CircuitOpen,
            Self::NoAddress,
            Self::NoCredentials,
            Self::CredentialsRefused,
            Self::Unsendable,
        ];
        here.into_iter().map(Self::reason).chain(FailureKind::ALL.into_iter().map(FailureKind::as_str))
    }

    /// Whether KMS may have executed the request.
    pub fn may_be_executed(self) -> bool {
        matches!(self, Self::ClientLeft | Self::CutOff)
            || matches!(self, Self::Failed(failure) if failure.may_be_executed)
    }

    /// What came is no answer of KMS's.
    pub fn odd_answer() -> Self {
        Self::Failed(Failure { kind: FailureKind::Malformed, may_be_executed: true, was_stale: false })
    }

    /// What the client is told: 503 where nothing was executed, otherwise 502 or 504.
    pub fn error(self) -> KmsError {
        let unknown = "Whether the request was executed is not known.";
        let (status, message) = match self {
            Self::Failed(Failure { kind: FailureKind::AnswerTimeout | FailureKind::BodyTimeout, .. }) => {
                (504, format!("KMS did not answer in time. {unknown}"))
            }
            Self::Failed(Failure {
                kind: FailureKind::TooLarge | FailureKind::Redirect | FailureKind::Malformed,
                ..
            }) => (502, format!("What came was no answer of KMS that could be passed on. {unknown}")),
            Self::Failed(failure) if failure.may_be_executed => (502, format!("The answer of KMS was lost. {unknown}")),
            Self::CutOff => (502, format!("Keyward ends, and the answer of KMS is not there yet. {unknown}")),
            Self::Unsendable => return ErrorCode::RequestTargetTooLong.into(),
            _ => (503, ErrorCode::ServiceUnavailableTemporary.message().to_owned()),
        };
        KmsError { status, ..KmsError::new(ErrorCode::ServiceUnavailableTemporary, message) }
    }
}
