//! THE SEAM: may this request be executed? The program on one screen.
//!
//! The only room that knows policies, the wire language and identities together. [`authorize`] is a pure function of a
//! [`Snapshot`], a request and the time; its answer is either a [`Permit`], without which nothing is executed, or a
//! [`Rejection`], and in both cases a [`Trail`] of what was found.

mod answer;
mod asking;
mod behind;
mod explained;
mod facts;
mod hypothetical;
mod index;
mod needs;
mod rejection;
mod route;
mod snapshot;
mod system;
mod target;
mod trail;
mod trust;
mod unavailable;
mod unresolved;
mod vocabulary;

use std::cell::Cell;
use std::sync::Arc;

use jiff::Timestamp;

pub use answer::{judge_answer, judge_error};
pub use behind::{Behind, Elsewhere, Signer, With};
pub use explained::{Open, authorize_explained};
pub use hypothetical::{Hypothetical, parse_principal};
pub use index::{Known, ResourceIndex};
pub use needs::Permission;
pub use rejection::{Denial, Rejection, Unknown, Withheld};
pub use route::{AnswerProof, Route};
pub use snapshot::{PoliciesByName, PolicyTable, Rules, Snapshot, Validity, Version, WithoutPolicy};
pub use system::{is_system_policy, system_policy};
pub use target::{By, Owned, Target};
pub use trail::{Outcome, Trail, shown_name};
pub use unavailable::Unavailable;
pub use unresolved::{Inquiry, Unresolved};
pub use vocabulary::{denial, parse_policy, vocabulary};

use facts::Facts;
use unresolved::Hearsay;

use crate::authn::{Caller, NotTaken, Once, Proof, ReplayMemory, Unidentified, identify};
use crate::kms::{KmsError, KmsRequest, RawRequest};
use crate::policy::{Decision, Kind, Policy, Principal, Question, decide};

/// What became of a request, and how.
pub struct Judgement {
    /// What was found on the way.
    pub trail: Trail,
    /// What makes the request another one than all others, where a signature proved who sent it.
    pub once: Option<Once>,
    /// Whose share of questions to KMS this one uses: the caller's, with all of its sessions; of callers whom nobody but KMS will
    /// prove, that of the other end.
    pub asker: Arc<str>,
    /// What the verdict rests on by hearsay, where nothing else will show whether it is still so: to be asked before it
    /// counts.
    hearsay: Vec<Hearsay>,
    /// Whether it may be executed.
    pub verdict: Result<Permit, Rejection>,
}

/// Proof that a request was judged and may be executed. Only [`authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    request: KmsRequest,
    caller: Principal,
    member: usize,
    session_policy: Option<String>,
    access_key_id: Option<String>,
    asker: Arc<str>,
    targets: Vec<Target>,
    policies: Arc<PolicyTable>,
    route: Route,
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

    /// With a KMS elsewhere: how it is executed, and what its answer must show.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Where the caller stands in the directory.
    pub fn member(&self) -> usize {
        self.member
    }

    /// The access key that proved who the caller is, if one of the directory's did.
    pub fn access_key_id(&self) -> Option<&str> {
        self.access_key_id.as_deref()
    }

    /// Whose share it uses of what is limited; see [`Judgement::asker`].
    pub fn asker(&self) -> &Arc<str> {
        &self.asker
    }

    /// The policies that judged it. An answer about policies is about these.
    pub fn policies(&self) -> &PolicyTable {
        &self.policies
    }
}

/// Judges a request. Reads nothing but its arguments; the same arguments give the same answer.
pub fn authorize(snapshot: &Snapshot, raw: &RawRequest<'_>, now: Timestamp) -> Judgement {
    let (mut trail, mut found) = (Trail::new(snapshot.version.clone()), Found::default());
    let verdict = judge(snapshot, raw, now, &mut trail, &mut found);
    trail.concluded(&verdict);
    let Found { once, asker, mut hearsay } = found;
    match &verdict {
        Ok(permit) => hearsay.retain(|heard| route::has_to_be_asked(permit, heard)),
        Err(Rejection::Denied(_)) => {}
        Err(_) => hearsay.clear(),
    }
    Judgement { trail, once, asker, hearsay, verdict }
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
            self.trail.refuse(&self.verdict);
        }
        self
    }
}

/// What is found out of a request, whatever the verdict will be.
#[derive(Default)]
struct Found {
    once: Option<Once>,
    asker: Arc<str>,
    hearsay: Vec<Hearsay>,
}

