//! Requests that official clients signed, to be changed.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use keyward::authn::{Authority, Directory, IdentityRules};
use keyward::kms::{KmsError, KmsRequest, Origin, RawRequest};

use crate::recording::{Expected, Recording};

/// One request, and the directory that its holder is in.
#[derive(Clone)]
pub struct Signed {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub now: Timestamp,
    directory: std::sync::Arc<Directory>,
}

/// What of a request is changed.
#[derive(Clone, Copy)]
pub enum Part {
    Method,
    Target,
    Body,
    Header,
}

impl Part {
    pub fn of(byte: u8) -> Self {
        [Self::Target, Self::Body, Self::Header, Self::Method][usize::from(byte % 4)]
    }
}

static ALL: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    // Small ones: their targets are read whole by the fuzzer.
    let recordings = Recording::expecting(Expected::Caller).filter(|it| it.target.len() < 2_000);
    recordings
        .map(|recording| Signed {
            method: recording.method.clone(),
            target: recording.target.clone(),
            headers: recording.header_map(),
            body: recording.body(),
            now: recording.now(),
            directory: recording.credentials.directory().into(),
        })
        .collect()
});

static RULES: LazyLock<IdentityRules> = LazyLock::new(IdentityRules::default);

/// Those of every way to sign.
pub fn all() -> &'static [Signed] {
    &ALL
}

impl Signed {
    pub fn authority(&self) -> Authority<'_> {
        Authority { directory: &self.directory, sessions: None, rules: &RULES }
    }

    /// The header `Authorization`, if it has one.
    pub fn authorization(&self) -> Option<Vec<u8>> {
        self.headers.get("authorization").map(|value| value.as_bytes().to_vec())
    }

    /// The request as it was sent.
    pub fn parse(&self) -> Result<KmsRequest, KmsError> {
        KmsRequest::parse(&RawRequest {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            body: &self.body,
            origin: Origin::unknown(),
        })
    }

    /// Puts `byte` at a place of a part, or in front of it, or takes away what is there.
    pub fn edit(&mut self, part: Part, at: usize, byte: u8) {
        match part {
            Part::Method => self.method = if self.method == "GET" { "POST" } else { "GET" }.to_owned(),
            Part::Target => {
                let mut bytes = self.target.clone().into_bytes();
                change(&mut bytes, at, byte);
                self.target = String::from_utf8_lossy(&bytes).into_owned();
            }
            Part::Body => change(&mut self.body, at, byte),
            Part::Header => {
                let names: Vec<HeaderName> = self.headers.keys().cloned().collect();
                let Some(name) = names.get(at % names.len().max(1)) else { return };
                let mut value = self.headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
                change(&mut value, at / names.len().max(1), byte);
                match HeaderValue::from_bytes(&value) {
                    Ok(_) if byte == 0xff => drop(self.headers.remove(name)),
                    Ok(value) => drop(self.headers.insert(name.clone(), value)),
                    Err(_) => {}
                }
            }
        }
    }
}

fn change(bytes: &mut Vec<u8>, at: usize, byte: u8) {
    let at = at % (bytes.len() + 1);
    match byte {
        0 if at < bytes.len() => drop(bytes.remove(at)),
        1..=0x7f if at < bytes.len() => bytes[at] = byte,
        _ => bytes.insert(at, byte & 0x7f),
    }
}
