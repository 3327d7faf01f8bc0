//! Folders that nobody sane would write, and moments at which nobody should look. The numbers are those of the cases that
//! an enforcing proxy has to survive.

#![expect(clippy::disallowed_methods, reason = "tests write the files that the store reads")]

use std::os::unix::fs::symlink;

use super::*;

/// What is told of a policy file with this content, if that is not fine.
fn told(house: &House, content: &[u8]) -> Vec<String> {
    fs::write(house.folder.path().join("p/keys/key-1.json"), content).unwrap();
    match Store::open(&house.settings, now()) {
        Ok(_) => Vec::new(),
        Err(problems) => house.shown(&problems),
    }
}

/// F01, F02, F03: what two parsers could read differently, or none, is a mistake with a place; and bounded.
#[test]
fn texts_that_are_no_policies_are_mistakes() {
    let good = key("kms:Encrypt");
    let house = House::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"Version":"1","Statement":"{}"}}"#, "x".repeat(900_000));
    let cases: [(&str, Vec<u8>, &str); 14] = [
        (
            "a member twice",
            good.replace(r#""Effect":"Allow","#, r#""Effect":"Deny","Effect":"Allow","#).into(),
            "twice",
        ),
        (
            "the same, escaped",
            good.replace(r#""Effect":"Allow","#, r#""Effect":"Deny","\u0045ffect":"Allow","#).into(),
            "twice",
        ),
        ("statements twice", good.replace(r#""Statement""#, r#""Statement":[],"Statement""#).into(), "twice"),
        ("a byte order mark", [b"\xef\xbb\xbf", good.as_bytes()].concat(), "begins with a byte order mark"),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), ""),
        ("no UTF-8", [good.as_bytes(), b"\xff"].concat(), "is not UTF-8"),
        ("a NUL", good.replace("kms:", "kms:\0").into(), ""),
        ("two documents", [good.as_bytes(), good.as_bytes()].concat(), ""),
        ("rubbish at the end", format!("{good}x").into(), ""),
        ("a comment", format!("// yes\n{good}").into(), ":1:1:"),
        ("nothing", Vec::new(), ":1:1:"),
        ("depth", deep.into(), ""),
        ("a long string", long.into(), "at most 32768 bytes"),
        ("an odd number", good.replace(r#""Version":"1""#, r#""Version":1e400"#).into(), ""),
    ];
    for (name, content, expected) in cases {
        let problems = told(&house, &content);
        let is_told = |problem: &String| problem.starts_with("p/keys/key-1.json") && problem.contains(expected);
        assert!(problems.len() == 1 && is_told(&problems[0]), "{name}: {problems:?}");
    }
    assert_eq!(told(&house, good.replace(',', ",\r\n").as_bytes()), [""; 0], "CRLF is white space");
    // Two gigabytes, of which the disk holds nothing.
    let file = fs::File::create(house.folder.path().join("p/keys/key-1.json")).unwrap();
    file.set_len(2 << 30).unwrap();
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    assert_eq!(problems, ["p/keys/key-1.json: is larger than 1048576 bytes"]);
}

/// F04, F05: only regular files, and only those of the folder.
#[test]
fn what_is_no_file_of_the_folder_is_not_read() {
    type Place = fn(&std::path::Path);
    let places: [(&str, Place, &str); 9] = [
        (
            "a pipe",
            |path| rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap(),
            "is no regular file",
        ),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()), "is no regular file"),
        ("a folder", |path| fs::create_dir(path).unwrap(), "is no regular file"),
        ("a device", |path| symlink("/dev/zero", path).unwrap(), "is a link that leads out of the policy folder"),
        (
            "a file of the system",
            |path| symlink("/proc/self/environ", path).unwrap(),
            "is a link that leads out of the policy folder",
        ),
        ("a way out", |path| symlink("../../i.toml", path).unwrap(), "is a link that leads out of the policy folder"),
        (
            "a way out and in",
            |path| symlink("../../p/keys/key-1.json", path).unwrap(),
            "is a link that leads out of the policy folder",
        ),
        (
            "a circle",
            |path| symlink("key-2.json", path).unwrap(),
            "cannot be read: Too many levels of symbolic links (os error 40)",
        ),
        ("a folder by a link", |path| symlink("../ram", path).unwrap(), "is no regular file"),
    ];
    for (name, place, expected) in places {
        let house = House::new();
        place(&house.folder.path().join("p/keys/key-2.json"));
        let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
        assert_eq!(problems, [format!("p/keys/key-2.json: {expected}")], "{name}");
    }
    let house = House::new();
    fs::hard_link(house.folder.path().join("p/keys/key-1.json"), house.folder.path().join("p/keys/key-2.json"))
        .unwrap();
    assert_eq!(house.open().status().counts.key_policies, 2, "a hard link is a file like any other");
}

/// F06: what everybody may write says nothing.
#[test]
fn what_everybody_may_write_is_not_used() {
    for (path, mode, expected) in [
        ("p/keys/key-1.json", 0o646, false),
        ("p/keys/key-1.json", 0o664, true),
        ("p/keys", 0o777, false),
        ("p/keys", 0o1777, false),
        ("p/accounts/2", 0o777, false),
        ("i.toml", 0o602, false),
        ("p", 0o757, false),
    ] {
        let mut house = House::new();
        house.write("p/accounts/2/keys/key-2.json", &key("kms:*"));
        house.set_mode(path, mode);
        let opened = Store::open(&house.settings, now()).map_err(|problems| house.shown(&problems));
        assert_eq!(opened.is_ok(), expected, "{path} {mode:o}");
        if let Err(problems) = opened {
            let told = format!("{path}: ");
            assert!(
                problems[0].starts_with(&told) && problems[0].contains("may be written by everybody"),
                "{problems:?}"
            );
        }
        house.settings.policies.others_may_write = true;
        assert!(Store::open(&house.settings, now()).is_ok());
    }
}

/// F07: whoever writes in pieces is never half believed.
#[test]
fn half_a_file_is_no_file() {
    let house = House::new();
    let store = house.open();
    let text = key("kms:Decrypt");
    for length in 0..=text.len() {
        fs::write(house.folder.path().join("p/keys/key-1.json"), text.get(..length).unwrap()).unwrap();
        assert!(store.look(Timestamp::now()).unsettled, "its writer may not be done");
        store.look(now());
        let expected = if length == text.len() { text.clone() } else { key("kms:Encrypt") };
        assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*expected), "{length}");
    }
    assert_eq!(store.status().problems, []);
}

