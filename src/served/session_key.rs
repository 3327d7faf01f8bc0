//! The key of role sessions: made once, kept in the data folder, for its owner only. Without it old tokens are nobody's.

use std::path::{Path, PathBuf};

use super::{internal_failure, key_file};
use crate::authn::{SESSION_NONCE_BYTES, Session, SessionCredentials, SessionKey};
use crate::authz::Snapshot;
use crate::kms::KmsError;

/// The name of the file in the data folder.
const FILE: &str = "session.key";

/// Why there is no key of role sessions.
#[derive(Debug, thiserror::Error)]
#[error("the key of role sessions `{}` {what}", path.display())]
pub struct SessionKeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// Reads the key in the data folder, or makes it.
///
/// # Errors
/// The file cannot be used, or there is no randomness.
pub fn open(folder: &Path) -> Result<SessionKey, SessionKeyError> {
    let path = folder.join(FILE);
    let secret = key_file::read_or_make(&path).map_err(|what| SessionKeyError { path, what })?;
    Ok(SessionKey::new(&secret))
}

/// A key that ends with the process.
///
/// # Errors
/// There is no randomness.
pub fn ephemeral() -> Result<SessionKey, SessionKeyError> {
    let secret = key_file::generate().map_err(|what| SessionKeyError { path: PathBuf::new(), what })?;
    Ok(SessionKey::new(&secret))
}

/// The key in the data folder, where a KMS made one.
///
/// # Errors
/// The file cannot be used.
pub fn existing(folder: &Path) -> Result<Option<SessionKey>, SessionKeyError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let secret = key_file::read(&path).map_err(|what| SessionKeyError { path, what })?;
    Ok(Some(SessionKey::new(&secret)))
}

/// Begins a session.
///
/// # Errors
/// There is no randomness, or no key; no request can cause either.
pub fn begin(snapshot: &Snapshot, session: &Session) -> Result<SessionCredentials, KmsError> {
    let key = snapshot.sessions.as_ref().ok_or_else(|| internal_failure("there is no key for sessions"))?;
    let mut nonce = [0; SESSION_NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(internal_failure)?;
    key.seal(session, nonce).map_err(|_| internal_failure("a session cannot be sealed"))
}
