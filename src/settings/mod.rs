//! What the operator wrote in `keyward.toml`, checked once and turned into what the program needs.
//!
//! Every mistake is reported, each with its place and what would be right. Defaults stand in this room and are shown in
//! `config/keyward.toml`. Paths are relative to the folder of the settings file.

mod credentials;
mod endpoint;
mod listen;
mod policies;
mod text;
mod throttle;
mod upstream;
mod written;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use credentials::{CredentialSource, SecretPlace};
pub use endpoint::{Endpoint, undialled};
pub use listen::{Credentials, CredentialsDoor, Listen, Socket, Tls};
pub use policies::{OnInvalid, Policies};
pub use text::{open_text, read_bounded, read_text, unreadable};
pub use throttle::Throttle;
pub use upstream::{Mode, Patience, PolicyOperations, SignAs, Upstream, UpstreamCredentials};
pub use written::Written;

use crate::authn::IdentityRules;
use crate::kms::{Algorithm, is_account_id, is_region_id, role_arn};
use crate::policy::AccountPrincipal;
use crate::source::toml::{self, Section};
use crate::source::{Problem, shown, suggest};

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Credentials that are handed to a workload; `None` if none are.
    pub credentials: Option<Credentials>,
    /// What is served; and the embedded KMS, unless there is another one.
    pub kms: Kms,
    /// The KMS that requests are forwarded to; `None` for the embedded one.
    pub upstream: Option<Upstream>,
    /// Policies and identities on disk.
    pub policies: Policies,
    /// Signatures, and how long requests are remembered.
    pub signatures: Signatures,
    /// What of a request's origin is known here.
    pub network: Network,
    /// How policies are read and refusals are answered.
    pub authorization: Authorization,
    /// What a client may use up.
    pub limits: Limits,
    /// How much each caller may ask for.
    pub throttle: Throttle,
    /// Logs and audit lines.
    pub log: Log,
    /// Where all of this stands.
    pub written: Written,
}

/// `[kms]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kms {
    /// The region that is served.
    pub region: String,
    /// The account that owns what the seed and the policy folder describe.
    pub account: String,
    /// The folder of the embedded KMS's storage; with another KMS, of the key of role sessions.
    pub data: PathBuf,
    /// What the embedded KMS holds on its first start.
    pub seed: Option<PathBuf>,
    /// How many foreign accounts the policies of one KMS instance may name.
    pub foreign_accounts: usize,
}

/// `[signatures]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// What proves an identity.
    pub rules: IdentityRules,
    /// How many requests are remembered, so that none is taken twice; 0 remembers none.
    pub nonces: usize,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Proxies that begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
    /// The VPC that requests come from, for `acs:SourceVpc`.
    pub source_vpc: Option<String>,
}

/// `[authorization]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// How `acs:ram::ACCOUNT:*` in a key or secret policy is read.
    pub account_principal: AccountPrincipal,
    /// Whether answers say which policy refused.
    pub explain_denials: bool,
    /// The status of `Forbidden.NoPermission` for every operation; `None` for the documented ones.
    pub no_permission_status: Option<u16>,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// How long a client may take to send one request.
    pub request: Duration,
    /// How many clients may be connected at the same time.
    pub connections: usize,
    /// How long clients are let in after SIGTERM, while readiness says no and answers close their connections.
    pub notice: Duration,
    /// How long running requests may take to end after that.
    pub drain: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which logs are written, in the notation of `tracing`'s filters.
    pub level: String,
    /// How they look.
    pub format: LogFormat,
    /// Where audit lines go.
    pub audit: AuditTarget,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where audit lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To the end of a file.
    File(PathBuf),
}

