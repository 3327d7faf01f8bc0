//! Role sessions: temporary access keys that carry everything about themselves in their token.
//!
//! A token is encrypted and authenticated with a key that only we have, and the temporary secret is derived from it, so
//! no session is stored anywhere: it survives a restart, and ends when its token says so.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use data_encoding::{BASE32_NOPAD, BASE64};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What every token begins with: the tokens of STS begin with the letters `CAIS` too.
const HEADER: [u8; 3] = [0x08, 0x02, 0x12];

/// Bytes of randomness in a token.
pub const SESSION_NONCE_BYTES: usize = 12;

/// The longest token that is looked at, in bytes. A session policy of 2,048 characters fits in well.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The account of the role.
    #[serde(rename = "a")]
    pub account: String,
    /// The role's name, in lower case.
    #[serde(rename = "r")]
    pub role: String,
    /// The session's name.
    #[serde(rename = "s")]
    pub name: String,
    /// Until when it is good.
    #[serde(rename = "e")]
    pub expires: Timestamp,
    /// The ARN of who began it, a session's being its role's; empty if it was handed out without being asked for.
    #[serde(rename = "b", default)]
    pub begun_by: String,
    /// The text of the policy that narrows it.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// The credentials of a session.
pub struct SessionCredentials {
    /// The temporary AccessKey ID, `STS.…`.
    pub access_key_id: String,
    /// The temporary AccessKey Secret.
    pub secret: SecretString,
    /// The token that goes with every request.
    pub security_token: String,
}

/// The key that makes and opens the tokens of sessions.
pub struct SessionKey {
    cipher: Aes256Gcm,
    derive: Zeroizing<[u8; 32]>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOurs;

impl SessionKey {
    /// The key made of this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let cipher_key = prf(secret, &[b"token"]);
        Self { cipher: Aes256Gcm::new((&*cipher_key).into()), derive: prf(secret, &[b"secret"]) }
    }

    /// The credentials of a session. `nonce` is random, and never used twice.
    ///
    /// # Errors
    /// The session cannot be written; its texts are too long.
    pub fn seal(&self, session: &Session, nonce: [u8; SESSION_NONCE_BYTES]) -> Result<SessionCredentials, NotOurs> {
        let text = Zeroizing::new(serde_json::to_vec(session).map_err(|_| NotOurs)?);
        let payload = Payload { msg: &text, aad: &HEADER };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| NotOurs)?;
        let security_token = BASE64.encode(&[&HEADER[..], &nonce, &sealed].concat());
        if security_token.len() > TOKEN_BYTES_MAX {
            return Err(NotOurs);
        }
        let access_key_id = self.access_key_id(&nonce);
        Ok(SessionCredentials { secret: self.secret(&nonce), access_key_id, security_token })
    }

    /// The session of a token, with the credentials it was made for.
    ///
    /// # Errors
    /// We did not make this token, or somebody changed it.
    pub fn open(&self, token: &str) -> Result<(Session, SessionCredentials), NotOurs> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(NotOurs);
        }
        let bytes = BASE64.decode(token.as_bytes()).map_err(|_| NotOurs)?;
        let rest = bytes.strip_prefix(&HEADER).ok_or(NotOurs)?;
        let (nonce, sealed) = rest.split_first_chunk::<SESSION_NONCE_BYTES>().ok_or(NotOurs)?;
        let payload = Payload { msg: sealed, aad: &HEADER };
        let text = Zeroizing::new(self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| NotOurs)?);
        let session = serde_json::from_slice(&text).map_err(|_| NotOurs)?;
        let credentials = SessionCredentials {
            access_key_id: self.access_key_id(nonce),
            secret: self.secret(nonce),
            security_token: token.to_owned(),
        };
        Ok((session, credentials))
    }

    fn access_key_id(&self, nonce: &[u8]) -> String {
        let id = prf(&self.derive, &[b"id", nonce]);
        format!("STS.{}", BASE32_NOPAD.encode(id.first_chunk::<15>().map_or(&[], |chunk| &chunk[..])))
    }

    fn secret(&self, nonce: &[u8]) -> SecretString {
        BASE32_NOPAD.encode(&*prf(&self.derive, &[b"key", nonce])).into()
    }
}

#[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
fn prf(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Nothing of it.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn session() -> Session {
        Session {
            account: "1".into(),
            role: "app".into(),
            name: "s1".into(),
            expires: "2026-01-02T03:04:05Z".parse().unwrap(),
            begun_by: "acs:ram::1:user/alice".into(),
            policy: Some("{}".into()),
        }
    }

    #[test]
    fn a_token_holds_its_session_and_its_secret() {
        let made = SessionKey::new(&[7; 32]).seal(&session(), [1; 12]).unwrap();
        assert!(made.security_token.starts_with("CAIS") && made.access_key_id.starts_with("STS."));
        // Another process with the same secret.
        let (opened, credentials) = SessionKey::new(&[7; 32]).open(&made.security_token).unwrap();
        assert_eq!(opened, session());
        assert_eq!(credentials.access_key_id, made.access_key_id);
        assert_eq!(credentials.secret.expose_secret(), made.secret.expose_secret());
        assert!(SessionKey::new(&[8; 32]).open(&made.security_token).is_err());
    }

    #[test]
    fn two_sessions_share_nothing() {
        let key = SessionKey::new(&[7; 32]);
        let (one, other) = (key.seal(&session(), [1; 12]).unwrap(), key.seal(&session(), [2; 12]).unwrap());
        assert_ne!(one.access_key_id, other.access_key_id);
        assert_ne!(one.secret.expose_secret(), other.secret.expose_secret());
        assert_ne!(one.security_token, other.security_token);
    }

    proptest! {
        /// G11: truncated, extended or changed, a token is nobody's.
        #[test]
        fn a_changed_token_is_not_taken(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
            let key = SessionKey::new(&[7; 32]);
            let mut bytes = BASE64.decode(key.seal(&session(), [1; 12]).unwrap().security_token.as_bytes()).unwrap();
            let index = at.index(bytes.len());
            if cut { bytes.truncate(index) } else { bytes[index] ^= 1 << bit }
            prop_assert!(key.open(&BASE64.encode(&bytes)).is_err());
        }
    }
}
