//! A RAM role that an OIDC token stands for (RRSA of ACK): AssumeRoleWithOIDC, which needs no signature.
//!
//! The token must never be sent in the clear over a network, nor be told.

use std::path::PathBuf;

use jiff::Timestamp;

use super::answer::sts_credential_of;
use super::http::{Client, Proxies, is_secret_on_the_way};
use super::{Credential, Surroundings, read_small};
use crate::settings::CredentialSource;

/// STS, where no region is known.
const ENDPOINT: &str = "sts.aliyuncs.com";

/// The name of a session, where none is set.
const SESSION_NAME: &str = "keyward";

const ROLE: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
const NAME: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
const REGION: &str = "ALIBABA_CLOUD_STS_REGION";
const VPC: &str = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";

/// What is asked of STS.
struct Question {
    role: String,
    provider: String,
    token_file: PathBuf,
    name: String,
    endpoint: String,
    seconds: String,
}

/// Fetches the credential of the role of an [`CredentialSource::OidcRole`].
///
/// # Errors
/// A fragment: what is needed is not set, the token cannot be read, or STS gives no credential.
pub fn fetch(source: &CredentialSource, surroundings: &Surroundings<'_>, now: Timestamp) -> Result<Credential, String> {
    let question = Question::of(source, surroundings)?;
    let client = Client::new(&question.endpoint, "sts_endpoint", Proxies::ForTls, surroundings)?;
    if !is_secret_on_the_way(&client.place) {
        return Err(format!("{} is not asked: the OIDC token is sent over https only", client.place));
    }
    let token = read_small(&question.token_file)?;
    let form = [
        ("RoleArn", question.role.as_str()),
        ("OIDCProviderArn", &question.provider),
        ("OIDCToken", token.trim()),
        ("RoleSessionName", &question.name),
        ("DurationSeconds", &question.seconds),
    ];
    let reply = client.post(&question.address(now), &form)?;
    sts_credential_of(&reply, &client.place, now)
}

impl Question {
    fn of(source: &CredentialSource, surroundings: &Surroundings<'_>) -> Result<Self, String> {
        let CredentialSource::OidcRole {
            role_arn,
            provider_arn,
            token_file,
            session_name,
            sts_endpoint,
            duration_seconds,
        } = source
        else {
            return Err("is no OIDC role".to_owned());
        };
        let needed = |set: Option<&str>, setting: &str, variable: &str| {
            let value = surroundings.set_or(set, variable);
            value.ok_or_else(|| format!("an OIDC role needs {setting}, or the variable {variable}"))
        };
        Ok(Self {
            role: needed(role_arn.as_deref(), "role_arn", ROLE)?,
            provider: needed(provider_arn.as_deref(), "provider_arn", PROVIDER)?,
            token_file: match token_file {
                Some(path) => path.clone(),
                None => needed(None, "token_file", TOKEN_FILE)?.into(),
            },
            name: surroundings.set_or(session_name.as_deref(), NAME).unwrap_or_else(|| SESSION_NAME.to_owned()),
            endpoint: with_scheme(&endpoint(sts_endpoint.as_deref(), surroundings)?),
            seconds: duration_seconds.to_string(),
        })
    }

    fn address(&self, now: Timestamp) -> String {
        let time = format!("{now:.0}").replace(':', "%3A");
        let query = format!("Action=AssumeRoleWithOIDC&Format=JSON&Timestamp={time}&Version=2015-04-01");
        format!("{}/?{query}", self.endpoint)
    }
}

fn endpoint(set: Option<&str>, surroundings: &Surroundings<'_>) -> Result<String, String> {
    match (set, surroundings.variable(REGION)) {
        (Some(endpoint), _) => Ok(endpoint.to_owned()),
        (None, Some(region)) => {
            endpoint_in(&region, surroundings.says(VPC)).ok_or_else(|| format!("{REGION} is no region"))
        }
        (None, None) => Ok(ENDPOINT.to_owned()),
    }
}

/// STS in a region, as the SDKs name it; `None` if that is no region.
pub fn endpoint_in(region: &str, is_vpc: bool) -> Option<String> {
    let is_region =
        !region.is_empty() && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let prefix = if is_vpc { "sts-vpc" } else { "sts" };
    is_region.then(|| format!("{prefix}.{region}.aliyuncs.com"))
}

