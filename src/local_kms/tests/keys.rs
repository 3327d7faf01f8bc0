//! Keys: what is made, what is said about it, and what is refused.

use serde_json::json;

use super::support::*;

#[test]
fn a_key_is_described_as_it_was_made() {
    let house = House::new();
    let tags = r#"[{"TagKey":"env","TagValue":"dev"}]"#;
    let created = house.ok("CreateKey", &[("Description", "orders"), ("ProtectionLevel", "HSM"), ("Tags", tags)]);
    let id = text(&created, "/KeyMetadata/KeyId");
    let version = text(&created, "/KeyMetadata/PrimaryKeyVersion");
    let expected = json!({
        "Arn": format!("acs:kms:cn-hangzhou:1:key/{id}"),
        "AutomaticRotation": "Disabled",
        "CreationDate": "2026-01-02T03:00:00Z",
        "Creator": "1",
        "DeleteDate": "",
        "Description": "orders",
        "KeyId": id,
        "KeySpec": "Aliyun_AES_256",
        "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT/DECRYPT",
        "LastRotationDate": "2026-01-02T03:00:00Z",
        "MaterialExpireTime": "",
        "Origin": "Aliyun_KMS",
        "PrimaryKeyVersion": version,
        "ProtectionLevel": "HSM",
    });
    assert_eq!(created, json!({ "KeyMetadata": expected }));
    assert!([&id, &version].iter().all(|uuid| uuid::Uuid::parse_str(uuid).is_ok()));
    let mut described = house.ok("DescribeKey", &[("KeyId", &id)])["KeyMetadata"].clone();
    assert_eq!(described["DeletionProtection"], "Disabled");
    let members = described.as_object_mut().unwrap();
    members.remove("DeletionProtection");
    members.remove("DeletionProtectionDescription");
    members.insert("DeleteDate".to_owned(), "".into());
    assert_eq!(described, expected);
}

#[test]
fn members_are_in_the_documented_order() {
    let created = House::new().ok("CreateKey", &[("DKMSInstanceId", INSTANCE)]);
    let expected = [
        "Arn",
        "AutomaticRotation",
        "CreationDate",
        "Creator",
        "DKMSInstanceId",
        "DeleteDate",
        "Description",
        "KeyId",
        "KeySpec",
        "KeyState",
        "KeyUsage",
        "LastRotationDate",
        "MaterialExpireTime",
        "Origin",
        "PrimaryKeyVersion",
        "ProtectionLevel",
    ];
    assert_eq!(names(&created, "/KeyMetadata"), expected);
}

#[test]
fn keys_in_an_instance_have_its_ids_and_specs() {
    let house = House::new();
    for spec in ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128"] {
        let given = &[("DKMSInstanceId", INSTANCE), ("KeySpec", spec), ("ProtectionLevel", "HSM")];
        let created = house.ok("CreateKey", given)["KeyMetadata"].clone();
        let id = text(&created, "/KeyId");
        assert!(id.starts_with("key-") && id.len() == 24, "{id}");
        assert_eq!((&created["KeySpec"], &created["DKMSInstanceId"]), (&json!(spec), &json!(INSTANCE)));
        assert_eq!(created["ProtectionLevel"], "SOFTWARE");
    }
}

#[test]
fn what_cannot_be_made_is_explained() {
    let house = House::new();
    let long = "x".repeat(8_193);
    let invalid =
        |name: &str, why: &str| format!("400 InvalidParameter: The specified parameter \"{name}\" is not valid{why}.");
    check_refusals(
        &house,
        &[
            (
                "CreateKey",
                &[("KeySpec", "AES")],
                &invalid(
                    "KeySpec",
                    ": there is no such key spec; there are Aliyun_AES_256, Aliyun_AES_192, Aliyun_AES_128, Aliyun_SM4, \
                     RSA_2048, RSA_3072, RSA_4096, EC_P256, EC_P256K, EC_SM2, HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, \
                     HMAC_SHA_512 and HMAC_SM3",
                ),
            ),
            (
                "CreateKey",
                &[("KeySpec", "Aliyun_AES_128")],
                &invalid("KeySpec", ": keys of the spec Aliyun_AES_128 are in a KMS instance only"),
            ),
            (
                "CreateKey",
                &[("KeyUsage", "SIGN/VERIFY")],
                &invalid("KeyUsage", ": keys of this spec are for ENCRYPT/DECRYPT"),
            ),
            (
                "CreateKey",
                &[("Origin", "EXTERNAL"), ("KeySpec", "EC_P256")],
                "400 Unsupported.Origin: This key origin is not valid for this api.",
            ),
            ("CreateKey", &[("Origin", "aliyun_kms")], &invalid("Origin", ": it is Aliyun_KMS or EXTERNAL")),
            (
                "CreateKey",
                &[("KeySpec", "RSA_2048"), ("EnableAutomaticRotation", "true"), ("RotationInterval", "30d")],
                &invalid(
                    "EnableAutomaticRotation",
                    ": only symmetric keys rotate, and only if their material is made here",
                ),
            ),
            ("CreateKey", &[("ProtectionLevel", "Software")], &invalid("ProtectionLevel", ": it is SOFTWARE or HSM")),
            (
                "CreateKey",
                &[("DKMSInstanceId", "abc")],
                &invalid("DKMSInstanceId", ": it is kst- and letters, digits and -"),
            ),
            (
                "CreateKey",
                &[("EnableAutomaticRotation", "true")],
                "400 MissingParameter: The parameter \"RotationInterval\" is needed but not provided.",
            ),
            ("CreateKey", &[("Description", &long)], &invalid("Description", ": it has more than 8192 characters")),
            (
                "CreateKey",
                &[("Policy", "{}")],
                "400 Forbidden.KeyPolicyUnSupported: The specified key does not support key policy.",
            ),
            (
                "CreateKey",
                &[("Policy", "{}"), ("DKMSInstanceId", INSTANCE)],
                &invalid("Policy", ": 1:1: `Statement` is missing; it is an array of statements"),
            ),
        ],
    );
    assert_eq!(house.kms.key_count(), 0);
}

