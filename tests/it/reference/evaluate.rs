//! The decision, written top-down in the order of the rules.

use std::cmp::Ordering;

use super::document::{Condition, Document, Statement};
use super::values::{Network, Number, address, fits, moment, same_ignoring_case};

/// How the account as principal is read (§6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Delegation,
    Literal,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Request {
    /// The caller's ARN.
    pub caller: String,
    pub action: String,
    pub resource: String,
    /// The account that owns the resource.
    pub owner: String,
    /// Condition keys as our notes name them, and their values as texts.
    pub context: Vec<(String, String)>,
    pub reading: Reading,
}

/// All policies that apply to a caller and a resource.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    pub identity: &'a [Document],
    pub session: Option<&'a Document>,
    pub resource: Option<&'a Document>,
}

/// The answer, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
    RamHalfMissing,
    ResourceHalfMissing,
    SessionPolicy,
}

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::Allowed,
        Self::ExplicitDeny,
        Self::ImplicitDeny,
        Self::RamHalfMissing,
        Self::ResourceHalfMissing,
        Self::SessionPolicy,
    ];
}

/// §6.1: what one set of policies says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    ExplicitDeny,
    Allow,
    ImplicitDeny,
}

/// §6.2 and §6.3. Where several reasons refuse, an explicit Deny is the one to be named.
pub fn evaluate(policies: Policies<'_>, request: &Request) -> Outcome {
    let caller = Caller::read(&request.caller);
    let own_account = caller.account == request.owner;
    // §6.3: the owning account's root has full permission, and nothing denies it.
    if caller.who == Who::Root && own_account {
        return Outcome::Allowed;
    }
    let identity = say(policies.identity.iter(), request, &caller);
    let session = say(policies.session.into_iter(), request, &caller);
    let resource = say(policies.resource.into_iter(), request, &caller);
    // §6.2.4: any Explicit Deny refuses.
    if [identity, session, resource].contains(&Said::ExplicitDeny) {
        return Outcome::ExplicitDeny;
    }
    // §6.2.2: a session policy that does not allow refuses.
    if policies.session.is_some() && session != Said::Allow {
        return Outcome::SessionPolicy;
    }
    // §6.3: root of another account is unrestricted there, so its RAM half is an Allow.
    let identity = identity == Said::Allow || caller.who == Who::Root;
    let resource = resource == Said::Allow;
    if own_account {
        return if identity || resource { Outcome::Allowed } else { Outcome::ImplicitDeny };
    }
    match (identity, resource) {
        (true, true) => Outcome::Allowed,
        (true, false) => Outcome::ResourceHalfMissing,
        (false, true) => Outcome::RamHalfMissing,
        (false, false) => Outcome::ImplicitDeny,
    }
}

/// §6.1: any matching Deny, else any matching Allow, else nothing.
fn say<'d>(documents: impl Iterator<Item = &'d Document>, request: &Request, caller: &Caller) -> Said {
    let mut said = Said::ImplicitDeny;
    for document in documents {
        for statement in &document.statements {
            if !matches(statement, request, caller) {
                continue;
            }
            if !statement.allow {
                return Said::ExplicitDeny;
            }
            said = Said::Allow;
        }
    }
    said
}

/// §6.1: principal, action, resource and the whole condition must match.
fn matches(statement: &Statement, request: &Request, caller: &Caller) -> bool {
    if let Some(principals) = &statement.principals
        && !principals.iter().any(|entry| speaks_of(entry, statement.allow, request, caller))
    {
        return false;
    }
    // §3.2: actions ignore case, resources do not. §2: NotAction is every action except the listed.
    let listed = statement.actions.iter().any(|pattern| fits(pattern, &request.action, true));
    if listed == statement.not_actions {
        return false;
    }
    if !statement.resources.iter().any(|pattern| fits(pattern, &request.resource, false)) {
        return false;
    }
    match whole_condition(&statement.conditions, &request.context) {
        Truth::Yes => true,
        Truth::No => false,
        // What cannot be compared must not open anything: an Allow does not match, a Deny does.
        Truth::Undecidable => !statement.allow,
    }
}

