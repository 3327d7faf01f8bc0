//! `[upstream]`: the KMS that requests are forwarded to, and how.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use super::credentials::{self, CredentialSource};
use super::networks;
use crate::authz::parse_principal;
use crate::kms::{Api, Operation, is_account_id};
use crate::source::toml::Section;

/// `[upstream]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where KMS is.
    pub endpoint: Endpoint,
    /// The name that its certificate must have.
    pub server_name: String,
    /// Other names that clients may have signed for; only used where signatures are passed through.
    pub also_named: Vec<String>,
    /// The authorities of its certificate: PEM; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// How requests are forwarded.
    pub mode: Mode,
    /// Keyward's own credentials, and those of some callers.
    pub credentials: UpstreamCredentials,
    /// Who answers the four operations on policies.
    pub policy_operations: PolicyOperations,
    /// Operations that are forwarded although nobody here knows what they act on.
    pub unknown_operations: Vec<String>,
    /// How long each part of an exchange may take.
    pub patience: Patience,
    /// The largest answer, in bytes.
    pub answer_bytes: usize,
    /// How many requests may be on their way at the same time.
    pub requests: usize,
    /// How long a connection is kept that nobody uses.
    pub idle: Duration,
    /// How often the name of the endpoint is resolved.
    pub resolve: Duration,
    /// The networks that its addresses must be in; empty for any.
    pub networks: Vec<IpNet>,
    /// After how many failures in a row nobody tries any more, and for how long.
    pub circuit: (u32, Duration),
    /// Whether KMS is asked for names that a request needs and nobody knows.
    pub lookups: bool,
    /// How often all keys, aliases and secrets are listed, if at all.
    pub listing: Option<Duration>,
    /// For how long is believed what names stand for.
    pub remember: Duration,
}

/// Where KMS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Over TLS. Without it only on loopback.
    pub secure: bool,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// As it stands in the header `Host`: without the port where that is the usual one.
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// How requests are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Written anew from what was judged, and signed by Keyward.
    ReSign(SignAs),
    /// As they came, with the client's own signature.
    PassThrough,
}

/// With whose credentials Keyward signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignAs {
    /// Its own, or those that the settings name for the caller.
    Keyward,
    /// The caller's access key, from the directory.
    Caller,
}

/// Credentials for signing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamCredentials {
    /// Keyward's own, and the account that they are of.
    pub own: Option<(String, CredentialSource)>,
    /// Those of some callers, by ARN; sessions have their role's.
    pub callers: Vec<(String, String, CredentialSource)>,
}

/// Who answers SetKeyPolicy, GetKeyPolicy, SetSecretPolicy and GetSecretPolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOperations {
    /// Keyward, with the policies that it enforces.
    Served,
    /// KMS, with its own.
    Forwarded,
    /// KMS; what is set there with success is enforced here as well.
    Mirrored,
}

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Connecting, TLS included.
    pub connect: Duration,
    /// Sending the request.
    pub send: Duration,
    /// Waiting for the head of the answer.
    pub answer: Duration,
    /// Receiving the rest of it.
    pub body: Duration,
}

