//! What one answer of KMS teaches. Only what KMS itself says counts: names in a request are taken for what they claim only
//! where they were judged, and KMS used them.

use std::sync::Arc;

use serde_json::Value;

use super::knowledge::{Knowledge, Times};
use crate::authz::{Owned, Permit, Target, Unresolved};
use crate::kms::{Address, AliasName, Format, KeyId, KeyRef, SecretRef, truth};
use crate::policy::Pairs;

/// Where the version of a key stands in an answer, beside the key's id.
const VERSION_MEMBERS: [&str; 2] = ["KeyVersionId", "PrimaryKeyVersion"];

/// An answer that is listened to.
pub struct Heard<'a> {
    /// What it adds to.
    pub knowledge: &'a mut Knowledge,
    /// Where names without an address are.
    pub here: Address<'a>,
    /// When it was asked for.
    pub times: Times,
}

impl Heard<'_> {
    /// Learns from an answer to a permitted request, which succeeded and is about `key`, if it names one.
    pub fn answer_to(&mut self, permit: &Permit, answer: &Value, format: Format, key: Option<&Owned<KeyId>>) {
        let request = permit.request();
        let operation = request.call.name();
        self.owner_by_name(permit, key);
        match operation {
            "DescribeSecret" => {
                // In XML, a list of one looks like none.
                let asks_tags = request.params.given("FetchTags").and_then(truth) == Some(true);
                self.secret(answer);
                if asks_tags && format == Format::Json {
                    self.tags_of_secret(answer);
                }
            }
            "ListKeyVersions" => {
                if let Some(Target::Key(key)) = permit.targets().first() {
                    self.versions_of(key, answer);
                }
            }
            _ => self.answer(operation, answer),
        }
        let Some(key) = key else { return };
        if let Some(alias) = permit.route().proof.as_ref().and_then(|proof| proof.alias.as_ref()) {
            // An alias is in the account of its key; of foreign ones nobody but their name says so.
            if alias.account == permit.route().account && key.account == alias.account && operation != "ReEncrypt" {
                self.knowledge.owner_found(&key.account, &key.name, self.times);
            }
            self.knowledge.alias(&alias.account, &alias.name, key.name.clone(), self.times);
        }
        // ReEncrypt names one of two keys; nobody knows of which the version is.
        if let Some(version) = version_in(answer).filter(|_| operation != "ReEncrypt") {
            self.knowledge.version(&key.account, &key.name, version, self.times);
        }
    }

    /// Learns from the answer of an operation that names keys, aliases or secrets itself, by ARNs.
    pub fn answer(&mut self, operation: &str, answer: &Value) {
        match operation {
            "DescribeKey" | "CreateKey" => answer.get("KeyMetadata").into_iter().for_each(|it| self.metadata(it)),
            "ListKeys" => list(answer, "/Keys/Key").iter().for_each(|key| self.metadata(key)),
            "ListAliases" | "ListAliasesByKeyId" => {
                list(answer, "/Aliases/Alias").iter().for_each(|it| self.listed_alias(it));
            }
            _ => {}
        }
    }

    /// Learns which key an alias points to, from a description of that key. `None` if it does not tell, otherwise whether it
    /// is believed.
    pub fn description_of(&mut self, alias: &Owned<AliasName>, description: &Value) -> Option<bool> {
        let metadata = description.get("KeyMetadata")?;
        let is_there = address_in(metadata).is_none_or(|(account, _)| account == alias.account);
        let key = key_in(metadata).filter(|_| is_there)?;
        self.answer("DescribeKey", description);
        Some(self.knowledge.alias(&alias.account, &alias.name, key, self.times))
    }

    /// Learns which key encrypts a secret. `None` if it does not tell, otherwise whether it is believed.
    pub fn secret(&mut self, answer: &Value) -> Option<bool> {
        let (address, name) = SecretRef::parse(answer.get("Arn")?.as_str()?)?;
        let address = address?;
        let account = address.account.to_owned();
        let text = answer.get("EncryptionKeyId").and_then(Value::as_str).filter(|text| !text.is_empty());
        match text.map(KeyRef::parse) {
            None => Some(self.knowledge.secret(&account, &name, None, self.times)),
            Some(Some((given, KeyRef::Id(id)))) if given.is_none_or(|given| given == address) => {
                Some(self.knowledge.secret(&account, &name, Some(id), self.times))
            }
            // It has one, and nobody can tell which.
            Some(_) => {
                let secret = Owned::new(address, name);
                self.knowledge.forget_absent(&Unresolved::KeyOfSecret(secret), self.times.asked);
                None
            }
        }
    }

    /// Learns the tags of a secret, where they were asked for. `None` if it does not tell, otherwise whether they are believed.
    pub fn tags_of_secret(&mut self, answer: &Value) -> Option<bool> {
        let (address, name) = SecretRef::parse(answer.get("Arn")?.as_str()?)?;
        let address = address?;
        let secret = Owned::new(address, name);
        Some(self.knowledge.secret_tags(&secret, tags_in(answer)?, self.times))
    }

    /// Learns the versions of a key.
    pub fn versions_of(&mut self, key: &Owned<KeyId>, answer: &Value) {
        for version in list(answer, "/KeyVersions/KeyVersion") {
            if let Some(id) = version_in(version).filter(|_| key_in(version).as_ref() == Some(&key.name)) {
                self.knowledge.version(&key.account, &key.name, id, self.times);
            }
        }
    }

    /// A key that was named without an account, judged by that name and used by KMS, is of the account in whose name the
    /// request was executed. Where the answer says which key was used, it has to be that one.
    fn owner_by_name(&mut self, permit: &Permit, used: Option<&Owned<KeyId>>) {
        let route = permit.route();
        let Some(key) = route.named_here.as_ref().filter(|key| route.proof.is_none() || used == Some(*key)) else {
            return;
        };
        // It names two keys, and its answer one of them.
        if permit.request().call.name() != "ReEncrypt" {
            self.knowledge.owner_found(&key.account, &key.name, self.times);
        }
    }

    /// What has an ARN says whose it is.
    fn metadata(&mut self, metadata: &Value) {
        let Some((account, id)) = address_in(metadata).filter(|_| is_of(self.here.region, metadata)) else { return };
        if key_in(metadata).is_none_or(|key| key == id) {
            self.knowledge.owner(&account, &id, self.times);
            if let Some(version) = version_in(metadata) {
                self.knowledge.version(&account, &id, version, self.times);
            }
        }
    }

    fn listed_alias(&mut self, listed: &Value) {
        let arn = listed.get("AliasArn").and_then(Value::as_str).and_then(KeyRef::parse);
        if let (Some((Some(address), KeyRef::Alias(alias))), Some(key)) = (arn, key_in(listed)) {
            let account = address.account.to_owned();
            self.knowledge.owner(&account, &key, self.times);
            self.knowledge.alias(&account, &alias, key, self.times);
        }
    }
}