impl Settings {
    /// Reads the settings file.
    ///
    /// # Errors
    /// Every problem, each naming the file and the place.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let name = shown(path);
        let text = read_text(path).map_err(|message| {
            vec![Problem::of_file(&name, format!("{message}; name another settings file with --config FILE"))]
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        match Self::parse(&text, folder) {
            Ok(settings) => Ok(Self { written: settings.written.in_file(&name), ..settings }),
            Err(problems) => Err(problems.into_iter().map(|problem| problem.in_file(&name)).collect()),
        }
    }

    /// Reads settings from a text; `folder` is where relative paths begin.
    ///
    /// # Errors
    /// Every problem with its place.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        toml::read(text, |root| {
            let tls = listen::tls(&root.section("tls"), folder);
            let listen = listen::listen(&root.section("listen"), tls, folder);
            let credentials = listen::credentials(root, folder);
            let kms_section = root.section("kms");
            let upstream = root.section("upstream");
            let upstream =
                upstream.is_there().then(|| upstream::read(&upstream, kms_section.string("account"), folder));
            listen::check_sockets(root, listen.as_ref(), credentials.as_ref());
            let kms = kms(&kms_section, upstream.is_some(), folder);
            let policies = policies::read(&root.section("policies"), folder);
            let upstream = upstream.flatten();
            if let (Some(kms), Some(upstream)) = (&kms, &upstream) {
                upstream::check_region(&root.section("upstream"), upstream, &kms.region);
            }
            if let (Some(vended), Some(upstream)) = (&credentials, &upstream) {
                upstream::check_vended(&root.section("upstream"), upstream, &role_arn(&vended.role.0, &vended.role.1));
            }
            let signatures = signatures(&root.section("signatures"), upstream.as_ref());
            let network = network(&root.section("network"));
            let authorization = authorization(&root.section("authorization"));
            let limits = limits(&root.section("limits"));
            let throttle = throttle::read(&root.section("throttle"));
            let log = log(&root.section("log"), folder);
            let written = Written::of(text);
            let (listen, kms, policies) = (listen?, kms?, policies?);
            Some(Self {
                listen,
                credentials,
                kms,
                upstream,
                policies,
                signatures,
                network,
                authorization,
                limits,
                throttle,
                log,
                written,
            })
        })
    }
}

fn kms(section: &Section<'_>, is_elsewhere: bool, folder: &Path) -> Option<Kms> {
    section.require("account", "the account that owns the keys, for example \"1234567890123456\"");
    let account = section.parsed("account", |text| {
        if is_account_id(text) { Ok(text.to_owned()) } else { Err("must be an account id, which is digits only") }
    });
    let region = match section.string("region") {
        None => Some("cn-hangzhou".to_owned()),
        Some(_) => section.parsed("region", |text| {
            if is_region_id(text) { Ok(text.to_owned()) } else { Err("must be a region id such as \"cn-hangzhou\"") }
        }),
    };
    section.require(
        "data",
        match is_elsewhere {
            false => "the folder where the embedded KMS keeps keys and secrets",
            true => "the folder of session.key, with which role sessions are made",
        },
    );
    let data = section.string("data").map(|data| folder.join(data));
    let seed = section.string("seed").map(|seed| folder.join(seed));
    if is_elsewhere && seed.is_some() {
        section.report_at("seed", "is for the embedded KMS, and [upstream] names another one");
    }
    let foreign_accounts = section.integer("foreign_accounts", 0..100_001).unwrap_or(100);
    section.finish();
    let foreign_accounts = usize::try_from(foreign_accounts).ok()?;
    Some(Kms { region: region?, account: account?, data: data?, seed, foreign_accounts })
}

/// A memory that does not hold the requests of one second refuses the rest of them.
const NONCES_MIN: usize = 1000;

fn signatures(section: &Section<'_>, upstream: Option<&Upstream>) -> Signatures {
    let mut rules = IdentityRules::default();
    if let Some(given) = section.strings("accept") {
        let names = || Algorithm::ALL.iter().map(|algorithm| algorithm.name());
        rules.algorithms.clear();
        for (name, offset) in given {
            match Algorithm::find(name) {
                Some(algorithm) => rules.algorithms.push(algorithm),
                None => section.report_place(offset, format!("`{name}` is no way to sign{}", suggest(name, names()))),
            }
        }
    }
    // Nobody would verify what is trusted: the embedded KMS leaves that to us.
    rules.trust_upstream = section.boolean("trust_upstream").unwrap_or(false);
    match upstream.map(|upstream| upstream.mode) {
        None if rules.trust_upstream => section
            .report_at("trust_upstream", "is for a KMS that verifies signatures itself, and the embedded KMS does not"),
        Some(Mode::ReSign(_)) if rules.trust_upstream => section.report_at(
            "trust_upstream",
            "needs upstream.mode = \"pass-through\": nobody verifies what Keyward signs anew",
        ),
        _ => {}
    }
    let nonces = section.integer("nonces", 0..100_000_001).and_then(|nonces| usize::try_from(nonces).ok());
    if nonces.is_some_and(|nonces| (1..NONCES_MIN).contains(&nonces)) {
        section.report_at("nonces", format!("must be 0, or at least {NONCES_MIN}: that many may come within a second"));
    }
    section.finish();
    Signatures { rules, nonces: nonces.unwrap_or(1_000_000) }
}

