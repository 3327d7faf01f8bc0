//! What the operator chose for bad times: what stands in for what is missing, broken, stale or not approved.

#![expect(clippy::disallowed_methods, reason = "tests write the files that the store reads")]

use super::*;

/// F12: where nothing is there, the default policy decides, or nobody but root gets in.
#[test]
fn a_key_without_a_policy_is_judged_as_the_settings_say() {
    use crate::authz::{Hypothetical, WithoutPolicy};
    use crate::kms::Address;
    use crate::policy::{Decision, GivenContext};
    let asks = |store: &Store, who: &str| {
        let here = Address { region: "cn-hangzhou", account: "1" };
        let question = Hypothetical::parse(
            who,
            "kms:Encrypt",
            "key/key-9",
            (here, &crate::authz::ResourceIndex::default()),
            GivenContext::default(),
        )
        .unwrap();
        question.ask(&store.current(), now(), |it| matches!(it.decision, Decision::Allow(_)))
    };
    for (without_policy, alice) in [(WithoutPolicy::Default, true), (WithoutPolicy::Deny, false)] {
        let mut house = House::new();
        house.settings.policies.without_policy = without_policy;
        let store = house.open();
        let allowed = ["user/alice", "root"].map(|who| asks(&store, &format!("acs:ram::1:{who}")));
        assert_eq!(allowed, [alice, true], "{without_policy:?}");
        house.write("p/keys/key-9.json", &key("kms:Encrypt"));
        store.look(now());
        assert!(asks(&store, "acs:ram::1:user/alice"));
        house.remove("p/keys/key-9.json");
        store.look(now());
        assert_eq!(asks(&store, "acs:ram::1:user/alice"), alice, "{without_policy:?}, after the file was removed");
    }
}

/// Whatever cannot be used denies, if the settings say so: to everybody but the owner's root.
#[test]
fn a_bad_file_may_deny() {
    let mut house = House::new();
    house.settings.policies.on_invalid = crate::settings::OnInvalid::Deny;
    let store = house.open();
    let good = store.status().hash.clone();
    let text = |name| store.policy_text(Kind::Key, "1", name).map(|text| text.to_string()).unwrap_or_default();
    house.write("p/keys/key-1.json", "{");
    house.write("p/keys/key-2.json", "{");
    house.write("p/ram/Use.json", "{");
    assert!(store.look(now()).changed);
    assert!(text("key-1").contains("TheFileCannotBeUsed") && text("key-2").contains("Deny"));
    assert!(store.current().policies.of_member(1)[0].text.contains("TheFileCannotBeUsed"));
    assert_ne!(store.status().hash, good);
    assert!(!store.look(now()).changed, "the same mistake is no other set");
    house.write("p/keys/key-1.json", &key("kms:Encrypt"));
    house.write("p/ram/Use.json", &ram("kms:Encrypt"));
    house.remove("p/keys/key-2.json");
    assert!(store.look(now()).changed);
    assert_eq!((text("key-1"), text("key-2")), (key("kms:Encrypt"), String::new()));
    assert_eq!(store.status().hash, good, "the same content is the same set");
    house.write("i.toml", "[accounts");
    store.look(now());
    assert!(store.current().validity.check(now()).is_err(), "who may call is not known");
    house.write("i.toml", IDENTITIES);
    store.look(now());
    assert!(store.current().validity.check(now()).is_ok());
}

/// What could not be confirmed for too long is not judged by.
#[test]
fn stale_policies_are_not_judged_by() {
    let mut house = House::new();
    house.settings.policies.max_age = Some(Duration::from_secs(60));
    let store = house.open();
    let later = |seconds: i64| now() + jiff::SignedDuration::from_secs(seconds);
    let is_valid = |seconds| store.current().validity.check(later(seconds)).is_ok();
    assert!(is_valid(58) && !is_valid(62));
    store.look(later(50));
    assert!(is_valid(105) && !is_valid(115));
    house.write("p/keys/key-1.json", "{");
    store.look(later(100));
    assert!(!is_valid(115), "a file that cannot be used confirms nothing");
    house.write("p/keys/key-1.json", &key("kms:Encrypt"));
    store.look(later(200));
    assert!(is_valid(255));
    fs::rename(house.folder.path().join("p"), house.folder.path().join("q")).unwrap();
    store.look(later(250));
    assert!(!is_valid(265));
}