/// Makes the policy folder a volume of Kubernetes, at its first version, and opens it.
fn mount(house: &House) -> Store {
    fs::remove_dir_all(house.folder.path().join("p")).unwrap();
    mount_version(house, "v1", "kms:Encrypt");
    for folder in ["ram", "keys"] {
        symlink(format!("..data/{folder}"), house.folder.path().join("p").join(folder)).unwrap();
    }
    house.open()
}

/// Has the volume be of another version, as kubelet does.
fn mount_version(house: &House, name: &str, action: &str) {
    house.write(&format!("p/..{name}/ram/Use.json"), &ram(action));
    house.write(&format!("p/..{name}/keys/key-1.json"), &key(action));
    symlink(format!("..{name}"), house.folder.path().join("p/..data_tmp")).unwrap();
    fs::rename(house.folder.path().join("p/..data_tmp"), house.folder.path().join("p/..data")).unwrap();
}

/// F08: a volume of Kubernetes, whose old version is removed at once.
#[test]
fn a_mounted_volume_is_one_version_or_another() {
    let house = House::new();
    let store = mount(&house);
    assert_eq!((store.status().counts.key_policies, store.status().counts.ram_policies), (1, 1));
    mount_version(&house, "v2", "kms:Decrypt");
    fs::remove_dir_all(house.folder.path().join("p/..v1")).unwrap();
    // Which file an event is about, nobody knows here: everything is looked at.
    let only = Scope::Only { paths: [std::path::PathBuf::from("keys/key-1.json")].into(), identities: false };
    assert!(store.reload(&only, Duration::ZERO, None, now()).changed);
    assert!(alice_may(&store, "kms:Decrypt") && !alice_may(&store, "kms:Encrypt"));
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Decrypt")));
    let set = store.set_policy(Kind::Key, "1", "key-1", &key("kms:*"), &|_| true, now());
    assert!(set.is_err(), "what is mounted is changed where it comes from");
}