#[test]
fn a_disabled_key_does_no_cryptography_until_it_is_enabled() {
    let house = House::new();
    let key = house.key();
    let sealed = house.encrypted(&key, "aGk=");
    for _ in 0..2 {
        assert_eq!(house.ok("DisableKey", &[("KeyId", &key)]), json!({}));
    }
    assert_eq!(text(&house.ok("DescribeKey", &[("KeyId", &key)]), "/KeyMetadata/KeyState"), "Disabled");
    let told = "409 Rejected.Disabled: The request was rejected because the key state is Disabled.";
    check_refusals(
        &house,
        &[
            ("Encrypt", &[("KeyId", &key), ("Plaintext", "aGk=")], told),
            ("Decrypt", &[("CiphertextBlob", &sealed)], told),
            ("GenerateDataKey", &[("KeyId", &key)], told),
        ],
    );
    for _ in 0..2 {
        house.ok("EnableKey", &[("KeyId", &key)]);
    }
    house.ok("Decrypt", &[("CiphertextBlob", &sealed)]);
}

#[test]
fn keys_are_listed_by_pages_in_the_order_of_creation() {
    let house = House::new();
    let mut ids = Vec::new();
    for second in 0..5 {
        let answer = house.kms.execute(&house.permit(ALICE, "CreateKey", &[]), at(second)).result.unwrap();
        ids.push(text(&answer.into(), "/KeyMetadata/KeyId"));
    }
    house.call(BOB, "CreateKey", &[]).unwrap();
    let page = |number: &str| {
        let answer = house.ok("ListKeys", &[("PageNumber", number), ("PageSize", "2")]);
        assert_eq!((&answer["TotalCount"], &answer["PageSize"]), (&json!(5), &json!(2)));
        assert_eq!(answer["PageNumber"], json!(number.parse::<usize>().unwrap()));
        let keys = answer["Keys"]["Key"].as_array().unwrap().clone();
        keys.iter().map(|key| text(key, "/KeyId")).collect::<Vec<_>>()
    };
    let pages: Vec<_> = ["1", "2", "3", "4"].map(page).concat();
    assert_eq!(pages, ids);
    let first = house.ok("ListKeys", &[("PageSize", "1")])["Keys"]["Key"][0].clone();
    assert_eq!(first, json!({"KeyId": ids[0], "KeyArn": format!("acs:kms:cn-hangzhou:1:key/{}", ids[0])}));
    for (name, value) in [("PageNumber", "0"), ("PageSize", "0"), ("PageSize", "101")] {
        assert!(house.refused("ListKeys", &[(name, value)]).contains(&format!("\"{name}\"")), "{name}={value}");
    }
}

#[test]
fn keys_are_filtered() {
    let house = House::new();
    let disabled = house.key();
    house.ok("DisableKey", &[("KeyId", &disabled)]);
    house.ok("CreateKey", &[("ProtectionLevel", "HSM")]);
    for (filters, expected) in [
        (r#"[{"Key":"KeyState","Values":["Disabled"]}]"#, 1),
        (r#"[{"Key":"KeyState","Values":["Disabled","Enabled"]}]"#, 2),
        (r#"[{"Key":"KeyState","Values":["Enabled"]},{"Key":"DKMSInstanceId","Values":["kst-example01"]}]"#, 0),
        (r#"[{"Key":"ProtectionLevel","Values":["HSM"]}]"#, 1),
        (r#"[{"Key":"KeySpec","Values":["Aliyun_AES_256"]},{"Key":"KeyUsage","Values":["ENCRYPT/DECRYPT"]}]"#, 2),
        (r#"[{"Key":"CreatorType","Values":["Service"]}]"#, 0),
    ] {
        assert_eq!(house.ok("ListKeys", &[("Filters", filters)])["TotalCount"], expected, "{filters}");
    }
    let told = house.refused("ListKeys", &[("Filters", r#"[{"Key":"Colour","Values":["red"]}]"#)]);
    assert!(told.starts_with("400 InvalidParameter: The specified parameter \"Filters\" is not valid: 1:9:"), "{told}");
}
