//! A client at its connection: whether it begins, waits, leaves, and what it is sent.

use std::time::Duration;

use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::authz::Version;
use crate::kms::Answer;

/// A client that is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// It waits.
    Waits,
    /// It is gone.
    Left,
    /// It sent more, before its answer: it gets this one, and no other on this connection.
    SentMore,
}

/// Sends an answer.
pub async fn send(
    session: &mut ServerSession,
    request_id: &str,
    version: Option<&Version>,
    answer: Answer,
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(answer.status, Some(5))?;
    if let Some(version) = version {
        head.insert_header("x-keyward-policies", format!("{} {}", version.generation, version.hash))?;
    }
    head.insert_header("Content-Type", answer.content_type.as_ref())?;
    head.insert_header("Content-Length", answer.body.len())?;
    head.insert_header("x-acs-request-id", request_id)?;
    for (name, value) in answer.headers {
        head.insert_header(name, value)?;
    }
    head.insert_header("Cache-Control", "no-store")?;
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(answer.body.into(), true).await
}

/// Resolves when a client does something while it is being answered.
pub async fn watch(session: &mut ServerSession) -> Client {
    let ServerSession::H1(session) = session else { return std::future::pending().await };
    match session.idle().await {
        Ok(0) | Err(_) => Client::Left,
        Ok(_) => Client::SentMore,
    }
}

/// Resolves when the client begins a request; `None` if it goes away, or stays idle for too long.
pub async fn begins(stream: &mut Stream, patience: Duration) -> Option<()> {
    // The byte stays in the stream.
    let first = tokio::time::timeout(patience, stream.try_peek(&mut [0])).await;
    first.ok()?.ok().map(|_| ())
}

/// Resolves when the service is ending.
pub async fn ended(shutdown: &mut ShutdownWatch) {
    let _ = shutdown.wait_for(|ending| *ending).await;
}
