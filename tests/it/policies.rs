//! Policies on disk as operators meet them: volumes that are swapped, editors, disks that are full or read-only, signals,
//! and a look at what is in force. A real process and real files; what needs rights that are not there is left out, and
//! said.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests write files, look at what is left of them, and say what is left out"
)]

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{ALICE, House, KIM, ROOT, Reply, Running, wait};

const ORDERS: &str = "policies/keys/key-exampleorders01.json";

fn text_of(running: &Running<'_>, key: &str) -> String {
    running.call(KIM, "GetKeyPolicy", &[("KeyId", key)]).ok()["Policy"].as_str().unwrap().to_owned()
}

/// A key policy that lets Alice encrypt, and says which version it is.
fn version(number: usize) -> String {
    let principal = "acs:ram::1234567890123456:user/alice";
    format!(
        r#"{{"Version":"1","Statement":[{{"Sid":"v{number}","Effect":"Allow","Principal":{{"RAM":["{principal}"]}},"Action":["kms:Encrypt"],"Resource":["*"]}}]}}"#
    )
}

/// Which version it is; `None` if it is another policy, such as the one of a key whose file is away for a moment.
fn version_in(policy: &str) -> Option<usize> {
    policy.split("\"Sid\":\"v").nth(1)?.split('"').next()?.parse().ok()
}

/// Runs a command in a house; whether it succeeded.
fn sh(house: &House, line: &str) -> bool {
    let output = Command::new("sh").arg("-c").arg(line).current_dir(house.path(".")).output().unwrap();
    output.status.success()
}

