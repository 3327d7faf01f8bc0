//! X01: clients that send slowly, or never read. A deadline for the whole request and for the whole answer ends each of them,
//! whatever trickles in meanwhile, and others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use super::super::front::{ORDERS, ready};
use super::super::scripted::{Act, Scripted, answer};
use super::request::v1_form;
use super::row::{encrypting, house};
use crate::sandbox::{ALICE, FORM, KIM, Running, status_and_body, tcp, wait};

/// What somebody sends at once, and what he goes on sending byte by byte.
type Trickle = (&'static str, &'static str, &'static [u8], &'static [u16]);

const TRICKLES: &[Trickle] = &[
    ("says nothing", "", b"", &[0]),
    ("one byte", "P", b"", &[408]),
    ("empty lines", "", b"\r\n", &[408]),
    ("a request line without end", "POST /?a=", b"a", &[408, 414]),
    ("header fields without end", "POST / HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n", &[400, 408, 414]),
    ("a value without end", "POST / HTTP/1.1\r\nHost: a\r\nA: ", b"a", &[400, 408, 414]),
    (
        "a body",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 200000\r\n\r\n",
        b"a",
        &[408],
    ),
    (
        "a body that never begins",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\n",
        b"",
        &[408],
    ),
    (
        "chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n",
        &[408],
    ),
    ("a size without end", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", &[400, 408]),
    ("trailers", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n", &[400, 408]),
];

/// Sends for as long as anybody listens; how long that was, and the status of what came back.
fn trickle(address: &str, (_, first, rest, _): &Trickle) -> (Duration, u16) {
    let begun = Instant::now();
    let mut stream = tcp(address);
    stream.write_all(first.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let (mut sent, mut answer) = (rest.iter().cycle(), Vec::new());
    loop {
        let mut piece = [0; 1024];
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody ended it");
        if let Some(byte) = sent.next() {
            let _ = stream.write_all(&[*byte]);
        }
    }
    (begun.elapsed(), status_and_body(&String::from_utf8_lossy(&answer)).0)
}

#[test]
fn x01_whoever_sends_slowly_is_ended() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let ended = AtomicUsize::new(0);
    let clients: Vec<&Trickle> = TRICKLES.iter().flat_map(|trickle| [trickle; 4]).collect();
    thread::scope(|scope| {
        for client in &clients {
            let (running, ended) = (&running, &ended);
            scope.spawn(move || {
                let (time, status) = trickle(&running.api, client);
                assert!(time < Duration::from_secs(10), "{}: {time:?}", client.0);
                assert!(client.3.contains(&status), "{}: {status}", client.0);
                ended.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut served = 0;
        while ended.load(Ordering::SeqCst) < clients.len() && served < 2000 {
            let begun = Instant::now();
            running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), ("Plaintext", "eA==")]).ok();
            assert!(begun.elapsed() < Duration::from_secs(5), "a healthy client had to wait");
            served += 1;
        }
        assert!(served > 10);
        assert_eq!(kms.count("Encrypt"), served);
    });
    // The connection of the healthy client is kept.
    assert!(wait(|| running.metric("keyward_connections") <= 1.0));
}

/// A connection that takes little before somebody reads.
fn narrow(running: &Running<'_>) -> TcpStream {
    let stream = tcp(&running.api);
    set_socket_recv_buffer_size(&stream, 16_384).unwrap();
    stream
}

/// A large answer that nobody reads.
#[test]
fn x01_whoever_does_not_read_a_large_answer_is_ended() {
    const BYTES: usize = 12 << 20;
    let body = json!({"Keys": {"Key": []}, "More": "x".repeat(BYTES), "RequestId": "R-UP"}).to_string();
    let kms = Scripted::start(move |_, _| vec![Act::Send(answer(200, &body))]);
    let house = house(&kms, &[("answer_bytes = 1048576", "answer_bytes = 16777216")]);
    let running = house.start();
    ready(&running);
    let mut stream = narrow(&running);
    let list = v1_form(KIM, &[("Action", "ListKeys")]);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}Content-Length: {}\r\n\r\n", list.len());
    stream.write_all(format!("{head}{list}").as_bytes()).unwrap();
    let line = running.wait_for_audit_lines(1).pop().unwrap();
    assert_eq!((line["delivered"].as_bool(), line["executed"].as_str()), (Some(false), Some("yes")), "{line}");
    assert!(wait(|| running.metric("keyward_connections") == 0.0));
    assert_eq!(running.metric("keyward_requests_running"), 0.0);
}

/// Many smaller answers that nobody reads: at last one of them does not go out any more.
#[test]
fn x01_whoever_does_not_read_many_answers_is_ended() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let mut stream = narrow(&running);
    let answered = || running.metric("keyward_rejections_total{reason=\"malformed\"}");
    // Each answer repeats the Host.
    let host = "a".repeat(15_000);
    let begun = Instant::now();
    let mut count = 0.0;
    let is_over = || running.metric("keyward_connections") == 0.0;
    assert!(wait(|| !is_over()));
    while !is_over() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody ended it");
        let _ = stream.write_all(format!("GET /?Action=x HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        count += 1.0;
        assert!(wait(|| answered() >= count || is_over()));
    }
    assert_eq!(running.metric("keyward_requests_running"), 0.0);
    assert!(wait(|| running.audit().iter().any(|line| line["delivered"] == false)));
}
