//! What is taken out of one KMS and put beside what another one has.

use serde_json::{Value, json};

use super::super::{export, import};
use super::support::*;

const SEED: &str = "[keys.k1]\naliases = ['alias/a']\n[secrets.s]\nkey = 'k1'\nversion = '1'\ndata = 'x'\n";

fn exported(house: House) -> (String, tempfile::TempDir) {
    let House { kms, folder, .. } = house;
    drop(kms);
    let (text, _) = export(&folder.path().join("data"), at(0)).unwrap();
    (text.to_string(), folder)
}

/// A secret whose owner chose no key is sealed by the default key, and that is another one in each data folder.
#[test]
fn merging_adds_what_is_missing_and_only_that() {
    let house = House::seeded(SEED);
    let given = [("SecretName", "default"), ("VersionId", "1"), ("SecretData", "of another")];
    house.ok("CreateSecret", &given);
    let sealed = house.encrypted("alias/a", "aGk=");
    let (document, _folder) = exported(house);
    let there = House::seeded("[keys.k2]\naliases = ['alias/b']\n[secrets.t]\nversion = '1'\ndata = 'own'\n");
    let kept = there.encrypted("alias/b", "aGk=");
    let (_, folder) = exported(there);
    for expected in ["1 key, 1 alias and 2 secrets", "no keys, no aliases and no secrets"] {
        let added = import(&folder.path().join("data"), &document, true, at(0)).unwrap();
        assert_eq!(added.to_string(), expected);
    }
    let house = House::of(folder);
    for (name, data) in [("s", "x"), ("default", "of another"), ("t", "own")] {
        assert_eq!(text(&house.ok("GetSecretValue", &[("SecretName", name)]), "/SecretData"), data);
    }
    for ciphertext in [&sealed, &kept] {
        assert_eq!(text(&house.ok("Decrypt", &[("CiphertextBlob", ciphertext)]), "/Plaintext"), "aGk=");
    }
}

/// Two data folders that were seeded alike have other material, and so everything that was sealed differs.
#[test]
fn what_differs_is_named_and_changes_nothing() {
    let (document, _folder) = exported(House::seeded(SEED));
    let (before, folder) = exported(House::seeded(&SEED.replace("alias/a", "alias/b")));
    let data = folder.path().join("data");
    let refused = import(&data, &document, true, at(0)).unwrap_err().to_string();
    assert_eq!(refused, "nothing was imported, because this is there already and differs:\n  key k1 of account 1");
    assert_eq!(*export(&data, at(0)).unwrap().0, before);
    let renamed = before.replace("\"1:k1\"", "\"1:k3\"").replace("\"k1\"", "\"k3\"");
    let refused = import(&data, &renamed, true, at(0)).unwrap_err().to_string();
    let differs = "nothing was imported, because this is there already and differs:\n  key k3 of account 1\n  ";
    assert_eq!(refused, format!("{differs}alias/b of account 1\n  secret s of account 1"));
}

/// What is changed in a document that is written by hand, and what is wrong then.
#[test]
fn documents_that_say_nothing_are_refused() {
    let (document, _folder) = exported(House::seeded(SEED));
    for (old, new, expected) in [
        ("\"1:k1\"", "\"k1\"", "has a key `k1` that is not named ACCOUNT:ID"),
        ("\"1:k1\"", "\"a:k1\"", "has a key `a:k1` that is not named ACCOUNT:ID"),
        ("\"1:alias/a\"", "\"1:a\"", "has an alias `1:a` that is not named ACCOUNT:alias/NAME, or is for no key id"),
        ("\"1:s\"", "\"1:?\"", "has a secret `1:?` that is not named ACCOUNT:NAME"),
        ("\"keys\"", "\"kyes\"", "is no export, see line "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(document.contains(old), "{old}");
        let refused = import(&data, &document.replace(old, new), false, at(0)).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("the document {expected}")), "{refused}");
        assert!(!data.exists());
    }
}

/// What is done to a document, and why it is not taken then.
#[test]
fn a_document_that_could_not_have_been_exported_is_not_taken() {
    let house = House::seeded(SEED);
    let (document, folder) = exported(house);
    let key = |member: &'static str| format!("/keys/1:k1{member}");
    let rotation = |interval: u64| json!({"interval": interval, "next": "2026-03-01T00:00:00Z"});
    for (place, value, expected) in [
        (key("/usage"), json!("SIGN/VERIFY"), "a key `1:k1` that is for something else than keys of its spec"),
        (key("/spec"), json!("Aliyun_SM4"), "a key `1:k1` with material of another spec"),
        (key("/state"), json!("PendingDeletion"), "a key `1:k1` whose state and date of deletion do not go together"),
        (key("/rotation"), rotation(0), "a key `1:k1` that rotates too often"),
        (
            key("/primary/id"),
            json!("!".repeat(36)),
            "a key `1:k1` with a version whose id is not its own, or is no UUID",
        ),
        ("/aliases/1:alias~1a".to_owned(), json!("k2"), "an alias `1:alias/a` for a key that it does not have"),
        ("/secrets/1:s/versions".to_owned(), json!([]), "a secret `1:s` without versions"),
        ("/secrets/1:s/key".to_owned(), json!(null), "a secret `1:s` that was not encrypted by its key"),
    ] {
        let mut changed: Value = serde_json::from_str(&document).unwrap();
        let (parent, member) = place.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[member.replace("~1", "/")] = value;
        let told = import(&folder.path().join("elsewhere"), &changed.to_string(), false, at(0)).unwrap_err();
        assert_eq!(told.to_string(), format!("the document has {expected}"), "{place}");
    }
    import(&folder.path().join("elsewhere"), &document, false, at(0)).unwrap();
}
