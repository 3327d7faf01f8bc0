//! What the embedded KMS holds, as one value that never changes.
//!
//! Readers take the [`State`] in force and keep it; they never wait for a writer. A writer makes a [`Draft`], and only
//! when the storage has kept its records does the drafted state come into force. Everything belongs to an account:
//! nothing is ever found under another one.

use std::sync::Arc;

use imbl::OrdMap;

use crate::authz::{Owned, ResourceIndex};
use crate::kms::{AliasName, ErrorCode, KeyId, KmsError, SecretName};

use crate::policy::Pairs;

use super::key::{Key, KeyVersion, Tag};
use super::secret::Secret;

/// Aliases with this prefix belong to Alibaba Cloud's own services (CreateAlias, "AliasName").
pub const RESERVED_ALIAS_PREFIX: &str = "alias/acs";

/// Everything there is at one moment. Cheap to copy.
#[derive(Clone)]
pub struct State {
    accounts: OrdMap<Box<str>, Account>,
    /// What seals the secrets whose owner chose no key.
    pub default_key: Arc<KeyVersion>,
    index: ResourceIndex,
}

/// What one account owns.
#[derive(Clone, Default)]
pub struct Account {
    /// Keys by their ids.
    pub keys: OrdMap<KeyId, Arc<Key>>,
    /// Aliases, and the key that each points to.
    pub aliases: OrdMap<AliasName, KeyId>,
    /// Secrets by their names.
    pub secrets: OrdMap<SecretName, Arc<Secret>>,
}

/// Something that the storage has to keep.
#[derive(Clone)]
pub enum Record {
    /// A key.
    Key(String, KeyId, Arc<Key>),
    /// An alias and the key it points to.
    Alias(String, AliasName, KeyId),
    /// A secret.
    Secret(String, SecretName, Arc<Secret>),
}

impl State {
    /// A state without keys and secrets.
    pub fn new(default_key: KeyVersion) -> Self {
        Self { accounts: OrdMap::new(), default_key: Arc::new(default_key), index: ResourceIndex::default() }
    }

    /// What `account` owns; nothing, if it was never heard of.
    pub fn account(&self, account: &str) -> Account {
        self.accounts.get(account).cloned().unwrap_or_default()
    }

    /// What names stand for.
    pub fn index(&self) -> &ResourceIndex {
        &self.index
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.accounts.values().map(|account| account.keys.len()).sum()
    }

    /// How many secrets there are.
    pub fn secret_count(&self) -> usize {
        self.accounts.values().map(|account| account.secrets.len()).sum()
    }

    /// A key.
    ///
    /// # Errors
    /// 404 `Forbidden.KeyNotFound`: its account has no such key.
    pub fn key(&self, name: &Owned<KeyId>) -> Result<&Arc<Key>, KmsError> {
        let found = self.accounts.get(name.account.as_str()).and_then(|account| account.keys.get(&name.name));
        found.ok_or_else(|| ErrorCode::KeyNotFound.into())
    }

    /// A secret.
    ///
    /// # Errors
    /// 404 `Forbidden.ResourceNotFound`: its account has no such secret.
    pub fn secret(&self, name: &Owned<SecretName>) -> Result<&Arc<Secret>, KmsError> {
        let found = self.accounts.get(name.account.as_str()).and_then(|account| account.secrets.get(&name.name));
        found.ok_or_else(|| ErrorCode::ResourceNotFound.into())
    }

    /// Takes a record in.
    pub fn insert(&mut self, record: &Record) {
        match record {
            Record::Key(account, id, key) => {
                for version in key.versions() {
                    self.index.add_version(&version.id, account, id.clone());
                }
                self.index.set_key_tags(account, id, tag_pairs(&key.tags));
                self.account_mut(account).keys.insert(id.clone(), key.clone());
            }
            Record::Alias(account, alias, key) => {
                self.index.set_alias(account, alias, key.clone());
                self.account_mut(account).aliases.insert(alias.clone(), key.clone());
            }
            Record::Secret(account, name, secret) => {
                self.index.add_secret(account, name, secret.key.clone());
                self.index.set_secret_tags(account, name, tag_pairs(&secret.tags));
                self.account_mut(account).secrets.insert(name.clone(), secret.clone());
            }
        }
    }

    fn account_mut(&mut self, account: &str) -> &mut Account {
        self.accounts.entry(account.into()).or_default()
    }
}

/// A state to come, and what the storage has to keep before it comes into force.
pub struct Draft {
    state: State,
    records: Vec<Record>,
}

impl Draft {
    /// A draft that changes nothing yet.
    pub fn new(state: State) -> Self {
        Self { state, records: Vec::new() }
    }

    /// The state with all changes so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adds or replaces something.
    pub fn put(&mut self, record: Record) {
        self.state.insert(&record);
        self.records.push(record);
    }

    /// The state to come, and the records that make it.
    pub fn finish(self) -> (State, Vec<Record>) {
        (self.state, self.records)
    }
}

/// Tags as conditions look at them.
fn tag_pairs(tags: &[Tag]) -> Arc<Pairs> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}
