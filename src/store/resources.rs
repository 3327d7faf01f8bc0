//! `resources.toml`: what the operator says of keys and secrets behind a KMS elsewhere. Names, owners, tags, and which key
//! encrypts a secret: what this says counts before anything that was heard of KMS.
//!
//! With the embedded KMS the file is not read: that one knows its own.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::entry::Hash;
use super::folder::{Folder, Seen};
use super::stamp::Stamp;
use crate::authz::ResourceIndex;
use crate::kms::{AliasName, KeyId, SecretName, is_account_id};
use crate::policy::Pairs;
use crate::source::Problem;
use crate::source::toml::{self, Section};

/// The name of the file in the policy folder.
pub const FILE: &str = "resources.toml";

/// What the file said last.
#[derive(Clone, Default)]
pub struct Resources {
    taken: Option<Taken>,
}

#[derive(Clone)]
struct Taken {
    stamp: Option<Stamp>,
    hash: Hash,
    index: Arc<ResourceIndex>,
}

/// What a look at the file came to.
pub enum Reading {
    /// It says what it said.
    Same,
    /// It is still being written.
    Unsettled,
    /// It says something else: how, or that it is gone.
    Changed(Resources),
    /// It cannot be used.
    Unusable(Vec<Problem>),
}

impl Resources {
    /// What it says of names, if there is one.
    pub fn index(&self) -> Option<Arc<ResourceIndex>> {
        self.taken.as_ref().map(|taken| taken.index.clone())
    }

    /// The hash of its text, if there is one.
    pub fn hash(&self) -> Option<Hash> {
        self.taken.as_ref().map(|taken| taken.hash)
    }

    /// Looks at the file. What lies in it belongs to `account` where it does not say otherwise. `is_settled` is asked of a
    /// stamp that is not the one that was taken.
    pub fn look(
        &self,
        folder: &Folder,
        account: &str,
        anew: bool,
        mut is_settled: impl FnMut(Stamp) -> bool,
    ) -> Reading {
        let whole = |why: String| vec![Problem::of_file("", why)];
        let stamp = match folder.look(FILE).0 {
            Seen::Nothing if self.taken.is_none() => return Reading::Same,
            Seen::Nothing => return Reading::Changed(Self::default()),
            Seen::File(Err(why)) => return Reading::Unusable(whole(why)),
            Seen::File(Ok(stamp)) => stamp,
        };
        if !anew && self.taken.as_ref().is_some_and(|taken| taken.stamp == Some(stamp)) {
            return Reading::Same;
        }
        if !is_settled(stamp) {
            return Reading::Unsettled;
        }
        let text = match folder.read(FILE) {
            Ok((text, Some(read))) if read == stamp => text,
            Ok(_) => return Reading::Unsettled,
            Err(why) => return Reading::Unusable(whole(why)),
        };
        match parse(&text, account) {
            Ok(index) => {
                let hash = Sha256::digest(&text).into();
                let taken = Taken { stamp: Some(stamp), hash, index: Arc::new(index) };
                Reading::Changed(Self { taken: Some(taken) })
            }
            Err(problems) => Reading::Unusable(problems),
        }
    }
}

/// What a text says of names.
///
/// # Errors
/// Every mistake with its place.
pub fn parse(text: &str, account: &str) -> Result<ResourceIndex, Vec<Problem>> {
    toml::read(text, |root| {
        let mut index = ResourceIndex::of_hearsay();
        for (name, section) in root.named_sections("keys") {
            key(&mut index, name, &section, account);
        }
        for (name, section) in root.named_sections("secrets") {
            secret(&mut index, name, &section, account);
        }
        Some(index)
    })
}

fn owner(section: &Section<'_>, account: &str) -> String {
    let given = section.parsed("account", |text| {
        if is_account_id(text) { Ok(text.to_owned()) } else { Err("must be an account id, which is digits only") }
    });
    given.unwrap_or_else(|| account.to_owned())
}

