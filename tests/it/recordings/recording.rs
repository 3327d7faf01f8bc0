//! One recorded request of an official client: what was sent, what an independent parser made of it, and what is
//! expected of it here. How the files are written is told in `tests/fixtures/wire/README.md`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "the recordings are files")]

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use keyward::authn::{
    AcsParts, Authority, Directory, IdentityRules, Proof, acs_signature, identify, payload_hash, rpc_signature,
};
use keyward::kms::{Algorithm, KmsRequest, Origin, RawRequest, Scheme, Version};
use serde::Deserialize;
use serde_json::Value;

/// Recordings whose signature is good, and which are refused all the same.
pub const REFUSED_BY_RULE: &[(&str, &str)] = &[
    // Its client was told to state `SourceIp` and `SecureTransport`, which nobody may claim for itself.
    ("go-classic-06", "InvalidParameter"),
    // JSON bodies: a mode of the generic Node clients that no KMS method uses.
    ("node-openapiclient-26", "ParseRequestParameterException"),
    ("node-openapicore-26", "ParseRequestParameterException"),
    // A bearer token whose client writes `SignatureVersion&` without `=`, which parsers read in different ways.
    ("java-classic-09", "ParseRequestParameterException"),
];

/// Sessions of a client that forgets their token: `@alicloud/pop-core` 1.4.3. What arrives is signed by an access key
/// of which the directory knows nothing.
pub const TOKEN_IS_LOST: &[&str] = &["node-popcore-old-04", "node-popcore-old-05"];

/// Ways to sign, and by what algorithm they are verified.
pub const SCHEMES: &[(&str, Algorithm)] = &[
    ("RPC-V1 HMAC-SHA1", Algorithm::HMAC_SHA1),
    ("RPC-V1 SHA256withRSA", Algorithm::SHA256_WITH_RSA),
    ("ACS3-HMAC-SHA256", Algorithm::ACS3_HMAC_SHA256),
    ("ACS3-HMAC-SM3", Algorithm::ACS3_HMAC_SM3),
    ("ACS3-RSA-SHA256", Algorithm::ACS3_RSA_SHA256),
    ("ACS4-HMAC-SHA256", Algorithm::ACS4_HMAC_SHA256),
    ("ACS4-HMAC-SM3", Algorithm::ACS4_HMAC_SM3),
    ("KMS client key as bearer token, RSA_PKCS1_SHA_256", Algorithm::CLIENT_KEY),
];

/// Ways to call that prove nobody, and what is answered.
pub const REFUSED_SCHEMES: &[(&str, &str)] = &[
    // A token proves no access key, even where a signature with an empty secret comes along.
    ("RPC-V1 HMAC-SHA1 over empty secret (bearer token)", "IncompleteSignature"),
    ("none (bearer token)", "IncompleteSignature"),
    // The protocol of a KMS instance's own gateway: its body is protobuf, not a form.
    ("DKMS RSA_PKCS1_SHA_256", "ParseRequestParameterException"),
];

/// Parameters that belong to a request as such, and are not the operation's own.
const PUBLIC: &[&str] = &[
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureType",
    "SignatureNonce",
    "Timestamp",
    "SecurityToken",
    "STSToken",
    "RegionId",
];

#[derive(Clone, Deserialize)]
pub struct Recording {
    pub id: String,
    pub recorded_at: String,
    pub scheme: String,
    pub verified: Option<bool>,
    pub credentials: Credentials,
    pub action: Option<String>,
    pub query: BTreeMap<String, String>,
    pub form: BTreeMap<String, String>,
    pub intended: BTreeMap<String, Value>,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub body_base64: Option<String>,
}

#[derive(Clone, Deserialize)]
pub struct Credentials {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub access_key_id: String,
    #[serde(default)]
    pub access_key_secret: String,
    #[serde(default)]
    pub security_token: String,
    #[serde(default)]
    pub public_key_pem: String,
}

/// What is expected of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The holder of the access key is identified.
    Caller,
    /// It is signed by the holder of a session's temporary secret, which this version does not accept.
    Session,
    /// The same, and the token is missing.
    SessionWithoutToken,
    /// It is not signed, and its connection proves nobody.
    Unsigned,
    /// The client made a wrong signature.
    WrongSignature,
    /// It is refused while it is read, with this code.
    Refused(&'static str),
}

