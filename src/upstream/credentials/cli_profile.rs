//! The profiles of Alibaba Cloud's command line: `~/.aliyun/config.json`, or where `ALIBABA_CLOUD_CONFIG_FILE` says.
//!
//! Must never write the file, and never run the command that a profile may name. Must never quote it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::oidc::endpoint_in;
use super::{Credential, Profile, Surroundings, in_file, listed, read_small};
use crate::settings::CredentialSource;

const FILE: &str = "ALIBABA_CLOUD_CONFIG_FILE";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
const DISABLED: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";

const MODES: &str = "AK, StsToken, EcsRamRole, OIDC and CredentialsURI";

/// How long a session lasts where the profile does not say it, in seconds.
const SESSION_SECONDS: u32 = 3600;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    current: Option<String>,
    #[serde(default)]
    profiles: Vec<Entry>,
}

/// The members of a profile that are used. An empty one counts as none.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    sts_token: Option<String>,
    sts_region: Option<String>,
    sts_endpoint: Option<String>,
    enable_vpc: Option<bool>,
    ram_role_name: Option<String>,
    ram_role_arn: Option<String>,
    ram_session_name: Option<String>,
    expired_seconds: Option<u32>,
    credentials_uri: Option<String>,
    oidc_provider_arn: Option<String>,
    oidc_token_file: Option<String>,
}

/// The profile in this file, or in the usual one.
///
/// # Errors
/// A fragment: profiles are switched off, the file cannot be read, or has no such profile.
pub fn read(path: Option<&Path>, profile: Option<&str>, surroundings: &Surroundings<'_>) -> Result<Profile, String> {
    if surroundings.says(DISABLED) {
        return Err(format!("profiles of the command line are not read: {DISABLED} is true"));
    }
    let named = path.map(Path::to_owned).or_else(|| surroundings.variable(FILE).map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None => surroundings.in_home(".aliyun/config.json")?,
    };
    let name = surroundings.set_or(profile, PROFILE);
    profile_in(&read_small(&path)?, name.as_deref()).map_err(in_file(&path))
}

/// The profile of this name in the text of the file, or else its current one.
///
/// # Errors
/// A fragment: there is none, or its mode is not one that is known here.
pub fn profile_in(text: &str, name: Option<&str>) -> Result<Profile, String> {
    let config: Config = serde_json::from_str(text)
        .map_err(|error| format!("line {} is not as in a configuration of the aliyun command line", error.line()))?;
    let current = config.current.as_deref().filter(|current| !current.is_empty());
    let name = name.or(current).unwrap_or("default");
    match config.profiles.iter().find(|profile| profile.name == name) {
        Some(profile) => profile.read(),
        None => {
            let known = listed(config.profiles.iter().map(|profile| &profile.name));
            Err(format!("there is no profile `{name}`; there are: {known}"))
        }
    }
}

impl Entry {
    fn read(&self) -> Result<Profile, String> {
        let source = match self.mode() {
            "AK" => return self.key(None).map(Profile::Key),
            "StsToken" => return self.key(Some(self.needed(&self.sts_token, "sts_token")?)).map(Profile::Key),
            "EcsRamRole" => CredentialSource::EcsRamRole { role: set(&self.ram_role_name), endpoint: None },
            "CredentialsURI" => CredentialSource::Uri { uri: set(&self.credentials_uri) },
            "OIDC" => self.oidc()?,
            "" => return Err(format!("profile `{}` holds no access key and has no mode", self.name)),
            other => {
                return Err(format!("profile `{}` has the mode `{other}`; known here are {MODES}", self.name));
            }
        };
        Ok(Profile::Elsewhere(source))
    }

    /// Its mode. Where none is written, the command line takes it from what is there.
    fn mode(&self) -> &str {
        let has_key = set(&self.access_key_id).is_some() && set(&self.access_key_secret).is_some();
        match self.mode.as_deref() {
            Some(mode) if !mode.is_empty() => mode,
            _ if has_key && set(&self.sts_token).is_some() => "StsToken",
            _ if has_key && set(&self.ram_role_arn).is_some() => "RamRoleArn",
            _ if has_key => "AK",
            _ => "",
        }
    }

