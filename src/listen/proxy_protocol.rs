//! The PROXY protocol, versions 1 and 2: a proxy says at the beginning of a connection whose it is.

use std::io;
use std::net::IpAddr;

use pingora::protocols::l4::stream::Stream;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;

/// The longest header that is read, in bytes. Version 1 has at most 107; version 2 may bring a certificate along.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Reads the header. `None` if the proxy speaks for itself, as for its health checks.
///
/// # Errors
/// There is none, or it is not valid: then the connection is nobody's.
pub async fn read(stream: &mut Stream) -> io::Result<Option<IpAddr>> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        let mut piece = [0; 256];
        let count = stream.read(&mut piece).await?;
        let piece = piece.get(..count).unwrap_or_default();
        bytes.extend_from_slice(piece);
        if count == 0 || bytes.len() > HEADER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if let Some((client, length)) = parse(&bytes)? {
            // What follows the header is the client's.
            stream.rewind(bytes.get(length..).unwrap_or_default());
            return Ok(client);
        }
    }
}

/// The client, and how long the header is; `None` if it is not complete.
fn parse(bytes: &[u8]) -> io::Result<Option<(Option<IpAddr>, usize)>> {
    let parsed = HeaderResult::parse(bytes);
    if parsed.is_incomplete() {
        return Ok(None);
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    match parsed {
        HeaderResult::V1(header) => {
            let header = header.map_err(|_| invalid())?;
            let client = match header.addresses {
                v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
                v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
                v1::Addresses::Unknown => None,
            };
            Ok(Some((client, header.header.len())))
        }
        HeaderResult::V2(header) => {
            let header = header.map_err(|_| invalid())?;
            if header.protocol == v2::Protocol::Datagram {
                return Err(invalid());
            }
            let client = match (header.command, header.addresses) {
                // It speaks for itself, or does not know for whom.
                (v2::Command::Local, _) | (v2::Command::Proxy, v2::Addresses::Unspecified) => None,
                (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
                (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
                (v2::Command::Proxy, v2::Addresses::Unix(_)) => return Err(invalid()),
            };
            Ok(Some((client, header.header.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x12\x34\x1d\x38";

    #[test]
    fn headers_say_who_the_client_is() {
        let local = [V2.get(..12).unwrap(), b"\x20\0\0\0GET"].concat();
        let unspecified = [V2.get(..12).unwrap(), b"\x21\0\0\0GET"].concat();
        let datagram = [V2.get(..12).unwrap(), b"\x21\x12", V2.get(14..).unwrap()].concat();
        let unix = [V2.get(..12).unwrap(), b"\x21\x31\0\xd8", &[b'x'; 216]].concat();
        for (bytes, expected) in [
            (
                &b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 7480\r\nPOST / HTTP/1.1\r\n"[..],
                Ok(Some((Some("203.0.113.9"), 44))),
            ),
            (b"PROXY TCP6 2001:db8::9 ::1 4711 7480\r\n", Ok(Some((Some("2001:db8::9"), 38)))),
            (b"PROXY UNKNOWN\r\nPOST", Ok(Some((None, 15)))),
            (b"PROXY TCP4 203.0.113.9 127", Ok(None)),
            (V2, Ok(Some((Some("203.0.113.9"), 28)))),
            (V2.get(..20).unwrap(), Ok(None)),
            (&local, Ok(Some((None, 16)))),
            (&unix, Err(())),
            (&unspecified, Ok(Some((None, 16)))),
            (&datagram, Err(())),
            (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", Err(())),
            (b"PROXY TCP4 nonsense 127.0.0.1 4711 7480\r\n", Err(())),
        ] {
            let parsed = parse(bytes).map_err(drop);
            let expected =
                expected.map(|it| it.map(|(ip, length): (Option<&str>, _)| (ip.map(|ip| ip.parse().unwrap()), length)));
            assert_eq!(parsed, expected, "{}", bytes.escape_ascii());
        }
    }
}
