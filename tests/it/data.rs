//! The data folder as its owner meets it: exported, imported, or not there at all.

#![expect(clippy::disallowed_methods, reason = "these tests look at the files that a Keyward writes")]

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::sandbox::{House, KIM, ROOT};

const EXPORT: &[&str] = &["data", "export", "out.json"];
const IMPORT: &[&str] = &["data", "import", "out.json"];
const MERGE: &[&str] = &["data", "import", "out.json", "--merge"];

/// Written by the last version that did not encrypt: what the example seed says, a key and a secret more.
pub const FORMAT_1: &[u8] = include_bytes!("../fixtures/data/format-1.redb");

/// The ciphertext of `aGk=` that its `alias/orders` made.
pub const FORMAT_1_CIPHERTEXT: &str =
    "ZjQwZDM1NjItMjQxZS00NjJlLTkwZDctM2Q5ZjUxODhjZGY3AUhfPQIXrOCaLgydR8qXWv/Qd66LvIgMLdp6wJ/T1Q==";

/// What all of it said, and its exit code.
fn run(house: &House, arguments: &[&str]) -> (String, Option<i32>) {
    let (said, complaints, code) = house.run(arguments);
    (said + &complaints, code)
}

/// A house that was served once, with the ciphertext of a key and with a secret of its own.
fn lived_in() -> (House, String) {
    let house = House::new();
    let running = house.start();
    let given = [("KeyId", "alias/orders"), ("Plaintext", "aGk=")];
    let sealed = running.call(KIM, "Encrypt", &given).ok()["CiphertextBlob"].as_str().unwrap().to_owned();
    let secret = [("SecretName", "own"), ("VersionId", "1"), ("SecretData", "canary-data")];
    running.call(KIM, "CreateSecret", &secret).ok();
    drop(running);
    (house, sealed)
}

