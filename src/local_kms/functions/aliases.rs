//! CreateAlias, UpdateAlias, DeleteAlias, ListAliases, ListAliasesByKeyId.
//!
//! An alias belongs to an account and points to one of that account's keys.

use serde_json::Value;

use crate::kms::{Address, AliasName, ErrorCode, KeyId, KmsError, Resource};

use super::super::execution::Execution;
use super::super::key::Purpose;
use super::super::parameters::Page;
use super::super::state::{Gone, RESERVED_ALIAS_PREFIX, Record};
use super::keys::page_members;
use super::{Members, address, list, members};

/// `CreateAlias`: in the caller's account, for a key of that account.
pub fn create_alias(execution: &Execution<'_>) -> Result<Members, KmsError> {
    if execution.alias(0)?.as_str().starts_with(RESERVED_ALIAS_PREFIX) {
        let why = format!("names that start with {RESERVED_ALIAS_PREFIX} are reserved");
        return Err(KmsError::invalid_parameter_because("AliasName", why));
    }
    point(execution, Purpose::Schedule, (false, ErrorCode::AliasAlreadyExists))
}

/// `UpdateAlias`: points it to another key of the caller's account.
pub fn update_alias(execution: &Execution<'_>) -> Result<Members, KmsError> {
    point(execution, Purpose::Update, (true, ErrorCode::AliasNotFound))
}

/// Points the alias to the key, which must be fit for this. Whether the alias is there already must be as expected, or
/// else is told.
fn point(
    execution: &Execution<'_>,
    purpose: Purpose,
    (is_there, otherwise): (bool, ErrorCode),
) -> Result<Members, KmsError> {
    execution.refuse_alias()?;
    let (alias, key, account) = (execution.alias(0)?, execution.key(1)?, execution.account());
    execution.write(|draft| {
        draft.state().key(key)?.fit_for(purpose)?;
        if key.account != account {
            return Err(ErrorCode::KeyNotFound.into());
        }
        if draft.state().account(account).aliases.contains_key(alias) != is_there {
            return Err(otherwise.into());
        }
        draft.put(Record::Alias(account.to_owned(), alias.clone(), key.name.clone()));
        Ok(Members::new())
    })
}

/// `DeleteAlias`. The key stays.
pub fn delete_alias(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (alias, account) = (execution.alias(0)?, execution.account());
    execution.write(|draft| {
        let pointed_to = draft.state().account(account).aliases.get(alias).cloned();
        // The key that was judged: an alias that points elsewhere by now may need a permission that nobody asked about.
        let judged = if execution.has_target(1) { Some(&execution.key(1)?.name) } else { None };
        if pointed_to.is_none() || pointed_to.as_ref() != judged {
            return Err(ErrorCode::AliasNotFound.into());
        }
        draft.remove(Gone::Alias(account.to_owned(), alias.clone()), execution.now);
        Ok(Members::new())
    })
}

/// `ListAliasesByKeyId`: those of a key, by name.
pub fn list_aliases_by_key_id(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let page = Page::read(execution.params(), 0..=101)?;
    let name = execution.key(0)?;
    let state = execution.kms.state();
    state.key(name)?;
    let aliases = state.account(&name.account).aliases;
    let of_key: Vec<_> = aliases.iter().filter(|(_, key)| **key == name.name).collect();
    Ok(listed(address(execution, &name.account), of_key, page))
}

/// `ListAliases`: those of the caller's account, by name. A page of no entries tells how many there are.
pub fn list_aliases(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let page = Page::read(execution.params(), 0..=100)?;
    let aliases = execution.kms.state().account(execution.account()).aliases;
    Ok(listed(address(execution, execution.account()), aliases.iter().collect(), page))
}

fn listed(address: Address<'_>, aliases: Vec<(&AliasName, &KeyId)>, page: Page) -> Members {
    let total = aliases.len();
    let entry = |(alias, key): (&AliasName, &KeyId)| -> Value {
        let arn = Resource::alias(address, alias).arn;
        let name = alias.as_str();
        members([("AliasName", name.into()), ("AliasArn", arn.into()), ("KeyId", key.as_str().into())]).into()
    };
    let entries = page.of(aliases).into_iter().map(entry).collect();
    page_members("Aliases", list("Alias", entries), total, page)
}
