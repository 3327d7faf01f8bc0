//! SetKeyPolicy, GetKeyPolicy, SetSecretPolicy, GetSecretPolicy.
//!
//! Policies are kept by the store, which also judges by them. Only keys and secrets in a KMS instance have one; until
//! it is set, it is the default policy, which leaves everything to the RAM policies of the owning account.

use std::io;

use crate::kms::{ErrorCode, KmsError, Params};
use crate::policy::Kind;
use crate::store::SetPolicyError;

use super::super::execution::{Execution, internal_failure};
use super::super::parameters::{invalid_policy, policy};
use super::{Members, members};

/// `SetKeyPolicy`.
pub fn set_key_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    set(execution, &policy_of_key(execution)?)
}

/// `GetKeyPolicy`.
pub fn get_key_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    get(execution, &policy_of_key(execution)?)
}

/// `SetSecretPolicy`.
pub fn set_secret_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    set(execution, &policy_of_secret(execution)?)
}

/// `GetSecretPolicy`.
pub fn get_secret_policy(execution: &Execution<'_>) -> Result<Members, KmsError> {
    get(execution, &policy_of_secret(execution)?)
}

/// The policy that a request is about: of what kind, and of which resource.
struct PolicyOf<'a> {
    kind: Kind,
    account: &'a str,
    name: &'a str,
}

fn policy_of_key<'a>(execution: &Execution<'a>) -> Result<PolicyOf<'a>, KmsError> {
    execution.refuse_alias()?;
    let name = execution.key(0)?;
    let in_instance = execution.kms.state().key(name)?.instance.is_some();
    check_policy_exists(execution.params(), in_instance)?;
    Ok(PolicyOf { kind: Kind::Key, account: &name.account, name: name.name.as_str() })
}

fn policy_of_secret<'a>(execution: &Execution<'a>) -> Result<PolicyOf<'a>, KmsError> {
    let name = execution.secret(0)?;
    let in_instance = execution.kms.state().secret(name)?.instance.is_some();
    check_policy_exists(execution.params(), in_instance)?;
    Ok(PolicyOf { kind: Kind::Secret, account: &name.account, name: name.name.as_str() })
}

/// There is one policy, `default`, and only in a KMS instance. The code for a key is documented for secrets as well.
fn check_policy_exists(params: &Params, in_instance: bool) -> Result<(), KmsError> {
    if !in_instance {
        return Err(ErrorCode::KeyPolicyUnSupported.into());
    }
    match params.given("PolicyName") {
        None | Some("default") => Ok(()),
        Some(_) => Err(KmsError::new(ErrorCode::ResourceNotFound, "Policy not found.")),
    }
}

fn set(execution: &Execution<'_>, of: &PolicyOf<'_>) -> Result<Members, KmsError> {
    execution.params().require("Policy")?;
    if let Some(text) = policy(execution.params(), of.kind, true)? {
        store_policy(execution, of.kind, of.account, of.name, text)?;
    }
    Ok(Members::new())
}

fn get(execution: &Execution<'_>, of: &PolicyOf<'_>) -> Result<Members, KmsError> {
    let stored = execution.kms.store.policy_text(of.kind, of.account, of.name);
    let text = stored.map_or_else(|| default_policy(of), |text| text.to_string());
    Ok(members([("Policy", text.into())]))
}

/// Puts a policy in force, durably.
pub fn store_policy(
    execution: &Execution<'_>,
    kind: Kind,
    account: &str,
    name: &str,
    text: &str,
) -> Result<(), KmsError> {
    execution.kms.store.set_policy(kind, account, name, text, execution.now.0).map_err(|error| match error {
        SetPolicyError::Invalid(problems) => invalid_policy(&problems),
        SetPolicyError::Io(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            let parameter = if kind == Kind::Key { "KeyId" } else { "SecretName" };
            KmsError::invalid_parameter_because(parameter, "it is too long to have a policy")
        }
        SetPolicyError::NotTaken => internal_failure("a policy was written, and is not in force"),
        SetPolicyError::Io(error) => internal_failure(format!("a policy cannot be written: {error}")),
    })
}

/// The policy of a key or secret for which none was set (SetKeyPolicy, SetSecretPolicy: default policy).
fn default_policy(of: &PolicyOf<'_>) -> String {
    let (account, noun) = (of.account, if of.kind == Kind::Key { "key" } else { "secret" });
    format!(
        r#"{{"Statement":[{{"Action":["kms:*"],"Effect":"Allow","Principal":{{"RAM":["acs:ram::{account}:*"]}},"Resource":["*"],"Sid":"kms default {noun} policy"}}],"Version":"1"}}"#
    )
}
