//! Conditions: operators over condition keys, prepared at load so that judging allocates nothing.
//!
//! RAM has five families of operators and nothing else: no `…IfExists`, no `Null`, no `ForAllValues:`. All operators of a
//! condition and all keys of an operator must be satisfied; of the values of a key, a positive operator needs one that
//! matches and a negated operator none. A key without a value satisfies the negated operators only. Sources: RAM
//! "Condition operators", "Policy elements"; official samples that select requests by an absent `acs:SourceVpc`.

use std::fmt;

use ipnet::IpNet;

use super::context::{ConditionKey, Context, KeyInfo, Value};
use super::operand::{Moment, Number, address, network};
use super::pattern::Pattern;

/// How a request's value is compared with those of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same text.
    Text,
    /// The same text, but for the case of ASCII letters.
    TextIgnoringCase,
    /// A pattern with `*` and `?`.
    Pattern,
    /// Decimal numbers.
    Number(Order),
    /// Moments.
    Time(Order),
    /// `true` or `false`.
    Flag,
    /// An address in a network.
    Address,
}

/// How two values must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Equal.
    Equal,
    /// The request's value is less.
    Less,
    /// Less or equal.
    AtMost,
    /// The request's value is greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

/// One condition operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its name; case matters.
    pub name: &'static str,
    /// How it compares.
    pub comparison: Comparison,
    /// Whether it is satisfied when nothing matches.
    pub negated: bool,
}

const fn operator(name: &'static str, comparison: Comparison, negated: bool) -> Operator {
    Operator { name, comparison, negated }
}

/// The operators of RAM ("Condition operators").
pub const OPERATORS: &[Operator] = &[
    operator("StringEquals", Comparison::Text, false),
    operator("StringNotEquals", Comparison::Text, true),
    operator("StringEqualsIgnoreCase", Comparison::TextIgnoringCase, false),
    operator("StringNotEqualsIgnoreCase", Comparison::TextIgnoringCase, true),
    operator("StringLike", Comparison::Pattern, false),
    operator("StringNotLike", Comparison::Pattern, true),
    operator("NumericEquals", Comparison::Number(Order::Equal), false),
    operator("NumericNotEquals", Comparison::Number(Order::Equal), true),
    operator("NumericLessThan", Comparison::Number(Order::Less), false),
    operator("NumericLessThanEquals", Comparison::Number(Order::AtMost), false),
    operator("NumericGreaterThan", Comparison::Number(Order::Greater), false),
    operator("NumericGreaterThanEquals", Comparison::Number(Order::AtLeast), false),
    operator("DateEquals", Comparison::Time(Order::Equal), false),
    operator("DateNotEquals", Comparison::Time(Order::Equal), true),
    operator("DateLessThan", Comparison::Time(Order::Less), false),
    operator("DateLessThanEquals", Comparison::Time(Order::AtMost), false),
    operator("DateGreaterThan", Comparison::Time(Order::Greater), false),
    operator("DateGreaterThanEquals", Comparison::Time(Order::AtLeast), false),
    operator("Bool", Comparison::Flag, false),
    operator("IpAddress", Comparison::Address, false),
    operator("NotIpAddress", Comparison::Address, true),
];

impl Operator {
    /// The operator of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        OPERATORS.iter().find(|operator| operator.name == name)
    }
}

/// Whether a condition holds for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not.
    No,
    /// A value cannot be compared, such as a tag `high` with a number, or is not known: an Allow then grants nothing, and
    /// a Deny refuses.
    Undecidable,
    /// It does.
    Yes,
}

/// One operator on one key.
#[derive(Debug, Clone)]
pub struct Clause {
    /// The operator.
    pub operator: &'static Operator,
    /// The key.
    pub key: ConditionKey,
    /// The key's row in the table, if it has one.
    pub info: Option<&'static KeyInfo>,
    operands: Operands,
}

/// The values that a policy gives, ready to be compared.
#[derive(Debug, Clone)]
enum Operands {
    Texts(Box<[Box<str>]>),
    Patterns(Box<[Pattern]>),
    /// Each reads as a [`Number`].
    Numbers(Box<[Box<str>]>),
    Times(Box<[Moment]>),
    Flags(Box<[bool]>),
    Networks(Box<[IpNet]>),
}

