//! `keyward check` and `keyward explain` in front of a KMS: nothing that rests on what only KMS knows is told as allowed, and
//! what keeps a gateway from starting is named before anybody starts one.

use serde_json::Value;

use super::front::plain;
use crate::sandbox::{ALICE, BOB, Caller, House, KIM, post, signed_v1};

fn house() -> House {
    plain("127.0.0.1:9", &[])
}

/// Exit code and verdict for a request, and everything that was printed.
fn explained(house: &House, caller: Caller, operation: &str, params: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let body = signed_v1(caller, operation, params);
    house.write("request.http", &String::from_utf8(post("", &body)).unwrap());
    let (json, complaints, _) = house.run(&["explain", "--request", "request.http", "--format", "json"]);
    assert_eq!(complaints, "", "{json}");
    let story: Value = serde_json::from_str(&json).unwrap();
    let (said, _, code) = house.run(&["explain", "--request", "request.http"]);
    (code, story["verdict"].as_str().unwrap().to_owned(), said)
}

#[test]
fn what_rests_on_something_unknown_is_not_allowed() {
    let house = house();
    let (hello, secret) = (("Plaintext", "aGVsbG8="), ("SecretName", "orders/db-password"));
    for (caller, operation, params, code, verdict, note) in [
        (ALICE, "Encrypt", &[("KeyId", "key-exampleorders01"), hello][..], 0, "allow", ""),
        (
            ALICE,
            "Encrypt",
            &[("KeyId", "alias/other"), hello],
            2,
            "undecided",
            "rests on which key alias/other points to: the answer",
        ),
        (
            KIM,
            "ReEncrypt",
            &[("CiphertextBlob", "eA=="), ("DestinationKeyId", "key-exampleorders01")],
            2,
            "undecided",
            "which key made the ciphertext: a running Keyward may have heard",
        ),
        (ALICE, "Decrypt", &[("CiphertextBlob", "eA==")], 2, "undecided", "which key made the ciphertext: the answer"),
        (
            ALICE,
            "GetSecretValue",
            &[secret],
            2,
            "undecided",
            "which key encrypts secret orders/db-password: KMS is asked",
        ),
        // Whatever the key is, something else denies it.
        (BOB, "GetSecretValue", &[secret], 1, "deny", ""),
        (
            ALICE,
            "ReEncrypt",
            &[("CiphertextBlob", "eA=="), ("DestinationKeyId", "key-exampleorders01")],
            1,
            "deny",
            "rests on which key made the ciphertext\n",
        ),
    ] {
        let (found, told, said) = explained(&house, caller, operation, params);
        assert_eq!((found, told.as_str()), (Some(code), verdict), "{operation}: {said}");
        assert!(said.contains(note) && said.starts_with(&verdict.to_uppercase()), "{operation}: {said}");
        assert_eq!(said.contains("UNDECIDED  kms:"), !note.is_empty(), "{operation}: {said}");
    }
    house.write(
        "policies/resources.toml",
        "[keys.key-exampleorders01]\naliases = ['alias/other']\n[secrets.'orders/db-password']\nkey = 'none'\n",
    );
    for (operation, params) in [("Encrypt", &[("KeyId", "alias/other"), hello][..]), ("GetSecretValue", &[secret])] {
        let (found, told, said) = explained(&house, ALICE, operation, params);
        assert_eq!((found, told.as_str()), (Some(0), "allow"), "{operation}: {said}");
    }
}

/// What `check` names is what a start would fail with, and more.
#[test]
fn check_names_what_a_start_would() {
    let caller = |arn: &str| {
        format!("[[upstream.callers]]\narn = \"{arn}\"\ncredentials = {{ source = \"environment\" }}\n\n[policies]")
    };
    for (old, new, expected, fails) in [
        ("", "", "", false),
        ("secret_file = \"kim.secret\"", "secret_file = \"none.secret\"", "none.secret, which is not there", false),
        ("secret_file = \"kim.secret\"", "secret_file = \"gateway.toml\"", "is open to others than its owner", false),
        ("[policies]", &caller("acs:ram::1234567890123456:user/Alice"), "did you mean `alice`?", true),
        ("[policies]", &caller("acs:ram::1234567890123456:user/alice"), "", false),
    ] {
        let house = house();
        if !old.is_empty() {
            house.edit("config/keyward.toml", old, new);
        }
        let (said, complaints, code) = house.run(&["check"]);
        let is_wrong = !expected.is_empty();
        assert_eq!(code, Some(i32::from(is_wrong)), "{new}: {said}{complaints}");
        assert!(said.contains(expected) && said.contains("error: config/keyward.toml:") == is_wrong, "{new}: {said}");
        let question = ["explain", "--as", "alice", "--action", "kms:Encrypt", "--resource", "key/key-exampleorders01"];
        assert_eq!(house.run(&question).2 == Some(2), fails, "what fails to load fails everywhere");
    }
    let house = plain("127.0.0.1:9", &[]);
    house.edit(
        "config/keyward.toml",
        "endpoint = \"http://127.0.0.1:9\"",
        "endpoint = \"https://kms.example\"\nca = \"none.pem\"",
    );
    house.write(".keyward/session.key", "open");
    let (said, _, code) = house.run(&["check"]);
    assert!(code == Some(1) && said.contains("`kms.data` has what cannot be used: "), "{said}");
    assert!(code == Some(1) && said.contains("`upstream.ca` names config/none.pem, which is not there"), "{said}");
}
