//! Where KMS is: the URL of its endpoint, and which addresses are never dialled, whoever names them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Where Alibaba Cloud's instances find their metadata.
const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Where KMS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Over TLS. Without it only on loopback.
    pub secure: bool,
    /// A name or an address, which has no brackets here.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// As it stands in the header `Host`: without the port where that is the usual one, with brackets around an address of
    /// version 6, and without the dot that ends a whole name.
    pub fn authority(&self) -> String {
        let host = self.shown_host();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if self.port == usual_port(self.secure) { host.to_owned() } else { format!("{host}:{}", self.port) }
    }

    /// The host as people write it: with brackets around an address of version 6.
    pub fn shown_host(&self) -> Cow<'_, str> {
        let is_v6 = self.host.parse::<Ipv6Addr>().is_ok();
        if is_v6 { Cow::Owned(format!("[{}]", self.host)) } else { Cow::Borrowed(&self.host) }
    }

    /// The address, if it is one.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Why an address is never dialled; `None` if it may be. Empty `networks` are all of them.
pub fn undialled(address: IpAddr, networks: &[IpNet]) -> Option<&'static str> {
    let address = address.to_canonical();
    let is_of_a_link = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let is_wanted = networks.is_empty() || networks.iter().any(|network| network.contains(&address));
    let reasons = [
        (is_of_a_link, "is an address of one link only, where no KMS is"),
        (address == METADATA, "is the address of the metadata service"),
        (address == Ipv4Addr::BROADCAST || address.is_multicast(), "is an address of many machines"),
        (address.is_unspecified(), "is the address of no machine"),
        (!is_wanted, "is outside upstream.networks"),
    ];
    reasons.into_iter().find(|(applies, _)| *applies).map(|(_, why)| why)
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// A fragment: what in it is wrong, and what would be right.
pub(super) fn parse(text: &str) -> Result<Endpoint, String> {
    let (secure, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, _)) => {
            return Err(format!("has the scheme `{scheme}`; only https is served, and http on loopback"));
        }
        None => {
            return Err("must be a URL with its scheme, such as \"https://kms.cn-hangzhou.aliyuncs.com\"".to_owned());
        }
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("must end after the host and its port: requests have no other path than /".to_owned());
    }
    if authority.contains('@') {
        return Err(
            "must hold no user name and no password: credentials have a place in [upstream.credentials]".to_owned()
        );
    }
    let (host, port) = parts(authority)?;
    let host = host.to_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if address.is_none() && !is_host_name(&host) {
        return Err(format!("names the host `{host}`, which is no name of a host and no address"));
    }
    if !secure && !address.is_some_and(|address| address.is_loopback()) {
        return Err("must be https: without TLS, it may only be an address on loopback, such as http://127.0.0.1:8080"
            .to_owned());
    }
    let port = port.map_or(Ok(usual_port(secure)), |text| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
        port.ok_or_else(|| format!("has the port `{text}`; write one from 1 to 65535, or none"))
    });
    Ok(Endpoint { secure, host, port: port? })
}

/// Host and port of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn parts(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').unwrap_or((bracketed, "?"));
        return match port.strip_prefix(':') {
            _ if host.parse::<Ipv6Addr>().is_err() => {
                Err(format!("holds `{authority}`; in brackets stands an IPv6 address, such as [2001:db8::1]"))
            }
            None if !port.is_empty() => {
                Err(format!("holds `{authority}`; after an address in brackets stands nothing, or : and its port"))
            }
            port => Ok((host, port)),
        };
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("must have brackets around an IPv6 address: [{authority}]"));
    }
    Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

/// Whether a text can be the name of a host, perhaps with the dot that ends a whole one.
pub(super) fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(is_legal) && !label.starts_with('-')
    };
    // The last label of an address is a number, and of a name it is not.
    let is_address = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !is_address && text.split('.').all(is_label)
}

