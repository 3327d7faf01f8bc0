//! Receiving a request whole: head and body, each bounded in size and time.

use bytes::{Bytes, BytesMut};
use http::Version;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use tokio::time::Instant;

use super::framing;
use crate::kms::{ErrorCode, KmsError};
use crate::listen::Allowance;

/// The longest request target that the HTTP library can hold, in bytes (`http::Uri`).
const TARGET_BYTES_MAX: usize = 65_534;

/// The longest head that is read, in bytes: the longest target, and more than enough for the rest.
pub const HEAD_BYTES_MAX: usize = TARGET_BYTES_MAX + 18 * 1024;

/// Why a request could not be received. The connection is closed after the answer.
pub struct Unreceived {
    /// What the client is told.
    pub error: KmsError,
    /// The reason in one word, from a closed set.
    pub reason: &'static str,
}

impl Unreceived {
    fn new(error: impl Into<KmsError>, reason: &'static str) -> Self {
        Self { error: error.into(), reason }
    }

    /// A client that does not send its request in time.
    pub fn too_slow() -> Self {
        Self::new(ErrorCode::RequestTimeout, "timeout")
    }

    /// A head that is longer than any that could be served.
    pub fn head_too_long() -> Self {
        Self::new(ErrorCode::RequestTargetTooLong, "target_too_long")
    }

    /// A head that pingora could not parse. Its error quotes the head, which may hold plaintexts: only its length is
    /// looked at.
    pub fn unparsable(error: &Error) -> Self {
        let quoted = error.context.as_ref().map_or(0, |context| context.as_str().len());
        match error.etype() {
            ErrorType::ReadTimedout => Self::too_slow(),
            _ if quoted > TARGET_BYTES_MAX => Self::new(ErrorCode::RequestTargetTooLong, "target_too_long"),
            _ => Self::new(malformed("it is not valid HTTP/1.1"), "malformed_http"),
        }
    }
}

fn malformed(why: &str) -> KmsError {
    KmsError::new(ErrorCode::ParseRequestParameter, format!("The request is refused because {why}."))
}

/// Checks the head, then reads the body.
///
/// # Errors
/// The framing is ambiguous, the body too large or too slow, or the client went away.
pub async fn receive(
    session: &mut ServerSession,
    allowance: &Allowance,
    body_bytes_max: usize,
    deadline: Instant,
) -> Result<Bytes, Unreceived> {
    if !allowance.has_request_line() {
        let why = malformed("its first line is not of the form METHOD TARGET HTTP/1.1");
        return Err(Unreceived::new(why, "malformed_http"));
    }
    framing::check(&session.to_h1_raw()).map_err(|why| Unreceived::new(malformed(why), "malformed_http"))?;
    let stated: usize =
        session.get_header("content-length").and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    if stated > body_bytes_max {
        return Err(Unreceived::new(ErrorCode::RequestTooLarge, "body_too_large"));
    }
    let is_chunked = session.get_header("transfer-encoding").is_some();
    match tokio::time::timeout_at(deadline, read_body(session, body_bytes_max)).await {
        Ok(Ok(_)) if is_chunked && !allowance.has_plain_chunks() => {
            let why = malformed("its chunks hold more than sizes and data");
            Err(Unreceived::new(why, "malformed_http"))
        }
        Ok(result) => result,
        Err(_) => Err(Unreceived::too_slow()),
    }
}

async fn read_body(session: &mut ServerSession, body_bytes_max: usize) -> Result<Bytes, Unreceived> {
    let broken = |_| Unreceived::new(malformed("its body is not as its head says"), "malformed_http");
    // A client of HTTP/1.0 would take the interim answer for the answer (RFC 9110 §10.1.1).
    let is_old = session.req_header().version == Version::HTTP_10;
    if session.get_header("expect").is_some() && !is_old {
        session.write_continue_response().await.map_err(broken)?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await.map_err(broken)? {
        if body.len() + piece.len() > body_bytes_max {
            return Err(Unreceived::new(ErrorCode::RequestTooLarge, "body_too_large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
