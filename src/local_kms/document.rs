//! Everything in a data folder as one JSON document, which `keyward data` writes and reads.
//!
//! It holds key material in the clear: it is for fixtures, not for keeping. What is read may have been written by hand, so
//! it is checked like a storage that is opened; no error shows a part of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kms::{AliasName, KeyId, SecretName, is_account_id};
use crate::source::counted;

use super::key::{Key, KeyVersion};
use super::secret::Secret;
use super::state::Record;
use super::storage::Contents;

/// The layout of the document.
const FORMAT: u32 = 1;

/// How many characters the id of a key version has.
const VERSION_ID_CHARS: usize = 36;

/// What every document begins with, whatever its format.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Records by `ACCOUNT:NAME`, as the storage names them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    default_key: KeyVersion,
    keys: BTreeMap<String, Key>,
    aliases: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
}

/// How many of each there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Keys.
    pub keys: usize,
    /// Aliases.
    pub aliases: usize,
    /// Secrets.
    pub secrets: usize,
}

impl Counts {
    /// How many there are among these.
    pub fn of(records: &[Record]) -> Self {
        let mut counts = Self::default();
        for record in records {
            match record {
                Record::Key(..) => counts.keys += 1,
                Record::Alias(..) => counts.aliases += 1,
                Record::Secret(..) => counts.secrets += 1,
                Record::Planted(..) => {}
            }
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = counted(self.keys, "key", "keys");
        let aliases = counted(self.aliases, "alias", "aliases");
        write!(f, "{keys}, {aliases} and {}", counted(self.secrets, "secret", "secrets"))
    }
}

/// The document with these contents. `None` if they cannot be written as JSON.
pub fn write(contents: &Contents) -> Option<Zeroizing<String>> {
    let mut document = Document {
        format: FORMAT,
        default_key: contents.default_key.clone(),
        keys: BTreeMap::new(),
        aliases: BTreeMap::new(),
        secrets: BTreeMap::new(),
    };
    for record in &contents.records {
        match record {
            Record::Key(account, id, key) => drop(document.keys.insert(format!("{account}:{id}"), Key::clone(key))),
            Record::Alias(account, alias, key) => {
                document.aliases.insert(format!("{account}:{alias}"), key.to_string());
            }
            // The seed that is planted elsewhere is another one.
            Record::Planted(..) => {}
            Record::Secret(account, name, secret) => {
                document.secrets.insert(format!("{account}:{name}"), Secret::clone(secret));
            }
        }
    }
    serde_json::to_string_pretty(&document).ok().map(|text| Zeroizing::new(text + "\n"))
}

/// What a document holds.
///
/// # Errors
/// A fragment: what is wrong with it, and where.
pub fn read(text: &str) -> Result<Contents, String> {
    let misread = |error: &serde_json::Error| format!("is no export, see line {}", error.line());
    let head: Head = serde_json::from_str(text).map_err(|error| misread(&error))?;
    if head.format != FORMAT {
        return Err(format!("has format {}, and this version knows format {FORMAT}", head.format));
    }
    let document: Document = serde_json::from_str(text).map_err(|error| misread(&error))?;
    let mut records = Vec::new();
    let mut versions = HashSet::new();
    let proper = |id: &str| id.len() == VERSION_ID_CHARS && uuid::Uuid::parse_str(id).is_ok();
    let mut known = |version: &KeyVersion| proper(&version.id) && versions.insert(version.id.clone());
    if !known(&document.default_key) {
        return Err("has a default key without a proper id".to_owned());
    }
    let mut makers: HashMap<String, HashSet<String>> = HashMap::new();
    for (name, key) in document.keys {
        let wrong = |what: &str| format!("has a key `{name}` {what}");
        let (account, id) = named(&name, KeyId::parse).ok_or_else(|| wrong("that is not named ACCOUNT:ID"))?;
        if !key.versions().all(&mut known) {
            return Err(wrong("with a version whose id is not its own, or is no UUID"));
        }
        if let Some(flaw) = key.flaw() {
            return Err(wrong(flaw));
        }
        makers.insert(name.clone(), key.versions().map(|version| version.id.clone()).collect());
        records.push(Record::Key(account, id, Arc::new(key)));
    }
    for (name, key) in document.aliases {
        let wrong = || format!("has an alias `{name}` that is not named ACCOUNT:alias/NAME, or is for no key id");
        let (account, alias) = named(&name, AliasName::parse).ok_or_else(wrong)?;
        if !makers.contains_key(&format!("{account}:{key}")) {
            return Err(format!("has an alias `{name}` for a key that it does not have"));
        }
        records.push(Record::Alias(account, alias, KeyId::parse(&key).ok_or_else(wrong)?));
    }
    for (name, secret) in document.secrets {
        let wrong = |what: &str| format!("has a secret `{name}` {what}");
        let parsed = named(&name, SecretName::parse).ok_or_else(|| wrong("that is not named ACCOUNT:NAME"))?;
        if let Some(flaw) = secret.flaw() {
            return Err(wrong(flaw));
        }
        let sealers: Vec<&str> = secret.versions.iter().map(|version| version.sealed.version_id()).collect();
        let is_sealed = match &secret.key {
            None => sealers.iter().all(|sealer| *sealer == document.default_key.id),
            Some(key) => {
                let makers = makers.get(&format!("{}:{}", parsed.0, key.as_str()));
                makers.is_some_and(|makers| sealers.iter().all(|sealer| makers.contains(*sealer)))
            }
        };
        if !is_sealed {
            return Err(wrong("that was not encrypted by its key"));
        }
        let (account, name) = parsed;
        records.push(Record::Secret(account, name, Arc::new(secret)));
    }
    Ok(Contents { default_key: document.default_key, records })
}

fn named<T>(name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<(String, T)> {
    let (account, name) = name.split_once(':').filter(|(account, _)| is_account_id(account))?;
    Some((account.to_owned(), parse(name)?))
}
