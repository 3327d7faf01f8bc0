//! P19, S01–S07, S10: heads and bodies whose ends two parsers could see in two places; what hides behind a refusal; and
//! protocols that are not spoken. Clients here never close: Keyward has to.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::super::front::ready;
use super::request::{ENCRYPT, ORDERS_HELLO, V3, form, v1, v1_form};
use super::row::{Row, answers_of, check, encrypting, executed, house, nothing, refused, talk};
use crate::sandbox::{ALICE, FORM, Running, post, tcp};

const UNREADABLE: &str = "ParseRequestParameterException";

/// A request with these lines about its body, which follows as it is. Its connection is meant to be kept.
fn framed(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: kms.test\r\n{FORM}{lines}\r\n{body}")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// One request in one chunk.
fn chunked(body: &str) -> String {
    format!("{}0\r\n\r\n", chunk(body))
}

fn encrypt() -> String {
    v1_form(ALICE, ENCRYPT)
}

/// A second request, which must not be seen.
fn hidden() -> String {
    String::from_utf8(post("", &encrypt())).unwrap()
}

/// S01: two lengths, two codings, or one of each; obscured, or plain. Nothing of it is repaired.
#[test]
fn s01_two_lengths() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "identity",
        "",
        "chunked,",
        ",chunked",
        "chun ked",
        "\u{b}chunked",
        "chunked\u{c}",
        "\u{a0}chunked",
        "'chunked'",
        "chunke",
        "chunked\u{0}",
    ] {
        let lines = format!("Transfer-Encoding: {coding}\r\n");
        rows.push(nothing("S01", format!("coding {coding:?}"), framed(&lines, &(chunked(&encrypt()) + &hidden()))));
        let both = format!("Content-Length: 6\r\n{lines}");
        rows.push(nothing(
            "S01",
            format!("a length and coding {coding:?}"),
            framed(&both, &format!("0\r\n\r\n{}", hidden())),
        ));
    }
    for (name, lines) in [
        ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("TE.TE, another", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
        ("TE.TE, in another case", "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ("a length of nothing beside chunks", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        ("a space before the colon", "Transfer-Encoding : chunked\r\nContent-Length: 6\r\n"),
        ("a tab before the colon", "Transfer-Encoding\t: chunked\r\nContent-Length: 6\r\n"),
        ("a folded coding", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 6\r\n"),
        ("a space before the name", "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        ("a bare line feed", "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        ("a bare carriage return", "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
        ("a NUL in the name", "Transfer-Encoding\0: chunked\r\nContent-Length: 6\r\n"),
        ("a letter that is none", "Transfer-\u{415}ncoding: chunked\r\nContent-Length: 6\r\n"),
        ("an underscore", "Transfer_Encoding: chunked\r\nContent-Length: 6\r\n"),
    ] {
        rows.push(nothing("S01", name, framed(lines, &format!("0\r\n\r\n{}", hidden()))));
    }
    check(&running, &kms, &rows);
}

/// S01: what a length may look like.
#[test]
fn s01_odd_lengths() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let length = encrypt().len();
    for stated in [
        format!("{length}, {length}"),
        format!("{length},0"),
        format!("+{length}"),
        format!("-{length}"),
        format!("0x{length:x}"),
        format!("{length}.0"),
        format!("{length} 0"),
        format!("{length}\u{b}"),
        format!("１{length}"),
        "18446744073709551617".to_owned(),
        "99999999999999999999999".to_owned(),
        "-0".to_owned(),
        String::new(),
        "a".to_owned(),
    ] {
        let bytes = framed(&format!("Content-Length: {stated}\r\n"), &(encrypt() + &hidden()));
        rows.push(nothing("S01", format!("length {stated:?}"), bytes));
    }
    for second in [length, 0] {
        let lines = format!("Content-Length: {length}\r\nContent-Length: {second}\r\n");
        rows.push(nothing("S01", format!("{length} and {second}"), framed(&lines, &(encrypt() + &hidden()))));
    }
    let body = encrypt();
    let zeros = format!("Connection: close\r\nContent-Length: 000{}\r\n", body.len());
    rows.push(executed("S01", "leading zeros", framed(&zeros, &body), "Encrypt", ORDERS_HELLO));
    rows.push(refused(
        "S01",
        "a body that ends early",
        framed("Content-Length: 400\r\n", &encrypt()),
        408,
        "RequestTimeout",
    ));
    check(&running, &kms, &rows);
}

/// S02: chunks are counted in plain hexadecimal digits, and hold nothing else: no extensions, no trailers.
#[test]
fn s02_chunks() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let te = "Connection: close\r\nTransfer-Encoding: chunked\r\n";
    let mut rows = Vec::new();
    let body = encrypt();
    let (one, two) = body.split_at(40);
    let bytes: String = encrypt().chars().map(|c| chunk(&c.to_string())).collect();
    rows.push(executed(
        "S02",
        "two chunks",
        framed(te, &format!("{}{}0\r\n\r\n", chunk(one), chunk(two))),
        "Encrypt",
        ORDERS_HELLO,
    ));
    rows.push(executed(
        "S02",
        "a chunk for each byte",
        framed(te, &format!("{bytes}0\r\n\r\n")),
        "Encrypt",
        ORDERS_HELLO,
    ));
    let body = encrypt();
    rows.push(executed(
        "S02",
        "upper case, zeros",
        framed(te, &format!("000{:X}\r\n{body}\r\n000\r\n\r\n", body.len())),
        "Encrypt",
        ORDERS_HELLO,
    ));
    for trailer in ["Authorization: x", "x-acs-action: Decrypt", "Action: Decrypt", "Content-Length: 5", "X", " "] {
        let bytes = framed(te, &format!("{}0\r\n{trailer}\r\n\r\n{}", chunk(&encrypt()), hidden()));
        rows.push(refused("S02", format!("trailer {trailer}"), bytes, 400, UNREADABLE));
    }
    check(&running, &kms, &rows);
}

/// S02: `N` stands for the right size, in hexadecimal digits.
#[test]
fn s02_sizes_and_ends_of_chunks() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let te = "Connection: close\r\nTransfer-Encoding: chunked\r\n";
    let mut rows = Vec::new();
    let sized = |size: &str| {
        let body = encrypt();
        format!("{}\r\n{body}\r\n0\r\n\r\n", size.replace('N', &format!("{:x}", body.len())))
    };
    rows.push(executed("S02", "the right size", framed(te, &sized("N")), "Encrypt", ORDERS_HELLO));
    for size in [
        "N;a=b",
        "N ;a",
        "N ",
        "N\t",
        "0xN",
        "+N",
        "-N",
        " N",
        "Nh",
        "N,",
        "",
        ";",
        "g",
        "ffffffffffffffff",
        "fffffffffffffffff",
        "1000000000000000N",
        "7fffffffffffffff",
        "１",
        "N\0",
        "N;a\nb",
        "N\n;a",
        "N\rx",
        "00000000000000000N",
    ] {
        rows.push(nothing("S02", format!("size {size:?}"), framed(te, &sized(size))));
    }
    let body = encrypt();
    let size = body.len();
    for (name, body) in [
        ("an extension of the last chunk", format!("{size:x}\r\n{body}\r\n0;a\r\n\r\n")),
        ("no line end behind the data", format!("{size:x}\r\n{body}0\r\n\r\n")),
        ("a bare line feed behind the size", format!("{size:x}\n{body}\r\n0\r\n\r\n")),
        ("a bare line feed behind the data", format!("{size:x}\r\n{body}\n0\r\n\r\n")),
        ("more data than is stated", format!("{:x}\r\n{body}\r\n0\r\n\r\n", size - 1)),
        ("less data than is stated", format!("{:x}\r\n{body}\r\n0\r\n\r\n", size + 1)),
        ("no last chunk", format!("{size:x}\r\n{body}\r\n")),
        ("no end of the last chunk", format!("{size:x}\r\n{body}\r\n0\r\n")),
        ("bare line feeds at the end", format!("{size:x}\r\n{body}\r\n0\n\n")),
        ("an extension without end", format!("{size:x};{}", "a".repeat(100_000))),
        ("trailers without end", format!("{size:x}\r\n{body}\r\n0\r\n{}", "A: b\r\n".repeat(20_000))),
        ("one trailer without end", format!("{size:x}\r\n{body}\r\n0\r\nA: {}", "b".repeat(100_000))),
    ] {
        rows.push(nothing("S02", name, framed(te, &body)));
    }
    check(&running, &kms, &rows);
}

/// S03: behind a refusal nothing is read, and behind an answer nothing is read in its name.
#[test]
fn s03_what_hides_behind_a_refusal() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let put = format!("PUT / HTTP/1.1\r\nHost: kms.test\r\n{FORM}");
    let rows: Vec<Row> = [
        ("behind a large body", framed("Content-Length: 262145\r\n", &hidden())),
        ("behind two lengths", framed("Content-Length: 0\r\nContent-Length: 0\r\n", &hidden())),
        ("behind an odd header", framed("A : b\r\nContent-Length: 0\r\n", &hidden())),
        ("behind a nominated header", framed("Connection: x-acs-action\r\nContent-Length: 0\r\n", &hidden())),
        ("behind an expectation", framed("Expect: a lot\r\nContent-Length: 0\r\n", &hidden())),
        ("behind an upgrade", framed("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n", &hidden())),
        ("behind a bad chunk", framed("Transfer-Encoding: chunked\r\n", &format!("x\r\n{}", hidden()))),
        ("behind a space in the target", framed("Content-Length: 0\r\n", &hidden()).replacen("POST /", "POST /? ", 1)),
        ("behind another method", format!("{put}Content-Length: 0\r\n\r\n{}", hidden())),
        ("behind another method with chunks", format!("{put}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}", hidden())),
        ("behind no request", format!("\r\n\r\n\r\nGET\r\n\r\n{}", hidden())),
    ]
    .into_iter()
    .map(|(name, bytes)| nothing("S03", name, bytes))
    .collect();
    check(&running, &kms, &rows);
}

