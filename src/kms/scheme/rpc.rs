//! V1: the signature stands among the parameters, and covers the method and all of them.

use std::fmt;

use http::HeaderMap;

use super::{Algorithm, Version, agree, incomplete, unsupported};
use crate::kms::KmsError;
use crate::kms::params::Params;

/// The parts of a V1 signature (`SignatureVersion=1.0`). It covers the method and all parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcSignature {
    /// With what it was made.
    pub algorithm: Algorithm,
    /// Who says to have signed.
    pub access_key_id: String,
    /// The signature, Base64.
    pub signature: String,
    /// When it was signed, as sent; empty if it was not.
    pub timestamp: String,
    /// What makes it unique; clients of `@alicloud/kms-sdk` send none.
    pub nonce: Option<String>,
    /// The token of a role session.
    pub security_token: Option<String>,
    /// All parameters that the signature covers, from query and form body.
    pub signed: Params,
}

impl RpcSignature {
    pub(super) fn parse(headers: &HeaderMap, all: &Params) -> Result<Self, KmsError> {
        let algorithm = algorithm(all)?;
        if all.get("SignatureVersion") != Some("1.0") {
            return Err(KmsError::invalid_parameter("SignatureVersion"));
        }
        let access_key_id = all.require("AccessKeyId")?.to_owned();
        agree(headers, "x-acs-accesskey-id", &access_key_id)?;
        let security_token = token(all)?;
        agree(headers, "x-acs-security-token", security_token.as_deref().unwrap_or_default())?;
        Ok(Self {
            algorithm,
            access_key_id,
            signature: all
                .get("Signature")
                .filter(|it| !it.is_empty())
                .ok_or_else(|| incomplete("no Signature"))?
                .into(),
            timestamp: all.get("Timestamp").unwrap_or_default().to_owned(),
            nonce: all.get("SignatureNonce").filter(|nonce| !nonce.is_empty()).map(str::to_owned),
            security_token,
            signed: all.filtered(|name| name != "Signature"),
        })
    }
}

/// A key pair signs with the type `PRIVATEKEY`, an AccessKey without any.
fn algorithm(all: &Params) -> Result<Algorithm, KmsError> {
    let method = all.get("SignatureMethod").unwrap_or_default();
    let kind = all.get("SignatureType").unwrap_or_default();
    let algorithm = Algorithm::find(method).filter(|algorithm| algorithm.version() == Version::V1);
    let expected = if method == Algorithm::SHA256_WITH_RSA.name() { "PRIVATEKEY" } else { "" };
    algorithm.filter(|_| kind == expected).ok_or_else(|| unsupported(&format!("{method} {kind}")))
}

/// `SecurityToken`, or the `STSToken` of old SDKs. Both may be there if they agree.
fn token(params: &Params) -> Result<Option<String>, KmsError> {
    match (params.get("SecurityToken"), params.get("STSToken")) {
        (Some(one), Some(other)) if one != other => {
            Err(KmsError::invalid_parameter_because("STSToken", "it differs from SecurityToken"))
        }
        (one, other) => Ok(one.or(other).filter(|token| !token.is_empty()).map(str::to_owned)),
    }
}

/// Who, when and over what; a signature or a token in a log could be used by its reader.
impl fmt::Debug for RpcSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcSignature")
            .field("algorithm", &self.algorithm.name())
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .field("has_token", &self.security_token.is_some())
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}
