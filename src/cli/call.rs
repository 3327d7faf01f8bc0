//! `keyward call`: one signed request, so that trying KMS needs no SDK.
//!
//! Signs like the official clients: V3, or V1 where asked for and for XML. Parameters go into a form body, so that
//! plaintexts stay out of URLs.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use secrecy::SecretString;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use uuid::Uuid;

use super::credentials::{self, AccessKey};
use super::{Exit, SettingsFile, banner, now};
use crate::authn::{AcsRequest, FORM, Signer};
use crate::kms::Params;
use crate::settings::read_text;

/// Where Keyward listens unless its settings say otherwise.
pub const DEFAULT_ENDPOINT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7480);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Arguments of `keyward call`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyward call DescribeKey --as alice KeyId=alias/orders\n  \
    keyward call Encrypt --as alice KeyId=alias/orders Plaintext=$(printf hello | base64)\n  \
    keyward call SetKeyPolicy --as kim KeyId=key-exampleorders01 Policy=@policy.json\n  \
    keyward call GetCallerIdentity --as kim --role acs:ram::1234567890123456:role/payroll-service")]
pub struct Call {
    /// The operation, for example Encrypt
    operation: String,
    /// Parameters as NAME=VALUE; NAME=@FILE takes the value from a file, NAME=@@… is a value that begins with @
    #[arg(value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Sign as this caller of the identities file: a user's name, ACCOUNT/NAME, or an ARN
    #[arg(long = "as", value_name = "NAME", group = "who")]
    caller: Option<String>,
    /// Sign with this profile of ~/.aliyun/config.json
    #[arg(long, value_name = "NAME", group = "who")]
    profile: Option<String>,
    /// Sign with this access key; without any of the three, ALIBABA_CLOUD_ACCESS_KEY_ID says which
    #[arg(long, value_name = "ID", group = "who")]
    access_key_id: Option<String>,
    /// The secret of the access key; better given as ALIBABA_CLOUD_ACCESS_KEY_SECRET
    #[arg(long, value_name = "SECRET", env = "ALIBABA_CLOUD_ACCESS_KEY_SECRET", hide_env_values = true)]
    access_key_secret: Option<String>,
    /// Call in a session of this role, which is begun first (AssumeRole)
    #[arg(long, value_name = "ARN")]
    role: Option<String>,
    /// Where to send the request
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7480")]
    endpoint: String,
    /// The authorities that the certificate of an https endpoint may be of, in PEM; without it, those of the web
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFile,
    /// The format of the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Json)]
    format: AnswerFormat,
    /// How to sign; XML is only there in V1
    #[arg(long, value_enum)]
    signature: Option<SignatureVersion>,
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnswerFormat {
    Json,
    Xml,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SignatureVersion {
    V1,
    V3,
}

/// Sends the request and prints the answer.
pub fn run(call: &Call) -> Exit {
    match send(call) {
        Ok((status, body)) => {
            let _ = writeln!(anstream::stdout(), "{}", pretty(&body));
            if (200..300).contains(&status) { Exit::Yes } else { Exit::No }
        }
        Err(error) => {
            banner::failure(&format!("{error:#}"));
            Exit::CouldNotSay
        }
    }
}

fn send(call: &Call) -> Result<(u16, String)> {
    let mut key = access_key(call)?;
    let params: Params = call.parameters.iter().cloned().collect();
    let names = || call.parameters.iter().map(|(name, _)| name);
    if let Some(name) = names().find(|name| names().filter(|other| other == name).count() > 1) {
        bail!("{name} is given twice");
    }
    if !call.operation.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("`{}` is no operation; write for example Encrypt", call.operation);
    }
    let authority = authority(&call.endpoint)?;
    if let Some(role) = &call.role {
        key = assume(call, &key, &authority, role)?;
    }
    let moment = Moment::new(now());
    let signed = match (call.signature, call.format) {
        (None | Some(SignatureVersion::V3), AnswerFormat::Json) => {
            sign_v3(&call.operation, &params, &key, &authority, &moment)
        }
        (None | Some(SignatureVersion::V1), format) => sign_v1(&call.operation, &params, &key, format, &moment),
        (Some(SignatureVersion::V3), AnswerFormat::Xml) => bail!("only signature v1 can ask for XML"),
    };
    post(call, signed)
}

/// Begins a session of a role.
fn assume(call: &Call, key: &AccessKey, authority: &str, role: &str) -> Result<AccessKey> {
    let params = [("RoleArn", role), ("RoleSessionName", "keyward-call")].into_iter().collect();
    let (status, body) = post(call, sign_v3("AssumeRole", &params, key, authority, &Moment::new(now())))?;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let part =
        |name: &str| answer.pointer(&format!("/Credentials/{name}")).and_then(|it| it.as_str()).map(str::to_owned);
    match (part("AccessKeyId"), part("AccessKeySecret"), part("SecurityToken")) {
        (Some(id), Some(secret), Some(token)) => {
            Ok(AccessKey { id, secret: secret.into(), security_token: Some(token) })
        }
        _ => bail!("no session of {role} could be begun (status {status}): {}", pretty(&body)),
    }
}

/// The host and port of an endpoint, which V3 signs.
fn authority(endpoint: &str) -> Result<String> {
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let uri = uri
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none());
    let authority = uri.as_ref().and_then(http::Uri::authority);
    authority
        .map(ToString::to_string)
        .with_context(|| format!("`{endpoint}` is no endpoint; write for example http://127.0.0.1:7480"))
}

