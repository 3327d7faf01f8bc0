//! Policies that are set and removed by requests: on the disk, or in memory only.

#![expect(clippy::disallowed_methods, reason = "tests look at the files that the store writes")]

use super::*;

#[test]
fn a_policy_that_is_set_is_on_disk_and_in_force() {
    let house = House::new();
    let store = house.open();
    for (kind, account, name, file) in [
        (Kind::Key, "1", "key-1", "p/keys/key-1.json"),
        (Kind::Secret, "1", "app/db", "p/secrets/app%2Fdb.json"),
        (Kind::Key, "2", "key-9", "p/accounts/2/keys/key-9.json"),
    ] {
        let text = key("kms:DescribeKey");
        let before = store.current().generation;
        store.set_policy(kind, account, name, &text, now()).unwrap();
        assert_eq!(fs::read_to_string(house.folder.path().join(file)).unwrap(), text);
        assert_eq!(store.policy_text(kind, account, name).as_deref(), Some(text.as_str()));
        assert_eq!(store.current().generation, before + 1);
    }
}

#[test]
fn a_policy_that_cannot_be_stored_changes_nothing() {
    let house = House::new();
    let store = house.open();
    let before = fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap();
    assert!(matches!(store.set_policy(Kind::Key, "1", "key-1", "{}", now()), Err(SetPolicyError::Invalid(_))));
    // A file stands where a folder is needed.
    house.write("p/accounts/3/keys", "");
    assert!(matches!(store.set_policy(Kind::Key, "3", "key-1", &key("kms:*"), now()), Err(SetPolicyError::Io(_))));
    assert_eq!(fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap(), before);
    assert_eq!(store.current().generation, 1);
}

#[test]
fn a_policy_that_is_removed_is_gone_from_disk_and_from_force() {
    let house = House::new();
    let store = house.open();
    let before = store.status().generation;
    store.remove_policy(Kind::Key, "1", "key-1", now()).unwrap();
    assert!(!house.folder.path().join("p/keys/key-1.json").exists());
    assert_eq!((store.policy_text(Kind::Key, "1", "key-1"), store.status().key_policies), (None, 0));
    assert_eq!(store.status().generation, before + 1);
    // What was never there changes nothing.
    store.remove_policy(Kind::Secret, "1", "db", now()).unwrap();
    assert_eq!(store.status().generation, before + 1);
    assert!(!store.reload(now()).changed);
}

/// A folder in the place of the file cannot be removed, whoever asks.
#[test]
fn a_policy_that_cannot_be_removed_stays_in_force() {
    let house = House::new();
    let store = house.open();
    house.remove("p/keys/key-1.json");
    fs::create_dir(house.folder.path().join("p/keys/key-1.json")).unwrap();
    assert!(store.remove_policy(Kind::Key, "1", "key-1", now()).is_err());
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(key("kms:Encrypt").as_str()));
}

#[test]
fn in_memory_nothing_is_written_and_a_newer_file_wins() {
    let house = House::new();
    let mut store = house.open();
    store.keep_in_memory();
    let text_of = |store: &Store, kind, name| store.policy_text(kind, "1", name).map(|text| text.to_string());
    let set = key("kms:Decrypt");
    store.set_policy(Kind::Key, "1", "key-1", &set, now()).unwrap();
    store.set_policy(Kind::Key, "1", "key-2", &set, now()).unwrap();
    assert!(matches!(store.set_policy(Kind::Key, "1", "key-2", "{}", now()), Err(SetPolicyError::Invalid(_))));
    for _ in 0..2 {
        assert_eq!(text_of(&store, Kind::Key, "key-1").as_ref(), Some(&set));
        assert_eq!(text_of(&store, Kind::Key, "key-2").as_ref(), Some(&set));
        assert!(!house.folder.path().join("p/keys/key-2.json").exists());
        assert_eq!(fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap(), key("kms:Encrypt"));
        // Looking at the files again takes none of it back.
        let reload = store.reload(now());
        assert!(!reload.changed && store.status().problems.is_empty(), "{:?}", store.status().problems);
    }
    store.remove_policy(Kind::Key, "1", "key-1", now()).unwrap();
    store.reload(now());
    assert_eq!(text_of(&store, Kind::Key, "key-1"), None);
    house.write("p/keys/key-1.json", &key("kms:DescribeKey"));
    assert!(store.reload(now()).changed);
    assert_eq!(text_of(&store, Kind::Key, "key-1"), Some(key("kms:DescribeKey")));
}
