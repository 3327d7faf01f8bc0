//! The embedded KMS as its callers see it.

mod aliases;
mod answers;
mod asymmetric;
mod cryptography;
mod data_keys;
mod durability;
mod import;
mod key_life;
mod keys;
mod macs;
mod policies;
mod secret_life;
mod secrets;
mod seed;
mod sessions;
mod support;
mod tags;
mod transfer;

use std::sync::Arc;

use crate::authz::Rules;
use support::{ALICE, House, REGION, check_refusals};

#[test]
fn an_operation_that_is_not_served_is_named() {
    let house = House::new();
    let told = "400 UnsupportedOperation: This action is not supported: the embedded KMS has no CreateNetworkRule.";
    let unknown = "404 InvalidApi.NotFound: Specified api is not found,please check your url and method.";
    check_refusals(&house, &[("CreateNetworkRule", &[], told), ("MakeCoffee", &[], unknown)]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let house = House::new();
    let told = "400 UnsupportedOperation: This action is not supported: CreateKey has no DryRun.";
    let wrong = "400 InvalidParameter: The specified parameter \"DryRun\" is not valid: it is true or false.";
    check_refusals(&house, &[("CreateKey", &[("DryRun", "true")], told), ("CreateKey", &[("DryRun", "yes")], wrong)]);
    assert_eq!(house.kms.key_count(), 0);
    house.ok("CreateKey", &[("DryRun", "false")]);
    let key = house.key();
    let would =
        "400 DryRunOperationError: The request would have succeeded, and was not executed because DryRun is true.";
    let would_not = "400 ValidationError: The request is not valid, and was not executed because DryRun is true. \
        (The specified parameter \"Plaintext\" is not valid: it is not Base64.)";
    let encrypt = |plaintext| [("KeyId", key.as_str()), ("Plaintext", plaintext), ("DryRun", "true")];
    check_refusals(&house, &[("Encrypt", &encrypt("aGVsbG8="), would), ("Encrypt", &encrypt("?"), would_not)]);
}

#[test]
fn regions_are_listed_with_the_one_that_is_served() {
    let answer = House::new().ok("DescribeRegions", &[]);
    let regions = answer.pointer("/Regions/Region").unwrap().as_array().unwrap();
    assert!(regions.contains(&serde_json::json!({ "RegionId": REGION })));
}

#[test]
fn what_is_not_ours_is_not_found() {
    let house = House::new();
    let key = house.key();
    house.ok("CreateSecret", &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x")]);
    // Bob's bare names mean his own account, whatever Alice has.
    let no_key = house.call(support::BOB, "DescribeKey", &[("KeyId", &key)]).unwrap_err();
    let no_secret = house.call(support::BOB, "DescribeSecret", &[("SecretName", "s")]).unwrap_err();
    assert_eq!(
        (no_key.code.as_str(), no_secret.code.as_str()),
        ("Forbidden.KeyNotFound", "Forbidden.ResourceNotFound")
    );
    let here = format!("acs:kms:{REGION}:{ALICE}:key/{key}");
    house.ok("DescribeKey", &[("KeyId", &here)]);
    let no_key = "404 Forbidden.KeyNotFound: The specified Key is not found.";
    let no_secret = "404 Forbidden.ResourceNotFound: Resource not found.";
    check_refusals(
        &house,
        &[("DescribeKey", &[("KeyId", "key-none")], no_key), ("GetSecretValue", &[("SecretName", "none")], no_secret)],
    );
}

/// A permit for another region, as a mistake in the settings could make one.
#[test]
fn what_is_judged_in_another_region_is_not_found() {
    let house = House::new();
    let key = house.key();
    house.ok("CreateSecret", &[("SecretName", "s"), ("VersionId", "1"), ("SecretData", "x")]);
    let mut snapshot = (*house.store.current()).clone();
    snapshot.rules = Arc::new(Rules { region: "cn-shanghai".to_owned(), ..Rules::default() });
    for (operation, given, expected) in [
        ("DescribeKey", ("KeyId", key.as_str()), "Forbidden.KeyNotFound"),
        ("GetSecretValue", ("SecretName", "s"), "Forbidden.ResourceNotFound"),
    ] {
        let permit = support::permit(&snapshot, ALICE, operation, &[given]);
        assert_eq!(house.kms.execute(&permit, support::at(0)).result.unwrap_err().code.as_str(), expected);
    }
}
