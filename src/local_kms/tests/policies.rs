//! Policies: kept as they were given, and only where KMS has them.

use super::support::*;

const UNSUPPORTED: &str = "400 Forbidden.KeyPolicyUnSupported: The specified key does not support key policy.";
const NO_POLICY: &str = "404 Forbidden.ResourceNotFound: Policy not found.";

/// White space and the order of members are part of what comes back.
const POLICY: &str = "{ \"Version\":\"1\",\n \"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"RAM\":[\"acs:ram::1:*\"]},\
    \"Action\":[\"kms:*\"],\"Resource\":[\"*\"]}]}";

fn policy_of_key(house: &House, key: &str) -> String {
    text(&house.ok("GetKeyPolicy", &[("KeyId", key)]), "/Policy")
}

#[test]
fn a_policy_comes_back_as_it_was_set() {
    let house = House::new();
    let key = house.key();
    let default = r#"{"Statement":[{"Action":["kms:*"],"Effect":"Allow","Principal":{"RAM":["acs:ram::1:*"]},"Resource":["*"],"Sid":"kms default key policy"}],"Version":"1"}"#;
    assert_eq!(policy_of_key(&house, &key), default);
    house.ok("SetKeyPolicy", &[("KeyId", &key), ("Policy", POLICY), ("PolicyName", "default")]);
    assert_eq!(policy_of_key(&house, &key), POLICY);
    house.ok(
        "CreateSecret",
        &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x"), ("DKMSInstanceId", INSTANCE)],
    );
    let get = || text(&house.ok("GetSecretPolicy", &[("SecretName", "s"), ("PolicyName", "default")]), "/Policy");
    assert_eq!(get(), default.replace("key policy", "secret policy"));
    house.ok("SetSecretPolicy", &[("SecretName", "s"), ("Policy", POLICY)]);
    assert_eq!(get(), POLICY);
}

#[test]
fn the_default_policies_are_policies() {
    let house = House::new();
    let key = house.key();
    house.ok("SetKeyPolicy", &[("KeyId", &key), ("Policy", &policy_of_key(&house, &key))]);
}

#[test]
fn a_policy_can_come_with_the_key_or_secret() {
    let house = House::new();
    let created = house.ok("CreateKey", &[("DKMSInstanceId", INSTANCE), ("Policy", POLICY)]);
    let key = text(&created, "/KeyMetadata/KeyId");
    assert_eq!(policy_of_key(&house, &key), POLICY);
    // The secret is in the instance of its key.
    let given = [("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x"), ("EncryptionKeyId", key.as_str())];
    house.ok("CreateSecret", &[&given[..], &[("Policy", POLICY)]].concat());
    assert_eq!(text(&house.ok("GetSecretPolicy", &[("SecretName", "s")]), "/Policy"), POLICY);
}

#[test]
fn what_is_wrong_with_a_policy_is_told() {
    let house = House::new();
    let key = house.key();
    let outside = text(&house.ok("CreateKey", &[]), "/KeyMetadata/KeyId");
    house.ok("CreateSecret", &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x")]);
    let largest = format!("{POLICY}{}", " ".repeat(32_768 - POLICY.len()));
    let large = format!("{largest} ");
    let invalid = |why: &str| format!("400 InvalidParameter: The specified parameter \"Policy\" is not valid: {why}.");
    check_refusals(
        &house,
        &[
            (
                "SetKeyPolicy",
                &[("KeyId", &key)],
                "400 MissingParameter: The parameter \"Policy\" is needed but not provided.",
            ),
            ("SetKeyPolicy", &[("KeyId", &key), ("Policy", POLICY), ("PolicyName", "mine")], NO_POLICY),
            ("GetKeyPolicy", &[("KeyId", &key), ("PolicyName", "mine")], NO_POLICY),
            ("SetKeyPolicy", &[("KeyId", &outside), ("Policy", POLICY)], UNSUPPORTED),
            ("GetKeyPolicy", &[("KeyId", &outside)], UNSUPPORTED),
            ("SetSecretPolicy", &[("SecretName", "s"), ("Policy", POLICY)], UNSUPPORTED),
            ("GetSecretPolicy", &[("SecretName", "s")], UNSUPPORTED),
            ("GetKeyPolicy", &[("KeyId", "key-none")], "404 Forbidden.KeyNotFound: The specified Key is not found."),
            ("GetSecretPolicy", &[("SecretName", "none")], "404 Forbidden.ResourceNotFound: Resource not found."),
            (
                "SetKeyPolicy",
                &[("KeyId", &key), ("Policy", "{\n \"Version\":\"2\",\"Statement\":[]}")],
                &invalid("2:12: `Version` must be \"1\""),
            ),
            (
                "SetKeyPolicy",
                &[("KeyId", &key), ("Policy", &large)],
                &invalid("a key policy may have at most 32768 bytes, not 32769"),
            ),
        ],
    );
    house.ok("SetKeyPolicy", &[("KeyId", &key), ("Policy", &largest)]);
}
