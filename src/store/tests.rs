//! The store on real folders: loading, reloading, last good versions, writing.

#![expect(clippy::disallowed_methods, reason = "tests write the files that the store reads")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::policy::Kind;

mod choices;
mod hostile;
mod model;
mod setting;

const IDENTITIES: &str = "[accounts.1.users.alice]\npolicies = ['Use']\naccess_keys = [{ id = 'K', secret = 's' }]\n";

struct House {
    folder: TempDir,
    settings: Settings,
}

/// Late enough that everything written so far is settled.
fn now() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_secs(1)
}

fn ram(action: &str) -> String {
    format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#)
}

fn key(action: &str) -> String {
    let principal = r#"{"RAM":"acs:ram::1:root"}"#;
    format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"{action}","Resource":"*"}}]}}"#
    )
}

impl House {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let text = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";
        let settings = Settings::parse(text, folder.path()).unwrap();
        let house = Self { folder, settings };
        house.write("i.toml", IDENTITIES);
        house.set_mode("i.toml", 0o600);
        house.write("p/ram/Use.json", &ram("kms:Encrypt"));
        house.write("p/keys/key-1.json", &key("kms:Encrypt"));
        house
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn open(&self) -> Store {
        Store::open(&self.settings, now()).map_err(|problems| self.shown(&problems)).unwrap()
    }

    fn shown(&self, problems: &[Problem]) -> Vec<String> {
        let prefix = format!("{}/", self.folder.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
    }
}

/// Whether alice's first RAM policy allows this action.
fn alice_may(store: &Store, action: &str) -> bool {
    let snapshot = store.current();
    let policies = snapshot.policies.of_member(1);
    policies.iter().any(|policy| policy.statements[0].actions.include(crate::authz::vocabulary().action(action)))
}

#[test]
fn everything_is_loaded() {
    let house = House::new();
    house.write("p/secrets/app%2Fdb.json", &key("kms:GetSecretValue"));
    house.write("p/accounts/2/keys/key-2.json", &key("kms:Encrypt"));
    house.write("p/keys/.hidden.json", "not a policy");
    house.write("p/keys/key-1.json~", "not a policy");
    let store = house.open();
    let status = store.status();
    assert_eq!((status.counts.key_policies, status.counts.secret_policies, status.counts.ram_policies), (2, 1, 1));
    assert_eq!((status.counts.callers, status.counts.accounts, status.generation), (1, 1, 1));
    assert!(alice_may(&store, "kms:Encrypt"));
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(key("kms:Encrypt").as_str()));
    assert_eq!(store.policy_text(Kind::Secret, "1", "app/db").as_deref(), Some(key("kms:GetSecretValue").as_str()));
}