/// F20: what was changed waits for somebody who saw it.
#[test]
fn changes_wait_for_approval() {
    let mut house = House::new();
    house.settings.policies.approval = true;
    let store = house.open();
    house.write("p/keys/key-1.json", &key("kms:*"));
    assert!(!store.look(now()).changed);
    let waiting = store.status().waiting.clone().unwrap();
    assert_eq!(waiting.differences.len(), 1);
    let Shown::Lines(lines) = &waiting.differences[0].shown else { panic!("{waiting:?}") };
    assert!(lines.contains("\n-{") && lines.contains("\n+{") && lines.contains("kms:*"), "{lines}");
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Encrypt")));
    // Approved was another set than the one that is there by now.
    house.write("p/keys/key-2.json", &key("kms:*"));
    let approve = |hash: &str| store.reload(&Scope::Anew, Duration::ZERO, Some(hash), now()).changed;
    assert!(!approve(&waiting.approval));
    let waiting = store.status().waiting.clone().unwrap();
    assert_eq!(waiting.differences.len(), 2);
    assert!(approve(&waiting.approval));
    assert_eq!((store.status().counts.key_policies, store.status().waiting.clone()), (2, None));
    assert_eq!(*store.status().hash, *waiting.approval);
    // Whoever may set policies needs no other approval.
    store.set_policy(Kind::Key, "1", "key-1", &key("kms:Decrypt"), &|_| true, now()).unwrap();
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Decrypt")));
    house.write("i.toml", &IDENTITIES.replace("alice", "alicia"));
    store.look(now());
    let waiting = store.status().waiting.clone().unwrap();
    assert_eq!(waiting.differences[0].shown, Shown::Secret, "identities hold secrets");
    // Who approved one secret has not approved another, though the hash does not tell them apart.
    let secret =
        |secret: &str| house.write("i.toml", &IDENTITIES.replace("secret = 's'", &format!("secret = '{secret}'")));
    secret("one");
    store.look(now());
    let one = store.status().waiting.clone().unwrap().approval.clone();
    assert!(one.starts_with(&*store.status().hash), "{one}");
    secret("two");
    assert!(!store.reload(&Scope::Anew, Duration::ZERO, Some(&one), now()).changed);
    assert_ne!(store.status().waiting.clone().unwrap().approval, one);
    house.write("i.toml", IDENTITIES);
    store.look(now());
    assert_eq!(store.status().waiting, None, "what was taken back waits no more");
}

/// F15: a restart with a bad file goes on with what was good.
#[test]
fn the_last_good_set_survives_a_restart() {
    let mut house = House::new();
    house.settings.policies.last_good = Some(house.folder.path().join("copy/last-good.redb"));
    let store = house.open();
    house.write("p/keys/key-2.json", &key("kms:*"));
    house.write("p/keys/key-3.json", &key("kms:*"));
    store.look(now());
    store.keep_last_good();
    house.remove("p/keys/key-3.json");
    store.look(now());
    let hash = store.status().hash.clone();
    store.keep_last_good();
    drop(store);
    let mode = fs::metadata(house.folder.path().join("copy/last-good.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds what identities hold");
    house.write("p/keys/key-2.json", "{");
    house.write("i.toml", "[accounts");
    let store = house.open();
    assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (2, 2));
    assert_eq!(store.status().hash, hash);
    assert_eq!(store.status().confirmed, None);
    assert!(store.current().directory.access_key("K").is_some());
    drop(store);
    // What never was good is broken and nothing more, as while it runs.
    house.write("p/keys/key-9.json", "{");
    let store = house.open();
    assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (2, 3));
    drop(store);
    house.remove("p/keys/key-9.json");
    fs::rename(house.folder.path().join("p"), house.folder.path().join("q")).unwrap();
    let store = house.open();
    assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (2, 1));
    drop(store);
    // An empty folder may be one that is not mounted yet.
    let keys = house.folder.path().join("q/keys");
    fs::rename(&keys, house.folder.path().join("keys")).unwrap();
    fs::create_dir(&keys).unwrap();
    fs::rename(house.folder.path().join("q"), house.folder.path().join("p")).unwrap();
    let store = house.open();
    assert_eq!(store.status().counts.key_policies, 2, "{:?}", house.shown(&store.status().problems));
    drop(store);
    fs::rename(house.folder.path().join("p"), house.folder.path().join("q")).unwrap();
    // What is no copy is set aside, not written over; and then there is nothing to go on with.
    fs::rename(house.folder.path().join("q"), house.folder.path().join("p")).unwrap();
    fs::write(house.folder.path().join("copy/last-good.redb"), "rubbish").unwrap();
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    assert!(problems.len() == 1 && problems[0].starts_with("i.toml"), "{problems:?}");
    let aside = house.folder.path().join("copy/last-good.unusable");
    assert_eq!(fs::read_to_string(aside).unwrap(), "rubbish");
    // What cannot be opened at all is not set aside: it may be as good as ever.
    let copy = house.folder.path().join("copy/last-good.redb");
    let _ = fs::remove_file(&copy);
    fs::create_dir(&copy).unwrap();
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    assert!(problems.len() == 1 && problems[0].starts_with("copy/last-good.redb: cannot be used"), "{problems:?}");
    assert!(copy.is_dir());
}

