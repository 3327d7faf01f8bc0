//! What was heard of names: which key an alias points to, made a ciphertext or encrypts a secret, whose it is, how it is
//! tagged. From answers that KMS gave, to whomever.
//!
//! Hearsay ends: it is forgotten after a while, and the oldest first when there is too much. What the operator says counts
//! before it. Nothing here decides anything: answers are judged by the key that they name.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::authz::{Owned, Permit, ResourceIndex, Target};
use crate::kms::{Address, AliasName, KeyId, KeyRef, SecretName, SecretRef};
use crate::policy::Pairs;

/// How many names are remembered.
const NAMES_MAX: usize = 200_000;

/// The kinds of keys' versions in an answer: where a key's id stands, and where its version's beside it.
const VERSION_MEMBERS: [&str; 2] = ["KeyVersionId", "PrimaryKeyVersion"];

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
    believed_for: Duration,
    changed: bool,
}

impl Knowledge {
    /// Nothing yet.
    pub fn new(believed_for: Duration) -> Self {
        let index = ResourceIndex::of_hearsay();
        Self { index, heard: HashMap::new(), order: VecDeque::new(), believed_for, changed: true }
    }

    /// How many names were heard of and are believed.
    pub fn len(&self) -> usize {
        self.heard.len()
    }

    /// The index, if it changed since it was taken last.
    pub fn take_changed(&mut self, now: Instant) -> Option<ResourceIndex> {
        self.forget(now);
        std::mem::take(&mut self.changed).then(|| self.index.clone())
    }

    /// Learns from an answer to a permitted request, which succeeded and is about `key`, if it names one.
    pub fn learn_from(
        &mut self,
        permit: &Permit,
        answer: &Value,
        key: Option<&Owned<KeyId>>,
        region: &str,
        now: Instant,
    ) {
        let request = permit.request();
        let account = permit.route().account.clone();
        let mut heard = Heard { knowledge: self, region, account: &account, now };
        heard.answer(request.call.name(), answer);
        match request.call.name() {
            "CreateAlias" | "UpdateAlias" => heard.alias_written(permit),
            "DeleteAlias" => heard.alias_deleted(permit),
            _ => {}
        }
        let named = request.params.given("KeyId").and_then(KeyRef::parse);
        let in_account = |given: Option<Address<'_>>| given.map_or(account.as_str(), |it| it.account).to_owned();
        match (named, key) {
            (Some((given, KeyRef::Alias(alias))), Some(key)) => {
                heard.alias(&in_account(given), &alias, key.name.clone());
            }
            // Without an account, a key was found in the one that the request was executed in.
            (Some((given, KeyRef::Id(named))), None) => heard.key(&in_account(given), &named),
            _ => {}
        }
        if let Some(key) = key {
            heard.key(&key.account, &key.name);
            // ReEncrypt names one of two keys; nobody knows of which the version is.
            if let Some(version) = version_in(answer).filter(|_| request.call.name() != "ReEncrypt") {
                heard.version(&key.account, &key.name, version);
            }
        }
    }

    /// Learns which key an alias points to, from a description of that key.
    pub fn learn_alias(&mut self, alias: &Owned<AliasName>, description: &Value, now: Instant) {
        if let Some(key) = description.get("KeyMetadata").and_then(key_in) {
            let (region, account) = (alias.region.as_str(), alias.account.as_str());
            let mut heard = Heard { knowledge: self, region, account, now };
            heard.answer("DescribeKey", description);
            heard.alias(account, &alias.name, key);
        }
    }

    /// Learns from the answer of an operation that names keys, aliases or secrets themselves. Names without an account are
    /// of `account`.
    pub fn learn(&mut self, operation: &str, answer: &Value, (region, account): (&str, &str), now: Instant) {
        Heard { knowledge: self, region, account, now }.answer(operation, answer);
    }

    /// Learns the tags of a key.
    pub fn learn_key_tags(&mut self, key: &Owned<KeyId>, tags: Arc<Pairs>, now: Instant) {
        self.note(Name::KeyTags(key.account.clone(), key.name.clone()), now);
        self.index.set_key_tags(&key.account, &key.name, tags);
    }

    /// Learns the tags of a secret.
    pub fn learn_secret_tags(&mut self, secret: &Owned<SecretName>, tags: Arc<Pairs>, now: Instant) {
        self.note(Name::SecretTags(secret.account.clone(), secret.name.clone()), now);
        self.index.set_secret_tags(&secret.account, &secret.name, tags);
    }

