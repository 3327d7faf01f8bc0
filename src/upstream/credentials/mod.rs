//! The access key that signs requests to KMS anew, from the sources that Alibaba Cloud's own SDKs read.
//!
//! A secret must never get into an error, a log or `Debug`. So errors name files, variables and endpoints, and quote
//! nothing that was read from them: not the text of an answer, not the rest of an address, which may hold a token.

mod answer;
mod cli_profile;
mod credentials_file;
mod ecs;
#[cfg(test)]
mod fake;
mod given;
mod http;
mod keeper;
mod oidc;
mod schedule;
mod uri;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::settings::{CredentialSource, open_text, read_bounded};

pub use cli_profile::profile_in as cli_profile_in;
pub use keeper::{Keeper, Report};

/// How long a connection, and then an answer, is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The largest file and the largest answer that is read, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// An access key that signs requests to KMS.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret: SecretString,
    /// The token that goes with it, if it is a session's.
    pub security_token: Option<SecretString>,
    /// When it expires, if that is known.
    pub expires: Option<Timestamp>,
}

impl Credential {
    /// # Errors
    /// A fragment: a part is empty, or holds what cannot be in a header.
    fn new(
        id: String,
        secret: SecretString,
        token: Option<SecretString>,
        expires: Option<Timestamp>,
    ) -> Result<Self, String> {
        let parts = [
            ("access key id", Some(id.as_str())),
            ("access key secret", Some(secret.expose_secret())),
            ("security token", token.as_ref().map(ExposeSecret::expose_secret)),
        ];
        for (what, text) in parts {
            match text {
                Some("") => return Err(format!("the {what} is empty")),
                Some(text) if !is_plain(text) => {
                    return Err(format!(
                        "the {what} holds a character that none can have (a space, a newline, a quote?)"
                    ));
                }
                _ => {}
            }
        }
        Ok(Self { access_key_id: id, secret, security_token: token, expires })
    }

    /// Whether it is of use at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// Whether a text may be part of a header, and of a path too.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\''))
}

/// What a profile says: an access key, or from which other source it comes. That is never a file again.
#[derive(Debug)]
pub enum Profile {
    /// It holds the access key.
    Key(Credential),
    /// It names the source that gives one.
    Elsewhere(CredentialSource),
}

/// What sources see of this process and of its machine.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The home folder.
    pub home: Option<&'a Path>,
    /// How long a connection, and then an answer, is waited for: [`PATIENCE`].
    pub patience: Duration,
}

impl Surroundings<'_> {
    /// The value of a variable. An empty one counts as unset, as with the SDKs.
    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Whether a variable says `true`, as the SDKs read it.
    fn says(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// What is set, or else the value of the variable.
    fn set_or(&self, set: Option<&str>, variable: &str) -> Option<String> {
        set.map(str::to_owned).or_else(|| self.variable(variable))
    }

    fn in_home(&self, path: &str) -> Result<PathBuf, String> {
        self.home.map(|home| home.join(path)).ok_or_else(|| format!("HOME is not set, so ~/{path} cannot be found"))
    }
}

/// Fetches from a source; waits for it.
///
/// # Errors
/// A fragment for the operator, which names the file, the variable or the endpoint and holds no secret.
pub fn fetch(source: &CredentialSource, surroundings: &Surroundings<'_>, now: Timestamp) -> Result<Credential, String> {
    let profile = match source {
        CredentialSource::AccessKey { id, secret, security_token } => {
            return given::of_settings(id, secret, security_token.as_ref(), surroundings);
        }
        CredentialSource::Environment => return given::of_environment(surroundings),
        CredentialSource::Uri { uri } => return uri::fetch(uri.as_deref(), surroundings, now),
        CredentialSource::EcsRamRole { role, endpoint } => {
            return ecs::fetch(role.as_deref(), endpoint.as_deref(), surroundings, now);
        }
        CredentialSource::OidcRole { .. } => return oidc::fetch(source, surroundings, now),
        CredentialSource::CredentialsFile { path, profile } => {
            credentials_file::read(path.as_deref(), profile.as_deref(), surroundings)?
        }
        CredentialSource::CliProfile { path, profile } => {
            cli_profile::read(path.as_deref(), profile.as_deref(), surroundings)?
        }
    };
    match profile {
        Profile::Key(credential) => Ok(credential),
        Profile::Elsewhere(source) => fetch(&source, surroundings, now),
    }
}

/// The text of a small file.
fn read_small(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = open_text(path).and_then(|(file, _)| read_bounded(file, BYTES_MAX));
    text.map(Zeroizing::new).map_err(|why| format!("{} {why}", path.display()))
}

/// Says in which file something is wrong.
fn in_file(path: &Path) -> impl Fn(String) -> String {
    move |why| format!("{}: {why}", path.display())
}

/// `a, b, c`, for errors that say what there is.
fn listed<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
