//! The judgement of a request, with the explanation of every permission that it needs. For people: it judges twice.

use std::cell::Cell;

use jiff::Timestamp;

use super::facts::Facts;
use super::needs::{self, Permission};
use super::{Asker, Judgement, Rejection, Snapshot, authorize, question, session_policy};
use crate::authn::identify;
use crate::kms::{KmsRequest, RawRequest};
use crate::policy::{Explanation, explain};

/// Judges a request and explains every permission that it needs, also those that [`authorize`] did not come to any more.
/// `read` gets them one by one; a request that was not judged by policies has none.
pub fn authorize_explained<T>(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    read: impl FnMut(&Permission, &Explanation<'_>) -> T,
) -> (Judgement, Vec<T>) {
    let judgement = authorize(snapshot, raw, now);
    let explained = match judgement.verdict {
        Ok(_) | Err(Rejection::Denied(_)) => explained(snapshot, raw, now, read),
        Err(_) => None,
    };
    (judgement, explained.unwrap_or_default())
}

fn explained<T>(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    mut read: impl FnMut(&Permission, &Explanation<'_>) -> T,
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
        read(permission, &explain(&question(snapshot, &asker, &facts, permission, &looked_at)))
    };
    Some(needed.permissions.iter().map(explain_one).collect())
}
