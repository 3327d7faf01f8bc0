//! The seed: keys, aliases and secrets that the embedded KMS has from its first start.
//!
//! Written by people as TOML (`config/seed.toml`). It only adds what is missing: whatever exists stays as it is,
//! whatever the seed says about it. All mistakes are reported together, each with its place.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::kms::{AliasName, KeyId, SecretName};
use crate::settings::read_text;
use crate::source::toml::{self, Section};
use crate::source::{Problem, shown, suggest};

use super::cipher::CipherError;
use super::key::{Key, KeySpec, KeyVersion, is_instance_id};
use super::moment::Moment;
use super::secret::{self, CURRENT, DataType, RESERVED_NAME_PREFIX, Secret};
use super::secret_value::{SecretValue, check_data, check_version_id};
use super::state::{Account, Draft, RESERVED_ALIAS_PREFIX, Record};
use super::storage::OpenError;

/// Adds to the draft what the seed at `path` has and the account `owner` has not.
///
/// # Errors
/// The file cannot be read, or has mistakes: all of them.
pub fn plant(path: &Path, draft: &mut Draft, owner: &str, now: Moment) -> Result<(), OpenError> {
    let file = shown(path);
    let text = read_text(path).map_err(|message| OpenError::Seed(vec![Problem::of_file(&file, message)]))?;
    let located = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.in_file(&file)).collect();
    let existing = draft.state().account(owner);
    let seed = Seed::parse(&text, &existing).map_err(|problems| OpenError::Seed(located(problems)))?;
    for key in &seed.keys {
        plant_key(draft, key, owner, now)?;
    }
    for secret in &seed.secrets {
        plant_secret(draft, secret, owner, now)?;
    }
    Ok(())
}

/// What is wrong with the seed at `path`, whatever there is already.
pub fn check(path: &Path) -> Vec<Problem> {
    let file = shown(path);
    let parsed = read_text(path)
        .map_err(|message| vec![Problem::of_file("", message)])
        .and_then(|text| Seed::parse(&text, &Account::default()));
    parsed.err().unwrap_or_default().into_iter().map(|problem| problem.in_file(&file)).collect()
}

fn plant_key(draft: &mut Draft, seed: &SeedKey, owner: &str, now: Moment) -> Result<(), CipherError> {
    let existing = draft.state().account(owner);
    if !existing.keys.contains_key(&seed.id) {
        let primary = KeyVersion::generate(seed.spec, now)?;
        let (description, instance) = (seed.description.clone(), seed.instance.clone());
        let key = Key { description, instance, ..Key::new(seed.spec, primary, owner) };
        draft.put(Record::Key(owner.to_owned(), seed.id.clone(), Arc::new(key)));
    }
    for alias in seed.aliases.iter().filter(|alias| !existing.aliases.contains_key(*alias)) {
        draft.put(Record::Alias(owner.to_owned(), alias.clone(), seed.id.clone()));
    }
    Ok(())
}

fn plant_secret(draft: &mut Draft, seed: &SeedSecret, owner: &str, now: Moment) -> Result<(), CipherError> {
    let existing = draft.state().account(owner);
    if existing.secrets.contains_key(&seed.name) {
        return Ok(());
    }
    let key = seed.key.as_ref().and_then(|id| existing.keys.get(id));
    let sealer = key.map_or(&*draft.state().default_key, |key| &key.primary);
    let value = SecretValue { version_id: &seed.version, data: &seed.data, data_type: DataType::Text };
    let version = value.seal(sealer, owner, &seed.name, vec![CURRENT.to_owned()], now)?;
    let secret = Secret {
        description: seed.description.clone(),
        instance: seed.instance.clone(),
        key: seed.key.clone(),
        created: now,
        updated: now,
        deletion: None,
        tags: Vec::new(),
        extended_config: None,
        versions: vec![version],
    };
    draft.put(Record::Secret(owner.to_owned(), seed.name.clone(), Arc::new(secret)));
    Ok(())
}

/// What a seed says.
#[derive(Default)]
struct Seed {
    keys: Vec<SeedKey>,
    secrets: Vec<SeedSecret>,
}

