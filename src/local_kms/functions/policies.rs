//! SetKeyPolicy, GetKeyPolicy, SetSecretPolicy, GetSecretPolicy.
//!
//! Policies are kept by the store, which also judges by them. Only keys and secrets in a KMS instance have one; until
//! it is set, it is the default policy, which leaves everything to the RAM policies of the owning account.

use std::collections::BTreeSet;

use crate::kms::{ErrorCode, KmsError, Params};
use crate::policy::{Kind, Policy};
use crate::served::policies::{self as served, Protected};

use super::super::execution::Execution;
use super::super::state::State;
use super::Members;

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

/// Something in a KMS instance, which therefore can have a policy.
pub struct InInstance<'a> {
    /// What it is.
    pub of: Protected<'a>,
    /// The KMS instance.
    pub instance: String,
}

fn protected_key<'a>(execution: &Execution<'a>, state: &State) -> Result<InInstance<'a>, KmsError> {
    execution.refuse_alias()?;
    let name = execution.key(0)?;
    let instance = check_policy_exists(execution.params(), state.key(name)?.instance.clone())?;
    Ok(InInstance { of: Protected { kind: Kind::Key, account: &name.account, name: name.name.as_str() }, instance })
}

fn protected_secret<'a>(execution: &Execution<'a>, state: &State) -> Result<InInstance<'a>, KmsError> {
    let name = execution.secret(0)?;
    let instance = check_policy_exists(execution.params(), state.secret(name)?.instance.clone())?;
    Ok(InInstance { of: Protected { kind: Kind::Secret, account: &name.account, name: name.name.as_str() }, instance })
}

/// There is a policy only in a KMS instance. The code for a key is documented for secrets as well.
fn check_policy_exists(params: &Params, instance: Option<String>) -> Result<String, KmsError> {
    let instance = instance.ok_or(ErrorCode::KeyPolicyUnSupported)?;
    served::check_name(params)?;
    Ok(instance)
}

fn set<'a>(
    execution: &Execution<'a>,
    protected: impl FnOnce(&Execution<'a>, &State) -> Result<InInstance<'a>, KmsError>,
) -> Result<Members, KmsError> {
    // While nobody else writes: a policy must not be set for what is deleted at this moment.
    execution.kms.undisturbed(|state| {
        let of = protected(execution, state)?;
        execution.params().require("Policy")?;
        let Some(policy) = served::policy_in(execution.params(), of.of.kind)? else { return Ok(()) };
        store_policy(execution, state, &of, &policy)
    })?;
    Ok(Members::new())
}

fn get(execution: &Execution<'_>, of: &InInstance<'_>) -> Result<Members, KmsError> {
    served::get(&execution.kms.store, execution.policies(), of.of)
}

/// Puts a policy in force, durably.
pub fn store_policy(
    execution: &Execution<'_>,
    state: &State,
    of: &InInstance<'_>,
    policy: &Policy,
) -> Result<(), KmsError> {
    check_foreign_accounts(execution, state, of, policy)?;
    let change = served::set(&execution.kms.store, of.of, policy, execution.if_match(), execution.now.0)?;
    execution.note(change);
    Ok(())
}

/// Each foreign account that the policies of a KMS instance name costs one unit of its quota (SetKeyPolicy,
/// `Rejected.ShareQuotaExceedLimit`).
fn check_foreign_accounts(
    execution: &Execution<'_>,
    state: &State,
    InInstance { of, instance: here }: &InInstance<'_>,
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
    let others = keys
        .chain(secrets)
        .filter(|(kind, name, instance)| *instance == Some(here.as_str()) && (*kind, *name) != (of.kind, of.name));
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
