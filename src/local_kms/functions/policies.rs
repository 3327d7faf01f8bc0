//! SetKeyPolicy, GetKeyPolicy, SetSecretPolicy, GetSecretPolicy.
//!
//! Policies are kept by the store, which also judges by them. Only keys and secrets in a KMS instance have one; until
//! it is set, it is the default policy, which leaves everything to the RAM policies of the owning account.

use std::collections::BTreeSet;
use std::io;

use crate::authz::WithoutPolicy;
use crate::kms::{ErrorCode, KmsError, Params};
use crate::policy::{Kind, Policy};
use crate::store::{SetPolicyError, hash_of};

use super::super::execution::{Execution, internal_failure};
use super::super::parameters::{self, invalid_policy};
use super::super::state::State;
use super::{Members, members};

/// `SetKeyPolicy`.
pub fn set_key_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    set(execution, protected_key)
}

/// `GetKeyPolicy`.
pub fn get_key_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    get(execution, &protected_key(execution, &execution.kms.state())?)
}

/// `SetSecretPolicy`.
pub fn set_secret_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    set(execution, protected_secret)
}

/// `GetSecretPolicy`.
pub fn get_secret_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    get(execution, &protected_secret(execution, &execution.kms.state())?)
}

/// Something that can have a policy: a key or a secret in a KMS instance.
pub struct Protected<'a> {
    /// What it is.
    pub kind: Kind,
    /// The account that owns it.
    pub account: &'a str,
    /// A key's id, or a secret's name.
    pub name: &'a str,
    /// The KMS instance that it is in.
    pub instance: String,
}

fn protected_key<'a>(execution: &Execution<'a>, state: &State) -> Result<Protected<'a>, KmsError> {
    execution.refuse_alias()?;
    let name = execution.key(0)?;
    let instance = check_policy_exists(execution.params(), state.key(name)?.instance.clone())?;
    Ok(Protected { kind: Kind::Key, account: &name.account, name: name.name.as_str(), instance })
}

fn protected_secret<'a>(execution: &Execution<'a>, state: &State) -> Result<Protected<'a>, KmsError> {
    let name = execution.secret(0)?;
    let instance = check_policy_exists(execution.params(), state.secret(name)?.instance.clone())?;
    Ok(Protected { kind: Kind::Secret, account: &name.account, name: name.name.as_str(), instance })
}

/// There is one policy, `default`, and only in a KMS instance. The code for a key is documented for secrets as well.
fn check_policy_exists(params: &Params, instance: Option<String>) -> Result<String, KmsError> {
    let instance = instance.ok_or(ErrorCode::KeyPolicyUnSupported)?;
    match params.given("PolicyName") {
        None | Some("default") => Ok(instance),
        Some(_) => Err(no_policy()),
    }
}

fn set<'a>(
    execution: &Execution<'a>,
    protected: impl FnOnce(&Execution<'a>, &State) -> Result<Protected<'a>, KmsError>,
) -> Result<Members, KmsError> {
    // While nobody else writes: a policy must not be set for what is deleted at this moment.
    execution.kms.undisturbed(|state| {
        let of = protected(execution, state)?;
        execution.params().require("Policy")?;
        let Some(policy) = parameters::policy(execution.params(), of.kind, true)? else { return Ok(()) };
        store_policy(execution, state, &of, &policy)
    })?;
    Ok(Members::new())
}

fn get(execution: &Execution<'_>, of: &Protected<'_>) -> Result<Members, KmsError> {
    match execution.policies().text_of(of.kind, of.account, of.name) {
        Some(text) => Ok(members([("Policy", text.to_string().into())])),
        None if execution.kms.store.settings().without_policy == WithoutPolicy::Deny => Err(no_policy()),
        None => Ok(members([("Policy", default_policy(of).into())])),
    }
}

fn no_policy() -> KmsError {
    KmsError::new(ErrorCode::ResourceNotFound, "Policy not found.")
}

/// Puts a policy in force, durably.
pub fn store_policy(
    execution: &Execution<'_>,
    state: &State,
    of: &Protected<'_>,
    policy: &Policy,
) -> Result<(), KmsError> {
    check_foreign_accounts(execution, state, of, policy)?;
    let is_meant = |in_force: Option<&str>| {
        let hash = || in_force.map_or_else(|| hash_of(&default_policy(of)), hash_of);
        execution.if_match().is_none_or(|meant| meant == hash())
    };
    let set = execution.kms.store.set_policy(of.kind, of.account, of.name, &policy.text, &is_meant, execution.now.0);
    let change = set.map_err(|error| match error {
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
    })?;
    execution.note(change);
    Ok(())
}

/// Each foreign account that the policies of a KMS instance name costs one unit of its quota (SetKeyPolicy,
/// `Rejected.ShareQuotaExceedLimit`).
fn check_foreign_accounts(
    execution: &Execution<'_>,
    state: &State,
    of: &Protected<'_>,
    policy: &Policy,
) -> Result<(), KmsError> {
    let in_force = execution.kms.store.current();
    let before = in_force.policies.policy_of(of.kind, of.account, of.name);
    let named_before = before.map(|policy| foreign_accounts(policy, of.account)).unwrap_or_default();
    let named = foreign_accounts(policy, of.account);
    // Most policies name nobody new, and nothing has to be counted.
    if named.is_subset(&named_before) {
        return Ok(());
    }
    let account = state.account(of.account);
    let keys = account.keys.iter().map(|(id, key)| (Kind::Key, id.as_str(), key.instance.as_deref()));
    let secrets = account.secrets.iter().map(|(name, it)| (Kind::Secret, name.as_str(), it.instance.as_deref()));
    let others = keys.chain(secrets).filter(|(kind, name, instance)| {
        *instance == Some(of.instance.as_str()) && (*kind, *name) != (of.kind, of.name)
    });
    let policies = others.filter_map(|(kind, name, _)| in_force.policies.policy_of(kind, of.account, name));
    let mut all: BTreeSet<String> = policies.flat_map(|policy| foreign_accounts(policy, of.account)).collect();
    all.extend(named);
    if all.len() > execution.kms.foreign_accounts {
        return Err(ErrorCode::ShareQuotaExceedLimit.into());
    }
    Ok(())
}

fn foreign_accounts(policy: &Policy, owner: &str) -> BTreeSet<String> {
    let principals = policy.statements.iter().flat_map(|statement| statement.principals.iter());
    principals.map(|entry| entry.account.to_string()).filter(|account| account != owner).collect()
}

/// The policy of a key or secret for which none was set (SetKeyPolicy, SetSecretPolicy: default policy).
fn default_policy(of: &Protected<'_>) -> String {
    let (account, noun) = (of.account, if of.kind == Kind::Key { "key" } else { "secret" });
    format!(
        r#"{{"Statement":[{{"Action":["kms:*"],"Effect":"Allow","Principal":{{"RAM":["acs:ram::{account}:*"]}},"Resource":["*"],"Sid":"kms default {noun} policy"}}],"Version":"1"}}"#
    )
}
