//! One request and its answer: what KMS receives, how often, and what the client sees when KMS misbehaves.

use std::time::{Duration, Instant};

use super::front::{ORDERS, PAYROLL, plain};
use super::scripted::{Act, HEADERS_OF_OURS, Scripted, answer, answer_with};
use crate::sandbox::{ALICE, BOB, KIM, Running};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");

/// What KMS answers to Encrypt under a key.
fn encrypted(key: &str) -> String {
    format!(r#"{{"KeyId":"{key}","KeyVersionId":"v-1","CiphertextBlob":"YmxvYg==","RequestId":"R-UP"}}"#)
}

/// The last audit line, once there are so many.
fn audit(running: &Running<'_>, count: usize) -> serde_json::Value {
    running.wait_for_audit_lines(count).pop().unwrap()
}

/// What is allowed arrives once, in its canonical form; what is not does not arrive at all.
#[test]
fn what_is_allowed_is_written_anew_and_what_is_not_stays_here() {
    let kms = Scripted::start(|_, _| vec![Act::Send(answer(200, &encrypted(ORDERS)))]);
    let house = plain(&kms.address, &[]);
    let running = house.start();
    running.call(BOB, "Encrypt", &[("KeyId", ORDERS), HELLO]).refused(403, "Forbidden.NoPermission");
    running.call(ALICE, "Encrypt", &[("KeyId", PAYROLL), HELLO]).refused(403, "Forbidden.NoPermission");
    assert_eq!(kms.bytes(), b"");
    let context = ("EncryptionContext", r#"{"a+b":"c d*~"}"#);
    let body = running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO, context]).ok();
    assert_eq!(body["RequestId"], "R-UP");
    let [request] = &kms.requests()[..] else { panic!("{:?}", kms.requests()) };
    let expected =
        "EncryptionContext=%7B%22a%2Bb%22%3A%22c%20d%2A~%22%7D&KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    assert_eq!(request.body, expected);
    let mut names: Vec<String> =
        request.head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
    names.sort();
    assert_eq!(names, HEADERS_OF_OURS);
    assert!(request.head.starts_with("POST / HTTP/1.1\r\n"), "{}", request.head);
    assert!(request.header("authorization").unwrap().contains(KIM.id), "signed as Keyward");
    let line = audit(&running, 3);
    assert_eq!((line["executed"].as_str(), line["upstream_request_id"].as_str()), (Some("yes"), Some("R-UP")));
}

/// U01: the answer is cut at each of its bytes. The client never sees a part of it, and KMS is not asked again.
#[test]
fn an_answer_that_is_cut_anywhere_is_no_answer() {
    let whole = answer(200, &encrypted(ORDERS));
    let cut = whole.clone();
    let kms = Scripted::start(move |_, number| vec![Act::Send(cut[..number].to_vec()), Act::Close]);
    let house = plain(&kms.address, &[("failures = 5", "failures = 1000")]);
    let running = house.start();
    for at in 0..whole.len() {
        let reply = running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]);
        assert_eq!(reply.status, 502, "{at}: {} {}", reply.body, running.page("/metrics").1);
        assert_eq!(kms.requests().len(), at + 1, "asked once more at {at}");
    }
    let line = audit(&running, whole.len());
    assert_eq!((line["executed"].as_str(), line["upstream_error"].as_str()), (Some("unknown"), Some("closed")));
    assert_eq!(running.metric("keyward_upstream_errors_total{kind=\"closed\"}"), whole.len() as f64);
    running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).ok();
}

/// U01, S04, S08, H08: answers that are none.
#[test]
fn odd_answers_are_not_passed_on() {
    let body = encrypted(ORDERS);
    let length = body.len();
    let ok = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-Header: yes\r\n".repeat(400));
    let odd: Vec<(&str, Vec<u8>, u16)> = vec![
        ("another protocol", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(), 502),
        ("interim for ever", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100), 502),
        ("two lengths", format!("{ok}Content-Length: {length}\r\n\r\n{body}").into(), 502),
        ("two different lengths", format!("{ok}Content-Length: 1\r\n\r\n{body}").into(), 502),
        ("no length", format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}").into(), 502),
        ("a bad length", format!("HTTP/1.1 200 OK\r\nContent-Length: +{length}\r\n\r\n{body}").into(), 502),
        ("bad chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n".to_vec(), 502),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec(), 502),
        ("headers without end", endless.into(), 502),
        ("a redirection", b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(), 502),
        ("nothing in it", answer(200, ""), 502),
        ("a page", b"HTTP/1.1 502 X\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".to_vec(), 502),
        ("interim answers", [b"HTTP/1.1 100 Continue\r\n\r\n".repeat(3), answer(200, &body)].concat(), 200),
        (
            "chunks",
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            )
            .into(),
            200,
        ),
    ];
    let script: Vec<Vec<u8>> = odd.iter().map(|(_, bytes, _)| bytes.clone()).collect();
    let kms = Scripted::start(move |_, number| vec![Act::Send(script[number].clone()), Act::Close]);
    let house = plain(&kms.address, &[("failures = 5", "failures = 1000")]);
    let running = house.start();
    for (at, (name, _, status)) in odd.iter().enumerate() {
        let reply = running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]);
        assert_eq!(reply.status, *status, "{name}: {}", reply.body);
        assert!(*status == 200 || reply.body["Code"].is_string(), "{name}: {}", reply.body);
        assert_eq!(kms.requests().len(), at + 1, "{name}: asked once more");
    }
}

