//! The credentials file of the SDKs: `~/.alibabacloud/credentials.ini`, or where `ALIBABA_CLOUD_CREDENTIALS_FILE` says.
//!
//! The SDKs read it with different readers of INI files. Here only what all of them take alike is read, and only the
//! profile that is wanted. A line must never be quoted in an error: it may be the one with the secret.

use std::path::{Path, PathBuf};

use super::{Credential, Profile, Surroundings, in_file, listed, read_small};
use crate::settings::CredentialSource;

const FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";

/// Where it is: Java, Python and C# read the first, Go and Node.js the second.
const PLACES: [&str; 2] = [".alibabacloud/credentials.ini", ".alibabacloud/credentials"];

const TYPES: &str = "access_key, sts, ecs_ram_role and oidc_role_arn";

/// How long a session lasts, in seconds: the file cannot say it.
const SESSION_SECONDS: u32 = 3600;

/// The profile in this file, or in the usual one.
///
/// # Errors
/// A fragment: the file cannot be read, or has no such profile.
pub fn read(path: Option<&Path>, profile: Option<&str>, surroundings: &Surroundings<'_>) -> Result<Profile, String> {
    let named = path.map(Path::to_owned).or_else(|| surroundings.variable(FILE).map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None => usual(surroundings)?,
    };
    let name = surroundings.set_or(profile, PROFILE).unwrap_or_else(|| "default".to_owned());
    profile_in(&read_small(&path)?, &name).map_err(in_file(&path))
}

fn usual(surroundings: &Surroundings<'_>) -> Result<PathBuf, String> {
    let [first, second] = PLACES;
    let (first, second) = (surroundings.in_home(first)?, surroundings.in_home(second)?);
    Ok(if second.exists() && !first.exists() { second } else { first })
}

/// The profile of this name in the text of a credentials file.
///
/// # Errors
/// A fragment: there is none, or it is not one that is known here.
pub fn profile_in(text: &str, name: &str) -> Result<Profile, String> {
    let section = Section::find(text, name)?;
    if section.get("enable").is_some_and(|enable| enable != "true") {
        return Err(format!("profile `{name}` is switched off (enable)"));
    }
    let source = match section.needed("type")?.as_str() {
        "access_key" => return section.key(None).map(Profile::Key),
        "sts" => return section.key(Some(section.needed("security_token")?)).map(Profile::Key),
        "ecs_ram_role" => CredentialSource::EcsRamRole { role: section.get("role_name"), endpoint: None },
        "oidc_role_arn" => CredentialSource::OidcRole {
            role_arn: section.get("role_arn"),
            provider_arn: section.get("oidc_provider_arn"),
            token_file: section.get("oidc_token_file_path").map(PathBuf::from),
            session_name: section.get("role_session_name"),
            sts_endpoint: None,
            duration_seconds: SESSION_SECONDS,
        },
        other => return Err(format!("profile `{name}` is of type `{other}`; known here are {TYPES}")),
    };
    Ok(Profile::Elsewhere(source))
}

/// The names and values of one profile.
struct Section<'t> {
    name: &'t str,
    entries: Vec<(&'t str, &'t str)>,
}

impl<'t> Section<'t> {
    fn find(text: &'t str, name: &'t str) -> Result<Self, String> {
        let mut headers: Vec<&str> = Vec::new();
        let mut section = Self { name, entries: Vec::new() };
        for (line, number) in text.lines().zip(1_u32..) {
            match line.trim() {
                "" => {}
                comment if comment.starts_with(['#', ';']) => {}
                header if header.starts_with('[') => headers.push(header_in(header, &headers, number)?),
                _ if headers.is_empty() => return Err(format!("line {number} is before the first [profile]")),
                _ if headers.last() == Some(&name) => section.take(line, number)?,
                _ => {}
            }
        }
        if headers.contains(&name) {
            Ok(section)
        } else {
            Err(format!("there is no profile `{name}`; there are: {}", listed(headers)))
        }
    }

    fn take(&mut self, line: &'t str, number: u32) -> Result<(), String> {
        if line.starts_with([' ', '\t']) {
            return Err(format!("line {number} begins with a space, which the SDKs read differently"));
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is neither [profile] nor name = value"));
        };
        let (name, value) = (name.trim(), without_comment(value));
        if self.entries.iter().any(|(other, _)| *other == name) {
            return Err(format!("line {number} sets `{name}` once more"));
        }
        self.entries.push((name, value));
        Ok(())
    }

