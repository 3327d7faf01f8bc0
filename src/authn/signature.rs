//! Signatures: what is signed, with what, and whether it fits.
//!
//! V1 (`SignatureVersion=1.0`) signs the method and all parameters. V3 (`ACS3-…`) signs a hash of method, path, query,
//! signed headers and body; V4 (`ACS4-…`) the same with a key derived for one day. A client key signs query and five
//! headers. Everything is computed from decoded values, because clients encode in different ways and sign in one.

use data_encoding::{BASE64, HEXLOWER};
use hmac::digest::Digest;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::Sha256;
use sm3::Sm3;
use zeroize::Zeroizing;

use super::Unidentified;
use super::directory::KeyMaterial;
use crate::kms::{
    AcsSignature, Algorithm, Api, ClientKeySignature, CredentialScope, Hash, KeyKind, Params, RawRequest, Scheme,
    Version, percent_encode,
};

/// Verifies that the holder of `key` signed this request.
///
/// # Errors
/// The signature does not fit, the key is of another kind, or the body is not the one that was signed.
pub(super) fn verify(scheme: &Scheme, raw: &RawRequest<'_>, key: &KeyMaterial) -> Result<(), Unidentified> {
    let (algorithm, scope, string_to_sign, claimed) = match scheme {
        Scheme::Rpc(signature) => {
            let string_to_sign = rpc_string_to_sign(raw.method, &signature.signed);
            (signature.algorithm, None, string_to_sign, base64(&signature.signature))
        }
        Scheme::Acs(signature) => {
            let string_to_sign = acs_string_to_sign(signature, raw)?;
            let claimed = HEXLOWER.decode(signature.signature.as_bytes()).unwrap_or_default();
            (signature.algorithm, signature.credential_scope.as_ref(), string_to_sign, claimed)
        }
        Scheme::ClientKey(signature) => {
            let string_to_sign = client_key_string_to_sign(signature, raw)?;
            (Algorithm::CLIENT_KEY, None, string_to_sign, base64(&signature.signature))
        }
        Scheme::Unsigned => return Err(Unidentified::Unsigned),
    };
    let fits = match (key, algorithm.key()) {
        (KeyMaterial::Secret(secret), KeyKind::Secret) => {
            hmac_fits(algorithm, scope, secret, &string_to_sign, &claimed)
        }
        (KeyMaterial::Rsa(key), KeyKind::Rsa) => key.verifies(string_to_sign.as_bytes(), &claimed),
        _ => return Err(Unidentified::KeyOfAnotherKind),
    };
    if fits { Ok(()) } else { Err(Unidentified::SignatureMismatch { string_to_sign }) }
}

fn base64(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap_or_default()
}

/// Compared in constant time.
fn hmac_fits(
    algorithm: Algorithm,
    scope: Option<&CredentialScope>,
    secret: &SecretString,
    text: &str,
    claimed: &[u8],
) -> bool {
    let key = signing_key(algorithm, scope, secret);
    match algorithm.hash() {
        Hash::Sha1 => mac::<Sha1>(&key, text).verify_slice(claimed).is_ok(),
        Hash::Sha256 => mac::<Sha256>(&key, text).verify_slice(claimed).is_ok(),
        Hash::Sm3 => mac::<Sm3>(&key, text).verify_slice(claimed).is_ok(),
    }
}

/// What the HMAC is keyed with: V1 adds `&`, V3 takes the secret as it is, V4 derives a key for the scope.
fn signing_key(algorithm: Algorithm, scope: Option<&CredentialScope>, secret: &SecretString) -> Zeroizing<Vec<u8>> {
    let secret = secret.expose_secret().as_bytes();
    let parts = scope.into_iter().flat_map(CredentialScope::parts);
    match algorithm.version() {
        Version::V1 => Zeroizing::new([secret, b"&"].concat()),
        Version::V3 | Version::ClientKey => Zeroizing::new(secret.to_vec()),
        Version::V4 => parts.fold(Zeroizing::new([b"aliyun_v4", secret].concat()), |key, part| {
            Zeroizing::new(hmac(algorithm.hash(), &key, part))
        }),
    }
}

/// The V1 signature of a request with these parameters (all of them, without `Signature`): Base64.
pub fn rpc_signature(secret: &SecretString, method: &str, params: &Params) -> String {
    let key = signing_key(Algorithm::HMAC_SHA1, None, secret);
    BASE64.encode(&hmac(Hash::Sha1, &key, &rpc_string_to_sign(method, params)))
}

/// Who signs a request, and what makes its signature another one than the last.
pub struct Signer<'a> {
    /// The AccessKey ID.
    pub access_key_id: &'a str,
    /// The AccessKey Secret.
    pub secret: &'a SecretString,
    /// The token of a role session.
    pub security_token: Option<&'a str>,
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
            ("Version", Api::having(operation).version()),
            ("Format", format),
            ("AccessKeyId", self.access_key_id),
            ("SignatureMethod", Algorithm::HMAC_SHA1.name()),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", self.nonce),
            ("Timestamp", self.timestamp),
        ];
        let token = self.security_token.map(|token| ("SecurityToken", token));
        let all: Params = own.iter().chain(public).chain(token).collect();
        let signature = rpc_signature(self.secret, "POST", &all);
        all.iter().chain([("Signature", signature.as_str())]).collect()
    }
}

