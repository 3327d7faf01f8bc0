//! What a seed says is there at the first start, and stays as its owner changes it.

use serde_json::json;

use std::sync::Arc;

use super::super::LocalKms;
use super::support::{ALICE, House, INSTANCE, REGION, at, furnish, settings, text};
use crate::policy::Kind;
use crate::store::Store;

const POLICY: &str = r#"{"Version":"1","Statement":[{"Effect":"Deny","Principal":{"RAM":["acs:ram::1:*"]},"Action":["kms:ScheduleKeyDeletion"],"Resource":["*"]}]}"#;

fn seed() -> String {
    format!(
        "\
[keys.key-full]
description = 'All of it'
instance = '{INSTANCE}'
spec = 'Aliyun_AES_128'
rotation = '30d'
enabled = false
deletion_protection = 'needed'
aliases = ['alias/full']
tags = {{ team = 'orders', empty = '' }}
policy = '{POLICY}'
[keys.key-signs]
spec = 'EC_P256'
protection = 'HSM'
[keys.key-mac]
spec = 'HMAC_SM3'
[secrets.blob]
version = 'v1'
data = 'aGk='
data_type = 'binary'
tags = {{ team = 'orders' }}
extended_config = '{{\"CustomData\":{{}}}}'
"
    )
}

#[test]
fn everything_that_the_seed_says_is_there() {
    let house = House::seeded(&seed());
    let full = house.ok("DescribeKey", &[("KeyId", "alias/full")])["KeyMetadata"].clone();
    for (member, expected) in [
        ("KeyId", "key-full"),
        ("Description", "All of it"),
        ("DKMSInstanceId", INSTANCE),
        ("KeySpec", "Aliyun_AES_128"),
        ("KeyState", "Disabled"),
        ("AutomaticRotation", "Suspended"),
        ("RotationInterval", "2592000s"),
        ("NextRotationDate", "2026-02-01T03:00:00Z"),
        ("DeletionProtection", "Enabled"),
        ("DeletionProtectionDescription", "needed"),
    ] {
        assert_eq!(full[member], expected, "{member}");
    }
    let tags = house.ok("ListResourceTags", &[("KeyId", "key-full")]);
    let tag = |key: &str, value: &str| json!({"KeyId": "key-full", "TagKey": key, "TagValue": value});
    assert_eq!(tags["Tags"]["Tag"], json!([tag("empty", ""), tag("team", "orders")]));
    assert_eq!(text(&house.ok("GetKeyPolicy", &[("KeyId", "key-full")]), "/Policy"), POLICY);

    let signs = house.ok("DescribeKey", &[("KeyId", "key-signs")])["KeyMetadata"].clone();
    assert_eq!((&signs["KeyUsage"], &signs["ProtectionLevel"]), (&json!("SIGN/VERIFY"), &json!("HSM")));
    house.ok("GenerateMac", &[("KeyId", "key-mac"), ("Algorithm", "HMAC_SM3"), ("Message", "aGk=")]);

    let blob = house.ok("GetSecretValue", &[("SecretName", "blob"), ("FetchExtendedConfig", "true")]);
    assert_eq!((&blob["SecretData"], &blob["SecretDataType"]), (&json!("aGk="), &json!("binary")));
    let described = house.ok("DescribeSecret", &[("SecretName", "blob"), ("FetchTags", "true")]);
    assert_eq!(described["Tags"]["Tag"], json!([{"TagKey": "team", "TagValue": "orders"}]));
}

#[test]
fn the_policy_of_the_seed_is_in_force_and_one_that_is_there_stays() {
    let house = House::seeded(&seed());
    let denied = house.permit_or_reason(ALICE, "ScheduleKeyDeletion", &[("KeyId", "key-full")]);
    assert_eq!(denied.unwrap_err(), "explicit_deny");
    let other = POLICY.replace("ScheduleKeyDeletion", "DisableKey");
    house.ok("SetKeyPolicy", &[("KeyId", "key-full"), ("Policy", &other)]);
    house.ok("UpdateKeyDescription", &[("KeyId", "key-full"), ("Description", "changed")]);
    let house = house.reopened();
    assert_eq!(text(&house.ok("GetKeyPolicy", &[("KeyId", "key-full")]), "/Policy"), other);
    assert_eq!(text(&house.ok("DescribeKey", &[("KeyId", "key-full")]), "/KeyMetadata/Description"), "changed");
}

#[test]
fn what_was_deleted_stays_away_and_its_policy_does_not_fall_to_another() {
    let house = House::seeded(&format!("{}instance = '{INSTANCE}'\npolicy = '{POLICY}'\n", seed()));
    let blob = [("SecretName", "blob")];
    let policy = || house.folder.path().join("policies/secrets/blob.json");
    assert!(policy().exists());
    house.ok("DeleteSecret", &[blob[0], ("ForceDeleteWithoutRecovery", "true")]);
    assert!(!policy().exists() && house.store.policy_text(Kind::Secret, ALICE, "blob").is_none());
    let house = house.reopened();
    assert_eq!(house.ok("ListSecrets", &[])["TotalCount"], 0);
    let again = [blob[0], ("VersionId", "v1"), ("SecretData", "d"), ("DKMSInstanceId", INSTANCE)];
    house.ok("CreateSecret", &again);
    assert!(text(&house.ok("GetSecretPolicy", &blob), "/Policy").contains("kms default secret policy"));
}

#[test]
fn a_key_goes_with_its_alias_and_policy_and_is_not_planted_again() {
    let seed = format!("[keys.key-1]\ninstance = '{INSTANCE}'\naliases = ['alias/one']\npolicy = '{POLICY}'\n");
    let seed = seed.replace("ScheduleKeyDeletion", "DisableKey");
    let house = House::seeded(&seed);
    house.ok("ScheduleKeyDeletion", &[("KeyId", "key-1"), ("PendingWindowInDays", "7")]);
    house.days_later(7, "ListKeys", &[]).unwrap();
    assert!(house.store.policy_text(Kind::Key, ALICE, "key-1").is_none());
    let house = house.reopened();
    assert_eq!(house.ok("ListKeys", &[])["TotalCount"], 0);
    assert_eq!(house.ok("ListAliases", &[])["TotalCount"], 0);
}

/// Ids that are counted step over those that a seed has.
#[test]
fn counted_ids_never_take_the_place_of_a_seeded_key() {
    let seeded = |n: usize| format!("[keys.key-{n:020}]\ndescription = 'seeded'\n");
    let folder = furnish(&(1..9).map(seeded).collect::<String>());
    let store = Arc::new(Store::of_folder(folder.path(), REGION, ALICE).unwrap());
    let kms = LocalKms::ephemeral(&settings(folder.path()), store.clone(), Some(at(0)), at(0)).unwrap();
    let house = House { kms, store, folder };
    let ids: Vec<String> = (0..3).map(|_| house.key()).collect();
    for n in 1..9 {
        let id = format!("key-{n:020}");
        assert!(!ids.contains(&id));
        assert_eq!(house.ok("DescribeKey", &[("KeyId", &id)])["KeyMetadata"]["Description"], "seeded");
    }
    assert_eq!(house.kms.key_count(), 11);
}
