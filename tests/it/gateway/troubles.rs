//! What is wrong between Keyward and KMS, and no client's fault: operators are told by the log, the status and the audit
//! line, with what KMS said.

use serde_json::Value;

use super::front::{ACCOUNT, ORDERS, plain};
use super::scripted::{Act, Scripted, answer};
use crate::sandbox::{ALICE, BOB, KIM, Running, wait};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");
const SECRET: (&str, &str) = ("SecretName", "orders/db-password");

fn problems(running: &Running<'_>) -> String {
    running.status()["problems"].to_string()
}

fn last(running: &Running<'_>, count: usize) -> Value {
    running.wait_for_audit_lines(count).pop().unwrap()
}

/// A question that KMS does not answer Keyward is not the caller's fault, and none that policies could change.
#[test]
fn a_refused_question_is_told() {
    let kms = Scripted::start(|request, _| {
        let refused = r#"{"Code":"Forbidden.NoPermission","Message":"m","RequestId":"R-5"}"#;
        match request.operation().as_str() {
            "DescribeSecret" | "DescribeKey" => vec![Act::Send(answer(403, refused))],
            _ => vec![Act::Send(answer(200, r#"{"SecretData":"s","RequestId":"r"}"#))],
        }
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    running.call(ALICE, "GetSecretValue", &[SECRET]).refused(403, "Forbidden.NoPermission");
    let line = last(&running, 1);
    assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("reject"), Some("question_refused")));
    running.written_with("KMS does not let Keyward ask what names stand for");
    let written = running.everything_written();
    assert!(written.contains("operation=\"DescribeSecret\"") && written.contains("R-5"), "{written}");
    let told = problems(&running);
    assert!(told.contains("DescribeSecret in Keyward's own name: KMS refuses it (Forbidden.NoPermission"), "{told}");
    assert_eq!(running.metric("keyward_lookups_total{result=\"refused\"}"), 1.0);
}

/// Nor are credentials that KMS does not take: it is told which they are, and why not.
#[test]
fn refused_credentials_are_told() {
    let refused = r#"{"Code":"SignatureDoesNotMatch","Message":"m","RequestId":"R-6"}"#;
    for (operation, params) in [("ListKeys", &[][..]), ("GetSecretValue", &[SECRET])] {
        let kms = Scripted::start(move |_, _| vec![Act::Send(answer(400, refused))]);
        let house = plain(&kms.address, &[]);
        let running = house.start();
        running.call(KIM, operation, params).refused(503, "ServiceUnavailableTemporary");
        running.written_with("KMS does not accept what signs a request");
        let (written, told) = (running.everything_written(), problems(&running));
        assert!(written.contains(&format!("access_key_id=\"{}\"", KIM.id)), "{written}");
        assert!(told.contains("KMS does not accept it (SignatureDoesNotMatch, request R-6)"), "{told}");
        let line = last(&running, 1);
        if operation == "ListKeys" {
            assert_eq!(line["upstream_error"].as_str(), Some("credentials_refused"));
            let said = (line["upstream_request_id"].as_str(), line["upstream_code"].as_str());
            assert_eq!(said, (Some("R-6"), Some("SignatureDoesNotMatch")));
        } else {
            assert_eq!(line["reason"].as_str(), Some("question_failed"));
        }
    }
}

/// A page of a proxy is no answer, whatever was asked, and by whom.
#[test]
fn pages_are_no_answers() {
    let page = "<html>out of order</html>";
    let page = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    let kms = Scripted::start(move |_, _| vec![Act::Send(page.clone().into_bytes())]);
    let house = plain(&kms.address, &[]);
    let running = house.start();
    for (at, (operation, params, status, error)) in [
        ("ListKeys", &[][..], 502, Some("malformed")),
        ("Encrypt", &[("KeyId", ORDERS), HELLO], 502, Some("malformed")),
        ("Encrypt", &[("KeyId", "alias/orders"), HELLO], 502, Some("malformed")),
        ("Decrypt", &[("CiphertextBlob", "eA==")], 502, Some("malformed")),
        ("GetSecretValue", &[SECRET], 503, None),
        ("TagResource", &[("KeyId", "alias/orders"), ("Tags", "[]")], 503, None),
    ]
    .into_iter()
    .enumerate()
    {
        running.call(KIM, operation, params).refused(status, "ServiceUnavailableTemporary");
        let line = last(&running, at + 1);
        assert_eq!(line["upstream_error"].as_str(), error, "{operation}: {line}");
    }
}

/// An error about a key that nobody here knows is withheld from who might not use it; what it was is in the audit line.
#[test]
fn the_code_of_a_withheld_error_is_in_the_audit_line() {
    let kms = Scripted::start(|_, _| {
        vec![Act::Send(answer(409, r#"{"Code":"Rejected.Disabled","Message":"m","RequestId":"R-7"}"#))]
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), HELLO]).refused(403, "Forbidden.NoPermission");
    let line = last(&running, 1);
    assert_eq!(line["reason"].as_str(), Some("error_of_unknown_key"));
    assert_eq!(
        (line["upstream_code"].as_str(), line["upstream_request_id"].as_str()),
        (Some("Rejected.Disabled"), Some("R-7"))
    );
    running.call(KIM, "Encrypt", &[("KeyId", "alias/orders"), HELLO]).refused(409, "Rejected.Disabled");
    assert_eq!(last(&running, 2)["upstream_code"], Value::Null, "it is the client's");
}

/// One caller's credentials that cannot be had are no reason for others to wait.
#[test]
fn one_callers_credentials_are_missed_by_nobody_else() {
    let kms = Scripted::always(r#"{"Keys":{"Key":[]},"RequestId":"r"}"#);
    let house = plain(&kms.address, &[]);
    let mapped = format!(
        "[[upstream.callers]]\narn = \"acs:ram::{ACCOUNT}:user/bob\"\n\
         credentials = {{ source = \"credentials_file\", file = \"none.ini\" }}\n\n[policies]"
    );
    house.edit("config/keyward.toml", "[policies]", &mapped);
    let running = house.start();
    running.call(KIM, "ListKeys", &[]).ok();
    running.call(BOB, "DescribeKey", &[("KeyId", ORDERS)]).refused(503, "ServiceUnavailableTemporary");
    assert_eq!(running.page("/readyz").0, 200);
    let told = problems(&running);
    assert!(told.contains("the credential of acs:ram::1234567890123456:user/bob cannot be fetched"), "{told}");
}

/// What is learned from the use of an alias is enough to decrypt with its key.
#[test]
fn who_encrypted_by_an_alias_may_decrypt() {
    const VERSION: &str = "00000001-1111-1111-1111-111111111111";
    let kms = Scripted::start(|_, _| {
        let body =
            format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"{VERSION}","CiphertextBlob":"eA==","Plaintext":"eA=="}}"#);
        vec![Act::Send(answer(200, &body))]
    });
    let house = plain(&kms.address, &[("lookups = true", "lookups = false")]);
    let running = house.start();
    let blob = keyward::kms::CiphertextBlob::new(VERSION, b"sealed").encode();
    running.call(ALICE, "Decrypt", &[("CiphertextBlob", &blob)]).refused(403, "Forbidden.NoPermission");
    running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), HELLO]).ok();
    running.call(ALICE, "Decrypt", &[("CiphertextBlob", &blob)]).ok();
}

/// What does not fit in a certificate is known before anybody asks for something.
#[test]
fn a_certificate_that_does_not_fit_is_told_at_the_start() {
    let kms = Scripted::start(|_, _| vec![Act::Close]);
    let house = super::front::front(&format!("https://{}", kms.address), &[]);
    let running = house.start();
    assert!(wait(|| problems(&running).contains("cannot be connected to: ")), "{}", problems(&running));
    assert!(kms.requests().is_empty());
}