#[test]
fn a_start_with_mistakes_fails_and_names_all_of_them() {
    let house = House::new();
    house.write("p/keys/key-1.json", "{");
    house.write("p/keys/readme.txt", "hello");
    house.write("p/key/key-2.json", &key("kms:*"));
    house.write("p/ram/Use.json", &ram("Encrypt"));
    house.write("i.toml", &IDENTITIES.replace("'Use'", "'Use', 'Gone'"));
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    let expected = [
        "i.toml:2:13: RAM policy `Use` of acs:ram::1:user/alice cannot be used: p/ram/Use.json",
        "i.toml:2:20: RAM policy `Gone` of acs:ram::1:user/alice is not there: p/ram/Gone.json",
        "p/key: is not part of the layout: keys/, secrets/, ram/, accounts/, cases/, resources.toml",
        "p/keys/key-1.json:1:1: is not JSON: EOF while parsing an object",
        "p/keys/readme.txt: is no policy: names of policies end in .json",
        "p/ram/Use.json:1:56: action `Encrypt` is of no known form; write for example \"kms:Encrypt\", \"kms:*\" or \"*\"",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn an_edit_makes_a_new_generation_and_nothing_else_does() {
    let house = House::new();
    let store = house.open();
    assert!(!store.look(now()).changed);
    house.write("p/ram/Use.json", &ram("kms:Encrypt"));
    assert!(!store.look(now()).changed, "the same text again is no change");
    house.write("p/ram/Use.json", &ram("kms:Decrypt"));
    assert!(store.look(now()).changed);
    assert!(alice_may(&store, "kms:Decrypt") && !alice_may(&store, "kms:Encrypt"));
    house.remove("p/keys/key-1.json");
    assert!(store.look(now()).changed);
    assert_eq!((store.status().counts.key_policies, store.current().version.generation), (0, 3));
}

#[test]
fn a_bad_edit_keeps_the_last_good_version_of_that_file_only() {
    let house = House::new();
    let store = house.open();
    house.write("p/ram/Use.json", "{");
    house.write("p/keys/key-2.json", &key("kms:*"));
    assert!(store.look(now()).changed, "the good file is taken");
    assert!(alice_may(&store, "kms:Encrypt"));
    assert_eq!(house.shown(&store.status().problems), ["p/ram/Use.json:1:1: is not JSON: EOF while parsing an object"]);
    assert_eq!((store.status().counts.key_policies, store.status().reloads_refused), (2, 1));
    store.look(now());
    assert_eq!(store.status().reloads_refused, 1, "the same mistake is counted once");
    house.write("p/ram/Use.json", &ram("kms:Decrypt"));
    assert!(store.look(now()).changed);
    assert!(alice_may(&store, "kms:Decrypt"));
    assert_eq!(store.status().problems, []);
}

#[test]
fn a_policy_that_is_still_attached_does_not_vanish() {
    let house = House::new();
    let store = house.open();
    house.remove("p/ram/Use.json");
    assert!(!store.look(now()).changed);
    assert!(alice_may(&store, "kms:Encrypt"));
    let expected = "p/ram/Use.json: was removed, but is still attached to acs:ram::1:user/alice";
    assert_eq!(house.shown(&store.status().problems), [expected]);
    house.write("i.toml", &IDENTITIES.replace("'Use'", ""));
    assert!(store.look(now()).changed);
    store.look(now());
    assert_eq!(store.status().problems, [], "nobody has it any more");
}

/// Whatever takes the place of a policy file or its folder, its Deny stays.
#[test]
fn what_cannot_be_used_keeps_its_last_good_version() {
    type Damage = fn(&House);
    let damages: [(&str, Damage); 8] = [
        ("a link that leads nowhere", |house| {
            house.remove("p/keys/key-1.json");
            std::os::unix::fs::symlink("nowhere", house.folder.path().join("p/keys/key-1.json")).unwrap();
        }),
        ("a link out of the folder", |house| {
            house.remove("p/keys/key-1.json");
            std::os::unix::fs::symlink("/etc/hostname", house.folder.path().join("p/keys/key-1.json")).unwrap();
        }),
        ("a folder", |house| {
            house.remove("p/keys/key-1.json");
            fs::create_dir(house.folder.path().join("p/keys/key-1.json")).unwrap();
        }),
        ("no folder for keys", |house| {
            fs::rename(house.folder.path().join("p/keys"), house.folder.path().join("keys")).unwrap();
        }),
        ("no folder for an account", |house| {
            fs::rename(house.folder.path().join("p/accounts/2"), house.folder.path().join("2")).unwrap();
        }),
        ("no folder for accounts", |house| {
            fs::rename(house.folder.path().join("p/accounts"), house.folder.path().join("accounts")).unwrap();
        }),
        ("a file for an account", |house| {
            fs::rename(house.folder.path().join("p/accounts/2"), house.folder.path().join("2")).unwrap();
            house.write("p/accounts/2", "");
        }),
        ("no UTF-8", |house| fs::write(house.folder.path().join("p/keys/key-1.json"), b"\xff").unwrap()),
    ];
    for (name, damage) in damages {
        let house = House::new();
        house.write("p/accounts/2/keys/key-2.json", &key("kms:*"));
        let store = house.open();
        damage(&house);
        store.look(now());
        assert_eq!(store.status().counts.key_policies, 2, "{name}");
        assert_eq!(store.status().problems.len(), 1, "{name}: {:?}", house.shown(&store.status().problems));
    }
}

/// A text that was cut off in the middle may still be a text; so may half of two edits.
#[test]
fn a_file_is_read_when_its_writer_is_done() {
    let house = House::new();
    let store = house.open();
    house.write("p/ram/Use.json", &ram("kms:Decrypt"));
    house.write("i.toml", &IDENTITIES.replace("alice", "bob"));
    let reload = store.look(Timestamp::now());
    assert_eq!((reload.changed, reload.unsettled), (false, true));
    assert!(alice_may(&store, "kms:Encrypt"));
    assert!(store.look(now()).changed);
    assert!(alice_may(&store, "kms:Decrypt"));
}

/// Somebody who saves a broken file again has not repaired it.
#[test]
fn a_bad_directory_that_is_being_written_is_still_bad() {
    let house = House::new();
    let store = house.open();
    house.write("i.toml", "[accounts");
    store.look(now());
    let bad = store.status().problems.clone();
    assert_eq!(bad.len(), 1);
    house.write("i.toml", "[accounts");
    assert!(store.look(Timestamp::now()).unsettled);
    assert_eq!(store.status().problems, bad);
    store.look(now());
    assert_eq!((store.status().problems.as_slice(), store.status().reloads_refused), (bad.as_slice(), 1));
    house.write("i.toml", IDENTITIES);
    store.look(now());
    assert_eq!(store.status().problems, []);
}

#[test]
fn a_policy_that_goes_with_its_last_attachment_is_gone() {
    let house = House::new();
    let store = house.open();
    house.remove("p/ram/Use.json");
    house.write("i.toml", &IDENTITIES.replace("'Use'", ""));
    assert!(store.look(now()).changed);
    assert_eq!((store.status().problems.as_slice(), store.status().counts.ram_policies), (&[][..], 0));
}

#[test]
fn a_folder_that_cannot_be_read_stops_nothing_else() {
    let house = House::new();
    house.write("p/accounts/2/keys/key-2.json", &key("kms:*"));
    let store = house.open();
    let folder = house.folder.path().join("p/accounts/2/keys");
    fs::rename(&folder, house.folder.path().join("elsewhere")).unwrap();
    house.write("p/accounts/2/keys", "a file");
    house.write("p/ram/Use.json", &ram("kms:Decrypt"));
    assert!(store.look(now()).changed);
    assert!(alice_may(&store, "kms:Decrypt"));
    assert_eq!(store.status().counts.key_policies, 2, "what cannot be read is not gone");
    let problems = house.shown(&store.status().problems);
    assert!(problems.len() == 1 && problems[0].starts_with("p/accounts/2/keys: cannot be read"), "{problems:?}");
    let text = key("kms:DescribeKey");
    store.set_policy(Kind::Key, "1", "key-1", &text, &|_| true, now()).unwrap();
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(text.as_str()));
}

#[test]
fn a_bad_directory_and_a_missing_folder_change_nothing() {
    let house = House::new();
    let store = house.open();
    house.write("i.toml", "[accounts.1.users.alice]\npolicies = ['Gone']");
    fs::rename(house.folder.path().join("p"), house.folder.path().join("q")).unwrap();
    assert!(!store.look(now()).changed);
    assert!(alice_may(&store, "kms:Encrypt"));
    assert_eq!(store.status().problems.len(), 1, "the missing folder explains the missing policy");
    assert!(store.current().directory.access_key("K").is_some());
}

#[test]
fn links_stay_inside_the_folder() {
    let house = House::new();
    house.write("outside.json", &key("kms:*"));
    house.write("p/..data/key-3.json", &key("kms:*"));
    let keys = house.folder.path().join("p/keys");
    std::os::unix::fs::symlink("../../outside.json", keys.join("key-2.json")).unwrap();
    std::os::unix::fs::symlink("../..data/key-3.json", keys.join("key-3.json")).unwrap();
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    assert_eq!(problems, ["p/keys/key-2.json: is a link that leads out of the policy folder"]);
}

#[test]
fn secrets_may_be_kept_in_a_file_that_changes() {
    let house = House::new();
    house.write("alice.secret", "one\n");
    house.write("i.toml", &IDENTITIES.replace("secret = 's'", "secret_file = 'alice.secret'"));
    let store = house.open();
    assert!(!store.look(now()).changed);
    house.write("alice.secret", "two\n");
    assert!(store.look(now()).changed);
    let snapshot = store.current();
    let keys = snapshot.directory.access_keys_of("acs:ram::1:user/alice");
    let secrets: Vec<_> = keys.iter().map(|(_, secret, _)| secrecy::ExposeSecret::expose_secret(*secret)).collect();
    assert_eq!(secrets, ["two"]);
}

#[test]
fn what_is_most_likely_not_meant_is_known_at_the_start_and_after_a_change() {
    let house = House::new();
    let store = house.open();
    let codes =
        |store: &Store| -> Vec<&'static str> { store.status().warnings.iter().map(|finding| finding.code).collect() };
    assert_eq!(codes(&store), [""; 0]);
    house.write("p/ram/Use.json", &ram("kms:Encrypt").replace("Allow", "Deny").replace("Encrypt", "GetSecretValu"));
    house.write("p/ram/Stray.json", &ram("kms:Encrypt"));
    assert!(store.look(now()).changed);
    assert_eq!(codes(&store), ["unattached", "unknown-action"]);
    let files: Vec<Problem> = store.status().warnings.iter().map(|finding| finding.problem.clone()).collect();
    assert!(house.shown(&files)[1].starts_with("p/ram/Use.json:1:29: KMS has no action `kms:GetSecretValu`"));
    assert!(!store.look(now()).changed);
    assert_eq!(codes(&store).len(), 2, "a look that changes nothing forgets nothing");
    let stranger = key("kms:Encrypt").replace("root", "user/bob");
    store.set_policy(Kind::Key, "1", "key-1", &stranger, &|_| true, now()).unwrap();
    assert_eq!(codes(&store), ["unknown-principal", "unattached", "unknown-action"]);
    house.write("p/ram/Use.json", &ram("kms:Encrypt"));
    house.remove("p/ram/Stray.json");
    assert!(store.look(now()).changed);
    assert_eq!(codes(&store), ["unknown-principal"]);
}

/// Everybody knows the secrets of the examples; of others it is said where everybody may read them.
#[test]
fn secrets_that_everybody_may_read_are_known() {
    let house = House::new();
    house.write("alice.secret", "s");
    let elsewhere = IDENTITIES.replace("secret = 's'", "secret_file = 'alice.secret'");
    let example = IDENTITIES.replace("'s'", "'keyward-example-secret-alice'");
    for (identities, mode, secret_mode, expected) in [
        (IDENTITIES, 0o644, 0o644, &["i.toml"][..]),
        (IDENTITIES, 0o640, 0o644, &[]),
        (&elsewhere, 0o644, 0o644, &["alice.secret"]),
        (&elsewhere, 0o644, 0o640, &[]),
        (&example, 0o644, 0o644, &[]),
    ] {
        house.write("i.toml", identities);
        house.set_mode("i.toml", mode);
        house.set_mode("alice.secret", secret_mode);
        let readable = inspect(&house.settings).findings.into_iter().filter(|it| it.code == "readable-secret");
        let files = readable.map(|finding| finding.problem.file.rsplit('/').next().unwrap_or_default().to_owned());
        assert_eq!(files.collect::<Vec<_>>(), expected, "{identities} {mode:o} {secret_mode:o}");
    }
}

/// A system policy need not be written, and must not be.
#[test]
fn system_policies_are_there_without_a_file() {
    let house = House::new();
    house.write("i.toml", &IDENTITIES.replace("'Use'", "'AliyunKMSReadOnlyAccess'"));
    let store = house.open();
    assert_eq!(store.current().policies.of_member(1)[0].name.as_ref(), "system/AliyunKMSReadOnlyAccess");
    house.write("p/ram/AliyunKMSReadOnlyAccess.json", &ram("kms:Encrypt"));
    assert!(!store.look(now()).changed);
    let problems = house.shown(&store.status().problems);
    assert!(problems[0].contains("has the name of a system policy"), "{problems:?}");
}

/// Also of files beside those with mistakes, and when the directory is not taken because of them.
#[test]
fn an_inspection_sees_what_can_be_used() {
    let house = House::new();
    house.write("p/ram/Use.json", "{");
    house.write("p/ram/Stray.json", &ram("kms:Encrypt"));
    house.write("p/keys/key-1.json", &key("kms:Encrypt").replace("root", "user/bob"));
    let inspection = inspect(&house.settings);
    let problems = house.shown(&inspection.problems);
    assert!(problems.len() == 2 && problems[1].starts_with("p/ram/Use.json:1:1: is not JSON"), "{problems:?}");
    let codes: Vec<&str> = inspection.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["unknown-principal", "unattached"]);
    assert_eq!((inspection.policies, inspection.directory.caller_count()), (2, 1));
}
