//! How a request says that it is signed: the parts of a V1 or V3 signature, taken out but not verified.
//!
//! Exactly one scheme may be present. Copies of the same fact (access key id, token, action) must agree, and what no
//! official client sends is refused: a verifier that looks at one copy while KMS acts on another is bypassed. Sources:
//! KMS "Request signatures" (V1), OpenAPI "Signature method V3", and what the official clients send.

use std::fmt;

use http::HeaderMap;

use super::error::{ErrorCode, KmsError};
use super::params::Params;
use super::request::{header, required_header};

/// The algorithms of V3 that this version verifies.
pub const SCHEMES_V3: &[&str] = &["ACS3-HMAC-SHA256"];

/// A request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// V1: in the parameters.
    Rpc(RpcSignature),
    /// V3: in the headers.
    Acs(AcsSignature),
}

/// The parts of a V1 signature (`SignatureVersion=1.0`, `HMAC-SHA1`). It covers the method and all parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcSignature {
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

/// The parts of a V3 signature (`Authorization: ACS3-HMAC-SHA256 …`). It covers the method, path, query, the headers
/// that it lists and a hash of the body.
#[derive(Clone, PartialEq, Eq)]
pub struct AcsSignature {
    /// Who says to have signed.
    pub access_key_id: String,
    /// The signature, lower-case hex.
    pub signature: String,
    /// When it was signed (`x-acs-date`), as sent.
    pub timestamp: String,
    /// What makes it unique.
    pub nonce: String,
    /// The token of a role session.
    pub security_token: Option<String>,
    /// The parameters of the query, public ones too.
    pub query: Params,
    /// `name:value\n` for each signed header, in the order of the list.
    pub canonical_headers: String,
    /// The list of signed headers as sent.
    pub signed_headers: String,
    /// The hash of the body which the client states.
    pub payload_hash: String,
}

impl Scheme {
    /// Takes the signature out of a request. `query` and `form` are its parameters by place.
    ///
    /// # Errors
    /// `IncompleteSignature` for no or several signatures, `InvalidSignatureMethod` for one that is not verified here.
    pub fn parse(headers: &HeaderMap, query: &Params, form: &Params, has_body: bool) -> Result<Self, KmsError> {
        let all = query.clone().merge(form)?;
        if all.get("BearerToken").is_some() || header(headers, "x-acs-bearer-token")?.is_some() {
            return Err(incomplete("bearer tokens prove no access key; sign with an AccessKey"));
        }
        let in_parameters = all.get("Signature").is_some() || all.get("AccessKeyId").is_some();
        match (header(headers, "authorization")?, in_parameters) {
            (Some(_), true) => Err(incomplete("the request is signed twice, in its parameters and in a header")),
            (Some(authorization), false) => {
                refuse_v1_parameters(&all)?;
                AcsSignature::parse(authorization, headers, query, has_body).map(Self::Acs)
            }
            (None, true) => RpcSignature::parse(headers, all).map(Self::Rpc),
            (None, false) => Err(incomplete("the request is not signed")),
        }
    }

    /// Who says to have signed.
    pub fn access_key_id(&self) -> &str {
        match self {
            Self::Rpc(signature) => &signature.access_key_id,
            Self::Acs(signature) => &signature.access_key_id,
        }
    }

    /// The token of a role session, if there is one.
    pub fn security_token(&self) -> Option<&str> {
        match self {
            Self::Rpc(signature) => signature.security_token.as_deref(),
            Self::Acs(signature) => signature.security_token.as_deref(),
        }
    }

    /// When the request was signed, as the client wrote it.
    pub fn timestamp(&self) -> &str {
        match self {
            Self::Rpc(signature) => &signature.timestamp,
            Self::Acs(signature) => &signature.timestamp,
        }
    }
}

/// Who, when and over what; a signature or a token in a log could be used by its reader.
impl fmt::Debug for RpcSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcSignature")
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .field("has_token", &self.security_token.is_some())
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}

/// Who, when and over what; the signed headers may hold a token, and the hash lets a short body be guessed.
impl fmt::Debug for AcsSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcsSignature")
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .field("has_token", &self.security_token.is_some())
            .field("query", &self.query)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