    /// An empty value counts as none.
    fn get(&self, name: &str) -> Option<String> {
        let found = self.entries.iter().find(|(other, value)| *other == name && !value.is_empty());
        found.map(|(_, value)| (*value).to_owned())
    }

    fn needed(&self, name: &str) -> Result<String, String> {
        self.get(name).ok_or_else(|| format!("profile `{}` has no {name}", self.name))
    }

    fn key(&self, token: Option<String>) -> Result<Credential, String> {
        let (id, secret) = (self.needed("access_key_id")?, self.needed("access_key_secret")?);
        let credential = Credential::new(id, secret.into(), token.map(Into::into), None);
        credential.map_err(|why| format!("{why}, in profile `{}`", self.name))
    }
}

fn header_in<'t>(header: &'t str, others: &[&str], number: u32) -> Result<&'t str, String> {
    let name = without_comment(header).strip_prefix('[').and_then(|header| header.strip_suffix(']')).map(str::trim);
    match name {
        Some(name) if others.contains(&name) => Err(format!("line {number} begins `{name}` once more")),
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(format!("line {number} is no [profile]")),
    }
}

/// A comment within a line begins with a space.
fn without_comment(value: &str) -> &str {
    let value =
        [" #", " ;", "\t#", "\t;"].iter().fold(value, |value, mark| value.split(mark).next().unwrap_or_default());
    value.trim()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use std::fs;

    use super::super::fake::{Answer, Env, Fake, GOOD, parts};
    use super::super::fetch;
    use super::*;

    const TEXT: &str = "# comment\n\
        [default]\r\ntype = access_key\r\naccess_key_id=I # comment\naccess_key_secret = S=;#+ ; comment\n\n\
        [session]\ntype = sts\nenable = true\naccess_key_id = I\naccess_key_secret = S\nsecurity_token = T\n\
        [ ecs ] ; comment\ntype = ecs_ram_role\nrole_name = r\n\
        [ecs-any]\ntype = ecs_ram_role\nrole_name =\n\
        [oidc]\ntype = oidc_role_arn\nrole_arn = a\noidc_provider_arn = p\noidc_token_file_path = /t\nrole_session_name = n\n\
        [pair]\ntype = rsa_key_pair\nprivate_key_file = hush\n  continued\nnonsense\n\
        [off]\ntype = access_key\nenable = false\n\
        [bare]\naccess_key_id = I\n\
        [half]\ntype = access_key\naccess_key_id = I\n\
        [half-session]\ntype = sts\naccess_key_id = I\naccess_key_secret = hush\n\
        [quoted]\ntype = access_key\naccess_key_id = I\naccess_key_secret = \"hush\"\n";

    fn source(name: &str) -> CredentialSource {
        match profile_in(TEXT, name).unwrap() {
            Profile::Elsewhere(source) => source,
            Profile::Key(_) => panic!("{name}"),
        }
    }

    #[test]
    fn profiles_are_keys_or_name_a_source() {
        for (name, expected) in [("default", ("I", "S=;#+", None, None)), ("session", ("I", "S", Some("T"), None))] {
            let Profile::Key(found) = profile_in(TEXT, name).unwrap() else { panic!("{name}") };
            assert_eq!(parts(&found), expected);
        }
        assert_eq!(source("ecs"), CredentialSource::EcsRamRole { role: Some("r".into()), endpoint: None });
        assert_eq!(source("ecs-any"), CredentialSource::EcsRamRole { role: None, endpoint: None });
        let oidc = CredentialSource::OidcRole {
            role_arn: Some("a".into()),
            provider_arn: Some("p".into()),
            token_file: Some("/t".into()),
            session_name: Some("n".into()),
            sts_endpoint: None,
            duration_seconds: 3600,
        };
        assert_eq!(source("oidc"), oidc);
    }

    #[test]
    fn what_is_wrong_is_told_and_not_quoted() {
        let of_default = |lines: &str| format!("[default]\ntype = access_key\n{lines}\n");
        for (text, name, expected) in [
            (TEXT.to_owned(), "none", "there is no profile `none`; there are: `default`, `session`, `ecs`"),
            (TEXT.to_owned(), "off", "profile `off` is switched off (enable)"),
            (TEXT.to_owned(), "bare", "profile `bare` has no type"),
            (TEXT.to_owned(), "half", "profile `half` has no access_key_secret"),
            (TEXT.to_owned(), "half-session", "profile `half-session` has no security_token"),
            (TEXT.to_owned(), "quoted", "the access key secret holds a character"),
            (TEXT.to_owned(), "pair", "line 28 begins with a space"),
            ("[x]\ntype = bearer".to_owned(), "x", "profile `x` is of type `bearer`; known here are access_key, sts,"),
            (of_default("hush"), "default", "line 3 is neither [profile] nor name = value"),
            (of_default(" a = hush"), "default", "line 3 begins with a space"),
            (of_default("a = hush\na = hush"), "default", "line 4 sets `a` once more"),
            (of_default("[default]"), "default", "line 3 begins `default` once more"),
            (of_default("[hush"), "default", "line 3 is no [profile]"),
            (of_default("[]"), "default", "line 3 is no [profile]"),
            ("a = hush\n[default]".to_owned(), "default", "line 1 is before the first [profile]"),
            (String::new(), "default", "there is no profile `default`; there are: none"),
        ] {
            let why = profile_in(&text, name).unwrap_err();
            assert!(why.contains(expected) && !why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn the_file_and_the_profile_are_found_as_by_the_sdks() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".alibabacloud");
        fs::create_dir_all(&folder).unwrap();
        let write = |path: &Path, id: &str| {
            let text = ["default", "b"].map(|name| {
                format!("[{name}]\ntype = access_key\naccess_key_id = {id}-{name}\naccess_key_secret = S\n")
            });
            fs::write(path, text.concat()).unwrap();
        };
        let id = |path: Option<&Path>, profile: Option<&str>, variables: &[(&str, &str)]| {
            let source = CredentialSource::CredentialsFile {
                path: path.map(Path::to_owned),
                profile: profile.map(str::to_owned),
            };
            let env = Env::of(variables).at_home(home.path());
            env.within(|surroundings| fetch(&source, surroundings, Env::NOW)).map(|found| found.access_key_id)
        };
        assert!(id(None, None, &[]).unwrap_err().ends_with(".alibabacloud/credentials.ini is not there"));
        write(&folder.join("credentials"), "go");
        assert_eq!(id(None, None, &[]).unwrap(), "go-default");
        write(&folder.join("credentials.ini"), "ini");
        let other = home.path().join("other");
        write(&other, "other");
        let named = (FILE, other.to_str().unwrap());
        assert_eq!(id(None, None, &[]).unwrap(), "ini-default");
        assert_eq!(id(None, None, &[(PROFILE, "b")]).unwrap(), "ini-b");
        assert_eq!(id(None, Some("b"), &[(PROFILE, "c"), named]).unwrap(), "other-b");
        assert_eq!(id(Some(&folder.join("credentials")), None, &[named]).unwrap(), "go-default");
        assert!(id(None, None, &[(PROFILE, "c")]).unwrap_err().contains("credentials.ini: there is no profile `c`"));
        fs::write(&other, "x".repeat(70_000)).unwrap();
        assert!(id(Some(&other), None, &[]).unwrap_err().ends_with("other is larger than 65536 bytes"));
        let homeless = Env::of(&[]).within(|surroundings| read(None, None, surroundings)).unwrap_err();
        assert_eq!(homeless, "HOME is not set, so ~/.alibabacloud/credentials.ini cannot be found");
    }

    #[test]
    fn a_profile_may_lead_to_sts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let token = folder.path().join("t");
        fs::write(&token, "TOKEN").unwrap();
        let text = "[default]\ntype = oidc_role_arn\nrole_arn = a\noidc_provider_arn = p\noidc_token_file_path = ";
        fs::write(&path, format!("{text}{}\n", token.display())).unwrap();
        let fake = Fake::start([Answer::Text(200, format!(r#"{{"Credentials":{GOOD}}}"#))]);
        let Profile::Elsewhere(CredentialSource::OidcRole {
            role_arn,
            provider_arn,
            token_file,
            session_name,
            duration_seconds,
            ..
        }) = Env::of(&[]).within(|surroundings| read(Some(&path), None, surroundings)).unwrap()
        else {
            panic!()
        };
        let sts_endpoint = Some(fake.url(""));
        let source = CredentialSource::OidcRole {
            role_arn,
            provider_arn,
            token_file,
            session_name,
            sts_endpoint,
            duration_seconds,
        };
        let found = Env::of(&[]).within(|surroundings| fetch(&source, surroundings, Env::NOW)).unwrap();
        assert_eq!(parts(&found), Fake::given());
        assert!(fake.requests()[0].contains("RoleArn=a&OIDCProviderArn=p&OIDCToken=TOKEN&RoleSessionName=keyward"));
    }
}
