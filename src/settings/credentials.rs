//! Where access keys for signing come from: `[upstream.credentials]`, and those of callers.

use std::path::{Path, PathBuf};

use http::Uri;

use super::endpoint;
use crate::kms::is_account_id;
use crate::source::toml::Section;

/// Where an access key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// It stands in the settings, but for its secret.
    AccessKey {
        /// Its id.
        id: String,
        /// Where its secret is.
        secret: SecretPlace,
        /// Where its token is, if it is a session's.
        security_token: Option<SecretPlace>,
    },
    /// The environment, as the official SDKs read it.
    Environment,
    /// `~/.alibabacloud/credentials.ini`.
    CredentialsFile {
        /// Another file.
        path: Option<PathBuf>,
        /// Another profile than `default`.
        profile: Option<String>,
    },
    /// `~/.aliyun/config.json`, of Alibaba Cloud's command line.
    CliProfile {
        /// Another file.
        path: Option<PathBuf>,
        /// Another profile than the current one.
        profile: Option<String>,
    },
    /// A service that hands out sessions.
    Uri {
        /// Its address; `None` for that in `ALIBABA_CLOUD_CREDENTIALS_URI`.
        uri: Option<String>,
    },
    /// The RAM role of the ECS instance.
    EcsRamRole {
        /// Its name; `None` for whichever the instance has.
        role: Option<String>,
        /// Where the metadata service is; `None` for where it always is.
        endpoint: Option<String>,
    },
    /// A RAM role that trusts a token of an OIDC provider (RRSA).
    OidcRole {
        /// The role; `None` for that in the environment.
        role_arn: Option<String>,
        /// The provider; `None` for that in the environment.
        provider_arn: Option<String>,
        /// The file of the token; `None` for that in the environment.
        token_file: Option<PathBuf>,
        /// The name of the session; `None` for that in the environment.
        session_name: Option<String>,
        /// Where STS is; `None` for `https://sts.aliyuncs.com`.
        sts_endpoint: Option<String>,
        /// How long a session lasts.
        duration_seconds: u32,
    },
}

impl CredentialSource {
    /// What it is called in the settings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AccessKey { .. } => "access_key",
            Self::Environment => "environment",
            Self::CredentialsFile { .. } => "credentials_file",
            Self::CliProfile { .. } => "cli_profile",
            Self::Uri { .. } => "uri",
            Self::EcsRamRole { .. } => "ecs_ram_role",
            Self::OidcRole { .. } => "oidc_role",
        }
    }

    /// The files with secrets that only their owner may read, each with the setting that names it.
    pub fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        let Self::AccessKey { secret, security_token, .. } = self else { return Vec::new() };
        let places = [("secret_file", Some(secret)), ("security_token_file", security_token.as_ref())];
        let files = places.into_iter().filter_map(|(name, place)| match place? {
            SecretPlace::File(path) => Some((name, path.as_path())),
            SecretPlace::Environment(_) => None,
        });
        files.collect()
    }
}

/// Where a secret is. It never stands in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

/// Every source by its name.
const SOURCES: &[(&str, Read)] = &[
    ("access_key", access_key),
    ("environment", |_, _| Some(CredentialSource::Environment)),
    ("credentials_file", |section, folder| {
        Some(CredentialSource::CredentialsFile {
            path: path(section, "file", folder),
            profile: text(section, "profile"),
        })
    }),
    ("cli_profile", |section, folder| {
        Some(CredentialSource::CliProfile { path: path(section, "file", folder), profile: text(section, "profile") })
    }),
    ("uri", |section, _| Some(CredentialSource::Uri { uri: address(section, "uri") })),
    ("ecs_ram_role", |section, _| {
        Some(CredentialSource::EcsRamRole { role: text(section, "role"), endpoint: address(section, "endpoint") })
    }),
    ("oidc_role", oidc_role),
];

type Read = fn(&Section<'_>, &Path) -> Option<CredentialSource>;

pub(super) fn read(section: &Section<'_>, folder: &Path) -> Option<CredentialSource> {
    let names = || SOURCES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    section.require("source", &format!("where the access key comes from: {}", names()));
    let found = section.parsed("source", |given| {
        let found = SOURCES.iter().find(|(name, _)| *name == given);
        found.map(|(_, read)| *read).ok_or_else(|| format!("must be one of {}", names()))
    });
    let source = found.and_then(|read| read(section, folder));
    section.finish();
    source
}

fn access_key(section: &Section<'_>, folder: &Path) -> Option<CredentialSource> {
    section.require("id", "the id of the access key");
    let secret = place(section, "secret_file", "secret_env", folder);
    if secret.is_none() {
        section
            .problem("the secret of the access key is missing: name its file (secret_file) or variable (secret_env)");
    }
    let security_token = place(section, "security_token_file", "security_token_env", folder);
    Some(CredentialSource::AccessKey { id: text(section, "id")?, secret: secret?, security_token })
}

fn oidc_role(section: &Section<'_>, folder: &Path) -> Option<CredentialSource> {
    let duration = section.integer("duration_seconds", 900..43_201).and_then(|it| u32::try_from(it).ok());
    Some(CredentialSource::OidcRole {
        role_arn: arn(section, "role_arn", "role"),
        provider_arn: arn(section, "provider_arn", "oidc-provider"),
        token_file: path(section, "token_file", folder),
        session_name: text(section, "session_name"),
        sts_endpoint: section.parsed("sts_endpoint", sts_endpoint),
        duration_seconds: duration.unwrap_or(3600),
    })
}

fn place(section: &Section<'_>, file: &'static str, variable: &'static str, folder: &Path) -> Option<SecretPlace> {
    let (file, variable) = (path(section, file, folder), text(section, variable));
    if file.is_some() && variable.is_some() {
        section.problem("a secret is in a file or in a variable, not in both");
    }
    file.map(SecretPlace::File).or(variable.map(SecretPlace::Environment))
}

/// The URL of something close. It may hold a token, and is not told.
fn address(section: &Section<'_>, name: &'static str) -> Option<String> {
    section.parsed(name, |text| {
        let uri = text.parse::<Uri>().ok();
        let is_url = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
        if is_url { Ok(text.to_owned()) } else { Err("must be a URL such as \"http://127.0.0.1:8080/path\"") }
    })
}

/// The token of a workload goes there: only over TLS, or to this machine.
fn sts_endpoint(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    endpoint::parse(&url).map(|_| text.to_owned())
}

/// `acs:ram::ACCOUNT:KIND/NAME`.
fn arn(section: &Section<'_>, name: &'static str, kind: &str) -> Option<String> {
    section.parsed(name, |text| {
        let parts = text.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(':'));
        let named = parts.filter(|(account, _)| is_account_id(account));
        let named = named.and_then(|(_, rest)| rest.strip_prefix(kind)?.strip_prefix('/'));
        match named {
            Some(named) if !named.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("must be an ARN such as \"acs:ram::1234567890123456:{kind}/NAME\"")),
        }
    })
}

fn text(section: &Section<'_>, name: &'static str) -> Option<String> {
    section.string(name).map(str::to_owned)
}

fn path(section: &Section<'_>, name: &'static str, folder: &Path) -> Option<PathBuf> {
    section.string(name).map(|path| folder.join(path))
}