fn post(call: &Call, signed: AcsRequest) -> Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        // A proxy in the environment is for the way out.
        .proxy(if call.endpoint.starts_with("https://") { ureq::Proxy::try_from_env() } else { None })
        .tls_config(TlsConfig::builder().root_certs(authorities(call.ca.as_deref())?).build())
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(call.timeout)))
        .build()
        .into();
    let mut request = agent.post(&call.endpoint);
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    let mut response = request.send(signed.body).map_err(|error| unanswered(&call.endpoint, error))?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    Ok((response.status().as_u16(), body.context("the answer cannot be read")?))
}

/// Why there is no answer, and what may help.
fn unanswered(endpoint: &str, error: ureq::Error) -> anyhow::Error {
    let hint = match &error {
        ureq::Error::Io(why) if why.kind() == io::ErrorKind::ConnectionRefused => " (is Keyward running?)",
        other if other.to_string().contains("UnknownIssuer") => " (--ca FILE names the authority of its certificate)",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("no answer from {endpoint}{hint}"))
}

/// Those in a file, or those of the web.
fn authorities(path: Option<&Path>) -> Result<RootCerts> {
    let Some(path) = path else { return Ok(RootCerts::WebPki) };
    let text = read_text(path).map_err(|why| anyhow!("--ca {} {why}", path.display()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.with_context(|| format!("--ca {}", path.display()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("--ca {} holds no certificate in PEM", path.display());
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

fn access_key(call: &Call) -> Result<AccessKey> {
    if let Some(name) = &call.caller {
        return credentials::of_caller(name, &call.settings.config);
    }
    if let Some(name) = &call.profile {
        return credentials::of_profile(name);
    }
    let id = call.access_key_id.clone().or_else(credentials::id_in_environment);
    match (id, &call.access_key_secret) {
        (Some(id), Some(secret)) => {
            let security_token = credentials::token_in_environment();
            Ok(AccessKey { id, secret: SecretString::from(secret.as_str()), security_token })
        }
        (Some(_), None) => bail!("the access key needs its secret: set ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        _ => bail!("say who calls: --as NAME, --profile NAME, or --access-key-id ID"),
    }
}

/// What makes each signature another one.
struct Moment {
    timestamp: String,
    nonce: String,
}

impl Moment {
    fn new(time: Timestamp) -> Self {
        Self { timestamp: format!("{time:.0}"), nonce: Uuid::new_v4().simple().to_string() }
    }
}

fn signer<'a>(key: &'a AccessKey, moment: &'a Moment) -> Signer<'a> {
    let (access_key_id, secret, security_token) = (key.id.as_str(), &key.secret, key.security_token.as_deref());
    Signer { access_key_id, secret, security_token, timestamp: &moment.timestamp, nonce: &moment.nonce }
}

fn sign_v3(operation: &str, params: &Params, key: &AccessKey, host: &str, moment: &Moment) -> AcsRequest {
    signer(key, moment).acs(operation, params, host)
}

fn sign_v1(operation: &str, params: &Params, key: &AccessKey, format: AnswerFormat, moment: &Moment) -> AcsRequest {
    let format = if format == AnswerFormat::Xml { "XML" } else { "JSON" };
    let body = signer(key, moment).rpc(operation, format, params).canonical();
    AcsRequest { headers: vec![("content-type", FORM.to_owned())], body }
}

/// JSON with one member per line; anything else as it is.
fn pretty(body: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(body).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| body.to_owned())
}

/// `NAME=VALUE`, `NAME=@FILE`, `NAME=@@VALUE`.
fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = match value.strip_prefix('@') {
        None => value.to_owned(),
        Some(literal) if literal.starts_with('@') => literal.to_owned(),
        Some(file) => read_text(Path::new(file)).map_err(|why| format!("{file} {why}"))?,
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::{Authority, Directory, IdentityRules, identify};
    use crate::kms::{Format, KmsRequest, Origin, RawRequest};

    #[test]
    fn what_is_signed_here_is_verified_there() {
        let key = AccessKey { id: "K".into(), secret: "s".into(), security_token: None };
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        let moment = Moment::new(time);
        let params = || -> Params { [("KeyId", "alias/a"), ("Plaintext", "a+/= *~é")].into_iter().collect() };
        let directory = "[accounts.1.users.alice]\naccess_keys = [{ id = 'K', secret = 's' }]";
        let directory = Directory::parse(directory, &|_| Err(String::new())).unwrap();
        let authority = Authority { directory: &directory, sessions: None, rules: &IdentityRules::default() };
        for (signed, format) in [
            (sign_v3("Encrypt", &params(), &key, "127.0.0.1:7480", &moment), Format::Json),
            (sign_v1("Encrypt", &params(), &key, AnswerFormat::Json, &moment), Format::Json),
            (sign_v1("Encrypt", &params(), &key, AnswerFormat::Xml, &moment), Format::Xml),
        ] {
            let mut headers = http::HeaderMap::new();
            for (name, value) in &signed.headers {
                headers.insert(*name, value.parse().unwrap());
            }
            let raw = RawRequest {
                method: "POST",
                target: "/",
                headers: &headers,
                body: signed.body.as_bytes(),
                origin: Origin::unknown(),
            };
            let request = KmsRequest::parse(&raw).unwrap();
            assert_eq!((request.call.name(), request.format, &request.params), ("Encrypt", format, &params()));
            let caller = identify(&authority, &raw, &request, time).unwrap();
            assert_eq!(caller.principal.to_string(), "acs:ram::1:user/alice");
        }
    }

    #[test]
    fn parameters_are_written_as_name_and_value() {
        assert_eq!(parameter("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert_eq!(parameter("A=@@b").unwrap(), ("A".into(), "@b".into()));
        assert!(parameter("A").is_err());
        assert!(parameter("A=@/no/such/file").is_err());
    }
}
