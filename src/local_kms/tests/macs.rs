//! Message authentication codes.

use serde_json::Value;

use super::support::{House, check_refusals, names, text};

#[test]
fn codes_verify_only_for_their_message_and_key() {
    let house = House::new();
    for algorithm in ["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512", "HMAC_SM3"] {
        let (key, _) = house.new_key(&[("KeySpec", algorithm)]);
        let (other, _) = house.new_key(&[("KeySpec", algorithm)]);
        let made = house.ok("GenerateMac", &[("KeyId", &key), ("Algorithm", algorithm), ("Message", "aGk=")]);
        assert_eq!(names(&made, ""), ["KeyId", "Algorithm", "Mac"]);
        let code = text(&made, "/Mac");
        for (key, message, expected) in [(&key, "aGk=", true), (&other, "aGk=", false), (&key, "aGo=", false)] {
            let asked = [("KeyId", &**key), ("Algorithm", algorithm), ("Message", message), ("Mac", &*code)];
            let verified = house.ok("VerifyMac", &asked);
            assert_eq!(names(&verified, ""), ["KeyId", "Algorithm", "Value"]);
            assert_eq!(verified["Value"], Value::Bool(expected), "{algorithm}");
        }
    }
}

#[test]
fn a_code_of_an_earlier_version_verifies() {
    let house = House::new();
    let (key, _) = house.new_key(&[("KeySpec", "HMAC_SHA_256")]);
    let asked = [("KeyId", &*key), ("Algorithm", "HMAC_SHA_256"), ("Message", "aGk=")];
    let code = text(&house.ok("GenerateMac", &asked), "/Mac");
    house.ok("CreateKeyVersion", &[("KeyId", &key)]);
    assert_ne!(text(&house.ok("GenerateMac", &asked), "/Mac"), code);
    assert_eq!(house.ok("VerifyMac", &[&asked[..], &[("Mac", &code)]].concat())["Value"], true);
}

#[test]
fn a_code_is_the_same_after_a_restart() {
    let house = House::new();
    let (key, _) = house.new_key(&[("KeySpec", "HMAC_SHA_256")]);
    let asked = [("KeyId", &*key), ("Algorithm", "HMAC_SHA_256"), ("Message", "")];
    let before = house.ok("GenerateMac", &[("KeyId", &*key), ("Algorithm", "HMAC_SHA_256"), ("Message", "aGk=")]);
    let house = house.reopened();
    let after = house.ok("GenerateMac", &[("KeyId", &*key), ("Algorithm", "HMAC_SHA_256"), ("Message", "aGk=")]);
    assert_eq!(before, after);
    let missing = "400 MissingParameter: The parameter \"Message\" is needed but not provided.";
    check_refusals(&house, &[("GenerateMac", &asked, missing)]);
}

#[test]
fn a_key_makes_codes_of_its_algorithm_only() {
    let house = House::new();
    let (key, _) = house.new_key(&[("KeySpec", "HMAC_SHA_256")]);
    let symmetric = house.key();
    fn given<'a>(key: &'a str, algorithm: &'a str) -> [(&'a str, &'a str); 3] {
        [("KeyId", key), ("Algorithm", algorithm), ("Message", "aGk=")]
    }
    let wrong = "400 Rejected.UnsupportedOperation: Unsupported operation.";
    let invalid =
        |why: &str| format!("400 InvalidParameter: The specified parameter \"Algorithm\" is not valid: {why}.");
    let all = invalid("it is HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512 or HMAC_SM3");
    check_refusals(
        &house,
        &[
            ("GenerateMac", &given(&symmetric, "HMAC_SHA_256"), wrong),
            ("GenerateMac", &given(&key, "HMAC_SHA_512"), &invalid("keys of this spec are for HMAC_SHA_256")),
            ("GenerateMac", &given(&key, "HMAC_MD5"), &all),
            (
                "Encrypt",
                &[("KeyId", &key), ("Plaintext", "aGk=")],
                "400 UnsupportedOperation: This action is not supported.",
            ),
        ],
    );
}
