//! What was heard of names: which key an alias points to, made a ciphertext or encrypts a secret, whose it is, how it is
//! tagged. From answers that KMS gave, to whomever.
//!
//! Hearsay ends: it is forgotten after a while, and the oldest first when there is too much. What a request may change is
//! forgotten at once, and an answer to something that was asked before says nothing of it. What the operator says counts
//! before it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::authz::{Known, Owned, Permit, ResourceIndex, Target, Unresolved};
use crate::kms::{AliasName, KeyId, SecretName};
use crate::policy::Pairs;

/// How many names are remembered.
const NAMES_MAX: usize = 200_000;

/// How many changes are remembered.
const CHANGES_MAX: usize = 10_000;

/// How long a change is remembered. No answer takes longer.
const CHANGES_FOR: Duration = Duration::from_secs(600);

/// The operations after which a secret of that name may be another one, with another key.
const MAKE_SECRETS_ANEW: &[&str] = &["CreateSecret", "DeleteSecret", "RestoreSecret"];

/// Something that was heard of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Alias(String, AliasName),
    Version(String),
    Owner(KeyId),
    Secret(String, SecretName),
    KeyTags(String, KeyId),
    SecretTags(String, SecretName),
}

/// Everything that was heard, and until when it is believed.
pub struct Knowledge {
    /// What was heard.
    index: ResourceIndex,
    /// When each name was heard of last.
    heard: HashMap<Name, Instant>,
    /// The order in which they are forgotten; a name that was heard of again stands there more than once.
    order: VecDeque<(Instant, Name)>,
    /// When names were changed last: what was asked before is no news of them.
    changed_at: HashMap<Name, Instant>,
    /// The same of all names.
    all_changed_at: Option<Instant>,
    believed_for: Duration,
    is_new: bool,
}

/// When something was asked, and when it was answered.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Before it was sent.
    pub asked: Instant,
    /// Now.
    pub now: Instant,
}

impl Knowledge {
    /// Nothing yet.
    pub fn new(believed_for: Duration) -> Self {
        Self {
            index: ResourceIndex::of_hearsay(),
            heard: HashMap::new(),
            order: VecDeque::new(),
            changed_at: HashMap::new(),
            all_changed_at: None,
            believed_for,
            is_new: true,
        }
    }

    /// How many names were heard of and are believed.
    pub fn len(&self) -> usize {
        self.heard.len()
    }

    /// The index as it is.
    pub fn index(&self) -> ResourceIndex {
        self.index.clone()
    }

    /// The index, if it changed since it was taken last.
    pub fn take_changed(&mut self, now: Instant) -> Option<ResourceIndex> {
        self.forget_old(now);
        std::mem::take(&mut self.is_new).then(|| self.index.clone())
    }

    /// Notes which key an alias points to.
    pub fn alias(&mut self, account: &str, alias: &AliasName, key: KeyId, times: Times) {
        let name = Name::Alias(account.to_owned(), alias.clone());
        let is_known = self.index.key_of_alias(account, alias) == Some(&key);
        if self.is_news(&name, is_known, times) {
            self.index.set_alias(account, alias, key);
        }
    }

    /// Notes whose a key is. Keys never change hands, so who says something else is wrong, now or before: then nobody knows.
    pub fn owner(&mut self, account: &str, key: &KeyId, times: Times) {
        let name = Name::Owner(key.clone());
        let known = self.index.owner_of(key);
        if known.is_some_and(|known| known != account) {
            tracing::warn!(key = key.as_str(), "KMS says of one key that it belongs to two accounts");
            return self.forget(&name);
        }
        if self.is_news(&name, known.is_some(), times) {
            self.index.set_owner(key.clone(), account);
        }
    }

    /// Notes which key a version is of, if it is known whose that is.
    pub fn version(&mut self, account: &str, key: &KeyId, version: String, times: Times) {
        let name = Name::Version(version.clone());
        let is_certain = self.index.owner_of(key) == Some(account);
        if is_certain && self.is_news(&name, self.heard.contains_key(&name), times) {
            self.index.add_version(&version, account, key.clone());
        }
    }

    /// Notes which key its owner chose to encrypt a secret, if any.
    pub fn secret(&mut self, account: &str, secret: &SecretName, key: Option<KeyId>, times: Times) {
        let name = Name::Secret(account.to_owned(), secret.clone());
        let is_known = match (self.index.key_of_secret(account, secret), &key) {
            (Known::Is(known), Some(key)) => known == key,
            (Known::None, None) => true,
            _ => false,
        };
        if self.is_news(&name, is_known, times) {
            self.index.add_secret(account, secret, key);
        }
    }

