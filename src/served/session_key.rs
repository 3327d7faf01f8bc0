//! The key of role sessions: made once, kept in the data folder, for its owner only. Without it old tokens are nobody's.

use std::path::Path;

use super::cipher::{CipherError, random_bytes};
use super::execution::internal_failure;
use super::key_file;
use super::storage::OpenError;
use crate::authn::{SESSION_NONCE_BYTES, Session, SessionCredentials, SessionKey};
use crate::authz::Snapshot;
use crate::kms::KmsError;

/// The name of the file in the data folder.
const FILE: &str = "session.key";

/// Reads the key in the data folder, or makes it.
///
/// # Errors
/// The file cannot be used, or there is no randomness.
pub fn open(folder: &Path) -> Result<SessionKey, OpenError> {
    let path = folder.join(FILE);
    let secret = key_file::read_or_make(&path).map_err(|what| OpenError::SessionKey { path, what })?;
    Ok(SessionKey::new(&secret))
}

/// A key that ends with the process.
///
/// # Errors
/// There is no randomness.
pub fn ephemeral() -> Result<SessionKey, OpenError> {
    Ok(SessionKey::new(&*key_file::generate()?))
}

/// The key in the data folder, where a KMS made one.
///
/// # Errors
/// The file cannot be used.
pub fn existing(folder: &Path) -> Result<Option<SessionKey>, OpenError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let secret = key_file::read(&path).map_err(|what| OpenError::SessionKey { path, what })?;
    Ok(Some(SessionKey::new(&secret)))
}

/// Begins a session.
///
/// # Errors
/// There is no randomness, or no key; no request can cause either.
pub fn begin(snapshot: &Snapshot, session: &Session) -> Result<SessionCredentials, KmsError> {
    let key = snapshot.sessions.as_ref().ok_or_else(|| internal_failure("there is no key for sessions"))?;
    let nonce = random_bytes(SESSION_NONCE_BYTES)?;
    let nonce = nonce.first_chunk().copied().ok_or(CipherError::Refused)?;
    key.seal(session, nonce).map_err(|_| internal_failure("a session cannot be sealed"))
}