/// S03: of two requests at once each is answered as if it were alone, or the second not at all.
#[test]
fn s03_two_requests_at_once() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let denied = || v1_form(ALICE, &[("Action", "ScheduleKeyDeletion"), ("KeyId", super::super::front::ORDERS)]);
    let kept = |body: &str| framed(&format!("Content-Length: {}\r\n", body.len()), body);
    for (name, first, statuses, most) in [
        ("allowed, then allowed", kept(&encrypt()), [200, 200], 2),
        ("denied, then allowed", kept(&denied()), [403, 200], 1),
        ("chunks, then allowed", framed("Transfer-Encoding: chunked\r\n", &chunked(&encrypt())), [200, 200], 2),
    ] {
        let before = kms.count("Encrypt");
        let answers = talk(&running.api, (first + &hidden()).as_bytes()).unwrap();
        let found: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(!found.is_empty() && statuses.starts_with(&found), "{name}: {answers:?}");
        let received = kms.count("Encrypt") - before;
        assert_eq!(received, found.iter().filter(|status| **status == 200).count(), "{name}");
        assert!(received <= most, "{name}");
    }
    assert_eq!(kms.count("ScheduleKeyDeletion"), 0);
}

/// S04: no other protocol is spoken on a connection.
#[test]
fn s04_upgrades() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for lines in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: close\r\nUpgrade: websocket\r\n",
        "Upgrade: x\r\n",
        "Connection: upgrade\r\n",
    ] {
        let body = encrypt();
        let lines = format!("{lines}Content-Length: {}\r\n", body.len());
        let bytes = framed(&lines, &(body + &hidden()));
        rows.push(nothing("S04", lines, bytes));
    }
    check(&running, &kms, &rows);
}