/// The tags in an answer: `{"Tags":{"Tag":[{"TagKey":…,"TagValue":…}]}}`; `None` if it does not say them all in that form.
pub fn tags_in(answer: &Value) -> Option<Arc<Pairs>> {
    let pair = |tag: &Value| Some((tag.get("TagKey")?.as_str()?.to_owned(), tag.get("TagValue")?.as_str()?.to_owned()));
    let tags = answer.get("Tags")?.as_object()?;
    let listed = match tags.get("Tag") {
        Some(listed) => listed.as_array()?.as_slice(),
        None if tags.is_empty() => &[],
        None => return None,
    };
    Some(listed.iter().map(pair).collect::<Option<Vec<_>>>()?.into())
}

fn list<'v>(answer: &'v Value, pointer: &str) -> &'v [Value] {
    answer.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn arn_of(metadata: &Value) -> Option<&str> {
    ["Arn", "KeyArn"].iter().find_map(|name| metadata.get(name)?.as_str())
}

/// The account and id in the ARN of a key.
fn address_in(metadata: &Value) -> Option<(String, KeyId)> {
    match KeyRef::parse(arn_of(metadata)?)? {
        (Some(address), KeyRef::Id(id)) => Some((address.account.to_owned(), id)),
        _ => None,
    }
}

fn is_of(region: &str, metadata: &Value) -> bool {
    let address = arn_of(metadata).and_then(KeyRef::parse).and_then(|(address, _)| address);
    address.is_some_and(|address| address.region == region)
}

fn key_in(value: &Value) -> Option<KeyId> {
    KeyId::parse(value.get("KeyId")?.as_str()?)
}

fn version_in(value: &Value) -> Option<String> {
    let version = VERSION_MEMBERS.iter().find_map(|name| value.get(name)?.as_str())?;
    (!version.is_empty() && version.len() <= 128).then(|| version.to_owned())
}
