//! `[listen]`, `[tls]` and `[credentials]`: where clients come in, and what is handed to them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::authn::{SESSION_SECONDS_DEFAULT, SESSION_SECONDS_MAX, SESSION_SECONDS_MIN, is_session_name};
use crate::kms::parse_role_arn;
use crate::source::toml::Section;

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For applications, over plain HTTP.
    pub api: Option<SocketAddr>,
    /// For applications, over TLS.
    pub tls: Option<(SocketAddr, Tls)>,
    /// For applications on this machine: a Unix socket.
    pub socket: Option<Socket>,
    /// For metrics and health.
    pub admin: SocketAddr,
    /// For probes alone: whether it lives, and takes requests.
    pub health: Option<SocketAddr>,
    /// A Unix socket at which a successor takes over.
    pub handover: Option<PathBuf>,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Its file.
    pub path: PathBuf,
    /// The permissions of that file.
    pub mode: u32,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Our certificate and those that lead to its authority: PEM.
    pub certificate: PathBuf,
    /// Its private key: PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are taken: PEM; `None` if no client shows one.
    pub client_ca: Option<PathBuf>,
    /// Whether who shows no certificate is turned away.
    pub require_client_certificate: bool,
}

/// `[credentials]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Where they are handed out: on loopback, or at a Unix socket.
    pub at: CredentialsDoor,
    /// The account and name of the role whose sessions they are.
    pub role: (String, String),
    /// The name of those sessions.
    pub session_name: String,
    /// How long each of them lasts.
    pub duration: Duration,
}

/// Where credentials are handed out, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsDoor {
    /// On loopback, to whoever knows the token in this file.
    Loopback(SocketAddr, PathBuf),
    /// At a Unix socket, to processes of these users.
    Socket(Socket, Vec<u32>),
}

/// The permissions of a Unix socket when nothing else is said.
const SOCKET_MODE: u32 = 0o660;

/// The longest path of a Unix socket, in bytes: that is how much room the system has for it.
const SOCKET_BYTES_MAX: usize = 107;

/// The longest hidden name of a socket and the slash before it, in bytes: `/.keyward-4194304.sock`.
const HIDDEN_BYTES: usize = 22;

/// How long vended credentials last when nothing else is said, and at most, in seconds. The SDKs fetch new ones a quarter
/// of an hour before the end, so that shorter ones would be fetched at every call.
const VENDED_SECONDS: std::ops::Range<u64> = SESSION_SECONDS_MIN as u64..SESSION_SECONDS_MAX as u64 + 1;

pub(super) fn listen(section: &Section<'_>, tls: Option<Tls>, folder: &Path) -> Option<Listen> {
    let off = section.string("api") == Some("off");
    let api = if off { None } else { address(section, "api", Some("127.0.0.1:7480")) };
    let tls_address = address(section, "tls", None);
    let admin = address(section, "admin", Some("127.0.0.1:7481"));
    let socket = socket(section, "socket", folder);
    let health = address(section, "health", None);
    let handover = socket_path(section, "handover", folder);
    if !section.boolean("beyond_loopback").unwrap_or(false) {
        for (name, address) in [("api", api), ("tls", tls_address), ("admin", admin), ("health", health)] {
            if address.is_some_and(|address| !address.ip().is_loopback()) {
                section.report_at(name, "is reachable from other machines; if you mean it, set beyond_loopback = true");
            }
        }
    }
    let same =
        |one: Option<SocketAddr>, other: Option<SocketAddr>| one.is_some_and(|it| it.port() != 0) && one == other;
    if same(admin, api) || same(admin, tls_address) {
        section.report_at("admin", "must be another address than those of the API");
    }
    if same(health, api) || same(health, tls_address) || same(health, admin) {
        section.report_at("health", "must be an address of its own");
    }
    if same(api, tls_address) {
        section.report_at("tls", "must be another address than listen.api");
    }
    if off && tls_address.is_none() && socket.is_none() {
        section.report_at("api", "is off, and neither listen.tls nor listen.socket is set: nobody could come in");
    }
    if tls_address.is_none() && tls.is_some() {
        section.problem("[tls] names a certificate, and listen.tls is not set: nobody would see it");
    }
    if tls_address.is_some() && tls.is_none() {
        section.report_at("tls", "needs a certificate and its key; name both in [tls]");
    }
    section.finish();
    Some(Listen { api, tls: tls_address.zip(tls), socket, admin: admin?, health, handover })
}

