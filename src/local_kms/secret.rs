//! Secrets: their versions, and the stages that mark them.
//!
//! A stage is on one version only; `ACSCurrent` always is on one. Data is sealed before it gets here. Source:
//! CreateSecret, PutSecretValue, GetSecretValue.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::kms::{CiphertextBlob, ErrorCode, KeyId, KmsError};

use super::key::Tag;
use super::moment::Moment;

/// The stage of the version that is read by default.
pub const CURRENT: &str = "ACSCurrent";

/// The stage of the version that was current before.
pub const PREVIOUS: &str = "ACSPrevious";

/// The one type of secrets that is served. Source: CreateSecret, "SecretType".
pub const TYPE: &str = "Generic";

/// Names with this prefix belong to Alibaba Cloud's own services.
pub const RESERVED_NAME_PREFIX: &str = "acs/";

/// Most versions of a secret; the oldest ones are dropped.
const VERSIONS_MAX: usize = 10;

/// Most stages on all versions of a secret.
pub const STAGES_MAX: usize = 8;

/// A generic secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What its owner says about it.
    pub description: String,
    /// The KMS instance that it is in, if any.
    pub instance: Option<String>,
    /// The key, of the same account, that its owner chose to encrypt it.
    #[serde(serialize_with = "key_id_as_text", deserialize_with = "key_id_from_text")]
    pub key: Option<KeyId>,
    /// When it was created.
    pub created: Moment,
    /// When it was changed last.
    pub updated: Moment,
    /// When it will be deleted, if that is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Moment>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// `ExtendedConfig`, as it was given.
    pub extended_config: Option<String>,
    /// Its versions, the oldest first.
    pub versions: Vec<SecretVersion>,
}

/// A version of a secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretVersion {
    /// Its id, which its creator chose.
    pub id: String,
    /// When it was created.
    pub created: Moment,
    /// The stages it is in.
    pub stages: Vec<String>,
    /// What the data is.
    pub data_type: DataType,
    /// The data, sealed.
    #[serde(serialize_with = "ciphertext_as_text", deserialize_with = "ciphertext_from_text")]
    pub sealed: CiphertextBlob,
}

impl Secret {
    /// What keeps it from being a secret that could have come about here; `None` for one that could.
    pub fn flaw(&self) -> Option<&'static str> {
        let stages: usize = self.versions.iter().map(|version| version.stages.len()).sum();
        let flaws = [
            (self.versions.is_empty(), "without versions"),
            (self.versions.len() > VERSIONS_MAX, "with more versions than a secret can have"),
            (stages > STAGES_MAX, "with more stages than a secret can have"),
        ];
        flaws.iter().find(|(is_so, _)| *is_so).map(|(_, flaw)| *flaw)
    }
}

/// All versions together would have more stages than a secret may have.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyStages;

impl Secret {
    /// The version with this id.
    pub fn version(&self, id: &str) -> Option<&SecretVersion> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version in this stage.
    pub fn version_in(&self, stage: &str) -> Option<&SecretVersion> {
        self.versions.iter().find(|version| version.is_in(stage))
    }

    /// The secret itself, if it does not wait for its deletion.
    ///
    /// # Errors
    /// 409 `Rejected.ResourceInDeleteWindow`.
    pub fn usable(&self) -> Result<&Self, KmsError> {
        if self.deletion.is_some() { Err(ErrorCode::ResourceInDeleteWindow.into()) } else { Ok(self) }
    }

    /// The secret with a stage on one version, or on none. When `ACSCurrent` moves, who had it is the previous one.
    ///
    /// # Errors
    /// There would be too many stages.
    pub fn with_stage(&self, stage: &str, to: Option<&str>, now: Moment) -> Result<Self, TooManyStages> {
        let mut next = self.clone();
        let former = next.version_in(stage).map(|version| version.id.clone()).filter(|former| Some(&**former) != to);
        let follows = stage == CURRENT && former.is_some();
        for version in &mut next.versions {
            version.stages.retain(|own| own != stage && !(follows && own == PREVIOUS));
            if Some(&*version.id) == to {
                version.stages.push(stage.to_owned());
            }
            if follows && Some(&version.id) == former.as_ref() {
                version.stages.push(PREVIOUS.to_owned());
            }
        }
        next.updated = now;
        let stages: usize = next.versions.iter().map(|version| version.stages.len()).sum();
        if stages > STAGES_MAX { Err(TooManyStages) } else { Ok(next) }
    }

    /// The secret with one more version. Stages which it is in leave the others; whoever was current before it is the
    /// previous one. Versions beyond the limit are dropped, the oldest of those without a stage first.
    ///
    /// # Errors
    /// There would be too many stages.
    pub fn with_version(&self, new: SecretVersion) -> Result<Self, TooManyStages> {
        let mut next = self.clone();
        let takes_current = new.is_in(CURRENT);
        for version in &mut next.versions {
            let was_current = version.is_in(CURRENT);
            let moves = |stage: &str| new.is_in(stage) || (takes_current && stage == PREVIOUS);
            version.stages.retain(|stage| !moves(stage));
            if takes_current && was_current {
                version.stages.push(PREVIOUS.to_owned());
            }
        }
        next.updated = new.created;
        next.versions.push(new);
        if next.versions.iter().map(|version| version.stages.len()).sum::<usize>() > STAGES_MAX {
            return Err(TooManyStages);
        }
        next.drop_surplus();
        Ok(next)
    }

