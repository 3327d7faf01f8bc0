//! X08: whatever comes from outside, in a name, a header or an answer: each audit line is one line of JSON, and nothing that a
//! terminal or a reader of lines would obey is written anywhere.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::front::{ORDERS, plain, ready};
use super::super::scripted::{Act, Scripted};
use super::request::{V3, percent, v1_form};
use crate::sandbox::{ALICE, Caller, FORM, KIM, exchange, post, tcp};

/// What would forge a line, colour a terminal, or break a reader.
const HOSTILE: [&str; 14] = [
    "a\r\n{\"decision\":\"allow\"}",
    "a\nb",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "a\u{2028}b\u{2029}c",
    "a\u{85}b",
    "\",\"decision\":\"allow\",\"x\":\"",
    "\\\",\\",
    "\u{202e}nimda",
    "\u{feff}\u{200b}",
    "\0a",
    "\u{8}\u{7f}",
    "${jndi:ldap://x}%s%n",
    "'; DROP TABLE",
];

/// What KMS says of itself and of the request, hostile too.
fn hostile_answers(text: &str) -> Vec<Act> {
    let code: String = text.chars().chain("x".repeat(5000).chars()).collect();
    let body = json!({"Code": code, "Message": text, "RequestId": text, "HostId": text}).to_string();
    let header: String = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).map(char::from).collect();
    let head = format!(
        "HTTP/1.1 400 X\r\nContent-Type: application/json\r\nx-acs-request-id: {header}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    vec![Act::Send([head.into_bytes(), body.into_bytes()].concat())]
}

/// Requests that carry a text in every place that there is.
fn requests(text: &str) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let long = text.repeat(400);
    for value in [text, &long] {
        for own in [
            vec![("Action", value)],
            vec![("Action", "Encrypt"), ("KeyId", value), ("Plaintext", "eA==")],
            vec![("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", value), ("EncryptionContext", value)],
            vec![("Action", "GetSecretValue"), ("SecretName", value)],
            vec![("Action", "DeleteAlias"), ("AliasName", value)],
            vec![("Action", "Decrypt"), ("CiphertextBlob", value)],
            vec![("Action", "TagResources"), ("ResourceType", value), ("ResourceId.1", value)],
            vec![("Action", "DescribeKey"), ("KeyId", ORDERS), ("RegionId", value)],
            vec![("Action", "AssumeRole"), ("Version", "2015-04-01"), ("RoleArn", value), ("RoleSessionName", value)],
            vec![("Action", "SetKeyPolicy"), ("KeyId", ORDERS), ("Policy", value)],
            vec![("Action", "ListKeys"), ("Version", value)],
            vec![("Action", "ListKeys"), ("SignatureNonce", value)],
            vec![("Action", "ListKeys"), ("Timestamp", value)],
            vec![("Action", "ListKeys"), ("SecurityToken", value)],
            vec![("Action", "ListKeys"), ("Format", value)],
            vec![("Action", "ListKeys"), ("SignatureMethod", value)],
        ] {
            requests.push(post("", &v1_form(KIM, &own)));
        }
        let id = v1_form(ALICE, &[("Action", "ListKeys")]).replace(ALICE.id, &percent(value));
        requests.push(post("", &id));
        let session = v1_form(ALICE, &[("Action", "ListKeys"), ("SecurityToken", value)]);
        requests.push(post("", &session.replace(ALICE.id, &percent(&format!("STS.{value}")))));
        requests.push(post("", &format!("{}={}", percent(value), percent(value))));
    }
    // In headers, as they are, and as far as a line goes.
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
    for name in ["User-Agent", "X-Forwarded-For", "X-Real-IP", "Cookie", "x-acs-action", "x-acs-version", "If-Match"] {
        requests.push(post(&format!("{name}: {plain}\r\n"), &v1_form(KIM, &[("Action", "ListKeys")])));
        requests.push(post(&format!("{name}: {text}\r\n"), &v1_form(KIM, &[("Action", "ListKeys")])));
    }
    let host = String::from_utf8(post("", &v1_form(KIM, &[("Action", "ListKeys")]))).unwrap();
    requests.push(host.replace("kms.test", &plain).into_bytes());
    requests.push(format!("{text} /?{text} HTTP/1.1\r\nHost: a\r\n{FORM}Connection: close\r\n\r\n").into_bytes());
    let someone = Caller { id: Box::leak(plain.clone().into_boxed_str()), secret: "x" };
    requests.push(V3 { action: "ListKeys", ..V3::of(someone) }.bytes());
    requests.push(V3 { action: &plain, query: &[("KeyId", text)], ..V3::of(KIM) }.bytes());
    requests
}

/// What no line may hold: bytes that move a terminal, or end a line for some reader.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn x08_every_line_is_one_line() {
    let kms = Scripted::start(|request, _| {
        let number: usize = request.parameter("Number").and_then(|it| it.parse().ok()).unwrap_or(0);
        hostile_answers(HOSTILE[number])
    });
    for format in ["text", "json"] {
        let house = plain(
            &kms.address,
            &[("[throttle]", &format!("[log]\nformat = \"{format}\"\nlevel = \"debug\"\n\n[throttle]"))],
        );
        let running = house.start();
        ready(&running);
        let mut sent = 0;
        for (number, text) in HOSTILE.iter().enumerate() {
            let number = number.to_string();
            let from_kms = v1_form(KIM, &[("Action", "ListKeys"), ("Number", &number)]);
            for bytes in requests(text).into_iter().chain([post("", &from_kms)]) {
                let answer = exchange(&mut tcp(&running.api), &bytes);
                assert!(answer.starts_with("HTTP/1.1 "), "{}: {answer}", String::from_utf8_lossy(&bytes));
                sent += 1;
            }
        }
        // `audit` parses every line.
        let lines = running.wait_for_audit_lines(sent);
        assert_eq!(lines.len(), sent, "{format}");
        let known = HashSet::from(["allow", "deny", "reject"]);
        for line in &lines {
            let Value::Object(members) = line else { panic!("{line}") };
            assert!(known.contains(line["decision"].as_str().unwrap()), "{line}");
            let longest = members.values().filter_map(Value::as_str).map(|text| text.chars().count()).max();
            assert!(longest.is_some_and(|length| length < 260), "{line}");
            assert!(members.contains_key("request_id") && members.contains_key("policy_hash"), "{line}");
        }
        let written = running.everything_written();
        let odd: Vec<&str> = written.lines().filter(|line| line.chars().any(is_obeyed)).collect();
        assert!(odd.is_empty(), "{format}: {odd:?}");
        let metrics = running.page("/metrics").1;
        assert!(!metrics.chars().any(is_obeyed) && !metrics.contains("jndi"));
    }
}
