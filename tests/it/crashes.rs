//! A Keyward that is killed at random moments, again and again: what it answered is there afterwards, and nothing is half
//! there. `KEYWARD_KILLS` says how many times (default: 32), `KEYWARD_SEED` which moments and operations.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment says how often and with which seed; what is left is looked at"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::data::{FORMAT_1, FORMAT_1_CIPHERTEXT};
use crate::sandbox::{House, KIM, ROOT, Running};

const KILLS: u64 = 32;

/// How long a Keyward may live while it works, and while it starts, at most.
const WORKS: Duration = Duration::from_millis(300);
const STARTS: Duration = Duration::from_millis(40);

/// How many things of each kind and client are looked at after a kill; after the last one, all are.
const CHECKED: usize = 20;

/// How many clients there are, each with things of its own.
const CLIENTS: u64 = 3;

/// A generator of numbers that a seed tells (SplitMix64).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn within(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros().try_into().unwrap()))
    }
}

/// What one client was answered, and the one thing that it was not answered yet.
struct Client {
    number: u64,
    random: Random,
    made: u64,
    /// Keys, each with a ciphertext of `aGk=` once it made one, and whether it is enabled.
    keys: BTreeMap<String, (Option<String>, bool)>,
    /// Aliases, and the key of each.
    aliases: BTreeMap<String, String>,
    /// Secrets, and the data of their versions, the current one last.
    secrets: BTreeMap<String, Vec<String>>,
    /// What was asked last and not answered.
    pending: Option<Asked>,
}

#[derive(Clone, Debug)]
enum Asked {
    Key,
    Alias(String, String),
    Enabled(String, bool),
    Encrypt(String),
    Secret(String, String),
    Version(String, String),
}