impl Recording {
    pub fn all() -> Vec<Self> {
        // The fuzz targets, in a folder of their own, read them too.
        let places = ["tests/fixtures/wire", "../tests/fixtures/wire"];
        let mut folders = places.iter().map(|place| Path::new(env!("CARGO_MANIFEST_DIR")).join(place));
        let folder = folders.find(|folder| folder.is_dir()).unwrap();
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut texts: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect();
        // The same order on every disk: seeds of the fuzzer name recordings by their number.
        texts.sort();
        texts.into_iter().flat_map(|path| Self::of_file(&path)).collect()
    }

    pub fn of_file(path: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(path).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.lines().map(parse).collect()
    }

    pub fn named(id: &str) -> Self {
        Self::all().into_iter().find(|recording| recording.id == id).unwrap()
    }

    pub fn expecting(expected: Expected) -> impl Iterator<Item = Self> {
        Self::all().into_iter().filter(move |recording| recording.expected() == expected)
    }

    pub fn expected(&self) -> Expected {
        let code_in = |table: &[(&str, &'static str)], key: &str| {
            table.iter().find(|(name, _)| *name == key).map(|(_, code)| *code)
        };
        if let Some(code) = code_in(REFUSED_BY_RULE, &self.id).or_else(|| code_in(REFUSED_SCHEMES, &self.scheme)) {
            return Expected::Refused(code);
        }
        if self.scheme == "none (anonymous)" {
            return Expected::Unsigned;
        }
        match (self.verified, self.credentials.kind.as_str()) {
            (Some(true), "access_key" | "rsa_key_pair" | "dkms_client_key") => Expected::Caller,
            (Some(true), "sts") if TOKEN_IS_LOST.contains(&self.id.as_str()) => Expected::SessionWithoutToken,
            (Some(true), "sts") => Expected::Session,
            (Some(false), _) => Expected::WrongSignature,
            other => panic!("{}: nothing is expected of {other:?}", self.id),
        }
    }

    /// With what it is signed.
    pub fn algorithm(&self) -> Algorithm {
        SCHEMES.iter().find(|(scheme, _)| *scheme == self.scheme).map(|(_, algorithm)| *algorithm).unwrap()
    }

    /// How its caller is proven.
    pub fn proof(&self) -> Proof {
        match self.algorithm().version() {
            Version::V1 => Proof::SignatureV1,
            Version::V3 => Proof::SignatureV3,
            Version::V4 => Proof::SignatureV4,
            Version::ClientKey => Proof::ClientKey,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.recorded_at.parse().unwrap()
    }

    pub fn header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    pub fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => data_encoding::BASE64.decode(base64.as_bytes()).unwrap(),
            _ => panic!("{}: a recording has one body", self.id),
        }
    }

    pub fn with_raw<T>(&self, ask: impl FnOnce(&RawRequest<'_>) -> T) -> T {
        let (headers, body) = (self.header_map(), self.body());
        ask(&RawRequest {
            method: &self.method,
            target: &self.target,
            headers: &headers,
            body: &body,
            origin: Origin::unknown(),
        })
    }

    /// The request, or the code it is refused with.
    pub fn read(&self) -> Result<KmsRequest, &'static str> {
        self.with_raw(KmsRequest::parse).map_err(|error| error.code.as_str())
    }

