//! WHAT IS ALLOWED: Alibaba Cloud's policy language for KMS, and the one function that decides.
//!
//! Knows key policies, secret policies and RAM policies: their grammar, how their parts match, and how several of them
//! come to one [`Decision`]. Knows nothing of HTTP, of KMS operations, or of where policies are kept. No I/O, no clock.

mod decide;
mod document;
mod pattern;
mod principal;

pub use decide::{AccountPrincipal, Basis, Decision, Half, PolicySource, Question, Refusal, StatementRef, decide};
pub use document::{Effect, Kind, Policy, Statement};
pub use pattern::Pattern;
pub use principal::{Identity, Principal, PrincipalPattern};
