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

/// Each foreign account that the policies of an instance name costs one unit of its quota.
#[test]
fn foreign_accounts_are_counted() {
    const EXCEEDED: &str = "400 Rejected.ShareQuotaExceedLimit: Instance Share Quota Exceed Limit.";
    let house = House::new();
    let [one, two] = [(); 2].map(|()| house.key());
    let elsewhere = text(&house.ok("CreateKey", &[("DKMSInstanceId", "kst-other")]), "/KeyMetadata/KeyId");
    let naming = |accounts: std::ops::Range<u32>| {
        let principals: Vec<String> = accounts.map(|account| format!(r#""acs:ram::{account}:*""#)).collect();
        POLICY.replace(r#""acs:ram::1:*""#, &principals.join(","))
    };
    let set = |key: &str, policy: &str| match house.call(ALICE, "SetKeyPolicy", &[("KeyId", key), ("Policy", policy)]) {
        Ok(_) => String::new(),
        Err(error) => format!("{} {}: {}", error.status, error.code.as_str(), error.message),
    };
    for (key, accounts, expected) in [
        (&one, 100..201, EXCEEDED),
        (&one, 100..200, ""),
        // The same accounts cost nothing more; the account's own costs nothing at all.
        (&two, 150..200, ""),
        (&two, 1..2, ""),
        (&two, 150..201, EXCEEDED),
        (&elsewhere, 150..201, ""),
        // Who names fewer makes room for others.
        (&one, 100..150, ""),
        (&two, 150..201, EXCEEDED),
        (&two, 150..200, ""),
    ] {
        assert_eq!(set(key, &naming(accounts.clone())), expected, "{accounts:?}");
    }
    house
        .ok("CreateSecret", &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x"), ("EncryptionKeyId", &one)]);
    let secret = naming(300..301);
    assert_eq!(house.refused("SetSecretPolicy", &[("SecretName", "s"), ("Policy", &secret)]), EXCEEDED);
    assert_eq!(house.refused("CreateKey", &[("DKMSInstanceId", INSTANCE), ("Policy", &secret)]), EXCEEDED);
}

/// A key is named by its id or its ARN; of another account, by its ARN and with a grant from both sides.
#[test]
fn a_policy_is_found_by_arn_across_accounts() {
    let house = House::new();
    let key = house.key();
    let arn = format!("acs:kms:{REGION}:{ALICE}:key/{key}");
    let given = [("KeyId", arn.as_str()), ("Policy", POLICY)];
    let may_bob = |operation| house.permit_or_reason(BOB, operation, &given);
    assert_eq!(may_bob("SetKeyPolicy"), Err("cross_account_resource_policy_missing"));
    let generous = POLICY.replace("acs:ram::1:*", "acs:ram::2:*");
    house.ok("SetKeyPolicy", &[("KeyId", &arn), ("Policy", &generous)]);
    for name in [&key, &arn] {
        assert_eq!(policy_of_key(&house, name), generous);
    }
    // By its id alone, it would be one of Bob's own account.
    let own = house.call(BOB, "SetKeyPolicy", &[("KeyId", &key), ("Policy", POLICY)]);
    assert_eq!(own.unwrap_err().code.as_str(), "Forbidden.KeyNotFound");
    house.call(BOB, "SetKeyPolicy", &given).unwrap();
    assert_eq!(policy_of_key(&house, &key), POLICY);
    assert!(house.folder.path().join(format!("policies/keys/{key}.json")).exists(), "it is its owner's");
    assert_eq!(may_bob("GetKeyPolicy"), Err("cross_account_resource_policy_missing"));
}