struct SeedKey {
    id: KeyId,
    description: String,
    instance: Option<String>,
    spec: KeySpec,
    aliases: Vec<AliasName>,
}

struct SeedSecret {
    name: SecretName,
    description: String,
    instance: Option<String>,
    key: Option<KeyId>,
    version: String,
    data: String,
}

impl Seed {
    /// Reads a seed for an account that owns the `existing` things.
    fn parse(text: &str, existing: &Account) -> Result<Self, Vec<Problem>> {
        toml::read(text, |root| {
            let mut reader = Reader::default();
            for (id, key) in &existing.keys {
                reader.instances.insert(id.as_str().to_owned(), key.instance.clone());
            }
            let keys = root.named_sections("keys");
            let secrets = root.named_sections("secrets");
            Some(Self {
                keys: keys.iter().filter_map(|(id, section)| reader.key(id, section)).collect(),
                secrets: secrets.iter().filter_map(|(name, section)| reader.secret(name, section)).collect(),
            })
        })
    }
}

/// Reads sections; what returns `None` has reported why.
#[derive(Default)]
struct Reader {
    /// The keys that a secret can name, and the instance that each is in. Those of the seed come to those that exist,
    /// which stay as they are.
    instances: HashMap<String, Option<String>>,
    /// The aliases so far, and the key of each.
    aliases: HashMap<AliasName, String>,
}

impl Reader {
    fn key(&mut self, id: &str, section: &Section<'_>) -> Option<SeedKey> {
        let description = section.string("description").unwrap_or_default().to_owned();
        let instance = instance(section);
        let spec = section.string("spec").map_or(Ok(KeySpec::Aes256), |name| KeySpec::of_new(name, instance.is_some()));
        let spec = spec.map_err(|error| section.report_at("spec", format!("cannot be: {error}"))).ok();
        let aliases = self.aliases(id, section);
        section.finish();
        self.instances.entry(id.to_owned()).or_insert_with(|| instance.clone());
        let parsed = KeyId::parse(id);
        if parsed.is_none() {
            section.problem(format!("key id `{id}` may have 1 to 128 characters from A-Z a-z 0-9 -"));
        }
        Some(SeedKey { id: parsed?, description, instance, spec: spec?, aliases })
    }

    fn aliases(&mut self, id: &str, section: &Section<'_>) -> Vec<AliasName> {
        let mut aliases = Vec::new();
        for (text, offset) in section.strings("aliases").unwrap_or_default() {
            let alias = AliasName::parse(text).filter(|_| !text.starts_with(RESERVED_ALIAS_PREFIX));
            let Some(alias) = alias else {
                let form = "an alias is alias/ and letters, digits, : / _ -, and does not start with alias/acs";
                section.report_place(offset, format!("`{text}` is no alias; {form}"));
                continue;
            };
            match self.aliases.insert(alias.clone(), id.to_owned()) {
                Some(other) => section.report_place(offset, format!("`{text}` is an alias of `{other}` already")),
                None => aliases.push(alias),
            }
        }
        aliases
    }

    fn secret(&self, name: &str, section: &Section<'_>) -> Option<SeedSecret> {
        section.require("version", "the id of its first version");
        section.require("data", "what is secret");
        let description = section.string("description").unwrap_or_default().to_owned();
        let asked = instance(section);
        let key = section.string("key").map(|id| self.key_of_secret(id, section));
        let of_key = key.as_ref().and_then(Option::as_ref).map(|(_, instance)| instance.as_deref());
        let instance = secret::instance(asked.as_deref(), of_key);
        if instance.is_none() {
            section.report_at("key", "is in another instance than the secret");
        }
        let checked = |text: &str, check: fn(&str) -> Result<(), &'static str>| check(text).map(|()| text.to_owned());
        let version = section.parsed("version", |text| checked(text, check_version_id));
        let data = section.parsed("data", |text| checked(text, check_data));
        section.finish();
        let parsed = SecretName::parse(name).filter(|_| !name.starts_with(RESERVED_NAME_PREFIX));
        if parsed.is_none() {
            section.problem(format!(
                "secret name `{name}` may have 1 to 192 characters from A-Z a-z 0-9 _ / + = . @ -, and does not start \
                 with {RESERVED_NAME_PREFIX}"
            ));
        }
        let key = match key {
            None => None,
            Some(key) => Some(key?.0),
        };
        Some(SeedSecret { name: parsed?, description, instance: instance?, key, version: version?, data: data? })
    }

