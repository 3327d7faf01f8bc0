//! The judgement of a request, with the explanation of every permission that it needs. For people: it judges twice.

use std::cell::Cell;

use jiff::Timestamp;

use super::facts::Facts;
use super::needs::{self, Permission};
use super::route::{is_judged_later, unresolved};
use super::target::Target;
use super::{Asker, Behind, Judgement, Rejection, Snapshot, Unresolved, authorize, question, session_policy};
use crate::authn::identify;
use crate::kms::{KmsRequest, RawRequest};
use crate::policy::{Decision, Explanation, Refusal, decide, explain};

/// What a permission rests on and nobody knows, in front of a KMS elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What it is.
    pub what: Unresolved,
    /// Whether the answer of KMS shows it, and is judged then; otherwise it has to be known before.
    pub is_shown: bool,
}

/// Judges a request and explains every permission that it needs, also those that [`authorize`] did not come to any more.
/// `read` gets them one by one, each with what it rests on; a request that was not judged by policies has none.
pub fn authorize_explained<T>(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    read: impl FnMut(&Permission, &Explanation<'_>, Option<Open>) -> T,
) -> (Judgement, Vec<T>) {
    let judgement = authorize(snapshot, raw, now);
    let explained = match judgement.verdict {
        Ok(_) | Err(Rejection::Denied(_) | Rejection::Unresolved(_)) => explained(snapshot, raw, now, read),
        Err(_) => None,
    };
    (judgement, explained.unwrap_or_default())
}

fn explained<T>(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    mut read: impl FnMut(&Permission, &Explanation<'_>, Option<Open>) -> T,
) -> Option<Vec<T>> {
    let request = KmsRequest::parse(raw).ok()?;
    let caller = identify(&snapshot.authority(), raw, &request, now).ok()?;
    let needed = needs::permissions(snapshot, &request, &caller.principal).ok()?;
    let facts = Facts::new(&snapshot.rules, raw, &request, &caller.principal, now).ok()?;
    let session_policy = session_policy(caller.session_policy.as_deref()).ok()?;
    let explain_one = |permission: &Permission| {
        let looked_at = Cell::new(false);
        let asker =
            Asker { principal: &caller.principal, member: caller.member, session_policy: session_policy.as_ref() };
        let question = question(snapshot, &asker, &facts, permission, &looked_at);
        let decision = decide(&question);
        let open = open(snapshot, &request, permission, &decision, looked_at.get());
        read(permission, &explain(&question), open)
    };
    Some(needed.permissions.iter().map(explain_one).collect())
}

/// What a permission rests on, and nobody knows. What is denied everywhere rests on nothing.
fn open(
    snapshot: &Snapshot,
    request: &KmsRequest,
    permission: &Permission,
    decision: &Decision<'_>,
    looked_at_tags: bool,
) -> Option<Open> {
    if snapshot.rules.behind == Behind::Embedded {
        return None;
    }
    let shown = |what| Open { what, is_shown: true };
    match (decision, &permission.target) {
        (Decision::Deny(Refusal::Explicit(_)), _) if !looked_at_tags => None,
        _ if let Some(what) = unresolved(snapshot, request, permission) => Some(Open { what, is_shown: false }),
        (_, Target::UnknownAlias(alias)) if is_judged_later(snapshot, permission) => {
            Some(shown(Unresolved::Alias(alias.clone())))
        }
        (_, Target::UnknownCiphertext) if is_judged_later(snapshot, permission) => Some(shown(Unresolved::Ciphertext)),
        (Decision::Deny(_), target) if looked_at_tags => {
            Some(Open { what: Unresolved::Tags(target.clone()), is_shown: false })
        }
        _ => None,
    }
}