/// Endpoints are written with their scheme, or as the SDKs have them: the host alone.
fn with_scheme(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use std::fs;

    use super::super::fake::{Answer, Env, Fake, GOOD, parts};
    use super::super::fetch as fetch_from;
    use super::*;

    fn sts() -> String {
        format!(r#"{{"RequestId":"R","AssumedRoleUser":{{"Arn":"a"}},"Credentials":{GOOD}}}"#)
    }

    fn nothing_set(endpoint: Option<String>) -> CredentialSource {
        CredentialSource::OidcRole {
            role_arn: None,
            provider_arn: None,
            token_file: None,
            session_name: None,
            sts_endpoint: endpoint,
            duration_seconds: 3600,
        }
    }

    const ARN: &str = "acs:ram::1:role/r";
    const PROVIDER_ARN: &str = "acs:ram::1:oidc-provider/p";

    struct Pod {
        _folder: tempfile::TempDir,
        token: String,
    }

    impl Pod {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let token = folder.path().join("token");
            fs::write(&token, "TOKEN.a-b_c\n").unwrap();
            Self { token: token.to_str().unwrap().to_owned(), _folder: folder }
        }

        fn ask(&self, source: &CredentialSource, more: &[(&str, &str)]) -> Result<Credential, String> {
            self.ask_of(&Fake::start([]), source, more)
        }

        fn ask_of(&self, fake: &Fake, source: &CredentialSource, more: &[(&str, &str)]) -> Result<Credential, String> {
            let mut variables = vec![(ROLE, ARN), (PROVIDER, PROVIDER_ARN), (TOKEN_FILE, &self.token)];
            variables.extend(more);
            Env::of(&variables).waiting_for(fake).within(|surroundings| fetch_from(source, surroundings, Env::NOW))
        }
    }

    #[test]
    fn sts_is_asked_directly() {
        let pod = Pod::new();
        let set = |fake: &Fake| CredentialSource::OidcRole {
            role_arn: Some("acs:ram::2:role/s".into()),
            provider_arn: Some("acs:ram::2:oidc-provider/q".into()),
            token_file: Some(pod.token.clone().into()),
            session_name: Some("n".into()),
            sts_endpoint: Some(fake.url("/")),
            duration_seconds: 900,
        };
        let of_one = "RoleArn=acs%3Aram%3A%3A1%3Arole%2Fr&OIDCProviderArn=acs%3Aram%3A%3A1%3Aoidc-provider%2Fp\
                      &OIDCToken=TOKEN.a-b_c&RoleSessionName=keyward&DurationSeconds=3600";
        let of_two = "RoleArn=acs%3Aram%3A%3A2%3Arole%2Fs&OIDCProviderArn=acs%3Aram%3A%3A2%3Aoidc-provider%2Fq\
                      &OIDCToken=TOKEN.a-b_c&RoleSessionName=n&DurationSeconds=900";
        for (is_set, more, body) in [
            (false, &[][..], of_one.to_owned()),
            (false, &[(NAME, "pod@1")][..], of_one.replace("keyward", "pod%401")),
            (true, &[(NAME, "pod")][..], of_two.to_owned()),
        ] {
            let fake = Fake::start([Answer::Text(200, sts())]);
            let source = if is_set { set(&fake) } else { nothing_set(Some(fake.url(""))) };
            assert_eq!(parts(&pod.ask(&source, more).unwrap()), Fake::given());
            let [request] = &fake.requests()[..] else { panic!() };
            let (head, found) = request.split_once("\r\n\r\n").unwrap();
            let line =
                "POST /?Action=AssumeRoleWithOIDC&Format=JSON&Timestamp=2026-08-01T00%3A00%3A00Z&Version=2015-04-01";
            assert!(head.starts_with(&format!("{line} HTTP/1.1\r\n")), "{head}");
            assert!(head.to_ascii_lowercase().contains("content-type: application/x-www-form-urlencoded"), "{head}");
            assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
            assert_eq!(found, body);
        }
    }

    #[test]
    fn failures_tell_the_place_and_no_token() {
        let pod = Pod::new();
        for (answer, expected) in [
            (Answer::Text(404, "TOKEN".into()), " answered 404"),
            (Answer::Text(500, "TOKEN".into()), " answered 500"),
            (
                Answer::Text(400, r#"{"Code":"AuthenticationFail.OIDCToken.Invalid","Message":"TOKEN"}"#.into()),
                " answered 400 (AuthenticationFail.OIDCToken.Invalid)",
            ),
            (Answer::Text(200, "TOKEN".into()), " is not the JSON that is expected"),
            (Answer::Text(200, GOOD.into()), " has no Credentials"),
            (Answer::Text(200, sts().replace("AccessKeySecret", "Secret")), " has no AccessKeySecret"),
            (Answer::Text(200, sts().replace("2026-", "2025-")), " has expired"),
            (Answer::Text(200, "x".repeat(70_000)), "more than 65536 bytes"),
            (Answer::Silence, " does not answer in time"),
        ] {
            let fake = Fake::start([answer]);
            let why = pod.ask_of(&fake, &nothing_set(Some(fake.url(""))), &[]).unwrap_err();
            assert!(why.contains(expected) && why.contains(&fake.url("")) && !why.contains("TOKEN"), "{why}");
        }
    }

    #[test]
    fn what_is_needed_is_told() {
        let pod = Pod::new();
        for (variable, value, expected) in [
            (ROLE, "", "needs role_arn, or the variable ALIBABA_CLOUD_ROLE_ARN"),
            (PROVIDER, "", "needs provider_arn, or the variable ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
            (TOKEN_FILE, "", "needs token_file, or the variable ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
            (TOKEN_FILE, "/nowhere/token", "/nowhere/token is not there"),
        ] {
            let source = nothing_set(Some("https://127.0.0.1:1".into()));
            let why = pod.ask(&source, &[(variable, value)]).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let why = pod.ask(&nothing_set(Some("http://sts.example.com".into())), &[]).unwrap_err();
        assert_eq!(why, "http://sts.example.com is not asked: the OIDC token is sent over https only");
    }

    #[test]
    fn endpoints_are_those_of_the_sdks() {
        for (set, variables, expected) in [
            (None, &[][..], Ok("https://sts.aliyuncs.com")),
            (None, &[(VPC, "true")], Ok("https://sts.aliyuncs.com")),
            (None, &[(REGION, "cn-hangzhou")], Ok("https://sts.cn-hangzhou.aliyuncs.com")),
            (None, &[(REGION, "cn-hangzhou"), (VPC, "True")], Ok("https://sts-vpc.cn-hangzhou.aliyuncs.com")),
            (None, &[(REGION, "a.example.com/")], Err("ALIBABA_CLOUD_STS_REGION is no region")),
            (Some("sts.b.aliyuncs.com"), &[(REGION, "a")], Ok("https://sts.b.aliyuncs.com")),
            (Some("http://127.0.0.1:1/"), &[], Ok("http://127.0.0.1:1")),
        ] {
            let found =
                Env::of(variables).within(|surroundings| endpoint(set, surroundings).map(|found| with_scheme(&found)));
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
    }
}
