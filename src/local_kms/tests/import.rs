//! Keys whose material comes from outside, through their whole life.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::support::{House, INSTANCE, at, check_refusals, names, text};
use crate::local_kms::asymmetric::{EncryptionAlgorithm, PairSpec, wrap};

const RSA: &[(&str, &str)] = &[("WrappingKeySpec", "RSA_2048"), ("WrappingAlgorithm", "RSAES_OAEP_SHA_256")];
const SM2: &[(&str, &str)] = &[("WrappingKeySpec", "EC_SM2"), ("WrappingAlgorithm", "SM2PKE")];
const MATERIAL: &[u8; 32] = b"material from another house, 32b";
const INVALID_MATERIAL: &str = "400 InvalidKeyMaterial: key material is invalid.";

/// A key that waits for its material.
fn waiting(house: &House, spec: &str) -> String {
    house.new_key(&[("Origin", "EXTERNAL"), ("KeySpec", spec), ("DKMSInstanceId", INSTANCE)]).0
}

/// The import token, and the material wrapped for it.
fn wrapped(house: &House, key: &str, how: &[(&str, &str)], material: &[u8]) -> (String, String) {
    let given = house.ok("GetParametersForImport", &[how, &[("KeyId", key)]].concat());
    assert_eq!(names(&given, ""), ["KeyId", "PublicKey", "ImportToken", "TokenExpireTime"]);
    assert_eq!((given["KeyId"].as_str(), given["TokenExpireTime"].as_str()), (Some(key), Some("2026-01-03T03:00:00Z")));
    let public = BASE64.decode(text(&given, "/PublicKey").as_bytes()).unwrap();
    let wrapped = match how == SM2 {
        true => wrap(PairSpec::EcSm2, &public, EncryptionAlgorithm::Sm2Pke, material),
        false => wrap(PairSpec::Rsa2048, &public, EncryptionAlgorithm::OaepSha256, material),
    };
    (text(&given, "/ImportToken"), BASE64.encode(&wrapped.unwrap()))
}

fn import<'a>(key: &'a str, (token, wrapped): &'a (String, String), expires: &'a str) -> [(&'a str, &'a str); 4] {
    [("KeyId", key), ("ImportToken", token), ("EncryptedKeyMaterial", wrapped), ("KeyMaterialExpireUnix", expires)]
}

fn member(house: &House, key: &str, name: &str) -> Value {
    house.ok("DescribeKey", &[("KeyId", key)])["KeyMetadata"][name].clone()
}

#[test]
fn a_key_works_from_its_import_to_the_deletion_of_its_material() {
    let house = House::new();
    for (how, spec, material) in [
        (RSA, "Aliyun_AES_256", &MATERIAL[..]),
        (SM2, "Aliyun_AES_128", &MATERIAL[..16]),
        (SM2, "Aliyun_SM4", &MATERIAL[..16]),
    ] {
        let key = waiting(&house, spec);
        assert_eq!(
            (member(&house, &key, "KeyState"), member(&house, &key, "Origin")),
            (json!("PendingImport"), json!("EXTERNAL"))
        );
        let waits = "409 Rejected.PendingImport: The request was rejected because the key state is PendingImport.";
        let encrypt = [("KeyId", &*key), ("Plaintext", "aGk=")];
        check_refusals(&house, &[("Encrypt", &encrypt, waits)]);
        let ticket = wrapped(&house, &key, how, material);
        assert_eq!(house.ok("ImportKeyMaterial", &import(&key, &ticket, "0")), json!({}));
        assert_eq!(member(&house, &key, "KeyState"), "Enabled");
        let blob = house.encrypted(&key, "aGk=");
        assert_eq!(house.ok("DeleteKeyMaterial", &[("KeyId", &key)]), json!({}));
        assert_eq!(member(&house, &key, "KeyState"), "PendingImport");
        check_refusals(&house, &[("Encrypt", &encrypt, waits), ("Decrypt", &[("CiphertextBlob", &blob)], waits)]);
        // Nothing else than what it was, however good it is.
        let other = wrapped(&house, &key, how, &material.iter().rev().copied().collect::<Vec<_>>());
        check_refusals(&house, &[("ImportKeyMaterial", &import(&key, &other, "0"), INVALID_MATERIAL)]);
        house.ok("ImportKeyMaterial", &import(&key, &wrapped(&house, &key, how, material), "0"));
        assert_eq!(house.ok("Decrypt", &[("CiphertextBlob", &blob)])["Plaintext"], "aGk=");
    }
}

#[test]
fn whoever_imports_again_does_not_enable_a_key_that_was_disabled() {
    let house = House::new();
    let key = waiting(&house, "Aliyun_AES_256");
    house.ok("ImportKeyMaterial", &import(&key, &wrapped(&house, &key, RSA, MATERIAL), "0"));
    house.ok("DisableKey", &[("KeyId", &key)]);
    house.ok("DeleteKeyMaterial", &[("KeyId", &key)]);
    house.ok("ImportKeyMaterial", &import(&key, &wrapped(&house, &key, RSA, MATERIAL), "0"));
    assert_eq!(member(&house, &key, "KeyState"), "Disabled");
}