fn network(section: &Section<'_>) -> Network {
    let network = Network {
        trusted_proxies: networks(section, "trusted_proxies"),
        proxy_protocol: networks(section, "proxy_protocol"),
        source_vpc: section.string("source_vpc").map(str::to_owned),
    };
    section.finish();
    network
}

fn networks(section: &Section<'_>, name: &'static str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (text, offset) in section.strings(name).unwrap_or_default() {
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => section.report_place(
                offset,
                format!(
                    "`{}` holds `{text}`; write addresses or networks such as \"10.0.0.0/8\"",
                    section.path_of(name)
                ),
            ),
        }
    }
    networks
}

fn authorization(section: &Section<'_>) -> Authorization {
    let account_principal = section.parsed("account_principal", |text| match text {
        "delegate" => Ok(AccountPrincipal::Delegates),
        "literal" => Ok(AccountPrincipal::Literal),
        _ => Err("must be \"delegate\" or \"literal\""),
    });
    let status = section.integer("no_permission_status", 400..500);
    let authorization = Authorization {
        account_principal: account_principal.unwrap_or_default(),
        explain_denials: section.boolean("explain_denials").unwrap_or(false),
        no_permission_status: status.and_then(|status| u16::try_from(status).ok()),
    };
    section.finish();
    authorization
}

fn limits(section: &Section<'_>) -> Limits {
    let number = |name, range, default| {
        section.integer(name, range).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    let limits = Limits {
        body_bytes: number("body_bytes", 1024..16_777_217, 262_144),
        request: Duration::from_secs(section.integer("request_seconds", 1..301).unwrap_or(10)),
        connections: number("connections", 1..1_000_001, 1024),
        notice: Duration::from_secs(section.integer("notice_seconds", 0..301).unwrap_or(1)),
        drain: Duration::from_secs(section.integer("drain_seconds", 0..301).unwrap_or(10)),
    };
    section.finish();
    limits
}

fn log(section: &Section<'_>, folder: &Path) -> Log {
    let format = section.parsed("format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be \"text\" or \"json\""),
    });
    let level = section.parsed("level", level);
    let audit = section.parsed("audit", |text| match text {
        "stdout" => Ok(AuditTarget::Stdout),
        "stderr" => Ok(AuditTarget::Stderr),
        "off" => Ok(AuditTarget::Off),
        // With a slash, so that a misspelt word does not become a file.
        path if path.contains('/') => Ok(AuditTarget::File(folder.join(path))),
        _ => Err("must be \"stdout\", \"stderr\", \"off\" or a path with a / in it, such as \"./audit.jsonl\""),
    });
    section.finish();
    Log {
        level: level.unwrap_or_else(|| "info".to_owned()),
        format: format.unwrap_or(LogFormat::Text),
        audit: audit.unwrap_or(AuditTarget::Stdout),
    }
}

/// A level, or filters such as `info,keyward::store=debug`. A bare word that is no level would silence everything.
fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let unknown = text.split(',').find(|part| !part.contains('=') && !LEVELS.contains(&part.trim()));
    if let Some(unknown) = unknown {
        return Err(format!("holds `{unknown}`, which is no level{}", suggest(unknown, LEVELS)));
    }
    let filter = tracing_subscriber::filter::EnvFilter::try_new(text);
    filter.map(|_| text.to_owned()).map_err(|error| format!("cannot be used: {error}"))
}

#[cfg(test)]
mod tests;
