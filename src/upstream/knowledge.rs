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
use crate::kms::{AliasName, Call, KeyId, SecretName};
use crate::policy::Pairs;

/// How many names are remembered.
const NAMES_MAX: usize = 200_000;

/// How many changes are remembered.
const CHANGES_MAX: usize = 10_000;

/// How long a change is remembered. No answer takes longer.
const CHANGES_FOR: Duration = Duration::from_secs(600);

/// How long a change may still happen of which nobody knows whether it did, and for how long is believed meanwhile what is
/// heard.
const MAY_HAPPEN_FOR: Duration = Duration::from_secs(60);
const BELIEVED_MEANWHILE: Duration = Duration::from_secs(1);

/// The operations after which a secret of that name may be another one, with another key and other tags.
const MAKE_SECRETS_ANEW: &[&str] = &["CreateSecret", "DeleteSecret", "RestoreSecret"];

/// The operations that change tags.
const TAG: &[&str] = &["TagResource", "TagResources", "UntagResource", "UntagResources"];

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
    /// When each name was asked for and heard of last.
    heard: HashMap<Name, Times>,
    /// The order in which they are forgotten; a name that was heard of again stands there more than once.
    order: VecDeque<(Instant, Name)>,
    /// When names were changed last: what was asked before is no news of them.
    changed_at: HashMap<Name, Instant>,
    /// The same of all names.
    all_changed_at: Option<Instant>,
    /// Until when names may still change: by what is on its way, or had no answer.
    may_change_until: HashMap<Name, Instant>,
    /// When names are forgotten before their time, for that reason.
    early: HashMap<Name, Instant>,
    believed_for: Duration,
    is_new: bool,
}

