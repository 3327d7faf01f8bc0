//! TagResource, UntagResource, ListResourceTags, TagResources, UntagResources, ListTagResources.

use serde_json::Value;

use crate::authz::Target;
use crate::kms::{ErrorCode, KmsError, Params, TAGS_MAX};
use crate::source::json::Node;

use super::super::execution::{Execution, internal_failure};
use super::super::key::{Key, Purpose, Tag};
use super::super::parameters;
use super::super::secret::Secret;
use super::super::state::State;
use super::{Members, list, members};

/// Most resources in one request (TagResources, "ResourceId").
const RESOURCES_MAX: usize = 50;

/// Most entries of one answer of ListTagResources.
const ROWS_MAX: usize = 200;

/// `TagResource`: adds tags to a key or secret, or gives them another value.
pub fn tag_resource(execution: &Execution<'_>) -> Result<Members, KmsError> {
    execution.params().require("Tags")?;
    add_tags(execution)
}

/// `TagResources`: the same for several.
pub fn tag_resources(execution: &Execution<'_>) -> Result<Members, KmsError> {
    check_batch(execution)?;
    execution.params().require("Tag.1.Key")?;
    execution.params().require("ResourceId.1")?;
    add_tags(execution)
}

/// One request is about so many resources at most.
fn check_batch(execution: &Execution<'_>) -> Result<(), KmsError> {
    if execution.targets().len() > RESOURCES_MAX {
        let why = format!("there may be {RESOURCES_MAX} resources");
        return Err(KmsError::invalid_parameter_because("ResourceId", why));
    }
    Ok(())
}

fn add_tags(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let new = parameters::tags(execution.params())?;
    change_tags(execution, |tags| {
        tags.retain(|tag| !new.iter().any(|other| other.key == tag.key));
        tags.extend(new.iter().cloned());
        if tags.len() > TAGS_MAX {
            let why = format!("a key or secret has at most {TAGS_MAX} tags");
            return Err(KmsError::because(ErrorCode::RejectedLimitExceeded, why));
        }
        Ok(())
    })
}

/// `UntagResource`: takes tags away from a key or secret.
pub fn untag_resource(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let text = execution.params().require("TagKeys")?;
    let read = || Node::parse(text)?.elements()?.iter().map(Node::string).collect::<Result<Vec<_>, _>>();
    let keys = read().map_err(|problem| KmsError::invalid_parameter_because("TagKeys", problem))?;
    remove_tags(execution, &|key| keys.iter().any(|wanted| wanted == key))
}

/// `UntagResources`: the same for several; `All=true` takes all of them away.
pub fn untag_resources(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    check_batch(execution)?;
    params.require("ResourceId.1")?;
    let keys = params.list("TagKey");
    if keys.len() > TAGS_MAX {
        return Err(KmsError::invalid_parameter_because("TagKey", format!("there may be {TAGS_MAX} keys")));
    }
    match (keys.as_slice(), parameters::switch(params, "All")?) {
        ([], true) => remove_tags(execution, &|_| true),
        ([], false) => Err(KmsError::missing_parameter("TagKey.1")),
        (_, true) => Err(KmsError::invalid_parameter_because("All", "give it or TagKey.N, not both")),
        (keys, false) => remove_tags(execution, &|key| keys.contains(&key)),
    }
}

fn remove_tags(execution: &Execution<'_>, is_wanted: &dyn Fn(&str) -> bool) -> Result<Members, KmsError> {
    change_tags(execution, |tags| {
        tags.retain(|tag| !is_wanted(&tag.key));
        Ok(())
    })
}

/// Changes the tags of everything that was judged, or of nothing.
fn change_tags(
    execution: &Execution<'_>,
    change: impl Fn(&mut Vec<Tag>) -> Result<(), KmsError>,
) -> Result<Members, KmsError> {
    execution.write(|draft| {
        for target in execution.targets() {
            match target {
                Target::Key(name) => {
                    let mut key = Key::clone(draft.state().key(name)?.fit_for(Purpose::Update)?);
                    change(&mut key.tags)?;
                    draft.put_key(name, key);
                }
                Target::Secret(name) => {
                    let mut secret = Secret::clone(draft.state().secret(name)?);
                    change(&mut secret.tags)?;
                    draft.put_secret(name, secret);
                }
                other => return Err(not_there(other)),
            }
        }
        Ok(Members::new())
    })
}

