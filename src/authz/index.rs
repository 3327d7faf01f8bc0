//! What names stand for: aliases → keys, ciphertexts → keys, secrets → the keys that encrypt them.
//!
//! Immutable and cheap to copy: whoever learns something new makes a new index and publishes it in the next snapshot.

use std::sync::Arc;

use super::target::Target;
use crate::kms::{AliasName, CiphertextBlob, KeyId, SecretName};
use crate::policy::Pairs;

/// An index of names. With the embedded KMS it is complete: what is not in it does not exist. With a KMS elsewhere it holds
/// what was heard of, and decides nothing alone.
#[derive(Clone, Default)]
pub struct ResourceIndex {
    /// Whether it holds hearsay.
    is_hearsay: bool,
    /// What the operator says, which counts before anything that was heard.
    stated: Option<Arc<ResourceIndex>>,
    /// Key id → the account that owns it; only of hearsay.
    owners: imbl::HashMap<KeyId, String>,
    /// `ACCOUNT:alias/NAME` → the key.
    aliases: imbl::HashMap<String, KeyId>,
    /// Key version id → owning account and key.
    versions: imbl::HashMap<String, (String, KeyId)>,
    /// `ACCOUNT:SECRET-NAME` → the key that its owner chose, if any.
    secrets: imbl::HashMap<String, Option<KeyId>>,
    /// `ACCOUNT:KEY-ID` → its tags.
    key_tags: imbl::HashMap<String, Arc<Pairs>>,
    /// `ACCOUNT:SECRET-NAME` → its tags.
    secret_tags: imbl::HashMap<String, Arc<Pairs>>,
}

/// What is known of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<T> {
    /// It is this.
    Is(T),
    /// There is none.
    None,
    /// Nobody knows.
    Unknown,
}

fn owned(account: &str, name: &str) -> String {
    format!("{account}:{name}")
}

impl ResourceIndex {
    /// An empty index of hearsay.
    pub fn of_hearsay() -> Self {
        Self { is_hearsay: true, ..Self::default() }
    }

    /// Whether what is not in it does not exist.
    pub fn is_complete(&self) -> bool {
        !self.is_hearsay
    }

    /// The same with what the operator says now.
    #[must_use]
    pub fn with_stated(mut self, stated: Option<Arc<Self>>) -> Self {
        self.stated = stated;
        self
    }

    /// What the operator says.
    pub fn stated(&self) -> Option<&Arc<Self>> {
        self.stated.as_ref()
    }

    /// The account that a key belongs to, as far as was heard of it.
    pub fn owner_of(&self, key: &KeyId) -> Option<&str> {
        let stated = self.stated.as_ref().and_then(|stated| stated.owner_of(key));
        stated.or_else(|| self.owners.get(key).map(String::as_str))
    }

    /// Notes which account a key belongs to.
    pub fn set_owner(&mut self, key: KeyId, account: &str) {
        self.owners.insert(key, account.to_owned());
    }

    /// Forgets which account a key belongs to.
    pub fn remove_owner(&mut self, key: &KeyId) {
        self.owners.remove(key);
    }

    /// Forgets a key version.
    pub fn remove_version(&mut self, version_id: &str) {
        self.versions.remove(version_id);
    }

    /// Forgets which key encrypts a secret; whether it still is there is another matter.
    pub fn forget_secret_key(&mut self, account: &str, name: &SecretName) {
        self.secrets.remove(&owned(account, name.as_str()));
    }

    /// Forgets the tags of a secret.
    pub fn remove_secret_tags(&mut self, account: &str, name: &SecretName) {
        self.secret_tags.remove(&owned(account, name.as_str()));
    }

    /// Forgets the tags of a key.
    pub fn remove_key_tags(&mut self, account: &str, key: &KeyId) {
        self.key_tags.remove(&owned(account, key.as_str()));
    }

    /// The key to which an alias of `account` points.
    pub fn key_of_alias(&self, account: &str, alias: &AliasName) -> Option<&KeyId> {
        let stated = self.stated.as_ref().and_then(|stated| stated.key_of_alias(account, alias));
        stated.or_else(|| self.aliases.get(&owned(account, alias.as_str())))
    }

    /// The account and key that made a ciphertext, as far as the ciphertext can be trusted about it.
    pub fn key_of_ciphertext(&self, ciphertext: &CiphertextBlob) -> Option<(&str, &KeyId)> {
        let stated = self.stated.as_ref().and_then(|stated| stated.key_of_ciphertext(ciphertext));
        // A version is as certain as the account of its key.
        let is_certain = |account: &str, key: &KeyId| !self.is_hearsay || self.owner_of(key) == Some(account);
        let found = || self.versions.get(ciphertext.version_id()).filter(|(account, key)| is_certain(account, key));
        stated.or_else(|| found().map(|(account, key)| (account.as_str(), key)))
    }

