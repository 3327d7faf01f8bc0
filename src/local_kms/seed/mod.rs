//! The seed: keys, aliases and secrets that the embedded KMS has from its first start.
//!
//! Written by people as TOML (`config/seed.toml`). It adds each thing once: whatever exists stays as it is, and
//! whatever was deleted stays away. All mistakes are reported together, each with its place.

mod read;

use std::path::Path;
use std::sync::Arc;

use crate::kms::{AliasName, KeyId, SecretName};
use crate::policy::Kind;
use crate::settings::read_text;
use crate::source::{Problem, shown};
use crate::store::Store;

use super::cipher::CipherError;
use super::ids::Ids;
use super::key::{Key, KeySpec, KeyState, KeyVersion, Protection, Rotation, Tag, Usage};
use super::moment::Moment;
use super::secret::{CURRENT, DataType, Secret};
use super::secret_value::SecretValue;
use super::state::{Account, Draft, Record};
use super::storage::OpenError;

/// A policy that the seed has for something that is new.
pub struct Policy {
    /// Of a key, or of a secret.
    pub kind: Kind,
    /// The id of the key, or the name of the secret.
    pub name: String,
    /// The document.
    pub text: String,
}

/// Adds to the draft what the seed at `path` has and the account `owner` has not, and returns the policies of what is
/// new.
///
/// # Errors
/// The file cannot be read, or has mistakes: all of them.
pub fn plant(
    path: &Path,
    draft: &mut Draft,
    owner: &str,
    (ids, now): (&Ids, Moment),
) -> Result<Vec<Policy>, OpenError> {
    let file = shown(path);
    let text = read_text(path).map_err(|message| OpenError::Seed(vec![Problem::of_file(&file, message)]))?;
    let located = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.in_file(&file)).collect();
    let existing = draft.state().account(owner);
    let seed = Seed::parse(&text, &existing).map_err(|problems| OpenError::Seed(located(problems)))?;
    let mut policies = Vec::new();
    for key in &seed.keys {
        policies.extend(plant_key(draft, key, owner, (ids, now))?);
    }
    for secret in &seed.secrets {
        policies.extend(plant_secret(draft, secret, owner, now)?);
    }
    Ok(policies)
}

/// Puts a policy in force, unless there is one already.
///
/// # Errors
/// It cannot be written.
pub fn put_in_force(store: &Store, owner: &str, policy: &Policy, now: Moment) -> Result<(), OpenError> {
    let Policy { kind, name, text } = policy;
    if store.policy_text(*kind, owner, name).is_some() {
        return Ok(());
    }
    let set = store.set_policy(*kind, owner, name, text, &|_| true, now.0);
    set.map(drop).map_err(|error| OpenError::Policy { name: name.clone(), why: error.to_string() })
}

/// What is wrong with the seed at `path`, whatever there is already.
pub fn check(path: &Path) -> Vec<Problem> {
    let file = shown(path);
    let parsed = read_text(path)
        .map_err(|message| vec![Problem::of_file("", message)])
        .and_then(|text| Seed::parse(&text, &Account::default()));
    parsed.err().unwrap_or_default().into_iter().map(|problem| problem.in_file(&file)).collect()
}

/// Whether the seed never planted this before; from now on it did. What was deleted is not planted again.
fn once(draft: &mut Draft, owner: &str, name: String) -> bool {
    let is_first = !draft.state().account(owner).planted.contains(&name);
    if is_first {
        draft.put(Record::Planted(owner.to_owned(), name));
    }
    is_first
}

fn plant_key(
    draft: &mut Draft,
    seed: &SeedKey,
    owner: &str,
    (ids, now): (&Ids, Moment),
) -> Result<Option<Policy>, CipherError> {
    let existing = draft.state().account(owner);
    let is_new = once(draft, owner, format!("key/{}", seed.id.as_str())) && !existing.keys.contains_key(&seed.id);
    if is_new {
        let primary = KeyVersion::generate(seed.spec, ids, now)?;
        let key = Key {
            usage: seed.usage,
            state: if seed.enabled { KeyState::Enabled } else { KeyState::Disabled },
            protected: seed.protected.clone(),
            rotation: seed.rotation.map(|interval| Rotation { interval, next: now.plus(interval) }),
            description: seed.about.description.clone(),
            instance: seed.about.instance.clone(),
            tags: seed.about.tags.clone(),
            protection: seed.protection,
            ..Key::new(seed.spec, primary, owner)
        };
        draft.put(Record::Key(owner.to_owned(), seed.id.clone(), Arc::new(key)));
    }
    for alias in &seed.aliases {
        let is_new = once(draft, owner, alias.as_str().to_owned()) && !existing.aliases.contains_key(alias);
        let has_key = draft.state().account(owner).keys.contains_key(&seed.id);
        if !is_new || !has_key {
            continue;
        }
        draft.put(Record::Alias(owner.to_owned(), alias.clone(), seed.id.clone()));
    }
    Ok(seed.about.policy.clone().filter(|_| is_new).map(|text| {
        let name = seed.id.as_str().to_owned();
        Policy { kind: Kind::Key, name, text }
    }))
}

fn plant_secret(draft: &mut Draft, seed: &SeedSecret, owner: &str, now: Moment) -> Result<Option<Policy>, CipherError> {
    let existing = draft.state().account(owner);
    // Without its key, which may be deleted by now, nothing could be read of it.
    let has_key = seed.key.as_ref().is_none_or(|key| existing.keys.contains_key(key));
    let is_new = once(draft, owner, format!("secret/{}", seed.name.as_str()));
    if !is_new || !has_key || existing.secrets.contains_key(&seed.name) {
        return Ok(None);
    }
    let key = seed.key.as_ref().and_then(|id| existing.keys.get(id));
    let sealer = key.map_or(&*draft.state().default_key, |key| &key.primary);
    let value = SecretValue { version_id: &seed.version, data: &seed.data, data_type: seed.data_type };
    let version = value.seal(sealer, owner, &seed.name, vec![CURRENT.to_owned()], now)?;
    let secret = Secret {
        description: seed.about.description.clone(),
        instance: seed.about.instance.clone(),
        key: seed.key.clone(),
        created: now,
        updated: now,
        deletion: None,
        tags: seed.about.tags.clone(),
        extended_config: seed.extended_config.clone(),
        versions: vec![version],
    };
    draft.put(Record::Secret(owner.to_owned(), seed.name.clone(), Arc::new(secret)));
    Ok(seed.about.policy.clone().map(|text| {
        let name = seed.name.as_str().to_owned();
        Policy { kind: Kind::Secret, name, text }
    }))
}

/// What a seed says.
#[derive(Default)]
struct Seed {
    keys: Vec<SeedKey>,
    secrets: Vec<SeedSecret>,
}

/// What it says about keys and about secrets.
struct About {
    description: String,
    instance: Option<String>,
    tags: Vec<Tag>,
    policy: Option<String>,
}

struct SeedKey {
    id: KeyId,
    about: About,
    spec: KeySpec,
    usage: Usage,
    protection: Protection,
    enabled: bool,
    /// Why it must not be deleted.
    protected: Option<String>,
    /// How often it gets a new version, in seconds.
    rotation: Option<u32>,
    aliases: Vec<AliasName>,
}

struct SeedSecret {
    name: SecretName,
    about: About,
    key: Option<KeyId>,
    version: String,
    data: String,
    data_type: DataType,
    extended_config: Option<String>,
}

#[cfg(test)]
mod tests;
