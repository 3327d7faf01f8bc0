//! With which access key `keyward call` signs: a caller of the directory, a profile of Alibaba Cloud's own command
//! line, or a key that is given.

#![expect(clippy::disallowed_methods, reason = "access keys are in the environment")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use secrecy::{ExposeSecret, SecretString};

use crate::settings::{Settings, read_text};
use crate::store::read_directory;
use crate::upstream::{Profile, cli_profile_in};

/// An access key.
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// The token that goes with it, if it is a session's.
    pub security_token: Option<String>,
}

/// The first access key of the caller known as `name` in the directory that the settings name.
///
/// # Errors
/// Settings or directory cannot be read; nobody, or more than one, is known by that name.
pub fn of_caller(name: &str, config: &Path) -> Result<AccessKey> {
    let listed = |problems: Vec<crate::source::Problem>| {
        anyhow::anyhow!(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let settings = Settings::load(config).map_err(listed)?;
    let directory = read_directory(&settings.policies.identities).map_err(listed)?;
    let keys = directory.access_keys_of(name);
    let Some((id, secret, holder)) = keys.first() else {
        bail!(
            "nobody known as `{name}` has an active access key with its secret in {}",
            crate::source::shown(&settings.policies.identities)
        );
    };
    if let Some((.., other)) = keys.iter().find(|(.., other)| other.principal != holder.principal) {
        let arn = &other.principal;
        bail!("`{name}` is known in several accounts; write ACCOUNT/{name}, or a whole ARN such as {arn}");
    }
    Ok(AccessKey { id: (*id).to_owned(), secret: (*secret).clone(), security_token: None })
}

/// The token of the session that the environment names, as the official SDKs read it.
pub fn token_in_environment() -> Option<String> {
    std::env::var("ALIBABA_CLOUD_SECURITY_TOKEN").ok().filter(|token| !token.is_empty())
}

/// The id of the access key that the environment names, as the official SDKs read it.
pub fn id_in_environment() -> Option<String> {
    std::env::var("ALIBABA_CLOUD_ACCESS_KEY_ID").ok().filter(|id| !id.is_empty())
}

/// The access key of a profile of Alibaba Cloud's command line.
///
/// # Errors
/// There is no such profile, or it holds no access key.
pub fn of_profile(name: &str) -> Result<AccessKey> {
    let home = std::env::var("HOME").context("HOME is not set, so ~/.aliyun/config.json cannot be found")?;
    let path = PathBuf::from(home).join(".aliyun/config.json");
    let text = read_text(&path).map_err(|why| anyhow::anyhow!("{} {why}", path.display()))?;
    match cli_profile_in(&text, Some(name)) {
        Ok(Profile::Key(key)) => Ok(AccessKey {
            id: key.access_key_id,
            secret: key.secret,
            security_token: key.security_token.map(|token| token.expose_secret().to_owned()),
        }),
        Ok(Profile::Elsewhere(_)) => bail!("profile `{name}` in {} holds no access key", path.display()),
        Err(why) => bail!("{} {why}", path.display()),
    }
}