    /// The account and key that a version is of, as it was added.
    pub fn key_of_version(&self, version_id: &str) -> Option<(&str, &KeyId)> {
        self.versions.get(version_id).map(|(account, key)| (account.as_str(), key))
    }

    /// Whether it is by hearsay alone that an alias points to a key.
    pub fn hears_alias(&self, account: &str, alias: &AliasName) -> bool {
        let is_stated = self.stated.as_ref().is_some_and(|stated| stated.key_of_alias(account, alias).is_some());
        self.is_hearsay && !is_stated && self.key_of_alias(account, alias).is_some()
    }

    /// Whether it is by hearsay alone that a secret is encrypted by some key, or by none of its owner's.
    pub fn hears_key_of_secret(&self, account: &str, name: &SecretName) -> bool {
        let is_known = self.key_of_secret(account, name) != Known::Unknown;
        self.is_hearsay && is_known && self.stated_key_of_secret(account, name).is_none()
    }

    /// The key that the owner of a secret chose to encrypt it.
    pub fn key_of_secret(&self, account: &str, name: &SecretName) -> Known<&KeyId> {
        match self.secrets.get(&owned(account, name.as_str())) {
            _ if let Some(known) = self.stated_key_of_secret(account, name) => known,
            Some(Some(key)) => Known::Is(key),
            None if self.is_hearsay => Known::Unknown,
            Some(None) | None => Known::None,
        }
    }

    /// What the operator says of it, if anything.
    fn stated_key_of_secret(&self, account: &str, name: &SecretName) -> Option<Known<&KeyId>> {
        let known = self.stated.as_ref()?.key_of_secret(account, name);
        (known != Known::Unknown).then_some(known)
    }

    /// The tags of a key or secret, if they are known; other targets have none.
    pub fn tags(&self, target: &Target) -> Option<&Pairs> {
        if let Some(stated) = self.stated.as_ref().and_then(|stated| stated.tags(target)) {
            return Some(stated);
        }
        let tags = match target {
            Target::Key(key) => self.key_tags.get(&owned(&key.account, key.name.as_str())),
            Target::Secret(secret) => self.secret_tags.get(&owned(&secret.account, secret.name.as_str())),
            Target::UnknownAlias(_) | Target::UnknownCiphertext | Target::UnknownKeyOfSecret(_) => None,
            _ => return Some(&[]),
        };
        let unknown = if self.is_hearsay { None } else { Some(&[][..]) };
        tags.map(|tags| &**tags).or(unknown)
    }

    /// Replaces the tags of a key.
    pub fn set_key_tags(&mut self, account: &str, key: &KeyId, tags: Arc<Pairs>) {
        replace(&mut self.key_tags, owned(account, key.as_str()), tags, self.is_hearsay);
    }

    /// Replaces the tags of a secret.
    pub fn set_secret_tags(&mut self, account: &str, name: &SecretName, tags: Arc<Pairs>) {
        replace(&mut self.secret_tags, owned(account, name.as_str()), tags, self.is_hearsay);
    }

    /// Points an alias to a key.
    pub fn set_alias(&mut self, account: &str, alias: &AliasName, key: KeyId) {
        self.aliases.insert(owned(account, alias.as_str()), key);
    }

    /// Forgets an alias.
    pub fn remove_alias(&mut self, account: &str, alias: &AliasName) {
        self.aliases.remove(&owned(account, alias.as_str()));
    }

    /// Forgets a key: its tags and these versions of it.
    pub fn remove_key<'v>(&mut self, account: &str, key: &KeyId, versions: impl Iterator<Item = &'v str>) {
        self.key_tags.remove(&owned(account, key.as_str()));
        for version in versions {
            self.versions.remove(version);
        }
    }

    /// Forgets a secret and its tags.
    pub fn remove_secret(&mut self, account: &str, name: &SecretName) {
        let name = owned(account, name.as_str());
        self.secrets.remove(&name);
        self.secret_tags.remove(&name);
    }

    /// Adds a key version.
    pub fn add_version(&mut self, version_id: &str, account: &str, key: KeyId) {
        self.versions.insert(version_id.to_owned(), (account.to_owned(), key));
    }

    /// Adds a secret with the key that encrypts it.
    pub fn add_secret(&mut self, account: &str, name: &SecretName, key: Option<KeyId>) {
        self.secrets.insert(owned(account, name.as_str()), key);
    }
}

/// Most resources have no tags; they take no room, unless it is worth knowing.
fn replace(map: &mut imbl::HashMap<String, Arc<Pairs>>, name: String, tags: Arc<Pairs>, is_hearsay: bool) {
    if tags.is_empty() && !is_hearsay {
        map.remove(&name);
    } else {
        map.insert(name, tags);
    }
}