/// F08: a volume as Kubernetes mounts it, swapped a thousand times under load. Every answer was judged by one version:
/// what it allows, what it shows and the hash that it names belong together.
#[test]
fn a_swapped_volume_is_never_mixed() {
    const SWAPS: usize = 1000;
    let house = House::new();
    house.edit("config/keyward.toml", "version_header = false", "version_header = true");
    house.edit("config/keyward.toml", "debounce_ms = 20", "debounce_ms = 2");
    std::fs::rename(house.path("policies"), house.path("original")).unwrap();
    let swap = |number: usize| {
        let folder = format!("policies/..{number}");
        for part in ["ram", "accounts", "secrets"] {
            assert!(sh_copy(&house.path("original").join(part), &house.path(&folder).join(part)));
        }
        for key in ["key-exampleorders01", "key-examplepayroll01"] {
            house.write(&format!("{folder}/keys/{key}.json"), &version(number));
        }
        symlink(format!("..{number}"), house.path("policies/..data_tmp")).unwrap();
        std::fs::rename(house.path("policies/..data_tmp"), house.path("policies/..data")).unwrap();
        if number > 0 {
            std::fs::remove_dir_all(house.path(&format!("policies/..{}", number - 1))).unwrap();
        }
    };
    swap(0);
    for part in ["keys", "ram", "accounts", "secrets"] {
        symlink(format!("..data/{part}"), house.path("policies").join(part)).unwrap();
    }
    let running = house.start();
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let versions: Mutex<HashMap<String, usize>> = Mutex::default();
    let note = |reply: &Reply| {
        let number = version_in(reply.body["Policy"].as_str().unwrap_or_else(|| panic!("{}", reply.body))).unwrap();
        let hash = reply.version.as_ref().unwrap().split(' ').nth(1).unwrap().to_owned();
        let known = *versions.lock().unwrap().entry(hash).or_insert(number);
        assert_eq!(known, number, "one set of policies has two versions");
        asked.fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for key in ["key-exampleorders01", "key-examplepayroll01"] {
            let (running, done, note) = (&running, &done, &note);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    note(&running.call(KIM, "GetKeyPolicy", &[("KeyId", key)]));
                }
            });
        }
        for number in 1..=SWAPS {
            swap(number);
            // Now and then long enough for the swap to be seen.
            if number % 20 == 0 {
                let seen = || version_in(&text_of(&running, "key-exampleorders01")) == Some(number);
                assert!(wait(seen), "version {number} did not come into force: {}", running.status());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let seen = versions.lock().unwrap().len();
    println!("{SWAPS} swaps: {seen} versions seen in {} answers", asked.load(Ordering::Relaxed));
    assert!(seen > SWAPS / 20, "{seen} versions were seen");
    assert_eq!(running.status()["problems"].as_array().unwrap().len(), 0);
    assert_eq!(running.metric("keyward_policy_generations_alive"), 1.0, "old generations are gone");
}

fn sh_copy(from: &Path, to: &Path) -> bool {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    Command::new("cp").arg("-r").args([from, to]).status().unwrap().success()
}

/// However people and programs save a file, it is in force a moment later.
#[test]
fn every_habit_of_saving_is_seen() {
    let house = House::new();
    // Nothing is found by chance.
    house.edit("config/keyward.toml", "rescan_seconds = 10", "rescan_seconds = 3600");
    house.write(ORDERS, &version(0));
    assert!(sh(
        &house,
        "cd policies && git init -q . && git add . && git -c user.name=k -c user.email=k@example.com commit -qm 0"
    ));
    let running = house.start();
    let habits: [(&str, &str); 12] = [
        ("sed -i", "sed -i s/v0/vN/ F"),
        ("truncate and write", "cat new > F"),
        ("cp", "cp new F"),
        ("cp -p", "touch -d 1980-01-01 new && cp -p new F"),
        ("mv", "mv new F"),
        ("install", "install -m 644 new F"),
        ("ln", "ln -f new F"),
        ("rsync's way", "cp new policies/keys/.key.json.X1 && mv policies/keys/.key.json.X1 F"),
        ("vim, which renames", "mv F F~ && cat new > F && rm F~"),
        ("appending", "true > F && head -c 40 new >> F && tail -c +41 new >> F"),
        ("remove and create", "rm F && cp new F"),
        ("vim", "vim -es -u NONE -c 's/v[0-9]\\+/vN/' -c wq F </dev/null"),
    ];
    for (number, (name, habit)) in habits.into_iter().enumerate() {
        let number = number + 1;
        let program = habit.split(' ').next().unwrap();
        if !sh(&house, &format!("command -v {program} >/dev/null")) {
            println!("{name} is left out: {program} is not installed");
            continue;
        }
        house.write("new", &version(number));
        let line = habit.replace('F', ORDERS).replace("vN", &format!("v{number}"));
        assert!(sh(&house, &line), "{name}");
        let seen = wait(|| version_in(&text_of(&running, "key-exampleorders01")) == Some(number));
        assert!(seen, "{name}: {}", running.status());
    }
    assert!(sh(&house, "cd policies && git checkout -q ."));
    assert!(wait(|| version_in(&text_of(&running, "key-exampleorders01")) == Some(0)), "git checkout");
    assert_eq!(running.status()["problems"], Value::Array(Vec::new()));
}

/// F11: a folder that goes away and comes back.
#[test]
fn a_folder_that_comes_back_is_watched_again() {
    let house = House::new();
    house.edit("config/keyward.toml", "rescan_seconds = 10", "rescan_seconds = 3600");
    house.write(ORDERS, &version(1));
    let running = house.start();
    std::fs::rename(house.path("policies"), house.path("elsewhere")).unwrap();
    assert!(wait(|| !running.status()["problems"].as_array().unwrap().is_empty()), "{}", running.status());
    assert_eq!(version_in(&text_of(&running, "key-exampleorders01")), Some(1), "the last good set stays in force");
    assert!(sh(&house, "cp -r elsewhere policies"));
    assert!(wait(|| running.status()["problems"].as_array().unwrap().is_empty()), "{}", running.status());
    for number in 2..5 {
        house.write(ORDERS, &version(number));
        let seen = wait(|| version_in(&text_of(&running, "key-exampleorders01")) == Some(number));
        assert!(seen, "{}", running.status());
    }
    assert!(running.metric("keyward_watch_rearmed_total") >= 1.0);
}

/// F10: where the system tells no changes, they are looked for.
#[test]
fn without_events_the_rescan_finds_changes() {
    let limit = ["unshare", "-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\""];
    if !Command::new(limit[0]).args(&limit[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        println!("left out: no user namespace of our own can be made here");
        return;
    }
    let house = House::new();
    house.edit("config/keyward.toml", "rescan_seconds = 10", "rescan_seconds = 1");
    let running = house.start_after(&limit);
    assert_eq!(running.metric("keyward_watching"), 0.0);
    assert!(running.metric("keyward_watch_errors_total") >= 1.0);
    assert_eq!(running.status()["watching"]["told"], false);
    house.write(ORDERS, &version(1));
    assert!(wait(|| text_of(&running, "key-exampleorders01") == version(1)), "{}", running.status());
}

/// F16: whoever asks for a look, and however often, is answered by what is in force then.
#[test]
fn signals_and_requests_have_files_read_again() {
    let house = House::new();
    house.edit("config/keyward.toml", "rescan_seconds = 10", "rescan_seconds = 3600");
    house.edit("config/keyward.toml", "debounce_ms = 20", "debounce_ms = 500");
    let mut running = house.start();
    house.write(ORDERS, &version(1));
    let (status, told) = running.reload("");
    assert_eq!((status, &told["generation"]), (200, &2.into()), "when it is answered, it is in force");
    assert_eq!(text_of(&running, "key-exampleorders01"), version(1));
    house.write(ORDERS, "{");
    let (status, told) = running.reload("");
    let problem = told["problems"][0].as_str().unwrap().to_owned();
    assert!(status == 422 && problem.contains("key-exampleorders01.json:1:1: is not JSON"), "{told}");
    house.write(ORDERS, &version(2));
    let process = running.process();
    let line = format!("i=0; while [ $i -lt 10000 ]; do kill -HUP {process}; i=$((i+1)); done");
    assert!(sh(&house, &line));
    assert!(wait(|| text_of(&running, "key-exampleorders01") == version(2)));
    // With nothing to be told about, a signal alone has the files looked at.
    assert!(wait(|| {
        let before = running.status()["looked"].clone();
        running.signal("HUP");
        wait(|| running.status()["looked"] != before)
    }));
    assert_eq!(running.reload("?approve=").0, 200);
    assert_eq!(running.reload("?force=1").0, 400);
    assert_eq!(running.page("/-/reload").0, 405);
    running.signal("TERM");
    running.signal("HUP");
    assert!(running.ended().success());
}

/// Only what asks for itself is listened to: a page in a browser is not.
#[test]
fn browsers_have_nothing_read_again() {
    let house = House::new();
    let running = house.start();
    let looked = || running.status()["looked"].clone();
    for (header, expected) in [
        ("X: y", "200"),
        ("Origin: http://evil.example", "403"),
        ("Sec-Fetch-Site: cross-site", "403"),
        ("Sec-Fetch-Mode: no-cors", "403"),
    ] {
        let before = looked();
        let request = format!(
            "POST /-/reload HTTP/1.1\r\nHost: {}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            running.admin
        );
        let answer = crate::sandbox::exchange(&mut crate::sandbox::tcp(&running.admin), request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{header}: {answer}");
        assert_eq!(looked() == before, expected == "403", "{header}");
    }
}

/// F22: of those who mean to replace the same policy, one does.
#[test]
fn of_many_who_replace_a_policy_at_once_each_version_has_one_successor() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 12;
    let house = House::new();
    house.write(ORDERS, &version(0));
    let running = house.start();
    let (changed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let write = || {
        for _ in 0..ROUNDS {
            let read = text_of(&running, "key-exampleorders01");
            let next = version(version_in(&read).unwrap() + 1);
            let params = [("KeyId", "key-exampleorders01"), ("Policy", next.as_str())];
            let hash = keyward::store::hash_of(&read);
            let reply = running.try_call_if(Some(&hash), KIM, "SetKeyPolicy", &params).unwrap();
            match reply.status {
                200 => changed.fetch_add(1, Ordering::SeqCst),
                _ => {
                    reply.refused(409, "Rejected.PolicyConflict");
                    refused.fetch_add(1, Ordering::SeqCst)
                }
            };
        }
    };
    thread::scope(|scope| (0..WRITERS).for_each(|_| drop(scope.spawn(write))));
    let (changed, refused) = (changed.into_inner(), refused.into_inner());
    assert_eq!(changed + refused, WRITERS * ROUNDS);
    assert_eq!(version_in(&text_of(&running, "key-exampleorders01")), Some(changed), "no change was lost");
    assert_eq!(house.read(ORDERS), version(changed));
    let wrong = running.try_call_if(Some("yes"), KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01")]).unwrap();
    wrong.refused(400, "InvalidParameter");
}

/// A change over the API stands in its audit line, with the hashes of before and after.
#[test]
fn a_change_is_in_the_audit_trail() {
    let house = House::new();
    let running = house.start();
    let (before, after) = (house.read(ORDERS), version(1));
    running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", &after)]).ok();
    let params =
        [("SecretName", "s"), ("SecretData", "x"), ("VersionId", "1"), ("EncryptionKeyId", "key-exampleorders01")];
    running.call(ROOT, "CreateSecret", &[&params[..], &[("Policy", &after)]].concat()).ok();
    running.call(ROOT, "DeleteSecret", &[("SecretName", "s"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    running.call(ALICE, "Encrypt", &[("KeyId", "key-exampleorders01"), ("Plaintext", "aGk=")]).ok();
    let lines = running.wait_for_audit_lines(4);
    let hash = keyward::store::hash_of;
    let change = |file: &str, old: Option<&str>, new: Option<&str>| serde_json::json!([{ "file": file, "old": old.map(hash), "new": new.map(hash) }]);
    assert_eq!(lines[0]["policy_changes"], change("keys/key-exampleorders01.json", Some(&before), Some(&after)));
    assert_eq!(lines[1]["policy_changes"], change("secrets/s.json", None, Some(&after)));
    assert_eq!(lines[2]["policy_changes"], change("secrets/s.json", Some(&after), None));
    assert_eq!(lines[3]["policy_changes"], Value::Null);
    // Each was judged by what was in force before it.
    let generations: Vec<u64> = lines.iter().map(|line| line["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [1, 2, 3, 4]);
    assert_eq!(lines[3]["policy_hash"], running.status()["hash"]);
}

/// F21: a disk that is full. The old policy stays, on the disk and in force, and the caller is told.
#[test]
fn a_full_disk_loses_nothing() {
    let house = House::new();
    let Some(mount) = Mount::new(&house, "-t tmpfs -o size=64k,mode=755 tmpfs policies") else { return };
    assert!(sh(&house, "cp -r original/* policies/"));
    let running = house.start();
    let before = house.read(ORDERS);
    assert!(!sh(&house, "head -c 200000 /dev/zero > policies/keys/.ballast"), "the disk is not full");
    let large = format!("{}{}", version(1), " ".repeat(30_000));
    let set = |text: &str| running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", text)]);
    set(&large).refused(500, "InternalFailure");
    assert_eq!((house.read(ORDERS), text_of(&running, "key-exampleorders01")), (before.clone(), before));
    let left = std::fs::read_dir(house.path("policies/keys")).unwrap().count();
    assert_eq!(left, 3, "nothing is left of the attempt");
    std::fs::remove_file(house.path("policies/keys/.ballast")).unwrap();
    set(&version(1)).ok();
    assert_eq!(house.read(ORDERS), version(1));
    drop((running, mount));
}

/// Where policies cannot be written, whoever tries is told so; reading goes on.
#[test]
fn a_read_only_folder_is_said_to_be_read_only() {
    let house = House::new();
    let Some(mount) = Mount::new(&house, "--bind original policies && mount -o remount,bind,ro policies") else {
        return;
    };
    // On such a mount it does not matter who could write it elsewhere.
    assert!(sh(&house, "chmod 666 original/keys/*.json"));
    let running = house.start();
    let before = text_of(&running, "key-exampleorders01");
    let told = running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", &version(1))]);
    let told = told.refused(400, "UnsupportedOperation");
    assert!(told["Message"].as_str().unwrap().contains("policies are read-only here"), "{told}");
    let secret = [("SecretName", "orders/db-password"), ("Policy", &version(1))];
    running.call(KIM, "SetSecretPolicy", &secret).refused(400, "UnsupportedOperation");
    assert_eq!(text_of(&running, "key-exampleorders01"), before);
    // Whoever may write it elsewhere is seen.
    house.write("original/keys/key-exampleorders01.json", &version(2));
    assert_eq!(running.reload("").0, 200);
    assert_eq!(text_of(&running, "key-exampleorders01"), version(2));
    drop((running, mount));
}

/// F19: a file that is mounted by itself is said to be.
#[test]
fn a_file_that_is_mounted_by_itself_is_warned_of() {
    let house = House::new();
    std::fs::copy(house.path("config/identities.toml"), house.path("mounted.toml")).unwrap();
    let Some(mount) = Mount::over(&house, "config/identities.toml", "--bind mounted.toml config/identities.toml")
    else {
        return;
    };
    let running = house.start();
    let warnings = running.status()["warnings"].to_string();
    assert!(warnings.contains("identities.toml: is mounted by itself"), "{warnings}");
    drop((running, mount));
}

/// Something that is mounted in a house, until this is dropped.
struct Mount<'h> {
    house: &'h House,
    at: &'static str,
}

impl<'h> Mount<'h> {
    /// Mounts over the policy folder, whose files are then in `original/`. `None`, and a line that says so, where this
    /// process may not mount.
    fn new(house: &'h House, arguments: &str) -> Option<Self> {
        std::fs::rename(house.path("policies"), house.path("original")).unwrap();
        std::fs::create_dir(house.path("policies")).unwrap();
        Self::over(house, "policies", arguments)
    }

    fn over(house: &'h House, at: &'static str, arguments: &str) -> Option<Self> {
        if sh(house, &format!("mount {arguments}")) {
            return Some(Self { house, at });
        }
        println!("left out: nothing can be mounted here");
        None
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        assert!(sh(self.house, &format!("umount -l {}", self.at)));
    }
}

/// F18: however often policies change, and however many requests hold the old ones, memory stays what it is.
#[test]
fn generations_are_freed() {
    let test = "policies::reloads_ten_thousand_times";
    let mut command = Command::new(std::env::current_exe().unwrap());
    // A process of its own: other tests take memory, too.
    let output = command.args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by another test"]
fn reloads_ten_thousand_times() {
    const RELOADS: u64 = 10_000;
    let house = House::new();
    let settings = keyward::settings::Settings::load(&house.path("config/keyward.toml")).unwrap();
    let now = || jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    let store = keyward::store::Store::open(&settings, now()).unwrap();
    let paths = || [std::path::PathBuf::from("keys/key-exampleorders01.json")].into();
    let resident_kib = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (done, mut first) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = std::collections::VecDeque::new();
            while !done.load(Ordering::Relaxed) {
                held.push_back(store.current());
                if held.len() > 8 {
                    held.pop_front();
                }
                thread::park_timeout(Duration::from_micros(100));
            }
        });
        for round in 0..RELOADS {
            house.write(ORDERS, &version(usize::try_from(round).unwrap()));
            let scope = keyward::store::Scope::Only { paths: paths(), identities: false };
            assert!(store.reload(&scope, Duration::ZERO, None, now()).changed, "{round}");
            if round == RELOADS / 10 {
                first = resident_kib();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let grown = resident_kib().saturating_sub(first);
    println!("{RELOADS} reloads: {grown} KiB more than after the first tenth");
    assert!(grown < 4 * 1024, "{grown} KiB more");
    assert_eq!(store.generations_alive(), 1);
    assert_eq!(store.status().generation, RELOADS + 1);
}

/// What is in force, told by a command.
#[test]
fn a_command_tells_what_is_in_force() {
    let house = House::new();
    house.edit("config/keyward.toml", "approval = false", "approval = true");
    let running = house.start();
    let admin = running.admin.clone();
    let keyward =
        |arguments: &[&str]| house.run(&[arguments, &["--admin", &admin, "--config", "config/keyward.toml"]].concat());
    let (said, _, code) = keyward(&["status", "--files"]);
    let checked = house.run(&["check", "--format", "json"]).0;
    let hash = serde_json::from_str::<Value>(&checked).unwrap()["hash"].as_str().unwrap().to_owned();
    assert!(code == Some(0) && said.contains("generation 1 since") && said.contains(&hash), "{said}");
    let sum = keyward::store::hash_of(&house.read(ORDERS));
    assert!(said.contains(&format!("{sum}  ")) && said.contains(ORDERS), "{said}");
    house.write(ORDERS, &version(1));
    let (said, _, code) = keyward(&["reload"]);
    assert!(code == Some(1) && said.contains("1 changed file waits for approval"), "{said}");
    assert!(said.contains("+{\"Version\":\"1\""), "the difference is shown: {said}");
    let told: Value = serde_json::from_str(&keyward(&["status", "--format", "json"]).0).unwrap();
    let waiting = told["waiting"]["approval"].as_str().unwrap();
    assert_ne!(waiting, hash);
    assert_eq!(keyward(&["reload", "--approve", &hash]).2, Some(1), "that is another set");
    assert_eq!(keyward(&["reload", "--approve", waiting]).2, Some(0));
    assert_eq!(text_of(&running, "key-exampleorders01"), version(1));
    house.write(ORDERS, "{");
    let (said, _, code) = keyward(&["reload"]);
    assert!(code == Some(1) && said.contains("last error") && said.contains("error: "), "{said}");
    drop(running);
    let (_, said, code) = keyward(&["status"]);
    assert!(code == Some(2) && said.contains("is Keyward running?"), "{said}");
}

/// F15: a restart with a broken file goes on with its last good version, if a copy of it was kept.
#[test]
fn a_restart_with_a_broken_file_goes_on() {
    let house = House::new();
    house.edit(
        "config/keyward.toml",
        "# last_good = \"../.keyward/last-good.redb\"   #",
        "last_good = \"last-good.redb\" #",
    );
    house.write(ORDERS, &version(1));
    let running = house.start();
    house.write(ORDERS, &version(2));
    assert!(wait(|| text_of(&running, "key-exampleorders01") == version(2)));
    running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-examplepayroll01"), ("Policy", &version(3))]).ok();
    running.reload("");
    running.kill();
    for file in [ORDERS, "policies/keys/key-examplepayroll01.json", "config/identities.toml"] {
        house.write(file, "{");
    }
    let running = house.start();
    assert_eq!(text_of(&running, "key-exampleorders01"), version(2));
    assert_eq!(text_of(&running, "key-examplepayroll01"), version(3));
    assert_eq!(running.status()["problems"].as_array().unwrap().len(), 3, "{}", running.status());
    assert_eq!(running.page("/readyz").0, 200);
}

/// What could not be confirmed for too long is not judged by, and readiness says so.
#[test]
fn stale_policies_stop_the_service() {
    let house = House::new();
    house.edit("config/keyward.toml", "rescan_seconds = 10", "rescan_seconds = 1");
    house.edit("config/keyward.toml", "# max_age_seconds = 300", "max_age_seconds = 2");
    let running = house.start();
    assert_eq!(running.call(ALICE, "ListKeys", &[]).status, 200);
    house.write(ORDERS, "{");
    assert!(wait(|| running.page("/readyz").0 == 503), "{}", running.status());
    running.call(ALICE, "ListKeys", &[]).refused(503, "ServiceUnavailableTemporary");
    assert_eq!(running.metric(r#"keyward_rejections_total{reason="stale_policies"}"#), 1.0);
    house.write(ORDERS, &version(1));
    assert!(wait(|| running.page("/readyz").0 == 200), "{}", running.status());
    assert_eq!(running.call(ALICE, "ListKeys", &[]).status, 200);
}