fn tags(section: &Section<'_>) -> Option<Arc<Pairs>> {
    let given = section.named_strings("tags");
    section
        .has("tags")
        .then(|| given.into_iter().map(|(key, value, _)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>().into())
}

fn key(index: &mut ResourceIndex, name: &str, section: &Section<'_>, account: &str) {
    let account = owner(section, account);
    let Some(id) = KeyId::parse(name) else {
        section.problem(format!("`{name}` is no id of a key"));
        return;
    };
    index.set_owner(id.clone(), &account);
    for (alias, place) in section.strings("aliases").unwrap_or_default() {
        match AliasName::parse(alias) {
            Some(alias) if index.key_of_alias(&account, &alias).is_none() => {
                index.set_alias(&account, &alias, id.clone());
            }
            Some(_) => section.report_place(place, format!("`{alias}` points to another key already")),
            None => section.report_place(place, format!("`{alias}` is no alias; write for example \"alias/orders\"")),
        }
    }
    for (version, place) in section.strings("versions").unwrap_or_default() {
        match index.key_of_version(version) {
            Some((_, other)) if *other != id => {
                section.report_place(place, format!("`{version}` is a version of key `{other}` already"));
            }
            _ => index.add_version(version, &account, id.clone()),
        }
    }
    if let Some(tags) = tags(section) {
        index.set_key_tags(&account, &id, tags);
    }
    section.finish();
}

fn secret(index: &mut ResourceIndex, name: &str, section: &Section<'_>, account: &str) {
    let account = owner(section, account);
    let Some(secret) = SecretName::parse(name) else {
        section.problem(format!("`{name}` is no name of a secret"));
        return;
    };
    let key = section.parsed("key", |text| match text {
        "none" => Ok(None),
        id => KeyId::parse(id).map(Some).ok_or("must be the id of the key that encrypts the secret, or \"none\""),
    });
    if let Some(key) = key {
        index.add_secret(&account, &secret, key);
    }
    if let Some(tags) = tags(section) {
        index.set_secret_tags(&account, &secret, tags);
    }
    section.finish();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Known, Owned, Target};

    /// It also fits the schema that editors have.
    #[test]
    fn the_example_can_be_read() {
        assert!(parse(include_str!("../../tests/fixtures/resources.toml"), "1").is_ok());
    }

    #[test]
    fn a_version_is_of_one_key() {
        let text = "[keys.k1]\nversions = ['v1', 'v1']\n[keys.k2]\nversions = ['v1']\n[keys.k3]\ntag = {}\ntags = {}\n";
        let problems = parse(text, "1").err().unwrap();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            ["4:13: `v1` is a version of key `k1` already", "6:1: unknown entry `keys.k3.tag`; did you mean `tags`?"]
        );
        let problems = parse("[keys.k]\nowner = '1'\n", "1").err().unwrap();
        assert!(problems[0].message.ends_with("known here: account, aliases, versions, tags"), "{problems:?}");
    }

    #[test]
    fn the_operator_says_what_names_stand_for() {
        let text = "[keys.k1]\naliases = ['alias/a']\nversions = ['v1']\ntags = { team = 'x' }\n\
                    [keys.k2]\naccount = '2'\n[secrets.'app/db']\nkey = 'k1'\n[secrets.plain]\nkey = 'none'\ntags = {}\n[secrets.odd]\n";
        let index = parse(text, "1").unwrap();
        let id = |text: &str| KeyId::parse(text).unwrap();
        let secret = |text: &str| SecretName::parse(text).unwrap();
        assert_eq!(index.key_of_alias("1", &AliasName::parse("alias/a").unwrap()), Some(&id("k1")));
        assert_eq!((index.owner_of(&id("k1")), index.owner_of(&id("k2"))), (Some("1"), Some("2")));
        assert_eq!(index.key_of_secret("1", &secret("app/db")), Known::Is(&id("k1")));
        assert_eq!(index.key_of_secret("1", &secret("plain")), Known::None);
        assert_eq!(index.key_of_secret("1", &secret("odd")), Known::Unknown);
        let target = |account: &str, key: &str| {
            Target::Key(Owned { region: "r".to_owned(), account: account.to_owned(), name: id(key) })
        };
        assert_eq!(index.tags(&target("1", "k1")).map(<[_]>::len), Some(1));
        assert_eq!(index.tags(&target("2", "k2")), None, "nothing is said of them");
    }

    #[test]
    fn mistakes_are_named() {
        let text = "[keys.'k 1']\n[keys.k1]\naliases = ['a', 'alias/a']\n[keys.k2]\naliases = ['alias/a']\nowner = '1'\n\
                    [secrets.s]\nkey = 'k 2'\n[secret.s]\n";
        let problems: Vec<String> = parse(text, "1").err().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        for expected in ["no id of a key", "is no alias", "points to another key", "owner", "or \"none\"", "`secret`"] {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:#?}");
        }
    }
}