impl RpcSignature {
    fn parse(headers: &HeaderMap, all: Params) -> Result<Self, KmsError> {
        let method = all.get("SignatureMethod").unwrap_or_default();
        let kind = all.get("SignatureType").unwrap_or_default();
        if method != "HMAC-SHA1" || !kind.is_empty() {
            return Err(unsupported(&format!("{method} {kind}")));
        }
        if all.get("SignatureVersion") != Some("1.0") {
            return Err(KmsError::invalid_parameter("SignatureVersion"));
        }
        let access_key_id = all.require("AccessKeyId")?.to_owned();
        agree(headers, "x-acs-accesskey-id", &access_key_id)?;
        let security_token = token(&all)?;
        agree(headers, "x-acs-security-token", security_token.as_deref().unwrap_or_default())?;
        Ok(Self {
            access_key_id,
            signature: all
                .get("Signature")
                .filter(|it| !it.is_empty())
                .ok_or_else(|| incomplete("no Signature"))?
                .into(),
            timestamp: all.get("Timestamp").unwrap_or_default().to_owned(),
            nonce: all.get("SignatureNonce").map(str::to_owned),
            security_token,
            signed: all.filtered(|name| name != "Signature"),
        })
    }
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

impl AcsSignature {
    fn parse(authorization: &str, headers: &HeaderMap, query: &Params, has_body: bool) -> Result<Self, KmsError> {
        let (algorithm, fields) = authorization.split_once(' ').ok_or_else(|| incomplete("malformed Authorization"))?;
        if !SCHEMES_V3.contains(&algorithm) {
            return Err(unsupported(algorithm));
        }
        let [access_key_id, signed_headers, signature] =
            fields_of(fields).ok_or_else(|| incomplete("malformed Authorization"))?;
        let names: Vec<&str> = signed_headers.split(';').collect();
        refuse_unsigned(headers, &names, has_body)?;
        agree(headers, "x-acs-accesskey-id", access_key_id)?;
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            signature: signature.to_owned(),
            timestamp: header(headers, "x-acs-date")?.unwrap_or_default().to_owned(),
            nonce: required_header(headers, "x-acs-signature-nonce")?.to_owned(),
            security_token: header(headers, "x-acs-security-token")?.map(str::to_owned),
            query: query.clone(),
            canonical_headers: canonical_headers(headers, &names)?,
            signed_headers: signed_headers.to_owned(),
            payload_hash: required_header(headers, "x-acs-content-sha256")?.to_owned(),
        })
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
        Some(name) => Err(incomplete(&format!("parameter {name} has no place beside a V3 signature"))),
        None => Ok(()),
    }
}

/// `Credential=…,SignedHeaders=…,Signature=…` in any order, each exactly once.
fn fields_of(fields: &str) -> Option<[&str; 3]> {
    const NAMES: [&str; 3] = ["Credential", "SignedHeaders", "Signature"];
    let given: Vec<(&str, &str)> =
        fields.split(',').map(|field| field.trim().split_once('=')).collect::<Option<_>>()?;
    let value = |name| given.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
    let [credential, signed_headers, signature] = NAMES.map(value);
    (given.len() == NAMES.len()).then_some([credential?, signed_headers?, signature?])
}

/// Every `x-acs-*` header must be signed, and the content type where there is a body: KMS may act on them.
fn refuse_unsigned(headers: &HeaderMap, signed: &[&str], has_body: bool) -> Result<(), KmsError> {
    for name in headers.keys().map(http::HeaderName::as_str) {
        let matters = name.starts_with("x-acs-") || (has_body && name == "content-type");
        if matters && !signed.contains(&name) {
            return Err(incomplete(&format!("header {name} is not signed")));
        }
    }
    Ok(())
}

fn canonical_headers(headers: &HeaderMap, signed: &[&str]) -> Result<String, KmsError> {
    let mut canonical = String::new();
    for name in signed {
        let repeated = signed.iter().filter(|other| *other == name).count() > 1;
        let value = header(headers, name)?.filter(|_| !repeated);
        let value = value.ok_or_else(|| incomplete("SignedHeaders names a header that is missing or named twice"))?;
        canonical.extend([name, ":", value, "\n"]);
    }
    Ok(canonical)
}

fn agree(headers: &HeaderMap, name: &str, expected: &str) -> Result<(), KmsError> {
    match header(headers, name)? {
        Some(value) if value != expected => Err(incomplete(&format!("header {name} contradicts the signature"))),
        _ => Ok(()),
    }
}

fn incomplete(why: &str) -> KmsError {
    let code = ErrorCode::IncompleteSignature;
    KmsError::new(code, format!("{} ({why})", code.message()))
}

fn unsupported(method: &str) -> KmsError {
    let code = ErrorCode::InvalidSignatureMethod;
    let shown: String = method.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
    let right = format!("HMAC-SHA1 (V1) and {} (V3) are verified here", SCHEMES_V3.join(", "));
    KmsError::new(code, format!("{} ({shown}; {right})", code.message()))
}
