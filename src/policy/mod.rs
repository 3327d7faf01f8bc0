//! WHAT IS ALLOWED: Alibaba Cloud's policy language for KMS, and the one function that decides.
//!
//! Knows key policies, secret policies and RAM policies: their grammar, how their parts match, and how several of them
//! come to one [`Decision`]. Knows nothing of HTTP, of KMS operations, or of where policies are kept. No I/O, no clock.

mod condition;
mod context;
mod decide;
mod document;
mod explain;
mod given;
mod index;
mod lint;
mod operand;
mod pattern;
mod principal;
mod reader;
mod vocabulary;

pub use condition::{Clause, Comparison, OPERATORS, Operator, Order, Truth};
pub use context::{CONDITION_KEYS, ConditionKey, Context, KeyInfo, Pairs, Value, ValueType};
pub use decide::{AccountPrincipal, Basis, Decision, Half, PolicySource, Question, Refusal, StatementRef, decide};
pub use document::{Actions, Effect, Kind, Policy, Resources, Statement};
pub use explain::{Considered, Explanation, Mismatch, explain};
pub use given::GivenContext;
pub use lint::{Finding, RULES, Rule, Subject, lint};
pub use pattern::Pattern;
pub use principal::{Identity, Principal, PrincipalPattern, Whom};
pub use vocabulary::{ACTIONS_MAX, Action, KnownAction, Vocabulary};
