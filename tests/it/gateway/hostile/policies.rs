//! P17, P22: how policies spell actions and what conditions make of numbers, on the way to KMS. Each row has a key of its own.

use serde_json::{Value, json};

use super::super::front::{plain, ready};
use super::super::scripted::{Act, Scripted, answer};
use crate::sandbox::{ALICE, Caller, House, KIM};

/// A statement about alice or kim, beside the default one, which leaves everything to RAM.
struct Ruled {
    caller: Caller,
    statement: Value,
    context: Option<String>,
    is_allowed: bool,
}

fn statement(effect: &str, user: &str, action: &str, condition: Value) -> Value {
    let principal = json!({"RAM": [format!("acs:ram::1234567890123456:user/{user}")]});
    let mut statement = json!({"Effect": effect, "Principal": principal, "Action": [action], "Resource": ["*"]});
    if condition != Value::Null {
        statement["Condition"] = condition;
    }
    statement
}

fn key(number: usize) -> String {
    format!("key-ruled{number:04}")
}

fn write(house: &House, rows: &[Ruled]) {
    let default = json!({"Sid": "kms default key policy", "Effect": "Allow",
        "Principal": {"RAM": ["acs:ram::1234567890123456:*"]}, "Action": ["kms:*"], "Resource": ["*"]});
    for (number, row) in rows.iter().enumerate() {
        let policy = json!({"Version": "1", "Statement": [default, row.statement]});
        house.write(&format!("policies/keys/{}.json", key(number)), &policy.to_string());
    }
}

fn check(rows: &[Ruled]) {
    let kms = Scripted::start(|request, _| {
        let key = request.parameter("KeyId").unwrap();
        vec![Act::Send(answer(200, &json!({"KeyId": key, "CiphertextBlob": "eA==", "RequestId": "r"}).to_string()))]
    });
    let house = plain(&kms.address, &[]);
    write(&house, rows);
    let running = house.start();
    ready(&running);
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let (before, key) = (kms.requests().len(), key(number));
        let mut params = vec![("KeyId", key.as_str()), ("Plaintext", "eA==")];
        params.extend(row.context.as_deref().map(|context| ("EncryptionContext", context)));
        let reply = running.call(row.caller, "Encrypt", &params);
        let (expected, sent) = if row.is_allowed { (200, 1) } else { (403, 0) };
        if reply.status != expected || kms.requests().len() - before != sent {
            wrong.push(format!("{} {:?}: {} {}", row.statement, row.context, reply.status, reply.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// P17: actions are compared without regard to case, and a Deny in another case denies.
#[test]
fn p17_actions_in_any_case() {
    let mut rows = Vec::new();
    for (action, is_meant) in [
        ("kms:Encrypt", true),
        ("KMS:ENCRYPT", true),
        ("kms:encrypt", true),
        ("Kms:eNCRYPT", true),
        ("kms:Encr*", true),
        ("kms:encr*", true),
        ("kms:*CRYPT", true),
        ("kms:?ncrypt", true),
        ("kms:*", true),
        ("KMS:*", true),
        ("kms:Decrypt", false),
        ("kms:Decr*", false),
        ("kms:*Encrypt", true),
        ("kms:Asymmetric*", false),
    ] {
        let denied = statement("Deny", "kim", action, Value::Null);
        rows.push(Ruled { caller: KIM, statement: denied, context: None, is_allowed: !is_meant });
        let allowed = statement("Allow", "alice", action, Value::Null);
        rows.push(Ruled { caller: ALICE, statement: allowed, context: None, is_allowed: is_meant });
    }
    check(&rows);
}

/// P22: what is no number compares with none, so that an Allow does not allow; a Deny that must hold says what is allowed.
#[test]
fn p22_numbers_in_conditions() {
    let below = json!({"NumericLessThan": {"kms:EncryptionContext:limit": "10"}});
    let equal = json!({"NumericEquals": {"kms:EncryptionContext:limit": "10"}});
    let truth = json!({"Bool": {"kms:EncryptionContext:limit": "true"}});
    let mut rows = Vec::new();
    for (condition, values) in [
        (
            &below,
            &[("9", true), ("009", true), ("9.99", true), ("-1", true), ("+9", true), ("10", false), ("010", false)][..],
        ),
        (&below, &[("99999999999999999999999", false), ("-99999999999999999999999", true)]),
        (
            &below,
            &[
                ("1e0", false),
                ("0x1", false),
                (" 1", false),
                ("1 ", false),
                ("", false),
                ("１", false),
                ("1_0", false),
                ("1,0", false),
                ("NaN", false),
                ("-inf", false),
            ],
        ),
        (
            &equal,
            &[
                ("10", true),
                ("0010", true),
                ("10.0", true),
                ("+10", true),
                ("1e1", false),
                ("10.0000000000000000000001", false),
            ],
        ),
        (&truth, &[("true", true), ("false", false), ("1", false), ("yes", false), ("", false), ("true ", false)]),
    ] {
        for (value, is_allowed) in values {
            let statement = statement("Allow", "alice", "kms:Encrypt", condition.clone());
            let context = Some(json!({"limit": value}).to_string());
            rows.push(Ruled { caller: ALICE, statement, context, is_allowed: *is_allowed });
        }
        let statement = statement("Allow", "alice", "kms:Encrypt", condition.clone());
        rows.push(Ruled { caller: ALICE, statement, context: None, is_allowed: false });
    }
    check(&rows);
}