fn not_there(target: &Target) -> KmsError {
    match target {
        Target::UnknownAlias(_) => ErrorCode::AliasNotFound.into(),
        _ => internal_failure("the permit has neither key nor secret where the operation needs one"),
    }
}

/// `ListResourceTags`: those of a key.
pub fn list_resource_tags(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let entry = |tag: &Tag| -> Value {
        members([
            ("KeyId", name.name.as_str().into()),
            ("TagKey", tag.key.as_str().into()),
            ("TagValue", tag.value.as_str().into()),
        ])
        .into()
    };
    Ok(members([("Tags", list("Tag", state.key(name)?.tags.iter().map(entry).collect()))]))
}

/// `ListTagResources`: of the resources that are named, or of all of their kind; `Tag.N` narrows it.
pub fn list_tag_resources(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    check_batch(execution)?;
    let kind = params.require("ResourceType")?;
    let start = start_of(params)?;
    let rows = rows(execution, &execution.kms.state(), kind, &wanted_tags(params))?;
    let next = start.saturating_add(ROWS_MAX);
    let token = if rows.len() > next { next.to_string() } else { String::new() };
    let row = |(id, tag): (String, Tag)| -> Value {
        members([
            ("ResourceId", id.into()),
            ("ResourceType", kind.into()),
            ("TagKey", tag.key.into()),
            ("TagValue", tag.value.into()),
        ])
        .into()
    };
    let rows = rows.into_iter().skip(start).take(ROWS_MAX).map(row).collect();
    Ok(members([("TagResources", list("TagResource", rows)), ("NextToken", token.into())]))
}

/// A token says where the next answer begins.
fn start_of(params: &Params) -> Result<usize, KmsError> {
    let token = params.given("NextToken").unwrap_or("0");
    token.parse().map_err(|_| KmsError::invalid_parameter("NextToken"))
}

/// `Tag.N.Key` and, where it is given, `Tag.N.Value`.
fn wanted_tags(params: &Params) -> Vec<(String, Option<String>)> {
    let wanted = |n: usize| {
        let key = params.given(&format!("Tag.{n}.Key"))?;
        Some((key.to_owned(), params.given(&format!("Tag.{n}.Value")).map(str::to_owned)))
    };
    (1..=TAGS_MAX).map_while(wanted).collect()
}

fn rows(
    execution: &Execution<'_>,
    state: &State,
    kind: &str,
    wanted: &[(String, Option<String>)],
) -> Result<Vec<(String, Tag)>, KmsError> {
    let account = state.account(execution.account());
    let mut tagged: Vec<(String, Vec<Tag>)> = Vec::new();
    for target in execution.targets() {
        match target {
            Target::Key(name) => tagged.push((name.name.as_str().to_owned(), state.key(name)?.tags.clone())),
            Target::Secret(name) => tagged.push((name.name.as_str().to_owned(), state.secret(name)?.tags.clone())),
            Target::Unspecific if kind == "key" => {
                tagged.extend(account.keys.iter().map(|(id, key)| (id.as_str().to_owned(), key.tags.clone())));
            }
            Target::Unspecific => {
                let secrets = account.secrets.iter();
                tagged.extend(secrets.map(|(name, secret)| (name.as_str().to_owned(), secret.tags.clone())));
            }
            other => return Err(not_there(other)),
        }
    }
    let has = |tags: &[Tag], (key, value): &(String, Option<String>)| {
        tags.iter().any(|tag| tag.key == *key && value.as_ref().is_none_or(|value| tag.value == *value))
    };
    tagged.retain(|(_, tags)| wanted.iter().all(|wanted| has(tags, wanted)));
    Ok(tagged.into_iter().flat_map(|(id, tags)| tags.into_iter().map(move |tag| (id.clone(), tag))).collect())
}
