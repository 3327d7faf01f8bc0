//! Policies that are set and removed by requests: on the disk, or in memory only.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the files that the store writes, and tell a process what to do"
)]

use super::*;
use crate::store::layout::FileKey;
use crate::store::write::Step;

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
        let before = store.current().version.generation;
        store.set_policy(kind, account, name, &text, &|_| true, now()).unwrap();
        assert_eq!(fs::read_to_string(house.folder.path().join(file)).unwrap(), text);
        assert_eq!(store.policy_text(kind, account, name).as_deref(), Some(text.as_str()));
        assert_eq!(store.current().version.generation, before + 1);
    }
}

#[test]
fn a_policy_that_cannot_be_stored_changes_nothing() {
    let house = House::new();
    let store = house.open();
    let before = fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap();
    assert!(matches!(
        store.set_policy(Kind::Key, "1", "key-1", "{}", &|_| true, now()),
        Err(SetPolicyError::Invalid(_))
    ));
    // A file stands where a folder is needed.
    house.write("p/accounts/3/keys", "");
    assert!(matches!(
        store.set_policy(Kind::Key, "3", "key-1", &key("kms:*"), &|_| true, now()),
        Err(SetPolicyError::Io(_))
    ));
    assert_eq!(fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap(), before);
    assert_eq!(store.current().version.generation, 1);
}

#[test]
fn a_policy_that_is_removed_is_gone_from_disk_and_from_force() {
    let house = House::new();
    let store = house.open();
    let before = store.status().generation;
    store.remove_policy(Kind::Key, "1", "key-1", now()).unwrap();
    assert!(!house.folder.path().join("p/keys/key-1.json").exists());
    assert_eq!((store.policy_text(Kind::Key, "1", "key-1"), store.status().counts.key_policies), (None, 0));
    assert_eq!(store.status().generation, before + 1);
    // What was never there changes nothing.
    store.remove_policy(Kind::Secret, "1", "db", now()).unwrap();
    assert_eq!(store.status().generation, before + 1);
    assert!(!store.look(now()).changed);
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
    store.set_policy(Kind::Key, "1", "key-1", &set, &|_| true, now()).unwrap();
    store.set_policy(Kind::Key, "1", "key-2", &set, &|_| true, now()).unwrap();
    assert!(matches!(
        store.set_policy(Kind::Key, "1", "key-2", "{}", &|_| true, now()),
        Err(SetPolicyError::Invalid(_))
    ));
    for _ in 0..2 {
        assert_eq!(text_of(&store, Kind::Key, "key-1").as_ref(), Some(&set));
        assert_eq!(text_of(&store, Kind::Key, "key-2").as_ref(), Some(&set));
        assert!(!house.folder.path().join("p/keys/key-2.json").exists());
        assert_eq!(fs::read_to_string(house.folder.path().join("p/keys/key-1.json")).unwrap(), key("kms:Encrypt"));
        // Looking at the files again takes none of it back.
        let reload = store.look(now());
        assert!(!reload.changed && store.status().problems.is_empty(), "{:?}", store.status().problems);
    }
    store.remove_policy(Kind::Key, "1", "key-1", now()).unwrap();
    store.look(now());
    assert_eq!(text_of(&store, Kind::Key, "key-1"), None);
    house.write("p/keys/key-1.json", &key("kms:DescribeKey"));
    assert!(store.look(now()).changed);
    assert_eq!(text_of(&store, Kind::Key, "key-1"), Some(key("kms:DescribeKey")));
}

/// F22: whoever saved first keeps what he saved, a mistake too, and the other one is told.
#[test]
fn an_edit_that_is_not_in_force_yet_is_not_overwritten() {
    type Edit = fn(&House);
    let edits: [(&str, Edit); 4] = [
        ("another policy", |house| house.write("p/keys/key-1.json", &key("kms:Decrypt"))),
        ("a mistake", |house| house.write("p/keys/key-1.json", "{")),
        ("a removal", |house| house.remove("p/keys/key-1.json")),
        ("a new file", |house| house.write("p/keys/key-2.json", &key("kms:Decrypt"))),
    ];
    for (name, edit) in edits {
        let house = House::new();
        let store = house.open();
        edit(&house);
        let file = if name == "a new file" { "key-2" } else { "key-1" };
        let path = house.folder.path().join(format!("p/keys/{file}.json"));
        let before = fs::read_to_string(&path).ok();
        let set = |store: &Store| store.set_policy(Kind::Key, "1", file, &key("kms:*"), &|_| true, now());
        assert!(matches!(set(&store), Err(SetPolicyError::Conflict { .. })), "{name}");
        assert_eq!(fs::read_to_string(&path).ok(), before, "{name}");
        assert_eq!(store.current().version.generation, 1, "{name}");
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            usize::from(name != "a removal") + usize::from(name == "a new file")
        );
        if name != "a mistake" {
            store.look(now());
            set(&store).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), key("kms:*"), "{name}");
        }
    }
}

