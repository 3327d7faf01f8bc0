//! THE SEAM: may this request be executed? The program on one screen.
//!
//! The only room that knows policies, the wire language and identities together. [`authorize`] is a pure function of a
//! [`Snapshot`], a request and the time; its answer is either a [`Permit`], without which nothing is executed, or a
//! [`Rejection`], and in both cases a [`Trail`] of what was found.

mod explained;
mod facts;
mod hypothetical;
mod index;
mod needs;
mod rejection;
mod snapshot;
mod trail;
mod vocabulary;

use jiff::Timestamp;

pub use explained::authorize_explained;
pub use hypothetical::{Hypothetical, parse_principal};
pub use index::ResourceIndex;
pub use needs::{Owned, Permission, Target};
pub use rejection::{Denial, Rejection};
pub use snapshot::{PolicyTable, Rules, Snapshot};
pub use trail::{Outcome, Trail};
pub use vocabulary::{parse_policy, vocabulary};

use facts::Facts;

use crate::authn::{Caller, identify};
use crate::kms::{KmsError, KmsRequest, RawRequest};
use crate::policy::{Decision, Principal, Question, Refusal, decide};

/// What became of a request, and how.
pub struct Judgement {
    /// What was found on the way.
    pub trail: Trail,
    /// Whether it may be executed.
    pub verdict: Result<Permit, Rejection>,
}

/// Proof that a request was judged and may be executed. Only [`authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    request: KmsRequest,
    caller: Principal,
    targets: Vec<Target>,
}

impl Permit {
    /// The request that may be executed.
    pub fn request(&self) -> &KmsRequest {
        &self.request
    }

    /// Who asked.
    pub fn caller(&self) -> &Principal {
        &self.caller
    }

    /// What it acts on: the resources that were judged, resolved, in the order of the operation's needs. Whoever
    /// executes the request uses these and resolves nothing again, so an alias that is re-pointed meanwhile changes
    /// nothing.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
}

/// Judges a request. Reads nothing but its arguments; the same arguments give the same answer.
pub fn authorize(snapshot: &Snapshot, raw: &RawRequest<'_>, now: Timestamp) -> Judgement {
    let mut trail = Trail::new(snapshot.generation);
    let verdict = judge(snapshot, raw, now, &mut trail);
    trail.concluded(&verdict);
    Judgement { trail, verdict }
}

fn judge(snapshot: &Snapshot, raw: &RawRequest<'_>, now: Timestamp, trail: &mut Trail) -> Result<Permit, Rejection> {
    let request = KmsRequest::parse(raw).map_err(Rejection::Malformed)?;
    trail.read(&request);
    let caller = identify(&snapshot.directory, raw, &request, now).map_err(Rejection::Unidentified)?;
    trail.identified(&caller);
    check_region(snapshot, &request).map_err(Rejection::Malformed)?;
    let needed = needs::permissions(snapshot, &request, caller.principal).map_err(Rejection::Malformed)?;
    trail.needs(&needed);
    let facts = Facts::new(&snapshot.rules, raw, &request, caller.principal, now).map_err(Rejection::Malformed)?;
    for permission in &needed {
        trail.granted(permit_one(snapshot, &caller, &facts, &request, permission)?);
    }
    let targets = needed.into_iter().map(|permission| permission.target).collect();
    Ok(Permit { caller: caller.principal.clone(), targets, request })
}

/// Judges one permission. The text names what grants it.
fn permit_one(
    snapshot: &Snapshot,
    caller: &Caller<'_>,
    facts: &Facts,
    request: &KmsRequest,
    permission: &Permission,
) -> Result<Option<String>, Rejection> {
    match decide(&question(snapshot, caller, facts, permission)) {
        Decision::Allow(basis) => Ok(basis.statement().map(|statement| statement.to_string())),
        Decision::Deny(refusal) => Err(denied(snapshot, caller, request, permission, &refusal)),
    }
}

/// What policies are asked about one permission.
fn question<'a>(
    snapshot: &'a Snapshot,
    caller: &'a Caller<'_>,
    facts: &'a Facts,
    permission: &'a Permission,
) -> Question<'a> {
    Question {
        principal: caller.principal,
        action: vocabulary().action(&permission.action),
        resource: &permission.resource.arn,
        owner: &permission.resource.owner,
        identity_policies: snapshot.policies.of_member(caller.member),
        session_policy: None,
        resource_policy: permission.in_scope.then(|| snapshot.policies.of_target(&permission.target)).flatten(),
        context: facts.context(snapshot, &permission.target),
        account_principal: snapshot.rules.account_principal,
    }
}

fn denied(
    snapshot: &Snapshot,
    caller: &Caller<'_>,
    request: &KmsRequest,
    permission: &Permission,
    refusal: &Refusal<'_>,
) -> Rejection {
    Rejection::Denied(Box::new(Denial::new(&snapshot.rules, caller.principal, request, permission, refusal)))
}

/// A client that believes to talk to another region would be answered about other keys than it means.
fn check_region(snapshot: &Snapshot, request: &KmsRequest) -> Result<(), KmsError> {
    match &request.region {
        Some(region) if *region != snapshot.rules.region => {
            let here = &snapshot.rules.region;
            Err(KmsError::invalid_parameter_because("RegionId", format!("this endpoint serves {here}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
