//! What is legal in a policy and most likely not meant: findings with stable codes.
//!
//! A finding never changes a decision. Each rule looks at one policy; what needs the directory of callers is asked for
//! through a function, because this room does not know it.

use std::collections::HashMap;
use std::fmt;

use super::condition::{Clause, Comparison};
use super::context::{ConditionKey, ValueType};
use super::document::{Effect, Kind, Policy, Statement};
use super::pattern::Pattern;
use super::principal::{PrincipalPattern, Whom};
use super::vocabulary::{KnownAction, Vocabulary};
use crate::source::{Problem, suggest};

/// A rule, by its code.
#[derive(Debug)]
pub struct Rule {
    /// Its code; never reused for something else.
    pub code: &'static str,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that is worth a look.
    pub why: &'static str,
    check: fn(&Subject<'_>, &Statement) -> Vec<String>,
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        code: "unknown-action",
        title: "an action that KMS does not have",
        why: "a Deny for it refuses nothing, and an Allow for it grants nothing",
        check: unknown_actions,
    },
    Rule {
        code: "no-effect",
        title: "an action that this kind of policy cannot speak about",
        why: "KMS keeps the statement and does not apply it; only RAM policies decide about the action",
        check: actions_without_effect,
    },
    Rule {
        code: "unreachable",
        title: "a statement that can never decide anything",
        why: "another statement always speaks first, so it says something that is not so",
        check: unreachable,
    },
    Rule {
        code: "duplicate-sid",
        title: "two statements with one Sid",
        why: "an audit line or a refusal that names it names neither",
        check: duplicate_sid,
    },
    Rule {
        code: "over-broad",
        title: "everything, on everything",
        why: "whoever has it may read every secret and delete every key",
        check: over_broad,
    },
    Rule {
        code: "cross-account-admin",
        title: "another account may administer the resource",
        why: "KMS lets principals of other accounts use a resource, not administer it",
        check: cross_account_admin,
    },
    Rule {
        code: "rewritable",
        title: "a policy that lets its reader rewrite it",
        why: "whoever may set the policy has every permission it could grant",
        check: rewritable,
    },
    Rule {
        code: "unknown-condition-key",
        title: "a condition key that has no value here",
        why: "positive operators are never satisfied by it, and negated ones always",
        check: unknown_condition_keys,
    },
    Rule {
        code: "condition-type",
        title: "an operator for values of another type",
        why: "a value that cannot be compared makes an Allow grant nothing and a Deny refuse",
        check: condition_types,
    },
    Rule {
        code: "condition-not-here",
        title: "a condition key that is not documented for this kind of policy",
        why: "KMS may not apply the statement as it is written",
        check: conditions_not_here,
    },
    Rule {
        code: "vpc-needs-kms-actions",
        title: "acs:SourceVpc beside actions that are not KMS's alone",
        why: "with acs:SourceVpc every action must begin with kms:, otherwise KMS does not take the policy",
        check: vpc_actions,
    },
    Rule {
        code: "unknown-principal",
        title: "somebody who is not in the directory",
        why: "nobody can be meant, unless the directory is not complete",
        check: unknown_principals,
    },
    Rule {
        code: "unattached",
        title: "a RAM policy that nobody has",
        why: "it decides nothing: no user, group or role with a member names it",
        check: unattached,
    },
];

/// Something that is legal and most likely not meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where and what.
    pub problem: Problem,
    /// The code of the rule.
    pub code: &'static str,
}

/// A policy, and what is known around it.
pub struct Subject<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The account that it belongs to.
    pub owner: &'a str,
    /// The actions there are.
    pub vocabulary: &'a Vocabulary,
    /// Whether the directory has somebody that an entry names; `None` if it does not know that account.
    pub knows: &'a dyn Fn(&PrincipalPattern) -> Option<bool>,
    /// Whether somebody or something has the policy.
    pub is_attached: bool,
}

/// `[code]: file:line:column: message`, to be put behind the word for it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]: {}", self.code, self.problem)
    }
}

/// Everything worth a look in a policy, in the order of its text.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for statement in &subject.policy.statements {
        for rule in RULES {
            for message in (rule.check)(subject, statement) {
                let problem = Problem { file: String::new(), position: Some(statement.position), message };
                findings.push(Finding { problem, code: rule.code });
            }
        }
    }
    findings.sort();
    findings
}

