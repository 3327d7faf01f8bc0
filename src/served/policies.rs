//! The policies of keys and secrets, read and set through the API. They are kept by the store, which also judges by them.
//!
//! What can have a policy at all is for the KMS behind to say, and is not asked here.

use std::io;

use super::{Members, internal_failure};
use crate::authz::{PolicyTable, WithoutPolicy, parse_policy};
use crate::kms::{ErrorCode, KmsError, Params};
use crate::policy::{Kind, Policy};
use crate::source::Problem;
use crate::store::{PolicyChange, SetPolicyError, Store, hash_of};

use jiff::Timestamp;

/// A key or secret that can have a policy.
#[derive(Clone, Copy)]
pub struct Protected<'a> {
    /// What it is.
    pub kind: Kind,
    /// The account that owns it.
    pub account: &'a str,
    /// A key's id, or a secret's name.
    pub name: &'a str,
}

/// The policy document in the parameter `Policy`, if there is one.
///
/// # Errors
/// `InvalidParameter` with the first mistake and its place.
pub fn policy_in(params: &Params, kind: Kind) -> Result<Option<Policy>, KmsError> {
    let Some(text) = params.given("Policy") else { return Ok(None) };
    parse_policy(kind, "Policy", text).map(Some).map_err(|problems| invalid_policy(&problems))
}

/// There is one policy, `default`.
///
/// # Errors
/// `Forbidden.ResourceNotFound`: another one is asked for.
pub fn check_name(params: &Params) -> Result<(), KmsError> {
    match params.given("PolicyName") {
        None | Some("default") => Ok(()),
        Some(_) => Err(no_policy()),
    }
}

/// What GetKeyPolicy and GetSecretPolicy return of the policy that is in force.
///
/// # Errors
/// `Forbidden.ResourceNotFound`: there is none, and none stands in for it.
pub fn get(store: &Store, policies: &PolicyTable, of: Protected<'_>) -> Result<Members, KmsError> {
    let answer = |text: String| Members::from_iter([("Policy".to_owned(), text.into())]);
    match policies.text_of(of.kind, of.account, of.name) {
        Some(text) => Ok(answer(text.to_string())),
        None if store.settings().without_policy == WithoutPolicy::Deny => Err(no_policy()),
        None => Ok(answer(default_policy(of))),
    }
}

/// Puts a policy in force, durably. With `if_match`, only if the one in force has this hash. Blocks.
///
/// # Errors
/// It is not the one to be replaced, cannot be written, or is no policy.
pub fn set(
    store: &Store,
    of: Protected<'_>,
    policy: &Policy,
    if_match: Option<&str>,
    now: Timestamp,
) -> Result<PolicyChange, KmsError> {
    let is_meant = |in_force: Option<&str>| is_meant(of, in_force, if_match);
    store.set_policy(of.kind, of.account, of.name, &policy.text, &is_meant, now).map_err(|error| not_set(of, error))
}

/// Whether the policy in force is the one that is to be replaced.
///
/// # Errors
/// It is not.
pub fn check_precondition(store: &Store, of: Protected<'_>, if_match: Option<&str>) -> Result<(), KmsError> {
    let snapshot = store.current();
    let in_force = snapshot.policies.text_of(of.kind, of.account, of.name);
    let is_meant = is_meant(of, in_force.as_deref(), if_match);
    if is_meant { Ok(()) } else { Err(ErrorCode::PolicyConflict.into()) }
}

/// Whether a policy could be set now, as far as that can be told without doing it. Blocks.
///
/// # Errors
/// As when it is set.
pub fn check_settable(store: &Store, of: Protected<'_>) -> Result<(), KmsError> {
    store.check_settable(of.kind, of.account, of.name).map_err(|error| not_set(of, error))
}

fn is_meant(of: Protected<'_>, in_force: Option<&str>, if_match: Option<&str>) -> bool {
    let hash = || in_force.map_or_else(|| hash_of(&default_policy(of)), hash_of);
    if_match.is_none_or(|meant| meant == hash())
}

fn not_set(of: Protected<'_>, error: SetPolicyError) -> KmsError {
    match error {
        SetPolicyError::Invalid(problems) => invalid_policy(&problems),
        SetPolicyError::Precondition => ErrorCode::PolicyConflict.into(),
        SetPolicyError::Conflict { .. } => {
            tracing::warn!(%error, "a policy was not set");
            let message = "The policy's file is not what is in force: somebody else changed it. Read the policy again, \
                           or mend the file, and set it then.";
            KmsError::new(ErrorCode::PolicyConflict, message)
        }
        SetPolicyError::ReadOnly { .. } => {
            tracing::warn!(%error, "a policy was not set");
            let message =
                "This action is not supported: policies are read-only here; change them where they come from.";
            KmsError::new(ErrorCode::UnsupportedOperation, message)
        }
        SetPolicyError::Io(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            let parameter = if of.kind == Kind::Key { "KeyId" } else { "SecretName" };
            KmsError::invalid_parameter_because(parameter, "it is too long to have a policy")
        }
        SetPolicyError::Io(error) => internal_failure(format!("a policy cannot be written: {error}")),
    }
}

/// What is told about a policy document with mistakes: the first one.
fn invalid_policy(problems: &[Problem]) -> KmsError {
    match problems.first() {
        Some(problem) => KmsError::invalid_parameter_because("Policy", problem.to_string().trim()),
        None => KmsError::invalid_parameter("Policy"),
    }
}

fn no_policy() -> KmsError {
    KmsError::new(ErrorCode::ResourceNotFound, "Policy not found.")
}

/// The policy of a key or secret for which none was set (SetKeyPolicy, SetSecretPolicy: default policy).
fn default_policy(of: Protected<'_>) -> String {
    let (account, noun) = (of.account, if of.kind == Kind::Key { "key" } else { "secret" });
    format!(
        r#"{{"Statement":[{{"Action":["kms:*"],"Effect":"Allow","Principal":{{"RAM":["acs:ram::{account}:*"]}},"Resource":["*"],"Sid":"kms default {noun} policy"}}],"Version":"1"}}"#
    )
}