/// F08: a volume that is never quiet is waited for. A part of one version beside a part of another is nobody's set.
#[test]
fn a_volume_that_does_not_rest_is_not_taken_in_parts() {
    let house = House::new();
    let store = mount(&house);
    mount_version(&house, "v2", "kms:Decrypt");
    let changing = house.folder.path().join("p/..v2/keys/key-1.json");
    let begin = now();
    for second in 0..100 {
        // One file looks different every time, and the other one rests.
        let date = std::time::SystemTime::now() + Duration::from_secs(86_400 + second);
        fs::File::options().append(true).open(&changing).unwrap().set_modified(date).unwrap();
        let at = begin + jiff::SignedDuration::from_secs(i64::try_from(second).unwrap());
        let looked = store.reload(&Scope::Everything, Duration::from_secs(1), None, at);
        assert!(looked.unsettled && !looked.changed, "{second}");
    }
    assert!(alice_may(&store, "kms:Encrypt") && !alice_may(&store, "kms:Decrypt"));
}

/// F09, F13: neither dates nor permissions nor names in passing are content.
#[test]
fn content_decides_and_nothing_else() {
    let house = House::new();
    let store = house.open();
    // A date in the future says nothing about the writer; that the file goes on looking the same does.
    let look = || {
        let before = store.status().generation;
        store.look(now());
        store.look(now() + jiff::SignedDuration::from_secs(1));
        store.status().generation != before
    };
    let path = house.folder.path().join("p/keys/key-1.json");
    let date = fs::metadata(&path).unwrap().modified().unwrap();
    let touch = |date| fs::File::options().append(true).open(&path).unwrap().set_modified(date).unwrap();
    house.set_mode("p/keys/key-1.json", 0o600);
    touch(date + Duration::from_secs(86_400));
    fs::rename(&path, path.with_extension("json~")).unwrap();
    fs::rename(path.with_extension("json~"), &path).unwrap();
    assert!(!look());
    // The same size, and the date that was seen last: the time of the change itself cannot be set back.
    let text = key("kms:Decrypt");
    house.write("p/keys/key-1.json", &text);
    touch(date + Duration::from_secs(86_400));
    assert!(look());
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*text));
}

/// F17, F23: two files for one resource are a mistake that names both.
#[test]
fn two_files_for_one_resource_are_named() {
    let house = House::new();
    house.write("p/keys/KEY-1.json", &key("kms:*"));
    house.write("p/ram/uSE.json", &ram("kms:*"));
    house.write("p/accounts/1/keys/key-1.json", &key("kms:*"));
    house.write("p/secrets/App.json", &key("kms:*"));
    house.write("p/secrets/app.json", &key("kms:*"));
    let problems = house.shown(&Store::open(&house.settings, now()).err().unwrap());
    let twins = |one: &str, other: &str| format!("is one of several files for one resource: {one}, {other}");
    let expected = [
        "i.toml:2:13: RAM policy `Use` of acs:ram::1:user/alice cannot be used: p/ram/Use.json".to_owned(),
        "p/accounts/1: this account's own policies belong in the folder above, not under accounts/".to_owned(),
        "p/accounts/1/keys/key-1.json: is a second place for keys/key-1.json; that is where it belongs".to_owned(),
        format!("p/keys/KEY-1.json: {}", twins("keys/KEY-1.json", "keys/key-1.json")),
        format!("p/keys/key-1.json: {}", twins("keys/KEY-1.json", "keys/key-1.json")),
        format!("p/ram/Use.json: {}", twins("ram/Use.json", "ram/uSE.json")),
        format!("p/ram/uSE.json: {}", twins("ram/Use.json", "ram/uSE.json")),
    ];
    assert_eq!(problems, expected);
}

/// However many files are broken at once, a look takes no longer than reading them.
#[test]
fn very_many_mistakes_are_found_and_mended() {
    const FILES: usize = 5000;
    let house = House::new();
    for number in 0..FILES {
        house.write(&format!("p/keys/key-{number:05}.json"), &key("kms:Encrypt"));
    }
    let store = house.open();
    for number in 0..FILES {
        house.write(&format!("p/keys/key-{number:05}.json"), "{");
    }
    store.look(now());
    assert_eq!((store.status().problems.len(), store.status().counts.key_policies), (FILES, FILES + 1));
    store.look(now());
    for number in 0..FILES {
        house.write(&format!("p/keys/key-{number:05}.json"), &key("kms:Encrypt"));
    }
    store.look(now());
    assert_eq!((store.status().problems.len(), store.status().generation), (0, 1));
}