pub(super) fn read(section: &Section<'_>, account: Option<&str>, folder: &Path) -> Option<Upstream> {
    section.require("endpoint", "where KMS is, for example \"https://kms.cn-hangzhou.aliyuncs.com\"");
    let endpoint = section.parsed("endpoint", endpoint);
    let mode = mode(section);
    let credentials = credentials(section, account, folder);
    if mode == Mode::ReSign(SignAs::Keyward) && credentials.own.is_none() && credentials.callers.is_empty() {
        section.problem(
            "mode = \"re-sign\" needs credentials to sign with: write [upstream.credentials], or sign_as = \"caller\"",
        );
    }
    let named = section.string("server_name").map(str::to_owned);
    let lookups = section.boolean("lookups").unwrap_or(true);
    let listing = seconds(section, "listing_seconds", 0..86_401, 0);
    let upstream = Upstream {
        server_name: named.unwrap_or_else(|| endpoint.as_ref().map_or_else(String::new, |it| it.host.clone())),
        also_named: section
            .strings("also_named")
            .unwrap_or_default()
            .into_iter()
            .map(|(name, _)| name.to_lowercase())
            .collect(),
        ca: section.string("ca").map(|file| folder.join(file)),
        mode,
        policy_operations: policy_operations(section),
        unknown_operations: unknown_operations(section),
        patience: Patience {
            connect: milliseconds(section, "connect_ms", 2_000),
            send: milliseconds(section, "send_ms", 2_000),
            answer: milliseconds(section, "answer_ms", 8_000),
            body: milliseconds(section, "body_ms", 4_000),
        },
        answer_bytes: number(section, "answer_bytes", 1_024..67_108_865, 1_048_576),
        requests: number(section, "requests", 1..65_537, 256),
        idle: seconds(section, "idle_seconds", 1..3_601, 30),
        resolve: seconds(section, "resolve_seconds", 1..86_401, 30),
        networks: networks(section, "networks"),
        circuit: (
            u32::try_from(section.integer("failures", 1..1_001).unwrap_or(5)).unwrap_or(5),
            milliseconds(section, "pause_ms", 1_000),
        ),
        lookups: lookups && credentials.own.is_some(),
        listing: (!listing.is_zero()).then_some(listing),
        remember: seconds(section, "remember_seconds", 10..86_401, 300),
        credentials,
        endpoint: endpoint.unwrap_or(Endpoint { secure: true, host: String::new(), port: 443 }),
    };
    if upstream.listing.is_some() && upstream.credentials.own.is_none() {
        section.report_at("listing_seconds", "needs credentials of Keyward's own: write [upstream.credentials]");
    }
    section.finish();
    Some(upstream)
}

/// Sessions that are handed out here mean nothing to KMS: somebody has to sign for them.
pub(super) fn check_vended(section: &Section<'_>, upstream: &Upstream, role: &str) {
    let is_mapped = upstream.credentials.callers.iter().any(|(arn, ..)| arn == role);
    let is_signed = match upstream.mode {
        Mode::PassThrough => false,
        Mode::ReSign(SignAs::Keyward) => upstream.credentials.own.is_some() || is_mapped,
        Mode::ReSign(SignAs::Caller) => is_mapped,
    };
    if !is_signed {
        section.problem(format!(
            "credentials.role hands out sessions of {role}, which mean nothing to KMS: sign as Keyward, or with an entry for the \
             role in [[upstream.callers]]"
        ));
    }
}

fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    const WRONG: &str = "must be a URL without a path, such as \"https://kms.cn-hangzhou.aliyuncs.com\"";
    let uri: Uri = text.parse().map_err(|_| WRONG)?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(WRONG),
    };
    let host = uri.host().filter(|_| uri.path() == "/" && uri.query().is_none()).ok_or(WRONG)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(WRONG);
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    if !secure && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Err("must be https: without TLS, KMS may only be at an address on loopback");
    }
    let usual = if secure { 443 } else { 80 };
    Ok(Endpoint { secure, host, port: uri.port_u16().unwrap_or(usual) })
}

fn mode(section: &Section<'_>) -> Mode {
    let sign_as = section.parsed("sign_as", |text| match text {
        "keyward" => Ok(SignAs::Keyward),
        "caller" => Ok(SignAs::Caller),
        _ => Err("must be \"keyward\" or \"caller\""),
    });
    let mode = section.parsed("mode", |text| match text {
        "re-sign" => Ok(Mode::ReSign(sign_as.unwrap_or(SignAs::Keyward))),
        "pass-through" => Ok(Mode::PassThrough),
        _ => Err("must be \"re-sign\" or \"pass-through\""),
    });
    if mode == Some(Mode::PassThrough) && sign_as.is_some() {
        section.report_at("sign_as", "is for mode = \"re-sign\": what is passed through has its client's signature");
    }
    mode.unwrap_or(Mode::ReSign(sign_as.unwrap_or(SignAs::Keyward)))
}

fn unknown_operations(section: &Section<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, place) in section.strings("unknown_operations").unwrap_or_default() {
        if Operation::find(Api::Kms, name).is_some() {
            section.report_place(place, format!("{name} is known: it is judged by what it acts on"));
        }
        names.push(name.to_owned());
    }
    names
}