fn names(house: &House, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(house.path(folder)).unwrap();
    let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_export_is_the_same_data_under_another_root_key() {
    let (house, sealed) = lived_in();
    let expected = "exported 2 keys, 2 aliases and 3 secrets to out.json, which holds key material: \
                    whoever can read it has the keys\n";
    assert_eq!(run(&house, EXPORT), (expected.to_owned(), Some(0)));
    let mode = std::fs::metadata(house.path("out.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let document = house.read("out.json");
    let other = House::new();
    other.write("out.json", &document);
    let expected = "imported 2 keys, 2 aliases and 3 secrets into ";
    let (said, code) = run(&other, IMPORT);
    assert!(said.starts_with(expected) && code == Some(0), "{said}");
    assert_ne!(house.read(".keyward/root.key"), other.read(".keyward/root.key"));
    run(&other, EXPORT);
    assert_eq!(other.read("out.json"), document);
    let running = other.start();
    let opened = running.call(KIM, "Decrypt", &[("CiphertextBlob", &sealed)]).ok();
    assert_eq!(opened["Plaintext"], "aGk=");
    assert_eq!(running.call(ROOT, "GetSecretValue", &[("SecretName", "own")]).ok()["SecretData"], "canary-data");
}

/// What is done to a house with data in it, and what `keyward data` then says and how it ends.
#[test]
fn what_cannot_be_done_is_said() {
    type Case = (&'static str, fn(&House), &'static [&'static str], &'static str, i32);
    let cases: [Case; 8] = [
        ("not empty", |_| (), IMPORT, "there are 2 keys, 2 aliases and 3 secrets in `", 1),
        ("the same again", |_| (), MERGE, "imported no keys, no aliases and no secrets into ", 0),
        (
            "a conflict",
            |house| house.edit("out.json", "\"description\": \"\"", "\"description\": \"other\""),
            MERGE,
            "nothing was imported, because this is there already and differs:\n  secret own of account",
            1,
        ),
        ("no document", |house| house.write("out.json", "{\n\"hush\""), MERGE, "out.json is no export, see line 2", 2),
        (
            "of another version",
            |house| house.edit("out.json", "\"format\": 1", "\"format\": 2"),
            MERGE,
            "out.json has format 2, and this version knows format 1",
            2,
        ),
        ("no file", |house| std::fs::remove_file(house.path("out.json")).unwrap(), MERGE, "out.json is not there", 2),
        (
            "no root key",
            |house| std::fs::remove_file(house.path(".keyward/root.key")).unwrap(),
            EXPORT,
            "root.key` is not there, and nobody can read `",
            2,
        ),
        (
            "no data",
            |house| std::fs::rename(house.path(".keyward"), house.path("elsewhere")).unwrap(),
            EXPORT,
            "there is no data of the embedded KMS in `",
            2,
        ),
    ];
    for (what, happens, arguments, expected, exit) in cases {
        let (house, _) = lived_in();
        run(&house, EXPORT);
        happens(&house);
        let (said, code) = run(&house, arguments);
        assert!(said.contains(expected) && code == Some(exit), "{what}: {said} {code:?}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn data_that_a_process_has_is_left_alone() {
    let (house, _) = lived_in();
    run(&house, EXPORT);
    let _running = house.start();
    for arguments in [EXPORT, IMPORT, MERGE] {
        let (said, code) = run(&house, arguments);
        assert!(said.contains("is in use by another process") && code == Some(2), "{said}");
    }
}

#[test]
fn data_without_its_root_key_is_not_served() {
    let (house, _) = lived_in();
    std::fs::remove_file(house.path(".keyward/root.key")).unwrap();
    let (said, code) = house.start_in_vain();
    let expected = "root.key` is not there, and nobody can read `";
    assert!(said.contains(expected) && said.contains("put back the file") && code == Some(2), "{said}");
    assert!(!house.path(".keyward/root.key").exists());
}

/// The ciphertext still decrypts, and no key material of the old file is in the new one.
#[test]
fn data_of_the_version_that_did_not_encrypt_is_taken_over() {
    let house = House::new();
    std::fs::create_dir(house.path(".keyward")).unwrap();
    let path = house.path(".keyward/kms.redb");
    std::fs::write(&path, FORMAT_1).unwrap();
    let running = house.start();
    let opened = running.call(KIM, "Decrypt", &[("CiphertextBlob", FORMAT_1_CIPHERTEXT)]).ok();
    assert_eq!(opened["Plaintext"], "aGk=");
    let secret = running.call(ROOT, "GetSecretValue", &[("SecretName", "own")]).ok();
    assert_eq!(secret["SecretData"], "canary-of-a-secret");
    let said = running.everything_written();
    assert_eq!(said.matches("the data was written anew in this version's format").count(), 1, "{said}");
    running.kill();
    let text = String::from_utf8_lossy(FORMAT_1).into_owned();
    let materials = text.split("\"material\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let canaries: Vec<&str> = materials.chain(["canary-of-a-description", "canary-of-a-secret"]).collect();
    assert!(canaries.len() >= 6, "{canaries:?}");
    let new = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    for canary in canaries {
        assert!(!new.contains(canary), "{canary} is in the new file");
    }
    let running = house.start();
    running.call(KIM, "Decrypt", &[("CiphertextBlob", FORMAT_1_CIPHERTEXT)]).ok();
    assert!(!running.everything_written().contains("written anew"));
}

#[test]
fn in_memory_nothing_is_written_and_everything_ends() {
    let house = House::new();
    let (before, file) = (names(&house, "."), house.read("policies/keys/key-exampleorders01.json"));
    for _ in 0..2 {
        let running = house.start_with(&["--ephemeral"]);
        running.written_with("2 keys and 2 secrets  in memory: ends with the process");
        let role = ("RoleArn", "acs:ram::1234567890123456:role/payroll-service");
        running.call(KIM, "AssumeRole", &[role, ("RoleSessionName", "demo")]).ok();
        let secret = [("SecretName", "own"), ("VersionId", "1"), ("SecretData", "x")];
        running.call(KIM, "CreateSecret", &secret).ok();
        let policy = r#"{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::1234567890123456:*"]},"Action":["kms:*"],"Resource":["*"]}]}"#;
        running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", policy)]).ok();
        let kept = running.call(KIM, "GetKeyPolicy", &[("KeyId", "key-exampleorders01")]).ok();
        assert_eq!(kept["Policy"], policy);
        let listed = running.call(KIM, "ListSecrets", &[]).ok();
        assert_eq!(listed["TotalCount"], Value::from(3));
        assert_eq!(names(&house, "."), before);
        assert_eq!(house.read("policies/keys/key-exampleorders01.json"), file);
    }
}

#[test]
fn a_repeatable_run_gives_the_same_ids_and_times_as_the_one_before() {
    let house = House::new();
    let run = || {
        let running = house.start_with(&["--ephemeral", "--repeatable", "2026-05-06T07:08:09Z"]);
        let created = running.call(KIM, "CreateKey", &[("DKMSInstanceId", "kst-example01")]).ok();
        let role = ("RoleArn", "acs:ram::1234567890123456:role/payroll-service");
        let session = running.call(KIM, "AssumeRole", &[role, ("RoleSessionName", "demo")]).ok();
        // A session is shown to clients with clocks of their own.
        assert!(session["Credentials"]["Expiration"].as_str().unwrap() > "2026-06");
        created["KeyMetadata"].clone()
    };
    let first = run();
    assert_eq!(first["CreationDate"], "2026-05-06T07:08:09Z");
    assert!(first["KeyId"].as_str().unwrap().starts_with("key-000000000000000000"), "{first}");
    assert_eq!(first, run());
}
