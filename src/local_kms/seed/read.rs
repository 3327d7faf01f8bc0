//! Reading a seed: what each entry may say. What returns `None` has reported why.

use std::collections::HashMap;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::super::key::{KeySpec, NEW_KEY_ROTATION_DAYS, Protection, Tag, Usage, is_instance_id};
use super::super::moment::is_within;
use super::super::parameters::interval;
use super::super::secret::{self, DataType, RESERVED_NAME_PREFIX};
use super::super::secret_value::{check_data, check_version_id};
use super::super::state::{Account, RESERVED_ALIAS_PREFIX};
use super::{About, Seed, SeedKey, SeedSecret};
use crate::authz::parse_policy;
use crate::kms::{AliasName, KeyId, SecretName, TAGS_MAX};
use crate::policy::Kind;
use crate::source::toml::{self, Section};
use crate::source::{Problem, suggest};

impl Seed {
    /// Reads a seed for an account that owns the `existing` things.
    ///
    /// # Errors
    /// All mistakes, each with its place.
    pub fn parse(text: &str, existing: &Account) -> Result<Self, Vec<Problem>> {
        toml::read(text, |root| {
            let mut reader = Reader::default();
            for (id, key) in &existing.keys {
                let known = KnownKey { instance: key.instance.clone(), symmetric: key.spec.symmetric().is_some() };
                reader.keys.insert(id.as_str().to_owned(), known);
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

#[derive(Default)]
struct Reader {
    /// The keys that a secret can name. Those of the seed come to those that exist, which stay as they are.
    keys: HashMap<String, KnownKey>,
    /// The aliases so far, and the key of each.
    aliases: HashMap<AliasName, String>,
}

/// What is to be known of a key that encrypts secrets.
struct KnownKey {
    instance: Option<String>,
    symmetric: bool,
}

impl Reader {
    fn key(&mut self, id: &str, section: &Section<'_>) -> Option<SeedKey> {
        let instance = instance(section);
        let about = about(Kind::Key, section, instance);
        let in_instance = about.instance.is_some();
        let spec = section.string("spec").map_or(Ok(KeySpec::Aes256), |name| KeySpec::of_new(name, in_instance));
        let spec = spec.map_err(|error| section.report_at("spec", format!("cannot be: {error}"))).ok();
        let usage = section.string("usage");
        let usage = spec.and_then(|spec| {
            Usage::parse(usage, spec).map_err(|why| section.report_at("usage", format!("cannot be: {why}"))).ok()
        });
        let level = |text: &str| Protection::parse(text).ok_or("must be SOFTWARE or HSM");
        let protection = section.parsed("protection", level).unwrap_or(Protection::Software);
        let rotation = rotation(section, spec);
        let enabled = section.boolean("enabled").unwrap_or(true);
        let protected = section.string("deletion_protection").map(str::to_owned);
        let aliases = self.aliases(id, section);
        section.finish();
        let symmetric = spec.is_none_or(|spec| spec.symmetric().is_some());
        self.keys.entry(id.to_owned()).or_insert_with(|| KnownKey { instance: about.instance.clone(), symmetric });
        let parsed = KeyId::parse(id);
        if parsed.is_none() {
            section.problem(format!("key id `{id}` may have 1 to 128 characters from A-Z a-z 0-9 -"));
        }
        let (spec, usage) = (spec?, usage?);
        Some(SeedKey { id: parsed?, about, spec, usage, protection, enabled, protected, rotation, aliases })
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
        let asked = instance(section);
        let key = section.string("key").map(|id| self.key_of_secret(id, section));
        let of_key = key.as_ref().and_then(Option::as_ref).map(|(_, key)| key.instance.as_deref());
        let instance = secret::instance(asked.as_deref(), of_key);
        if instance.is_none() {
            section.report_at("key", "is in another instance than the secret");
        }
        let about = about(Kind::Secret, section, instance.flatten());
        let checked = |text: &str, check: fn(&str) -> Result<(), &'static str>| check(text).map(|()| text.to_owned());
        let version = section.parsed("version", |text| checked(text, check_version_id));
        let data = section.parsed("data", |text| checked(text, check_data));
        let data_type = section.parsed("data_type", |text| DataType::parse(text).ok_or("must be text or binary"));
        let data_type = data_type.unwrap_or(DataType::Text);
        let is_base64 = |data: &String| BASE64.decode(data.as_bytes()).map(Zeroizing::new).is_ok();
        if data_type == DataType::Binary && !data.as_ref().is_none_or(is_base64) {
            section.report_at("data", "must be Base64, as binary data is");
        }
        let extended_config = section.string("extended_config").map(str::to_owned);
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
        let (name, version, data) = (parsed?, version?, data?);
        Some(SeedSecret { name, about, key, version, data, data_type, extended_config })
    }

    fn key_of_secret(&self, id: &str, section: &Section<'_>) -> Option<(KeyId, &KnownKey)> {
        let found = KeyId::parse(id).zip(self.keys.get(id));
        match &found {
            None => {
                let mut known: Vec<&str> = self.keys.keys().map(String::as_str).collect();
                known.sort_unstable();
                section.report_at("key", format!("`{id}` is no key{}", suggest(id, known)));
            }
            Some((_, key)) if !key.symmetric => section.report_at("key", "must be a symmetric key"),
            Some(_) => {}
        }
        found
    }
}

fn about(kind: Kind, section: &Section<'_>, instance: Option<String>) -> About {
    let tags = section.named_strings("tags");
    if tags.len() > TAGS_MAX {
        section.report_at("tags", format!("has more than {TAGS_MAX} tags"));
    }
    let tag = |(key, value, place): (&str, &str, usize)| {
        Tag::new(key, value).map_err(|why| section.report_place(place, format!("tag `{key}`: {why}"))).ok()
    };
    let policy = section.string("policy");
    if policy.is_some() && instance.is_none() {
        section.report_at("policy", "cannot be: only what is in a KMS instance has a policy; give it an `instance`");
    }
    if let Some(Err(problems)) = policy.map(|text| parse_policy(kind, "policy", text)) {
        for problem in problems {
            section.report_at("policy", format!("has a mistake: {}", problem.to_string().trim()));
        }
    }
    About {
        description: section.string("description").unwrap_or_default().to_owned(),
        instance,
        tags: tags.into_iter().filter_map(tag).collect(),
        policy: policy.map(str::to_owned),
    }
}

fn instance(section: &Section<'_>) -> Option<String> {
    section.parsed("instance", |text| match is_instance_id(text) {
        true => Ok(text.to_owned()),
        false => Err("must be kst- and letters, digits and -"),
    })
}

fn rotation(section: &Section<'_>, spec: Option<KeySpec>) -> Option<u32> {
    let legal = |seconds: &u32| is_within(&NEW_KEY_ROTATION_DAYS, *seconds);
    let seconds = section.parsed("rotation", |text| interval(text).filter(legal).ok_or("must be 7d to 365d"))?;
    if spec.is_some_and(|spec| spec.symmetric().is_none()) {
        section.report_at("rotation", "cannot be: only symmetric keys rotate");
    }
    Some(seconds)
}
