//! Short-lived credentials for one workload: sessions of its role, in the shape that the official SDKs read from
//! `ALIBABA_CLOUD_CREDENTIALS_URI`. The application then holds no lasting secret.
//!
//! Whoever gets here speaks for the workload, so there is a guard: on loopback a token that is part of the address, at a
//! Unix socket the user id of the process. What went through a proxy, or was sent by a browser, is refused in any case: a
//! vulnerable application could be made to send it on.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Response};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use prometheus::IntCounterVec;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Page, is_own_address, now};
use crate::authn::Session;
use crate::kms::{is_foreign, role_arn};
use crate::served::begin_session;
use crate::settings::{self, CredentialsDoor};
use crate::store::{Store, read_or_make, read_private};

/// Where they are.
const PATH: &str = "/credentials";

/// The shortest token that is taken, in characters.
const TOKEN_CHARS_MIN: usize = 16;

/// The application that hands out credentials.
pub struct Vending {
    store: Arc<Store>,
    settings: settings::Credentials,
    /// Where it listens, if that is on loopback.
    address: Option<SocketAddr>,
    vended: IntCounterVec,
}

impl Vending {
    /// Hands out sessions of the role in the settings. On loopback, a token is made where there is none.
    ///
    /// # Errors
    /// A sentence: the token cannot be read or made, others may read it, or it is too weak.
    pub fn new(
        store: Arc<Store>,
        settings: settings::Credentials,
        address: Option<SocketAddr>,
        vended: IntCounterVec,
    ) -> Result<Self, String> {
        if let CredentialsDoor::Loopback(_, path) = &settings.at {
            let made = || Ok([Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string()).concat());
            let token = read_or_make(path, made).map_err(|why| format!("{} {why}", path.display()))?;
            check_token(&token).map_err(|why| format!("{} {why}", path.display()))?;
        }
        let (account, role) = &settings.role;
        let arn = role_arn(account, role);
        match store.current().directory.role(account, role) {
            None => tracing::warn!(role = arn, "credentials.role is not in the directory"),
            Some((_, found)) if u64::from(found.max_session_seconds) < settings.duration.as_secs() => {
                let seconds = found.max_session_seconds;
                tracing::warn!(
                    role = arn,
                    seconds,
                    "credentials.duration_seconds is more than the role's sessions last"
                );
            }
            Some(_) => {}
        }
        Ok(Self { store, settings, address, vended })
    }

    /// Whether this user's processes may have them; of no one it is asked on loopback.
    pub fn admits(&self, uid: Option<u32>) -> bool {
        match &self.settings.at {
            CredentialsDoor::Loopback(..) => true,
            CredentialsDoor::Socket(_, users) => uid.is_some_and(|uid| users.contains(&uid)),
        }
    }

    fn page(&self, method: &str, path: &str, headers: &HeaderMap) -> Page {
        let (result, page) = match self.refusal(method, path, headers) {
            Some((result, status, why)) => (result, Page::text(status, why)),
            None => match self.credentials() {
                Ok(page) => ("vended", page),
                Err(why) => {
                    tracing::error!(%why, "no credentials are handed out");
                    ("failed", Page::text(503, "there are no credentials at the moment; Keyward's log says why\n"))
                }
            },
        };
        self.vended.with_label_values(&[result]).inc();
        page
    }

    /// Why this request gets nothing, if it does.
    fn refusal(&self, method: &str, path: &str, headers: &HeaderMap) -> Option<(&'static str, u16, &'static str)> {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        if is_foreign(headers) {
            return Some(("forwarded", 403, "credentials are not handed through proxies or to browsers\n"));
        }
        if self.address.is_some_and(|address| !is_own_address(host, address)) {
            return Some(("wrong_host", 421, "credentials are handed out under this address only\n"));
        }
        if method != "GET" {
            return Some(("wrong_method", 405, "only GET is served here\n"));
        }
        let token = match path.strip_prefix(PATH) {
            Some("") => "",
            Some(rest) => rest.strip_prefix('/').unwrap_or_default(),
            None => return Some(("wrong_path", 404, "credentials are at /credentials/TOKEN\n")),
        };
        match &self.settings.at {
            CredentialsDoor::Socket(..) => None,
            CredentialsDoor::Loopback(_, file) => match is_token(file, token) {
                Ok(true) => None,
                Ok(false) => {
                    Some(("wrong_token", 403, "the token in the address is not the one in credentials.token_file\n"))
                }
                Err(why) => {
                    tracing::error!(file = %file.display(), %why, "the token of credentials cannot be used");
                    Some(("failed", 503, "there are no credentials at the moment; Keyward's log says why\n"))
                }
            },
        }
    }

    fn credentials(&self) -> Result<Page, String> {
        let (account, role) = &self.settings.role;
        let snapshot = self.store.current();
        let Some((_, found)) = snapshot.directory.role(account, role) else {
            return Err(format!("role {} (credentials.role) is not in the directory", role_arn(account, role)));
        };
        let longest = i64::from(found.max_session_seconds);
        let seconds = i64::try_from(self.settings.duration.as_secs()).unwrap_or(longest).min(longest);
        let expires = jiff::Timestamp::from_second(now().as_second().saturating_add(seconds));
        let session = Session {
            account: account.clone(),
            role: role.clone(),
            name: self.settings.session_name.clone(),
            expires: expires.map_err(|error| error.to_string())?,
            begun_by: String::new(),
            policy: None,
        };
        let credentials = begin_session(&snapshot, &session).map_err(|error| error.message)?;
        let body = json!({
            "Code": "Success",
            "AccessKeyId": credentials.access_key_id,
            "AccessKeySecret": credentials.secret.expose_secret(),
            "SecurityToken": credentials.security_token,
            "Expiration": session.expires.to_string(),
        });
        Ok(Page { status: 200, content_type: "application/json", body: body.to_string().into_bytes() })
    }
}

/// Read anew each time, so that a token that is replaced is in force at once. Hashes are compared, in constant time:
/// nothing is learned of the token, not even its length.
///
/// # Errors
/// A fragment: the one in the file cannot be used.
fn is_token(file: &Path, given: &str) -> Result<bool, String> {
    let token = read_private(file)?;
    check_token(&token)?;
    Ok(Sha256::digest(given).ct_eq(&Sha256::digest(token.as_bytes())).into())
}

/// A token that can be guessed guards nothing.
fn check_token(token: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut letters: Vec<char> = token.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if token.len() < TOKEN_CHARS_MIN || !token.bytes().all(legal) || letters.len() < 6 {
        return Err(format!(
            "holds a token that is too weak; it has at least {TOKEN_CHARS_MIN} letters, digits, - _ . or ~ that nobody \
             guesses (remove the file, and one is made)"
        ));
    }
    Ok(())
}

#[async_trait]
impl ServeHttp for Vending {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        self.page(head.method.as_str(), head.uri.path(), &head.headers).into_response(true)
    }
}

#[cfg(test)]
mod tests;
