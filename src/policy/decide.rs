//! The decision: from one question and the policies that apply to it, to allowed or refused, and why.
//!
//! The rules, in the order in which they are applied:
//! 1. The root identity of the account that owns the resource may do everything.
//! 2. An explicit Deny in any policy refuses.
//! 3. A session policy, where there is one, must allow.
//! 4. Within one account, the RAM policies *or* the resource's policy must allow; across accounts both must. Root of
//!    another account counts as allowed by RAM, because nothing limits it there.
//!
//! Sources: KMS "Overview of key policies" and "Overview of secret policies", RAM "Policy evaluation process".
//! Never here: what an operation needs (`authz`), and any I/O.

use std::fmt;
use std::sync::Arc;

use super::condition::{Truth, all_hold};
use super::context::Context;
use super::document::{Effect, Kind, Policy, Statement};
use super::principal::{Identity, Principal};
use super::vocabulary::Action;

/// How an Allow for `ACCOUNT:*` or `ACCOUNT:root` in a key or secret policy is read. The documentation leaves both
/// readings open; the default statement of every key policy depends on it. A Deny binds everyone in the account, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountPrincipal {
    /// They hand the matter to RAM: RAM users and roles get from them nothing that their RAM policies do not grant.
    #[default]
    Delegates,
    /// They are read word for word: `*` names the account and every RAM user and role of it, `root` the account alone.
    Literal,
}

/// May this caller do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for, for example `kms:Encrypt`.
    pub action: Action<'a>,
    /// On what: an ARN, or `*` where the action has no resource.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub owner: &'a str,
    /// The RAM policies of the caller: its own and those of its groups, or those of its role.
    pub identity_policies: &'a [Arc<Policy>],
    /// The policy that narrows the caller's session, if any.
    pub session_policy: Option<&'a Policy>,
    /// The policy of the key or secret, if it has one and the action lies in its scope.
    pub resource_policy: Option<&'a Policy>,
    /// What conditions can look at.
    pub context: Context<'a>,
    /// How the account as principal is read.
    pub account_principal: AccountPrincipal,
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a> {
    /// Yes, and what grants it.
    Allow(Basis<'a>),
    /// No, and why.
    Deny(Refusal<'a>),
}

/// What an allowance rests on.
#[derive(Debug, Clone, Copy)]
pub enum Basis<'a> {
    /// This statement grants it (for a call across accounts, the one in the resource's policy).
    Statement(StatementRef<'a>),
    /// The caller is the account that owns the resource.
    OwnerRoot,
}

impl<'a> Basis<'a> {
    /// The statement that grants it, if one was needed.
    pub fn statement(&self) -> Option<StatementRef<'a>> {
        match self {
            Self::Statement(statement) => Some(*statement),
            Self::OwnerRoot => None,
        }
    }
}

/// Why a question is answered with no.
#[derive(Debug, Clone, Copy)]
pub enum Refusal<'a> {
    /// This statement says Deny.
    Explicit(StatementRef<'a>),
    /// Nothing grants it.
    Implicit,
    /// The caller is of another account, and one of the two grants it needs is missing.
    HalfMissing(Half),
    /// The session policy does not grant it.
    SessionPolicy,
}

/// The two grants that a caller of another account needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The grant by the caller's own RAM policies.
    Identity,
    /// The grant by the policy of the key or secret.
    Resource,
}

/// Which kind of policy spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicySource {
    /// A RAM policy of the caller.
    Identity,
    /// The policy of the session.
    Session,
    /// The policy of the key or secret.
    Resource,
}

/// A statement, by its policy and place.
#[derive(Debug, Clone, Copy)]
pub struct StatementRef<'a> {
    /// Which kind of policy it stands in.
    pub source: PolicySource,
    /// That policy.
    pub policy: &'a Policy,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// The statement.
    pub statement: &'a Statement,
}

/// `keys/key-1.json statement 2 (OrdersServiceUsesTheKey)`
impl fmt::Display for StatementRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} statement {}", self.policy.name, self.index + 1)?;
        self.statement.sid.as_deref().map_or(Ok(()), |sid| write!(f, " ({sid})"))
    }
}