/// Whether a text can stand in the header `Host`.
pub(super) fn is_authority(text: &str) -> bool {
    parse(&format!("https://{text}")).is_ok_and(|it| !text.ends_with('/') && !it.host.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_over_tls() {
        for (text, expected) in [
            ("https://kms.cn-hangzhou.aliyuncs.com", Ok((true, "kms.cn-hangzhou.aliyuncs.com", 443))),
            ("https://KMS.example:8443/", Ok((true, "kms.example", 8443))),
            ("https://kms.example.", Ok((true, "kms.example.", 443))),
            ("https://[2001:db8::1]:8443", Ok((true, "2001:db8::1", 8443))),
            ("https://[2001:db8::1]", Ok((true, "2001:db8::1", 443))),
            ("http://127.0.0.1:7480", Ok((false, "127.0.0.1", 7480))),
            ("http://[::1]:7480", Ok((false, "::1", 7480))),
            ("http://kms.example", Err("loopback, such as http://127.0.0.1:8080")),
            ("http://localhost:7480", Err("loopback, such as http://127.0.0.1:8080")),
            ("http://10.0.0.1", Err("loopback, such as http://127.0.0.1:8080")),
            ("https://user@kms.example", Err("no user name")),
            ("https://kms.example/path", Err("must end after the host")),
            ("https://kms.example/?a", Err("must end after the host")),
            ("https://kms.example#a", Err("must end after the host")),
            ("https://kms.example:99999", Err("the port `99999`; write one from 1 to 65535")),
            ("https://kms.example:0", Err("the port `0`")),
            ("https://kms.example:+1", Err("the port `+1`")),
            ("https://kms.example:", Err("the port ``")),
            ("https://2001:db8::1", Err("brackets around an IPv6 address: [2001:db8::1]")),
            ("https://[kms.example]", Err("in brackets stands an IPv6 address")),
            ("https://[::1", Err("after an address in brackets")),
            ("https://[::1]8443", Err("after an address in brackets")),
            ("https://kms example", Err("no name of a host")),
            ("https://kms..example", Err("no name of a host")),
            ("https://10.0.0.256", Err("no name of a host")),
            ("https://", Err("no name of a host")),
            ("kms.example", Err("with its scheme")),
            ("ftp://kms.example", Err("the scheme `ftp`")),
            ("", Err("with its scheme")),
        ] {
            match (parse(text), expected) {
                (Ok(found), Ok(right)) => {
                    assert_eq!((found.secure, found.host.as_str(), found.port), right, "{text}");
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for (text, authority) in [
            ("https://[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
            ("https://[2001:db8::1]:443", "[2001:db8::1]"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("https://kms.example.:443", "kms.example"),
            ("https://10.0.0.1:8443", "10.0.0.1:8443"),
        ] {
            let endpoint = parse(text).unwrap();
            assert_eq!(endpoint.authority(), authority);
            assert!(is_authority(authority));
        }
    }

    #[test]
    fn some_addresses_are_never_dialled() {
        for (address, networks, expected) in [
            ("203.0.113.1", &[][..], None),
            ("127.0.0.1", &[], None),
            ("169.254.1.1", &[], Some("one link")),
            ("fe80::1", &[], Some("one link")),
            ("100.100.100.200", &[], Some("metadata")),
            ("::ffff:100.100.100.200", &[], Some("metadata")),
            ("0.0.0.0", &[], Some("no machine")),
            ("::", &[], Some("no machine")),
            ("224.0.0.1", &[], Some("many machines")),
            ("ff02::1", &[], Some("many machines")),
            ("255.255.255.255", &[], Some("many machines")),
            ("10.0.0.1", &["100.64.0.0/10"], Some("outside upstream.networks")),
            ("100.100.0.1", &["100.64.0.0/10"], None),
        ] {
            let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
            let found = undialled(address.parse().unwrap(), &networks);
            match (found, expected) {
                (None, None) => {}
                (Some(why), Some(part)) => assert!(why.contains(part), "{address}: {why}"),
                _ => panic!("{address}: {found:?}"),
            }
        }
    }
}