fn address(section: &Section<'_>, name: &'static str, default: Option<&'static str>) -> Option<SocketAddr> {
    let parse = |text: &str| {
        text.parse::<SocketAddr>().map_err(|_| "must be an IP address with a port, such as \"127.0.0.1:7480\"")
    };
    match section.parsed(name, parse) {
        None if section.string(name).is_none() => default?.parse().ok(),
        parsed => parsed,
    }
}

/// The path of a socket, which is bound under a hidden name beside it at first. Both have to be short.
fn socket_path(section: &Section<'_>, name: &'static str, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(section.string(name)?);
    let bytes = path.as_os_str().len();
    let of_folder = path.parent().map_or(0, |folder| folder.as_os_str().len());
    let most = SOCKET_BYTES_MAX - HIDDEN_BYTES;
    if bytes > SOCKET_BYTES_MAX {
        section.report_at(
            name,
            format!("is too long for a Unix socket: the whole path has {bytes} bytes, and at most {SOCKET_BYTES_MAX} are possible"),
        );
    } else if of_folder > most {
        section.report_at(
            name,
            format!("is in a folder whose path is too long for Unix sockets: it has {of_folder} bytes; at most {most} are possible"),
        );
    }
    Some(path)
}

/// Each socket has a path of its own.
pub(super) fn check_sockets(root: &Section<'_>, listen: Option<&Listen>, credentials: Option<&Credentials>) {
    let api = listen.and_then(|listen| listen.socket.as_ref()).map(|socket| &socket.path);
    let handover = listen.and_then(|listen| listen.handover.as_ref());
    let vended = credentials.and_then(|credentials| match &credentials.at {
        CredentialsDoor::Socket(socket, _) => Some(&socket.path),
        CredentialsDoor::Loopback(..) => None,
    });
    for (section, name, path, other, another) in [
        ("listen", "handover", handover, "listen.socket", api),
        ("listen", "handover", handover, "credentials.socket", vended),
        ("credentials", "socket", vended, "listen.socket", api),
    ] {
        if path.is_some() && path == another {
            root.section(section).report_at(name, format!("must be another path than {other}"));
        }
    }
}

fn socket(section: &Section<'_>, name: &'static str, folder: &Path) -> Option<Socket> {
    let mode = section.parsed("socket_mode", |text| {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() >= 3);
        mode.ok_or("must be the permissions in octal, such as \"0660\"")
    });
    if section.string(name).is_none() && mode.is_some() {
        section.report_at("socket_mode", "is for a socket, and none is set");
    }
    let path = socket_path(section, name, folder)?;
    Some(Socket { path, mode: mode.unwrap_or(SOCKET_MODE) })
}

pub(super) fn tls(section: &Section<'_>, folder: &Path) -> Option<Tls> {
    let file = |name| section.string(name).map(|file| folder.join(file));
    let (certificate, key, client_ca) = (file("certificate"), file("key"), file("client_ca"));
    let required = section.boolean("require_client_certificate").unwrap_or(false);
    match (&certificate, &key) {
        (Some(_), None) => section.require("key", "the private key of tls.certificate"),
        (None, Some(_)) => section.require("certificate", "the certificate of tls.key"),
        _ => {}
    }
    if certificate.is_none() && client_ca.is_some() {
        section.report_at("client_ca", "needs tls.certificate and tls.key");
    }
    if required && client_ca.is_none() {
        section
            .report_at("require_client_certificate", "needs tls.client_ca: without it no certificate can be verified");
    }
    section.finish();
    Some(Tls { certificate: certificate?, key: key?, client_ca, require_client_certificate: required })
}

