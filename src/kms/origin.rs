//! Where a request came from: what the connection itself says, which no client can write into its request.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;

/// What is known of the connection that a request came over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who is at the other end of the socket: of a Unix socket nobody with an address. Behind a trusted proxy that speaks
    /// the PROXY protocol this is its client.
    pub address: Option<IpAddr>,
    /// Whether the connection is TLS.
    pub secure: bool,
    /// The client's certificate, which the listener verified; `None` if there was none.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The user id of the process at the other end of a Unix socket.
    pub uid: Option<u32>,
}

/// A verified client certificate, as far as somebody can be known by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The URIs among its subject alternative names.
    pub uris: Vec<String>,
    /// The DNS names among them, in lower case.
    pub dns_names: Vec<String>,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
    pub spki_sha256: String,
    /// From then on it proves nobody.
    pub expires: Timestamp,
}

/// How headers begin that proxies and browsers write. No SDK sends any of them.
const FOREIGN: &[&str] = &[
    "cookie",
    "forwarded",
    "origin",
    "referer",
    "sec-",
    "via",
    "x-client-",
    "x-cluster-client-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-real-",
    "x_",
];

/// Whether a request went through a proxy, or was sent by a browser. What the connection proves is then not its sender's.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| FOREIGN.iter().any(|prefix| name.as_str().starts_with(prefix)))
}

impl Origin {
    /// Of a connection of which nothing is known.
    pub fn unknown() -> &'static Self {
        static UNKNOWN: Origin = Origin { address: None, secure: false, certificate: None, uid: None };
        &UNKNOWN
    }
}
