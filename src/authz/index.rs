//! What names stand for: aliases → keys, ciphertexts → keys, secrets → the keys that encrypt them.
//!
//! Immutable and cheap to copy: whoever learns something new makes a new index and publishes it in the next snapshot.

use std::sync::Arc;

use super::needs::Target;
use crate::kms::{AliasName, CiphertextBlob, KeyId, SecretName};
use crate::policy::Pairs;

/// An index of names. With the embedded KMS it is complete: what is not in it does not exist.
#[derive(Clone, Default)]
pub struct ResourceIndex {
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

fn owned(account: &str, name: &str) -> String {
    format!("{account}:{name}")
}

impl ResourceIndex {
    /// The key to which an alias of `account` points.
    pub fn key_of_alias(&self, account: &str, alias: &AliasName) -> Option<&KeyId> {
        self.aliases.get(&owned(account, alias.as_str()))
    }

    /// The account and key that made a ciphertext, as far as the ciphertext can be trusted about it.
    pub fn key_of_ciphertext(&self, ciphertext: &CiphertextBlob) -> Option<(&str, &KeyId)> {
        self.versions.get(ciphertext.version_id()).map(|(account, key)| (account.as_str(), key))
    }

    /// The key that the owner of a secret chose to encrypt it.
    pub fn key_of_secret(&self, account: &str, name: &SecretName) -> Option<&KeyId> {
        self.secrets.get(&owned(account, name.as_str())).and_then(Option::as_ref)
    }

    /// The tags of a key or secret; other targets have none.
    pub fn tags(&self, target: &Target) -> &Pairs {
        let tags = match target {
            Target::Key(key) => self.key_tags.get(&owned(&key.account, key.name.as_str())),
            Target::Secret(secret) => self.secret_tags.get(&owned(&secret.account, secret.name.as_str())),
            _ => None,
        };
        tags.map_or(&[], |tags| tags)
    }

    /// Replaces the tags of a key.
    pub fn set_key_tags(&mut self, account: &str, key: &KeyId, tags: Arc<Pairs>) {
        replace(&mut self.key_tags, owned(account, key.as_str()), tags);
    }

    /// Replaces the tags of a secret.
    pub fn set_secret_tags(&mut self, account: &str, name: &SecretName, tags: Arc<Pairs>) {
        replace(&mut self.secret_tags, owned(account, name.as_str()), tags);
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

/// Most resources have no tags; they take no room.
fn replace(map: &mut imbl::HashMap<String, Arc<Pairs>>, name: String, tags: Arc<Pairs>) {
    if tags.is_empty() {
        map.remove(&name);
    } else {
        map.insert(name, tags);
    }
}
