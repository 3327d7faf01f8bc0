//! What becomes of a secret: its stages, its versions, its deletion.

use serde_json::json;

use super::support::*;

fn house() -> House {
    let house = House::new();
    house.ok("CreateSecret", &[("SecretName", "db"), ("VersionId", "v1"), ("SecretData", "one"), ("Description", "d")]);
    house
}

fn versions(house: &House, all: &str) -> String {
    let listed = house.ok("ListSecretVersionIds", &[("SecretName", "db"), ("IncludeDeprecated", all)]);
    let versions = listed["VersionIds"]["VersionId"].as_array().unwrap().iter();
    let stages = |version: &serde_json::Value| {
        let stages = version["VersionStages"]["VersionStage"].as_array().unwrap().iter();
        stages.map(|stage| stage.as_str().unwrap().to_owned()).collect::<Vec<_>>().join("+")
    };
    versions.map(|version| format!("{}:{}", text(version, "/VersionId"), stages(version))).collect::<Vec<_>>().join(" ")
}

#[test]
fn stages_move_from_version_to_version() {
    let house = house();
    for (id, data) in [("v2", "two"), ("v3", "three")] {
        house.ok("PutSecretValue", &[("SecretName", "db"), ("VersionId", id), ("SecretData", data)]);
    }
    assert_eq!(versions(&house, "true"), "v1: v2:ACSPrevious v3:ACSCurrent");
    assert_eq!(versions(&house, "false"), "v2:ACSPrevious v3:ACSCurrent");
    let stage = |given: Given<'_>| {
        house.days_later(0, "UpdateSecretVersionStage", &[&[("SecretName", "db")][..], given].concat())
    };
    for (given, told, expected) in [
        (&[("VersionStage", "ACSCurrent"), ("MoveToVersion", "v1")][..], "", "v1:ACSCurrent v2: v3:ACSPrevious"),
        (&[("VersionStage", "blue"), ("MoveToVersion", "v2")], "", "v1:ACSCurrent v2:blue v3:ACSPrevious"),
        (
            &[("VersionStage", "blue"), ("MoveToVersion", "v3"), ("RemoveFromVersion", "v2")],
            "",
            "v1:ACSCurrent v2: v3:ACSPrevious+blue",
        ),
        (
            &[("VersionStage", "blue"), ("RemoveFromVersion", "v2")],
            "400 InvalidParameter",
            "v1:ACSCurrent v2: v3:ACSPrevious+blue",
        ),
        (&[("VersionStage", "blue"), ("RemoveFromVersion", "v3")], "", "v1:ACSCurrent v2: v3:ACSPrevious"),
        (
            &[("VersionStage", "ACSCurrent"), ("RemoveFromVersion", "v1")],
            "400 MissingParameter",
            "v1:ACSCurrent v2: v3:ACSPrevious",
        ),
        (
            &[("VersionStage", "blue"), ("MoveToVersion", "v9")],
            "404 Forbidden.ResourceNotFound",
            "v1:ACSCurrent v2: v3:ACSPrevious",
        ),
        (&[("VersionStage", "blue")], "400 MissingParameter", "v1:ACSCurrent v2: v3:ACSPrevious"),
    ] {
        assert_eq!(stage(given).err().unwrap_or_default(), told, "{given:?}");
        assert_eq!(versions(&house, "true"), expected, "{given:?}");
    }
    assert_eq!(house.ok("GetSecretValue", &[("SecretName", "db")])["SecretData"], "one");
}

