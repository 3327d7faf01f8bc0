//! The memory of requests at the beginning.

use super::now;
use crate::authn::{Remembered, ReplayMemory};

/// The memory of requests that serving begins with: what a predecessor handed over, or none.
///
/// # Errors
/// There is no randomness.
pub fn of(nonces: usize, handed_over: Option<&[u8]>) -> Result<Option<ReplayMemory>, String> {
    if nonces == 0 {
        return Ok(None);
    }
    match handed_over.map(serde_json::from_slice::<Option<Remembered>>) {
        Some(Ok(Some(remembered))) => return Ok(Some(ReplayMemory::taken_over(nonces, remembered))),
        // Then it is as at any other start: what was signed before is refused.
        Some(Err(error)) => tracing::error!(%error, "what was handed over cannot be read"),
        Some(Ok(None)) | None => {}
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|_| "the operating system gives no random bytes")?;
    Ok(Some(ReplayMemory::new(nonces, now(), key)))
}
