//! X02–X06, X12: too many connections, too few descriptors, too large heads and bodies, too many names, and one caller who asks
//! for too much.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::super::front::{ORDERS, PAYROLL, plain, ready};
use super::request::{ENCRYPT, v1_form};
use super::row::{check, encrypting, house, nothing, refused};
use crate::sandbox::{ALICE, BOB, FORM, KIM, Running, exchange, post, signed_v1, tcp, wait};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");

/// Many connections of which nobody says anything.
fn idle(address: &str, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|_| TcpStream::connect(address).ok()).collect()
}

fn is_served(running: &Running<'_>) -> bool {
    running.try_call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).is_some_and(|reply| reply.status == 200)
}

/// X02: as many as the settings say, and no more. The operator's port is another one.
#[test]
fn x02_more_connections_than_there_may_be() {
    let kms = encrypting();
    let few = ("[limits]", "[limits]\nconnections = 8");
    let house = house(&kms, &[few]);
    let running = house.start();
    ready(&running);
    let mut flood = idle(&running.api, 300);
    // Half of them have begun.
    flood.iter_mut().step_by(2).for_each(|stream| drop(stream.write_all(b"POST / HTTP/1.1\r\nHost:")));
    assert!(wait(|| running.metric("keyward_connections_refused_total") > 200.0));
    for page in ["/healthz", "/readyz", "/metrics", "/status"] {
        assert_eq!(running.page(page).0, 200, "{page}");
    }
    assert!(running.metric("keyward_connections") <= 8.0);
    // Nobody holds a place without asking for something.
    assert!(wait(|| is_served(&running)));
    drop(flood);
    assert!(wait(|| is_served(&running)));
    assert_eq!(kms.count("Encrypt"), 2);
}

/// The processor time that a process took, in ticks.
fn ticks(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The same over a connection of its own.
fn is_served_anew(running: &Running<'_>) -> bool {
    exchange(&mut tcp(&running.api), &post("", &v1_form(ALICE, ENCRYPT))).starts_with("HTTP/1.1 200")
}

/// X03: with hardly a descriptor left nobody is let in, nothing spins, and nothing is written again and again; then all is well.
#[test]
fn x03_too_few_descriptors() {
    for limit in ["64", "100", "230"] {
        let kms = encrypting();
        let house = house(&kms, &[]);
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let running = house.start_after(&["sh", "-c", &script, "sh"]);
        assert!(wait(|| is_served_anew(&running)), "{limit}");
        let (lines, used) = (running.everything_written().lines().count(), ticks(running.process()));
        // No more than the queue of a socket holds, where nobody takes them out.
        let flood = (idle(&running.admin, 100), idle(&running.api, 100));
        let begun = Instant::now();
        wait(|| begun.elapsed() > Duration::from_millis(500));
        let more = running.everything_written().lines().count() - lines;
        assert!(more < 50, "{limit}: {more} lines");
        assert!(ticks(running.process()) - used < 200, "{limit}: it spins");
        drop(flood);
        assert!(wait(|| is_served_anew(&running)), "{limit}: it did not recover");
        assert_eq!(running.page("/healthz").0, 200, "{limit}");
    }
}

/// X04: heads have an end soon.
#[test]
fn x04_large_heads() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let with = |lines: &str| post(lines, &v1_form(ALICE, ENCRYPT));
    let many = |count: usize| "A: b\r\n".repeat(count);
    let long = |name: &str, length: usize| format!("{name}: {}\r\n", "a".repeat(length));
    let target = |length: usize| format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
    let unreadable = "ParseRequestParameterException";
    let rows = [
        refused("X04", "61 header fields more", with(&many(61)), 400, unreadable),
        refused("X04", "300 header fields", with(&many(300)), 400, unreadable),
        nothing("X04", "10000 header fields", with(&many(10_000))),
        refused("X04", "a header of 16 KiB", with(&long("A", 16_384)), 400, unreadable),
        nothing("X04", "a header of 1 MiB", with(&long("A", 1 << 20))),
        nothing("X04", "a cookie of 1 MiB", with(&long("Cookie", 1 << 20))),
        nothing("X04", "a name of 100 KiB", with(&format!("{}: b\r\n", "A".repeat(100_000)))),
        refused("X04", "a target of 65,535 bytes", target(65_533), 414, "RequestTargetTooLong"),
        refused("X04", "a target of 100,000 bytes", target(100_000), 414, "RequestTargetTooLong"),
        nothing("X04", "a target of 4 MiB", target(4 << 20)),
        nothing("X04", "a method of 100,000 bytes", target(1).replacen("GET", &"G".repeat(100_000), 1)),
        nothing("X04", "empty lines", "\r\n".repeat(100_000)),
        nothing("X04", "no line at all", "a".repeat(200_000)),
        nothing("X04", "NULs", "\0".repeat(200_000)),
    ];
    check(&running, &kms, &rows);
    assert!(is_served(&running));
}

