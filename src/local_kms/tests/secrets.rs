//! Secrets: their data, versions, stages, and the keys that seal them.

use serde_json::json;

use super::support::*;

const NOT_FOUND: &str = "404 Forbidden.ResourceNotFound: Resource not found.";
const DISABLED: &str = "409 Rejected.Disabled: The request was rejected because the key state is Disabled.";
const EXISTS: &str = "409 Rejected.ResourceExist: The resource already exists.";

fn create(house: &House, name: &str, more: Given<'_>) -> serde_json::Value {
    let given = [&[("SecretName", name), ("VersionId", "v1"), ("SecretData", "hush")], more].concat();
    house.ok("CreateSecret", &given)
}

fn put<'a>(version: &'a str, data: &'a str) -> [(&'a str, &'a str); 3] {
    [("SecretName", "s"), ("VersionId", version), ("SecretData", data)]
}

#[test]
fn a_secret_is_what_was_put_into_it() {
    let house = House::new();
    let key = house.key();
    let config = r#"{"CustomData":{"a":"b"}}"#;
    let tags = r#"[{"TagKey":"env","TagValue":"dev"}]"#;
    let more = &[("EncryptionKeyId", key.as_str()), ("Description", "d"), ("ExtendedConfig", config), ("Tags", tags)];
    let arn = "acs:kms:cn-hangzhou:1:secret/app/db";
    let expected = json!({"Arn": arn, "SecretName": "app/db", "VersionId": "v1", "SecretType": "Generic", "DKMSInstanceId": INSTANCE});
    assert_eq!(create(&house, "app/db", more), expected);
    let value = house.ok("GetSecretValue", &[("SecretName", arn), ("FetchExtendedConfig", "true")]);
    let expected = json!({
        "SecretName": "app/db", "SecretData": "hush", "SecretDataType": "text", "SecretType": "Generic",
        "VersionId": "v1", "VersionStages": {"VersionStage": ["ACSCurrent"]}, "CreateTime": "2026-01-02T03:00:00Z",
        "ExtendedConfig": config,
    });
    assert_eq!(value, expected);
    let described = house.ok("DescribeSecret", &[("SecretName", "app/db"), ("FetchTags", "true")]);
    let expected = json!({
        "Arn": arn, "SecretName": "app/db", "SecretType": "Generic", "Description": "d", "EncryptionKeyId": key,
        "CreateTime": "2026-01-02T03:00:00Z", "UpdateTime": "2026-01-02T03:00:00Z", "DKMSInstanceId": INSTANCE,
        "ExtendedConfig": config,
        "Tags": {"Tag": [{"TagKey": "env", "TagValue": "dev"}]},
    });
    assert_eq!(described, expected);
    assert!(house.ok("DescribeSecret", &[("SecretName", "app/db")]).get("Tags").is_none());
}

#[test]
fn what_cannot_be_created_is_explained() {
    let house = House::new();
    let (key, disabled) = (house.key(), house.key());
    house.ok("DisableKey", &[("KeyId", &disabled)]);
    create(&house, "s", &[]);
    let long = "x".repeat(30_721);
    let long_config = "x".repeat(1_025);
    let long_id = "x".repeat(65);
    let invalid =
        |name: &str, why: &str| format!("400 InvalidParameter: The specified parameter \"{name}\" is not valid{why}.");
    let missing = |name: &str| format!("400 MissingParameter: The parameter \"{name}\" is needed but not provided.");
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[], EXISTS),
        (&[("SecretName", "acs/x")], &invalid("SecretName", "")),
        (&[("SecretName", "acs:kms:cn-hangzhou:1:secret/x")], &invalid("SecretName", "")),
        (&[("SecretName", "")], &missing("SecretName")),
        (&[("VersionId", "")], &missing("VersionId")),
        (&[("SecretData", "")], &missing("SecretData")),
        (&[("SecretData", &long)], &invalid("SecretData", ": it has 1 to 30720 bytes")),
        (&[("VersionId", &long_id)], &invalid("VersionId", ": it has 1 to 64 characters")),
        (&[("SecretDataType", "json")], &invalid("SecretDataType", ": it is text or binary")),
        (
            &[("SecretDataType", "binary"), ("SecretData", "?")],
            &invalid("SecretData", ": it is not Base64, as binary data is"),
        ),
        (&[("ExtendedConfig", &long_config)], &invalid("ExtendedConfig", ": it has more than 1024 characters")),
        (&[("EncryptionKeyId", "key-none")], "404 Forbidden.KeyNotFound: The specified Key is not found."),
        (&[("EncryptionKeyId", "alias/none")], "404 Forbidden.AliasNotFound: The specified Alias is not found."),
        (&[("EncryptionKeyId", &disabled)], DISABLED),
        (
            &[("EncryptionKeyId", &key), ("DKMSInstanceId", "kst-other")],
            &invalid("EncryptionKeyId", ": a secret is encrypted by a key of its own KMS instance"),
        ),
        (
            &[("SecretType", "Rds")],
            "400 UnsupportedOperation: This action is not supported: the embedded KMS has no secrets of type Rds.",
        ),
        (&[("SecretType", "generic")], &invalid("SecretType", "")),
        (
            &[("EnableAutomaticRotation", "true")],
            "400 UnsupportedOperation: This action is not supported. (generic secrets do not rotate by themselves; put a new version)",
        ),
        (&[("Policy", "{}")], "400 Forbidden.KeyPolicyUnSupported: The specified key does not support key policy."),
        (
            &[("Policy", "[]"), ("SecretName", "new"), ("EncryptionKeyId", &key)],
            &invalid("Policy", ": 1:1: expected an object, found an array"),
        ),
    ];
    for (given, expected) in rows {
        // Of two values for one name the first counts.
        let all = [*given, &put("v1", "x")].concat();
        assert_eq!(house.refused("CreateSecret", &all), *expected, "{:?}", given.first().map(|(name, _)| name));
    }
    assert_eq!(house.kms.secret_count(), 1);
}