/// A folder that is unmounted, or made anew by a deployment that is not done, removes nothing.
#[test]
fn an_empty_folder_in_the_place_of_another_removes_nothing() {
    let house = House::new();
    let store = house.open();
    let keys = house.folder.path().join("p/keys");
    fs::rename(&keys, house.folder.path().join("mounted")).unwrap();
    fs::create_dir(&keys).unwrap();
    let only = Scope::Only { paths: [std::path::PathBuf::from("keys/key-1.json")].into(), identities: false };
    for _ in 0..2 {
        assert!(!store.reload(&only, Duration::ZERO, None, now()).changed);
        assert!(!store.look(now()).changed);
        let told = house.shown(&store.status().problems);
        assert!(told.len() == 1 && told[0].starts_with("p/keys: is another folder, and empty"), "{told:?}");
        assert_eq!(store.status().counts.key_policies, 1);
    }
    // Watching begins anew once, not as long as it stays so.
    assert!(store.watching().is_outdated());
    store.watching().set_told(true);
    store.look(now());
    assert!(!store.watching().is_outdated());
    // Until a file is there, which says what the folder is about …
    house.write("p/keys/key-2.json", &key("kms:*"));
    assert!(store.look(now()).changed);
    assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (1, 0));
    // … or somebody says that it is meant. In the same folder, a removal is one.
    fs::rename(&keys, house.folder.path().join("again")).unwrap();
    fs::create_dir(&keys).unwrap();
    assert!(store.reload(&Scope::Anew, Duration::ZERO, None, now()).changed);
    assert_eq!((store.status().counts.key_policies, store.status().problems.len()), (0, 0));
}

/// Events in any order: whom a policy is attached to, and the policy.
#[test]
fn a_directory_is_taken_when_its_last_policy_comes() {
    let house = House::new();
    let store = house.open();
    let only = |path: Option<&str>| Scope::Only {
        paths: path.map(std::path::PathBuf::from).into_iter().collect(),
        identities: path.is_none(),
    };
    let told = |path| store.reload(&only(path), Duration::ZERO, None, now()).changed;
    house.write("i.toml", &IDENTITIES.replace("'Use'", "'New'"));
    assert!(!told(None) && store.status().problems.len() == 1);
    house.write("p/ram/New.json", &ram("kms:Decrypt"));
    assert!(told(Some("ram/New.json")));
    assert_eq!(store.status().problems, []);
    assert!(alice_may(&store, "kms:Decrypt") && !alice_may(&store, "kms:Encrypt"));
}

/// What comes in the place of a file that everybody may write, or of a link, by an event alone.
#[test]
fn an_event_is_looked_at_as_carefully_as_everything() {
    let house = House::new();
    let store = house.open();
    let told = |path: &str| {
        let scope = Scope::Only { paths: [std::path::PathBuf::from(path)].into(), identities: false };
        store.reload(&scope, Duration::ZERO, None, now()).changed
    };
    house.set_mode("p/keys", 0o777);
    house.write("p/keys/key-1.json", &key("kms:*"));
    assert!(!told("keys/key-1.json"), "everybody may have written that");
    house.set_mode("p/keys", 0o755);
    house.write("p/keys/KEY-1.json", &key("kms:*"));
    assert!(!told("keys/KEY-1.json"), "it is a second file for a key");
    house.remove("p/keys/KEY-1.json");
    house.write("p/.store/key-1.json", &key("kms:*"));
    house.set_mode("p/.store", 0o777);
    house.remove("p/keys/key-1.json");
    symlink("../.store/key-1.json", house.folder.path().join("p/keys/key-1.json")).unwrap();
    assert!(!told("keys/key-1.json"), "everybody may have put that where the link leads");
    assert_eq!(store.policy_text(Kind::Key, "1", "key-1").as_deref(), Some(&*key("kms:Encrypt")));
    house.set_mode("p/.store", 0o755);
    assert!(told("keys/key-1.json"));
}
