//! What each operation does: one function per operation, found by its name in one table.
//!
//! A function reads its parameters, looks at the state or drafts a change, and returns the members of the answer as
//! the operation's page documents them. It never asks whether the request is allowed.

mod aliases;
mod cryptography;
mod keys;
mod policies;
mod regions;
mod secret_values;
mod secrets;
mod sessions;

use serde_json::{Map, Value};

use crate::kms::{Address, ErrorCode, KmsError};

use super::execution::Execution;
use super::key::Tag;

/// The members of an answer.
pub type Members = Map<String, Value>;

/// What an operation does.
pub type Function = fn(&Execution<'_>) -> Result<Members, KmsError>;

/// Every operation that the embedded KMS has, and the two of STS. No name is in both.
pub const FUNCTIONS: &[(&str, Function)] = &[
    ("CreateKey", keys::create_key),
    ("DescribeKey", keys::describe_key),
    ("ListKeys", keys::list_keys),
    ("EnableKey", keys::enable_key),
    ("DisableKey", keys::disable_key),
    ("Encrypt", cryptography::encrypt),
    ("Decrypt", cryptography::decrypt),
    ("GenerateDataKey", cryptography::generate_data_key),
    ("CreateAlias", aliases::create_alias),
    ("ListAliases", aliases::list_aliases),
    ("CreateSecret", secrets::create_secret),
    ("PutSecretValue", secret_values::put_secret_value),
    ("GetSecretValue", secret_values::get_secret_value),
    ("DescribeSecret", secrets::describe_secret),
    ("ListSecrets", secrets::list_secrets),
    ("SetKeyPolicy", policies::set_key_policy),
    ("GetKeyPolicy", policies::get_key_policy),
    ("SetSecretPolicy", policies::set_secret_policy),
    ("GetSecretPolicy", policies::get_secret_policy),
    ("DescribeRegions", regions::describe_regions),
    ("AssumeRole", sessions::assume_role),
    ("GetCallerIdentity", sessions::get_caller_identity),
];

/// The function of an operation.
///
/// # Errors
/// 400 `UnsupportedOperation`, naming the operation: KMS has it, the embedded KMS does not.
pub fn find(operation: &str) -> Result<Function, KmsError> {
    let found = FUNCTIONS.iter().find(|(name, _)| *name == operation).map(|(_, function)| *function);
    found.ok_or_else(|| {
        let message = format!("This action is not supported: the embedded KMS has no {operation}.");
        KmsError::new(ErrorCode::UnsupportedOperation, message)
    })
}

/// Members in their order.
fn members<const N: usize>(members: [(&str, Value); N]) -> Members {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Those members that are there, in their order.
fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Members {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A list as KMS writes it: inside an object whose one member names the elements.
fn list(element: &str, elements: Vec<Value>) -> Value {
    members([(element, elements.into())]).into()
}

fn tag_list(tags: &[Tag]) -> Value {
    let tag =
        |tag: &Tag| members([("TagKey", tag.key.as_str().into()), ("TagValue", tag.value.as_str().into())]).into();
    list("Tag", tags.iter().map(tag).collect())
}

/// Where the things of `account` are.
fn address<'a>(execution: &Execution<'a>, account: &'a str) -> Address<'a> {
    Address { region: &execution.kms.region, account }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::{Api, Operation};

    #[test]
    fn every_function_is_of_an_operation_and_each_has_one() {
        let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        assert!(names.iter().all(|name| Operation::find(Api::having(name), name).is_some()), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
    }
}