/// The action patterns of a statement that are about KMS.
fn kms_patterns(statement: &Statement) -> impl Iterator<Item = &Pattern> {
    statement.actions.patterns.iter().filter(|pattern| is_about_kms(pattern))
}

fn is_about_kms(pattern: &Pattern) -> bool {
    pattern.as_str().get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("kms:"))
}

fn matched<'a>(subject: &Subject<'a>, pattern: &Pattern) -> Vec<&'a KnownAction> {
    subject.vocabulary.actions().iter().filter(|action| pattern.matches(action.name)).collect()
}

fn unknown_actions(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let unknown = kms_patterns(statement).filter(|pattern| matched(subject, pattern).is_empty()).map(Pattern::as_str);
    let names = || subject.vocabulary.actions().iter().map(|action| action.name);
    let near = |pattern: &str| Some(suggest(pattern, names())).filter(|hint| hint.contains("did you mean"));
    unknown.map(|pattern| format!("KMS has no action `{pattern}`{}", near(pattern).unwrap_or_default())).collect()
}

fn actions_without_effect(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let kind = subject.policy.kind;
    let inert = |pattern: &&Pattern| {
        let actions = matched(subject, pattern);
        !actions.is_empty() && !actions.iter().any(|action| action.is_in_scope(kind))
    };
    let what = format!("has no effect in {}; only RAM policies decide", kind.noun());
    kms_patterns(statement).filter(inert).map(|pattern| format!("`{}` {what}", pattern.as_str())).collect()
}

/// Covered by a Deny of the same policy that has no conditions.
fn unreachable(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let others = subject.policy.statements.iter().enumerate();
    let covering = others.filter(|(_, other)| !std::ptr::eq(*other, statement)).find(|(_, other)| {
        other.effect == Effect::Deny
            && other.conditions.is_empty()
            && covers_actions(subject, other, statement)
            && (other.resources.are_all() || other.resources.patterns == statement.resources.patterns)
            && covers_principals(subject, other, statement)
            && (statement.effect == Effect::Allow || other.position < statement.position)
    });
    covering.map(|(index, _)| format!("statement {} denies all of this already", index + 1)).into_iter().collect()
}

/// Actions that are not in the vocabulary, of other products or new, are covered by `*` or by the same patterns only.
fn covers_actions(subject: &Subject<'_>, other: &Statement, statement: &Statement) -> bool {
    let is_known = |pattern: &Pattern| is_about_kms(pattern) && !matched(subject, pattern).is_empty();
    let all_are_known = !statement.actions.negated && statement.actions.patterns.iter().all(is_known);
    let is_everything = !other.actions.negated && other.actions.patterns.iter().any(|pattern| pattern.as_str() == "*");
    let is_same =
        (other.actions.negated, &other.actions.patterns) == (statement.actions.negated, &statement.actions.patterns);
    other.actions.cover(&statement.actions) && (all_are_known || is_everything || is_same)
}

/// A Deny for an account binds everyone in it, except the root of the account that owns the resource.
fn covers_principals(subject: &Subject<'_>, other: &Statement, statement: &Statement) -> bool {
    let is_owner = |entry: &PrincipalPattern| entry.whom == Whom::Root && *entry.account == *subject.owner;
    let covered = |entry: &PrincipalPattern| {
        let mut covers = other.principals.iter();
        covers.any(|cover| cover == entry || (cover.names_account(&entry.account) && !is_owner(entry)))
    };
    statement.principals.iter().all(covered)
}

fn duplicate_sid(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, other) in subject.policy.statements.iter().enumerate() {
        let Some(sid) = other.sid.as_deref() else { continue };
        let earlier = *first.entry(sid).or_insert(index);
        if std::ptr::eq(other, statement) && earlier != index {
            return vec![format!("Sid `{sid}` is that of statement {} too", earlier + 1)];
        }
    }
    Vec::new()
}

