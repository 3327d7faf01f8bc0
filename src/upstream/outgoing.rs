//! What is sent to KMS: a request that is permitted, written anew and signed, or as it came. Pure.
//!
//! Written anew, it says what was judged, each parameter once and in one way to read it. As it came, its target and body are the client's
//! bytes; of its headers only those go on that the API has, so that nothing is said by a proxy or about one.

use zeroize::Zeroizing;

use crate::authn::Signer;
use crate::authz::Permit;
use crate::kms::{ErrorCode, KmsError, Params, RawRequest, Scheme};

/// A request as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The method.
    pub method: String,
    /// The target, which begins with `/`.
    pub target: String,
    /// Headers, without those of the framing.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// Whether it can be written as one request that everybody reads alike. What was parsed always can.
    pub fn is_sendable(&self) -> bool {
        let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let is_visible = |byte: &u8| (b'!'..=b'~').contains(byte);
        let is_value = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        ["GET", "POST", "PUT"].contains(&self.method.as_str())
            && self.target.starts_with('/')
            && self.target.as_bytes().iter().all(is_visible)
            && self.headers.iter().all(|(name, value)| !name.is_empty() && is_token(name) && value.iter().all(is_value))
    }

    /// Its bytes over HTTP/1.1. They may hold a plaintext.
    pub fn wire(&self) -> Zeroizing<Vec<u8>> {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let most = self.method.len() + self.target.len() + headers + self.body.len() + 64;
        // Never grown, so that no copy of it stays behind.
        let mut wire = Zeroizing::new(Vec::with_capacity(most));
        for part in [self.method.as_bytes(), b" ", self.target.as_bytes(), b" HTTP/1.1\r\n"] {
            wire.extend_from_slice(part);
        }
        for (name, value) in &self.headers {
            for part in [name.as_bytes(), b": ", value.as_slice(), b"\r\n"] {
                wire.extend_from_slice(part);
            }
        }
        if self.method != "GET" || !self.body.is_empty() {
            wire.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}

/// What everything that is sent says of who sends it.
const USER_AGENT: &str = concat!("Keyward/", env!("CARGO_PKG_VERSION"));

/// An operation with these parameters, signed anew for `host`.
pub fn signed(operation: &str, params: &Params, host: &str, signer: &Signer<'_>) -> Outgoing {
    let request = signer.acs(operation, params, host);
    let common = [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", USER_AGENT)];
    let signed = request.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
    let common = common.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    Outgoing {
        method: "POST".to_owned(),
        target: "/".to_owned(),
        headers: signed.chain(common).collect(),
        body: request.body.into_bytes(),
    }
}

/// A permitted request, written anew from what was judged.
pub fn re_signed(permit: &Permit, host: &str, signer: &Signer<'_>) -> Outgoing {
    let request = permit.request();
    let replaced = &permit.route().replaced;
    let meant = |(name, value): (&str, &str)| {
        let replacement = replaced.iter().find(|(replaced, _)| *replaced == name);
        (name.to_owned(), replacement.map_or(value, |(_, value)| value).to_owned())
    };
    // It is not among an operation's own, and some operations ask for it (TagResources).
    let region = request.region.iter().map(|region| ("RegionId".to_owned(), region.clone()));
    let goes_on = |(name, _): &(&str, &str)| permit.route().kept != Some(*name);
    let params: Params = request.params.iter().filter(goes_on).map(meant).chain(region).collect();
    signed(request.call.name(), &params, host, signer)
}

/// A permitted request as it came. `host` takes the place of the Host where that is not signed.
///
/// # Errors
/// Its target is of no form that can be sent.
pub fn passed_through(raw: &RawRequest<'_>, scheme: &Scheme, host: &str) -> Result<Outgoing, KmsError> {
    let signed: Vec<&str> = match scheme {
        Scheme::Acs(signature) => signature.signed_headers.split(';').collect(),
        Scheme::Rpc(_) | Scheme::ClientKey(_) | Scheme::Unsigned => Vec::new(),
    };
    let mut headers = Vec::new();
    for (name, value) in raw.headers {
        let name = name.as_str();
        if (signed.contains(&name) || goes_on(name, scheme)) && name != "host" {
            headers.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
    let named = raw.headers.get("host").map(|host| host.as_bytes().to_vec()).filter(|_| signed.contains(&"host"));
    headers.push(("host".to_owned(), named.unwrap_or_else(|| host.as_bytes().to_vec())));
    if !signed.contains(&"accept-encoding") {
        headers.push(("accept-encoding".to_owned(), b"identity".to_vec()));
    }
    Ok(Outgoing { method: raw.method.to_owned(), target: origin_form(raw)?, headers, body: raw.body.to_vec() })
}

/// Whether a header goes on that the signature does not cover. The API's own are covered or, with V1, mean nothing: there the
/// parameters count.
fn goes_on(name: &str, scheme: &Scheme) -> bool {
    const OF_THE_API: &[&str] = &["accept", "authorization", "content-md5", "content-type", "date", "user-agent"];
    match scheme {
        Scheme::Rpc(_) => OF_THE_API.contains(&name) && name != "authorization",
        Scheme::Acs(_) | Scheme::ClientKey(_) | Scheme::Unsigned => {
            OF_THE_API.contains(&name) || name.starts_with("x-acs-") || name.starts_with("x-kms-")
        }
    }
}

/// The target without scheme and authority.
fn origin_form(raw: &RawRequest<'_>) -> Result<String, KmsError> {
    let absolute = raw.target.strip_prefix("http://").or_else(|| raw.target.strip_prefix("https://"));
    let origin = match absolute {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)),
        None => Some(raw.target).filter(|target| target.starts_with('/')),
    };
    origin.map(str::to_owned).ok_or_else(|| ErrorCode::ApiNotFound.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::kms::{KmsRequest, Origin};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    fn passed(method: &str, target: &str, pairs: &[(&'static str, &str)], body: &[u8]) -> Outgoing {
        let headers = headers(pairs);
        let raw = RawRequest { method, target, headers: &headers, body, origin: Origin::unknown() };
        let scheme = KmsRequest::parse(&raw).unwrap().scheme;
        passed_through(&raw, &scheme, "kms.example").unwrap()
    }

    fn names(outgoing: &Outgoing) -> Vec<String> {
        let mut names: Vec<String> =
            outgoing.headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
        names.sort();
        names
    }

    #[test]
    fn a_request_is_written_in_one_piece() {
        let outgoing = |method: &str, name: &str, value: &[u8], body: &[u8]| Outgoing {
            method: method.to_owned(),
            target: "/?a=b".to_owned(),
            headers: vec![(name.to_owned(), value.to_vec())],
            body: body.to_vec(),
        };
        let text = |outgoing: &Outgoing| String::from_utf8(outgoing.wire().to_vec()).unwrap();
        let post = outgoing("POST", "host", b"kms.example", b"c=d");
        assert_eq!(text(&post), "POST /?a=b HTTP/1.1\r\nhost: kms.example\r\nContent-Length: 3\r\n\r\nc=d");
        let get = outgoing("GET", "host", b"kms.example", b"");
        assert_eq!(text(&get), "GET /?a=b HTTP/1.1\r\nhost: kms.example\r\n\r\n");
        assert!(post.is_sendable() && get.is_sendable());
        for (method, name, value) in [
            ("HEAD", "host", &b"x"[..]),
            ("GET /x HTTP/1.1\r\nGET", "host", b"x"),
            ("POST", "host", b"x\r\ny: z"),
            ("POST", "host", b"x\0"),
            ("POST", "ho st", b"x"),
            ("POST", "host: x\r\ny", b"x"),
            ("POST", "", b"x"),
        ] {
            assert!(!outgoing(method, name, value, b"").is_sendable(), "{method:?} {name:?} {value:?}");
        }
        for target in ["", "x", "/ HTTP/1.1", "/\r\n", "/é"] {
            let outgoing = Outgoing { target: target.to_owned(), ..outgoing("GET", "host", b"x", b"") };
            assert!(!outgoing.is_sendable(), "{target:?}");
        }
    }

    #[test]
    fn v1_goes_on_with_another_host_and_without_what_is_not_signed() {
        let target = "/?Action=Encrypt&Version=2016-01-20&AccessKeyId=K&Signature=s&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0";
        let outgoing = passed(
            "POST",
            &format!("http://127.0.0.1:1{target}"),
            &[
                ("host", "127.0.0.1:1"),
                ("x-acs-action", "encrypt"),
                ("x-forwarded-for", "1.2.3.4"),
                ("cookie", "c"),
                ("content-type", "application/x-www-form-urlencoded"),
                ("user-agent", "sdk"),
                ("if-match", &"0".repeat(64)),
            ],
            b"KeyId=k",
        );
        assert_eq!((outgoing.target.as_str(), outgoing.body.as_slice()), (target, &b"KeyId=k"[..]));
        let expected = [
            "accept-encoding=identity",
            "content-type=application/x-www-form-urlencoded",
            "host=kms.example",
            "user-agent=sdk",
        ];
        assert_eq!(names(&outgoing), expected);
    }

    #[test]
    fn what_v3_signs_goes_on_as_it_is() {
        let signed = "host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-signature-nonce;x-acs-version;x-odd";
        let authorization = format!("ACS3-HMAC-SHA256 Credential=K,SignedHeaders={signed},Signature=00");
        let outgoing = passed(
            "GET",
            "/?KeyId=k%2B",
            &[
                ("host", "kms.cn-hangzhou.aliyuncs.com"),
                ("x-acs-action", "DescribeKey"),
                ("x-acs-version", "2016-01-20"),
                ("x-acs-content-sha256", "e3"),
                ("x-acs-signature-nonce", "n"),
                ("user-agent", "sdk"),
                ("x-odd", "o"),
                ("x-other", "o"),
                ("authorization", &authorization),
            ],
            b"",
        );
        assert_eq!(outgoing.target, "/?KeyId=k%2B");
        let names = names(&outgoing);
        assert!(names.contains(&"host=kms.cn-hangzhou.aliyuncs.com".to_owned()), "{names:?}");
        assert!(names.contains(&"x-odd=o".to_owned()) && !names.iter().any(|name| name.starts_with("x-other")));
    }
}