#[test]
fn of_two_who_mean_to_replace_one_policy_one_is_told() {
    let house = House::new();
    let store = house.open();
    let read = key("kms:Encrypt");
    let set = |action: &str| {
        store.set_policy(Kind::Key, "1", "key-1", &key(action), &|in_force| in_force == Some(&read), now())
    };
    let change = set("kms:Decrypt").unwrap();
    assert_eq!((change.old, change.new), (Some(hash_of(&read)), Some(hash_of(&key("kms:Decrypt")))));
    assert!(matches!(set("kms:*"), Err(SetPolicyError::Precondition)));
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Decrypt")));
}

/// Whatever fails before a policy is saved: the old file is there, and nothing else.
#[test]
fn a_save_that_fails_before_it_is_done_changes_nothing() {
    for (name, before) in [("key-1", Some(key("kms:Encrypt"))), ("key-2", None)] {
        for fails in [Step::Write, Step::Install, Step::SyncFolder] {
            let house = House::new();
            let store = house.open();
            let step = |step| if step == fails { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) };
            let file = FileKey::new(Kind::Key, "1", name);
            let result = store.change(&file, Some(&key("kms:*")), &|_| true, now(), &step);
            assert!(matches!(result, Err(SetPolicyError::Io(_))), "{name} {fails:?}");
            let path = house.folder.path().join(format!("p/keys/{name}.json"));
            assert_eq!(fs::read_to_string(path).ok(), before, "{name} {fails:?}");
            assert_eq!(fs::read_dir(house.folder.path().join("p/keys")).unwrap().count(), 1, "{name} {fails:?}");
            assert!(!store.look(now()).changed && store.status().problems.is_empty(), "{name} {fails:?}");
        }
    }
}

/// A folder that vanished keeps its policies in force; nothing that is set may make it seem empty.
#[test]
fn a_folder_that_vanished_is_not_made_anew() {
    for gone in ["p/keys", "p"] {
        let house = House::new();
        let store = house.open();
        fs::rename(house.folder.path().join(gone), house.folder.path().join("elsewhere")).unwrap();
        let set = store.set_policy(Kind::Key, "1", "key-2", &key("kms:*"), &|_| true, now());
        assert!(matches!(set, Err(SetPolicyError::Conflict { .. })), "{gone}");
        assert!(!house.folder.path().join(gone).exists());
        store.look(now());
        assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (1, 1), "{gone}");
    }
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_is_being_written_is_not() {
    let house = House::new();
    let store = house.open();
    house.write("p/keys/.keyward-dead.tmp", "{");
    house.write("p/keys/.keyward-alive.tmp", "{");
    house.write("p/keys/.other.tmp", "{");
    let alive = fs::File::open(house.folder.path().join("p/keys/.keyward-alive.tmp")).unwrap();
    alive.lock().unwrap();
    store.sweep();
    let mut names: Vec<_> =
        fs::read_dir(house.folder.path().join("p/keys")).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".keyward-alive.tmp", ".other.tmp", "key-1.json"]);
}

/// A link is somebody's way to deploy: what it leads to is changed there.
#[test]
fn a_policy_behind_a_link_is_read_only() {
    let house = House::new();
    house.write("p/..v1/key-3.json", &key("kms:*"));
    std::os::unix::fs::symlink("../..v1/key-3.json", house.folder.path().join("p/keys/key-3.json")).unwrap();
    let store = house.open();
    let set = store.set_policy(Kind::Key, "1", "key-3", &key("kms:Encrypt"), &|_| true, now());
    assert!(matches!(set, Err(SetPolicyError::ReadOnly { .. })));
    assert!(house.folder.path().join("p/keys/key-3.json").is_symlink());
}

/// Where the process that dies finds the folder, and at which step it dies.
const DIES_IN: &str = "KEYWARD_TEST_DIES_IN";

