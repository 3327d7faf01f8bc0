//! CreateKeyVersion, DescribeKeyVersion, ListKeyVersions, UpdateRotationPolicy.

use serde_json::Value;

use crate::authz::Owned;
use crate::kms::{ErrorCode, KeyId, KmsError};

use super::super::execution::Execution;
use super::super::key::{Key, KeyVersion, Purpose, ROTATION_DAYS, Rotation, VERSIONS_MAX};
use super::super::moment::is_within;
use super::super::parameters::{self, Page};
use super::key_life::change_key;
use super::keys::page_members;
use super::{Members, list, members};

/// `CreateKeyVersion`: the new version of a symmetric key encrypts from now on.
pub fn create_key_version(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.refuse_alias()?;
    let name = execution.key(0)?;
    // Before anybody has to wait for this change: a new RSA key takes its time.
    let spec = growing(execution.kms.state().key(name)?)?.spec;
    let version = KeyVersion::generate(spec, &execution.kms.ids, execution.now)?;
    execution.write(|draft| {
        let key = growing(draft.state().key(name)?)?.with_version(version, execution.now);
        let answer = members([("KeyVersion", entry(name, &key.primary))]);
        draft.put_key(name, key);
        Ok(answer)
    })
}

/// The key, if it can have another version now.
fn growing(key: &Key) -> Result<&Key, KmsError> {
    key.fit_for(Purpose::Cryptography)?;
    if key.import.is_some() {
        return Err(ErrorCode::UnsupportedOrigin.into());
    }
    if key.versions().count() >= VERSIONS_MAX {
        let why = format!("a key has at most {VERSIONS_MAX} versions");
        return Err(KmsError::because(ErrorCode::RejectedLimitExceeded, why));
    }
    Ok(key)
}

fn entry(name: &Owned<KeyId>, version: &KeyVersion) -> Value {
    members([
        ("KeyId", name.name.as_str().into()),
        ("KeyVersionId", version.id.as_str().into()),
        ("CreationDate", version.created.to_string().into()),
    ])
    .into()
}

/// `DescribeKeyVersion`.
pub fn describe_key_version(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = wanted(execution, state.key(name)?)?;
    Ok(members([("KeyVersion", entry(name, version))]))
}

/// The version at `KeyVersionId`.
///
/// # Errors
/// It is missing, or none of this key's.
pub fn wanted<'k>(execution: &Execution<'_>, key: &'k Key) -> Result<&'k KeyVersion, KmsError> {
    let id = execution.params().require("KeyVersionId")?;
    key.version(id).ok_or_else(|| ErrorCode::KeyVersionNotFound.into())
}

/// `ListKeyVersions`, the newest first.
pub fn list_key_versions(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let page = Page::read(execution.params(), 0..=101)?;
    let state = execution.kms.state();
    let versions: Vec<&KeyVersion> = state.key(name)?.versions().collect();
    let total = versions.len();
    let entries = page.of(versions).into_iter().map(|version| entry(name, version)).collect();
    Ok(page_members("KeyVersions", list("KeyVersion", entries), total, page))
}

/// `UpdateRotationPolicy`, of symmetric keys whose material is made here; of an imported one the code says so, as it does
/// for CreateKeyVersion.
pub fn update_rotation_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("EnableAutomaticRotation")?;
    let rotation = rotation(execution, ROTATION_DAYS)?;
    change_key(execution, Purpose::Cryptography, |key| {
        if key.import.is_some() {
            return Err(ErrorCode::UnsupportedOrigin.into());
        }
        if key.spec.symmetric().is_none() {
            return Err(ErrorCode::UnsupportedOperation.into());
        }
        Ok(Key { rotation, ..key.clone() })
    })
}

/// The rotation at `EnableAutomaticRotation` and `RotationInterval`.
///
/// # Errors
/// The interval is missing or out of range.
pub fn rotation(execution: &Execution<'_>, days: std::ops::RangeInclusive<u32>) -> Result<Option<Rotation>, KmsError> {
    if !parameters::switch(execution.params(), "EnableAutomaticRotation")? {
        return Ok(None);
    }
    let text = execution.params().require("RotationInterval")?;
    let interval = parameters::interval(text).filter(|interval| is_within(&days, *interval)).ok_or_else(|| {
        let why = format!("it is {}d to {}d, for example 30d or 2592000s", days.start(), days.end());
        KmsError::invalid_parameter_because("RotationInterval", why)
    })?;
    Ok(Some(Rotation { interval, next: execution.now.plus(interval) }))
}