/// F20: what was changed while nobody served waits as well, if it is known what was in force.
#[test]
fn a_restart_approves_nothing() {
    let mut house = House::new();
    house.settings.policies.approval = true;
    house.settings.policies.last_good = Some(house.folder.path().join("last-good.redb"));
    let store = house.open();
    store.keep_last_good();
    drop(store);
    house.write("p/keys/key-1.json", &key("kms:*"));
    let store = house.open();
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Encrypt")));
    let waiting = store.status().waiting.clone().unwrap();
    assert_eq!(waiting.differences.len(), 1);
    assert!(!store.look(now()).changed);
    assert!(store.reload(&Scope::Anew, Duration::ZERO, Some(&waiting.approval), now()).changed);
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:*")));
    store.keep_last_good();
    drop(store);
    assert_eq!(house.open().status().waiting, None);
}

/// What is broken needs nobody's approval to be: a denial does not wait.
#[test]
fn a_denial_does_not_wait_for_approval() {
    let mut house = House::new();
    house.settings.policies.approval = true;
    house.settings.policies.on_invalid = crate::settings::OnInvalid::Deny;
    let store = house.open();
    let text = || store.policy_text(Kind::Key, "1", "key-1").unwrap().to_string();
    house.write("p/keys/key-1.json", "{");
    house.write("p/keys/key-2.json", &key("kms:*"));
    assert!(store.look(now()).changed);
    assert!(text().contains("TheFileCannotBeUsed"));
    assert!(store.status().waiting.is_some() && store.policy_text(Kind::Key, "1", "key-2").is_none());
    // Whatever is looked at alone, what waits goes on waiting.
    let scope = Scope::Only { paths: [std::path::PathBuf::from("keys/none.json")].into(), identities: false };
    store.reload(&scope, Duration::ZERO, None, now());
    assert!(store.status().waiting.is_some());
    house.write("i.toml", "[accounts");
    store.look(now());
    assert!(store.current().validity.check(now()).is_err());
    house.write("i.toml", IDENTITIES);
    house.write("p/keys/key-1.json", &key("kms:Encrypt"));
    store.look(now());
    assert_eq!(text(), key("kms:Encrypt"), "what says again what was approved is not asked about");
    assert!(store.current().validity.check(now()).is_ok() && store.status().waiting.is_some());
}

/// What is being written is not broken.
#[test]
fn whoever_writes_all_the_time_is_not_denied() {
    let mut house = House::new();
    house.settings.policies.on_invalid = crate::settings::OnInvalid::Deny;
    let store = house.open();
    let late = |seconds: i64| Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    for second in 0..40 {
        // Its dates are those of each look, or a little later.
        for file in ["p/keys/key-1.json", "i.toml"] {
            let file = fs::File::options().append(true).open(house.folder.path().join(file)).unwrap();
            let seconds = u64::try_from(late(second + 1).as_second()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        store.look(late(second));
    }
    let told = house.shown(&store.status().problems);
    assert_eq!(told, ["i.toml: is being written all the time", "p/keys/key-1.json: is being written all the time"]);
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Encrypt")));
    assert!(store.current().validity.check(now()).is_ok());
    store.look(late(100));
    assert_eq!(store.status().problems, []);
}
