//! One request to KMS and its whole answer, over a connection of pingora's.
//!
//! Each phase has its deadline and each part its limit. Nothing is sent twice here, and whatever goes wrong says whether
//! KMS may have executed the request. A connection is kept only if the answer ended where it said it would.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use pingora::ErrorType;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::{HttpPeer, Peer};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::outgoing::Outgoing;
use super::troubles::Troubles;
use crate::settings::{Patience, Upstream};
use crate::telemetry::UpstreamMetrics;

/// How many interim answers (1xx) are read before the answer.
const INTERIM_MAX: usize = 8;

/// A whole answer.
pub struct Received {
    /// Its status: 200 to 599, and never a redirection.
    pub status: u16,
    /// Its content type, in lower case.
    pub content_type: String,
    /// How it is compressed, if it is.
    pub content_encoding: Option<String>,
    /// Other headers that clients read.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body, which may hold a plaintext.
    pub body: Zeroizing<Vec<u8>>,
}

impl Received {
    /// The body as it was before it was compressed with `coding`; `None` if it cannot be known, or is too large.
    pub fn decompressed(&self, coding: &str) -> Option<Vec<u8>> {
        let most = u64::try_from(DECOMPRESSED_MAX).unwrap_or(u64::MAX);
        let mut whole = Vec::new();
        // Nothing may come after it: clients could read on.
        let mut rest = self.body.as_slice();
        let read = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => GzDecoder::new(&mut rest).take(most + 1).read_to_end(&mut whole),
            "deflate" => ZlibDecoder::new(&mut rest).take(most + 1).read_to_end(&mut whole),
            _ => return None,
        };
        read.ok().filter(|_| whole.len() <= DECOMPRESSED_MAX && rest.is_empty()).map(|_| whole)
    }
}

/// The largest answer after decompression, in bytes.
const DECOMPRESSED_MAX: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// Whether KMS may have executed the request.
    pub may_be_executed: bool,
    /// Whether a kept connection turned out to be closed: nothing at all came back over it.
    pub was_stale: bool,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No address could be connected to.
    Connect,
    /// Its certificate is not the one that was expected, or it speaks no TLS that is good enough.
    Tls,
    /// The request could not be sent whole.
    Send,
    /// No answer began in time.
    AnswerTimeout,
    /// The answer did not end in time.
    BodyTimeout,
    /// The connection ended before the answer did.
    Closed,
    /// What came is no answer.
    Malformed,
    /// The answer is too large.
    TooLarge,
    /// The answer leads elsewhere.
    Redirect,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Tls,
        Self::Send,
        Self::AnswerTimeout,
        Self::BodyTimeout,
        Self::Closed,
        Self::Malformed,
        Self::TooLarge,
        Self::Redirect,
    ];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::AnswerTimeout => "answer_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Redirect => "redirect",
        }
    }
}

/// Headers of an answer that clients read, beside its type and coding ("Responses"; the dedicated gateway's clients fail
/// without `x-kms-migrationkeyversionid`).
fn is_read(name: &str) -> bool {
    name == "retry-after" || name.starts_with("x-acs-") || name.starts_with("x-kms-")
}

/// The connections to KMS.
pub struct Connections {
    connector: TransportConnector,
    secure: bool,
    server_name: String,
    patience: Patience,
    idle: Duration,
    answer_bytes: usize,
    metrics: UpstreamMetrics,
    troubles: Arc<Troubles>,
}

impl Connections {
    /// None yet. `ca` names a file that was found to hold certificates.
    pub fn new(settings: &Upstream, metrics: UpstreamMetrics, troubles: Arc<Troubles>) -> Self {
        let mut options = ConnectorOptions::new(settings.requests);
        options.ca_file = settings.ca.as_ref().map(|path| path.to_string_lossy().into_owned());
        Self {
            connector: TransportConnector::new(Some(options)),
            secure: settings.endpoint.secure,
            server_name: settings.server_name.clone(),
            patience: settings.patience,
            idle: settings.idle,
            answer_bytes: settings.answer_bytes,
            metrics,
            troubles,
        }
    }