/// When something was asked, and when it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            may_change_until: HashMap::new(),
            early: HashMap::new(),
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

    /// Whether something that was asked is known.
    pub fn knows(&self, what: &Unresolved) -> bool {
        match what {
            Unresolved::Alias(alias) => self.index.key_of_alias(&alias.account, &alias.name).is_some(),
            Unresolved::Owner(key) => self.index.owner_of(key).is_some(),
            Unresolved::KeyOfSecret(of) => self.index.key_of_secret(&of.account, &of.name) != Known::Unknown,
            Unresolved::Tags(target) => self.index.tags(target).is_some(),
            Unresolved::Ciphertext => false,
        }
    }

    /// Notes which key an alias points to. Whether it is believed now, as with all that follow: not if it was changed since it
    /// was asked for.
    pub fn alias(&mut self, account: &str, alias: &AliasName, key: KeyId, times: Times) -> bool {
        let name = Name::Alias(account.to_owned(), alias.clone());
        let is_known = self.index.key_of_alias(account, alias) == Some(&key);
        self.note(name, is_known, times, |index| index.set_alias(account, alias, key))
    }

    /// Notes whose a key is, as KMS says. Keys never change hands: if it says two things, nobody knows.
    pub fn owner(&mut self, account: &str, key: &KeyId, times: Times) -> bool {
        let name = Name::Owner(key.clone());
        let known = self.index.owner_of(key);
        if known.is_some_and(|known| known != account) {
            tracing::warn!(key = key.as_str(), "KMS says of one key that it belongs to two accounts");
            self.forget(&name);
            return false;
        }
        let is_known = known.is_some();
        self.note(name, is_known, times, |index| index.set_owner(key.clone(), account))
    }

    /// Notes that a key was found in an account, unless KMS said something else.
    pub fn owner_found(&mut self, account: &str, key: &KeyId, times: Times) {
        if self.index.owner_of(key).is_none_or(|known| known == account) {
            self.owner(account, key, times);
        }
    }

    /// Notes which key a version is of, if it is known whose that is.
    pub fn version(&mut self, account: &str, key: &KeyId, version: String, times: Times) {
        let name = Name::Version(version.clone());
        let is_known = self.heard.contains_key(&name);
        if self.index.owner_of(key) == Some(account) {
            self.note(name, is_known, times, |index| index.add_version(&version, account, key.clone()));
        }
    }

    /// Notes which key its owner chose to encrypt a secret, if any.
    pub fn secret(&mut self, account: &str, secret: &SecretName, key: Option<KeyId>, times: Times) -> bool {
        let name = Name::Secret(account.to_owned(), secret.clone());
        let is_known = match (self.index.key_of_secret(account, secret), &key) {
            (Known::Is(known), Some(key)) => known == key,
            (Known::None, None) => true,
            _ => false,
        };
        self.note(name, is_known, times, |index| index.add_secret(account, secret, key))
    }

    /// Notes the tags of a key.
    pub fn key_tags(&mut self, key: &Owned<KeyId>, tags: Arc<Pairs>, times: Times) -> bool {
        let name = Name::KeyTags(key.account.clone(), key.name.clone());
        let is_known = self.index.tags(&Target::Key(key.clone())) == Some(&*tags);
        self.note(name, is_known, times, |index| index.set_key_tags(&key.account, &key.name, tags))
    }

    /// Notes the tags of a secret.
    pub fn secret_tags(&mut self, secret: &Owned<SecretName>, tags: Arc<Pairs>, times: Times) -> bool {
        let name = Name::SecretTags(secret.account.clone(), secret.name.clone());
        let is_known = self.index.tags(&Target::Secret(secret.clone())) == Some(&*tags);
        self.note(name, is_known, times, |index| index.set_secret_tags(&secret.account, &secret.name, tags))
    }

    /// Forgets what a permitted request may change, which is sent now. What is heard until it has ended is not believed for
    /// long.
    pub fn change_begins(&mut self, permit: &Permit, now: Instant) {
        self.may_change_until.retain(|_, until| *until > now);
        for name in changed_by(permit) {
            self.begin_change(name, now);
        }
    }

    /// Forgets what a permitted request, sent at `begun`, may have changed. Answers to what was asked before `now` say nothing
    /// of it any more, and if nobody knows whether it `may_happen` yet, those that come are not believed for long.
    pub fn change_ends(&mut self, permit: &Permit, begun: Instant, may_happen: bool, now: Instant) {
        for name in changed_by(permit) {
            self.end_change(name, begun, may_happen, now);
        }
    }

    fn begin_change(&mut self, name: Name, now: Instant) {
        self.forget(&name);
        // Another one may have begun before, and its end is not this one's.
        self.may_change_until.entry(name.clone()).or_insert(now + MAY_HAPPEN_FOR);
        self.note_change(name, now);
    }

    fn end_change(&mut self, name: Name, begun: Instant, may_happen: bool, now: Instant) {
        self.forget(&name);
        if may_happen {
            self.may_change_until.insert(name.clone(), now + MAY_HAPPEN_FOR);
        } else if self.may_change_until.get(&name) == Some(&(begun + MAY_HAPPEN_FOR)) {
            self.may_change_until.remove(&name);
        }
        self.note_change(name, now);
    }

    /// Forgets what there is not, or what cannot be told, by an answer to what was asked then.
    pub fn forget_absent(&mut self, what: &Unresolved, asked: Instant) {
        let name = match what {
            Unresolved::Alias(alias) => Name::Alias(alias.account.clone(), alias.name.clone()),
            Unresolved::KeyOfSecret(secret) => Name::Secret(secret.account.clone(), secret.name.clone()),
            _ => return,
        };
        if self.heard.get(&name).is_none_or(|heard| heard.asked <= asked) {
            self.forget(&name);
            self.note_change(name, asked);
        }
    }

    /// Notes something, unless it changed since it was asked for. What is known is noted again only now and then, because
    /// that costs a new index.
    fn note(&mut self, name: Name, is_known: bool, times: Times, set: impl FnOnce(&mut ResourceIndex)) -> bool {
        let Times { asked, now } = times;
        let is_outdated = |changed: &Instant| *changed >= asked;
        if self.changed_at.get(&name).is_some_and(is_outdated) || self.all_changed_at.as_ref().is_some_and(is_outdated)
        {
            return false;
        }
        // What was asked for later counts, and is believed.
        if self.heard.get(&name).is_some_and(|heard| heard.asked > asked) {
            return true;
        }
        if self.may_change_until.get(&name).is_some_and(|until| *until > now) {
            self.early.insert(name.clone(), now + BELIEVED_MEANWHILE);
        } else {
            self.early.remove(&name);
        }
        let is_fresh = |heard: &Times| now.duration_since(heard.now) < self.believed_for / 2;
        if is_known && self.heard.get(&name).is_some_and(is_fresh) {
            self.heard.entry(name).and_modify(|heard| heard.asked = heard.asked.max(asked));
            return true;
        }
        self.heard.insert(name.clone(), times);
        self.order.push_back((now, name));
        self.is_new = true;
        set(&mut self.index);
        true
    }

    fn note_change(&mut self, name: Name, now: Instant) {
        if self.changed_at.len() >= CHANGES_MAX {
            self.changed_at.retain(|_, at| now.duration_since(*at) < CHANGES_FOR);
        }
        if self.changed_at.len() >= CHANGES_MAX {
            let latest = self.changed_at.drain().map(|(_, at)| at).max();
            self.all_changed_at = self.all_changed_at.max(latest);
        }
        let at = self.changed_at.entry(name).or_insert(now);
        *at = now.max(*at);
    }

    fn forget_old(&mut self, now: Instant) {
        let over: Vec<Name> = self.early.extract_if(|_, until| *until <= now).map(|(name, _)| name).collect();
        over.iter().for_each(|name| self.forget(name));
        while let Some((heard, name)) = self.order.front() {
            let is_stale = now.duration_since(*heard) >= self.believed_for;
            let is_last = self.heard.get(name).is_some_and(|last| last.now == *heard);
            if is_last && !is_stale && self.heard.len() <= NAMES_MAX {
                return;
            }
            if let (Some((_, name)), true) = (self.order.pop_front(), is_last) {
                self.forget(&name);
            }
        }
    }

    fn forget(&mut self, name: &Name) {
        self.early.remove(name);
        let Some(Times { asked, .. }) = self.heard.remove(name) else { return };
        // What was asked for before says nothing now, either.
        self.note_change(name.clone(), asked);
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

/// The names that may stand for something else after a request.
fn changed_by(permit: &Permit) -> Vec<Name> {
    let request = permit.request();
    // Nobody knows what an operation does that the table does not have.
    let is_unknown = matches!(request.call, Call::Unknown(_));
    let makes_anew = is_unknown || MAKE_SECRETS_ANEW.contains(&request.call.name());
    let tags = is_unknown || TAG.contains(&request.call.name());
    let mut names = Vec::new();
    for target in permit.targets() {
        match target {
            Target::Key(key) if tags => names.push(Name::KeyTags(key.account.clone(), key.name.clone())),
            Target::Alias(alias) => names.push(Name::Alias(alias.account.clone(), alias.name.clone())),
            Target::Secret(secret) => {
                if tags || makes_anew {
                    names.push(Name::SecretTags(secret.account.clone(), secret.name.clone()));
                }
                if makes_anew {
                    names.push(Name::Secret(secret.account.clone(), secret.name.clone()));
                }
            }
            _ => {}
        }
    }
    let made = request.params.given("SecretName").and_then(SecretName::parse);
    if let Some(made) = made.filter(|_| request.call.name() == "CreateSecret") {
        let account = permit.route().account.clone();
        names.push(Name::SecretTags(account.clone(), made.clone()));
        names.push(Name::Secret(account, made));
    }
    names
}

#[cfg(test)]
mod tests;
