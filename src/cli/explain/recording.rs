//! A request in a file, as it came over the wire: head, empty line, body. Read as strictly as a served one.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::kms::{Origin, RawRequest};
use crate::proxy::check_framing;

/// A request that was read from a text.
#[derive(Debug)]
pub struct Recording {
    method: String,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Recording {
    /// Reads a request.
    ///
    /// # Errors
    /// A fragment: why this is no request that would be served.
    pub fn parse(text: &str) -> Result<Self, String> {
        let end =
            text.find("\r\n\r\n").map(|end| end + 4).ok_or("there is no empty line (CR LF CR LF) after its head")?;
        let (head, body) = text.split_at(end);
        check_framing(head.as_bytes())?;
        let mut lines = head.trim_start_matches("\r\n").split("\r\n").filter(|line| !line.is_empty());
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers: HeaderMap = lines.map(header).collect::<Result<_, _>>()?;
        check_length(&headers, body)?;
        Ok(Self { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_owned() })
    }

    /// The request as it would have come over such a connection.
    pub fn raw<'a>(&'a self, origin: &'a Origin) -> RawRequest<'a> {
        RawRequest {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            body: self.body.as_bytes(),
            origin,
        }
    }
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let wrong = || format!("header `{name}` is not valid");
    let value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| wrong())?;
    Ok((name.parse().map_err(|_| wrong())?, value))
}

/// A file that was cut off, or has a newline too many, is another request.
fn check_length(headers: &HeaderMap, body: &str) -> Result<(), String> {
    if headers.contains_key("transfer-encoding") {
        return Err("its body comes in chunks; write it in one piece, with Content-Length".to_owned());
    }
    let stated = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0_usize);
    if stated == body.len() {
        return Ok(());
    }
    Err(format!("its body has {} bytes, and Content-Length says {stated}", body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_sent() {
        let recording =
            Recording::parse("POST /?a=b HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\nContent-Length: 3\r\n\r\nc=d");
        let recording = recording.unwrap();
        let raw = recording.raw(Origin::unknown());
        assert_eq!((raw.method, raw.target, raw.body), ("POST", "/?a=b", &b"c=d"[..]));
        assert_eq!(raw.headers.get_all("x").iter().count(), 2, "repetitions are for others to judge");
    }

    #[test]
    fn what_would_not_be_served_is_no_request() {
        for (text, why) in [
            ("", "no empty line"),
            ("GET / HTTP/1.1\nHost: h\n\n", "no empty line"),
            ("GET / HTTP/1.1\r\n\r\n", "one Host"),
            ("GET /\r\nHost: h\r\n\r\n", "request line"),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\nabc", "has 3 bytes, and Content-Length says 0"),
            ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "in chunks"),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n", "header `X` is not valid"),
        ] {
            let said = Recording::parse(text).unwrap_err();
            assert!(said.contains(why), "{text:?}: {said}");
        }
    }
}
