//! What was answered stays, whatever happens to the process, the folder, or other requests at the same time.
#![expect(clippy::disallowed_methods, reason = "these tests do to files and processes what happens to them")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::support::*;

const SEED: &str = include_str!("../../../config/seed.toml");

#[test]
fn everything_is_there_after_a_restart() {
    let house = House::new();
    let key = house.key();
    let sealed = house.encrypted(&key, "aGk=");
    house.ok("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)]);
    for (name, more) in [("own", &[("EncryptionKeyId", "alias/a")][..]), ("default", &[])] {
        let given = [("SecretName", name), ("VersionId", "1"), ("SecretData", name)];
        house.ok("CreateSecret", &[&given, more].concat());
    }
    let before = house.ok("DescribeKey", &[("KeyId", "alias/a")]);
    let house = house.reopened();
    assert_eq!(house.ok("DescribeKey", &[("KeyId", "alias/a")]), before);
    assert_eq!(text(&house.ok("Decrypt", &[("CiphertextBlob", &sealed)]), "/Plaintext"), "aGk=");
    for name in ["own", "default"] {
        assert_eq!(text(&house.ok("GetSecretValue", &[("SecretName", name)]), "/SecretData"), name);
    }
    house.ok("DisableKey", &[("KeyId", &key)]);
    let house = house.reopened();
    assert_eq!(text(&house.ok("DescribeKey", &[("KeyId", &key)]), "/KeyMetadata/KeyState"), "Disabled");
}

#[test]
fn a_seed_adds_only_what_is_missing() {
    let house = House::seeded(SEED);
    assert_eq!((house.kms.key_count(), house.kms.secret_count()), (2, 2));
    let sealed = house.encrypted("alias/orders", "aGk=");
    house.ok("DisableKey", &[("KeyId", "key-examplepayroll01")]);
    house.ok("PutSecretValue", &[("SecretName", "orders/db-password"), ("VersionId", "v2"), ("SecretData", "new")]);
    let more = "[keys.key-more]\naliases = ['alias/more']\n[secrets.more]\nkey = 'key-examplepayroll01'\nversion = '1'\ndata = 'x'";
    write(house.folder.path(), "seed.toml", &format!("{SEED}\n{more}"));
    let house = house.reopened();
    assert_eq!((house.kms.key_count(), house.kms.secret_count()), (3, 3));
    house.ok("Decrypt", &[("CiphertextBlob", &sealed)]);
    house.ok("DescribeKey", &[("KeyId", "alias/more")]);
    let state = house.ok("DescribeKey", &[("KeyId", "key-examplepayroll01")]);
    assert_eq!(text(&state, "/KeyMetadata/KeyState"), "Disabled");
    let value = house.ok("GetSecretValue", &[("SecretName", "orders/db-password")]);
    assert_eq!(text(&value, "/SecretData"), "new");
}

#[test]
fn a_seed_with_mistakes_is_not_planted_at_all() {
    let folder = furnish("[keys.k1]\n[secrets.s]\nkey = 'k2'\nversion = '1'\ndata = 'x'\n[secrets.'?']\n");
    let told = open(folder.path()).err().unwrap().to_string().replace(&folder.path().display().to_string(), "FOLDER");
    let expected = "the seed of the embedded KMS cannot be used:
  FOLDER/seed.toml:3:7: `secrets.s.key` `k2` is no key; known here: k1
  FOLDER/seed.toml:6:10: `secrets.?.data` is missing: what is secret
  FOLDER/seed.toml:6:10: `secrets.?.version` is missing: the id of its first version
  FOLDER/seed.toml:6:10: secret name `?` may have 1 to 192 characters from A-Z a-z 0-9 _ / + = . @ -, and does not start with acs/";
    assert_eq!(told, expected);
    write(folder.path(), "seed.toml", "");
    assert_eq!(open(folder.path()).ok().unwrap().0.key_count(), 0);
    std::fs::remove_file(folder.path().join("seed.toml")).unwrap();
    assert!(open(folder.path()).err().unwrap().to_string().contains("seed.toml: is not there"));
}

#[test]
fn two_cannot_open_the_same_folder() {
    let house = House::new();
    let told = open(house.folder.path()).err().unwrap().to_string();
    assert!(told.ends_with("is in use by another process; stop that one, or choose another data folder"), "{told}");
}

#[test]
fn a_write_that_cannot_be_kept_changes_nothing() {
    let house = House::new();
    let key = house.key();
    let (data, elsewhere) = (house.folder.path().join("data"), house.folder.path().join("elsewhere"));
    std::fs::rename(&data, &elsewhere).unwrap();
    let told = "500 InternalFailure: Internal Failure.";
    check_refusals(
        &house,
        &[
            ("CreateKey", &[], told),
            ("DisableKey", &[("KeyId", &key)], told),
            ("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)], told),
        ],
    );
    // Reading goes on.
    assert_eq!(house.kms.key_count(), 1);
    house.encrypted(&key, "aGk=");
    std::fs::rename(&elsewhere, &data).unwrap();
    house.ok("CreateAlias", &[("AliasName", "alias/a"), ("KeyId", &key)]);
    assert_eq!(house.reopened().kms.key_count(), 1);
}

#[test]
fn readers_and_writers_do_not_disturb_each_other() {
    let house = House::new();
    let key = house.key();
    let sealed = house.encrypted(&key, "aGk=");
    let done = AtomicBool::new(false);
    let created: Vec<String> = std::thread::scope(|scope| {
        let write = |_| (0..5).map(|_| house.key()).collect::<Vec<_>>();
        let writers: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
        let read = || {
            while !done.load(Ordering::Relaxed) {
                house.ok("Decrypt", &[("CiphertextBlob", &sealed)]);
                let listed = house.ok("ListKeys", &[("PageSize", "100")]);
                for entry in listed["Keys"]["Key"].as_array().unwrap() {
                    house.encrypted(&text(entry, "/KeyId"), "aGk=");
                }
            }
        };
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(read)).collect();
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Before anything is said of the writers: readers wait for nothing else.
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        written.into_iter().flat_map(|written| written.unwrap()).collect()
    });
    assert_eq!(created.iter().collect::<HashSet<_>>().len(), 20);
    let house = house.reopened();
    assert_eq!(house.kms.key_count(), 21);
    for key in &created {
        house.encrypted(key, "aGk=");
    }
}

const FOLDER: &str = "KEYWARD_TEST_FOLDER";

/// Not a test of its own: the process that [`what_was_answered_survives_a_kill`] kills.
#[test]
#[ignore = "run by another test"]
fn writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (kms, store) = open(Path::new(&folder)).unwrap();
    loop {
        let permit = permit(&store.current(), ALICE, "CreateKey", &[]);
        let answer = kms.execute(&permit, at(0)).result.unwrap();
        println!("\ncreated {}", text(&answer.into(), "/KeyMetadata/KeyId"));
        std::io::stdout().flush().unwrap();
    }
}