impl Clause {
    /// Prepares a clause.
    ///
    /// # Errors
    /// The index of a value that the operator cannot be used with, and what would be right.
    pub fn new(operator: &'static Operator, key: &str, values: &[String]) -> Result<Self, (usize, &'static str)> {
        let operands = match operator.comparison {
            Comparison::Text | Comparison::TextIgnoringCase => {
                Operands::Texts(values.iter().map(|value| value.as_str().into()).collect())
            }
            Comparison::Pattern => Operands::Patterns(values.iter().map(|value| Pattern::exact(value)).collect()),
            Comparison::Number(_) => Operands::Numbers(all(
                values,
                |value| Number::read(value).map(|_| value.into()),
                "a number such as \"10\" or \"1.5\"",
            )?),
            Comparison::Time(_) => {
                let right = "a time with its zone, such as \"2026-01-02T03:04:05Z\" or \"2026-01-02T11:04:05+08:00\"";
                Operands::Times(all(values, Moment::read, right)?)
            }
            Comparison::Flag => Operands::Flags(all(values, flag, "\"true\" or \"false\"")?),
            Comparison::Address => Operands::Networks(all(
                values,
                network,
                "an address or network, such as \"10.0.0.1\" or \"10.0.0.0/8\"",
            )?),
        };
        let (key, info) = ConditionKey::parse(key);
        Ok(Self { operator, key, info, operands })
    }

    /// Whether the clause holds.
    pub fn holds(&self, context: &Context<'_>) -> Truth {
        if context.is_unknown(&self.key) {
            return Truth::Undecidable;
        }
        let matched = match context.value(&self.key) {
            None => Some(false),
            Some(value) => self.any_matches(&value),
        };
        match matched {
            None => Truth::Undecidable,
            Some(matched) if matched != self.operator.negated => Truth::Yes,
            Some(_) => Truth::No,
        }
    }

    /// Whether one of the policy's values matches; `None` if they cannot be compared with this one.
    fn any_matches(&self, value: &Value<'_>) -> Option<bool> {
        match (&self.operands, self.operator.comparison) {
            (Operands::Texts(texts), Comparison::TextIgnoringCase) => {
                Some(value.with_text(|text| texts.iter().any(|expected| expected.eq_ignore_ascii_case(text))))
            }
            (Operands::Texts(texts), _) => {
                Some(value.with_text(|text| texts.iter().any(|expected| **expected == *text)))
            }
            (Operands::Patterns(patterns), _) => {
                Some(value.with_text(|text| patterns.iter().any(|pattern| pattern.matches(text))))
            }
            (Operands::Numbers(numbers), Comparison::Number(order)) => {
                let given = || numbers.iter().filter_map(|number| Number::read(number));
                value.with_text(|text| Number::read(text).map(|found| given().any(|it| order.accepts(&found, &it))))
            }
            (Operands::Times(times), Comparison::Time(order)) => {
                let found = match value {
                    Value::Time(found) => Moment::from(*found),
                    other => other.with_text(Moment::read)?,
                };
                Some(times.iter().any(|time| order.accepts(&found, time)))
            }
            (Operands::Flags(flags), _) => {
                let found = match value {
                    Value::Flag(found) => *found,
                    other => other.with_text(flag)?,
                };
                Some(flags.contains(&found))
            }
            (Operands::Networks(networks), _) => {
                let found = match value {
                    Value::Address(found) => *found,
                    other => other.with_text(address)?,
                };
                Some(networks.iter().any(|network| network.contains(&found)))
            }
            // A clause is only made with operands of its operator's kind.
            (Operands::Numbers(_) | Operands::Times(_), _) => None,
        }
    }
}

/// `IpAddress acs:SourceIp [10.0.0.0/8]`
impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = match &self.operands {
            Operands::Texts(texts) => texts.iter().map(ToString::to_string).collect(),
            Operands::Patterns(patterns) => patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            Operands::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect(),
            Operands::Times(times) => times.iter().map(ToString::to_string).collect(),
            Operands::Flags(flags) => flags.iter().map(ToString::to_string).collect(),
            Operands::Networks(networks) => networks.iter().map(ToString::to_string).collect(),
        };
        write!(f, "{} {} [{}]", self.operator.name, self.key.name(), values.join(", "))
    }
}

impl Order {
    fn accepts<T: PartialOrd>(self, found: &T, given: &T) -> bool {
        match self {
            Self::Equal => found == given,
            Self::Less => found < given,
            Self::AtMost => found <= given,
            Self::Greater => found > given,
            Self::AtLeast => found >= given,
        }
    }
}

/// Whether all clauses hold: the least true of them; `Yes` for none.
pub fn all_hold(clauses: &[Clause], context: &Context<'_>) -> Truth {
    clauses.iter().map(|clause| clause.holds(context)).min().unwrap_or(Truth::Yes)
}

fn all<T>(
    values: &[String],
    read: impl Fn(&str) -> Option<T>,
    right: &'static str,
) -> Result<Box<[T]>, (usize, &'static str)> {
    values.iter().enumerate().map(|(index, value)| read(value).ok_or((index, right))).collect()
}

fn flag(text: &str) -> Option<bool> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