pub(super) fn credentials(root: &Section<'_>, folder: &Path) -> Option<Credentials> {
    let section = root.section("credentials");
    let role = section.parsed("role", |text| {
        let role = parse_role_arn(text).map(|(account, role)| (account.to_owned(), role.to_lowercase()));
        role.ok_or("must be the ARN of a role, such as \"acs:ram::1234567890123456:role/orders\"")
    });
    let session_name = section.parsed("session_name", |text| {
        let legal = Some(text.to_owned()).filter(|text| is_session_name(text));
        legal.ok_or("must have 2 to 64 characters from A-Z a-z 0-9 . @ _ -")
    });
    let seconds = section.integer("duration_seconds", VENDED_SECONDS).unwrap_or(SESSION_SECONDS_DEFAULT.into());
    let at = door(&section, folder);
    if section.string("role").is_none() && at.is_some() {
        section.require("role", "the role whose sessions are handed out");
    }
    section.finish();
    let session_name = session_name.unwrap_or_else(|| "keyward".to_owned());
    Some(Credentials { at: at?, role: role?, session_name, duration: Duration::from_secs(seconds) })
}

/// Where credentials are handed out: at exactly one door, each with its own guard.
fn door(section: &Section<'_>, folder: &Path) -> Option<CredentialsDoor> {
    let address = address(section, "listen", None);
    let socket = socket(section, "socket", folder);
    let token = section.string("token_file").map(|file| folder.join(file));
    let users = section.integers("unix_users", 0..u64::from(u32::MAX));
    let users =
        users.map(|users| users.into_iter().filter_map(|(uid, _)| u32::try_from(uid).ok()).collect::<Vec<u32>>());
    match (address, socket) {
        (Some(_), Some(_)) => section.report_at("socket", "and credentials.listen cannot both be set"),
        (Some(address), None) if !address.ip().is_loopback() => {
            section.report_at("listen", "must be a loopback address: whoever reaches it is handed credentials");
        }
        (Some(address), None) => match token {
            Some(token) => return Some(CredentialsDoor::Loopback(address, token)),
            None => {
                section.require("token_file", "the file with the token that is part of the address; made when missing")
            }
        },
        (None, Some(socket)) => match users {
            Some(users) if !users.is_empty() => return Some(CredentialsDoor::Socket(socket, users)),
            _ => section.require("unix_users", "the user ids of the processes that may have credentials"),
        },
        (None, None) if section.string("role").is_some() => {
            section.problem("credentials.role needs credentials.listen or credentials.socket");
        }
        (None, None) if token.is_some() || users.is_some() => {
            section.problem("credentials needs a role, and listen or socket");
        }
        (None, None) => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    const LEAST: &str = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";

    fn problems(text: &str) -> Vec<String> {
        let problems = Settings::parse(&format!("{LEAST}{text}"), Path::new("/etc")).err().unwrap_or_default();
        problems.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn doors_are_read() {
        let text = format!(
            "{LEAST}[listen]\napi = 'off'\ntls = '127.0.0.1:1'\nsocket = 's'\nsocket_mode = '0600'\n[tls]\ncertificate = 'c'\nkey = 'k'\n\
             client_ca = 'a'\n[credentials]\nlisten = '127.0.0.1:2'\ntoken_file = 't'\nrole = 'acs:ram::1:role/App'\n"
        );
        let settings = Settings::parse(&text, Path::new("/etc")).unwrap();
        assert_eq!(settings.listen.api, None);
        assert_eq!(settings.listen.socket, Some(Socket { path: "/etc/s".into(), mode: 0o600 }));
        let (address, tls) = settings.listen.tls.unwrap();
        assert_eq!((address.port(), tls.client_ca), (1, Some("/etc/a".into())));
        let credentials = settings.credentials.unwrap();
        assert_eq!(credentials.role, ("1".to_owned(), "app".to_owned()));
        assert_eq!(credentials.at, CredentialsDoor::Loopback("127.0.0.1:2".parse().unwrap(), "/etc/t".into()));
        assert_eq!((credentials.session_name.as_str(), credentials.duration), ("keyward", Duration::from_secs(3600)));
    }

    #[test]
    fn sockets_have_short_paths_of_their_own() {
        let of = |bytes: usize| "s".repeat(bytes - "/etc/".len());
        let in_folder = |bytes: usize| format!("{}/s", of(bytes));
        for (text, expected) in [
            (format!("[listen]\nsocket = '{}'", of(107)), None),
            (
                format!("[listen]\nsocket = '{}'", of(108)),
                Some("`listen.socket` is too long for a Unix socket: the whole path has 108"),
            ),
            (format!("[listen]\nhandover = '{}'", of(108)), Some("`listen.handover` is too long")),
            (format!("[listen]\nsocket = '{}'", in_folder(85)), None),
            (format!("[listen]\nsocket = '{}'", in_folder(86)), Some("is in a folder whose path is too long")),
            (
                format!("[credentials]\nrole = 'acs:ram::1:role/a'\nunix_users = [1]\nsocket = '{}'", of(108)),
                Some("`credentials.socket` is too long"),
            ),
            (
                "[listen]\nsocket = 's'\nhandover = './s'".to_owned(),
                Some("`listen.handover` must be another path than listen.socket"),
            ),
            (
                "[listen]\nhandover = 's'\n[credentials]\nrole = 'acs:ram::1:role/a'\nunix_users = [1]\nsocket = 's'"
                    .to_owned(),
                Some("`listen.handover` must be another path than credentials.socket"),
            ),
            (
                "[listen]\nsocket = 's'\n[credentials]\nrole = 'acs:ram::1:role/a'\nunix_users = [1]\nsocket = 's'"
                    .to_owned(),
                Some("`credentials.socket` must be another path than listen.socket"),
            ),
        ] {
            let problems = problems(&text);
            match expected {
                None => assert_eq!(problems, [""; 0]),
                Some(part) => assert!(problems.len() == 1 && problems[0].contains(part), "{text}: {problems:?}"),
            }
        }
    }

    #[test]
    fn doors_that_nobody_could_mean_are_refused() {
        for (text, expected) in [
            ("[listen]\napi = 'off'", "nobody could come in"),
            ("[listen]\ntls = '127.0.0.1:1'", "needs a certificate and its key"),
            ("[listen]\ntls = '0.0.0.0:1'\n[tls]\ncertificate = 'c'\nkey = 'k'", "reachable from other machines"),
            ("[listen]\nsocket = 's'\nsocket_mode = '888'", "permissions in octal"),
            ("[tls]\ncertificate = 'c'", "`tls.key` is missing"),
            (
                "[listen]\ntls = '127.0.0.1:1'\n[tls]\ncertificate = 'c'\nkey = 'k'\nrequire_client_certificate = true",
                "needs tls.client_ca",
            ),
            ("[credentials]\nrole = 'acs:ram::1:role/a'", "needs credentials.listen or credentials.socket"),
            ("[listen]\nsocket_mode = '0600'", "is for a socket, and none is set"),
            ("[tls]\ncertificate = 'c'\nkey = 'k'", "listen.tls is not set"),
            ("[tls]\nclient_ca = 'a'", "needs tls.certificate and tls.key"),
            ("[credentials]\ntoken_file = 't'", "needs a role, and listen or socket"),
            ("[credentials]\nrole = 'app'\nsocket = 's'\nunix_users = [1]", "must be the ARN of a role"),
            ("[credentials]\nsocket = 's'\nunix_users = [1]", "`credentials.role` is missing"),
            ("[credentials]\nrole = 'acs:ram::1:role/a'\nsocket = 's'", "`credentials.unix_users` is missing"),
            (
                "[credentials]\nrole = 'acs:ram::1:role/a'\nlisten = '127.0.0.1:1'",
                "`credentials.token_file` is missing",
            ),
            (
                "[credentials]\nrole = 'acs:ram::1:role/a'\nlisten = '10.0.0.1:1'\ntoken_file = 't'",
                "must be a loopback address",
            ),
        ] {
            let problems = problems(text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }
}