/// Not a test of its own: the process whose disk [`a_full_disk_changes_nothing`] makes full.
#[test]
#[ignore = "run by another test"]
fn writes_until_the_disk_is_full() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (kms, store) = open(Path::new(&folder)).unwrap();
    let create = || kms.execute(&permit(&store.current(), ALICE, "CreateKey", &[]), at(0)).result;
    let failure = (0..100_000).find_map(|_| create().err()).unwrap();
    let count = kms.key_count();
    assert_eq!(failure.code.as_str(), "InternalFailure");
    assert_eq!(create().unwrap_err().code.as_str(), "InternalFailure");
    assert_eq!((kms.key_count(), count > 0), (count, true));
    let process = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--fsize=unlimited", "--pid", &process]).status().unwrap().success());
    create().unwrap();
    println!("\nkeys {}", kms.key_count());
}

/// A limit for the size of files stands for the disk; the signal that would end the process is ignored.
#[test]
fn a_full_disk_changes_nothing() {
    let folder = furnish("");
    drop(open(folder.path()).unwrap());
    let test = "local_kms::tests::durability::writes_until_the_disk_is_full";
    let script = format!("trap '' XFSZ; ulimit -S -f 2000; exec \"$0\" --exact {test} --ignored --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let keys = said.lines().find_map(|line| line.strip_prefix("keys ")).unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(open(folder.path()).unwrap().0.key_count().to_string(), keys);
}

#[test]
fn what_was_answered_survives_a_kill() {
    let folder = furnish("");
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local_kms::tests::durability::writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ids = lines.filter_map(|line| line.strip_prefix("created ").map(str::to_owned));
        let answered: Vec<String> = ids.take(10 * round).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answered.len(), 10 * round);
        let (kms, store) = open(folder.path()).unwrap();
        for id in &answered {
            kms.execute(&permit(&store.current(), ALICE, "DescribeKey", &[("KeyId", id)]), at(0)).result.unwrap();
        }
    }
}

/// What is due and cannot be kept stops nothing but itself, and happens when it can be kept again.
#[test]
fn what_is_due_and_cannot_be_kept_stops_nothing_else() {
    let house = House::new();
    let (due, other) = (house.key(), house.key());
    house.ok("ScheduleKeyDeletion", &[("KeyId", &due), ("PendingWindowInDays", "7")]);
    let database = house.folder.path().join("data/kms.redb");
    let elsewhere = house.folder.path().join("data/elsewhere");
    std::fs::rename(&database, &elsewhere).unwrap();
    let encrypt = [("KeyId", &*other), ("Plaintext", "aGk=")];
    for _ in 0..2 {
        assert!(house.days_later(8, "Encrypt", &encrypt).is_ok());
        assert_eq!(house.days_later(8, "ListKeys", &[]).unwrap()["TotalCount"], 2);
        let describe = [("KeyId", &*due)];
        assert_eq!(house.days_later(8, "DescribeKey", &describe).unwrap_err(), "500 InternalFailure");
    }
    std::fs::rename(&elsewhere, &database).unwrap();
    assert_eq!(house.days_later(9, "ListKeys", &[]).unwrap()["TotalCount"], 1);
}
