//! How a request says that it is signed: the parts of a signature, taken out but not verified.
//!
//! Exactly one scheme may be present. Copies of the same fact (access key id, token, action) must agree, and what no
//! official client sends is refused: a verifier that looks at one copy while KMS acts on another is bypassed. Sources:
//! KMS "Request signatures" (V1), OpenAPI "Signature method V3", and what the official clients send.

mod acs;
mod algorithm;
mod client_key;
mod rpc;

use http::HeaderMap;

pub use acs::{AcsSignature, CredentialScope};
pub use algorithm::{Algorithm, Hash, KeyKind, Version};
pub use client_key::ClientKeySignature;
pub use rpc::RpcSignature;

use super::error::{ErrorCode, KmsError};
use super::params::Params;
use super::request::header;

/// Where clients put what is no AccessKey's signature.
const BEARER: &str = "x-acs-bearer-token";

/// A request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// V1: in the parameters.
    Rpc(RpcSignature),
    /// V3 and V4: in the headers.
    Acs(AcsSignature),
    /// A client key: in a header of its own.
    ClientKey(ClientKeySignature),
    /// None: who calls must be known from the connection.
    Unsigned,
}

impl Scheme {
    /// Takes the signature out of a request. `query` and `form` are its parameters by place, `all` is both.
    ///
    /// # Errors
    /// `IncompleteSignature` for several signatures, `InvalidSignatureMethod` for one that is not verified here.
    pub fn parse(headers: &HeaderMap, query: &Params, all: &Params, has_body: bool) -> Result<Self, KmsError> {
        let authorization = header(headers, "authorization")?;
        let in_parameters = all.get("Signature").is_some() || all.get("AccessKeyId").is_some();
        let bearer = all.get("BearerToken").is_some() || header(headers, BEARER)?.is_some();
        if bearer {
            let is_signed = headers.contains_key(client_key::CLIENT_KEY_ID);
            if !is_signed || in_parameters || authorization.is_some() || all.get("BearerToken").is_some() {
                return Err(incomplete("bearer tokens prove no access key; sign with an AccessKey"));
            }
            return ClientKeySignature::parse(headers, query, has_body).map(Self::ClientKey);
        }
        match (authorization, in_parameters) {
            (Some(_), true) => Err(incomplete("the request is signed twice, in its parameters and in a header")),
            (Some(authorization), false) => {
                refuse_v1_parameters(all)?;
                AcsSignature::parse(authorization, headers, query, has_body).map(Self::Acs)
            }
            (None, true) => RpcSignature::parse(headers, all).map(Self::Rpc),
            (None, false) => {
                refuse_v1_parameters(all)?;
                refuse_claims_of_identity(headers)?;
                Ok(Self::Unsigned)
            }
        }
    }

    /// Who says to have signed; `None` if nobody does.
    pub fn access_key_id(&self) -> Option<&str> {
        match self {
            Self::Rpc(signature) => Some(&signature.access_key_id),
            Self::Acs(signature) => Some(&signature.access_key_id),
            Self::ClientKey(signature) => Some(&signature.access_key_id),
            Self::Unsigned => None,
        }
    }

    /// With what it is signed, if it is.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Rpc(signature) => Some(signature.algorithm),
            Self::Acs(signature) => Some(signature.algorithm),
            Self::ClientKey(_) => Some(Algorithm::CLIENT_KEY),
            Self::Unsigned => None,
        }
    }

    /// The token of a role session, if there is one.
    pub fn security_token(&self) -> Option<&str> {
        match self {
            Self::Rpc(signature) => signature.security_token.as_deref(),
            Self::Acs(signature) => signature.security_token.as_deref(),
            Self::ClientKey(_) | Self::Unsigned => None,
        }
    }

    /// When the request was signed, as the client wrote it.
    pub fn timestamp(&self) -> &str {
        match self {
            Self::Rpc(signature) => &signature.timestamp,
            Self::Acs(signature) => &signature.timestamp,
            Self::ClientKey(signature) => &signature.timestamp,
            Self::Unsigned => "",
        }
    }

    /// What makes this request another one than the last: the nonce, or the signature where none is signed.
    pub fn once(&self) -> &str {
        match self {
            Self::Rpc(signature) => signature.nonce.as_deref().unwrap_or(&signature.signature),
            Self::Acs(signature) => &signature.nonce,
            Self::ClientKey(signature) => &signature.signature,
            Self::Unsigned => "",
        }
    }
}

/// What V1 says in parameters, V3 says in headers. A parameter that says it too is a second voice.
fn refuse_v1_parameters(params: &Params) -> Result<(), KmsError> {
    const OF_V1: [&str; 6] =
        ["SecurityToken", "STSToken", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"];
    if params.get("SignatureType").is_some_and(|kind| !kind.is_empty()) {
        return Err(unsupported("SignatureType"));
    }
    match OF_V1.iter().find(|name| params.get(name).is_some()) {
        Some(name) => Err(incomplete(&format!("parameter {name} has no place without a V1 signature"))),
        None => Ok(()),
    }
}

/// A request that is not signed must not look like somebody's.
fn refuse_claims_of_identity(headers: &HeaderMap) -> Result<(), KmsError> {
    const CLAIMS: [&str; 5] = [
        "x-acs-accesskey-id",
        "x-acs-security-token",
        "x-acs-signature-type",
        "x-acs-zero-trust-idtoken",
        client_key::CLIENT_KEY_ID,
    ];
    match CLAIMS.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(incomplete(&format!("header {name} has no place without a signature"))),
        None => Ok(()),
    }
}

fn agree(headers: &HeaderMap, name: &str, expected: &str) -> Result<(), KmsError> {
    match header(headers, name)? {
        Some(value) if value != expected => Err(incomplete(&format!("header {name} contradicts the signature"))),
        _ => Ok(()),
    }
}

fn incomplete(why: &str) -> KmsError {
    KmsError::because(ErrorCode::IncompleteSignature, why)
}

fn unsupported(method: &str) -> KmsError {
    let shown: String = method.chars().filter(char::is_ascii_graphic).take(40).collect();
    let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    KmsError::because(ErrorCode::InvalidSignatureMethod, format!("{shown}; {} are verified here", names.join(", ")))
}