impl Client {
    fn new(number: u64, seed: u64) -> Self {
        let random = Random(seed.wrapping_mul(31).wrapping_add(number));
        let (keys, aliases, secrets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { number, random, made: 0, keys, aliases, secrets, pending: None }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("c{}-{}", self.number, self.made)
    }

    fn pick<T>(&mut self, from: &BTreeMap<String, T>) -> Option<String> {
        let at = self.random.below(from.len().max(1) as u64);
        from.keys().nth(at.try_into().unwrap()).cloned()
    }

    /// Something to ask for.
    fn next(&mut self) -> Asked {
        let (keys, secrets) = (self.keys.clone(), self.secrets.clone());
        let Some(key) = self.pick(&keys) else { return Asked::Key };
        let enabled = keys[&key].1;
        match self.random.below(8) {
            0 => Asked::Key,
            1 => Asked::Alias(format!("alias/{}", self.name()), key),
            2 | 3 => Asked::Enabled(key, !enabled),
            4 if enabled => Asked::Encrypt(key),
            5 => Asked::Secret(self.name(), self.name().repeat(40)),
            _ => match self.pick(&secrets) {
                Some(name) => Asked::Version(name, self.name().repeat(40)),
                None => Asked::Secret(self.name(), self.name()),
            },
        }
    }

    /// Asks until no answer comes any more.
    fn work(&mut self, running: &Running<'_>) {
        loop {
            let asked = self.next();
            self.pending = Some(asked.clone());
            let Some(reply) = ask(running, &asked) else { return };
            let body = reply.ok();
            self.pending = None;
            self.take(asked, &body);
        }
    }

    /// Remembers what was answered.
    fn take(&mut self, asked: Asked, answer: &Value) {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        match asked {
            Asked::Key => drop(self.keys.insert(text("/KeyMetadata/KeyId"), (None, true))),
            Asked::Alias(alias, key) => drop(self.aliases.insert(alias, key)),
            Asked::Enabled(key, enabled) => self.keys.get_mut(&key).unwrap().1 = enabled,
            Asked::Encrypt(key) => self.keys.get_mut(&key).unwrap().0 = Some(text("/CiphertextBlob")),
            Asked::Secret(name, data) => drop(self.secrets.insert(name, vec![data])),
            Asked::Version(name, data) => self.secrets.get_mut(&name).unwrap().push(data),
        }
    }

    /// What was asked and not answered happened as a whole, or not at all; from now on it is known which.
    fn settle(&mut self, running: &Running<'_>) {
        let get = |operation: &str, params: &[(&str, &str)]| running.call(KIM, operation, params);
        match self.pending.take() {
            None | Some(Asked::Key | Asked::Encrypt(_)) => {}
            Some(Asked::Alias(alias, key)) => {
                let found = get("DescribeKey", &[("KeyId", &alias)]);
                if found.status == 200 {
                    assert_eq!(found.ok()["KeyMetadata"]["KeyId"], *key, "{alias}");
                    self.aliases.insert(alias, key);
                }
            }
            Some(Asked::Enabled(key, _)) => {
                let state = get("DescribeKey", &[("KeyId", &key)]).ok()["KeyMetadata"]["KeyState"].clone();
                assert!(state == "Enabled" || state == "Disabled", "{state}");
                self.keys.get_mut(&key).unwrap().1 = state == "Enabled";
            }
            Some(Asked::Secret(name, data)) => {
                let found = running.call(ROOT, "GetSecretValue", &[("SecretName", &name)]);
                if found.status == 200 {
                    assert_eq!(found.ok()["SecretData"], *data, "{name}");
                    self.secrets.insert(name, vec![data]);
                }
            }
            Some(Asked::Version(name, data)) => {
                let found = running.call(ROOT, "GetSecretValue", &[("SecretName", &name)]).ok();
                let versions = self.secrets.get_mut(&name).unwrap();
                if found["SecretData"] == *data {
                    versions.push(data);
                }
            }
        }
    }

    /// What was answered is there: about so many of each kind are looked at.
    fn check(&mut self, running: &Running<'_>, most: usize) {
        let mut random = self.random.clone();
        let mut chosen = |count: usize| random.below(count as u64) < most as u64;
        self.random.below(1);
        let get = |operation: &str, params: &[(&str, &str)]| running.call(ROOT, operation, params).ok();
        for (key, (sealed, enabled)) in self.keys.iter().filter(|_| chosen(self.keys.len())) {
            let found = get("DescribeKey", &[("KeyId", key)]);
            let state = if *enabled { "Enabled" } else { "Disabled" };
            assert_eq!(found["KeyMetadata"]["KeyState"], state, "{key}");
            if let Some(sealed) = sealed.as_ref().filter(|_| *enabled) {
                assert_eq!(get("Decrypt", &[("CiphertextBlob", sealed)])["Plaintext"], "aGk=", "{key}");
            }
        }
        for (alias, key) in self.aliases.iter().filter(|_| chosen(self.aliases.len())) {
            assert_eq!(get("DescribeKey", &[("KeyId", alias)])["KeyMetadata"]["KeyId"], **key, "{alias}");
        }
        for (name, versions) in self.secrets.iter().filter(|_| chosen(self.secrets.len())) {
            let current = get("GetSecretValue", &[("SecretName", name)]);
            assert_eq!(current["SecretData"], **versions.last().unwrap(), "{name}");
        }
    }
}

fn ask(running: &Running<'_>, asked: &Asked) -> Option<crate::sandbox::Reply> {
    let call = |operation: &str, params: &[(&str, &str)]| running.try_call(ROOT, operation, params);
    match asked {
        Asked::Key => call("CreateKey", &[]),
        Asked::Alias(alias, key) => call("CreateAlias", &[("AliasName", alias), ("KeyId", key)]),
        Asked::Enabled(key, true) => call("EnableKey", &[("KeyId", key)]),
        Asked::Enabled(key, false) => call("DisableKey", &[("KeyId", key)]),
        Asked::Encrypt(key) => call("Encrypt", &[("KeyId", key), ("Plaintext", "aGk=")]),
        Asked::Secret(name, data) => {
            call("CreateSecret", &[("SecretName", name), ("VersionId", "v0"), ("SecretData", data)])
        }
        Asked::Version(name, data) => {
            let id = &data[..data.len() / 40];
            call("PutSecretValue", &[("SecretName", name), ("VersionId", id), ("SecretData", data)])
        }
    }
}

/// Every key there is, whoever made it and whether its maker was answered, is whole: it encrypts and decrypts.
fn all_keys_are_whole(running: &Running<'_>) {
    let get = |operation: &str, params: &[(&str, &str)]| running.call(ROOT, operation, params).ok();
    for page in 1.. {
        let listed = get("ListKeys", &[("PageSize", "100"), ("PageNumber", &page.to_string())]);
        let keys = listed["Keys"]["Key"].as_array().unwrap();
        for key in keys.iter().map(|key| key["KeyId"].as_str().unwrap()) {
            get("EnableKey", &[("KeyId", key)]);
            let sealed = get("Encrypt", &[("KeyId", key), ("Plaintext", "aGk=")]);
            let sealed = sealed["CiphertextBlob"].as_str().unwrap();
            assert_eq!(get("Decrypt", &[("CiphertextBlob", sealed)])["Plaintext"], "aGk=", "{key}");
        }
        if keys.len() < 100 {
            return;
        }
    }
}

/// What the environment says about kills and seed.
fn told() -> (u64, u64) {
    let from = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    (from("KEYWARD_KILLS").unwrap_or(KILLS), from("KEYWARD_SEED").unwrap_or(1))
}

/// Whatever a start that made the data, or wrote data of an earlier format anew, left when it died: the next one serves.
#[test]
fn a_first_start_may_be_killed_at_any_moment() {
    let (kills, seed) = told();
    println!("KEYWARD_SEED={seed} KEYWARD_KILLS={kills}");
    let (house, mut random, mut left) = (House::new(), Random(seed), BTreeMap::new());
    let (data, root_key) = (house.path(".keyward"), house.path(".keyward/root.key"));
    for round in 0..kills {
        std::fs::create_dir(&data).unwrap();
        let old = round % 2 == 0;
        if old {
            std::fs::write(data.join("kms.redb"), FORMAT_1).unwrap();
        }
        // Half of them die while they write: after the root key, before the first answer.
        match round % 4 {
            0 | 1 => house.start_and_kill(|| true, random.within(STARTS)),
            _ => house.start_and_kill(|| root_key.exists(), random.within(STARTS / 4)),
        }
        let entries = std::fs::read_dir(&data).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.filter(|name| !name.ends_with(".tmp")).collect();
        names.sort();
        *left.entry((old, names)).or_insert(0) += 1;
        let running = house.start();
        running.call(KIM, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGk=")]).ok();
        if old {
            let opened = running.call(KIM, "Decrypt", &[("CiphertextBlob", FORMAT_1_CIPHERTEXT)]).ok();
            assert_eq!(opened["Plaintext"], "aGk=");
        }
        drop(running);
        std::fs::remove_dir_all(&data).unwrap();
    }
    println!("{kills} first starts left {left:?}");
    // Otherwise none of them died at a moment that matters.
    assert!(left.len() > 2, "{left:?}");
}

#[test]
fn what_was_answered_survives_kills_at_random_moments() {
    let (kills, seed) = told();
    println!("KEYWARD_SEED={seed} KEYWARD_KILLS={kills}");
    let begun = Instant::now();
    let house = House::new();
    let mut random = Random(seed);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, seed)).collect();
    for round in 0..kills {
        // Every fourth one dies while it starts: the first of them with no data yet.
        if round % 4 == 0 {
            house.start_and_kill(|| true, random.within(STARTS));
            continue;
        }
        let running = house.start();
        let (clients, after) = (&mut clients, random.within(WORKS));
        clients.iter_mut().for_each(|client| client.settle(&running));
        clients.iter_mut().for_each(|client| client.check(&running, CHECKED));
        std::thread::scope(|scope| {
            for client in clients {
                let running = &running;
                scope.spawn(move || client.work(running));
            }
            let deadline = Instant::now() + after;
            crate::sandbox::wait(|| Instant::now() >= deadline);
            running.signal("KILL");
        });
    }
    let running = house.start();
    clients.iter_mut().for_each(|client| client.settle(&running));
    clients.iter_mut().for_each(|client| client.check(&running, usize::MAX));
    all_keys_are_whole(&running);
    let made = |count: fn(&Client) -> usize| clients.iter().map(count).sum::<usize>();
    let (keys, aliases, secrets) = (made(|it| it.keys.len()), made(|it| it.aliases.len()), made(|it| it.secrets.len()));
    println!("{kills} kills in {:?}: {keys} keys, {aliases} aliases, {secrets} secrets answered", begun.elapsed());
    assert!(keys > 0 && aliases > 0 && secrets > 0);
}

