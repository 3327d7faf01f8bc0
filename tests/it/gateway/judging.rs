//! Answers that are judged before anybody sees them, and names that are known by hearsay.

use serde_json::Value;

use super::front::{ORDERS, PAYROLL, plain};
use super::scripted::{Act, Recorded, Scripted, answer, answer_with};
use crate::sandbox::{ALICE, CAROL, House, KIM, ROOT, Running, signed_v1};

const SECRET: &str = "U0VDUkVU";

/// A ciphertext as KMS makes it: the key version that made it, and bytes.
fn blob(version: &str) -> String {
    keyward::kms::CiphertextBlob::new(version, b"sealed").encode()
}

const V_ORDERS: &str = "11111111-1111-1111-1111-111111111111";
const V_PAYROLL: &str = "22222222-2222-2222-2222-222222222222";

fn decrypted(key: &str, version: &str) -> String {
    format!(r#"{{"KeyId":"{key}","KeyVersionId":"{version}","Plaintext":"{SECRET}","RequestId":"r"}}"#)
}

fn described(key: &str, account: &str, version: &str) -> String {
    let arn = format!("acs:kms:cn-hangzhou:{account}:key/{key}");
    format!(r#"{{"KeyMetadata":{{"KeyId":"{key}","Arn":"{arn}","PrimaryKeyVersion":"{version}"}},"RequestId":"r"}}"#)
}

const HERE: &str = "1234567890123456";
const PARTNER: &str = "6543210987654321";

/// What a KMS with the two keys of the examples says of them, and of aliases and secrets.
fn honest(request: &Recorded) -> Vec<Act> {
    let named = request.parameter("KeyId").unwrap_or_default();
    let key = if named.contains("payroll") { PAYROLL } else { ORDERS };
    let version = if key == PAYROLL { V_PAYROLL } else { V_ORDERS };
    let secret = request.parameter("SecretName").unwrap_or_default();
    let body = match request.operation().as_str() {
        "DescribeKey" if named == "key-foreign" => {
            return vec![Act::Send(answer(404, r#"{"Code":"Forbidden.KeyNotFound","Message":"m","RequestId":"r"}"#))];
        }
        "DescribeKey" => described(key, HERE, version),
        "DescribeSecret" => format!(
            r#"{{"Arn":"acs:kms:cn-hangzhou:{HERE}:secret/{secret}","SecretName":"{secret}","EncryptionKeyId":"{key}","RequestId":"r","Tags":{{"Tag":[{{"TagKey":"team","TagValue":"orders"}}]}}}}"#,
            key = if secret.starts_with("payroll") { PAYROLL } else { ORDERS }
        ),
        "GetSecretValue" => format!(r#"{{"SecretName":"{secret}","SecretData":"{SECRET}","RequestId":"r"}}"#),
        "ListResourceTags" => r#"{"Tags":{"Tag":[{"TagKey":"team","TagValue":"orders"}]},"RequestId":"r"}"#.to_owned(),
        "Decrypt" => {
            let blob = request.parameter("CiphertextBlob").unwrap_or_default();
            let key = if blob == self::blob(V_PAYROLL) { PAYROLL } else { ORDERS };
            decrypted(key, if key == PAYROLL { V_PAYROLL } else { V_ORDERS })
        }
        "Encrypt" | "GenerateDataKey" => {
            format!(r#"{{"KeyId":"{key}","KeyVersionId":"{version}","Plaintext":"{SECRET}","RequestId":"r"}}"#)
        }
        _ => r#"{"RequestId":"r"}"#.to_owned(),
    };
    vec![Act::Send(answer(200, &body))]
}

fn decrypt(running: &Running<'_>, caller: crate::sandbox::Caller, version: &str) -> (u16, Value) {
    let reply = running.call(caller, "Decrypt", &[("CiphertextBlob", &blob(version))]);
    (reply.status, reply.body)
}

/// A ciphertext does not say for certain whose it is; the answer does. Before that, nothing is released.
#[test]
fn a_plaintext_is_released_to_who_may_use_the_key_that_it_was_under() {
    let kms = Scripted::start(|request, _| honest(request));
    let house = plain(&kms.address, &[]);
    let running = house.start();
    // Nobody knows these key versions yet.
    let (status, body) = decrypt(&running, ALICE, V_ORDERS);
    assert_eq!((status, body["Plaintext"].as_str()), (200, Some(SECRET)));
    let (status, body) = decrypt(&running, ALICE, V_PAYROLL);
    assert_eq!((status, body["Code"].as_str()), (403, Some("Forbidden.NoPermission")), "{body}");
    assert!(!body.to_string().contains(SECRET));
    let line = running.wait_for_audit_lines(2).pop().unwrap();
    let resource = &line["permissions"][0]["resource"];
    assert_eq!(resource.as_str(), Some("acs:kms:cn-hangzhou:1234567890123456:key/key-examplepayroll01"));
    assert_eq!((line["decision"].as_str(), line["executed"].as_str()), (Some("deny"), Some("yes")));
    assert_eq!(running.metric("keyward_answers_judged_total{result=\"withheld\"}"), 1.0);
    // KMS was asked whose the key is, and said which version it has: what is not allowed is not even sent.
    let before = kms.count("Decrypt");
    assert_eq!(decrypt(&running, ALICE, V_PAYROLL).0, 403);
    assert_eq!(kms.count("Decrypt"), before, "its key is known by now");
    assert_eq!(decrypt(&running, KIM, V_PAYROLL).0, 200);
}

/// Whatever KMS answers, and whatever the index says by then: no plaintext of a key that the caller may not use is released.
#[test]
fn wrong_answers_release_nothing() {
    let plain_error = r#"{"Code":"InvalidParameter","Message":"m","RequestId":"r","HostId":"h"}"#;
    let gzip = |text: &str| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let compressed = |zipped: Vec<u8>| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length:";
        [format!("{head} {}\r\n\r\n", zipped.len()).into_bytes(), zipped].concat()
    };
    let of_payroll = compressed(gzip(&decrypted(PAYROLL, V_PAYROLL)));
    // Some clients read on after the first one.
    let two = compressed([gzip(&decrypted(ORDERS, V_ORDERS)), gzip(&decrypted(PAYROLL, V_PAYROLL))].concat());
    let xml = format!("<R><KeyId>{PAYROLL}</KeyId><Plaintext>{SECRET}</Plaintext></R>");
    let two_in_xml = format!("<R><KeyId>{ORDERS}</KeyId><KeyId>{PAYROLL}</KeyId><Plaintext>{SECRET}</Plaintext></R>");
    let as_xml = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    };
    let wrong: Vec<(&str, Vec<u8>, u16)> = vec![
        ("another key", answer(200, &decrypted(PAYROLL, V_ORDERS)), 403),
        ("no key", answer(200, &format!(r#"{{"Plaintext":"{SECRET}"}}"#)), 502),
        (
            "two keys",
            answer(200, &format!(r#"{{"KeyId":"{ORDERS}","KeyId":"{PAYROLL}","Plaintext":"{SECRET}"}}"#)),
            502,
        ),
        ("a key in another case", answer(200, &format!(r#"{{"keyId":"{ORDERS}","Plaintext":"{SECRET}"}}"#)), 502),
        ("no text", answer(200, &format!(r#"{{"KeyId":["{ORDERS}"],"Plaintext":"{SECRET}"}}"#)), 502),
        ("no JSON", answer(200, SECRET), 502),
        ("an alias", answer(200, &format!(r#"{{"KeyId":"alias/orders","Plaintext":"{SECRET}"}}"#)), 502),
        (
            "another account's",
            answer(200, &decrypted(&format!("acs:kms:cn-hangzhou:{PARTNER}:key/{ORDERS}"), V_ORDERS)),
            403,
        ),
        (
            "another region's",
            answer(200, &decrypted(&format!("acs:kms:cn-beijing:{HERE}:key/{ORDERS}"), V_ORDERS)),
            502,
        ),
        ("a foreign key by its id", answer(200, &decrypted("key-foreign", V_ORDERS)), 403),
        ("compressed unasked", of_payroll, 403),
        ("two in one", two, 502),
        ("in XML", as_xml(&xml), 403),
        ("twice in XML", as_xml(&two_in_xml), 502),
        (
            "an error with a plaintext",
            answer(400, &format!(r#"{{"Code":"X","Message":"m","Plaintext":"{SECRET}"}}"#)),
            502,
        ),
        ("an error that is none", answer(500, SECRET), 502),
        ("a plain error", answer(400, plain_error), 403),
        ("throttling", answer(400, r#"{"Code":"Rejected.Throttling","Message":"m"}"#), 400),
        ("a failure of KMS", answer(500, r#"{"Code":"InternalFailure","Message":"m"}"#), 500),
        ("created", answer(201, &decrypted(ORDERS, V_ORDERS)), 502),
        ("the right one", answer(200, &decrypted(ORDERS, V_ORDERS)), 200),
    ];
    // With what is known: nothing; the truth; and lies, which only wrong answers could have told.
    for taught in [None, Some((ORDERS, V_ORDERS)), Some((PAYROLL, V_ORDERS))] {
        let script: Vec<Vec<u8>> = wrong.iter().map(|(_, bytes, _)| bytes.clone()).collect();
        let kms = Scripted::start(move |request, _| match request.operation().as_str() {
            "Decrypt" => {
                let number: usize =
                    request.parameter("EncryptionContext").unwrap()[6..].trim_matches(['"', '}']).parse().unwrap();
                vec![Act::Send(script[number].clone())]
            }
            "Encrypt" => {
                let (key, version) = taught.unwrap();
                vec![Act::Send(answer(
                    200,
                    &format!(r#"{{"KeyId":"{key}","KeyVersionId":"{version}","RequestId":"r"}}"#),
                ))]
            }
            _ => honest(request),
        });
        let house = plain(&kms.address, &[]);
        let running = house.start();
        if let Some((key, _)) = taught {
            running.call(KIM, "Encrypt", &[("KeyId", key), ("Plaintext", "aGVsbG8=")]).ok();
        }
        for (number, (name, _, status)) in wrong.iter().enumerate() {
            let context = format!(r#"{{"n":"{number}"}}"#);
            let params = [("CiphertextBlob", &*blob(V_ORDERS)), ("EncryptionContext", &context)];
            let reply = running.call(ALICE, "Decrypt", &params);
            // By a lie she is refused at once.
            let expected = match taught {
                Some((PAYROLL, _)) => 403,
                // What an error says of a key that she may use is hers to know.
                Some(_) if *name == "a plain error" => 400,
                _ => *status,
            };
            assert_eq!(reply.status, expected, "{name}, {taught:?}: {}", reply.body);
            assert_eq!(reply.body.to_string().contains(SECRET), expected == 200, "{name}, {taught:?}: {}", reply.body);
        }
    }
}

/// An alias that points elsewhere by now: what KMS did counts, and what changes something is told the key that was judged.
#[test]
fn aliases_are_hearsay() {
    let kms = Scripted::start(|request, _| honest(request));
    let house = plain(&kms.address, &[]);
    let running = house.start();
    let generate = |caller, alias: &str| running.call(caller, "GenerateDataKey", &[("KeyId", alias)]);
    generate(ALICE, "alias/orders").ok();
    let refused = generate(ALICE, "alias/payroll").refused(403, "Forbidden.NoPermission");
    assert!(!refused.to_string().contains(SECRET));
    // What changes something waits for nobody's answer: the alias is looked up, and its key is named instead.
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).ok();
    let sent = kms.requests().into_iter().find(|request| request.operation() == "DeleteKeyMaterial").unwrap();
    assert_eq!(sent.parameter("KeyId").as_deref(), Some(PAYROLL));
    running.call(ALICE, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).refused(403, "Forbidden.NoPermission");
    assert_eq!(kms.count("DeleteKeyMaterial"), 1);
    // What KMS does not take an alias for is refused as KMS does.
    running.call(KIM, "DisableKey", &[("KeyId", "alias/payroll")]).refused(400, "Unsupported.Alias");
    // What needs the key of an alias beside the alias.
    running.call(KIM, "DeleteAlias", &[("AliasName", "alias/orders")]).ok();
    running.call(ALICE, "DeleteAlias", &[("AliasName", "alias/orders")]).refused(403, "Forbidden.NoPermission");
    assert!(running.metric("keyward_lookups_total{result=\"learned\"}") >= 1.0);
}

/// ReEncrypt decrypts, and hands out what somebody else may decrypt: its source must be known beforehand.
#[test]
fn re_encryption_of_an_unknown_ciphertext_is_refused() {
    let kms = Scripted::start(|request, _| match request.operation().as_str() {
        "ReEncrypt" => {
            vec![Act::Send(answer(200, &format!(r#"{{"KeyId":"{ORDERS}","CiphertextBlob":"eA==","RequestId":"r"}}"#)))]
        }
        _ => honest(request),
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    let re_encrypt = || {
        running.call(KIM, "ReEncrypt", &[("CiphertextBlob", &blob(V_ORDERS)), ("DestinationKeyId", "alias/payroll")])
    };
    re_encrypt().refused(403, "Forbidden.NoPermission");
    assert_eq!(kms.count("ReEncrypt"), 0);
    let line = running.wait_for_audit_lines(1).pop().unwrap();
    assert_eq!(line["reason"].as_str(), Some("unknown_ciphertext"));
    decrypt(&running, KIM, V_ORDERS);
    re_encrypt().ok();
    let sent = kms.requests().into_iter().find(|request| request.operation() == "ReEncrypt").unwrap();
    assert_eq!(sent.parameter("DestinationKeyId").as_deref(), Some(PAYROLL), "what was judged is what is meant");
}

/// Which key encrypts a secret, and how things are tagged, is asked where it matters.
#[test]
fn what_a_decision_needs_is_looked_up_once() {
    let kms = Scripted::start(|request, _| honest(request));
    let house = plain(&kms.address, &[]);
    let deny = |team: &str| {
        format!(
            r#"{{"Sid":"Not{team}","Effect":"Deny","Principal":{{"RAM":["acs:ram::1234567890123456:*"]}},"Action":["kms:*"],"Resource":["*"],"Condition":{{"StringEquals":{{"kms:tag/team":["{team}"]}}}}}}"#
        )
    };
    let policy = house.read("policies/keys/key-exampleorders01.json");
    let with = |team: &str| {
        policy.trim_end().trim_end_matches('}').trim_end().trim_end_matches(']').to_owned()
            + &format!(",{}]}}", deny(team))
    };
    house.write("policies/keys/key-exampleorders01.json", &with("payroll"));
    let running = house.start();
    let value = |caller| running.call(caller, "GetSecretValue", &[("SecretName", "orders/db-password")]);
    assert_eq!(value(KIM).ok()["SecretData"], SECRET);
    assert_eq!(value(KIM).ok()["SecretData"], SECRET);
    assert_eq!((kms.count("DescribeSecret"), kms.count("ListResourceTags")), (1, 1));
    house.write("policies/keys/key-exampleorders01.json", &with("orders"));
    running.wait_for_generation(2);
    let line = value(KIM).refused(403, "Forbidden.NoPermission");
    assert!(!line.to_string().contains(SECRET));
    assert_eq!((kms.count("GetSecretValue"), kms.count("ListResourceTags")), (2, 1), "known by now");
    // Tags that change are asked again.
    value(ROOT).ok();
    running.call(ROOT, "TagResource", &[("KeyId", ORDERS), ("Tags", r#"[{"TagKey":"a","TagValue":"b"}]"#)]).ok();
    value(KIM);
    assert_eq!(kms.count("ListResourceTags"), 2);
}

/// Without lookups, what nobody knows is refused, and the operator's word helps.
#[test]
fn the_operator_can_say_what_names_stand_for() {
    let kms = Scripted::start(|request, _| honest(request));
    let house = plain(&kms.address, &[("lookups = true", "lookups = false")]);
    let running = house.start();
    let value = |name: &str| running.call(KIM, "GetSecretValue", &[("SecretName", name)]);
    value("orders/db-password").refused(403, "Forbidden.NoPermission");
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).refused(403, "Forbidden.NoPermission");
    house.write(
        "policies/resources.toml",
        "[keys.key-exampleorders01]\nversions = ['11111111-1111-1111-1111-111111111111']\n\
         [keys.key-examplepayroll01]\naliases = ['alias/payroll']\n\
         [secrets.'orders/db-password']\nkey = 'key-exampleorders01'\n\
         [secrets.'plain']\nkey = 'none'\n",
    );
    running.wait_for_generation(2);
    assert_eq!(value("orders/db-password").ok()["SecretData"], SECRET);
    value("plain").ok();
    value("unknown").refused(403, "Forbidden.NoPermission");
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).ok();
    assert_eq!(decrypt(&running, KIM, V_ORDERS).0, 200);
    assert_eq!(kms.count("DescribeSecret") + kms.count("DescribeKey"), 0);
}

/// A name without an account is found by KMS in the account of who signs, which may not be the caller's.
#[test]
fn nobody_reaches_into_another_account() {
    let kms = Scripted::start(|request, _| honest(request));
    let house = plain(&kms.address, &[]);
    house.edit("policies/accounts/6543210987654321/ram/UsePartnerKeys.json", "kms:Encrypt", "kms:*");
    let text = house.read("policies/accounts/6543210987654321/ram/UsePartnerKeys.json");
    let widened = regex_like(&text);
    house.write("policies/accounts/6543210987654321/ram/UsePartnerKeys.json", &widened);
    let running = house.start();
    for (operation, params) in [
        ("Encrypt", &[("KeyId", ORDERS), ("Plaintext", "aGVsbG8=")][..]),
        ("ListKeys", &[]),
        ("GetRandomPassword", &[]),
        ("NobodyKnows", &[]),
        ("GetSecretValue", &[("SecretName", "orders/db-password")]),
    ] {
        let reply = running.call(CAROL, operation, params);
        assert!(reply.status >= 400, "{operation}: {}", reply.body);
    }
    assert_eq!(kms.requests().iter().filter(|it| it.operation() != "DescribeSecret").count(), 0);
    let arn = format!("acs:kms:cn-hangzhou:{HERE}:key/{ORDERS}");
    running.call(CAROL, "Encrypt", &[("KeyId", &arn), ("Plaintext", "aGVsbG8=")]).ok();
}

/// Every resource of the policy becomes all resources.
fn regex_like(text: &str) -> String {
    let mut policy: Value = serde_json::from_str(text).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Resource"] = "*".into();
        statement["Action"] = "kms:*".into();
    }
    policy.to_string()
}

/// XML is for clients with V1 signatures; KMS is asked in V3, which has JSON only.
#[test]
fn answers_come_in_the_format_that_was_asked_for() {
    let kms = Scripted::start(|request, number| match number {
        0 => honest(request),
        _ => vec![Act::Send(answer_with("", 400, r#"{"Code":"InvalidParameter","Message":"a<b","RequestId":"r"}"#))],
    });
    let house = plain(&kms.address, &[]);
    let running = house.start();
    let (text, _) =
        running.command(&["GenerateDataKey", "--as", "alice", "KeyId=key-exampleorders01", "--format", "xml"]);
    assert!(
        text.contains("<GenerateDataKeyResponse>") && text.contains("<KeyId>key-exampleorders01</KeyId>"),
        "{text}"
    );
    let (text, code) = running.command(&["ListKeys", "--as", "kim", "--format", "xml"]);
    assert!(text.contains("<Code>InvalidParameter</Code>") && text.contains("a&lt;b"), "{text}");
    assert_eq!(code, Some(1));
}

/// H03, H09: a client that means another region's endpoint is told so, and no Host leads anywhere.
#[test]
fn a_host_of_another_region_is_refused() {
    let kms = Scripted::always(r#"{"RequestId":"r"}"#);
    let house: House = plain(&kms.address, &[]);
    let running = house.start();
    for (host, is_taken) in [
        ("kms.cn-beijing.aliyuncs.com", false),
        ("KMS.CN-BEIJING.ALIYUNCS.COM.:443", false),
        ("kms.cn-beijing.aliyuncs.com:80", false),
        ("169.254.169.254", true),
        ("localhost", true),
    ] {
        let body = signed_v1(KIM, "ListKeys", &[]);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
            body.len(),
            body
        );
        let answer = crate::sandbox::exchange(&mut crate::sandbox::tcp(&running.api), request.as_bytes());
        assert_eq!(answer.starts_with("HTTP/1.1 200"), is_taken, "{host}: {answer}");
    }
    // What is taken goes to the KMS of the settings, and nowhere else.
    assert!(kms.requests().iter().all(|request| request.header("host") == Some(&*kms.address)));
}
