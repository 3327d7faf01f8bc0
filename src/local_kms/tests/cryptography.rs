//! Encryption: what comes back, and what does not.

use data_encoding::BASE64;
use proptest::prelude::*;

use super::support::*;
use crate::kms::CiphertextBlob;

const DAMAGED: &str = "400 InvalidParameter: The specified parameter \"CiphertextBlob\" is not valid.";

#[test]
fn what_is_encrypted_is_decrypted() {
    let house = House::new();
    for spec in ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128"] {
        let created = house.ok("CreateKey", &[("DKMSInstanceId", INSTANCE), ("KeySpec", spec)]);
        let key = text(&created, "/KeyMetadata/KeyId");
        let encrypted = house.ok("Encrypt", &[("KeyId", &key), ("Plaintext", "c2VjcmV0")]);
        assert_eq!(names(&encrypted, ""), ["KeyId", "KeyVersionId", "CiphertextBlob"]);
        assert_eq!(text(&encrypted, "/KeyVersionId"), text(&created, "/KeyMetadata/PrimaryKeyVersion"));
        let decrypted = house.ok("Decrypt", &[("CiphertextBlob", &text(&encrypted, "/CiphertextBlob"))]);
        assert_eq!(names(&decrypted, ""), ["KeyId", "KeyVersionId", "Plaintext"]);
        assert_eq!((text(&decrypted, "/KeyId"), text(&decrypted, "/Plaintext")), (key, "c2VjcmV0".to_owned()));
    }
}

