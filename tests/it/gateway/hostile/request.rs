//! Requests, signed as clients sign them and written as nobody should: every parameter that is given is signed, and none is
//! checked. The signatures are computed here, not by Keyward.

use data_encoding::{BASE64, HEXLOWER};
use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::Sha256;

use super::super::front::ORDERS;
use crate::sandbox::Caller;

/// Names and values, in the order in which they are written.
pub type Pairs = Vec<(String, String)>;

/// What alice may do.
pub const ENCRYPT: &[(&str, &str)] = &[("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", "aGVsbG8=")];

/// The same without the operation, which V3 has in a header.
pub const ORDERS_HELLO: &[(&str, &str)] = &[("KeyId", ORDERS), ("Plaintext", "aGVsbG8=")];

/// A's-Z, a-z, 0-9 and `-_.~` stay.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// `name=value&…` as they stand.
pub fn form(pairs: &[(String, String)]) -> String {
    let pieces: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pieces.join("&")
}

fn canonical(pairs: &[(String, String)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    form(&sorted)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn nonce() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// All parameters of a V1 request: those given, the public ones that are not among them, and the signature over all.
pub fn v1(caller: Caller, method: &str, own: &[(&str, &str)]) -> Pairs {
    let (timestamp, nonce) = (now(), nonce());
    let public = [
        ("Version", "2016-01-20"),
        ("Format", "JSON"),
        ("AccessKeyId", caller.id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", &nonce),
        ("Timestamp", &timestamp),
    ];
    let is_given = |name: &str| own.iter().any(|(given, _)| *given == name);
    let all = own.iter().copied().chain(public.into_iter().filter(|(name, _)| !is_given(name)));
    let mut pairs: Pairs = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let text = format!("{method}&%2F&{}", percent(&canonical(&pairs)));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{}&", caller.secret).as_bytes()).unwrap();
    mac.update(text.as_bytes());
    pairs.push(("Signature".to_owned(), BASE64.encode(&mac.finalize().into_bytes())));
    pairs
}

/// The same as a form, for POST.
pub fn v1_form(caller: Caller, own: &[(&str, &str)]) -> String {
    form(&v1(caller, "POST", own))
}

/// A request with signature V3.
pub struct V3<'a> {
    pub caller: Caller,
    pub method: &'a str,
    pub action: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: &'a str,
    /// Headers that are signed, beside those that every client signs; or instead of one of them.
    pub signed: &'a [(&'a str, &'a str)],
    /// Headers that are not, as they are written.
    pub more: &'a str,
}

impl V3<'_> {
    /// Alice's.
    pub const fn of(caller: Caller) -> Self {
        Self { caller, method: "POST", action: "Encrypt", query: &[], body: "", signed: &[], more: "" }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let hash = HEXLOWER.encode(&Sha256::digest(self.body));
        let (timestamp, nonce) = (now(), nonce());
        let common = [
            ("host", "kms.test"),
            ("x-acs-action", self.action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &timestamp),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", "2016-01-20"),
        ];
        let kind = (!self.body.is_empty()).then_some(("content-type", "application/x-www-form-urlencoded"));
        let is_given = |name: &str| self.signed.iter().any(|(given, _)| *given == name);
        let mut headers: Vec<(&str, &str)> =
            common.into_iter().chain(kind).filter(|(name, _)| !is_given(name)).collect();
        headers.extend(self.signed);
        headers.sort_unstable();
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let query: Pairs = self.query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let canonical = format!("{}\n/\n{}\n{lines}\n{names}\n{hash}", self.method, canonical(&query));
        let text = format!("ACS3-HMAC-SHA256\n{}", HEXLOWER.encode(&Sha256::digest(canonical)));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.caller.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
        let id = self.caller.id;
        let written: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = if query.is_empty() { "/".to_owned() } else { format!("/?{}", form(&query)) };
        let (more, length, body) = (self.more, self.body.len(), self.body);
        format!(
            "{} {target} HTTP/1.1\r\n{written}authorization: ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},\
             Signature={signature}\r\n{more}connection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            self.method
        )
        .into_bytes()
    }
}

/// A request with these lines before its framing, and this target; its connection is closed after the answer.
pub fn raw(method: &str, target: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: kms.test\r\n{lines}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A GET with this query.
pub fn get(query: &str) -> Vec<u8> {
    format!("GET /?{query} HTTP/1.1\r\nHost: kms.test\r\nConnection: close\r\n\r\n").into_bytes()
}
