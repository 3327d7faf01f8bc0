//! Framing: heads that two HTTP parsers could read differently are refused, before anything else looks at them.
//!
//! pingora repairs some of these (two lengths, a length beside chunks, bare line feeds), and a repaired request is not
//! the request that was sent. Works on the raw bytes of the head; pure.

/// Most header fields; official clients send about twenty.
const FIELDS_MAX: usize = 64;

/// Most bytes of the header fields together, without the request line.
const FIELDS_BYTES_MAX: usize = 16 * 1024;

/// Checks the head of a request.
///
/// # Errors
/// A fragment for the client: what is wrong with it.
pub fn check(head: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(head).map_err(|_| "the head is not UTF-8")?;
    // Some clients send an empty line before a request (RFC 9112 §2.2).
    let lines =
        text.trim_start_matches("\r\n").strip_suffix("\r\n\r\n").ok_or("the head does not end in an empty line")?;
    let (request_line, fields) = lines.split_once("\r\n").unwrap_or((lines, ""));
    if lines.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err("lines must end in CR LF");
    }
    if fields.len() > FIELDS_BYTES_MAX {
        return Err("the header fields are too long");
    }
    check_request_line(request_line)?;
    let fields = fields.split("\r\n").filter(|line| !line.is_empty()).map(field).collect::<Result<Vec<_>, _>>()?;
    if fields.len() > FIELDS_MAX {
        return Err("there are too many header fields");
    }
    check_fields(&fields)
}

fn check_request_line(line: &str) -> Result<(), &'static str> {
    match line.split(' ').collect::<Vec<_>>().as_slice() {
        [_, target, "HTTP/1.1" | "HTTP/1.0"]
            if target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') =>
        {
            Ok(())
        }
        [_, _, "HTTP/1.1" | "HTTP/1.0"] => Err("the target holds bytes that no target may have"),
        _ => Err("the request line is not of the form METHOD TARGET HTTP/1.1"),
    }
}

fn field(line: &str) -> Result<(&str, &str), &'static str> {
    let (name, value) = line.split_once(':').ok_or("a header field has no colon")?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("the name of a header field is not valid");
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

fn check_fields(fields: &[(&str, &str)]) -> Result<(), &'static str> {
    let values = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value).collect()
    };
    match (values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
        ([], []) => {}
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {}
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => {}
        _ => return Err("the length of the body must be stated once: Content-Length, or Transfer-Encoding: chunked"),
    }
    if !matches!(values("host").as_slice(), [host] if is_host(host)) {
        return Err("there must be one Host: a name or an address, and a port or none");
    }
    let tokens = values("connection").join(",").to_ascii_lowercase();
    if tokens.split(',').map(str::trim).any(|token| !matches!(token, "" | "keep-alive" | "close")) {
        return Err("Connection may only say keep-alive or close");
    }
    match values("expect").as_slice() {
        [] => Ok(()),
        [expectation] if expectation.eq_ignore_ascii_case("100-continue") => Ok(()),
        _ => Err("only 100-continue can be expected"),
    }
}

/// `name`, `name:port`, `[address]` or `[address]:port`.
fn is_host(host: &str) -> bool {
    let made_of = |text: &str, legal: fn(u8) -> bool| text.bytes().all(legal);
    let (name, port, is_legal): (_, _, fn(u8) -> bool) = match host.strip_prefix('[').and_then(|it| it.split_once(']'))
    {
        Some((address, rest)) => (address, rest, |byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)),
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            (name, port, |byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    let has_legal_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|it| made_of(it, |it| it.is_ascii_digit()));
    !name.is_empty() && made_of(name, is_legal) && has_legal_port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(fields: &str) -> Result<(), &'static str> {
        check(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
    }

    #[test]
    fn what_clients_send_is_taken() {
        for fields in [
            "",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "connection: Keep-Alive\r\n",
            "Connection: close\r\nAccept: */*\r\n",
            "Expect: 100-continue\r\nContent-Length: 5\r\n",
            "X-Empty:\r\n",
        ] {
            assert_eq!(checked(fields), Ok(()), "{fields:?}");
        }
        assert_eq!(check(b"\r\nGET /?a=b HTTP/1.0\r\nHost: a\r\n\r\n"), Ok(()));
    }

    #[test]
    fn what_could_be_framed_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Host: b\r\n",
            "Connection: x-acs-action\r\n",
            "Connection: close, Authorization\r\n",
            "Connection: upgrade\r\n",
            "Expect: nothing\r\n",
            "A: b\n",
            "A: b\r\n c\r\n",
            "A : b\r\n",
            "A\r\n",
            ": b\r\n",
        ] {
            assert!(checked(fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_and_a_port() {
        for (host, is_one) in [
            ("a", true),
            ("127.0.0.1:7480", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]:7480", true),
            ("kms_sidecar.", true),
            ("a:", true),
            ("", false),
            (":80", false),
            ("a:b", false),
            ("a:80:80", false),
            ("a, b", false),
            ("u@a", false),
            ("a/x", false),
            ("[a", false),
            ("[::1]x", false),
            ("\u{e9}", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(check(head.as_bytes()).is_ok(), is_one, "{host:?}");
        }
    }

    #[test]
    fn other_heads_are_refused() {
        for head in [
            &b"POST / HTTP/1.1\r\n\r\n"[..],
            b"POST / HTTP/1.1\nHost: a\n\n",
            b"POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/2.0\r\nHost: a\r\n\r\n",
            b"POST /\r\nHost: a\r\n\r\n",
            b"POST /?a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /?\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\xff\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\n",
            b"",
        ] {
            assert!(check(head).is_err(), "{}", head.escape_ascii());
        }
        let many = "A: b\r\n".repeat(FIELDS_MAX);
        assert_eq!(checked(&many), Err("there are too many header fields"));
        let long = format!("A: {}\r\n", "b".repeat(FIELDS_BYTES_MAX));
        assert_eq!(checked(&long), Err("the header fields are too long"));
    }
}
