//! CreateAlias, ListAliases.
//!
//! An alias belongs to an account and points to one of that account's keys.

use serde_json::Value;

use crate::kms::{AliasName, ErrorCode, KeyId, KmsError, Resource};

use super::super::execution::Execution;
use super::super::parameters::Page;
use super::super::state::{RESERVED_ALIAS_PREFIX, Record};
use super::keys::page_members;
use super::{Members, address, list, members};

/// `CreateAlias`: in the caller's account, for a key of that account.
pub fn create_alias(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.refuse_alias()?;
    let (alias, key, account) = (execution.alias(0)?, execution.key(1)?, execution.account());
    if alias.as_str().starts_with(RESERVED_ALIAS_PREFIX) {
        let why = format!("names that start with {RESERVED_ALIAS_PREFIX} are reserved");
        return Err(KmsError::invalid_parameter_because("AliasName", why));
    }
    execution.kms.write(|draft| {
        draft.state().key(key)?;
        if key.account != account {
            return Err(ErrorCode::KeyNotFound.into());
        }
        if draft.state().account(account).aliases.contains_key(alias) {
            return Err(ErrorCode::AliasAlreadyExists.into());
        }
        draft.put(Record::Alias(account.to_owned(), alias.clone(), key.name.clone()));
        Ok(Members::new())
    })
}

/// `ListAliases`: those of the caller's account, by name. A page of no entries tells how many there are.
pub fn list_aliases(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let page = Page::read(execution.params(), 0..=100)?;
    let aliases = execution.kms.state().account(execution.account()).aliases;
    let address = address(execution, execution.account());
    let entry = |(alias, key): (&AliasName, &KeyId)| -> Value {
        let arn = Resource::alias(address, alias).arn;
        let name = alias.as_str();
        members([("AliasName", name.into()), ("AliasArn", arn.into()), ("KeyId", key.as_str().into())]).into()
    };
    let entries = page.of(aliases.iter().collect()).into_iter().map(entry).collect();
    Ok(page_members("Aliases", list("Alias", entries), aliases.len(), page))
}