#[test]
fn a_ciphertext_is_bound_to_its_context() {
    let house = House::new();
    let key = house.key();
    let encrypt = |context: &str| {
        let given = &[("KeyId", key.as_str()), ("Plaintext", "aGk="), ("EncryptionContext", context)];
        text(&house.ok("Encrypt", given), "/CiphertextBlob")
    };
    for (made_with, opened_with, opens) in [
        (r#"{"a":"1","b":"2"}"#, r#"{ "b":"2", "a":"1" }"#, true),
        (r#"{"a":"1"}"#, r#"{"a":"2"}"#, false),
        (r#"{"a":"1"}"#, "", false),
        ("", r#"{"a":"1"}"#, false),
        ("{}", "", true),
        ("", "{}", true),
    ] {
        let given = &[("CiphertextBlob", encrypt(made_with)), ("EncryptionContext", opened_with.to_owned())];
        let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if opens {
            house.ok("Decrypt", &given);
        } else {
            assert_eq!(house.refused("Decrypt", &given), DAMAGED, "{made_with} {opened_with}");
        }
    }
}

#[test]
fn what_is_no_ciphertext_of_ours_is_refused() {
    let house = House::new();
    let (key, other) = (house.key(), house.key());
    let blob = CiphertextBlob::decode(&house.encrypted(&key, "aGk=")).unwrap();
    let of_other = CiphertextBlob::decode(&house.encrypted(&other, "aGk=")).unwrap();
    let mut damaged = blob.sealed().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let blob_of = |version: &str, sealed: &[u8]| CiphertextBlob::new(version, sealed).encode();
    let not_found = "404 Forbidden.KeyNotFound: The specified Key is not found.";
    let unknown = blob_of("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf", blob.sealed());
    for (text, expected) in [
        ("!", DAMAGED),
        ("AAAA", DAMAGED),
        (&unknown, not_found),
        (&blob_of(blob.version_id(), &damaged), DAMAGED),
        (&blob_of(blob.version_id(), &[]), DAMAGED),
        (&blob_of(blob.version_id(), of_other.sealed()), DAMAGED),
        (&blob_of(of_other.version_id(), blob.sealed()), DAMAGED),
    ] {
        assert_eq!(house.refused("Decrypt", &[("CiphertextBlob", text)]), expected, "{text}");
    }
}

/// A permit for one key says nothing about another key's ciphertext, even if both are in one request by some mistake.
#[test]
fn a_version_of_another_key_than_the_judged_one_is_not_found() {
    let house = House::new();
    let (key, other) = (house.key(), house.key());
    let sealed = house.encrypted(&other, "aGk=");
    let mut snapshot = (*house.store.current()).clone();
    let version = CiphertextBlob::decode(&sealed).unwrap().version_id().to_owned();
    snapshot.index.add_version(&version, ALICE, crate::kms::KeyId::parse(&key).unwrap());
    let permit = permit(&snapshot, ALICE, "Decrypt", &[("CiphertextBlob", &sealed)]);
    assert_eq!(house.kms.execute(&permit, at(0)).result.unwrap_err().code.as_str(), "Forbidden.KeyNotFound");
}

#[test]
fn plaintexts_have_1_to_6144_bytes() {
    let house = House::new();
    let key = house.key();
    let most = BASE64.encode(&[7; 6_144]);
    let sealed = house.encrypted(&key, &most);
    assert_eq!(text(&house.ok("Decrypt", &[("CiphertextBlob", &sealed)]), "/Plaintext"), most);
    let too_long = BASE64.encode(&[7; 6_145]);
    let invalid =
        |why: &str| format!("400 InvalidParameter: The specified parameter \"Plaintext\" is not valid: {why}.");
    for (plaintext, expected) in [
        ("", "400 MissingParameter: The parameter \"Plaintext\" is needed but not provided."),
        ("a", &invalid("it is not Base64")),
        ("aGk", &invalid("it is not Base64")),
        (&too_long, &invalid("it has more than 6144 bytes")),
    ] {
        assert_eq!(house.refused("Encrypt", &[("KeyId", &key), ("Plaintext", plaintext)]), expected);
    }
}

#[test]
fn data_keys_have_the_size_that_is_asked_for() {
    let house = House::new();
    let key = house.key();
    for (given, bytes) in [
        (&[][..], 32),
        (&[("KeySpec", "AES_256")], 32),
        (&[("KeySpec", "AES_128")], 16),
        (&[("NumberOfBytes", "1")], 1),
        (&[("NumberOfBytes", "1024")], 1_024),
        (&[("NumberOfBytes", "5"), ("KeySpec", "AES_128")], 5),
    ] {
        let context = ("EncryptionContext", r#"{"a":"1"}"#);
        let given = [given, &[("KeyId", key.as_str()), context]].concat();
        let answer = house.ok("GenerateDataKey", &given);
        assert_eq!(names(&answer, ""), ["KeyId", "KeyVersionId", "CiphertextBlob", "Plaintext"]);
        let plaintext = text(&answer, "/Plaintext");
        assert_eq!(BASE64.decode(plaintext.as_bytes()).unwrap().len(), bytes);
        let decrypted = house.ok("Decrypt", &[("CiphertextBlob", &text(&answer, "/CiphertextBlob")), context]);
        assert_eq!(text(&decrypted, "/Plaintext"), plaintext);
    }
    for (name, value) in [("NumberOfBytes", "0"), ("NumberOfBytes", "1025"), ("KeySpec", "AES_512")] {
        let told = house.refused("GenerateDataKey", &[("KeyId", &key), (name, value)]);
        assert!(told.starts_with(&format!("400 InvalidParameter: The specified parameter \"{name}\"")), "{told}");
    }
}

#[test]
fn nothing_repeats() {
    let house = House::new();
    let key = house.key();
    assert_ne!(house.encrypted(&key, "aGk="), house.encrypted(&key, "aGk="));
    let data_key = || text(&house.ok("GenerateDataKey", &[("KeyId", &key)]), "/Plaintext");
    assert_ne!(data_key(), data_key());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_survive_any_context(bytes in prop::collection::vec(any::<u8>(), 1..200), value in "\\PC{0,40}") {
        thread_local! {
            static HOUSE: (House, String) = { let house = House::new(); let key = house.key(); (house, key) };
        }
        HOUSE.with(|(house, key)| {
            let context = serde_json::json!({"purpose": value, "other": "x"}).to_string();
            let plaintext = BASE64.encode(&bytes);
            let given = &[("KeyId", key.as_str()), ("Plaintext", &plaintext), ("EncryptionContext", &context)];
            let sealed = text(&house.ok("Encrypt", given), "/CiphertextBlob");
            let opened = house.ok("Decrypt", &[("CiphertextBlob", &sealed), ("EncryptionContext", &context)]);
            assert_eq!(text(&opened, "/Plaintext"), plaintext);
        });
    }
}