/// A policy that was set is in its file, whole, and in force after a restart: the one that was answered last, or the one
/// that was being set.
#[test]
fn policies_survive_kills_at_random_moments() {
    let (kills, seed) = told();
    println!("KEYWARD_SEED={seed} KEYWARD_KILLS={kills}");
    let (house, mut random) = (House::new(), Random(seed));
    let keys = ["key-exampleorders01", "key-examplepayroll01"];
    let file = |key: &str| format!("policies/keys/{key}.json");
    let policy = |number: u64| {
        let (sid, padding) = (format!("v{number}"), " ".repeat(usize::try_from(number % 20).unwrap() * 1000));
        format!(
            r#"{{"Version":"1","Statement":[{{"Sid":"{sid}","Effect":"Allow","Principal":{{"RAM":["acs:ram::1234567890123456:*"]}},"Action":["kms:*"],"Resource":["*"]}}]}}{padding}"#
        )
    };
    // Of each key, what was answered last, and what was asked and not answered.
    let mut answered: Vec<String> = keys.iter().map(|key| house.read(&file(key))).collect();
    let mut pending: Vec<Option<String>> = vec![None; keys.len()];
    let (mut number, mut set) = (0, 0_u64);
    for _ in 0..kills {
        let running = house.start();
        for (index, key) in keys.iter().enumerate() {
            let found = house.read(&file(key));
            let expected = [Some(&answered[index]), pending[index].as_ref()];
            assert!(expected.contains(&Some(&found)), "{key} is neither what was answered nor what was asked");
            let in_force = running.call(ROOT, "GetKeyPolicy", &[("KeyId", key)]).ok()["Policy"].clone();
            assert_eq!(in_force, *found, "{key}");
            answered[index] = found;
        }
        let first = number;
        number += 1_000_000;
        let results: Vec<(String, Option<String>, u64)> = std::thread::scope(|scope| {
            let (running, answered) = (&running, &answered);
            let work = |index: usize| {
                let (mut last, mut number, mut count) = (answered[index].clone(), first, 0);
                loop {
                    number += 1;
                    let next = policy(number);
                    let params = [("KeyId", keys[index]), ("Policy", next.as_str())];
                    match running.try_call(ROOT, "SetKeyPolicy", &params) {
                        Some(reply) => drop(reply.ok()),
                        None => return (last, Some(next), count),
                    }
                    (last, count) = (next, count + 1);
                }
            };
            let workers: Vec<_> = (0..keys.len()).map(|index| scope.spawn(move || work(index))).collect();
            let deadline = Instant::now() + random.within(WORKS / 3);
            crate::sandbox::wait(|| Instant::now() >= deadline);
            running.signal("KILL");
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        for (index, (last, asked, count)) in results.into_iter().enumerate() {
            (answered[index], pending[index]) = (last, asked);
            set += count;
        }
    }
    let running = house.start();
    let left = std::fs::read_dir(house.path("policies/keys")).unwrap().count();
    assert_eq!(left, keys.len(), "something was left");
    println!("{kills} kills: {set} policies set");
    assert!(set > kills, "{set}");
    drop(running);
}
