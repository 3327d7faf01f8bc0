//! UpdateSecret, UpdateSecretVersionStage, ListSecretVersionIds, DeleteSecret, RestoreSecret, and the two operations on
//! rotation, which generic secrets do not have.

use serde_json::{Map, Value, json};

use crate::kms::{ErrorCode, KmsError, Params};

use super::super::execution::Execution;
use super::super::moment::DAY_SECONDS;
use super::super::parameters::{self, Page};
use super::super::secret::{CURRENT, PREVIOUS, Secret, SecretVersion};
use super::super::state::Gone;
use super::keys::page_members;
use super::secret_values::{check_stage, stage_list, too_many_stages};
use super::secrets::{DESCRIPTION_CHARS_MAX, EXTENDED_CONFIG_CHARS_MAX};
use super::{Members, list, members, present};

/// How many days a secret can be restored (DeleteSecret, "RecoveryWindowInDays").
const WINDOW_DAYS: std::ops::RangeInclusive<usize> = 7..=30;

/// How many versions a page has when nothing else is asked for.
const PAGE_SIZE: usize = 20;

/// Changes the secret that was judged; one that waits for its deletion only if `waiting` says so.
fn change_secret(
    execution: &Execution<'_>,
    waiting: bool,
    change: impl FnOnce(&Secret) -> Result<Secret, KmsError>,
) -> Result<(), KmsError> {
    let name = execution.secret(0)?;
    execution.write(|draft| {
        let secret = draft.state().secret(name)?;
        let secret = change(if waiting { secret } else { secret.usable()? })?;
        draft.put_secret(name, secret);
        Ok(())
    })
}

fn only_name(execution: &Execution<'_>) -> Result<Members, KmsError> {
    Ok(members([("SecretName", execution.secret(0)?.name.as_str().into())]))
}

/// `UpdateSecret`: its description and the custom data of its extended config; what is not given stays.
pub fn update_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let description = parameters::text(params, "Description", DESCRIPTION_CHARS_MAX)?;
    let config = custom_data(params)?;
    change_secret(execution, false, |secret| {
        let mut next = Secret { updated: execution.now, ..secret.clone() };
        if params.get("Description").is_some() {
            next.description = description;
        }
        if let Some(config) = config {
            next.extended_config = Some(config);
        }
        Ok(next)
    })?;
    only_name(execution)
}

/// The extended config with the custom data that is given: as JSON, or as clients with typed models send it, one parameter
/// `ExtendedConfig.CustomData.NAME` for each member.
fn custom_data(params: &Params) -> Result<Option<String>, KmsError> {
    const NAME: &str = "ExtendedConfig.CustomData";
    let member = |(name, value): (&str, &str)| {
        let name = name.strip_prefix(NAME)?.strip_prefix('.')?;
        Some((name.to_owned(), Value::from(value)))
    };
    let members: Map<String, Value> = params.iter().filter_map(member).collect();
    let data = match params.given(NAME) {
        Some(text) => {
            serde_json::from_str(text).map_err(|_| KmsError::invalid_parameter_because(NAME, "it is not JSON"))?
        }
        None if members.is_empty() => return Ok(None),
        None => Value::Object(members),
    };
    let config = json!({ "CustomData": data }).to_string();
    if config.chars().count() > EXTENDED_CONFIG_CHARS_MAX {
        let why = format!("with it, the extended config has more than {EXTENDED_CONFIG_CHARS_MAX} characters");
        return Err(KmsError::invalid_parameter_because(NAME, why));
    }
    Ok(Some(config))
}

