//! What a request needs: which actions, on which resources, by whatever name it calls them.

use super::super::needs::permissions;
use super::*;

/// With an STS token, KMS authorizes GetSecretValue on the secret alone.
#[test]
fn sessions_read_secrets_without_decrypt() {
    let house = House::new();
    let target = signed("alice", "GetSecretValue", &[("SecretName", "db")]);
    let headers = HeaderMap::new();
    let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: Origin::unknown() };
    let request = KmsRequest::parse(&raw).unwrap();
    let actions = |identity| {
        let caller = Principal { account: "1".into(), identity };
        let needed = permissions(&house.0, &request, &caller).unwrap().permissions;
        needed.into_iter().map(|permission| permission.action).collect::<Vec<_>>()
    };
    let session = Identity::Session { role: "app".into(), session: "s1".into() };
    assert_eq!(actions(session), ["kms:GetSecretValue"]);
    assert_eq!(actions(Identity::User("alice".into())), ["kms:GetSecretValue", "kms:Decrypt"]);
}

#[test]
fn a_key_is_the_same_by_id_alias_and_arn() {
    let one = House::new().ram("alice", &[allow("Encrypt", "key/k1")]);
    let other = House::new().ram("alice", &[allow("Encrypt", "key/k2"), allow("Encrypt", "alias/*")]);
    for name in ["k1", "alias/orders", "acs:kms:cn-hangzhou:1:key/k1", "acs:kms:cn-hangzhou:1:alias/orders"] {
        let params = [("KeyId", name), HELLO];
        assert_eq!(one.needed("alice", "Encrypt", &params), ["Encrypt key/k1"], "{name}");
        assert_eq!(one.answer("alice", "Encrypt", &params), "allow", "{name}");
        assert_eq!(other.answer("alice", "Encrypt", &params), "implicit_deny", "{name}");
        let permit = one.judge("alice", "Encrypt", &params).verdict.unwrap();
        let address = Owned { region: "cn-hangzhou".to_owned(), account: "1".to_owned(), name: key_id("k1") };
        assert_eq!(permit.targets(), [Target::Key(address)], "{name}");
        assert_eq!(
            (permit.request().call.name(), permit.caller().to_string().as_str()),
            ("Encrypt", "acs:ram::1:user/alice")
        );
    }
}

#[test]
fn an_alias_that_points_nowhere_is_judged_by_its_own_name() {
    let params = [("KeyId", "alias/nothing"), HELLO];
    for (resource, answer) in [("key/*", "implicit_deny"), ("alias/nothing", "allow"), ("*", "allow")] {
        let house = House::new().ram("alice", &[allow("Encrypt", resource)]);
        assert_eq!(house.answer("alice", "Encrypt", &params), answer, "{resource}");
    }
}

#[test]
fn a_bare_name_means_the_callers_own_account() {
    let house = House::new().key("k1", &[grant("Allow", "2:user/carol", "Encrypt")]);
    for (name, needed) in [
        ("k1", "Encrypt acs:kms:cn-hangzhou:2:key/k1"),
        ("alias/orders", "Encrypt acs:kms:cn-hangzhou:2:alias/orders"),
        ("acs:kms:cn-hangzhou:1:key/k1", "Encrypt key/k1"),
    ] {
        assert_eq!(house.needed("carol", "Encrypt", &[("KeyId", name)]), [needed]);
    }
    assert_eq!(house.answer("carol", "Encrypt", &[("KeyId", "k1")]), "implicit_deny");
}

#[test]
fn decrypt_is_judged_on_the_key_that_made_the_ciphertext() {
    let on_k1 = House::new().ram("alice", &[allow("Decrypt", "key/k1")]);
    let on_keys = House::new().ram("alice", &[allow("Decrypt", "key/*")]);
    let on_all = House::new().ram("alice", &[allow("Decrypt", "*")]);
    for (blob, needed, answers) in [
        (ciphertext(VERSION_OF_K1), "Decrypt key/k1", ["allow", "allow", "allow"]),
        (ciphertext(VERSION_OF_K2), "Decrypt key/k2", ["implicit_deny", "allow", "allow"]),
        (ciphertext(VERSION_OF_NOBODY), "Decrypt *", ["implicit_deny", "implicit_deny", "allow"]),
        ("no Base64!".to_owned(), "Decrypt *", ["implicit_deny", "implicit_deny", "allow"]),
    ] {
        // A key that the caller names beside the ciphertext changes nothing.
        let params = [("CiphertextBlob", blob.as_str()), ("KeyId", "k1")];
        assert_eq!(on_k1.needed("alice", "Decrypt", &params), [needed]);
        let houses = [&on_k1, &on_keys, &on_all];
        assert_eq!(houses.map(|house| house.answer("alice", "Decrypt", &params)), answers, "{needed}");
    }
    assert_eq!(on_all.answer("alice", "Decrypt", &[("KeyId", "k1")]), "MissingParameter");
}

