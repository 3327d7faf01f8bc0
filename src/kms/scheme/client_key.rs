//! A client key: the secrets-manager clients sign query and a few headers with an RSA key, and send the signature where
//! others send a bearer token. It covers neither the method nor the body nor `x-acs-action`, so there must be no body,
//! and the action must be the one in the signed header.

use std::fmt;

use http::HeaderMap;

use super::{Algorithm, BEARER, incomplete, unsupported};
use crate::kms::KmsError;
use crate::kms::params::Params;
use crate::kms::request::{header, required_header};

/// Who says to have signed; the header has three c's.
pub(super) const CLIENT_KEY_ID: &str = "x-kms-acccesskeyid";

/// The headers that are signed, under the names they are signed with.
const SIGNED: [&str; 5] = ["Date", CLIENT_KEY_ID, "x-kms-apiname", "x-kms-apiversion", "x-kms-signaturemethod"];

/// The parts of a signature that a client key made.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKeySignature {
    /// The client key's id, `KAAP.…`.
    pub access_key_id: String,
    /// The signature, Base64.
    pub signature: String,
    /// When it was signed (`Date`), as sent.
    pub timestamp: String,
    /// Parameters of the query and headers, as they are signed.
    pub signed: Params,
}

impl ClientKeySignature {
    pub(super) fn parse(headers: &HeaderMap, query: &Params, has_body: bool) -> Result<Self, KmsError> {
        let method = required_header(headers, "x-kms-signaturemethod")?;
        if method != Algorithm::CLIENT_KEY.name() {
            return Err(unsupported(method));
        }
        if has_body {
            return Err(incomplete("a client key does not sign the body"));
        }
        if query.get("SignatureType") != Some("BEARERTOKEN") {
            return Err(incomplete("a client key signs with SignatureType=BEARERTOKEN"));
        }
        if required_header(headers, "x-kms-apiname")? != required_header(headers, "x-acs-action")? {
            return Err(incomplete("header x-acs-action contradicts the signature"));
        }
        if ["x-acs-security-token", "x-acs-accesskey-id"].iter().any(|name| headers.contains_key(*name)) {
            return Err(incomplete("a client key has no token and no other AccessKey"));
        }
        let mut signed = Vec::new();
        for name in SIGNED {
            // A parameter of that name could stand in the signed text in the header's place.
            if query.iter().any(|(parameter, _)| parameter.eq_ignore_ascii_case(name)) {
                return Err(incomplete(&format!("parameter {name} has the name of a signed header")));
            }
            signed.push((name, required_header(headers, name)?));
        }
        let signed = query.filtered(|name| name != "SignatureType").merge(signed.into_iter().collect())?;
        Ok(Self {
            access_key_id: required_header(headers, CLIENT_KEY_ID)?.to_owned(),
            signature: required_header(headers, BEARER)?.to_owned(),
            timestamp: header(headers, "date")?.unwrap_or_default().to_owned(),
            signed,
        })
    }
}

/// Who, when and over what.
impl fmt::Debug for ClientKeySignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeySignature")
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}