#[test]
fn stages_move_with_the_versions() {
    let house = House::new();
    create(&house, "s", &[]);
    let answer = house.ok("PutSecretValue", &put("v2", "new"));
    let expected = json!({"SecretName": "s", "VersionId": "v2", "VersionStages": {"VersionStage": ["ACSCurrent"]}});
    assert_eq!(answer, expected);
    house.ok("PutSecretValue", &[&put("v3", "test")[..], &[("VersionStages", r#"["trial"]"#)]].concat());
    for (wanted, data) in [
        (&[][..], "new"),
        (&[("VersionStage", "ACSCurrent")], "new"),
        (&[("VersionStage", "ACSPrevious")], "hush"),
        (&[("VersionStage", "trial")], "test"),
        (&[("VersionId", "v1")], "hush"),
        (&[("VersionId", "v3"), ("VersionStage", "trial")], "test"),
    ] {
        let value = house.ok("GetSecretValue", &[&[("SecretName", "s")], wanted].concat());
        assert_eq!(text(&value, "/SecretData"), data, "{wanted:?}");
    }
    for wanted in
        [&[("VersionId", "v9")][..], &[("VersionStage", "no")], &[("VersionId", "v1"), ("VersionStage", "trial")]]
    {
        assert_eq!(house.refused("GetSecretValue", &[&[("SecretName", "s")], wanted].concat()), NOT_FOUND);
    }
}

#[test]
fn putting_the_same_again_changes_nothing_and_other_data_is_refused() {
    let house = House::new();
    create(&house, "s", &[]);
    house.ok("PutSecretValue", &put("v2", "new"));
    let again = house.ok("PutSecretValue", &put("v1", "hush"));
    assert_eq!(again["VersionStages"]["VersionStage"], json!(["ACSPrevious"]));
    assert_eq!(text(&house.ok("GetSecretValue", &[("SecretName", "s")]), "/SecretData"), "new");
    assert_eq!(house.refused("PutSecretValue", &put("v1", "other")), EXISTS);
    let binary = [&put("v1", "hush")[..], &[("SecretDataType", "binary")]].concat();
    assert_eq!(house.refused("PutSecretValue", &binary), EXISTS);
}

#[test]
fn versions_and_stages_are_limited() {
    let house = House::new();
    create(&house, "s", &[]);
    for version in 2..=11 {
        house.ok("PutSecretValue", &put(&format!("v{version}"), "x"));
    }
    assert_eq!(house.refused("GetSecretValue", &[("SecretName", "s"), ("VersionId", "v1")]), NOT_FOUND);
    house.ok("GetSecretValue", &[("SecretName", "s"), ("VersionId", "v2")]);
    let stages =
        |stages: &str| house.refused("PutSecretValue", &[&put("v12", "x")[..], &[("VersionStages", stages)]].concat());
    let limit = "400 Rejected.LimitExceeded: The secret may have at most 8 version stages.";
    assert_eq!(stages(r#"["a","b","c","d","e","f","g"]"#), limit);
    for wrong in ["[]", "{}", r#"["a","a"]"#, r#"[""]"#, "[1]", r#"["ACSCurrent","ACSPrevious"]"#] {
        assert!(
            stages(wrong).starts_with("400 InvalidParameter: The specified parameter \"VersionStages\""),
            "{wrong}"
        );
    }
}

#[test]
fn a_secret_closes_with_its_key() {
    let house = House::new();
    let key = house.key();
    create(&house, "s", &[("EncryptionKeyId", &key)]);
    house.ok("DisableKey", &[("KeyId", &key)]);
    let get: Given<'_> = &[("SecretName", "s")];
    check_refusals(&house, &[("GetSecretValue", get, DISABLED), ("PutSecretValue", &put("v2", "x"), DISABLED)]);
    house.ok("DescribeSecret", get);
    house.ok("EnableKey", &[("KeyId", &key)]);
    house.ok("GetSecretValue", get);
}

/// Judged before the secret was there, a request needed no permission for its key.
#[test]
fn a_secret_with_another_key_than_was_judged_is_not_found() {
    let house = House::new();
    let get = house.permit(ALICE, "GetSecretValue", &[("SecretName", "s")]);
    let write = house.permit(ALICE, "PutSecretValue", &put("v2", "x"));
    create(&house, "s", &[("EncryptionKeyId", &house.key())]);
    for permit in [get, write] {
        assert_eq!(house.kms.execute(&permit, at(0)).result.unwrap_err().code.as_str(), "Forbidden.ResourceNotFound");
    }
    house.ok("GetSecretValue", &[("SecretName", "s")]);
}

#[test]
fn a_key_does_not_decrypt_the_secrets_that_it_seals() {
    let house = House::new();
    let key = house.key();
    create(&house, "s", &[("EncryptionKeyId", &key)]);
    let secret = house.kms.state().account(ALICE).secrets.values().next().unwrap().clone();
    let sealed = secret.versions[0].sealed.encode();
    assert!(house.refused("Decrypt", &[("CiphertextBlob", &sealed)]).starts_with("400 InvalidParameter"));
}

#[test]
fn secrets_are_listed_and_filtered() {
    let house = House::new();
    let key = house.key();
    create(&house, "app/b", &[("Tags", r#"[{"TagKey":"env","TagValue":"dev"}]"#)]);
    create(&house, "app/a", &[("Description", "orders"), ("EncryptionKeyId", &key)]);
    create(&house, "other", &[]);
    let names = |filters: &str| {
        let answer = house.ok("ListSecrets", &[("Filters", filters)]);
        let secrets = answer["SecretList"]["Secret"].as_array().unwrap().clone();
        secrets.iter().map(|secret| text(secret, "/SecretName")).collect::<Vec<_>>().join(" ")
    };
    for (filters, expected) in [
        ("", "app/a app/b other"),
        (r#"[{"Key":"SecretName","Values":["app/","oth"]}]"#, "app/a app/b other"),
        (r#"[{"Key":"SecretName","Values":["app/b"]}]"#, "app/b"),
        (r#"[{"Key":"Description","Values":["ord"]}]"#, "app/a"),
        (r#"[{"Key":"TagKey","Values":["env"]},{"Key":"TagValue","Values":["dev"]}]"#, "app/b"),
        (r#"[{"Key":"TagKey","Values":["env"]},{"Key":"TagValue","Values":["prod"]}]"#, ""),
        (r#"[{"Key":"DKMSInstanceId","Values":["kst-example01"]}]"#, "app/a"),
        (r#"[{"Key":"SecretType","Values":["Rds"]}]"#, ""),
    ] {
        assert_eq!(names(filters), expected, "{filters}");
    }
    let answer = house.ok("ListSecrets", &[("FetchTags", "true"), ("PageSize", "1"), ("PageNumber", "2")]);
    let expected = json!({
        "SecretName": "app/b", "SecretType": "Generic", "CreateTime": "2026-01-02T03:00:00Z",
        "UpdateTime": "2026-01-02T03:00:00Z", "Tags": {"Tag": [{"TagKey": "env", "TagValue": "dev"}]},
    });
    assert_eq!((&answer["SecretList"]["Secret"], &answer["TotalCount"]), (&json!([expected]), &json!(3)));
    assert!(house.refused("ListSecrets", &[("PageSize", "0")]).contains("\"PageSize\""));
    assert!(house.refused("ListSecrets", &[("FetchTags", "yes")]).contains("\"FetchTags\""));
}
