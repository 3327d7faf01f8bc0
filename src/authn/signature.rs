//! The signatures of KMS clients: what is signed, and with what.
//!
//! V1 (`SignatureVersion=1.0`): HMAC-SHA1 with the secret and `&` over the method and all parameters. V3
//! (`ACS3-HMAC-SHA256`): HMAC-SHA256 with the secret over a hash of method, path, query, signed headers and body.
//! Everything is computed from decoded values, because clients encode in different ways and sign in one.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Unidentified;
use crate::kms::{API_VERSION, Params, RawRequest, Scheme, percent_encode};

/// Verifies that the holder of `secret` signed this request.
///
/// # Errors
/// The signature does not fit, or the body is not the one it was made for.
pub(super) fn verify(scheme: &Scheme, raw: &RawRequest<'_>, secret: &SecretString) -> Result<(), Unidentified> {
    let (string_to_sign, fits) = match scheme {
        Scheme::Rpc(signature) => {
            let string_to_sign = rpc_string_to_sign(raw.method, &signature.signed);
            let claimed = BASE64.decode(signature.signature.as_bytes()).unwrap_or_default();
            let fits = rpc_mac(secret, &string_to_sign).verify_slice(&claimed).is_ok();
            (string_to_sign, fits)
        }
        Scheme::Acs(signature) => {
            if payload_hash(raw.body) != signature.payload_hash {
                return Err(Unidentified::BodyChanged);
            }
            let string_to_sign = AcsParts {
                method: raw.method,
                canonical_query: &signature.query.canonical(),
                canonical_headers: &signature.canonical_headers,
                signed_headers: &signature.signed_headers,
                payload_hash: &signature.payload_hash,
            }
            .string_to_sign();
            let claimed = HEXLOWER.decode(signature.signature.as_bytes()).unwrap_or_default();
            let fits = acs_mac(secret, &string_to_sign).verify_slice(&claimed).is_ok();
            (string_to_sign, fits)
        }
    };
    if fits { Ok(()) } else { Err(Unidentified::SignatureMismatch { string_to_sign }) }
}

/// The V1 signature of a request with these parameters (all of them, without `Signature`): Base64.
pub fn rpc_signature(secret: &SecretString, method: &str, params: &Params) -> String {
    BASE64.encode(&rpc_mac(secret, &rpc_string_to_sign(method, params)).finalize().into_bytes())
}

/// Who signs a request, and what makes its signature another one than the last.
pub struct Signer<'a> {
    /// The AccessKey ID.
    pub access_key_id: &'a str,
    /// The AccessKey Secret.
    pub secret: &'a SecretString,
    /// When it is signed: `YYYY-MM-DDThh:mm:ssZ`.
    pub timestamp: &'a str,
    /// Used once.
    pub nonce: &'a str,
}

impl Signer<'_> {
    /// All parameters of a POST request with signature V1: the operation's own, the public ones, and the signature.
    pub fn rpc(&self, operation: &str, format: &str, own: &Params) -> Params {
        let public = [
            ("Action", operation),
            ("Version", API_VERSION),
            ("Format", format),
            ("AccessKeyId", self.access_key_id),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", self.nonce),
            ("Timestamp", self.timestamp),
        ];
        let all: Params = own.iter().chain(public).collect();
        let signature = rpc_signature(self.secret, "POST", &all);
        all.iter().chain([("Signature", signature.as_str())]).collect()
    }
}

/// The V3 signature of a request made of these parts: lower-case hex.
pub fn acs_signature(secret: &SecretString, parts: &AcsParts<'_>) -> String {
    HEXLOWER.encode(&acs_mac(secret, &parts.string_to_sign()).finalize().into_bytes())
}

/// The lower-case hex SHA-256 of a body, which V3 signs.
pub fn payload_hash(body: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(body))
}

fn rpc_string_to_sign(method: &str, params: &Params) -> String {
    format!("{method}&%2F&{}", percent_encode(&params.canonical()))
}

/// What a V3 signature covers.
pub struct AcsParts<'a> {
    /// The method; the path is always `/`.
    pub method: &'a str,
    /// The query in canonical form.
    pub canonical_query: &'a str,
    /// `name:value\n` for each signed header.
    pub canonical_headers: &'a str,
    /// The names of the signed headers, joined with `;`.
    pub signed_headers: &'a str,
    /// [`payload_hash`] of the body.
    pub payload_hash: &'a str,
}

impl AcsParts<'_> {
    fn string_to_sign(&self) -> String {
        let Self { method, canonical_query, canonical_headers, signed_headers, payload_hash } = self;
        let canonical =
            format!("{method}\n/\n{canonical_query}\n{canonical_headers}\n{signed_headers}\n{payload_hash}");
        format!("ACS3-HMAC-SHA256\n{}", HEXLOWER.encode(&Sha256::digest(canonical)))
    }
}

#[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
fn mac<M: Mac + KeyInit>(key: &[u8], text: &str) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

fn rpc_mac(secret: &SecretString, text: &str) -> Hmac<Sha1> {
    let key = zeroize::Zeroizing::new(format!("{}&", secret.expose_secret()));
    mac(key.as_bytes(), text)
}

fn acs_mac(secret: &SecretString, text: &str) -> Hmac<Sha256> {
    mac(secret.expose_secret().as_bytes(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the KMS documentation ("Request signatures"); its masked tail was computed.
    #[test]
    fn v1_signs_like_the_documentation() {
        let params: Params = [
            ("AccessKeyId", "testid"),
            ("Action", "CreateKey"),
            ("Format", "json"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-03-28T03:13:08Z"),
            ("Version", "2016-01-20"),
        ]
        .into_iter()
        .collect();
        assert_eq!(rpc_signature(&"testsecret".into(), "GET", &params), "41wk2SSX1GJh7fwnc5eqOfiJPFg=");
    }

    /// An example that the official V3 signer agrees with: query, form body, awkward characters.
    #[test]
    fn v3_signs_like_the_official_signer() {
        let query: Params = [("SecretName", "app/db+1"), ("VersionId", "v 1")].into_iter().collect();
        let hash = payload_hash(b"SecretData=p%40ss+w%2Brd%2A~");
        let headers = format!(
            "content-type:application/x-www-form-urlencoded\nhost:kms.cn-hangzhou.aliyuncs.com\n\
             x-acs-action:CreateSecret\nx-acs-content-sha256:{hash}\nx-acs-date:2026-01-02T03:04:05Z\n\
             x-acs-signature-nonce:00112233445566778899aabbccddeeff\nx-acs-version:2016-01-20\n"
        );
        let parts = AcsParts {
            method: "POST",
            canonical_query: &query.canonical(),
            canonical_headers: &headers,
            signed_headers: "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
            payload_hash: &hash,
        };
        let signature = acs_signature(&"example-secret-alice-0000000000".into(), &parts);
        assert_eq!(signature, "6ee042cf99de13c62d3d579fb9739c2f7df56148637e0f52c7883fc160e1c48d");
    }
}