    fn peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, self.secure, self.server_name.clone());
        peer.options.connection_timeout = Some(self.patience.connect);
        peer.options.total_connection_timeout = Some(self.patience.connect);
        peer.options.idle_timeout = Some(self.idle);
        peer
    }

    /// Sends a request to an address and receives the answer. With `fresh`, over a connection that nobody used before.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn exchange(&self, address: SocketAddr, outgoing: &Outgoing, fresh: bool) -> Result<Received, Failure> {
        let peer = self.peer(address);
        let (stream, is_reused) = self.connect(&peer, fresh).await?;
        let failed = |(kind, was_silent)| Failure { kind, may_be_executed: true, was_stale: is_reused && was_silent };
        let stream = self.send(stream, outgoing).await.map_err(failed)?;
        let mut session = HttpSession::new(stream);
        let received = self.receive(&mut session).await.map_err(failed)?;
        self.keep(session, &peer).await;
        Ok(received)
    }

    /// Whether a connection to an address can be made; it is closed at once.
    pub async fn can_be_made(&self, address: SocketAddr) -> bool {
        self.connect(&self.peer(address), true).await.is_ok()
    }

    async fn connect(&self, peer: &HttpPeer, fresh: bool) -> Result<(Stream, bool), Failure> {
        if !fresh && let Some(kept) = self.connector.reused_stream(peer).await {
            self.metrics.connections.with_label_values(&["reused"]).inc();
            return Ok((kept, true));
        }
        let failed = |kind| Failure { kind, may_be_executed: false, was_stale: false };
        match timeout(self.patience.connect, self.connector.new_stream(peer)).await {
            Ok(Ok(stream)) => {
                self.metrics.connections.with_label_values(&["new"]).inc();
                self.tell(peer, None);
                Ok((stream, false))
            }
            Ok(Err(error)) => {
                let kind = match error.etype() {
                    ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSWantX509Lookup => {
                        FailureKind::Tls
                    }
                    _ => FailureKind::Connect,
                };
                self.tell(peer, Some(said(&error, kind)));
                Err(failed(kind))
            }
            Err(_) => {
                self.tell(peer, Some("it takes too long".to_owned()));
                Err(failed(FailureKind::Connect))
            }
        }
    }

    /// Says what keeps us from connecting to an address.
    fn tell(&self, peer: &HttpPeer, problem: Option<String>) {
        let address = peer.address();
        let what = format!("KMS at {address} cannot be connected to");
        match problem {
            None => self.troubles.is_over(&what),
            Some(problem) => {
                if self.troubles.note(&what, problem.clone(), Instant::now()) {
                    tracing::warn!(%address, problem, "cannot connect to KMS");
                }
            }
        }
    }

    /// Sends a request in one piece, so that KMS is not woken for half of one. On failure, nothing came back.
    async fn send(&self, mut stream: Stream, outgoing: &Outgoing) -> Result<Stream, (FailureKind, bool)> {
        let wire = outgoing.wire();
        let sending = async {
            stream.write_all(&wire).await?;
            stream.flush().await
        };
        let sent = timeout(self.patience.send, sending).await;
        sent.ok().and_then(Result::ok).ok_or((FailureKind::Send, true))?;
        Ok(stream)
    }

    /// The answer; or why there is none, and whether nothing at all came back.
    async fn receive(&self, session: &mut HttpSession) -> Result<Received, (FailureKind, bool)> {
        let head = timeout(self.patience.answer, read_head(session)).await;
        head.unwrap_or(Err((FailureKind::AnswerTimeout, false)))?;
        let body = timeout(self.patience.body, read_body(session, self.answer_bytes)).await;
        let body = body.unwrap_or(Err(FailureKind::BodyTimeout)).map_err(|kind| (kind, false))?;
        let head = session.resp_header().ok_or((FailureKind::Malformed, false))?;
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let read = head.headers.iter().filter(|(name, _)| is_read(name.as_str()));
        let coding = text("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
        Ok(Received {
            status: head.status.as_u16(),
            content_type: text("content-type").unwrap_or_default().to_lowercase(),
            content_encoding: coding.map(str::to_owned),
            headers: read.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
            body,
        })
    }

    /// Keeps a connection for the next request, if its answer ended where it should.
    async fn keep(&self, mut session: HttpSession, peer: &HttpPeer) {
        session.respect_keepalive();
        if let Some(stream) = session.reuse().await {
            self.connector.release_stream(stream, peer.reuse_hash(), Some(self.idle));
        }
    }
}

/// What went wrong with a connection, without the layers that it came through.
fn said(error: &pingora::Error, kind: FailureKind) -> String {
    let mut root = error;
    while let Some(inner) = root.cause.as_ref().and_then(|cause| cause.downcast_ref::<Box<pingora::Error>>()) {
        root = inner;
    }
    let context = root.context.as_ref().map(|context| context.as_str().to_owned());
    let why =
        root.cause.as_ref().map(ToString::to_string).or(context).unwrap_or_else(|| root.etype().as_str().to_owned());
    match kind {
        FailureKind::Tls => format!("TLS: {why} (upstream.ca and upstream.server_name say whom it has to be)"),
        _ => why,
    }
}

async fn read_head(session: &mut HttpSession) -> Result<(), (FailureKind, bool)> {
    for at in 0..=INTERIM_MAX {
        // Nothing came back at all, if the first head does not even begin.
        session.read_response().await.map_err(|error| failure_of_head(&error, at == 0))?;
        let head = session.resp_header().ok_or((FailureKind::Malformed, false))?;
        match head.status.as_u16() {
            // Nobody asked for another protocol.
            101 => return Err((FailureKind::Malformed, false)),
            100..=199 => {}
            300..=399 => return Err((FailureKind::Redirect, false)),
            // Without a length nobody could tell a whole answer from a part of one; with two, who knows.
            _ if lengths(head) != 1 => return Err((FailureKind::Malformed, false)),
            _ => return Ok(()),
        }
    }
    Err((FailureKind::Malformed, false))
}

/// How many statements of its length an answer makes, repetitions included.
fn lengths(head: &pingora::http::ResponseHeader) -> usize {
    ["content-length", "transfer-encoding"].iter().map(|name| head.headers.get_all(*name).iter().count()).sum()
}

fn failure_of_head(error: &pingora::Error, is_first: bool) -> (FailureKind, bool) {
    match error.etype() {
        // pingora says how much it had read; what that was may be a secret, and is not looked at.
        ErrorType::ConnectionClosed | ErrorType::ReadError => {
            let context = error.context.as_ref().map_or("", |context| context.as_str());
            (FailureKind::Closed, is_first && context.ends_with("bytes already read: 0"))
        }
        _ => (FailureKind::Malformed, false),
    }
}

async fn read_body(session: &mut HttpSession, most: usize) -> Result<Zeroizing<Vec<u8>>, FailureKind> {
    let mut body = BytesMut::new();
    loop {
        let piece = session.read_body_bytes().await.map_err(|error| match error.etype() {
            ErrorType::ConnectionClosed | ErrorType::ReadError => FailureKind::Closed,
            _ => FailureKind::Malformed,
        })?;
        let Some(piece) = piece else { break };
        if body.len() + piece.len() > most {
            return Err(FailureKind::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    let whole = Zeroizing::new(body.to_vec());
    body.fill(0);
    Ok(whole)
}