fn over_broad(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    if statement.effect == Effect::Deny || !statement.conditions.is_empty() {
        return Vec::new();
    }
    let everything = statement.actions.patterns.iter().any(|it| matches!(it.as_str(), "*" | "kms:*"));
    let wide =
        |entry: &&PrincipalPattern| matches!(&entry.whom, Whom::User(name) | Whom::Role(name) if name.as_str() == "*");
    if subject.policy.kind == Kind::Ram {
        let broad = everything && !statement.actions.negated && statement.resources.are_all();
        return broad.then(|| "allows every KMS action on every resource".to_owned()).into_iter().collect();
    }
    let wide = statement.principals.iter().filter(wide);
    wide.map(|entry| format!("allows everybody that `{entry}` can name")).collect()
}

fn allowed_in_scope<'a>(subject: &Subject<'a>, statement: &Statement) -> Vec<&'a KnownAction> {
    let actions = subject.vocabulary.actions().iter();
    let allowed = |action: &&KnownAction| {
        action.is_in_scope(subject.policy.kind) && statement.actions.include(subject.vocabulary.action(action.name))
    };
    if statement.effect == Effect::Allow { actions.filter(allowed).collect() } else { Vec::new() }
}

fn cross_account_admin(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let foreign: Vec<String> =
        statement.principals.iter().filter(|entry| *entry.account != *subject.owner).map(ToString::to_string).collect();
    let administrative: Vec<&str> = allowed_in_scope(subject, statement)
        .into_iter()
        .filter(|action| action.administers)
        .map(|action| action.name)
        .collect();
    match (foreign.as_slice(), administrative.first()) {
        ([], _) | (_, None) => Vec::new(),
        (_, Some(first)) => vec![format!("lets {} administer it, with {first} for example", foreign.join(", "))],
    }
}

fn rewritable(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let allowed = allowed_in_scope(subject, statement);
    let Some(sets) = allowed.iter().find(|action| action.replaces_policy) else { return Vec::new() };
    let named = |entry: &&PrincipalPattern| !entry.names_account(subject.owner);
    let readers = statement.principals.iter().filter(named);
    readers.map(|entry| format!("lets `{entry}` replace this policy ({})", sets.name)).collect()
}

fn unknown_condition_keys(_: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let unknown = statement.conditions.iter().filter(|clause| clause.info.is_none());
    unknown.map(|clause| format!("condition key `{}` has no value here", clause.key.name())).collect()
}

fn condition_types(_: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let wrong = |clause: &&Clause| {
        let value_type = clause.info.map(|info| info.value_type);
        match clause.operator.comparison {
            Comparison::Address => value_type.is_some_and(|it| it != ValueType::Address),
            Comparison::Time(_) => value_type.is_some_and(|it| it != ValueType::Time),
            Comparison::Flag => value_type.is_some_and(|it| it != ValueType::Flag),
            // Tags and contexts may hold numbers.
            Comparison::Number(_) | Comparison::Text | Comparison::TextIgnoringCase | Comparison::Pattern => {
                value_type.is_some_and(|it| it != ValueType::Text)
            }
        }
    };
    let message = |clause: &Clause| format!("{} is not made for `{}`", clause.operator.name, clause.key.name());
    statement.conditions.iter().filter(wrong).map(message).collect()
}

fn conditions_not_here(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let kind = subject.policy.kind;
    let elsewhere = |clause: &&Clause| clause.info.is_some_and(|info| !info.legal_in.contains(&kind));
    let message = |clause: &Clause| format!("`{}` is not documented for {}", clause.key.name(), kind.noun());
    statement.conditions.iter().filter(elsewhere).map(message).collect()
}

fn vpc_actions(_: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let on_vpc = statement.conditions.iter().any(|clause| clause.key == ConditionKey::SourceVpc);
    let patterns = statement.actions.patterns.len();
    if on_vpc && kms_patterns(statement).count() < patterns {
        return vec!["with acs:SourceVpc every action must begin with kms:".to_owned()];
    }
    Vec::new()
}

fn unknown_principals(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let strangers = statement.principals.iter().filter(|entry| (subject.knows)(entry) == Some(false));
    strangers.map(|entry| format!("`{entry}` is nobody in the directory")).collect()
}

/// Said once, at the first statement.
fn unattached(subject: &Subject<'_>, statement: &Statement) -> Vec<String> {
    let is_first = subject.policy.statements.first().is_some_and(|first| std::ptr::eq(first, statement));
    let stray = is_first && !subject.is_attached;
    stray.then(|| "nobody has this policy, neither directly nor through a group".to_owned()).into_iter().collect()
}

#[cfg(test)]
mod tests;