    fn oidc(&self) -> Result<CredentialSource, String> {
        let is_vpc = self.enable_vpc.unwrap_or_default();
        let of_region = |region: String| {
            endpoint_in(&region, is_vpc).ok_or_else(|| format!("sts_region of profile `{}` is no region", self.name))
        };
        let of_region = set(&self.sts_region).map(of_region).transpose()?;
        Ok(CredentialSource::OidcRole {
            role_arn: set(&self.ram_role_arn),
            provider_arn: set(&self.oidc_provider_arn),
            token_file: set(&self.oidc_token_file).map(PathBuf::from),
            session_name: set(&self.ram_session_name),
            sts_endpoint: set(&self.sts_endpoint).or(of_region),
            duration_seconds: self.expired_seconds.filter(|seconds| *seconds > 0).unwrap_or(SESSION_SECONDS),
        })
    }

    fn needed(&self, value: &Option<String>, name: &str) -> Result<String, String> {
        set(value).ok_or_else(|| format!("profile `{}` has no {name}", self.name))
    }

    fn key(&self, token: Option<String>) -> Result<Credential, String> {
        let id = self.needed(&self.access_key_id, "access_key_id")?;
        let secret = self.needed(&self.access_key_secret, "access_key_secret")?;
        let credential = Credential::new(id, secret.into(), token.map(Into::into), None);
        credential.map_err(|why| format!("{why}, in profile `{}`", self.name))
    }
}

