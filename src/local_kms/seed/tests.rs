//! Seeds that are right, and every mistake in others.

use super::*;
use crate::kms::AliasName;

fn problems(text: &str) -> Vec<String> {
    let found = Seed::parse(text, &Account::default()).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_seed_that_comes_along_is_right() {
    let seed = Seed::parse(include_str!("../../../config/seed.toml"), &Account::default()).ok().unwrap();
    let aliases: Vec<&str> = seed.keys.iter().flat_map(|key| &key.aliases).map(AliasName::as_str).collect();
    assert_eq!(aliases, ["alias/orders", "alias/payroll"]);
    assert_eq!(seed.secrets[0].about.instance.as_deref(), Some("kst-example01"));
}

#[test]
fn a_secret_is_in_the_instance_of_its_key() {
    let text = "[keys.k1]\ninstance = 'kst-1'\n[secrets.s]\nkey = 'k1'\nversion = '1'\ndata = 'x'";
    let seed = Seed::parse(text, &Account::default()).ok().unwrap();
    assert_eq!(seed.secrets[0].about.instance.as_deref(), Some("kst-1"));
}

#[test]
fn every_mistake_is_reported_at_its_place() {
    let text = "\
[keys.k_1]
[keys.k1]
instance = 'i1'
spec = 'Aliyun_AES_128'
aliases = ['orders', 'alias/acs/x', 'alias/a']
[keys.k2]
spec = 'RSA_1024'
aliases = ['alias/a']
owner = 'me'
[secrets.'a b']
version = ''
[secrets.s1]
key = 'k22'
version = '1'
data = 'x'
instance = 'kst-1'
[secrets.s2]
key = 'k2'
instance = 'kst-1'
version = '1'
data = 'x'
";
    let expected = [
        "1:7: key id `k_1` may have 1 to 128 characters from A-Z a-z 0-9 -",
        "3:12: `keys.k1.instance` must be kst- and letters, digits and -",
        "4:8: `keys.k1.spec` cannot be: keys of the spec Aliyun_AES_128 are in a KMS instance only",
        "5:12: `orders` is no alias; an alias is alias/ and letters, digits, : / _ -, and does not start with alias/acs",
        "5:22: `alias/acs/x` is no alias; an alias is alias/ and letters, digits, : / _ -, and does not start with alias/acs",
        "7:8: `keys.k2.spec` cannot be: there is no such key spec; there are Aliyun_AES_256, Aliyun_AES_192, Aliyun_AES_128, Aliyun_SM4, RSA_2048, RSA_3072, RSA_4096, EC_P256, EC_P256K, EC_SM2, HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512 and HMAC_SM3",
        "8:12: `alias/a` is an alias of `k1` already",
        "9:1: unknown entry `keys.k2.owner`; known here: instance, tags, policy, description, spec, usage, protection, rotation, enabled, deletion_protection, aliases",
        "10:10: `secrets.a b.data` is missing: what is secret",
        "10:10: secret name `a b` may have 1 to 192 characters from A-Z a-z 0-9 _ / + = . @ -, and does not start with acs/",
        "11:11: `secrets.a b.version` it has 1 to 64 characters",
        "13:7: `secrets.s1.key` `k22` is no key; did you mean `k2`?",
        "18:7: `secrets.s2.key` is in another instance than the secret",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn keys_that_exist_can_be_named() {
    assert_eq!(problems("[secrets.s]\nkey = 'k1'\nversion = '1'\ndata = 'x'").len(), 1);
}

#[test]
fn what_the_seed_says_beyond_names_is_checked_too() {
    let text = "\
[keys.k1]
spec = 'EC_P256'
usage = 'ENCRYPT/DECRYPT'
rotation = '30d'
protection = 'STEEL'
policy = '{}'
[keys.k2]
rotation = '3d'
instance = 'kst-1'
policy = '{}'
enabled = 'yes'
tags = { 'acs:x' = '1', ok = '2' }
[secrets.s1]
key = 'k1'
version = '1'
data = '?'
data_type = 'binary'
[secrets.s2]
version = '1'
data = 'x'
data_type = 'words'
";
    let expected = [
        "3:9: `keys.k1.usage` cannot be: keys of this spec are for SIGN/VERIFY",
        "4:12: `keys.k1.rotation` cannot be: only symmetric keys rotate",
        "5:14: `keys.k1.protection` must be SOFTWARE or HSM",
        "6:10: `keys.k1.policy` cannot be: only what is in a KMS instance has a policy; give it an `instance`",
        "6:10: `keys.k1.policy` has a mistake: 1:1: `Statement` is missing; it is an array of statements",
        "6:10: `keys.k1.policy` has a mistake: 1:1: `Version` is missing; write \"Version\": \"1\"",
        "8:12: `keys.k2.rotation` must be 7d to 365d",
        "10:10: `keys.k2.policy` has a mistake: 1:1: `Statement` is missing; it is an array of statements",
        "10:10: `keys.k2.policy` has a mistake: 1:1: `Version` is missing; write \"Version\": \"1\"",
        "11:11: `keys.k2.enabled` must be true or false",
        "12:20: tag `acs:x`: a key and a value have at most 128 characters from A-Z a-z 0-9 / \\ _ - . + = : @, and a key does not start with aliyun or acs:",
        "14:7: `secrets.s1.key` must be a symmetric key",
        "16:8: `secrets.s1.data` must be Base64, as binary data is",
        "21:13: `secrets.s2.data_type` must be text or binary",
    ];
    assert_eq!(problems(text), expected);
}
