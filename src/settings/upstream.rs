//! `[upstream]`: the KMS that requests are forwarded to, and how.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::credentials::{self, CredentialSource};
use super::endpoint::{self, Endpoint, is_authority, is_host_name, undialled};
use super::networks;
use crate::authz::parse_principal;
use crate::kms::{Api, Operation, is_account_id};
use crate::policy::Identity;
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
    let endpoint = section.parsed("endpoint", endpoint::parse);
    let networks = networks(section, "networks");
    if let Some(endpoint) = &endpoint {
        check_address(section, endpoint, &networks);
    }
    let mode = mode(section);
    let (credentials, is_given) = credentials(section, mode, account, folder);
    if mode == Mode::ReSign(SignAs::Keyward) && !is_given {
        section.problem(
            "mode = \"re-sign\" needs credentials to sign with: write [upstream.credentials], or sign_as = \"caller\"",
        );
    }
    let ca = authorities(section, endpoint.as_ref(), folder);
    let of_endpoint = |endpoint: &Endpoint| endpoint.host.strip_suffix('.').unwrap_or(&endpoint.host).to_owned();
    let lookups = section.boolean("lookups").unwrap_or(true);
    let listing = seconds(section, "listing_seconds", 0..86_401, 0);
    let upstream = Upstream {
        server_name: server_name(section).or_else(|| endpoint.as_ref().map(of_endpoint)).unwrap_or_default(),
        also_named: also_named(section),
        ca,
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
        networks,
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
    if upstream.listing.is_some_and(|listing| listing >= upstream.remember) {
        section.report_at("listing_seconds", "must be less than remember_seconds: what is listed is forgotten by then");
    }
    section.finish();
    Some(upstream)
}

/// KMS serves one region at an address, and its keys have that in their ARNs.
pub(super) fn check_region(section: &Section<'_>, upstream: &Upstream, region: &str) {
    let name = upstream.endpoint.host.strip_suffix(".aliyuncs.com");
    let of_name = name.and_then(|name| name.strip_prefix("kms.").or_else(|| name.strip_prefix("kms-vpc.")));
    if let Some(found) = of_name.filter(|found| *found != region) {
        section.report_at("endpoint", format!("is KMS in {found}, and kms.region is {region}"));
    }
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

/// An address that is never dialled would be a KMS that is never there.
fn check_address(section: &Section<'_>, endpoint: &Endpoint, networks: &[IpNet]) {
    if let Some(why) = endpoint.literal().and_then(|address| undialled(address, networks)) {
        section.report_at("endpoint", format!("names {}, which {why}", endpoint.shown_host()));
    }
}

fn server_name(section: &Section<'_>) -> Option<String> {
    section.parsed("server_name", |text| {
        if is_host_name(text) || text.parse::<IpAddr>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err("must be the name of a host, or an address, as the certificate of KMS has it")
        }
    })
}

fn also_named(section: &Section<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, place) in section.strings("also_named").unwrap_or_default() {
        if !is_authority(name) {
            let what = "which is no name of a host; write for example \"kms-vpc.cn-hangzhou.aliyuncs.com\"";
            section.report_place(place, format!("`upstream.also_named` holds `{name}`, {what}"));
        }
        names.push(name.to_lowercase());
    }
    names
}

fn authorities(section: &Section<'_>, endpoint: Option<&Endpoint>, folder: &Path) -> Option<PathBuf> {
    let file = section.string("ca")?;
    if file.is_empty() {
        section.report_at("ca", "must be a file with the authorities of KMS's certificate, in PEM");
    } else if endpoint.is_some_and(|endpoint| !endpoint.secure) {
        section.report_at("ca", "is for https: without TLS, KMS shows no certificate");
    }
    Some(folder.join(file))
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
        let why = "is for mode = \"re-sign\": what is passed through has its client's signature; remove it";
        section.report_at("sign_as", why);
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

/// Credentials, and whether any are named, perhaps with mistakes.
fn credentials(section: &Section<'_>, mode: Mode, account: Option<&str>, folder: &Path) -> (UpstreamCredentials, bool) {
    let own = section.section("credentials");
    let of = account_of(&own).or_else(|| account.map(str::to_owned));
    let is_own_there = own.is_there();
    let own = is_own_there.then(|| credentials::read(&own, folder)).flatten();
    let listed = section.listed_sections("callers");
    if let (Mode::PassThrough, Some(first)) = (mode, listed.first()) {
        let what = "is for mode = \"re-sign\": what is passed through has its client's signature; remove it";
        section.report_place(first.place(), format!("`upstream.callers` {what}"));
    }
    let mut callers: Vec<(String, String, CredentialSource)> = Vec::new();
    let mut seen = Vec::new();
    for caller in &listed {
        caller.require("arn", "the caller that these credentials are for: a user, a role or an account's root");
        let arn = caller.parsed("arn", |text| {
            let principal = parse_principal(text)?;
            match &principal.identity {
                Identity::Session { role, .. } if text.contains(":assumed-role/") => Err(format!(
                    "is one session; all sessions of a role have its credentials: name the role, …:role/{role}"
                )),
                _ => Ok((principal.role_arn(), principal.account.to_string())),
            }
        });
        if let Some((arn, _)) = &arn {
            if seen.contains(arn) {
                caller.report_at("arn", format!("names {arn} a second time; each caller has one entry"));
            }
            seen.push(arn.clone());
        }
        let found = caller.section("credentials");
        let account = account_of(&found);
        let source = credentials::read(&found, folder);
        caller.finish();
        if let (Some((arn, own)), Some(source)) = (arn, source) {
            callers.push((arn, account.unwrap_or(own), source));
        }
    }
    (UpstreamCredentials { own: of.zip(own), callers }, is_own_there || !listed.is_empty())
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
mod tests;