/// S09: what comes after an answer belongs to nobody.
#[test]
fn bytes_behind_an_answer_reach_no_other_client() {
    let canary = r#"{"KeyId":"key-exampleorders01","Plaintext":"CANARY"}"#;
    let behind = [answer(200, &encrypted(ORDERS)), answer(200, canary)].concat();
    let kms = Scripted::start(move |_, number| {
        vec![Act::Send(if number % 2 == 0 { behind.clone() } else { answer(200, &encrypted(ORDERS)) })]
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    for _ in 0..20 {
        let body = running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).ok();
        assert!(!body.to_string().contains("CANARY"));
    }
    let connections: Vec<usize> = kms.requests().iter().map(|request| request.connection).collect();
    assert!(connections.chunks(2).all(|pair| pair.len() < 2 || pair[0] != pair[1]), "{connections:?}");
}

/// U02: whatever becomes of the connection, what may have been executed is not sent again; a read over a connection that
/// turned out to be closed is, once, signed anew.
#[test]
fn nothing_is_executed_twice() {
    for (operation, params, most) in [
        ("CreateKey", &[][..], 1),
        ("ScheduleKeyDeletion", &[("KeyId", ORDERS), ("PendingWindowInDays", "7")][..], 1),
        ("PutSecretValue", &[("SecretName", "s"), ("VersionId", "v"), ("SecretData", "d")][..], 1),
        ("GenerateDataKey", &[("KeyId", ORDERS)][..], 1),
        ("Encrypt", &[("KeyId", ORDERS), HELLO][..], 1),
        ("DescribeKey", &[("KeyId", ORDERS)][..], 2),
        ("GetSecretValue", &[("SecretName", "s")][..], 2),
    ] {
        let described = r#"{"Arn":"acs:kms:cn-hangzhou:1234567890123456:secret/s","SecretName":"s","RequestId":"r"}"#;
        let kms = Scripted::start(move |request, _| match request.operation().as_str() {
            "DescribeSecret" => vec![Act::Send(answer(200, described))],
            // Taken, and never answered; on a connection that was used before, too.
            it if it == operation => vec![Act::Close],
            _ => vec![Act::Send(answer(200, r#"{"Keys":{"Key":[]},"RequestId":"r"}"#))],
        });
        let house = plain(&kms.address, &[]);
        let running = house.start();
        running.call(KIM, "ListKeys", &[]).ok();
        let reply = running.call(KIM, operation, params);
        assert_eq!((reply.status, kms.count(operation)), (502, most), "{operation}: {}", reply.body);
        let nonces: Vec<_> =
            kms.requests().iter().map(|it| it.header("x-acs-signature-nonce").map(str::to_owned)).collect();
        let mut different = nonces.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), nonces.len(), "each sending is signed anew");
        assert_eq!(running.metric("keyward_upstream_retries_total"), (most - 1) as f64, "{operation}");
    }
}

/// U03: an answer that does not begin, or does not end, in time. What changed something may have been executed.
#[test]
fn slow_answers_are_given_up() {
    let changes = [
        ("answer_ms = 8000", "answer_ms = 300"),
        ("body_ms = 4000", "body_ms = 300"),
        ("failures = 5", "failures = 9"),
    ];
    let begun = answer(200, &encrypted(ORDERS))[..120].to_vec();
    let drip = answer(200, &encrypted(ORDERS));
    let kms = Scripted::start(move |_, number| match number {
        0 => vec![Act::Silence],
        1 => vec![Act::Send(begun.clone()), Act::Silence],
        2 => vec![Act::Drip(drip.clone(), Duration::from_millis(20))],
        _ => vec![Act::Reset],
    });
    let house = plain(&kms.address, &changes);
    let running = house.start();
    for (count, expected) in ["answer_timeout", "body_timeout", "answer_timeout"].into_iter().enumerate() {
        let begin = Instant::now();
        let reply = running.call(KIM, "ScheduleKeyDeletion", &[("KeyId", ORDERS), ("PendingWindowInDays", "7")]);
        let message = reply.refused(504, "ServiceUnavailableTemporary")["Message"].to_string();
        assert!(message.contains("Whether the request was executed is not known"), "{message}");
        assert!(begin.elapsed() < Duration::from_secs(5));
        let line = audit(&running, count + 1);
        assert_eq!((line["executed"].as_str(), line["upstream_error"].as_str()), (Some("unknown"), Some(expected)));
    }
    running.call(KIM, "CreateKey", &[]).refused(502, "ServiceUnavailableTemporary");
}

/// Errors of KMS's own go on untouched; throttling too (X13), and nobody tries again.
#[test]
fn errors_of_kms_go_on_as_they_are() {
    let throttled =
        r#"{"RequestId":"r","HostId":"h","Code":"Rejected.Throttling","Message":"QPS Limit Exceeded","Odd":1}"#;
    let kms = Scripted::start(move |_, _| {
        vec![Act::Send(answer_with("x-acs-retry-after: 700\r\nX-Other: no\r\n", 429, throttled))]
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    let reply = running.call(KIM, "CreateKey", &[]);
    assert_eq!(reply.body.to_string(), serde_json::from_str::<serde_json::Value>(throttled).unwrap().to_string());
    assert_eq!((reply.status, kms.requests().len()), (429, 1));
    let line = audit(&running, 1);
    assert_eq!((line["code"].as_str(), line["executed"].as_str()), (Some("Rejected.Throttling"), Some("no")));
}

/// Many failures in a row: nobody tries for a moment, and then KMS is asked again.
#[test]
fn a_dead_kms_is_left_alone_for_a_moment() {
    let house = plain("127.0.0.1:1", &[("failures = 5", "failures = 3"), ("pause_ms = 1000", "pause_ms = 100")]);
    let running = house.start();
    let call = || running.call(KIM, "ListKeys", &[]);
    for _ in 0..3 {
        call().refused(503, "ServiceUnavailableTemporary");
    }
    call().refused(503, "ServiceUnavailableTemporary");
    assert!(running.metric("keyward_upstream_errors_total{kind=\"circuit_open\"}") >= 1.0);
    assert_eq!(running.metric("keyward_upstream_circuit_open"), 1.0);
    let line = audit(&running, 4);
    assert_eq!((line["decision"].as_str(), line["executed"].as_str()), (Some("allow"), Some("no")));
    let before = running.metric("keyward_upstream_errors_total{kind=\"connect\"}");
    let tried_again = || {
        call();
        running.metric("keyward_upstream_errors_total{kind=\"connect\"}") > before
    };
    assert!(crate::sandbox::wait(tried_again), "nobody ever tried again");
}

/// As many are on their way as may be, and the next one is told so at once.
#[test]
fn requests_on_their_way_are_bounded() {
    let kms =
        Scripted::start(|_, number| if number == 0 { vec![Act::Silence] } else { vec![Act::Send(answer(200, "{}"))] });
    let house = plain(&kms.address, &[("requests = 256", "requests = 1")]);
    let running = house.start();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| running.call(KIM, "ListKeys", &[]).status);
        assert!(crate::sandbox::wait(|| kms.requests().len() == 1));
        let begin = Instant::now();
        running.call(KIM, "ListKeys", &[]).refused(503, "ServiceUnavailableTemporary");
        assert!(begin.elapsed() < Duration::from_secs(2));
        assert_eq!(running.metric("keyward_upstream_errors_total{kind=\"busy\"}"), 1.0);
        assert_eq!(slow.join().unwrap(), 504);
    });
}

/// Connections are kept and used again; what changes something has one of its own.
#[test]
fn connections_are_kept() {
    let kms = Scripted::always(r#"{"Keys":{"Key":[]},"RequestId":"r"}"#);
    let house = plain(&kms.address, &[]);
    let running = house.start();
    for _ in 0..20 {
        running.call(KIM, "ListKeys", &[]).ok();
    }
    // One is made at the start, to see whether there is one.
    assert!(crate::sandbox::wait(|| kms.connections() == 2));
    running.call(KIM, "CreateKey", &[]).ok();
    assert_eq!(kms.connections(), 3);
    assert_eq!(running.metric("keyward_upstream_connections_total{how=\"reused\"}"), 19.0);
}

/// U03, U04: whoever has left is not waited for; what changes something is, and its line says what became of it.
#[test]
fn clients_that_leave() {
    let kms = Scripted::start(|request, _| match request.operation().as_str() {
        "CreateKey" => vec![Act::Drip(answer(200, r#"{"KeyMetadata":{},"RequestId":"R"}"#), Duration::from_millis(2))],
        _ => vec![Act::Silence],
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    for (count, operation, executed, error) in
        [(1, "ListKeys", "unknown", Some("client_left")), (2, "CreateKey", "yes", None)]
    {
        let mut stream = crate::sandbox::tcp(&running.api);
        std::io::Write::write_all(
            &mut stream,
            &crate::sandbox::post("", &crate::sandbox::signed_v1(KIM, operation, &[])),
        )
        .unwrap();
        assert!(crate::sandbox::wait(|| kms.count(operation) == 1));
        let begin = Instant::now();
        drop(stream);
        let line = audit(&running, count);
        assert!(begin.elapsed() < Duration::from_secs(6), "{operation}");
        assert_eq!((line["operation"].as_str(), line["executed"].as_str()), (Some(operation), Some(executed)));
        assert_eq!((line["upstream_error"].as_str(), &line["delivered"]), (error, &serde_json::Value::Bool(false)));
    }
    assert_eq!(running.metric("keyward_upstream_requests_running"), 0.0);
}