/// Operation, parameters, what is needed.
#[test]
fn every_permission_that_is_needed_must_be_granted() {
    let (of_k1, of_nobody) = (ciphertext(VERSION_OF_K1), ciphertext(VERSION_OF_NOBODY));
    let new_alias = ("AliasName", "alias/new");
    for (operation, params, needed) in [
        ("CreateAlias", vec![new_alias, ("KeyId", "k1")], vec!["CreateAlias alias/new", "CreateAlias key/k1"]),
        ("UpdateAlias", vec![new_alias, ("KeyId", "k2")], vec!["UpdateAlias alias/new", "UpdateAlias key/k2"]),
        ("DeleteAlias", vec![("AliasName", "alias/orders")], vec!["DeleteAlias alias/orders", "DeleteAlias key/k1"]),
        ("DeleteAlias", vec![new_alias], vec!["DeleteAlias alias/new"]),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_k1), ("DestinationKeyId", "k2")],
            vec!["ReEncryptFrom key/k1", "ReEncryptTo key/k2"],
        ),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_nobody), ("SourceKeyId", "k2"), ("DestinationKeyId", "alias/orders")],
            vec!["ReEncryptFrom key/k2", "ReEncryptTo key/k1"],
        ),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_k1), ("SourceKeyId", "k2"), ("DestinationKeyId", "k2")],
            vec!["ReEncryptFrom key/k1", "ReEncryptTo key/k2"],
        ),
        ("TagResource", vec![("KeyId", "k1")], vec!["TagResource key/k1"]),
        ("TagResource", vec![("SecretName", "db")], vec!["TagResource secret/db"]),
        (
            "SetDeletionProtection",
            vec![("ProtectedResourceArn", "acs:kms:cn-hangzhou:1:key/k1")],
            vec!["SetDeletionProtection key/k1"],
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.2", "k2")],
            vec!["TagResources key/k1", "TagResources key/k2"],
        ),
        (
            "TagResources",
            vec![("ResourceType", "secret"), ("ResourceId.1", "db"), ("ResourceId.2", "plain")],
            vec!["TagResources secret/db", "TagResources secret/plain"],
        ),
        ("ListTagResources", vec![("ResourceType", "key")], vec!["ListTagResources key"]),
        ("ListKeys", vec![], vec!["ListKeys key"]),
    ] {
        assert_each_is_necessary(operation, &params, &needed);
    }
}

/// KMS "GetSecretValue", "PutSecretValue", "CreateSecret": the key that the owner chose is used in the caller's name.
#[test]
fn a_secret_needs_its_key_too() {
    for (operation, params, needed) in [
        ("GetSecretValue", vec![("SecretName", "db")], vec!["GetSecretValue secret/db", "Decrypt key/k2"]),
        (
            "GetSecretValue",
            vec![("SecretName", "acs:kms:cn-hangzhou:1:secret/db")],
            vec!["GetSecretValue secret/db", "Decrypt key/k2"],
        ),
        ("GetSecretValue", vec![("SecretName", "plain")], vec!["GetSecretValue secret/plain"]),
        ("PutSecretValue", vec![("SecretName", "db")], vec!["PutSecretValue secret/db", "GenerateDataKey key/k2"]),
        (
            "CreateSecret",
            vec![("SecretName", "new"), ("EncryptionKeyId", "alias/orders")],
            vec!["CreateSecret secret", "GenerateDataKey key/k1"],
        ),
        ("CreateSecret", vec![("SecretName", "new")], vec!["CreateSecret secret"]),
    ] {
        assert_each_is_necessary(operation, &params, &needed);
    }
}

/// Each of the needs is necessary, and all together suffice.
fn assert_each_is_necessary(operation: &str, params: &[(&str, &str)], needed: &[&str]) {
    let grants: Vec<String> =
        needed.iter().map(|need| need.split_once(' ').unwrap()).map(|(a, r)| allow(a, r)).collect();
    let house = House::new().ram("alice", &grants);
    assert_eq!(house.needed("alice", operation, params), needed, "{operation}");
    assert_eq!(house.answer("alice", operation, params), "allow", "{operation} {needed:?}");
    for missing in 0..grants.len() {
        let mut fewer = grants.clone();
        fewer[missing] = allow("Nothing", "*");
        let house = House::new().ram("alice", &fewer);
        let answer = house.answer("alice", operation, params);
        assert_eq!(answer, "implicit_deny", "{operation} without {}", needed[missing]);
    }
}

/// Where a batch or a choice could leave something unjudged, it is refused.
#[test]
fn what_a_request_acts_on_must_be_clear() {
    let house = House::new().ram("alice", &[allow("*", "*")]);
    for (operation, params, answer) in [
        ("Encrypt", vec![], "MissingParameter"),
        ("Encrypt", vec![("KeyId", "")], "MissingParameter"),
        ("Encrypt", vec![("KeyId", "key/*")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-hangzhou:1:secret/db")], "InvalidParameter"),
        ("GetSecretValue", vec![("SecretName", "d?")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-beijing:1:key/k1")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-beijing:1:alias/orders")], "InvalidParameter"),
        ("GetSecretValue", vec![("SecretName", "acs:kms:cn-beijing:1:secret/db")], "InvalidParameter"),
        ("CreateAlias", vec![("AliasName", "orders"), ("KeyId", "k1")], "InvalidParameter"),
        ("TagResource", vec![], "MissingParameter"),
        ("TagResource", vec![("KeyId", "k1"), ("SecretName", "db")], "InvalidParameter"),
        ("TagResources", vec![("ResourceId.1", "k1")], "MissingParameter"),
        ("TagResources", vec![("ResourceType", "KEY"), ("ResourceId.1", "k1")], "InvalidParameter"),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.3", "k2")],
            "InvalidParameter",
        ),
        ("TagResources", vec![("ResourceType", "key"), ("ResourceId.2", "k1")], "InvalidParameter"),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.02", "k2")],
            "InvalidParameter",
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId", "k2")],
            "InvalidParameter",
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.2", "d?")],
            "InvalidParameter",
        ),
    ] {
        assert_eq!(house.answer("alice", operation, &params), answer, "{operation} {params:?}");
    }
}
