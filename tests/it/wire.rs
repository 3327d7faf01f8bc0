//! The wire as a hostile or clumsy client sees it: raw bytes in, KMS's own error shape out, and nothing executed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::sandbox::{self, ALICE, FORM, House, KIM, Running, post, signed_v1, status_and_body, tcp};

/// Sends bytes, and reads all answers.
fn exchange(running: &Running<'_>, bytes: &[u8]) -> String {
    sandbox::exchange(&mut tcp(&running.api), bytes)
}

#[test]
fn every_framing_that_clients_use_is_understood() {
    let house = House::new();
    let running = house.start();
    let body = || signed_v1(ALICE, "ListKeys", &[]);
    let chunked = |body: &str| {
        let (one, two) = body.split_at(body.len() / 2);
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{FORM}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
            one.len(),
            two.len()
        )
    };
    let no_length = format!("POST /?{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", body());
    let expecting = post("Expect: 100-continue\r\n", &body());
    for (name, bytes) in [
        ("content-length", post("", &body())),
        ("chunked", chunked(&body()).into_bytes()),
        ("no length", no_length.into_bytes()),
        ("expect", expecting),
    ] {
        let answer = exchange(&running, &bytes);
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        let (status, body) = status_and_body(answer);
        assert_eq!((status, body["TotalCount"].as_u64()), (200, Some(2)), "{name}: {answer}");
        assert!(answer.contains("x-acs-request-id") || answer.contains("X-Acs-Request-Id"), "{answer}");
    }
}

/// Each gets an error in KMS's shape, or at least no answer that says it was executed.
#[test]
fn ambiguous_framing_is_refused() {
    let house = House::new();
    let running = house.start();
    let body = signed_v1(KIM, "CreateKey", &[]);
    let (length, half) = (body.len(), body.len() / 2);
    let line = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (name, request) in [
        ("two lengths", format!("{line}{FORM}Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("list of lengths", format!("{line}{FORM}Content-Length: {length}, {length}\r\n\r\n{body}")),
        (
            "length and chunks",
            format!(
                "{line}{FORM}Content-Length: {half}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            ),
        ),
        (
            "two codings",
            format!("{line}{FORM}Transfer-Encoding: gzip, chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        ),
        ("bare line feeds", format!("{line}{FORM}Content-Length: {length}\r\n\r\n{body}").replace("\r\n", "\n")),
        ("folded", format!("{line}A: b\r\n c\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("no host", format!("POST / HTTP/1.1\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("two hosts", format!("{line}Host: b\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("nominated header", format!("{line}{FORM}Connection: content-type\r\nContent-Length: {length}\r\n\r\n{body}")),
        (
            "upgrade",
            format!("{line}{FORM}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n\r\n{body}"),
        ),
        ("encoded body", format!("{line}{FORM}Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n{body}")),
        ("put", format!("PUT / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("trace", format!("TRACE / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("connect", format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        (
            "other authority",
            format!("POST http://b/ HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {length}\r\n\r\n{body}"),
        ),
        ("dot segments", format!("POST /x/../ HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {length}\r\n\r\n{body}")),
        ("short body", format!("{line}{FORM}Connection: close\r\nContent-Length: {length}\r\n\r\n{}", &body[..half])),
        ("bad chunk", format!("{line}{FORM}Transfer-Encoding: chunked\r\n\r\n+{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ("http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
    ] {
        let stream = TcpStream::connect(&running.api).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let mut stream = stream;
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let (status, body) = status_and_body(&answer);
        let is_error = (400..600).contains(&status) && body["Code"].is_string() && body["Message"].is_string();
        assert!(is_error || answer.is_empty(), "{name}: {answer}");
    }
    let keys = running.call(KIM, "ListKeys", &[]).ok();
    assert_eq!(keys["TotalCount"], 2, "something was executed");
}

#[test]
fn a_request_hidden_behind_a_refused_one_is_not_read() {
    let house = House::new();
    let running = house.start();
    let hidden = String::from_utf8(post("", &signed_v1(KIM, "CreateKey", &[]))).unwrap();
    let refused = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let answer = exchange(&running, refused.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(running.call(KIM, "ListKeys", &[]).ok()["TotalCount"], 2);
}

#[test]
fn limits_are_answered_in_kms_shape() {
    let house = House::new();
    house.edit("config/keyward.toml", "request_seconds = 10", "request_seconds = 1");
    let running = house.start();
    let long_target = format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000));
    let large_body = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: 262145\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "a".repeat(0x8000)).repeat(9);
    let large_chunks =
        format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    let slow_body = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: 100\r\n\r\nabc");
    for (request, status, code) in [
        (long_target, 414, "RequestTargetTooLong"),
        (large_body, 413, "RequestTooLarge"),
        (large_chunks, 413, "RequestTooLarge"),
        (slow_body, 408, "RequestTimeout"),
        ("POST / HTTP/1.1\r\nHost: a\r\nX-Slow:".to_owned(), 408, "RequestTimeout"),
    ] {
        let (found, body) = status_and_body(&exchange(&running, request.as_bytes()));
        assert_eq!((found, body["Code"].as_str()), (status, Some(code)), "{body}");
    }
}

/// The largest policy there is, as clients send it: in a form body, and in the query.
#[test]
fn a_policy_of_32_kib_passes() {
    let house = House::new();
    let running = house.start();
    let small = house.read("policies/keys/key-exampleorders01.json");
    let policy = format!("{small}{}", " ".repeat(32_768 - small.len()));
    let params = [("KeyId", "key-exampleorders01"), ("Policy", policy.as_str())];
    running.call(KIM, "SetKeyPolicy", &params).ok();
    // Spaces take three bytes in a query; a policy of letters fits.
    let mut dense = small.replace("kms default key policy", &"p".repeat(128));
    let action = "\"kms:Encrypt\",";
    let room = (32_768 - dense.len()) / action.len();
    dense = dense.replacen("\"kms:Encrypt\",", &action.repeat(room), 1);
    let query = signed_v1(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", &dense)]);
    assert!(dense.len() > 32_000 && query.len() > 45_000, "{} {}", dense.len(), query.len());
    let request = format!("POST /?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let (status, body) = status_and_body(&exchange(&running, request.as_bytes()));
    assert_eq!(status, 200, "{body}");
    assert_eq!(running.call(KIM, "GetKeyPolicy", &[("KeyId", "key-exampleorders01")]).ok()["Policy"], dense.as_str());
}

#[test]
fn connections_are_kept_and_bounded() {
    let house = House::new();
    house.edit("config/keyward.toml", "connections = 1024", "connections = 2");
    let running = house.start();
    let mut kept = TcpStream::connect(&running.api).unwrap();
    for _ in 0..3 {
        let body = signed_v1(ALICE, "ListKeys", &[]);
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {}\r\n\r\n{body}", body.len());
        kept.write_all(request.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let read = kept.read(&mut buffer).unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read]));
        // The body may come in a second piece.
        if !buffer[..read].ends_with(b"}") {
            let _ = kept.read(&mut buffer).unwrap();
        }
    }
    let _second = TcpStream::connect(&running.api).unwrap();
    assert!(sandbox::wait(|| running.metric("keyward_connections") == 2.0));
    let mut third = tcp(&running.api);
    let body = signed_v1(ALICE, "ListKeys", &[]);
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {}\r\n\r\n{body}", body.len());
    let _ = third.write_all(request.as_bytes());
    // Closed, by an end or by a reset: nothing was answered.
    assert!(third.read(&mut [0; 16]).map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |read| read == 0));
    assert!(sandbox::wait(|| running.metric("keyward_connections_refused_total") == 1.0));
}
