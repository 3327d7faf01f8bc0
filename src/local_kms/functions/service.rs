//! DescribeAccountKmsStatus, ListKmsInstances, GetRandomPassword: answers that concern no key and no secret.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kms::{KmsError, Params};

use super::super::cipher::random_text;
use super::super::execution::Execution;
use super::super::parameters::{self, Page};
use super::keys::page_members;
use super::{Members, list, members};

/// How many instances a page has when nothing else is asked for (ListKmsInstances, "PageSize").
const INSTANCES_PAGE_SIZE: usize = 20;

/// How long a random password is when nothing else is asked for (GetRandomPassword, "PasswordLength").
const PASSWORD_CHARS: usize = 32;

/// The kinds of characters, and the parameter that leaves each out.
const CHARACTERS: [(&str, &str); 4] = [
    ("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"),
    ("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("ExcludeNumbers", "0123456789"),
    ("ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
];

/// `DescribeAccountKmsStatus`: the service is there.
pub fn describe_account_kms_status(_: &Execution<'_>) -> Result<Members, KmsError> {
    Ok(members([("AccountStatus", "Enabled".into())]))
}

/// `ListKmsInstances`: those that a key or secret of the caller's account is in.
pub fn list_kms_instances(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let page = Page::read_with(execution.params(), 1..=100, INSTANCES_PAGE_SIZE)?;
    let account = execution.kms.state().account(execution.account());
    let of_keys = account.keys.values().filter_map(|key| key.instance.clone());
    let of_secrets = account.secrets.values().filter_map(|secret| secret.instance.clone());
    let instances: BTreeSet<String> = of_keys.chain(of_secrets).collect();
    let (total, owner) = (instances.len(), execution.account());
    let entry = |id: String| -> Value {
        let arn = format!("acs:kms:{}:{owner}:keystore/{id}", execution.kms.region);
        members([("KmsInstanceId", id.into()), ("KmsInstanceArn", arn.into())]).into()
    };
    let entries = page.of(instances.into_iter().collect()).into_iter().map(entry).collect();
    Ok(page_members("KmsInstances", list("KmsInstance", entries), total, page))
}

/// `GetRandomPassword`.
pub fn get_random_password(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let length = parameters::number(params, "PasswordLength", 8..=128)?.unwrap_or(PASSWORD_CHARS);
    let kinds = kinds(params)?;
    const EACH: &str = "RequireEachIncludedType";
    let each = params.given(EACH).is_none() || parameters::switch(params, EACH)?;
    let all: Vec<char> = kinds.concat();
    if all.is_empty() || (each && kinds.iter().any(Vec::is_empty)) {
        return Err(KmsError::invalid_parameter_because(
            "ExcludeCharacters",
            "nothing is left of a kind that is asked for",
        ));
    }
    loop {
        let password = random_text(&all, length)?;
        let has = |kind: &Vec<char>| password.chars().any(|c| kind.contains(&c));
        if !each || kinds.iter().all(has) {
            return Ok(members([("RandomPassword", password.as_str().into())]));
        }
    }
}

/// The characters of each kind that is not left out.
fn kinds(params: &Params) -> Result<Vec<Vec<char>>, KmsError> {
    let excluded = params.given("ExcludeCharacters").unwrap_or_default();
    let mut kinds = Vec::new();
    for (parameter, characters) in CHARACTERS {
        if !parameters::switch(params, parameter)? {
            kinds.push(characters.chars().filter(|c| !excluded.contains(*c)).collect());
        }
    }
    Ok(kinds)
}