    /// Notes the tags of a key.
    pub fn key_tags(&mut self, key: &Owned<KeyId>, tags: Arc<Pairs>, times: Times) {
        let name = Name::KeyTags(key.account.clone(), key.name.clone());
        let is_known = self.index.tags(&Target::Key(key.clone())) == Some(&*tags);
        if self.is_news(&name, is_known, times) {
            self.index.set_key_tags(&key.account, &key.name, tags);
        }
    }

    /// Notes the tags of a secret.
    pub fn secret_tags(&mut self, secret: &Owned<SecretName>, tags: Arc<Pairs>, times: Times) {
        let name = Name::SecretTags(secret.account.clone(), secret.name.clone());
        let is_known = self.index.tags(&Target::Secret(secret.clone())) == Some(&*tags);
        if self.is_news(&name, is_known, times) {
            self.index.set_secret_tags(&secret.account, &secret.name, tags);
        }
    }

    /// Forgets what a permitted request may change. Answers to what was asked before `now` say nothing of it any more.
    pub fn forget_changed(&mut self, permit: &Permit, now: Instant) {
        let operation = permit.request().call.name();
        let makes_anew = MAKE_SECRETS_ANEW.contains(&operation);
        let mut names = Vec::new();
        for target in permit.targets() {
            match target {
                Target::Key(key) => names.push(Name::KeyTags(key.account.clone(), key.name.clone())),
                Target::Alias(alias) => names.push(Name::Alias(alias.account.clone(), alias.name.clone())),
                Target::Secret(secret) => {
                    names.push(Name::SecretTags(secret.account.clone(), secret.name.clone()));
                    if makes_anew {
                        names.push(Name::Secret(secret.account.clone(), secret.name.clone()));
                    }
                }
                _ => {}
            }
        }
        let made = permit.request().params.given("SecretName").and_then(SecretName::parse);
        if let Some(made) = made.filter(|_| operation == "CreateSecret") {
            let account = permit.route().account.clone();
            names.push(Name::SecretTags(account.clone(), made.clone()));
            names.push(Name::Secret(account, made));
        }
        for name in names {
            self.forget(&name);
            self.note_change(name, now);
        }
    }

    /// Forgets what there is not.
    pub fn forget_absent(&mut self, what: &Unresolved) {
        match what {
            Unresolved::Alias(alias) => self.forget(&Name::Alias(alias.account.clone(), alias.name.clone())),
            Unresolved::KeyOfSecret(secret) => {
                self.forget(&Name::Secret(secret.account.clone(), secret.name.clone()));
            }
            _ => {}
        }
    }

    /// Whether something is worth noting, and notes that it was heard of: what is known is noted again only now and then,
    /// because that costs a new index.
    fn is_news(&mut self, name: &Name, is_known: bool, Times { asked, now }: Times) -> bool {
        let is_outdated = |changed: &Instant| *changed >= asked;
        if self.changed_at.get(name).is_some_and(is_outdated) || self.all_changed_at.as_ref().is_some_and(is_outdated) {
            return false;
        }
        let is_fresh = |heard: &Instant| now.duration_since(*heard) < self.believed_for / 2;
        if is_known && self.heard.get(name).is_some_and(is_fresh) {
            return false;
        }
        self.heard.insert(name.clone(), now);
        self.order.push_back((now, name.clone()));
        self.is_new = true;
        true
    }

    fn note_change(&mut self, name: Name, now: Instant) {
        if self.changed_at.len() >= CHANGES_MAX {
            self.changed_at.retain(|_, at| now.duration_since(*at) < CHANGES_FOR);
        }
        if self.changed_at.len() >= CHANGES_MAX {
            self.changed_at.clear();
            self.all_changed_at = Some(now);
        }
        self.changed_at.insert(name, now);
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((heard, name)) = self.order.front() {
            let is_stale = now.duration_since(*heard) >= self.believed_for;
            let is_last = self.heard.get(name) == Some(heard);
            if is_last && !is_stale && self.heard.len() <= NAMES_MAX {
                return;
            }
            if let (Some((_, name)), true) = (self.order.pop_front(), is_last) {
                self.forget(&name);
            }
        }
    }

    fn forget(&mut self, name: &Name) {
        if self.heard.remove(name).is_none() {
            return;
        }
        self.is_new = true;
        match name {
            Name::Alias(account, alias) => self.index.remove_alias(account, alias),
            Name::Version(version) => self.index.remove_version(version),
            Name::Owner(key) => self.index.remove_owner(key),
            Name::Secret(account, secret) => self.index.forget_secret_key(account, secret),
            Name::KeyTags(account, key) => self.index.remove_key_tags(account, key),
            Name::SecretTags(account, secret) => self.index.remove_secret_tags(account, secret),
        }
    }
}