    /// There are more versions than stages, so one without a stage is always found.
    fn drop_surplus(&mut self) {
        while self.versions.len() > VERSIONS_MAX {
            let oldest = self.versions.iter().position(|version| version.stages.is_empty()).unwrap_or_default();
            self.versions.remove(oldest);
        }
    }
}

impl SecretVersion {
    /// Whether it is in this stage.
    pub fn is_in(&self, stage: &str) -> bool {
        self.stages.iter().any(|own| own == stage)
    }
}

/// The KMS instance of a secret: the one that is asked for, otherwise the one of its key. `None` if there is a key and
/// the two differ.
pub fn instance(asked: Option<&str>, of_key: Option<Option<&str>>) -> Option<Option<String>> {
    let agree = asked.is_none() || of_key.is_none_or(|of_key| of_key == asked);
    agree.then(|| asked.or(of_key.flatten()).map(str::to_owned))
}

/// What secret data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataType {
    /// Text.
    #[serde(rename = "text")]
    Text,
    /// Bytes, written in Base64.
    #[serde(rename = "binary")]
    Binary,
}

impl DataType {
    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Binary].into_iter().find(|data_type| data_type.as_str() == name)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// The storage keeps names as their text, and reads them as strictly as requests are read.
fn key_id_as_text<S: Serializer>(key: &Option<KeyId>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(KeyId::as_str).serialize(serializer)
}

fn key_id_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KeyId>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    KeyId::parse(&text).map(Some).ok_or_else(|| de::Error::custom("a key id is damaged"))
}

fn ciphertext_as_text<S: Serializer>(ciphertext: &CiphertextBlob, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&ciphertext.encode())
}

fn ciphertext_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CiphertextBlob, D::Error> {
    let text = String::deserialize(deserializer)?;
    CiphertextBlob::decode(&text).ok_or_else(|| de::Error::custom("a ciphertext is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, stages: &[&str]) -> SecretVersion {
        SecretVersion {
            id: id.to_owned(),
            created: Moment("2026-01-02T03:04:05Z".parse().unwrap()),
            stages: stages.iter().map(|stage| (*stage).to_owned()).collect(),
            data_type: DataType::Text,
            sealed: CiphertextBlob::new("86a9efd9-3d16-4894-bd4f-1fc43f3f2abf", b""),
        }
    }

    fn secret(versions: Vec<SecretVersion>) -> Secret {
        let created = Moment("2026-01-01T00:00:00Z".parse().unwrap());
        Secret {
            description: String::new(),
            instance: None,
            key: None,
            created,
            updated: created,
            deletion: None,
            tags: Vec::new(),
            extended_config: None,
            versions,
        }
    }

    fn stages(secret: &Secret) -> String {
        let of = |version: &SecretVersion| format!("{}:{}", version.id, version.stages.join("+"));
        secret.versions.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn stages_move_to_the_new_version() {
        let mut secret = secret(vec![version("1", &[CURRENT])]);
        for (id, put, expected) in [
            ("2", &[CURRENT][..], "1:ACSPrevious 2:ACSCurrent"),
            ("3", &[CURRENT], "1: 2:ACSPrevious 3:ACSCurrent"),
            ("4", &["test"], "1: 2:ACSPrevious 3:ACSCurrent 4:test"),
            ("5", &["test", CURRENT], "1: 2: 3:ACSPrevious 4: 5:test+ACSCurrent"),
            ("6", &[PREVIOUS], "1: 2: 3: 4: 5:test+ACSCurrent 6:ACSPrevious"),
        ] {
            secret = secret.with_version(version(id, put)).unwrap();
            assert_eq!(stages(&secret), expected);
        }
        assert!(secret.updated > secret.created);
    }

    #[test]
    fn the_oldest_version_without_a_stage_is_dropped() {
        let mut secret = secret(vec![version("0", &["kept"]), version("1", &[CURRENT])]);
        for id in 2..=11 {
            secret = secret.with_version(version(&id.to_string(), &[CURRENT])).unwrap();
        }
        assert_eq!(stages(&secret), "0:kept 3: 4: 5: 6: 7: 8: 9: 10:ACSPrevious 11:ACSCurrent");
    }

    #[test]
    fn stages_are_limited_over_all_versions() {
        let full = secret(vec![version("1", &[CURRENT]), version("2", &["a", "b", "c", "d", "e", "f"])]);
        assert!(full.with_version(version("3", &["g"])).is_ok());
        assert!(full.with_version(version("3", &["g", "h"])).is_err());
        assert!(full.with_version(version("3", &["a", "b", CURRENT])).is_ok());
    }
}
