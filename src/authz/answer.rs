//! An answer, judged before anybody sees it: where a request did not name its key for certain, the answer of KMS does.
//!
//! Whatever the index said, and whatever a ciphertext claims of itself: what is released is of a key that the caller may
//! use, or the answer is withheld.

use std::cell::Cell;

use jiff::Timestamp;

use super::facts::Facts;
use super::needs::Permission;
use super::rejection::{Denial, Rejection, Unknown, Withheld};
use super::route::AnswerProof;
use super::snapshot::Snapshot;
use super::target::{By, Owned, Target};
use super::unresolved::{Inquiry, Unresolved};
use super::{Asker, Permit, Trail, permit_one, session_policy};
use crate::kms::{Address, AnsweredKey, KeyId, KeyRef, RawRequest, Resource};

/// Judges the answer to a permitted request by the key that it names, and gives that key, if it names one.
///
/// # Errors
/// The caller may not use that key, nobody knows whose it is, or the answer names none where it must.
pub fn judge_answer(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    permit: &Permit,
    answered: &AnsweredKey,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Option<Owned<KeyId>>, Rejection> {
    let Some(proof) = &permit.route.proof else { return Ok(None) };
    let key = match answered {
        AnsweredKey::Named(text) => KeyRef::parse(text),
        AnsweredKey::Absent if !proof.is_needed => return Ok(None),
        AnsweredKey::Absent => return Err(Rejection::Withheld(Withheld::NamesNoKey)),
        AnsweredKey::Unreadable => return Err(Rejection::Withheld(Withheld::Unreadable)),
    };
    let Some((address, KeyRef::Id(id))) = key else { return Err(Rejection::Withheld(Withheld::NamesNoKey)) };
    if address.is_some_and(|given| given.region != snapshot.rules.region) {
        return Err(Rejection::Withheld(Withheld::NamesNoKey));
    }
    // Whatever name was used: whose it is may be known better.
    let owner_is = |account: &str| snapshot.index.owner_of(&id).is_none_or(|owner| owner == account);
    let is_it = |judged: &&Owned<KeyId>| {
        let is_there = address.is_none_or(|given| given == judged.address());
        judged.name == id && is_there && owner_is(&judged.account)
    };
    if let Some(judged) = proof.judged.iter().chain(&proof.or).find(is_it) {
        return Ok(Some(judged.clone()));
    }
    let account = match address {
        Some(address) => address.account.to_owned(),
        None => owner(snapshot, proof, &id)?,
    };
    let key = Owned::new(Address { region: &snapshot.rules.region, account: &account }, id);
    let named = (proof, Resource::key(key.address(), &key.name), Target::Key(key.clone()));
    judge_one(snapshot, raw, permit, named, now, trail)?;
    Ok(Some(key))
}

/// Whose key it is. A bare id says nothing of it, and a wrong guess would be judged by the wrong policies.
fn owner(snapshot: &Snapshot, proof: &AnswerProof, id: &KeyId) -> Result<String, Rejection> {
    // An alias is in the account of its key.
    let alias = proof.alias.as_ref().map(|alias| alias.account.as_str());
    let unknown = || Unknown { what: Unresolved::Owner(id.clone()), may_know: false, inquiry: Inquiry::Untold };
    snapshot.index.owner_of(id).or(alias).map(str::to_owned).ok_or_else(|| Rejection::Unresolved(unknown()))
}

/// Judges an error answer that names no key, where nobody knows for certain which one it is about: what it says of that key
/// (that it is disabled, that a context does not fit) is for those who may do the same with any key. `is_certain` is whether
/// the key that was judged is still the one that the request names.
///
/// # Errors
/// The caller may not.
pub fn judge_error(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    permit: &Permit,
    is_certain: bool,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(), Rejection> {
    let is_open = |proof: &&AnswerProof| proof.is_needed && (proof.judged.is_none() || !is_certain);
    let Some(proof) = permit.route.proof.as_ref().filter(is_open) else {
        return Ok(());
    };
    let anything = Resource::anything(&permit.caller.account);
    let judged = judge_one(snapshot, raw, permit, (proof, anything, Target::Unspecific), now, trail);
    judged.map_err(|rejection| match rejection {
        Rejection::Denied(denial) => Rejection::Denied(Box::new(Denial { reason: "error_of_unknown_key", ..*denial })),
        other => other,
    })
}

fn judge_one(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    permit: &Permit,
    (proof, resource, target): (&AnswerProof, Resource, Target),
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(), Rejection> {
    let permission = Permission {
        action: proof.action.into(),
        action_name: proof.action,
        parameter: None,
        by: By::Name,
        alias: None,
        names_account: true,
        resource,
        target,
        in_scope: proof.in_scope,
    };
    trail.answered(&permission);
    let facts = Facts::new(&snapshot.rules, raw, &permit.request, &permit.caller, now).map_err(Rejection::Malformed)?;
    let session_policy = session_policy(permit.session_policy.as_deref())?;
    let asker = Asker { principal: &permit.caller, member: permit.member, session_policy: session_policy.as_ref() };
    let looked_at = Cell::new(false);
    trail.granted(permit_one(snapshot, &asker, &facts, &permit.request, &permission, &looked_at)?);
    Ok(())
}
