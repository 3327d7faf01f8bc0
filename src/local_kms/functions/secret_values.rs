//! PutSecretValue, GetSecretValue: what is in a secret.
//!
//! What was judged must be what is executed: a secret whose key is another than the permit's is not the secret that was
//! asked for.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::authz::Owned;
use crate::kms::{ErrorCode, KeyId, KmsError, Params, SecretName};
use crate::policy::Identity;
use crate::source::json::Node;

use super::super::execution::{Execution, internal_failure};
use super::super::key::Key;
use super::super::parameters;
use super::super::secret::{CURRENT, PREVIOUS, STAGES_MAX, Secret, SecretVersion, TYPE};
use super::super::secret_value::{NAME_CHARS_MAX, SecretValue, open};
use super::super::state::State;
use super::{Members, list, members};

/// A secret that was judged, and the key that seals it.
struct Judged<'a> {
    name: &'a Owned<SecretName>,
    secret: Arc<Secret>,
    key: Option<Arc<Key>>,
}

impl<'a> Judged<'a> {
    /// The secret of a request whose needs are the secret, and the key of the secret if its owner chose one.
    fn find(execution: &Execution<'a>, state: &State) -> Result<Self, KmsError> {
        let name = execution.secret(0)?;
        let secret = state.secret(name)?.clone();
        secret.usable()?;
        let key_name = if execution.has_target(1) { Some(execution.key(1)?) } else { None };
        // A secret that was created since the request was judged may need a permission that nobody asked about.
        if key_name.map(|key| &key.name) != secret.key.as_ref() {
            return Err(ErrorCode::ResourceNotFound.into());
        }
        Self::of(name, secret, state)
    }

    /// The secret of a request by a session, of which KMS asks no permission on the key.
    fn find_for_session(execution: &Execution<'a>, state: &State) -> Result<Self, KmsError> {
        let name = execution.secret(0)?;
        let secret = state.secret(name)?.clone();
        secret.usable()?;
        Self::of(name, secret, state)
    }

    fn of(name: &'a Owned<SecretName>, secret: Arc<Secret>, state: &State) -> Result<Self, KmsError> {
        let owned =
            |key: &KeyId| Owned { region: name.region.clone(), account: name.account.clone(), name: key.clone() };
        let key = secret.key.as_ref().map(|key| state.key(&owned(key)).cloned()).transpose()?;
        key.as_ref().map(|key| key.sealing()).transpose()?;
        Ok(Self { name, secret, key })
    }

    fn data(&self, state: &State, version: &SecretVersion) -> Result<Zeroizing<String>, KmsError> {
        let sealer = match &self.key {
            Some(key) => key.version(version.sealed.version_id()),
            None => Some(&*state.default_key),
        };
        // The key may have been deleted, and another one made with its id.
        let sealer = sealer.ok_or(ErrorCode::KeyNotFound)?;
        let opened = open(sealer, &self.name.account, &self.name.name, version);
        opened.ok_or_else(|| internal_failure("the data of a secret does not open"))
    }
}

/// `PutSecretValue`. The same version with the same data again changes nothing.
pub fn put_secret_value(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let value = SecretValue::read(execution.params())?;
    let stages = stages(execution.params())?;
    execution.write(|draft| {
        let judged = Judged::find(execution, draft.state())?;
        if let Some(version) = judged.secret.version(value.version_id) {
            let same = version.data_type == value.data_type && *judged.data(draft.state(), version)? == value.data;
            return if same { Ok(put(&judged, version)) } else { Err(ErrorCode::ResourceExist.into()) };
        }
        let sealer = judged.key.as_ref().map_or(&*draft.state().default_key, |key| &key.primary);
        let Owned { account, name, .. } = judged.name;
        let version = value.seal(sealer, account, name, stages, execution.now)?;
        let answer = put(&judged, &version);
        let secret = judged.secret.with_version(version).map_err(|_| too_many_stages())?;
        draft.put_secret(judged.name, secret);
        Ok(answer)
    })
}

fn put(judged: &Judged<'_>, version: &SecretVersion) -> Members {
    members([
        ("SecretName", judged.name.name.as_str().into()),
        ("VersionId", version.id.as_str().into()),
        ("VersionStages", stage_list(version)),
    ])
}

pub fn stage_list(version: &SecretVersion) -> serde_json::Value {
    list("VersionStage", version.stages.iter().map(|stage| stage.as_str().into()).collect())
}

pub fn too_many_stages() -> KmsError {
    KmsError::new(ErrorCode::RejectedLimitExceeded, "The secret may have at most 8 version stages.")
}

/// `VersionStages`: a JSON array, each stage once. A new version cannot be current and previous at once.
fn stages(params: &Params) -> Result<Vec<String>, KmsError> {
    let Some(text) = params.given("VersionStages") else { return Ok(vec![CURRENT.to_owned()]) };
    let read = || Node::parse(text)?.elements()?.iter().map(Node::string).collect::<Result<Vec<_>, _>>();
    let stages = read().map_err(|problem| KmsError::invalid_parameter_because("VersionStages", problem))?;
    if stages.len() > STAGES_MAX {
        return Err(too_many_stages());
    }
    let repeated = stages.iter().enumerate().any(|(at, stage)| stages.iter().take(at).any(|other| other == stage));
    let has = |wanted: &str| stages.iter().any(|stage| stage == wanted);
    if stages.is_empty()
        || repeated
        || stages.iter().any(|stage| check_stage(stage).is_err())
        || (has(CURRENT) && has(PREVIOUS))
    {
        let why =
            "it is an array of different stages, each of 1 to 64 characters, and not both ACSCurrent and ACSPrevious";
        return Err(KmsError::invalid_parameter_because("VersionStages", why));
    }
    Ok(stages)
}

/// Whether a stage may be called so.
///
/// # Errors
/// Says what a stage is like.
pub fn check_stage(stage: &str) -> Result<(), &'static str> {
    if (1..=NAME_CHARS_MAX).contains(&stage.chars().count()) { Ok(()) } else { Err("it has 1 to 64 characters") }
}

/// `GetSecretValue`: the version with `VersionId`, or in `VersionStage`, or both; otherwise the current one.
pub fn get_secret_value(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let fetch_config = parameters::switch(params, "FetchExtendedConfig")?;
    let state = execution.kms.state();
    let judged = match execution.caller().identity {
        Identity::Session { .. } => Judged::find_for_session(execution, &state),
        _ => Judged::find(execution, &state),
    }?;
    let version = wanted_version(params, &judged.secret).ok_or(ErrorCode::ResourceNotFound)?;
    let data = judged.data(&state, version)?;
    let mut answer = members([
        ("SecretName", judged.name.name.as_str().into()),
        ("SecretData", data.as_str().into()),
        ("SecretDataType", version.data_type.as_str().into()),
        ("SecretType", TYPE.into()),
        ("VersionId", version.id.as_str().into()),
        ("VersionStages", stage_list(version)),
        ("CreateTime", version.created.to_string().into()),
    ]);
    if let Some(config) = judged.secret.extended_config.as_ref().filter(|_| fetch_config) {
        answer.insert("ExtendedConfig".to_owned(), config.as_str().into());
    }
    Ok(answer)
}

fn wanted_version<'a>(params: &Params, secret: &'a Secret) -> Option<&'a SecretVersion> {
    match (params.given("VersionId"), params.given("VersionStage")) {
        (Some(id), stage) => secret.version(id).filter(|version| stage.is_none_or(|stage| version.is_in(stage))),
        (None, stage) => secret.version_in(stage.unwrap_or(CURRENT)),
    }
}