/// Not a test of its own: the process that [`whoever_dies_while_he_saves_leaves_a_whole_file`] watches die.
#[test]
#[ignore = "run by another test"]
fn dies_while_it_saves() {
    let Ok(told) = std::env::var(DIES_IN) else { return };
    let [folder, fails, name]: [&str; 3] = told.split('|').collect::<Vec<_>>().try_into().unwrap();
    let text = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";
    let settings = Settings::parse(text, std::path::Path::new(folder)).unwrap();
    let store = Store::open(&settings, now()).unwrap();
    let step = |step: Step| {
        if format!("{step:?}") == fails {
            let process = std::process::id().to_string();
            let _ = std::process::Command::new("kill").args(["-9", &process]).status();
            std::thread::park();
        }
        Ok(())
    };
    let file = FileKey::new(Kind::Key, "1", name);
    store.change(&file, Some(&key("kms:*")), &|_| true, now(), &step).unwrap();
}

/// F21: killed at each step of a save, of a policy that was there and of a new one.
#[test]
fn whoever_dies_while_he_saves_leaves_a_whole_file() {
    for (name, before) in [("key-1", Some(key("kms:Encrypt"))), ("key-2", None)] {
        for (fails, is_done) in
            [("Write", false), ("Install", false), ("SyncFolder", true), ("Remove", true), ("", true)]
        {
            let house = House::new();
            let test = "store::tests::setting::dies_while_it_saves";
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--ignored"])
                .env(DIES_IN, format!("{}|{fails}|{name}", house.folder.path().display()))
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            // A new file replaces nothing that would have to be removed.
            let dies = !fails.is_empty() && (name, fails) != ("key-2", "Remove");
            assert_eq!(status.success(), !dies, "{name} {fails}");
            let text = fs::read_to_string(house.folder.path().join(format!("p/keys/{name}.json"))).ok();
            let expected = if is_done { Some(key("kms:*")) } else { before.clone() };
            assert_eq!(text, expected, "{name} {fails}");
            let store = house.open();
            store.sweep();
            let names = fs::read_dir(house.folder.path().join("p/keys")).unwrap().map(|it| it.unwrap().file_name());
            let left: Vec<_> = names.filter(|name| !name.to_str().unwrap().ends_with(".json")).collect();
            assert!(left.is_empty(), "{name} {fails}: {left:?}");
        }
    }
}

/// Somebody who saves into the file that was just set is seen.
#[test]
fn an_edit_right_after_a_policy_was_set_is_found() {
    for in_memory in [false, true] {
        let house = House::new();
        let mut store = house.open();
        if in_memory {
            store.keep_in_memory();
        }
        let path = house.folder.path().join("p/keys/key-1.json");
        // In the middle of setting it: after the new file is in its place.
        let step = |step: Step| {
            if step == Step::Remove {
                fs::write(&path, key("kms:DescribeKey")).unwrap();
            }
            Ok(())
        };
        let file = FileKey::new(Kind::Key, "1", "key-1");
        if in_memory {
            fs::write(&path, key("kms:DescribeKey")).unwrap();
        }
        store.change(&file, Some(&key("kms:*")), &|_| true, now(), &step).unwrap();
        assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:*")));
        assert!(store.look(now()).changed, "{in_memory}");
        assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:DescribeKey")));
    }
}

/// Of two who save while a change is being undone, the later one wins.
#[test]
fn undoing_a_change_loses_no_newer_edit() {
    let house = House::new();
    let store = house.open();
    let path = house.folder.path().join("p/keys/key-1.json");
    let save = |name: &str, action: &str| {
        house.write(name, &key(action));
        fs::rename(house.folder.path().join(name), &path).unwrap();
    };
    let step = |step: Step| match step {
        // After the exchange: it cannot be kept, and somebody has saved over it already.
        Step::SyncFolder => {
            save("newer", "kms:DescribeKey");
            Err(std::io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    };
    let file = FileKey::new(Kind::Key, "1", "key-1");
    assert!(store.change(&file, Some(&key("kms:*")), &|_| true, now(), &step).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), key("kms:DescribeKey"));
    assert_eq!(fs::read_dir(house.folder.path().join("p/keys")).unwrap().count(), 1);
}

/// A pipe in the place of a policy, or something without end, holds nobody up.
#[test]
fn what_is_no_file_is_not_waited_for() {
    let house = House::new();
    let store = house.open();
    let path = house.folder.path().join("p/keys/key-1.json");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let set = || store.set_policy(Kind::Key, "1", "key-1", &key("kms:*"), &|_| true, now());
    assert!(matches!(set(), Err(SetPolicyError::Conflict { .. })));
    let hidden = house.folder.path().join("p/keys/.keyward-pipe.tmp");
    rustix::fs::mknodat(rustix::fs::CWD, &hidden, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    store.sweep();
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(8 << 30).unwrap();
    assert!(matches!(set(), Err(SetPolicyError::Conflict { .. })));
}
