//! What an operator sees and does: metrics, health, audit lines, signals, and mistakes at the start.

#![expect(clippy::disallowed_methods, reason = "tests read what the system says about a process")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::sandbox::{ALICE, BOB, Caller, House, KIM, exchange, signed_v1, tcp};

#[test]
fn metrics_and_audit_lines_tell_what_happened() {
    let house = House::new();
    let running = house.start();
    running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")]).ok();
    running.call(BOB, "GetSecretValue", &[("SecretName", "orders/db-password")]).refused(403, "Forbidden.NoPermission");
    running.call(Caller { secret: "wrong", ..ALICE }, "Encrypt", &[]).refused(400, "SignatureDoesNotMatch");
    running.call(Caller { id: "LTAIunknown", ..ALICE }, "Encrypt", &[]).refused(404, "InvalidAccessKeyId.NotFound");
    for (name, value) in [
        (r#"keyward_requests_total{decision="allow",operation="Encrypt",status="200"}"#, 1.0),
        (r#"keyward_requests_total{decision="deny",operation="GetSecretValue",status="403"}"#, 1.0),
        (r#"keyward_requests_total{decision="reject",operation="Encrypt",status="400"}"#, 1.0),
        (r#"keyward_rejections_total{reason="signature_mismatch"}"#, 1.0),
        (r#"keyward_rejections_total{reason="unknown_access_key"}"#, 1.0),
        ("keyward_decision_seconds_count", 4.0),
        ("keyward_upstream_seconds_count", 1.0),
        (r#"keyward_policies{kind="key"}"#, 2.0),
        ("keyward_policy_generation", 1.0),
        (r#"keyward_build_info{version="0.1.0"}"#, 1.0),
    ] {
        assert_eq!(running.metric(name), value, "{name}");
    }
    let lines = running.wait_for_audit_lines(4);
    assert_eq!(lines[0]["caller"], "acs:ram::1234567890123456:user/alice");
    assert_eq!(lines[0]["statements"][0], "keys/key-exampleorders01.json statement 2 (OrdersServiceUsesTheKey)");
    assert_eq!((&lines[1]["decision"], &lines[1]["reason"]), (&"deny".into(), &"explicit_deny".into()));
    assert_eq!((&lines[2]["caller"], &lines[2]["access_key_id"]), (&serde_json::Value::Null, &ALICE.id.into()));
    assert_eq!(lines[3]["reason"], "unknown_access_key");
}

/// Plants canaries in everything that must stay secret, and looks for them in everything that is written.
#[test]
fn no_secret_reaches_a_log_a_metric_or_an_audit_line() {
    let house = House::new();
    house.edit("config/keyward.toml", "level = \"info\"", "level = \"trace\"");
    let running = house.start();
    let canary = "Q0FOQVJZ";
    let secret = [("SecretName", "canary"), ("SecretData", "CANARY-data"), ("VersionId", "v1")];
    running.call(KIM, "CreateSecret", &secret).ok();
    running.call(KIM, "GetSecretValue", &[("SecretName", "canary")]).ok();
    let context = r#"{"CANARY-key":"CANARY-value"}"#;
    let encrypt = [("KeyId", "alias/orders"), ("Plaintext", canary), ("EncryptionContext", context)];
    let ciphertext = running.call(KIM, "Encrypt", &encrypt).ok();
    let ciphertext = ciphertext["CiphertextBlob"].as_str().unwrap().to_owned();
    running.call(BOB, "Encrypt", &encrypt).refused(403, "Forbidden.NoPermission");
    running.call(KIM, "Decrypt", &[("CiphertextBlob", &ciphertext), ("EncryptionContext", "{\"CANARY\"")]);
    running.call(Caller { secret: "CANARY-secret", ..KIM }, "Encrypt", &encrypt).refused(400, "SignatureDoesNotMatch");
    let mut signatures = Vec::new();
    // The same in the query, well-formed and not, where a careless server logs it.
    for broken in ["", "&Plaintext=CANARY", "&Plaintext=%zzCANARY", "#CANARY"] {
        let query = signed_v1(KIM, "Encrypt", &encrypt);
        signatures.push(query.split("Signature=").nth(1).unwrap().split('&').next().unwrap().to_owned());
        raw(&running.api, &format!("POST /?{query}{broken} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    }
    raw(&running.api, &format!("POST /?CANARY{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000)));
    raw(&running.api, "POST /?CANARY HTTP/1.1\r\nHost: a\r\nBad Header: CANARY\r\n\r\n");
    raw(&running.api, "CANARY\r\n\r\n");
    running.wait_for_audit_lines(12);
    let (_, metrics) = running.page("/metrics");
    let (_, ready) = running.page("/readyz");
    let written = [running.everything_written(), metrics, ready].join("\n");
    let secrets = ["CANARY", canary, &ciphertext, KIM.secret];
    for secret in secrets.into_iter().chain(signatures.iter().map(String::as_str)) {
        let line = written.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was written");
    }
}

fn raw(address: &str, request: &str) -> String {
    exchange(&mut tcp(address), request.as_bytes())
}

#[test]
fn health_and_readiness_are_pages_of_the_admin_port_only() {
    let house = House::new();
    let running = house.start();
    assert_eq!(running.page("/healthz"), (200, "ok\n".into()));
    assert_eq!(running.page("/readyz").0, 200);
    assert_eq!(running.page("/").0, 404);
    let (admin, api) = (running.admin.clone(), running.api.clone());
    let foreign = raw(&admin, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(foreign.starts_with("HTTP/1.1 421"), "{foreign}");
    let api = raw(&api, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(api.starts_with("HTTP/1.1 404") && api.contains("InvalidApi.NotFound"), "{api}");
}

#[test]
fn signals_end_it_promptly() {
    for signal in ["TERM", "INT"] {
        let house = House::new();
        let mut running = house.start();
        // A connection that is idle, and one whose request never ends.
        let _idle = TcpStream::connect(&running.api).unwrap();
        running.call(ALICE, "ListKeys", &[]).ok();
        running.signal(signal);
        // In time, or else the sandbox gives up: nothing here is waited for.
        let status = running.ended();
        assert!(status.success(), "{status}");
        assert_eq!(running.wait_for_audit_lines(1).len(), 1);
    }
}

#[test]
fn a_running_request_ends_before_it_does_and_a_second_signal_does_not_wait() {
    let house = House::new();
    for signals in [1, 2] {
        let mut running = house.start();
        let body = signed_v1(ALICE, "ListKeys", &[]);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(&running.api).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        assert!(crate::sandbox::wait(|| running.metric("keyward_connections") >= 1.0));
        stream.write_all(&body.as_bytes()[..10]).unwrap();
        assert!(crate::sandbox::wait(|| running.metric("keyward_requests_running") >= 1.0));
        running.signal("TERM");
        assert!(crate::sandbox::wait(|| TcpStream::connect(&running.api).is_err()), "the port is still open");
        if signals == 1 {
            stream.write_all(&body.as_bytes()[10..]).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("TotalCount"), "{answer}");
        } else {
            running.signal("TERM");
        }
        assert!(running.ended().success());
    }
}

#[test]
fn every_mistake_is_reported_at_the_start() {
    let house = House::new();
    house.write("policies/keys/key-exampleorders01.json", "{\n  \"Version\": \"2\",\n  \"Statement\": []\n}");
    house.edit("config/identities.toml", "policies = [\"KmsAuditor\"]", "policies = [\"KmsAuditer\"]");
    house.edit("config/seed.toml", "aliases = [\"alias/orders\"]", "aliases = [\"orders\"]");
    let (said, code) = house.start_in_vain();
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "seed.toml:7:12: `orders` is no alias",
        "key-exampleorders01.json:2:14: `Version` must be \"1\"",
        "key-exampleorders01.json:3:16: `Statement` is empty",
        "identities.toml:31:13: RAM policy `KmsAuditer` of acs:ram::1234567890123456:user/bob is not there",
        "4 mistakes; Keyward does not start.",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    house.edit("config/keyward.toml", "region = ", "regoin = ");
    let (said, code) = house.start_in_vain();
    assert!(code == Some(1) && said.contains("unknown entry `kms.regoin`; did you mean `region`?"), "{said}");
}

/// Looking at the files must not be a reason to look again.
#[test]
fn an_idle_process_rests() {
    let house = House::new();
    let running = house.start();
    let cpu_ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.process())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // One edit, so that its events are over.
    house.edit("policies/ram/KmsBrowse.json", "kms:ListKeys", "kms:DescribeKey");
    running.wait_for_generation(2);
    let before = cpu_ticks();
    std::thread::park_timeout(Duration::from_secs(2));
    assert!(cpu_ticks() - before <= 4, "{} ticks of 10 ms in 2 s", cpu_ticks() - before);
}

/// Whoever reads logs and audit lines may go away; requests, reloads and the end go on.
#[test]
fn readers_that_go_away_stop_nothing() {
    let house = House::new();
    let mut running = house.start();
    running.stop_reading();
    // The first lines may still be on their way to the reader.
    assert!(crate::sandbox::wait(|| {
        running.call(ALICE, "ListKeys", &[]).ok();
        running.metric("keyward_audit_dropped_total") >= 1.0
    }));
    house.edit("policies/ram/KmsBrowse.json", "kms:ListKeys", "kms:DescribeKey");
    running.wait_for_generation(2);
    house.edit("policies/ram/KmsBrowse.json", "kms:DescribeKey", "kms:ListKeys");
    running.wait_for_generation(3);
    running.call(ALICE, "ListKeys", &[]).ok();
    running.signal("TERM");
    assert!(running.ended().success());
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    house.edit("config/keyward.toml", "api = \"127.0.0.1:0\"", &format!("api = \"{address}\""));
    let (said, code) = house.start_in_vain();
    assert!(code == Some(2) && said.contains("is taken by another program"), "{said}");
}

#[test]
fn a_condition_that_cannot_be_judged_is_refused() {
    let house = House::new();
    house.edit(
        "policies/ram/KmsBrowse.json",
        "\"Effect\": \"Allow\",",
        "\"Effect\": \"Allow\", \"Condition\": {\"IpAdress\": {\"acs:SourceIp\": \"10.0.0.0/8\"}},",
    );
    let (said, code) = house.start_in_vain();
    assert!(
        code == Some(1) && said.contains("unknown condition operator `IpAdress`; did you mean `IpAddress`?"),
        "{said}"
    );
}
