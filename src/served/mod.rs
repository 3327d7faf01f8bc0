//! WHAT IS ANSWERED HERE, whichever KMS is behind: role sessions (STS), and the policies that are enforced.
//!
//! Executes what was permitted, on the store. It asks nobody whether a request is allowed, and knows no KMS.

mod brought;
pub mod key_file;
pub mod policies;
mod session_key;
mod sessions;

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use brought::{brings_policy, keep_policy, policy_to_keep, sets_policy};
pub use session_key::{SessionKeyError, begin as begin_session, ephemeral, existing, open};
pub use sessions::{assume_role, get_caller_identity};

use policies::Protected;

use crate::authz::{Permit, Target};
use crate::kms::{ErrorCode, KeyRef, KmsError};
use crate::policy::{Kind, Policy};
use crate::store::{PolicyChange, Store};

/// The members of an answer.
pub type Members = Map<String, Value>;

/// One permitted request, and what it can be answered from.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What was permitted.
    pub permit: &'a Permit,
    /// Who there is, and what is in force.
    pub store: &'a Store,
    /// When it is asked.
    pub now: Timestamp,
}

/// Answers what is answered here whichever KMS is behind. Blocks where a policy is set.
///
/// # Errors
/// As each operation documents them.
pub fn execute(asked: &Asked<'_>) -> (Result<Members, KmsError>, Vec<PolicyChange>) {
    let result = match asked.permit.request().call.name() {
        "AssumeRole" => assume_role(asked),
        "GetCallerIdentity" => get_caller_identity(asked),
        "GetKeyPolicy" | "GetSecretPolicy" => get_policy(asked),
        "SetKeyPolicy" | "SetSecretPolicy" => match set_policy(asked) {
            Ok(change) => return (Ok(Members::new()), vec![change]),
            Err(error) => Err(error),
        },
        other => Err(internal_failure(format!("{other} is not answered here"))),
    };
    (result, Vec::new())
}

fn get_policy(asked: &Asked<'_>) -> Result<Members, KmsError> {
    let of = protected(asked)?;
    policies::check_name(&asked.permit.request().params)?;
    policies::get(asked.store, asked.permit.policies(), of)
}

/// Sets the policy that a request brings. Whether there is such a key or secret is not known here. Blocks.
///
/// # Errors
/// It is no policy, or cannot be set.
fn set_policy(asked: &Asked<'_>) -> Result<PolicyChange, KmsError> {
    let (of, policy) = to_set(asked)?;
    policies::set(asked.store, of, &policy, asked.permit.request().if_match.as_deref(), asked.now)
}

fn to_set<'a>(asked: &Asked<'a>) -> Result<(Protected<'a>, Policy), KmsError> {
    let (of, params) = (protected(asked)?, &asked.permit.request().params);
    policies::check_name(params)?;
    params.require("Policy")?;
    let policy = policies::policy_in(params, of.kind)?;
    policy.map(|policy| (of, policy)).ok_or_else(|| KmsError::missing_parameter("Policy"))
}

/// The key or secret that a request on policies is about; a key by its id or ARN only.
fn protected<'a>(asked: &Asked<'a>) -> Result<Protected<'a>, KmsError> {
    let named = asked.permit.request().params.get("KeyId").and_then(KeyRef::parse);
    match asked.permit.targets().first() {
        _ if matches!(named, Some((_, KeyRef::Alias(_)))) => Err(ErrorCode::UnsupportedAlias.into()),
        Some(Target::Key(key)) => Ok(Protected { kind: Kind::Key, account: &key.account, name: key.name.as_str() }),
        Some(Target::Secret(it)) => Ok(Protected { kind: Kind::Secret, account: &it.account, name: it.name.as_str() }),
        _ => Err(internal_failure("the permit has no key or secret where the operation needs one")),
    }
}

/// 500 `InternalFailure`; why goes to the log only.
pub fn internal_failure(why: impl Display) -> KmsError {
    tracing::error!(%why, "a request could not be answered");
    ErrorCode::InternalFailure.into()
}