/// Decides `question`. Pure, allocates nothing, and always ends.
pub fn decide<'a>(question: &Question<'a>) -> Decision<'a> {
    if question.principal.is_root_of(question.owner) {
        return Decision::Allow(Basis::OwnerRoot);
    }
    let mut found = Found::default();
    for policy in question.identity_policies {
        found.look(question, PolicySource::Identity, policy);
    }
    for (source, policy) in
        [(PolicySource::Session, question.session_policy), (PolicySource::Resource, question.resource_policy)]
    {
        if let Some(policy) = policy {
            found.look(question, source, policy);
        }
    }
    found.merge(question)
}

/// The first statement of each sort that matched.
#[derive(Default)]
struct Found<'a> {
    deny: Option<StatementRef<'a>>,
    identity: Option<StatementRef<'a>>,
    session: Option<StatementRef<'a>>,
    resource: Option<StatementRef<'a>>,
}

impl<'a> Found<'a> {
    fn look(&mut self, question: &Question<'_>, source: PolicySource, policy: &'a Policy) {
        policy.for_each_candidate(question.principal, |index, statement| {
            if !matches(question, policy.kind, statement) {
                return;
            }
            let place = match (statement.effect, source) {
                (Effect::Deny, _) => &mut self.deny,
                (Effect::Allow, PolicySource::Identity) => &mut self.identity,
                (Effect::Allow, PolicySource::Session) => &mut self.session,
                (Effect::Allow, PolicySource::Resource) => &mut self.resource,
            };
            place.get_or_insert(StatementRef { source, policy, index, statement });
        });
    }

    fn merge(self, question: &Question<'_>) -> Decision<'a> {
        if let Some(deny) = self.deny {
            return Decision::Deny(Refusal::Explicit(deny));
        }
        if question.session_policy.is_some() && self.session.is_none() {
            return Decision::Deny(Refusal::SessionPolicy);
        }
        let foreign = *question.principal.account != *question.owner;
        let root = question.principal.identity == Identity::Root;
        match (self.identity, self.resource) {
            (_, Some(grant)) if !foreign || root || self.identity.is_some() => Decision::Allow(Basis::Statement(grant)),
            (_, Some(_)) => Decision::Deny(Refusal::HalfMissing(Half::Identity)),
            (Some(grant), None) if !foreign => Decision::Allow(Basis::Statement(grant)),
            (Some(_), None) => Decision::Deny(Refusal::HalfMissing(Half::Resource)),
            (None, None) if root => Decision::Deny(Refusal::HalfMissing(Half::Resource)),
            (None, None) => Decision::Deny(Refusal::Implicit),
        }
    }
}

fn matches(question: &Question<'_>, kind: Kind, statement: &Statement) -> bool {
    statement.actions.include(question.action)
        && statement.resources.include(question.resource)
        && (kind == Kind::Ram || speaks_of(question, statement))
        && condition_allows(question, statement)
}

/// A condition that cannot be decided makes an Allow grant nothing, and a Deny refuse.
fn condition_allows(question: &Question<'_>, statement: &Statement) -> bool {
    match all_hold(&statement.conditions, &question.context) {
        Truth::Yes => true,
        Truth::Undecidable => statement.effect == Effect::Deny,
        Truth::No => false,
    }
}

/// Whether a statement of a key or secret policy speaks of the caller.
pub(super) fn speaks_of(question: &Question<'_>, statement: &Statement) -> bool {
    let principal = question.principal;
    statement.principals.iter().any(|entry| {
        if !entry.names_account(&principal.account) {
            return entry.names(principal);
        }
        // The account as such was named. A Deny binds everyone in it, however an Allow is read: a refusal may be
        // cautious. An Allow that delegates hands the matter to RAM: inside the account that adds nothing (root was
        // let in before), and for another account the RAM half is asked anyway.
        match (statement.effect, question.account_principal) {
            (Effect::Deny, _) => true,
            (Effect::Allow, AccountPrincipal::Delegates) => *principal.account != *question.owner,
            (Effect::Allow, AccountPrincipal::Literal) => entry.names(principal),
        }
    })
}

#[cfg(test)]
mod tests;