#[test]
fn a_secret_is_described_anew() {
    let house = house();
    house.ok("UpdateSecret", &[("SecretName", "db"), ("ExtendedConfig.CustomData", r#"{"a":1}"#)]);
    let described = house.ok("DescribeSecret", &[("SecretName", "db")]);
    let config = json!(r#"{"CustomData":{"a":1}}"#);
    assert_eq!((&described["Description"], &described["ExtendedConfig"]), (&json!("d"), &config));
    let members = [("ExtendedConfig.CustomData.a", "b"), ("ExtendedConfig.CustomData.c.d", "e"), ("SecretName", "db")];
    house.ok("UpdateSecret", &members);
    let described = house.ok("DescribeSecret", &[("SecretName", "db")]);
    assert_eq!(described["ExtendedConfig"], r#"{"CustomData":{"a":"b","c.d":"e"}}"#);
    let invalid = |why: &str| {
        format!("400 InvalidParameter: The specified parameter \"ExtendedConfig.CustomData\" is not valid: {why}.")
    };
    let (many, name) = ("x".repeat(1_024), ("SecretName", "db"));
    let too_long = invalid("with it, the extended config has more than 1024 characters");
    check_refusals(
        &house,
        &[
            ("UpdateSecret", &[name, ("ExtendedConfig.CustomData", "{")], &invalid("it is not JSON")),
            ("UpdateSecret", &[name, ("ExtendedConfig.CustomData.a", &many)], &too_long),
        ],
    );
    house.ok("UpdateSecret", &[("SecretName", "db"), ("Description", "")]);
    assert_eq!(house.ok("DescribeSecret", &[("SecretName", "db")])["Description"], "");
}

#[test]
fn a_secret_waits_for_its_deletion_and_can_be_restored() {
    let house = house();
    let db = ("SecretName", "db");
    let deleted = house.ok("DeleteSecret", &[db, ("RecoveryWindowInDays", "7")]);
    assert_eq!(deleted["PlannedDeleteTime"], "2026-01-09T03:00:00Z");
    assert_eq!(house.ok("DescribeSecret", &[db])["PlannedDeleteTime"], "2026-01-09T03:00:00Z");
    let waiting = Err("409 Rejected.ResourceInDeleteWindow".to_owned());
    for (operation, more) in [
        ("GetSecretValue", &[][..]),
        ("PutSecretValue", &[("VersionId", "v2"), ("SecretData", "x")]),
        ("UpdateSecret", &[("Description", "x")]),
        ("DeleteSecret", &[]),
        ("CreateSecret", &[("VersionId", "v2"), ("SecretData", "x")]),
    ] {
        assert_eq!(house.days_later(0, operation, &[&[db][..], more].concat()).map(drop), waiting, "{operation}");
    }
    house.ok("RestoreSecret", &[db]);
    assert_eq!(house.days_later(8, "GetSecretValue", &[db]).unwrap()["SecretData"], "one");
    house.ok("DeleteSecret", &[db]);
    let house = house.reopened();
    assert_eq!(house.days_later(29, "DescribeSecret", &[db]).map(drop), Ok(()));
    assert_eq!(house.days_later(30, "DescribeSecret", &[db]).map(drop), Err("404 Forbidden.ResourceNotFound".into()));
    house.ok("CreateSecret", &[db, ("VersionId", "v1"), ("SecretData", "new")]);
    house.ok("DeleteSecret", &[db, ("ForceDeleteWithoutRecovery", "true")]);
    assert_eq!(house.days_later(0, "DescribeSecret", &[db]).map(drop), Err("404 Forbidden.ResourceNotFound".into()));
    house.ok("CreateSecret", &[db, ("VersionId", "v1"), ("SecretData", "new")]);
    let both = [db, ("ForceDeleteWithoutRecovery", "true"), ("RecoveryWindowInDays", "7")];
    assert!(house.refused("DeleteSecret", &both).starts_with("400 InvalidParameter"));
    assert!(house.refused("RotateSecret", &[db, ("VersionId", "v2")]).starts_with("400 UnsupportedOperation"));
}

#[test]
fn passwords_are_random_and_as_they_were_asked_for() {
    let house = House::new();
    let password = |given: Given<'_>| text(&house.ok("GetRandomPassword", given), "/RandomPassword");
    assert_eq!(password(&[]).len(), 32);
    assert_ne!(password(&[]), password(&[]));
    for _ in 0..50 {
        let short = password(&[("PasswordLength", "8")]);
        let kinds: [fn(&char) -> bool; 4] =
            [char::is_ascii_lowercase, char::is_ascii_uppercase, char::is_ascii_digit, char::is_ascii_punctuation];
        assert!(short.len() == 8 && kinds.iter().all(|kind| short.chars().any(|c| kind(&c))), "{short}");
    }
    let digits = password(&[
        ("ExcludeLowercase", "true"),
        ("ExcludeUppercase", "true"),
        ("ExcludePunctuation", "true"),
        ("ExcludeCharacters", "01"),
    ]);
    assert!(digits.bytes().all(|byte| (b'2'..=b'9').contains(&byte)), "{digits}");
    for given in [
        &[("PasswordLength", "7")][..],
        &[("PasswordLength", "129")],
        &[("ExcludeNumbers", "x")],
        &[("ExcludeCharacters", "0123456789")],
    ] {
        assert!(house.refused("GetRandomPassword", given).starts_with("400 InvalidParameter"), "{given:?}");
    }
}

#[test]
fn the_service_says_what_it_is() {
    let house = house();
    assert_eq!(house.ok("DescribeAccountKmsStatus", &[])["AccountStatus"], "Enabled");
    assert_eq!(house.ok("ListKmsInstances", &[])["TotalCount"], 0);
    house.key();
    let listed = house.ok("ListKmsInstances", &[]);
    assert_eq!(
        (&listed["TotalCount"], &listed["KmsInstances"]["KmsInstance"][0]["KmsInstanceId"]),
        (&json!(1), &json!(INSTANCE))
    );
}
