//! Why a question is answered as it is: every statement that was looked at, and the first part of it that did not match.
//!
//! For people; it allocates, and decides nothing of its own: the decision is the one of [`decide`], and a property keeps
//! the two from telling different stories.

use std::fmt;

use super::condition::{Clause, Truth};
use super::context::Value;
use super::decide::{AccountPrincipal, Decision, PolicySource, Question, StatementRef, decide, speaks_of};
use super::document::{Effect, Kind, Policy};

/// A decision with everything that led to it.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// The decision.
    pub decision: Decision<'a>,
    /// Every statement of every policy that was asked, in their order.
    pub considered: Vec<Considered<'a>>,
}

/// A statement that was looked at.
#[derive(Debug)]
pub struct Considered<'a> {
    /// Which one.
    pub statement: StatementRef<'a>,
    /// Why it does not speak about the question; `None` if it does.
    pub mismatch: Option<Mismatch<'a>>,
}

/// The first part of a statement that does not match.
#[derive(Debug)]
pub enum Mismatch<'a> {
    /// It speaks of others.
    Principal {
        /// The caller's ARN.
        caller: String,
        /// Of whom it speaks.
        named: Vec<String>,
    },
    /// It names the account, which hands the matter to RAM.
    Delegated,
    /// It speaks of other actions.
    Action {
        /// The action that was asked about.
        action: &'a str,
        /// The ones it names.
        patterns: Vec<&'a str>,
        /// Whether it speaks of all but those.
        negated: bool,
    },
    /// It speaks of other resources.
    Resource {
        /// The resource that was asked about.
        resource: &'a str,
        /// The ones it names.
        patterns: Vec<&'a str>,
    },
    /// A condition does not hold, or cannot be decided.
    Condition {
        /// The condition.
        clause: &'a Clause,
        /// The request's value; `None` if it has none.
        value: Option<Value<'a>>,
        /// Whether it could not be decided.
        undecidable: bool,
    },
}

/// Explains the decision of `question`.
pub fn explain<'a>(question: &Question<'a>) -> Explanation<'a> {
    let mut considered = Vec::new();
    for policy in question.identity_policies {
        look(question, PolicySource::Identity, policy, &mut considered);
    }
    if let Some(policy) = question.session_policy {
        look(question, PolicySource::Session, policy, &mut considered);
    }
    if let Some(policy) = question.resource_policy {
        look(question, PolicySource::Resource, policy, &mut considered);
    }
    Explanation { decision: decide(question), considered }
}

fn look<'a>(question: &Question<'a>, source: PolicySource, policy: &'a Policy, considered: &mut Vec<Considered<'a>>) {
    for (index, statement) in policy.statements.iter().enumerate() {
        let statement = StatementRef { source, policy, index, statement };
        considered.push(Considered { mismatch: mismatch(question, policy.kind, &statement), statement });
    }
}

/// The parts in the order in which a person reads them: who, what, on what, under which conditions.
fn mismatch<'a>(question: &Question<'a>, kind: Kind, of: &StatementRef<'a>) -> Option<Mismatch<'a>> {
    let statement = of.statement;
    if kind != Kind::Ram && !speaks_of(question, statement) {
        let account = &question.principal.account;
        let delegates = question.account_principal == AccountPrincipal::Delegates;
        if delegates && statement.principals.iter().any(|entry| entry.names_account(account)) {
            return Some(Mismatch::Delegated);
        }
        let named = statement.principals.iter().map(ToString::to_string).collect();
        return Some(Mismatch::Principal { caller: question.principal.to_string(), named });
    }
    if !statement.actions.include(question.action) {
        let patterns = statement.actions.patterns.iter().map(|pattern| pattern.as_str()).collect();
        return Some(Mismatch::Action { action: question.action.name, patterns, negated: statement.actions.negated });
    }
    if !statement.resources.include(question.resource) {
        let patterns = statement.resources.patterns.iter().map(|pattern| pattern.as_str()).collect();
        return Some(Mismatch::Resource { resource: question.resource, patterns });
    }
    condition_mismatch(question, of)
}

/// A condition that fails comes before one that cannot be decided: it is the one that settles the matter.
fn condition_mismatch<'a>(question: &Question<'a>, of: &StatementRef<'a>) -> Option<Mismatch<'a>> {
    let truths = || of.statement.conditions.iter().map(|clause| (clause, clause.holds(&question.context)));
    let failed = truths().find(|(_, truth)| *truth == Truth::No);
    let undecided = truths().find(|(_, truth)| *truth == Truth::Undecidable);
    let (clause, truth) = match of.statement.effect {
        Effect::Allow => failed.or(undecided)?,
        Effect::Deny => failed?,
    };
    let value = question.context.value(&clause.key);
    Some(Mismatch::Condition { clause, value, undecidable: truth == Truth::Undecidable })
}

/// One sentence fragment: what does not match, with the values on both sides.
impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal { caller, named } => write!(f, "it speaks of {}, not of {caller}", named.join(", ")),
            Self::Delegated => {
                f.write_str("it names the account, which leaves its users and roles to their RAM policies")
            }
            Self::Action { action, patterns, negated: false } => {
                write!(f, "its actions are {}, not {action}", patterns.join(", "))
            }
            Self::Action { action, patterns, negated: true } => {
                write!(f, "its actions are all but {}, not {action}", patterns.join(", "))
            }
            Self::Resource { resource, patterns } => {
                write!(f, "its resources are {}, not {resource}", patterns.join(", "))
            }
            Self::Condition { clause, value, undecidable } => {
                write!(f, "condition {clause}: ")?;
                match value {
                    None => write!(f, "the request has no {}", clause.key.name()),
                    Some(value) if *undecidable => write!(f, "{value} cannot be compared"),
                    Some(value) => write!(f, "it is {value}"),
                }
            }
        }
    }
}
