//! The key of role sessions: made once, kept in the data folder, for its owner only. Without it old tokens are nobody's.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::cipher::{CipherError, random_bytes};
use super::execution::internal_failure;
use super::storage::OpenError;
use crate::authn::{SESSION_NONCE_BYTES, Session, SessionCredentials, SessionKey};
use crate::authz::Snapshot;
use crate::kms::KmsError;
use crate::store::read_or_make;

/// The name of the file in the data folder: 64 hexadecimal digits.
const FILE: &str = "session.key";

/// Reads the key in the data folder, or makes it.
///
/// # Errors
/// The file cannot be used, or there is no randomness.
pub fn open(folder: &Path) -> Result<SessionKey, OpenError> {
    let path = folder.join(FILE);
    let make = || random_bytes(32).map(|bytes| HEXLOWER.encode(&bytes)).map_err(|error| error.to_string());
    let wrong = |what: String| OpenError::SessionKey { path: path.clone(), what };
    let text = read_or_make(&path, make).map_err(&wrong)?;
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.map(zeroize::Zeroizing::new).ok_or_else(|| wrong("is no key".to_owned()))?;
    Ok(SessionKey::new(&bytes))
}

/// The key in the data folder, where a KMS made one.
///
/// # Errors
/// The file cannot be used.
pub fn existing(folder: &Path) -> Result<Option<SessionKey>, OpenError> {
    if folder.join(FILE).exists() { open(folder).map(Some) } else { Ok(None) }
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