/// X05: bodies have an end, too, and are what they are.
#[test]
fn x05_large_and_compressed_bodies() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let framed = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}{lines}\r\n{body}");
    let chunks = format!("8000\r\n{}\r\n", "a".repeat(0x8000));
    let small = "1\r\na\r\n".repeat(300_000);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let large = "RequestTooLarge";
    let mut rows = vec![
        refused("X05", "a length above the limit", framed("Content-Length: 262145\r\n", ""), 413, large),
        refused("X05", "a length far above it", framed("Content-Length: 9223372036854775807\r\n", ""), 413, large),
        refused("X05", "the largest length", framed("Content-Length: 18446744073709551615\r\n", ""), 413, large),
        refused("X05", "chunks without end", framed(chunked, &chunks.repeat(9)), 413, large),
        nothing("X05", "a chunk for each byte", framed(chunked, &small)),
        nothing("X05", "one chunk above the limit", framed(chunked, &format!("100000\r\n{}", "a".repeat(0x100000)))),
    ];
    for coding in ["gzip", "deflate", "br", "zstd", "compress", "identity", "x-gzip", "gzip, gzip", "", "aes128gcm"] {
        let bytes = post(&format!("Content-Encoding: {coding}\r\n"), &v1_form(ALICE, ENCRYPT));
        rows.push(refused("X05", format!("coding {coding}"), bytes, 400, "InvalidParameter"));
    }
    check(&running, &kms, &rows);
    assert!(is_served(&running));
}

/// The series that there are, without their values.
fn series(running: &Running<'_>) -> Vec<String> {
    let (_, text) = running.page("/metrics");
    let names = text.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned())).collect()
}

/// X06: whatever names come from outside, there are as many series as before.
#[test]
fn x06_names_add_no_series() {
    const EACH: usize = 250;
    let kms = encrypting();
    let house = plain(&kms.address, &[]);
    let running = house.start();
    ready(&running);
    let ask = |salt: usize, number: usize| {
        let name = format!("{:x}", (salt * EACH + number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (operation, key) = (format!("Op{name}"), format!("key-{name}"));
        running.call(KIM, &operation, &[]);
        running.call(BOB, &operation, &[("KeyId", &key)]);
        running.call(BOB, "Encrypt", &[("KeyId", &key), HELLO]);
        running.call(ALICE, "Encrypt", &[("KeyId", &format!("alias/{name}")), HELLO]);
        running.call(KIM, "Encrypt", &[("KeyId", ORDERS), HELLO, (&format!("More{name}"), &name)]);
        let body = signed_v1(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).replace(ALICE.id, &format!("LTAI{name}"));
        let lines = format!("User-Agent: {name}\r\nX-{name}: {name}\r\nX-Real-IP: {name}\r\n");
        let bytes = String::from_utf8(post(&lines, &body)).unwrap().replace("kms.test", &format!("{name}.test"));
        exchange(&mut tcp(&running.api), bytes.as_bytes());
    };
    ask(100, 0);
    let before = series(&running);
    thread::scope(|scope| {
        for salt in 0..4 {
            let ask = &ask;
            scope.spawn(move || (0..EACH).for_each(|number| ask(salt, number)));
        }
    });
    assert_eq!(series(&running), before);
    assert!(running.metric("keyward_requests_total{decision=\"reject\",operation=\"other\",status=\"404\"}") >= 1000.0);
}

/// X12: who asks for too much is told so, nothing of that reaches KMS, and all others are served.
#[test]
fn x12_one_noisy_caller() {
    let kms = encrypting();
    let house = plain(&kms.address, &[("# cryptography_per_second = 500", "cryptography_per_second = 5")]);
    let running = house.start();
    ready(&running);
    let encrypt = |caller| running.call(caller, "Encrypt", &[("KeyId", ORDERS), HELLO]);
    let (mut executed, mut throttled) = (0, 0);
    thread::scope(|scope| {
        let quiet = scope.spawn(|| (0..5).map(|_| encrypt(KIM).status).collect::<Vec<_>>());
        for _ in 0..100 {
            let reply = encrypt(ALICE);
            match reply.status {
                200 => executed += 1,
                _ => {
                    let body = reply.refused(429, "Rejected.Throttling");
                    assert!(body["RequestId"].is_string() && body["Message"].is_string(), "{body}");
                    throttled += 1;
                }
            }
        }
        assert_eq!(quiet.join().unwrap(), [200; 5]);
    });
    assert!(executed >= 5 && throttled > 50, "{executed} {throttled}");
    assert_eq!(kms.count("Encrypt"), executed + 5);
    assert_eq!(running.metric("keyward_throttled_total{class=\"cryptography\"}"), throttled as f64);
    // What is denied takes nothing, and other kinds of work are counted on their own.
    for _ in 0..20 {
        running.call(BOB, "Encrypt", &[("KeyId", ORDERS), HELLO]).refused(403, "Forbidden.NoPermission");
        running.call(ALICE, "Encrypt", &[("KeyId", PAYROLL), HELLO]).refused(403, "Forbidden.NoPermission");
        running.call(ALICE, "ListKeys", &[]).ok();
    }
    assert_eq!((kms.count("Encrypt"), kms.count("ListKeys")), (executed + 5, 20));
    // After a moment there is something in the bucket again.
    assert!(wait(|| encrypt(ALICE).status == 200));
}