fn judge(
    snapshot: &Snapshot,
    raw: &RawRequest<'_>,
    now: Timestamp,
    trail: &mut Trail,
    found: &mut Found,
) -> Result<Permit, Rejection> {
    snapshot.validity.check(now).map_err(Rejection::Unavailable)?;
    trail.ignored(facts::ignored_headers(&snapshot.rules, raw));
    let request = KmsRequest::parse(raw)?;
    trail.read(&request, &snapshot.directory);
    route::check_host(snapshot, raw, &request)?;
    let mut caller = identify(&snapshot.authority(), raw, &request, now).map_err(Rejection::Unidentified)?;
    trail.identified(&caller);
    found.once = caller.once.take();
    found.asker = asker_of(&caller, raw).into();
    check_region(snapshot, &request)?;
    let needs::Needed { permissions: needed, hearsay: heard } =
        needs::permissions(snapshot, &request, &caller.principal)?;
    trail.needs(&needed);
    found.hearsay = heard;
    let facts = Facts::new(&snapshot.rules, raw, &request, &caller.principal, now)?;
    let session_policy = session_policy(caller.session_policy.as_deref())?;
    let who = Asker { principal: &caller.principal, member: caller.member, session_policy: session_policy.as_ref() };
    for permission in &needed {
        let unresolved = route::unresolved(snapshot, &request, permission);
        let is_judged_later = route::is_judged_later(snapshot, permission);
        let looked_at = Cell::new(false);
        let verdict = permit_one(snapshot, &who, &facts, &request, permission, &looked_at);
        let verdict = verdict.map_err(|rejection| rejection.told_to(&caller));
        match (unresolved, verdict) {
            // What is denied everywhere need not be known.
            (_, Err(Rejection::Denied(denial))) if denial.is_explicit() => return Err(Rejection::Denied(denial)),
            (Some(what), verdict) => {
                // Who is not proven to have asked is told nothing.
                let may_know = verdict.is_ok() && caller.proof != Proof::Upstream;
                return Err(Rejection::Unresolved(Unknown { what, may_know, inquiry: Inquiry::Untold }));
            }
            (None, _) if is_judged_later => continue,
            (None, verdict) => trail.granted(verdict?),
        }
        trust::check(snapshot, &caller, permission)?;
    }
    let route = route::route(snapshot, &caller, &request, &needed)?;
    let access_key_id = request.scheme.access_key_id().filter(|_| caller.session_policy.is_none()).map(str::to_owned);
    let targets = needed.into_iter().map(|permission| permission.target).collect();
    Ok(Permit {
        member: caller.member,
        session_policy: caller.session_policy,
        access_key_id,
        asker: found.asker.clone(),
        caller: caller.principal.into_owned(),
        targets,
        request,
        policies: snapshot.policies.clone(),
        route,
    })
}

fn asker_of(caller: &Caller<'_>, raw: &RawRequest<'_>) -> String {
    match (caller.proof, raw.origin.address) {
        (Proof::Upstream, Some(address)) => format!("unproven, from {address}"),
        (Proof::Upstream, None) => "unproven".to_owned(),
        _ => caller.principal.role_arn(),
    }
}

/// Who asks, as far as policies are concerned.
struct Asker<'a> {
    principal: &'a Principal,
    member: usize,
    session_policy: Option<&'a Policy>,
}

/// The policy that narrows a session. It was checked when the session began.
fn session_policy(text: Option<&str>) -> Result<Option<Policy>, Rejection> {
    let Some(text) = text else { return Ok(None) };
    let policy = parse_policy(Kind::Ram, "session policy", text);
    policy.map(Some).map_err(|_| Rejection::Unidentified(Unidentified::TokenMalformed))
}

/// Judges one permission. The text names what grants it. `looked_at` is set when a policy asks for tags that nobody
/// knows.
fn permit_one(
    snapshot: &Snapshot,
    asker: &Asker<'_>,
    facts: &Facts,
    request: &KmsRequest,
    permission: &Permission,
    looked_at: &Cell<bool>,
) -> Result<Option<String>, Rejection> {
    match decide(&question(snapshot, asker, facts, permission, looked_at)) {
        // An allowance that leaves tags aside is certain; a refusal may be another one when they are known.
        Decision::Deny(_) if looked_at.get() => {
            let what = Unresolved::Tags(permission.target.clone());
            Err(Rejection::Unresolved(Unknown { what, may_know: false, inquiry: Inquiry::Untold }))
        }
        Decision::Allow(basis) => Ok(basis.statement().map(|statement| statement.to_string())),
        Decision::Deny(refusal) => {
            let denial = Denial::new(&snapshot.rules, asker.principal, request, permission, &refusal);
            Err(Rejection::Denied(Box::new(denial)))
        }
    }
}

/// What policies are asked about one permission.
fn question<'a>(
    snapshot: &'a Snapshot,
    asker: &'a Asker<'_>,
    facts: &'a Facts,
    permission: &'a Permission,
    looked_at: &'a Cell<bool>,
) -> Question<'a> {
    Question {
        principal: asker.principal,
        action: vocabulary().action(&permission.action),
        resource: &permission.resource.arn,
        owner: &permission.resource.owner,
        identity_policies: snapshot.policies.of_member(asker.member),
        session_policy: asker.session_policy,
        resource_policy: permission.in_scope.then(|| snapshot.policy_of(&permission.target)).flatten(),
        context: facts.context(snapshot, &permission.action, &permission.target, looked_at),
        account_principal: snapshot.rules.account_principal,
    }
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