/// A whole request with a signature in its headers; the path is `/`, the method POST.
pub struct AcsRequest {
    /// All headers that belong to the API, `host` and `content-type` included. No name is there twice.
    pub headers: Vec<(&'static str, String)>,
    /// The operation's parameters as a form.
    pub body: String,
}

impl Signer<'_> {
    /// A request with signature V3 to `host`. The parameters are in its body, where no log of URLs sees them.
    pub fn acs(&self, operation: &str, own: &Params, host: &str) -> AcsRequest {
        let body = own.canonical();
        let hash = payload_hash(Algorithm::ACS3_HMAC_SHA256, body.as_bytes());
        let token = self.security_token.map(|token| ("x-acs-security-token", token.to_owned()));
        let signed = [
            ("content-type", FORM.to_owned()),
            ("host", host.to_owned()),
            ("x-acs-action", operation.to_owned()),
            ("x-acs-content-sha256", hash.clone()),
            ("x-acs-date", self.timestamp.to_owned()),
            ("x-acs-signature-nonce", self.nonce.to_owned()),
            ("x-acs-version", Api::having(operation).version().to_owned()),
        ];
        let mut headers: Vec<(&str, String)> = signed.into_iter().chain(token).collect();
        headers.sort();
        let canonical_headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let parts = AcsParts {
            method: "POST",
            canonical_query: "",
            canonical_headers: &canonical_headers,
            signed_headers: &signed_headers,
            payload_hash: &hash,
        };
        let signature = acs_signature(Algorithm::ACS3_HMAC_SHA256, None, self.secret, &parts);
        let (name, id) = (Algorithm::ACS3_HMAC_SHA256.name(), self.access_key_id);
        let authorization = format!("{name} Credential={id},SignedHeaders={signed_headers},Signature={signature}");
        headers.push(("authorization", authorization));
        AcsRequest { headers, body }
    }
}

/// The content type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The signature in `Authorization` of a request made of these parts, with an AccessKey: lower-case hex. V4 has a scope.
pub fn acs_signature(
    algorithm: Algorithm,
    scope: Option<&CredentialScope>,
    secret: &SecretString,
    parts: &AcsParts<'_>,
) -> String {
    let key = signing_key(algorithm, scope, secret);
    HEXLOWER.encode(&hmac(algorithm.hash(), &key, &parts.string_to_sign(algorithm)))
}

/// The lower-case hex hash of a body, which V3 and V4 sign.
pub fn payload_hash(algorithm: Algorithm, body: &[u8]) -> String {
    digest(algorithm.hash(), body)
}

fn rpc_string_to_sign(method: &str, params: &Params) -> String {
    format!("{method}&%2F&{}", percent_encode(&params.canonical()))
}

fn acs_string_to_sign(signature: &AcsSignature, raw: &RawRequest<'_>) -> Result<String, Unidentified> {
    if payload_hash(signature.algorithm, raw.body) != signature.payload_hash {
        return Err(Unidentified::BodyChanged);
    }
    // The key is good for one day only, which is the day of signing.
    if signature.credential_scope.as_ref().is_some_and(|scope| scope.date != day_of(&signature.timestamp)) {
        return Err(Unidentified::AnotherDay);
    }
    let parts = AcsParts {
        method: raw.method,
        canonical_query: &signature.query.canonical(),
        canonical_headers: &signature.canonical_headers,
        signed_headers: &signature.signed_headers,
        payload_hash: &signature.payload_hash,
    };
    Ok(parts.string_to_sign(signature.algorithm))
}

/// `2026-01-02T03:04:05Z` → `20260102`
fn day_of(timestamp: &str) -> String {
    timestamp.chars().take(10).filter(|c| *c != '-').collect()
}

/// The body is empty, and so must be the hash that is stated of it.
fn client_key_string_to_sign(signature: &ClientKeySignature, raw: &RawRequest<'_>) -> Result<String, Unidentified> {
    let stated = raw.headers.get("x-acs-content-sha256");
    if stated.is_some_and(|stated| stated.as_bytes() != digest(Hash::Sha256, raw.body).as_bytes()) {
        return Err(Unidentified::BodyChanged);
    }
    Ok(signature.signed.canonical())
}

/// What a V3 or V4 signature covers.
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
    fn string_to_sign(&self, algorithm: Algorithm) -> String {
        let Self { method, canonical_query, canonical_headers, signed_headers, payload_hash } = self;
        let canonical =
            format!("{method}\n/\n{canonical_query}\n{canonical_headers}\n{signed_headers}\n{payload_hash}");
        format!("{}\n{}", algorithm.name(), digest(algorithm.hash(), canonical.as_bytes()))
    }
}

fn digest(hash: Hash, bytes: &[u8]) -> String {
    match hash {
        Hash::Sha1 => HEXLOWER.encode(&Sha1::digest(bytes)),
        Hash::Sha256 => HEXLOWER.encode(&Sha256::digest(bytes)),
        Hash::Sm3 => HEXLOWER.encode(&Sm3::digest(bytes)),
    }
}

fn hmac(hash: Hash, key: &[u8], text: &str) -> Vec<u8> {
    match hash {
        Hash::Sha1 => mac::<Sha1>(key, text).finalize().into_bytes().to_vec(),
        Hash::Sha256 => mac::<Sha256>(key, text).finalize().into_bytes().to_vec(),
        Hash::Sm3 => mac::<Sm3>(key, text).finalize().into_bytes().to_vec(),
    }
}

#[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
fn mac<H: EagerHash>(key: &[u8], text: &str) -> Hmac<H> {
    let mut mac = <Hmac<H> as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests;
