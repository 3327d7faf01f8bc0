//! Aliases: where they point, and where they may not be used.

use serde_json::json;

use super::support::*;

#[test]
fn an_alias_stands_for_its_key() {
    let house = House::new();
    let key = house.key();
    assert_eq!(house.ok("CreateAlias", &[("AliasName", "alias/b"), ("KeyId", &key)]), json!({}));
    house.ok("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)]);
    let described = house.ok("DescribeKey", &[("KeyId", "alias/a")]);
    assert_eq!(text(&described, "/KeyMetadata/KeyId"), key);
    let listed = house.ok("ListAliases", &[]);
    let alias = |name: &str| {
        let arn = format!("acs:kms:cn-hangzhou:1:{name}");
        json!({"AliasName": name, "AliasArn": arn, "KeyId": key})
    };
    let expected = json!({
        "Aliases": {"Alias": [alias("alias/a"), alias("alias/b")]},
        "TotalCount": 2, "PageNumber": 1, "PageSize": 10,
    });
    assert_eq!(listed, expected);
    let counted = house.ok("ListAliases", &[("PageSize", "0")]);
    assert_eq!((&counted["Aliases"]["Alias"], &counted["TotalCount"]), (&json!([]), &json!(2)));
    assert_eq!(serde_json::Value::from(house.call(BOB, "ListAliases", &[]).unwrap())["TotalCount"], 0);
}

#[test]
fn what_was_judged_is_used_even_if_the_alias_is_another_by_now() {
    let house = House::new();
    let permit = house.permit(ALICE, "DescribeKey", &[("KeyId", "alias/later")]);
    house.ok("CreateAlias", &[("AliasName", "alias/later"), ("KeyId", &house.key())]);
    let error = house.kms.execute(&permit, at(0)).result.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (404, "Forbidden.AliasNotFound"));
}

#[test]
fn what_is_wrong_with_an_alias_is_told() {
    let house = House::new();
    let key = house.key();
    house.ok("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)]);
    let unsupported = "400 Unsupported.Alias: Alias is not valid for this api.";
    let alias_arn = "acs:kms:cn-hangzhou:1:alias/a";
    let create = |alias, key| [("AliasName", alias), ("KeyId", key)];
    check_refusals(
        &house,
        &[
            ("CreateAlias", &create("alias/a", &key), "400 AliasAlreadyExists: AliasName Already Exists."),
            (
                "CreateAlias",
                &create("alias/b", "key-none"),
                "404 Forbidden.KeyNotFound: The specified Key is not found.",
            ),
            (
                "CreateAlias",
                &create("alias/acs/kms", &key),
                "400 InvalidParameter: The specified parameter \"AliasName\" is not valid: \
                 names that start with alias/acs are reserved.",
            ),
            ("CreateAlias", &create("alias/b", "alias/a"), unsupported),
            ("CreateAlias", &create("alias/b", "alias/none"), unsupported),
            ("EnableKey", &[("KeyId", "alias/a")], unsupported),
            ("DisableKey", &[("KeyId", alias_arn)], unsupported),
            ("GetKeyPolicy", &[("KeyId", "alias/a")], unsupported),
            ("SetKeyPolicy", &[("KeyId", "alias/a"), ("Policy", "{}")], unsupported),
            (
                "Encrypt",
                &[("KeyId", "alias/none"), ("Plaintext", "aGk=")],
                "404 Forbidden.AliasNotFound: The specified Alias is not found.",
            ),
            (
                "ListAliases",
                &[("PageSize", "101")],
                "400 InvalidParameter: The specified parameter \"PageSize\" is not valid: it is a whole number from 0 to 100.",
            ),
        ],
    );
}

/// A policy of Bob's lets Alice use his key; it does not make the key hers.
#[test]
fn another_accounts_key_can_be_used_but_not_named_or_built_upon() {
    let house = House::new();
    let created = house.call(BOB, "CreateKey", &[("DKMSInstanceId", INSTANCE)]).unwrap();
    let (id, arn) = (text(&created["KeyMetadata"], "/KeyId"), text(&created["KeyMetadata"], "/Arn"));
    let policy = r#"{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::1:user/alice"]},"Action":["kms:*"],"Resource":["*"]}]}"#;
    house.call(BOB, "SetKeyPolicy", &[("KeyId", &id), ("Policy", policy)]).unwrap();
    assert_eq!(text(&house.ok("Encrypt", &[("KeyId", &arn), ("Plaintext", "aGk=")]), "/KeyId"), id);
    assert_eq!(text(&house.ok("GetKeyPolicy", &[("KeyId", &arn)]), "/Policy"), policy);
    let secret = &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x"), ("EncryptionKeyId", arn.as_str())];
    check_refusals(
        &house,
        &[
            (
                "CreateAlias",
                &[("AliasName", "alias/his"), ("KeyId", &arn)],
                "404 Forbidden.KeyNotFound: The specified Key is not found.",
            ),
            (
                "CreateSecret",
                secret,
                "400 InvalidParameter: The specified parameter \"EncryptionKeyId\" is not valid: \
                 a secret is encrypted by a key of its own account.",
            ),
        ],
    );
}
