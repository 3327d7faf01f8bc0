//! States of keys, their versions and rotation, and their end.

use serde_json::json;

use super::support::*;

fn metadata(house: &House, key: &str) -> serde_json::Value {
    house.ok("DescribeKey", &[("KeyId", key)])["KeyMetadata"].clone()
}

/// Rows: what happens in which state ("Impact of the key state on API calls"); `""` is a success.
#[test]
fn what_a_key_can_do_depends_on_its_state() {
    const STATES: [&str; 3] = ["Enabled", "Disabled", "PendingDeletion"];
    let (off, doomed, fixed) =
        ("409 Rejected.Disabled", "409 Rejected.PendingDeletion", "409 Rejected.StateModifiedFailed");
    for (operation, given, expected) in [
        ("Encrypt", &[("Plaintext", "aGVsbG8=")][..], ["", off, doomed]),
        ("GenerateDataKey", &[], ["", off, doomed]),
        ("GenerateDataKeyWithoutPlaintext", &[], ["", off, doomed]),
        ("CreateKeyVersion", &[], ["", off, doomed]),
        ("UpdateRotationPolicy", &[("EnableAutomaticRotation", "false")], ["", off, doomed]),
        ("DescribeKey", &[], ["", "", ""]),
        ("ListKeyVersions", &[], ["", "", ""]),
        ("ListResourceTags", &[], ["", "", ""]),
        ("ListAliasesByKeyId", &[], ["", "", ""]),
        ("UpdateKeyDescription", &[("Description", "d")], ["", "", doomed]),
        ("TagResource", &[("Tags", r#"[{"TagKey":"a","TagValue":"b"}]"#)], ["", "", doomed]),
        ("UntagResource", &[("TagKeys", r#"["a"]"#)], ["", "", doomed]),
        ("EnableKey", &[], ["", "", fixed]),
        ("DisableKey", &[], ["", "", fixed]),
        ("ScheduleKeyDeletion", &[("PendingWindowInDays", "7")], ["", "", fixed]),
        ("CreateAlias", &[("AliasName", "alias/new")], ["", "", fixed]),
        ("UpdateAlias", &[("AliasName", "alias/other")], ["", "", doomed]),
        ("CancelKeyDeletion", &[], [fixed, fixed, ""]),
    ] {
        for (state, expected) in STATES.iter().zip(expected) {
            let house = House::new();
            let (key, other) = (house.key(), house.key());
            house.ok("CreateAlias", &[("AliasName", "alias/other"), ("KeyId", &other)]);
            match *state {
                "Disabled" => drop(house.ok("DisableKey", &[("KeyId", &key)])),
                "PendingDeletion" => {
                    house.ok("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]);
                }
                _ => {}
            }
            assert_eq!(metadata(&house, &key)["KeyState"], *state);
            let given = [&[("KeyId", key.as_str())], given].concat();
            let told = house.days_later(0, operation, &given).err().unwrap_or_default();
            assert_eq!(told, expected, "{operation} {state}");
        }
    }
}

#[test]
fn a_key_that_is_scheduled_is_gone_in_time_and_its_aliases_with_it() {
    let house = House::new();
    let (key, other) = (house.key(), house.key());
    let ciphertext = house.encrypted(&key, "aGVsbG8=");
    house.ok("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)]);
    house.ok("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]);
    assert_eq!(metadata(&house, &key)["DeleteDate"], "2026-01-09T03:00:00Z");
    house.ok("CancelKeyDeletion", &[("KeyId", &key)]);
    assert_eq!(
        (&metadata(&house, &key)["KeyState"], metadata(&house, &key).get("DeleteDate")),
        (&json!("Enabled"), None)
    );
    assert_eq!(house.days_later(8, "DescribeKey", &[("KeyId", &key)]).map(drop), Ok(()));
    house.ok("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]);
    let house = house.reopened();
    assert_eq!(house.days_later(6, "DescribeKey", &[("KeyId", "alias/a")]).map(drop), Ok(()));
    let gone = Err("404 Forbidden.KeyNotFound".to_owned());
    assert_eq!(house.days_later(7, "DescribeKey", &[("KeyId", &key)]).map(drop), gone);
    assert_eq!(house.days_later(7, "Decrypt", &[("CiphertextBlob", &ciphertext)]).map(drop), gone);
    assert_eq!(
        house.days_later(7, "DescribeKey", &[("KeyId", "alias/a")]).map(drop),
        Err("404 Forbidden.AliasNotFound".into())
    );
    assert_eq!(house.reopened().kms.key_count(), 1, "{other} is left");
}

/// Python's clients send booleans as Python prints them.
#[test]
fn switches_are_read_as_every_client_writes_them() {
    let house = House::new();
    let key = house.key();
    for (value, expected) in [("True", "Enabled"), ("false", "Disabled"), ("true", "Enabled"), ("False", "Disabled")] {
        house.ok("SetDeletionProtection", &[("KeyId", &key), ("EnableDeletionProtection", value)]);
        assert_eq!(metadata(&house, &key)["DeletionProtection"], expected, "{value}");
    }
    for value in ["TRUE", "1", "yes"] {
        let told =
            house.days_later(0, "SetDeletionProtection", &[("KeyId", &key), ("EnableDeletionProtection", value)]);
        assert_eq!(told.map(drop), Err("400 InvalidParameter".into()), "{value}");
    }
}

#[test]
fn a_protected_key_is_not_deleted() {
    let house = House::new();
    let key = house.key();
    let schedule = [("KeyId", key.as_str()), ("PendingWindowInDays", "7")];
    let arn = format!("acs:kms:{REGION}:{ALICE}:key/{key}");
    let protect = [
        ("ProtectedResourceArn", arn.as_str()),
        ("EnableDeletionProtection", "true"),
        ("DeletionProtectionDescription", "why"),
    ];
    house.ok("SetDeletionProtection", &protect);
    let described = metadata(&house, &key);
    assert_eq!(
        (&described["DeletionProtection"], &described["DeletionProtectionDescription"]),
        (&json!("Enabled"), &json!("why"))
    );
    assert_eq!(
        house.days_later(0, "ScheduleKeyDeletion", &schedule).map(drop),
        Err("409 Rejected.StateModifiedFailed".into())
    );
    house.ok("SetDeletionProtection", &[("KeyId", &key), ("EnableDeletionProtection", "false")]);
    assert_eq!(house.days_later(0, "ScheduleKeyDeletion", &schedule).map(drop), Ok(()));
    for days in ["6", "367", "x", ""] {
        let told = house.days_later(0, "ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", days)]);
        assert!(told.unwrap_err().starts_with("400 "), "{days}");
    }
}

#[test]
fn old_versions_decrypt_and_the_newest_encrypts() {
    let house = House::new();
    let key = house.key();
    let first = house.encrypted(&key, "Zmlyc3Q=");
    let created = house.ok("CreateKeyVersion", &[("KeyId", &key)]);
    let second = house.encrypted(&key, "c2Vjb25k");
    let newest = text(&created, "/KeyVersion/KeyVersionId");
    assert_eq!(metadata(&house, &key)["PrimaryKeyVersion"], newest.as_str());
    let house = house.reopened();
    for (ciphertext, plaintext) in [(&first, "Zmlyc3Q="), (&second, "c2Vjb25k")] {
        assert_eq!(house.ok("Decrypt", &[("CiphertextBlob", ciphertext)])["Plaintext"], plaintext);
    }
    let listed = house.ok("ListKeyVersions", &[("KeyId", &key)]);
    assert_eq!(
        (&listed["TotalCount"], &listed["KeyVersions"]["KeyVersion"][0]["KeyVersionId"]),
        (&json!(2), &json!(newest))
    );
    let described = house.ok("DescribeKeyVersion", &[("KeyId", &key), ("KeyVersionId", &newest)]);
    assert_eq!(described["KeyVersion"], created["KeyVersion"]);
    assert!(
        house
            .refused("DescribeKeyVersion", &[("KeyId", &key), ("KeyVersionId", "x")])
            .starts_with("404 Forbidden.KeyVersionNotFound")
    );
    for _ in 2..50 {
        house.ok("CreateKeyVersion", &[("KeyId", &key)]);
    }
    assert!(house.refused("CreateKeyVersion", &[("KeyId", &key)]).starts_with("400 Rejected.LimitExceeded"));
    assert_eq!(house.ok("Decrypt", &[("CiphertextBlob", &first)])["Plaintext"], "Zmlyc3Q=");
}

#[test]
fn a_key_rotates_by_itself() {
    let house = House::new();
    let rotating = [("DKMSInstanceId", INSTANCE), ("EnableAutomaticRotation", "true"), ("RotationInterval", "30d")];
    let created = house.ok("CreateKey", &rotating)["KeyMetadata"].clone();
    let key = created["KeyId"].as_str().unwrap();
    assert_eq!(
        (&created["AutomaticRotation"], &created["RotationInterval"], &created["NextRotationDate"]),
        (&json!("Enabled"), &json!("2592000s"), &json!("2026-02-01T03:00:00Z"))
    );
    let first = house.encrypted(key, "Zmlyc3Q=");
    let primary = |days| {
        house.days_later(days, "DescribeKey", &[("KeyId", key)]).unwrap()["KeyMetadata"]["PrimaryKeyVersion"].clone()
    };
    assert_eq!(primary(29), created["PrimaryKeyVersion"]);
    let second = primary(30);
    assert_ne!(second, created["PrimaryKeyVersion"]);
    assert_eq!(house.ok("Decrypt", &[("CiphertextBlob", &first)])["Plaintext"], "Zmlyc3Q=");
    // Missed rotations are not made up for.
    assert_ne!(primary(365), second);
    assert_eq!(house.ok("ListKeyVersions", &[("KeyId", key)])["TotalCount"], 3);
    house.ok("UpdateRotationPolicy", &[("KeyId", key), ("EnableAutomaticRotation", "false")]);
    let described = metadata(&house, key);
    assert_eq!((&described["AutomaticRotation"], described.get("NextRotationDate")), (&json!("Disabled"), None));
    for interval in ["6d", "731d", "30", "1y", ""] {
        let given = [("KeyId", key), ("EnableAutomaticRotation", "true"), ("RotationInterval", interval)];
        assert!(house.refused("UpdateRotationPolicy", &given).starts_with("400 "), "{interval}");
    }
}

#[test]
fn a_ciphertext_moves_from_key_to_key_without_its_plaintext_being_seen() {
    let house = House::new();
    let (from, to) = (house.key(), house.key());
    let context = r#"{"a":"1"}"#;
    let encrypted = house.ok("Encrypt", &[("KeyId", &from), ("Plaintext", "aGVsbG8="), ("EncryptionContext", context)]);
    let ciphertext = text(&encrypted, "/CiphertextBlob");
    let moves = [
        ("CiphertextBlob", ciphertext.as_str()),
        ("DestinationKeyId", to.as_str()),
        ("SourceEncryptionContext", context),
        ("DestinationEncryptionContext", r#"{"b":"2"}"#),
    ];
    let moved = house.ok("ReEncrypt", &moves);
    assert_eq!(names(&moved, ""), ["KeyId", "KeyVersionId", "CiphertextBlob"]);
    assert_eq!(moved["KeyId"], to.as_str());
    let moved = text(&moved, "/CiphertextBlob");
    let opened = house.ok("Decrypt", &[("CiphertextBlob", &moved), ("EncryptionContext", r#"{"b":"2"}"#)]);
    assert_eq!((&opened["KeyId"], &opened["Plaintext"]), (&json!(to), &json!("aGVsbG8=")));
    assert!(house.refused("ReEncrypt", &moves[..2]).starts_with("400 InvalidParameter"), "the context is missing");
}