    /// How the caller is proven, or the code or reason for which there is none.
    pub fn identify(&self, directory: &Directory, now: Timestamp) -> Result<Proof, &'static str> {
        self.identify_by(directory, &IdentityRules::default(), now)
    }

    /// The same, with rules of its own.
    pub fn identify_by(
        &self,
        directory: &Directory,
        rules: &IdentityRules,
        now: Timestamp,
    ) -> Result<Proof, &'static str> {
        let request = self.read()?;
        let authority = Authority { directory, sessions: None, rules };
        let caller = self.with_raw(|raw| identify(&authority, raw, &request, now)).map_err(|why| why.reason())?;
        assert_eq!(request.scheme.access_key_id(), Some(self.credentials.access_key_id.as_str()), "{}", self.id);
        assert_eq!(caller.principal.to_string(), "acs:ram::1:user/holder", "{}", self.id);
        Ok(caller.proof)
    }

    /// The same, with the recorded secret and at the time of recording.
    pub fn outcome(&self) -> Result<Proof, &'static str> {
        self.identify(&self.credentials.directory(), self.now())
    }

    /// The same, with a directory that has another secret, or another public key, under the same id.
    pub fn identify_with_another_key(&self) -> Result<Proof, &'static str> {
        let mut other = self.credentials.clone();
        if other.public_key_pem.is_empty() {
            other.access_key_secret.push('x');
        } else {
            other.public_key_pem = include_str!("../../fixtures/another-public-key.pem").to_owned();
        }
        self.identify(&other.directory(), self.now())
    }

    /// The same, with a directory that does not have the access key.
    pub fn outcome_for_strangers(&self) -> Result<Proof, &'static str> {
        self.identify(&directory("LTAIStranger", "another-secret"), self.now())
    }

    /// The operation's own parameters, as the independent parser found them.
    pub fn own(&self) -> BTreeMap<&str, &str> {
        let all = self.query.iter().chain(&self.form).map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !PUBLIC.contains(name)).collect()
    }

    /// The recording with one byte more in the value of `name`, and where that value stands.
    pub fn with_changed(&self, name: &str) -> (Self, Place) {
        let longer = |pieces: &str| pieces.replacen(&format!("&{name}="), &format!("&{name}=x"), 1);
        let mut changed = self.clone();
        if self.form.contains_key(name) {
            let pieces = format!("&{}", self.body.as_deref().unwrap());
            changed.body = longer(&pieces).strip_prefix('&').map(str::to_owned);
            (changed, Place::Form)
        } else {
            changed.target = longer(&self.target.replacen('?', "?&", 1)).replacen("?&", "?", 1);
            (changed, Place::Query)
        }
    }

    /// The recording without the session's token, wherever it stands.
    pub fn without_token(&self) -> Self {
        let is_token = |name: &str| {
            ["SecurityToken", "STSToken", "x-acs-security-token"].iter().any(|token| token.eq_ignore_ascii_case(name))
        };
        let strip = |text: &str| {
            let kept = text.split('&').filter(|piece| !is_token(piece.split('=').next().unwrap_or_default()));
            kept.collect::<Vec<_>>().join("&")
        };
        let mut hidden = self.clone();
        hidden.headers.retain(|(name, _)| !is_token(name));
        if let Some((path, query)) = self.target.split_once('?') {
            hidden.target = format!("{path}?{}", strip(query));
        }
        hidden.body = self.body.as_deref().map(strip);
        hidden
    }

    /// The signature that `secret` makes of this request.
    pub fn signature_by(&self, request: &KmsRequest, secret: &str) -> String {
        match &request.scheme {
            Scheme::ClientKey(_) | Scheme::Unsigned => panic!("{}: no secret signs this", self.id),
            Scheme::Rpc(signature) => rpc_signature(&secret.into(), &self.method, &signature.signed),
            Scheme::Acs(signature) => {
                let parts = AcsParts {
                    method: &self.method,
                    canonical_query: &signature.query.canonical(),
                    canonical_headers: &signature.canonical_headers,
                    signed_headers: &signature.signed_headers,
                    payload_hash: &payload_hash(signature.algorithm, &self.body()),
                };
                acs_signature(signature.algorithm, signature.credential_scope.as_ref(), &secret.into(), &parts)
            }
        }
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Query,
    Form,
}

impl Credentials {
    /// A directory in which one user holds the access key, or the key pair.
    pub fn directory(&self) -> Directory {
        let Self { access_key_id: id, access_key_secret: secret, public_key_pem: key, .. } = self;
        if key.is_empty() {
            return directory(id, secret);
        }
        directory_of(&format!("key_pairs = [{{ id = '{id}', public_key = {key:?} }}]"))
    }
}

/// A directory in which one user holds this access key.
pub fn directory(id: &str, secret: &str) -> Directory {
    directory_of(&format!("access_keys = [{{ id = '{id}', secret = '{secret}' }}]"))
}

fn directory_of(keys: &str) -> Directory {
    let text = format!("[accounts.1.users.holder]\n{keys}");
    Directory::parse(&text, &|_| Err("no secret is elsewhere".to_owned())).unwrap_or_else(|why| panic!("{why:?}"))
}

pub fn signature_of(scheme: &Scheme) -> &str {
    match scheme {
        Scheme::Rpc(signature) => &signature.signature,
        Scheme::Acs(signature) => &signature.signature,
        Scheme::ClientKey(signature) => &signature.signature,
        Scheme::Unsigned => "",
    }
}