/// Reads until this stands there.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn expecting(running: &Running<'_>, lines: &str) -> TcpStream {
    let mut stream = tcp(&running.api);
    stream.write_all(framed(&format!("Expect: 100-continue\r\n{lines}"), "").as_bytes()).unwrap();
    stream
}

/// S05: whoever waits for `100 Continue` gets it, or is refused before; the body may come early, late, or never.
#[test]
fn s05_expectations() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let body = encrypt();
    let mut patient = expecting(&running, &format!("Connection: close\r\nContent-Length: {}\r\n", body.len()));
    assert_eq!(read_until(&mut patient, b"\r\n\r\n"), CONTINUE);
    patient.write_all(body.as_bytes()).unwrap();
    assert_eq!(answers_of(&mut patient).unwrap()[0].status, 200);
    assert_eq!(kms.count("Encrypt"), 1);
    let body = encrypt();
    let hasty =
        framed(&format!("Expect: 100-Continue\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()), &body);
    assert_eq!(talk(&running.api, hasty.as_bytes()).unwrap()[0].status, 200);
    assert_eq!(kms.count("Encrypt"), 2);
    // The body never comes, is too large, or comes behind a refusal.
    let mut never = expecting(&running, "Content-Length: 300\r\n");
    assert_eq!(read_until(&mut never, b"\r\n\r\n"), CONTINUE);
    let answer = answers_of(&mut never).unwrap().remove(0);
    assert_eq!((answer.status, answer.code().as_deref()), (408, Some("RequestTimeout")));
    for (lines, status) in [
        ("Content-Length: 262145\r\n", 413),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("X : y\r\nContent-Length: 300\r\n", 400),
    ] {
        let mut refused = expecting(&running, lines);
        let head = read_until(&mut refused, b"\r\n\r\n");
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {head}");
        let _ = refused.write_all(encrypt().as_bytes());
        let _ = refused.write_all(hidden().as_bytes());
        let rest = crate::sandbox::exchange(&mut refused, b"");
        assert!(!rest.contains("HTTP/1.1 "), "{lines}: {rest}");
    }
    assert_eq!(kms.count("Encrypt"), 2);
    // To a client of HTTP/1.0, an interim answer is the answer.
    let body = encrypt();
    let old = framed(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len()), &body);
    let told = crate::sandbox::exchange(&mut tcp(&running.api), old.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes());
    assert!(told.starts_with("HTTP/1.1 200") || told.starts_with("HTTP/1.0 200"), "{told}");
}