/// §3.5: the caller behind an ARN.
#[derive(Debug)]
pub struct Caller {
    pub account: String,
    pub who: Who,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Who {
    Root,
    User(String),
    Session(String, String),
}

impl Caller {
    /// A session comes in three spellings: `acs:ram::…:assumed-role/R/S`, `acs:sts::…`, and `acs:ram::…:role/R/S`.
    pub fn read(arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        let who = match parts[4].split('/').collect::<Vec<_>>()[..] {
            ["root"] => Who::Root,
            ["user", name] => Who::User(name.to_owned()),
            ["assumed-role" | "role", role, session] => Who::Session(role.to_owned(), session.to_owned()),
            _ => panic!("{arn} is nobody"),
        };
        Self { account: parts[3].to_owned(), who }
    }
}

/// §3.4: whether an entry of `Principal` speaks of the caller. Accounts are exact; names ignore case (§3.2).
fn speaks_of(entry: &str, allow: bool, request: &Request, caller: &Caller) -> bool {
    let parts: Vec<&str> = entry.splitn(5, ':').collect();
    if parts[3] != caller.account {
        return false;
    }
    let named: Vec<&str> = parts[4].split('/').collect();
    match (&named[..], &caller.who) {
        // §6.4: in both readings a Deny on the account binds everyone in it.
        (["*" | "root"], _) if !allow => true,
        // §6.4 D: an Allow in the owner's own policy gives its users and roles nothing; one for another account leaves
        // the other half to that account's RAM policies.
        (["*" | "root"], _) if request.reading == Reading::Delegation => caller.account != request.owner,
        (["*"], _) | (["root"], Who::Root) => true,
        (["user", pattern], Who::User(name)) => fits(pattern, name, true),
        // §3.5: every session of the role.
        (["role", pattern], Who::Session(role, _)) => fits(pattern, role, true),
        (["assumed-role", roles, sessions], Who::Session(role, session)) => {
            fits(roles, role, true) && fits(sessions, session, true)
        }
        _ => false,
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    Yes,
    No,
    Undecidable,
}

/// §4: the five families.
pub const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "IpAddress",
    "NotIpAddress",
];

/// §4.1: all operators and all keys must be satisfied. One that certainly is not decides, even beside one that cannot
/// be compared.
fn whole_condition(conditions: &[Condition], context: &[(String, String)]) -> Truth {
    let truths: Vec<Truth> = conditions.iter().map(|condition| holds(condition, context)).collect();
    if truths.contains(&Truth::No) {
        return Truth::No;
    }
    if truths.contains(&Truth::Undecidable) { Truth::Undecidable } else { Truth::Yes }
}

/// One operator on one key.
pub fn holds(condition: &Condition, context: &[(String, String)]) -> Truth {
    let negated = condition.operator.contains("Not");
    // §4.2: without a value, positive operators are not satisfied and negated ones are.
    let Some(found) = lookup(&condition.key, context) else {
        return if negated { Truth::Yes } else { Truth::No };
    };
    // §4.1: any listed value for a positive operator, none for a negated one.
    let mut any = false;
    for given in &condition.values {
        match agrees(&condition.operator, &found, given) {
            None => return Truth::Undecidable,
            Some(agreed) => any |= agreed,
        }
    }
    if any == negated { Truth::No } else { Truth::Yes }
}

/// §4: whether the request's value agrees with one that the policy gives; `None` if they cannot be compared.
fn agrees(operator: &str, found: &str, given: &str) -> Option<bool> {
    if operator.starts_with("Numeric") {
        let order = Number::read(found)?.compare(&Number::read(given)?);
        return Some(in_order(operator, order));
    }
    if operator.starts_with("Date") {
        return Some(in_order(operator, moment(found)?.cmp(&moment(given)?)));
    }
    match operator {
        "StringEquals" | "StringNotEquals" => Some(found == given),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => Some(same_ignoring_case(found, given)),
        "StringLike" | "StringNotLike" => Some(fits(given, found, false)),
        "Bool" => matches!(found, "true" | "false").then_some(found == given),
        "IpAddress" | "NotIpAddress" => Some(Network::read(given)?.contains(address(found)?)),
        _ => panic!("{operator} is no operator"),
    }
}

fn in_order(operator: &str, order: Ordering) -> bool {
    let comparison = operator.trim_start_matches("Numeric").trim_start_matches("Date");
    match comparison {
        "Equals" | "NotEquals" => order == Ordering::Equal,
        "LessThan" => order == Ordering::Less,
        "LessThanEquals" => order != Ordering::Greater,
        "GreaterThan" => order == Ordering::Greater,
        "GreaterThanEquals" => order != Ordering::Less,
        _ => panic!("{operator} is no operator"),
    }
}

/// The condition keys of §5 that a request can have a value for.
pub const KEYS: &[&str] = &[
    "acs:SourceIp",
    "acs:CurrentTime",
    "acs:SecureTransport",
    "acs:MFAPresent",
    "acs:PrincipalARN",
    "acs:SourceVpc",
    "acs:VpcSourceIp",
    "kms:EncryptionAlgorithm",
];

/// Those to which the policy's author adds the name of a tag.
pub const KEYS_WITH_NAMES: &[&str] = &["kms:tag/", "kms:EncryptionContext:", "acs:RequestTag/", "acs:ResourceTag/"];

/// §3.2: the value of a key; its name ignores case, what follows it does not. An unknown key is absent (§5.4).
fn lookup(key: &str, context: &[(String, String)]) -> Option<String> {
    let mut name = KEYS.iter().find(|name| same_ignoring_case(name, key)).map(|name| (*name).to_owned());
    for start in KEYS_WITH_NAMES {
        if let Some((begin, tag)) = key.split_at_checked(start.len())
            && same_ignoring_case(start, begin)
            && !tag.is_empty()
        {
            name = Some(format!("{start}{tag}"));
        }
    }
    let name = name?;
    let value = context.iter().find(|(key, _)| *key == name).map(|(_, value)| value)?;
    // §5.1: these two are addresses, and one address is written in one way.
    if name == "acs:SourceIp" || name == "acs:VpcSourceIp" {
        return address(value).map(|address| address.to_string());
    }
    Some(value.clone())
}