/// `UpdateSecretVersionStage`: puts a stage on one version, or takes it away.
pub fn update_secret_version_stage(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let stage = params.require("VersionStage")?;
    let (to, from) = (params.given("MoveToVersion"), params.given("RemoveFromVersion"));
    check_stage(stage).map_err(|why| KmsError::invalid_parameter_because("VersionStage", why))?;
    let is_fixed = [CURRENT, PREVIOUS].contains(&stage);
    if to.is_none() && (from.is_none() || is_fixed) {
        return Err(KmsError::missing_parameter("MoveToVersion"));
    }
    change_secret(execution, false, |secret| {
        let version_there = |id: Option<&str>| id.is_none_or(|id| secret.version(id).is_some());
        if !version_there(to) || !version_there(from) {
            return Err(ErrorCode::ResourceNotFound.into());
        }
        let holder = secret.version_in(stage).map(|version| version.id.as_str());
        if from.is_some() && from != holder {
            return Err(KmsError::invalid_parameter_because("RemoveFromVersion", "that version is not in the stage"));
        }
        let target = to.and_then(|to| secret.version(to));
        let has = |wanted: &str| target.is_some_and(|version| version.stages.iter().any(|stage| stage == wanted));
        if stage == PREVIOUS && has(CURRENT) {
            let why = "that version is the current one";
            return Err(KmsError::invalid_parameter_because("MoveToVersion", why));
        }
        let moved = secret.with_stage(stage, to, execution.now);
        moved.map_err(|_| too_many_stages())
    })?;
    only_name(execution)
}

/// `ListSecretVersionIds`: those in a stage, or with `IncludeDeprecated` all of them; the oldest first.
pub fn list_secret_version_ids(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let page = Page::read_with(params, 1..=100, PAGE_SIZE)?;
    let all = parameters::switch(params, "IncludeDeprecated")?;
    let name = execution.secret(0)?;
    let state = execution.kms.state();
    let secret = state.secret(name)?;
    let versions: Vec<&SecretVersion> =
        secret.versions.iter().filter(|version| all || !version.stages.is_empty()).collect();
    let total = versions.len();
    let entry = |version: &SecretVersion| -> Value {
        members([
            ("VersionId", version.id.as_str().into()),
            ("CreateTime", version.created.to_string().into()),
            ("VersionStages", stage_list(version)),
        ])
        .into()
    };
    let entries = page.of(versions).into_iter().map(entry).collect();
    let mut answer = members([("SecretName", name.name.as_str().into())]);
    answer.extend(page_members("VersionIds", list("VersionId", entries), total, page));
    Ok(answer)
}

/// `DeleteSecret`: after the recovery window, or at once.
pub fn delete_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let at_once = parameters::switch(params, "ForceDeleteWithoutRecovery")?;
    let days = parameters::number(params, "RecoveryWindowInDays", WINDOW_DAYS)?;
    if at_once && days.is_some() {
        let why = "give it or ForceDeleteWithoutRecovery, not both";
        return Err(KmsError::invalid_parameter_because("RecoveryWindowInDays", why));
    }
    let name = execution.secret(0)?;
    let days = u32::try_from(days.unwrap_or(*WINDOW_DAYS.end())).unwrap_or(u32::MAX);
    let deletion = execution.now.plus(if at_once { 0 } else { days.saturating_mul(DAY_SECONDS) });
    execution.write(|draft| {
        let secret = draft.state().secret(name)?;
        if at_once {
            draft.remove(Gone::Secret(name.account.clone(), name.name.clone()), execution.now);
        } else {
            let secret = Secret { deletion: Some(deletion), ..Secret::clone(secret.usable()?) };
            draft.put_secret(name, secret);
        }
        Ok(())
    })?;
    Ok(present([
        ("SecretName", Some(name.name.as_str().into())),
        ("PlannedDeleteTime", Some(deletion.to_string().into())),
    ]))
}

/// `RestoreSecret`: one that waits for its deletion.
pub fn restore_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    change_secret(execution, true, |secret| Ok(Secret { deletion: None, ..secret.clone() }))?;
    only_name(execution)
}

/// `RotateSecret`: nothing that a generic secret has.
pub fn rotate_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("VersionId")?;
    does_not_rotate(execution)
}

/// `UpdateSecretRotationPolicy`: nothing that a generic secret has.
pub fn update_secret_rotation_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("EnableAutomaticRotation")?;
    does_not_rotate(execution)
}

fn does_not_rotate(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.kms.state().secret(execution.secret(0)?)?;
    Err(no_rotation())
}

/// What is told to whoever wants a secret to rotate.
pub fn no_rotation() -> KmsError {
    let why = "generic secrets do not rotate by themselves; put a new version";
    KmsError::because(ErrorCode::UnsupportedOperation, why)
}
