//! What the embedded KMS holds, as one value that never changes.
//!
//! Readers take the [`State`] in force and keep it; they never wait for a writer. A writer makes a [`Draft`], and only
//! when the storage has kept its records does the drafted state come into force. Everything belongs to an account:
//! nothing is ever found under another one.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::authz::{Owned, ResourceIndex};
use crate::kms::{AliasName, ErrorCode, KeyId, KmsError, SecretName};

use crate::policy::Pairs;

use super::key::{Key, KeyVersion, Tag};
use super::moment::Moment;
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
    /// What happens by itself, the next first.
    due: OrdSet<(Moment, Due)>,
}

/// Something to which something happens by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A key is deleted, or rotates.
    Key(String, KeyId),
    /// A secret is deleted.
    Secret(String, SecretName),
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
    /// What the seed planted, whether it is still there or not.
    pub planted: OrdSet<String>,
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
    /// The seed planted this once: `key/ID`, `alias/NAME` or `secret/NAME`.
    Planted(String, String),
}

/// Something that the storage has to keep no longer.
pub enum Gone {
    /// A key.
    Key(String, KeyId),
    /// An alias.
    Alias(String, AliasName),
    /// A secret.
    Secret(String, SecretName),
}

/// One step from a state to the next.
pub enum Change {
    /// Something is new, or replaces what had its name.
    Put(Record),
    /// Something is gone since then.
    Remove(Gone, Moment),
}

impl State {
    /// A state without keys and secrets.
    pub fn new(default_key: KeyVersion) -> Self {
        Self {
            accounts: OrdMap::new(),
            default_key: Arc::new(default_key),
            index: ResourceIndex::default(),
            due: OrdSet::new(),
        }
    }

    /// What `account` owns; nothing, if it was never heard of.
    pub fn account(&self, account: &str) -> Account {
        self.accounts.get(account).cloned().unwrap_or_default()
    }

    /// What names stand for.
    pub fn index(&self) -> &ResourceIndex {
        &self.index
    }

    /// What should have happened by `now`, the earliest first.
    pub fn overdue(&self, now: Moment) -> impl Iterator<Item = &Due> {
        self.due.iter().take_while(move |(moment, _)| *moment <= now).map(|(_, due)| due)
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
                let before = self.account_mut(account).keys.insert(id.clone(), key.clone());
                for version in key.versions() {
                    self.index.add_version(&version.id, account, id.clone());
                }
                self.index.set_key_tags(account, id, tag_pairs(&key.tags));
                let due = Due::Key(account.clone(), id.clone());
                self.reschedule(due, before.and_then(|key| key.due()), key.due());
            }
            Record::Alias(account, alias, key) => {
                self.index.set_alias(account, alias, key.clone());
                self.account_mut(account).aliases.insert(alias.clone(), key.clone());
            }
            Record::Secret(account, name, secret) => {
                let before = self.account_mut(account).secrets.insert(name.clone(), secret.clone());
                self.index.add_secret(account, name, secret.key.clone());
                self.index.set_secret_tags(account, name, tag_pairs(&secret.tags));
                let due = Due::Secret(account.clone(), name.clone());
                self.reschedule(due, before.and_then(|secret| secret.deletion), secret.deletion);
            }
            Record::Planted(account, name) => {
                self.account_mut(account).planted.insert(name.clone());
            }
        }
    }

    /// Lets go of something.
    pub fn remove(&mut self, gone: &Gone) {
        match gone {
            Gone::Key(account, id) => {
                let Some(key) = self.account_mut(account).keys.remove(id) else { return };
                self.index.remove_key(account, id, key.versions().map(|version| version.id.as_str()));
                self.reschedule(Due::Key(account.clone(), id.clone()), key.due(), None);
            }
            Gone::Alias(account, alias) => {
                self.account_mut(account).aliases.remove(alias);
                self.index.remove_alias(account, alias);
            }
            Gone::Secret(account, name) => {
                let Some(secret) = self.account_mut(account).secrets.remove(name) else { return };
                self.index.remove_secret(account, name);
                self.reschedule(Due::Secret(account.clone(), name.clone()), secret.deletion, None);
            }
        }
    }

    fn reschedule(&mut self, due: Due, before: Option<Moment>, now: Option<Moment>) {
        if let Some(moment) = before {
            self.due.remove(&(moment, due.clone()));
        }
        if let Some(moment) = now {
            self.due.insert((moment, due));
        }
    }

    fn account_mut(&mut self, account: &str) -> &mut Account {
        self.accounts.entry(account.into()).or_default()
    }
}

/// A state to come, and what the storage has to keep before it comes into force.
pub struct Draft {
    state: State,
    changes: Vec<Change>,
}

impl Draft {
    /// A draft that changes nothing yet.
    pub fn new(state: State) -> Self {
        Self { state, changes: Vec::new() }
    }

    /// The state with all changes so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adds or replaces something.
    pub fn put(&mut self, record: Record) {
        self.state.insert(&record);
        self.changes.push(Change::Put(record));
    }

    /// Adds or replaces a key.
    pub fn put_key(&mut self, name: &Owned<KeyId>, key: Key) {
        self.put(Record::Key(name.account.clone(), name.name.clone(), Arc::new(key)));
    }

    /// Adds or replaces a secret.
    pub fn put_secret(&mut self, name: &Owned<SecretName>, secret: Secret) {
        self.put(Record::Secret(name.account.clone(), name.name.clone(), Arc::new(secret)));
    }

    /// Removes something.
    pub fn remove(&mut self, gone: Gone, now: Moment) {
        self.state.remove(&gone);
        self.changes.push(Change::Remove(gone, now));
    }

    /// The state to come, and the changes that lead to it.
    pub fn finish(self) -> (State, Vec<Change>) {
        (self.state, self.changes)
    }
}

/// Tags as conditions look at them.
fn tag_pairs(tags: &[Tag]) -> Arc<Pairs> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}