fn set(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use std::fs;

    use super::super::fake::{Answer, Env, Fake, GOOD, parts};
    use super::super::fetch;
    use super::*;

    const TEXT: &str = r#"{"current":"sts","profiles":[
        {"name":"default","mode":"AK","access_key_id":"I","access_key_secret":"S","sts_token":"stray","region_id":"r"},
        {"name":"sts","mode":"StsToken","access_key_id":"I","access_key_secret":"S","sts_token":"T"},
        {"name":"old","access_key_id":"I","access_key_secret":"S"},
        {"name":"old-sts","mode":"","access_key_id":"I","access_key_secret":"S","sts_token":"T"},
        {"name":"old-role","access_key_id":"I","access_key_secret":"S","ram_role_arn":"a"},
        {"name":"ecs","mode":"EcsRamRole","ram_role_name":"r"},
        {"name":"ecs-any","mode":"EcsRamRole","ram_role_name":""},
        {"name":"uri","mode":"CredentialsURI","credentials_uri":"http://h/"},
        {"name":"uri-any","mode":"CredentialsURI"},
        {"name":"oidc","mode":"OIDC","ram_role_arn":"a","oidc_provider_arn":"p","oidc_token_file":"/t",
            "ram_session_name":"n","expired_seconds":900,"sts_region":"cn-hangzhou","enable_vpc":true},
        {"name":"oidc-any","mode":"OIDC","expired_seconds":0},
        {"name":"oidc-bad","mode":"OIDC","sts_region":"a/b"},
        {"name":"sso","mode":"CloudSSO","access_token":"hush"},
        {"name":"half","mode":"AK","access_key_id":"I"},
        {"name":"half-sts","mode":"StsToken","access_key_id":"I","access_key_secret":"hush"},
        {"name":"odd","mode":"AK","access_key_id":"I","access_key_secret":"hush hush"},
        {"name":"empty"}]}"#;

    #[test]
    fn profiles_give_their_access_key() {
        let session = ("I", "S", Some("T"), None);
        let plain = ("I", "S", None, None);
        for (name, expected) in [
            (None, session),
            (Some("default"), plain),
            (Some("sts"), session),
            (Some("old"), plain),
            (Some("old-sts"), session),
        ] {
            let Profile::Key(found) = profile_in(TEXT, name).unwrap() else { panic!("{name:?}") };
            assert_eq!(parts(&found), expected);
        }
        let Profile::Key(found) = profile_in(&TEXT.replace(r#""current":"sts","#, ""), None).unwrap() else { panic!() };
        assert_eq!(parts(&found), plain);
    }

    #[test]
    fn profiles_name_their_source() {
        let oidc =
            |fields: [Option<&str>; 3], sts_endpoint: Option<&str>, duration_seconds| CredentialSource::OidcRole {
                role_arn: fields[0].map(Into::into),
                provider_arn: fields[1].map(Into::into),
                token_file: fields[2].map(Into::into),
                session_name: fields[0].map(|_| "n".into()),
                sts_endpoint: sts_endpoint.map(Into::into),
                duration_seconds,
            };
        for (name, expected) in [
            ("ecs", CredentialSource::EcsRamRole { role: Some("r".into()), endpoint: None }),
            ("ecs-any", CredentialSource::EcsRamRole { role: None, endpoint: None }),
            ("uri", CredentialSource::Uri { uri: Some("http://h/".into()) }),
            ("uri-any", CredentialSource::Uri { uri: None }),
            ("oidc", oidc([Some("a"), Some("p"), Some("/t")], Some("sts-vpc.cn-hangzhou.aliyuncs.com"), 900)),
            ("oidc-any", oidc([None; 3], None, 3600)),
        ] {
            let Profile::Elsewhere(found) = profile_in(TEXT, Some(name)).unwrap() else { panic!("{name}") };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_not_quoted() {
        for (text, name, expected) in [
            (TEXT, "none", "there is no profile `none`; there are: `default`, `sts`, "),
            (TEXT, "empty", "profile `empty` holds no access key and has no mode"),
            (TEXT, "old-role", "profile `old-role` has the mode `RamRoleArn`; known here are AK,"),
            (TEXT, "sso", "profile `sso` has the mode `CloudSSO`; known here are AK,"),
            (TEXT, "half", "profile `half` has no access_key_secret"),
            (TEXT, "half-sts", "profile `half-sts` has no sts_token"),
            (TEXT, "odd", "the access key secret holds a character"),
            (TEXT, "oidc-bad", "sts_region of profile `oidc-bad` is no region"),
            ("{}", "a", "there is no profile `a`; there are: none"),
            ("\n\"hush\"", "a", "line 2 is not as in a configuration"),
            (r#"{"profiles":"hush"}"#, "a", "line 1 is not as in a configuration"),
            (r#"{"profiles":[{"name":"a","expired_seconds":"hush"}]}"#, "a", "line 1 is not as in a configuration"),
        ] {
            let why = profile_in(text, Some(name)).unwrap_err();
            assert!(why.contains(expected) && !why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn the_file_and_the_profile_are_found_as_by_the_sdks() {
        let home = tempfile::tempdir().unwrap();
        let id = |profile: Option<&str>, variables: &[(&str, &str)]| {
            let source = CredentialSource::CliProfile { path: None, profile: profile.map(str::to_owned) };
            let env = Env::of(variables).at_home(home.path());
            env.within(|surroundings| fetch(&source, surroundings, Env::NOW)).map(|found| found.access_key_id)
        };
        assert!(id(None, &[]).unwrap_err().ends_with(".aliyun/config.json is not there"));
        let write = |path: &Path, id: &str| fs::write(path, TEXT.replace(r#""I""#, &format!("{id:?}"))).unwrap();
        fs::create_dir_all(home.path().join(".aliyun")).unwrap();
        write(&home.path().join(".aliyun/config.json"), "HOME");
        let other = home.path().join("other");
        write(&other, "OTHER");
        let named = (FILE, other.to_str().unwrap());
        assert_eq!(id(None, &[]).unwrap(), "HOME");
        assert_eq!(id(None, &[named]).unwrap(), "OTHER");
        assert_eq!(id(Some("default"), &[(PROFILE, "none")]).unwrap(), "HOME");
        assert!(id(None, &[(PROFILE, "none")]).unwrap_err().contains("config.json: there is no profile `none`"));
        let why = id(None, &[(DISABLED, "true")]).unwrap_err();
        assert_eq!(why, "profiles of the command line are not read: ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true");
    }

    #[test]
    fn a_profile_may_lead_to_an_address() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("c");
        let fake = Fake::start([Answer::Text(200, GOOD.into())]);
        fs::write(&path, TEXT.replace("http://h/", &fake.url("/TOKEN"))).unwrap();
        let source = CredentialSource::CliProfile { path: Some(path), profile: Some("uri".into()) };
        let found = Env::of(&[]).within(|surroundings| fetch(&source, surroundings, Env::NOW)).unwrap();
        assert_eq!(parts(&found), Fake::given());
        assert!(fake.requests()[0].starts_with("GET /TOKEN HTTP/1.1\r\n"));
    }
}
