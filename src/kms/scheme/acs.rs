//! V3 and V4: the signature stands in the header `Authorization`, and covers the method, the path, the query, the headers
//! that it lists and a hash of the body.

use std::fmt;

use http::HeaderMap;

use super::{Algorithm, Hash, Version, agree, incomplete, unsupported};
use crate::kms::KmsError;
use crate::kms::params::Params;
use crate::kms::request::{header, required_header};

/// Where the client states the hash of the body.
const CONTENT_SHA256: &str = "x-acs-content-sha256";

/// Where some clients state it when it is made with SM3.
const CONTENT_SM3: &str = "x-acs-content-sm3";

/// The last part of a V4 credential.
const V4_TERMINATOR: &str = "aliyun_v4_request";

/// The parts of a signature in headers (`Authorization: ACS3-HMAC-SHA256 …`).
#[derive(Clone, PartialEq, Eq)]
pub struct AcsSignature {
    /// With what it was made.
    pub algorithm: Algorithm,
    /// Who says to have signed.
    pub access_key_id: String,
    /// For what the signing key was derived; V4 only.
    pub credential_scope: Option<CredentialScope>,
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

/// For what a V4 signing key is good: one day, one region, one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialScope {
    /// `YYYYMMDD`.
    pub date: String,
    /// For example `cn-hangzhou`.
    pub region: String,
    /// `Kms`, or `Sts`.
    pub product: String,
}

impl AcsSignature {
    pub(super) fn parse(
        authorization: &str,
        headers: &HeaderMap,
        query: &Params,
        has_body: bool,
    ) -> Result<Self, KmsError> {
        let (name, fields) = authorization.split_once(' ').ok_or_else(malformed)?;
        let algorithm = Algorithm::find(name).filter(|it| matches!(it.version(), Version::V3 | Version::V4));
        let algorithm = algorithm.ok_or_else(|| unsupported(name))?;
        let [credential, signed_headers, signature] = fields_of(fields).ok_or_else(malformed)?;
        let (access_key_id, credential_scope) = credential_of(algorithm, credential)?;
        let names: Vec<&str> = signed_headers.split(';').collect();
        refuse_unsigned(headers, &names, has_body)?;
        agree(headers, "x-acs-accesskey-id", access_key_id)?;
        Ok(Self {
            algorithm,
            access_key_id: access_key_id.to_owned(),
            credential_scope,
            signature: signature.to_owned(),
            timestamp: header(headers, "x-acs-date")?.unwrap_or_default().to_owned(),
            nonce: required_header(headers, "x-acs-signature-nonce")?.to_owned(),
            security_token: header(headers, "x-acs-security-token")?.map(str::to_owned),
            query: query.clone(),
            canonical_headers: canonical_headers(headers, &names)?,
            signed_headers: signed_headers.to_owned(),
            payload_hash: payload_hash(headers, algorithm)?.to_owned(),
        })
    }
}

impl CredentialScope {
    /// The parts that the signing key is derived from, one after the other.
    pub fn parts(&self) -> [&str; 4] {
        [&self.date, &self.region, &self.product, V4_TERMINATOR]
    }
}

fn malformed() -> KmsError {
    incomplete("malformed Authorization")
}

/// The AccessKey ID, and in V4 `/DATE/REGION/PRODUCT/aliyun_v4_request` behind it.
fn credential_of(algorithm: Algorithm, credential: &str) -> Result<(&str, Option<CredentialScope>), KmsError> {
    if algorithm.version() != Version::V4 {
        return Ok((credential, None));
    }
    match credential.split('/').collect::<Vec<_>>().as_slice() {
        [id, date, region, product, V4_TERMINATOR] => {
            let scope = CredentialScope {
                date: (*date).to_owned(),
                region: (*region).to_owned(),
                product: (*product).to_owned(),
            };
            Ok((id, Some(scope)))
        }
        _ => Err(incomplete("a V4 Credential is ID/DATE/REGION/PRODUCT/aliyun_v4_request")),
    }
}

/// The stated hash of the body; exactly one header states it. Java names it after SM3, the others always after SHA-256.
fn payload_hash(headers: &HeaderMap, algorithm: Algorithm) -> Result<&str, KmsError> {
    match header(headers, CONTENT_SM3)? {
        Some(hash) if algorithm.hash() == Hash::Sm3 && !headers.contains_key(CONTENT_SHA256) => Ok(hash),
        Some(_) => Err(KmsError::invalid_parameter_because(CONTENT_SM3, "another hash is signed")),
        None => required_header(headers, CONTENT_SHA256),
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

/// Who, when and over what; the signed headers may hold a token, and the hash lets a short body be guessed.
impl fmt::Debug for AcsSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcsSignature")
            .field("algorithm", &self.algorithm.name())
            .field("access_key_id", &self.access_key_id)
            .field("credential_scope", &self.credential_scope)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .field("has_token", &self.security_token.is_some())
            .field("query", &self.query)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}