fn policy_operations(section: &Section<'_>) -> PolicyOperations {
    let chosen = section.parsed("policy_operations", |text| match text {
        "served" => Ok(PolicyOperations::Served),
        "forwarded" => Ok(PolicyOperations::Forwarded),
        "mirrored" => Ok(PolicyOperations::Mirrored),
        _ => Err("must be \"served\", \"forwarded\" or \"mirrored\""),
    });
    chosen.unwrap_or(PolicyOperations::Served)
}

fn credentials(section: &Section<'_>, account: Option<&str>, folder: &Path) -> UpstreamCredentials {
    let own = section.section("credentials");
    let of = account_of(&own).or_else(|| account.map(str::to_owned));
    let own = own.is_there().then(|| credentials::read(&own, folder)).flatten();
    let mut callers = Vec::new();
    for caller in section.listed_sections("callers") {
        caller.require("arn", "the caller that these credentials are for: a user, a role or an account's root");
        let arn = caller.parsed("arn", |text| {
            parse_principal(text).map(|principal| (principal.role_arn(), principal.account.to_string()))
        });
        let found = caller.section("credentials");
        let account = account_of(&found);
        let source = credentials::read(&found, folder);
        caller.finish();
        if let (Some((arn, own)), Some(source)) = (arn, source) {
            callers.push((arn, account.unwrap_or(own), source));
        }
    }
    UpstreamCredentials { own: of.zip(own), callers }
}

fn account_of(section: &Section<'_>) -> Option<String> {
    section.parsed("account", |text| {
        if is_account_id(text) { Ok(text.to_owned()) } else { Err("must be an account id, which is digits only") }
    })
}

fn milliseconds(section: &Section<'_>, name: &'static str, default: u64) -> Duration {
    Duration::from_millis(section.integer(name, 1..300_001).unwrap_or(default))
}

fn seconds(section: &Section<'_>, name: &'static str, range: std::ops::Range<u64>, default: u64) -> Duration {
    Duration::from_secs(section.integer(name, range).unwrap_or(default))
}