    fn key_of_secret(&self, id: &str, section: &Section<'_>) -> Option<(KeyId, &Option<String>)> {
        let found = KeyId::parse(id).zip(self.instances.get(id));
        if found.is_none() {
            let mut known: Vec<&str> = self.instances.keys().map(String::as_str).collect();
            known.sort_unstable();
            section.report_at("key", format!("`{id}` is no key{}", suggest(id, known)));
        }
        found
    }
}

fn instance(section: &Section<'_>) -> Option<String> {
    section.parsed("instance", |text| match is_instance_id(text) {
        true => Ok(text.to_owned()),
        false => Err("must be kst- and letters, digits and -"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Seed::parse(text, &Account::default()).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_seed_that_comes_along_is_right() {
        let seed = Seed::parse(include_str!("../../config/seed.toml"), &Account::default()).ok().unwrap();
        let aliases: Vec<&str> = seed.keys.iter().flat_map(|key| &key.aliases).map(AliasName::as_str).collect();
        assert_eq!(aliases, ["alias/orders", "alias/payroll"]);
        assert_eq!(seed.secrets[0].instance.as_deref(), Some("kst-example01"));
    }

    #[test]
    fn a_secret_is_in_the_instance_of_its_key() {
        let text = "[keys.k1]\ninstance = 'kst-1'\n[secrets.s]\nkey = 'k1'\nversion = '1'\ndata = 'x'";
        let seed = Seed::parse(text, &Account::default()).ok().unwrap();
        assert_eq!(seed.secrets[0].instance.as_deref(), Some("kst-1"));
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let text = "\
[keys.k_1]
[keys.k1]
instance = 'i1'
spec = 'Aliyun_AES_128'
aliases = ['orders', 'alias/acs/x', 'alias/a']
[keys.k2]
spec = 'RSA_1024'
aliases = ['alias/a']
owner = 'me'
[secrets.'a b']
version = ''
[secrets.s1]
key = 'k22'
version = '1'
data = 'x'
instance = 'kst-1'
[secrets.s2]
key = 'k2'
instance = 'kst-1'
version = '1'
data = 'x'
";
        let expected = [
            "1:7: key id `k_1` may have 1 to 128 characters from A-Z a-z 0-9 -",
            "3:12: `keys.k1.instance` must be kst- and letters, digits and -",
            "4:8: `keys.k1.spec` cannot be: keys of the spec Aliyun_AES_128 are in a KMS instance only",
            "5:12: `orders` is no alias; an alias is alias/ and letters, digits, : / _ -, and does not start with alias/acs",
            "5:22: `alias/acs/x` is no alias; an alias is alias/ and letters, digits, : / _ -, and does not start with alias/acs",
            "7:8: `keys.k2.spec` cannot be: there is no such key spec; there are Aliyun_AES_256, Aliyun_AES_192, Aliyun_AES_128, Aliyun_SM4, RSA_2048, RSA_3072, RSA_4096, EC_P256, EC_P256K, EC_SM2, HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512 and HMAC_SM3",
            "8:12: `alias/a` is an alias of `k1` already",
            "9:1: unknown entry `keys.k2.owner`; known here: description, instance, spec, aliases",
            "10:10: `secrets.a b.data` is missing: what is secret",
            "10:10: secret name `a b` may have 1 to 192 characters from A-Z a-z 0-9 _ / + = . @ -, and does not start with acs/",
            "11:11: `secrets.a b.version` it has 1 to 64 characters",
            "13:7: `secrets.s1.key` `k22` is no key; did you mean `k2`?",
            "18:7: `secrets.s2.key` is in another instance than the secret",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn keys_that_exist_can_be_named() {
        assert_eq!(problems("[secrets.s]\nkey = 'k1'\nversion = '1'\ndata = 'x'").len(), 1);
    }
}
