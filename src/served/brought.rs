//! Policies that come with requests to a KMS elsewhere, and are enforced here as well: where policies are kept here, that of
//! something new; where they are mirrored, every one. What could not be enforced here is not set there.

use serde_json::{Map, Value};

use super::policies::{self, Protected};
use super::{Asked, internal_failure, set_policy, to_set};
use crate::authz::{Behind, Permit};
use crate::kms::{ErrorCode, KeyId, KmsError};
use crate::policy::{Kind, Policy};
use crate::store::PolicyChange;

/// Whether a request sets the policy of something that there is.
pub fn sets_policy(permit: &Permit) -> bool {
    matches!(permit.request().call.name(), "SetKeyPolicy" | "SetSecretPolicy")
}

/// Whether a request brings a policy. If it does, the functions below block.
pub fn brings_policy(permit: &Permit) -> bool {
    sets_policy(permit) || permit.request().params.given("Policy").is_some()
}

/// The policy that is to be enforced here once KMS has done its part, if any.
///
/// # Errors
/// It is no policy, not the one in force is to be replaced, or it could not be set.
pub fn policy_to_keep(asked: &Asked<'_>) -> Result<Option<Policy>, KmsError> {
    let (sets_policy, request) = (sets_policy(asked.permit), asked.permit.request());
    let rules = asked.store.current().rules.clone();
    let Behind::Elsewhere(elsewhere) = &rules.behind else { return Ok(None) };
    if !elsewhere.keeps_policies() && sets_policy && request.if_match.is_some() {
        let why = "policies are kept by KMS, which knows no If-Match";
        return Err(KmsError::because(ErrorCode::UnsupportedOperation, why));
    }
    match request.call.name() {
        _ if !elsewhere.keeps_policies() => Ok(None),
        _ if sets_policy => of_existing(asked).map(Some),
        "CreateKey" if elsewhere.mirrors_policies || asked.permit.route().kept.is_some() => of_new(asked),
        _ => Ok(None),
    }
}

/// Has that policy in force, now that KMS has done its part and answered this.
///
/// # Errors
/// KMS did its part, and we could not do ours.
pub fn keep_policy(asked: &Asked<'_>, policy: &Policy, answer: &Map<String, Value>) -> Result<PolicyChange, KmsError> {
    let kept = if sets_policy(asked.permit) { set_policy(asked) } else { set_of_new(asked, policy, answer) };
    kept.map_err(|error| {
        tracing::error!(why = %error.message, "KMS has a policy now that is not in force here");
        let message = format!("KMS has done it, but the policy is not in force here: {}", error.message);
        KmsError { status: 500, ..KmsError::new(ErrorCode::InternalFailure, message) }
    })
}

fn of_existing(asked: &Asked<'_>) -> Result<Policy, KmsError> {
    let (of, policy) = to_set(asked)?;
    policies::check_precondition(asked.store, of, asked.permit.request().if_match.as_deref())?;
    policies::check_settable(asked.store, of)?;
    Ok(policy)
}

/// That of a new key, if there is one.
fn of_new(asked: &Asked<'_>) -> Result<Option<Policy>, KmsError> {
    let policy = policies::policy_in(&asked.permit.request().params, Kind::Key)?;
    if policy.is_some() {
        // Whatever its name will be, its file has to be written.
        let account = asked.permit.route().account.as_str();
        policies::check_settable(asked.store, Protected { kind: Kind::Key, account, name: "new" })?;
    }
    Ok(policy)
}

/// Sets the policy of a new key, which `answer` names.
fn set_of_new(asked: &Asked<'_>, policy: &Policy, answer: &Map<String, Value>) -> Result<PolicyChange, KmsError> {
    let account = asked.permit.route().account.as_str();
    let metadata = answer.get("KeyMetadata");
    let key = metadata.and_then(|metadata| KeyId::parse(metadata.get("KeyId")?.as_str()?));
    let key = key.ok_or_else(|| internal_failure("KMS does not say what it made, so its policy is not set"))?;
    let of = Protected { kind: Kind::Key, account, name: key.as_str() };
    policies::set(asked.store, of, policy, None, asked.now)
}