fn number(section: &Section<'_>, name: &'static str, range: std::ops::Range<u64>, default: usize) -> usize {
    section.integer(name, range).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    const LEAST: &str = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";

    fn read(text: &str) -> Result<Settings, Vec<String>> {
        let settings = Settings::parse(&format!("{LEAST}{text}"), Path::new("/etc"));
        settings.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    /// The shipped file shows every setting, and each has the default's value.
    #[test]
    fn the_shipped_file_shows_the_defaults() {
        let shipped = Settings::parse(include_str!("../../config/gateway.toml"), Path::new("config")).unwrap();
        let least = "[upstream]\nendpoint = 'https://kms.cn-hangzhou.aliyuncs.com'\n[upstream.credentials]\n\
                     source = 'environment'\naccount = '1234567890123456'\n";
        assert_eq!(shipped.upstream, read(least).unwrap().upstream);
    }

    #[test]
    fn endpoints_are_urls_over_tls() {
        for (text, expected) in [
            ("https://kms.cn-hangzhou.aliyuncs.com", Some((true, "kms.cn-hangzhou.aliyuncs.com", 443))),
            ("https://KMS.example:8443/", Some((true, "kms.example", 8443))),
            ("https://[2001:db8::1]:8443", Some((true, "2001:db8::1", 8443))),
            ("http://127.0.0.1:7480", Some((false, "127.0.0.1", 7480))),
            ("http://[::1]:7480", Some((false, "::1", 7480))),
            ("http://kms.example", None),
            ("http://localhost:7480", None),
            ("http://10.0.0.1", None),
            ("https://user@kms.example", None),
            ("https://kms.example/path", None),
            ("https://kms.example/?a", None),
            ("kms.example", None),
            ("ftp://kms.example", None),
            ("", None),
        ] {
            let found = endpoint(text).ok();
            assert_eq!(found.as_ref().map(|it| (it.secure, it.host.as_str(), it.port)), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        const AT: &str = "[upstream]\nendpoint = 'https://kms.example'\n";
        const OWN: &str = "[upstream.credentials]\nsource = 'environment'\n";
        const VENDED: &str = "[credentials]\nrole = 'acs:ram::1:role/app'\nlisten = '127.0.0.1:1'\ntoken_file = 't'\n";
        for (text, expected) in [
            ("[upstream]\n".to_owned() + OWN, "`upstream.endpoint` is missing"),
            (AT.to_owned(), "needs credentials to sign with"),
            (format!("{AT}mode = 'through'\n{OWN}"), "must be \"re-sign\" or \"pass-through\""),
            (format!("{AT}mode = 'pass-through'\nsign_as = 'caller'\n"), "is for mode = \"re-sign\""),
            (format!("{AT}sign_as = 'me'\n{OWN}"), "must be \"keyward\" or \"caller\""),
            (format!("{AT}policy_operations = 'both'\n{OWN}"), "must be \"served\", \"forwarded\" or \"mirrored\""),
            (format!("{AT}networks = ['here']\n{OWN}"), "write addresses or networks"),
            (format!("{AT}requests = 0\n{OWN}"), "whole number from 1 to 65536"),
            (format!("{AT}request = 1\n{OWN}"), "unknown entry `upstream.request`"),
            (format!("{AT}sign_as = 'caller'\nlisting_seconds = 60\n"), "needs credentials of Keyward's own"),
            (format!("{AT}[upstream.credentials]\n"), "`upstream.credentials.source` is missing"),
            (format!("{AT}[upstream.credentials]\nsource = 'vault'\n"), "must be one of access_key, environment"),
            (
                format!("{AT}[upstream.credentials]\nsource = 'access_key'\nid = 'K'\n"),
                "the secret of the access key is missing",
            ),
            (
                format!("{AT}[upstream.credentials]\nsource = 'access_key'\nid = 'K'\nsecret = 's'\n"),
                "unknown entry `upstream.credentials.secret`",
            ),
            (format!("{AT}{OWN}role = 'r'\n"), "unknown entry `upstream.credentials.role`"),
            (format!("{AT}{OWN}[[upstream.callers]]\n"), "`upstream.callers.arn` is missing"),
            (
                format!("{AT}{OWN}[[upstream.callers]]\narn = 'app'\ncredentials = {{ source = 'environment' }}\n"),
                "is no caller",
            ),
            (format!("{AT}sign_as = 'caller'\n{VENDED}"), "mean nothing to KMS"),
            (format!("{AT}mode = 'pass-through'\n{VENDED}"), "mean nothing to KMS"),
            ("[signatures]\ntrust_upstream = true\n".to_owned(), "the embedded KMS does not"),
            (format!("{AT}{OWN}[signatures]\ntrust_upstream = true\n"), "nobody verifies what Keyward signs anew"),
            ("[throttle]\ncryptography_per_second = 0\n".to_owned(), "whole number from 1"),
        ] {
            let problems = read(&text).err().unwrap_or_default();
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:#?}");
        }
        let seed = LEAST.replace("[policies]", "seed = 's'\n[policies]");
        let problems = Settings::parse(&format!("{seed}{AT}{OWN}"), Path::new("/etc")).err().unwrap();
        assert!(problems[0].message.contains("is for the embedded KMS"), "{problems:?}");
    }

    #[test]
    fn callers_have_credentials_of_their_own() {
        let text = "[upstream]\nendpoint = 'https://kms.example'\nsign_as = 'caller'\n[[upstream.callers]]\n\
                    arn = 'acs:ram::2:role/App'\ncredentials = { source = 'uri', account = '3' }\n[[upstream.callers]]\n\
                    arn = 'acs:ram::1:user/alice'\ncredentials = { source = 'ecs_ram_role', role = 'r' }\n";
        let callers = read(text).unwrap().upstream.unwrap().credentials.callers;
        let found: Vec<(&str, &str)> =
            callers.iter().map(|(arn, account, _)| (arn.as_str(), account.as_str())).collect();
        assert_eq!(found, [("acs:ram::2:role/app", "3"), ("acs:ram::1:user/alice", "1")]);
    }
}