/// S06, S07: HTTP/2 is not spoken. Its preface is no request.
#[test]
fn s06_s07_no_http_2() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    let headers = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82];
    let rapid: Vec<u8> =
        [&preface[..], &settings].concat().into_iter().chain([&headers[..], &reset].concat().repeat(1000)).collect();
    let rows = [
        nothing("S06", "the preface", preface.clone()),
        nothing("S06", "the preface and settings", [&preface[..], &settings].concat()),
        nothing("S07", "rapid resets", rapid),
        nothing("S06", "frames without the preface", [&settings[..], &headers].concat()),
        nothing("S06", "the version alone", framed("Content-Length: 0\r\n", "").replacen("HTTP/1.1", "HTTP/2.0", 1)),
        nothing("S06", "a pseudo-header", framed(":authority: kms.evil\r\nContent-Length: 0\r\n", "")),
    ];
    check(&running, &kms, &rows);
}

/// S10: HTTP/0.9 is not spoken, HTTP/1.0 for one request.
#[test]
fn s10_old_versions() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let query = form(&v1(ALICE, "GET", ENCRYPT));
    let mut rows = Vec::new();
    for (name, bytes) in [
        ("0.9", format!("GET /?{query}\r\n")),
        ("0.9 with an empty line", format!("GET /?{query}\r\n\r\n")),
        ("0.9, stated", format!("GET /?{query} HTTP/0.9\r\nHost: kms.test\r\n\r\n")),
        ("1.2", format!("GET /?{query} HTTP/1.2\r\nHost: kms.test\r\n\r\n")),
        ("3.0", format!("GET /?{query} HTTP/3.0\r\nHost: kms.test\r\n\r\n")),
        ("http/1.1", format!("GET /?{query} http/1.1\r\nHost: kms.test\r\n\r\n")),
        ("HTTP/1.10", format!("GET /?{query} HTTP/1.10\r\nHost: kms.test\r\n\r\n")),
        ("HTTP/01.1", format!("GET /?{query} HTTP/01.1\r\nHost: kms.test\r\n\r\n")),
        ("no version", format!("GET /?{query} \r\nHost: kms.test\r\n\r\n")),
        ("1.1 without Host", format!("GET /?{query} HTTP/1.1\r\n\r\n")),
        ("1.0 without Host", format!("GET /?{query} HTTP/1.0\r\n\r\n")),
        (
            "1.0 with chunks",
            framed("Transfer-Encoding: chunked\r\n", &chunked(&encrypt())).replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
    ] {
        rows.push(nothing("S10", name, bytes));
    }
    check(&running, &kms, &rows);
    for (at, connection) in
        ["", "Connection: keep-alive\r\n", "Connection: Keep-Alive\r\nKeep-Alive: timeout=300\r\n"].iter().enumerate()
    {
        let query = form(&v1(ALICE, "GET", ENCRYPT));
        let once = format!("GET /?{query} HTTP/1.0\r\nHost: kms.test\r\n{connection}\r\n");
        // Closed by Keyward, or this is an error.
        let answers = talk(&running.api, once.as_bytes()).unwrap_or_else(|why| panic!("{connection:?}: {why}"));
        assert_eq!((answers.len(), answers[0].status, kms.count("Encrypt")), (1, 200, at + 1), "{connection:?}");
    }
}