    /// What was changed makes what was heard of it worthless: tags, and secrets that may come again with another key.
    pub fn forget_changed(&mut self, operation: &str, targets: &[Target]) {
        for target in targets {
            match target {
                Target::Key(key) => self.drop_name(&Name::KeyTags(key.account.clone(), key.name.clone())),
                Target::Secret(secret) => {
                    self.drop_name(&Name::SecretTags(secret.account.clone(), secret.name.clone()));
                    if operation == "DeleteSecret" {
                        self.drop_name(&Name::Secret(secret.account.clone(), secret.name.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, name: Name, now: Instant) {
        self.heard.insert(name.clone(), now);
        self.order.push_back((now, name));
        self.changed = true;
    }

    fn forget(&mut self, now: Instant) {
        while let Some((heard, name)) = self.order.front().cloned() {
            let is_stale = now.duration_since(heard) >= self.believed_for;
            let is_last = self.heard.get(&name) == Some(&heard);
            if is_last && !is_stale && self.heard.len() <= NAMES_MAX {
                return;
            }
            self.order.pop_front();
            if is_last {
                self.drop_name(&name);
            }
        }
    }

    fn drop_name(&mut self, name: &Name) {
        if self.heard.remove(name).is_none() {
            return;
        }
        self.changed = true;
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

/// One answer that is listened to.
struct Heard<'a> {
    knowledge: &'a mut Knowledge,
    region: &'a str,
    account: &'a str,
    now: Instant,
}

impl Heard<'_> {
    fn answer(&mut self, operation: &str, answer: &Value) {
        let list = |pointer: &str| answer.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        match operation {
            "DescribeKey" | "CreateKey" => answer.get("KeyMetadata").into_iter().for_each(|it| self.metadata(it)),
            "ListKeys" => list("/Keys/Key").iter().for_each(|key| self.metadata(key)),
            "ListKeyVersions" => {
                list("/KeyVersions/KeyVersion").iter().for_each(|version| self.listed_version(version))
            }
            "ListAliases" | "ListAliasesByKeyId" => list("/Aliases/Alias").iter().for_each(|it| self.listed_alias(it)),
            "DescribeSecret" => self.secret(answer),
            _ => {}
        }
    }

    /// What has an ARN says whose it is.
    fn metadata(&mut self, metadata: &Value) {
        let arn = ["Arn", "KeyArn"].iter().find_map(|name| metadata.get(name)?.as_str());
        let Some((Some(address), KeyRef::Id(id))) = arn.and_then(KeyRef::parse) else { return };
        let is_it = key_in(metadata).is_none_or(|key| key == id) && address.region == self.region;
        let account = address.account.to_owned();
        if is_it {
            self.key(&account, &id);
            if let Some(version) = version_in(metadata) {
                self.version(&account, &id, version);
            }
        }
    }

    fn listed_version(&mut self, version: &Value) {
        if let (Some(key), Some(id)) = (key_in(version), version_in(version)) {
            let account = self.account.to_owned();
            self.version(&account, &key, id);
        }
    }

    fn listed_alias(&mut self, listed: &Value) {
        let arn = listed.get("AliasArn").and_then(Value::as_str).and_then(KeyRef::parse);
        if let (Some((Some(address), KeyRef::Alias(alias))), Some(key)) = (arn, key_in(listed)) {
            let account = address.account.to_owned();
            self.alias(&account, &alias, key);
        }
    }

    fn secret(&mut self, answer: &Value) {
        let arn = answer.get("Arn").and_then(Value::as_str).and_then(SecretRef::parse);
        let Some((Some(address), name)) = arn else { return };
        let text = answer.get("EncryptionKeyId").and_then(Value::as_str).filter(|text| !text.is_empty());
        let key = match text.map(KeyRef::parse) {
            None => None,
            Some(Some((_, KeyRef::Id(id)))) => Some(id),
            // It has one, and nobody can tell which.
            Some(_) => return,
        };
        let account = address.account.to_owned();
        self.knowledge.note(Name::Secret(account.clone(), name.clone()), self.now);
        self.knowledge.index.add_secret(&account, &name, key);
        if let Some(tags) = answer.get("Tags") {
            let secret = Owned { region: self.region.to_owned(), account, name };
            self.knowledge.learn_secret_tags(&secret, tags_in(tags), self.now);
        }
    }

    fn alias_written(&mut self, permit: &Permit) {
        if let (Some(Target::Alias(alias)), Some(Target::Key(key))) =
            (permit.targets().first(), permit.targets().get(1))
        {
            self.alias(&alias.account, &alias.name, key.name.clone());
        }
    }

    fn alias_deleted(&mut self, permit: &Permit) {
        if let Some(Target::Alias(alias)) = permit.targets().first() {
            self.knowledge.drop_name(&Name::Alias(alias.account.clone(), alias.name.clone()));
        }
    }

    fn alias(&mut self, account: &str, alias: &AliasName, key: KeyId) {
        self.key(account, &key);
        let name = Name::Alias(account.to_owned(), alias.clone());
        if self.knowledge.index.key_of_alias(account, alias) != Some(&key) || !self.is_fresh(&name) {
            self.knowledge.note(name, self.now);
            self.knowledge.index.set_alias(account, alias, key);
        }
    }

    fn key(&mut self, account: &str, key: &KeyId) {
        // Heard of all the time; noting it costs a new index.
        if self.knowledge.index.owner_of(key) != Some(account) || !self.is_fresh(&Name::Owner(key.clone())) {
            self.knowledge.note(Name::Owner(key.clone()), self.now);
            self.knowledge.index.set_owner(key.clone(), account);
        }
    }

    fn version(&mut self, account: &str, key: &KeyId, version: String) {
        let name = Name::Version(version.clone());
        if !self.is_fresh(&name) {
            self.knowledge.note(name, self.now);
            self.knowledge.index.add_version(&version, account, key.clone());
        }
    }

    /// Whether a name was heard of so lately that hearing it again is no news.
    fn is_fresh(&self, name: &Name) -> bool {
        let heard = self.knowledge.heard.get(name);
        heard.is_some_and(|heard| self.now.duration_since(*heard) < self.knowledge.believed_for / 2)
    }
}

/// The tags in an answer: `{"Tag":[{"TagKey":…,"TagValue":…}]}`.
pub fn tags_in(tags: &Value) -> Arc<Pairs> {
    let listed = tags.get("Tag").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let pair = |tag: &Value| {
        let text = |name: &str| tag.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((text("TagKey")?, text("TagValue").unwrap_or_default()))
    };
    listed.iter().filter_map(pair).collect::<Vec<_>>().into()
}

fn key_in(value: &Value) -> Option<KeyId> {
    KeyId::parse(value.get("KeyId")?.as_str()?)
}

fn version_in(value: &Value) -> Option<String> {
    let version = VERSION_MEMBERS.iter().find_map(|name| value.get(name)?.as_str())?;
    (!version.is_empty() && version.len() <= 128).then(|| version.to_owned())
}