#[test]
fn material_expires() {
    let house = House::new();
    let key = waiting(&house, "Aliyun_AES_256");
    let expires = at(86_400).as_second().to_string();
    house.ok("ImportKeyMaterial", &import(&key, &wrapped(&house, &key, RSA, MATERIAL), &expires));
    assert_eq!(member(&house, &key, "MaterialExpireTime"), "2026-01-03T03:00:00Z");
    let house = house.reopened();
    let encrypt = [("KeyId", &*key), ("Plaintext", "aGk=")];
    assert!(house.days_later(0, "Encrypt", &encrypt).is_ok());
    assert_eq!(house.days_later(1, "Encrypt", &encrypt).unwrap_err(), "409 Rejected.PendingImport");
    let state = house.days_later(1, "DescribeKey", &[("KeyId", &key)]).unwrap()["KeyMetadata"].clone();
    assert_eq!((&state["KeyState"], &state["MaterialExpireTime"]), (&json!("PendingImport"), &json!("")));
}

#[test]
fn a_deletion_called_off_leaves_a_key_waiting_that_waited() {
    let house = House::new();
    let key = waiting(&house, "Aliyun_AES_256");
    house.ok("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]);
    house.ok("CancelKeyDeletion", &[("KeyId", &key)]);
    assert_eq!(member(&house, &key, "KeyState"), "PendingImport");
    check_refusals(
        &house,
        &[("EnableKey", &[("KeyId", &key)], "409 Rejected.StateModifiedFailed: Keystate modified failed.")],
    );
}

#[test]
fn what_cannot_be_imported_is_explained() {
    let house = House::new();
    let (key, other, own) = (waiting(&house, "Aliyun_AES_256"), waiting(&house, "Aliyun_AES_256"), house.key());
    let origin = "400 Unsupported.Origin: This key origin is not valid for this api.";
    let token = "400 InvalidImportToken: import token is invalid.";
    let ticket = wrapped(&house, &key, RSA, MATERIAL);
    let swapped = (ticket.0.clone(), wrapped(&house, &key, RSA, MATERIAL).1);
    let short = wrapped(&house, &key, RSA, &MATERIAL[..31]);
    let forged = (house.encrypted(&own, "aGk="), ticket.1.clone());
    let past = at(0).as_second().to_string();
    let invalid = |name: &str, why: &str| {
        format!("400 InvalidParameter: The specified parameter \"{name}\" is not valid: {why}.")
    };
    let time =
        invalid("KeyMaterialExpireUnix", "it is a time that is still to come, in seconds since 1970, or 0 for never");
    check_refusals(
        &house,
        &[
            ("GetParametersForImport", &[&[("KeyId", &*own)], RSA].concat(), origin),
            (
                "GetParametersForImport",
                &[("KeyId", &key), ("WrappingKeySpec", "EC_SM2"), ("WrappingAlgorithm", "RSAES_OAEP_SHA_1")],
                &invalid("WrappingAlgorithm", "it does not go with EC_SM2"),
            ),
            (
                "GetParametersForImport",
                &[("KeyId", &key), ("WrappingKeySpec", "RSA_2048"), ("WrappingAlgorithm", "ROT13")],
                &invalid("WrappingAlgorithm", "it is RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256 or SM2PKE"),
            ),
            ("ImportKeyMaterial", &import(&own, &ticket, "0"), origin),
            ("ImportKeyMaterial", &import(&other, &ticket, "0"), token),
            ("ImportKeyMaterial", &import(&key, &forged, "0"), token),
            ("ImportKeyMaterial", &import(&key, &swapped, "0"), INVALID_MATERIAL),
            ("ImportKeyMaterial", &import(&key, &short, "0"), INVALID_MATERIAL),
            ("ImportKeyMaterial", &import(&key, &ticket, &past), &time),
            ("ImportKeyMaterial", &import(&key, &ticket, "never"), &time),
            ("DeleteKeyMaterial", &[("KeyId", &own)], origin),
            (
                "CreateKeyVersion",
                &[("KeyId", &key)],
                "409 Rejected.PendingImport: The request was rejected because the key state is PendingImport.",
            ),
        ],
    );
    assert_eq!(
        house.days_later(1, "ImportKeyMaterial", &import(&key, &ticket, "0")).unwrap_err(),
        "400 ExpiredImportToken"
    );
    house.ok("ImportKeyMaterial", &import(&key, &ticket, "0"));
    check_refusals(&house, &[("CreateKeyVersion", &[("KeyId", &key)], origin)]);
}
