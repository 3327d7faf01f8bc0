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
mod system;
mod trail;
mod trust;
mod unavailable;
mod vocabulary;

use std::sync::Arc;

use jiff::Timestamp;

pub use explained::authorize_explained;
pub use hypothetical::{Hypothetical, parse_principal};
pub use index::ResourceIndex;
pub use needs::{Owned, Permission, Target};
pub use rejection::{Denial, Rejection};
pub use snapshot::{PoliciesByName, PolicyTable, Rules, Snapshot, Validity, Version, WithoutPolicy};
pub use system::{is_system_policy, system_policy};
pub use trail::{Outcome, Trail};
pub use unavailable::Unavailable;
pub use vocabulary::{denial, parse_policy, vocabulary};

use facts::Facts;

use crate::authn::{Caller, NotTaken, Once, ReplayMemory, Unidentified, identify};
use crate::kms::{KmsError, KmsRequest, RawRequest};
use crate::policy::{Decision, Kind, Policy, Principal, Question, Refusal, decide};

/// What became of a request, and how.
pub struct Judgement {
    /// What was found on the way.
    pub trail: Trail,
    /// What makes the request another one than all others, where a signature proved who sent it.
    pub once: Option<Once>,
    /// Whether it may be executed.
    pub verdict: Result<Permit, Rejection>,
}

/// Proof that a request was judged and may be executed. Only [`authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    request: KmsRequest,
    caller: Principal,
    targets: Vec<Target>,
    policies: Arc<PolicyTable>,
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

    /// The policies that judged it. An answer about policies is about these.
    pub fn policies(&self) -> &PolicyTable {
        &self.policies
    }
}

/// Judges a request. Reads nothing but its arguments; the same arguments give the same answer.
pub fn authorize(snapshot: &Snapshot, raw: &RawRequest<'_>, now: Timestamp) -> Judgement {
    let mut trail = Trail::new(snapshot.version.clone());
    let mut once = None;
    let verdict = judge(snapshot, raw, now, &mut trail, &mut once);
    trail.concluded(&verdict);
    Judgement { trail, once, verdict }
}

impl Judgement {
    /// Lets the request through once: its nonce is taken, whatever the policies say of it, and who sends it again is
    /// refused.
    pub fn once(mut self, memory: &mut ReplayMemory, now: Timestamp) -> Self {
        let taken = self.once.as_ref().map_or(Ok(()), |once| memory.take(once, now));
        if let Err(why) = taken {
            self.verdict = Err(Rejection::Unidentified(match why {
                NotTaken::Replayed => Unidentified::Replayed,
                NotTaken::Forgotten => Unidentified::Forgotten,
            }));
            self.trail.replayed(&self.verdict);
        }
        self
    }
}

fn judge(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    trail: &mut Trail,
    once: &mut Option<Once>,
) -> Result<Permit, Rejection> {
    snapshot.validity.check(now).map_err(Rejection::Unavailable)?;
    trail.ignored(facts::ignored_headers(&snapshot.rules, raw));
    let request = KmsRequest::parse(raw).map_err(Rejection::Malformed)?;
    trail.read(&request, &snapshot.directory);
    let mut caller = identify(&snapshot.authority(), raw, &request, now).map_err(Rejection::Unidentified)?;
    trail.identified(&caller);
    *once = caller.once.take();
    check_region(snapshot, &request).map_err(Rejection::Malformed)?;
    let needed = needs::permissions(snapshot, &request, &caller.principal).map_err(Rejection::Malformed)?;
    trail.needs(&needed);
    let facts = Facts::new(&snapshot.rules, raw, &request, &caller.principal, now).map_err(Rejection::Malformed)?;
    let session_policy = session_policy(&caller)?;
    for permission in &needed {
        trail.granted(permit_one(snapshot, &caller, session_policy.as_ref(), &facts, &request, permission)?);
        trust::check(snapshot, &caller, permission)?;
    }
    let targets = needed.into_iter().map(|permission| permission.target).collect();
    Ok(Permit { caller: caller.principal.into_owned(), targets, request, policies: snapshot.policies.clone() })
}

/// The policy that narrows a session. It was checked when the session began.
fn session_policy(caller: &Caller<'_>) -> Result<Option<Policy>, Rejection> {
    let Some(text) = &caller.session_policy else { return Ok(None) };
    let policy = parse_policy(Kind::Ram, "session policy", text);
    policy.map(Some).map_err(|_| Rejection::Unidentified(Unidentified::TokenMalformed))
}

/// Judges one permission. The text names what grants it.
fn permit_one(
    snapshot: &Snapshot,
    caller: &Caller<'_>,
    session_policy: Option<&Policy>,
    facts: &Facts,
    request: &KmsRequest,
    permission: &Permission,
) -> Result<Option<String>, Rejection> {
    match decide(&question(snapshot, caller, session_policy, facts, permission)) {
        Decision::Allow(basis) => Ok(basis.statement().map(|statement| statement.to_string())),
        Decision::Deny(refusal) => Err(denied(snapshot, caller, request, permission, &refusal)),
    }
}

/// What policies are asked about one permission.
fn question<'a>(
    snapshot: &'a Snapshot,
    caller: &'a Caller<'_>,
    session_policy: Option<&'a Policy>,
    facts: &'a Facts,
    permission: &'a Permission,
) -> Question<'a> {
    Question {
        principal: &caller.principal,
        action: vocabulary().action(&permission.action),
        resource: &permission.resource.arn,
        owner: &permission.resource.owner,
        identity_policies: snapshot.policies.of_member(caller.member),
        session_policy,
        resource_policy: permission.in_scope.then(|| snapshot.policy_of(&permission.target)).flatten(),
        context: facts.context(snapshot, &permission.action, &permission.target),
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
    Rejection::Denied(Box::new(Denial::new(&snapshot.rules, &caller.principal, request, permission, refusal)))
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
