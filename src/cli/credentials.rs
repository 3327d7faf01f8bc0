//! With which access key `keyward call` signs: a caller of the directory, a profile of Alibaba Cloud's own command
//! line, or a key that is given.

#![expect(clippy::disallowed_methods, reason = "access keys are in the environment")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;
use serde::Deserialize;

use crate::settings::{Settings, read_text};
use crate::store::read_directory;

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
            "nobody known as `{name}` has an active access key in {}",
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

/// The part of `~/.aliyun/config.json` that is used.
#[derive(Deserialize)]
struct CliConfig {
    profiles: Vec<CliProfile>,
}

#[derive(Deserialize)]
struct CliProfile {
    name: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    access_key_secret: String,
    #[serde(default)]
    sts_token: String,
}

/// The access key of a profile of Alibaba Cloud's command line.
///
/// # Errors
/// There is no such profile, or it holds no access key.
pub fn of_profile(name: &str) -> Result<AccessKey> {
    let home = std::env::var("HOME").context("HOME is not set, so ~/.aliyun/config.json cannot be found")?;
    let path = PathBuf::from(home).join(".aliyun/config.json");
    let text = read_text(&path).map_err(|why| anyhow::anyhow!("{} {why}", path.display()))?;
    profile_in(&text, name).with_context(|| format!("in {}", path.display()))
}

fn profile_in(text: &str, name: &str) -> Result<AccessKey> {
    let config: CliConfig = serde_json::from_str(text).context("not a configuration of the aliyun command line")?;
    let Some(profile) = config.profiles.iter().find(|profile| profile.name == name) else {
        let known: Vec<&str> = config.profiles.iter().map(|profile| profile.name.as_str()).collect();
        bail!("there is no profile `{name}`; there are: {}", known.join(", "));
    };
    if profile.access_key_id.is_empty() || profile.access_key_secret.is_empty() {
        bail!("profile `{name}` holds no access key");
    }
    let secret = profile.access_key_secret.clone().into();
    let security_token = Some(profile.sts_token.clone()).filter(|token| !token.is_empty());
    Ok(AccessKey { id: profile.access_key_id.clone(), secret, security_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_give_their_access_key() {
        let text = r#"{"current":"a","profiles":[{"name":"a","mode":"AK","access_key_id":"I","access_key_secret":"S"},
            {"name":"b","mode":"StsToken","access_key_id":"I","access_key_secret":"S","sts_token":"T"},
            {"name":"c","mode":"EcsRamRole"}]}"#;
        assert_eq!(profile_in(text, "a").unwrap().id, "I");
        assert_eq!(profile_in(text, "b").unwrap().security_token.as_deref(), Some("T"));
        assert!(profile_in(text, "c").err().unwrap().to_string().contains("no access key"));
        assert!(profile_in(text, "d").err().unwrap().to_string().contains("there are: a, b, c"));
    }
}
