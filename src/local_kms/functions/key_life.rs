//! EnableKey, DisableKey, UpdateKeyDescription, ScheduleKeyDeletion, CancelKeyDeletion, SetDeletionProtection.

use crate::kms::{ErrorCode, KmsError};

use super::super::execution::Execution;
use super::super::key::{Key, KeyState, Purpose};
use super::super::moment::DAY_SECONDS;
use super::super::parameters;
use super::Members;
use super::keys::DESCRIPTION_CHARS_MAX;

/// How many days a key can wait for its deletion (ScheduleKeyDeletion, "PendingWindowInDays").
const WINDOW_DAYS: std::ops::RangeInclusive<usize> = 7..=366;

/// Changes the key that the request names by id or ARN, if its state allows it for this purpose.
pub fn change_key(
    execution: &Execution<'_>,
    purpose: Purpose,
    change: impl FnOnce(&Key) -> Result<Key, KmsError>,
) -> Result<Members, KmsError> {
    execution.refuse_alias()?;
    let name = execution.key(0)?;
    execution.write(|draft| {
        let key = change(draft.state().key(name)?.fit_for(purpose)?)?;
        draft.put_key(name, key);
        Ok(Members::new())
    })
}

/// `EnableKey`. A key that is enabled already stays so.
pub fn enable_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    change_key(execution, Purpose::Switch, |key| Ok(Key { state: KeyState::Enabled, ..key.clone() }))
}

/// `DisableKey`. A key that is disabled already stays so.
pub fn disable_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    change_key(execution, Purpose::Switch, |key| Ok(Key { state: KeyState::Disabled, ..key.clone() }))
}

/// `UpdateKeyDescription`.
pub fn update_key_description(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("Description")?;
    let description = parameters::text(execution.params(), "Description", DESCRIPTION_CHARS_MAX)?;
    change_key(execution, Purpose::Update, |key| Ok(Key { description, ..key.clone() }))
}

/// `ScheduleKeyDeletion`: in so many days the key is gone, with its aliases.
pub fn schedule_key_deletion(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("PendingWindowInDays")?;
    let days =
        parameters::number(execution.params(), "PendingWindowInDays", WINDOW_DAYS)?.unwrap_or(*WINDOW_DAYS.end());
    let seconds = u32::try_from(days).unwrap_or(u32::MAX).saturating_mul(DAY_SECONDS);
    change_key(execution, Purpose::Schedule, |key| {
        if key.protected.is_some() {
            let why = "deletion protection is on";
            return Err(KmsError::because(ErrorCode::StateModifiedFailed, why));
        }
        let deletion = Some(execution.now.plus(seconds));
        Ok(Key { state: KeyState::PendingDeletion, deletion, ..key.clone() })
    })
}

/// `CancelKeyDeletion`: the key is enabled again, or waits for its material again.
pub fn cancel_key_deletion(execution: &Execution<'_>) -> Result<Members, KmsError> {
    change_key(execution, Purpose::Cancel, |key| Ok(key.kept()))
}

/// `SetDeletionProtection`.
pub fn set_deletion_protection(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    params.require("EnableDeletionProtection")?;
    let protects = parameters::switch(params, "EnableDeletionProtection")?;
    let description = parameters::text(params, "DeletionProtectionDescription", DESCRIPTION_CHARS_MAX)?;
    let protected = protects.then_some(description);
    change_key(execution, Purpose::Update, |key| Ok(Key { protected, ..key.clone() }))
}