/// P19: names of headers are plain, and lines are lines.
#[test]
fn p19_headers_that_are_obscured() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for (name, line) in [
        ("an underscore", "x_acs_action: Decrypt"),
        ("another underscore", "Content_Length: 5"),
        ("a space before the colon", "x-acs-action : Decrypt"),
        ("a tab before the colon", "x-acs-action\t: Decrypt"),
        ("a space before the name", " x-acs-action: Decrypt"),
        ("a folded line", "X: a\r\n x-acs-action: Decrypt"),
        ("a folded line with a tab", "X: a\r\n\tb"),
        ("a bare line feed", "X: a\nx-acs-action: Decrypt"),
        ("a bare carriage return", "X: a\rx-acs-action: Decrypt"),
        ("a NUL in a value", "X: a\0b"),
        ("a NUL in a name", "x-acs-action\0: Decrypt"),
        ("a control byte in a name", "x-acs\u{1}-action: Decrypt"),
        ("no colon", "x-acs-action"),
        ("no name", ": Decrypt"),
        ("a name in quotes", "\"x-acs-action\": Decrypt"),
        ("a letter that is none", "x-acs-\u{430}ction: Decrypt"),
        ("a soft hyphen", "x-acs\u{ad}-action: Decrypt"),
        ("a slash in a name", "x/acs: Decrypt"),
    ] {
        let body = encrypt();
        let bytes = framed(&format!("{line}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()), &body);
        rows.push(nothing("P19", name, bytes));
    }
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    for (name, value) in [("spaces", "  Encrypt  "), ("tabs", "\tEncrypt\t")] {
        let bytes = String::from_utf8(V3 { body: hello, ..V3::of(ALICE) }.bytes()).unwrap();
        let bytes = bytes.replacen("x-acs-action: Encrypt", &format!("x-acs-action:{value}"), 1);
        rows.push(executed("P19", format!("{name} around a value"), bytes, "Encrypt", ORDERS_HELLO));
    }
    let bytes = String::from_utf8(V3 { body: hello, ..V3::of(ALICE) }.bytes()).unwrap();
    rows.push(nothing(
        "P19",
        "a control byte in a value",
        bytes.replacen("x-acs-action: Encrypt", "x-acs-action: Encrypt\u{1}", 1),
    ));
    rows.push(refused(
        "P19",
        "a head that is no UTF-8",
        [post("X-Odd: \u{1}", "")[..30].to_vec(), b"\r\nX: \xff\r\n\r\n".to_vec()].concat(),
        400,
        UNREADABLE,
    ));
    check(&running, &kms, &rows);
}
