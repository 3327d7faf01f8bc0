//! What commands share that ask the policies on disk a question: the snapshot to ask, and answers in words.

use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;

use crate::authn::Member;
use crate::kms::Address;
use crate::policy::{Basis, Considered, Decision, Effect, Explanation, Half, Identity, Mismatch, Refusal};
use crate::settings::Settings;
use crate::source::Problem;
use crate::store::Store;

/// The most mismatches that stand in one sentence.
const MISMATCHES_MAX: usize = 3;

/// Policies and identities as they are on disk.
pub struct Ground {
    /// What is in the settings file.
    pub settings: Settings,
    /// What was loaded.
    pub store: Store,
    /// When: every question is asked as of now, unless it says otherwise.
    pub now: Timestamp,
}

impl Ground {
    /// Loads what the settings file names.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn open(config: &Path) -> Result<Self, Vec<Problem>> {
        let settings = Settings::load(config)?;
        let now = now();
        let store = Store::open(&settings, now)?;
        Ok(Self { settings, store, now })
    }

    /// Where short names of resources live.
    pub fn here(&self) -> Address<'_> {
        Address { region: &self.settings.kms.region, account: &self.settings.kms.account }
    }
}

/// A member of the directory as people write it; a role stands for its sessions.
pub fn arn_of(member: &Member) -> String {
    match &member.principal.identity {
        Identity::Session { role, .. } => format!("acs:ram::{}:role/{role}", member.principal.account),
        _ => member.principal.to_string(),
    }
}

/// What decided, in one sentence fragment.
pub fn ground_of(explanation: &Explanation<'_>) -> String {
    match &explanation.decision {
        Decision::Allow(Basis::OwnerRoot) => "owns the resource".to_owned(),
        Decision::Allow(Basis::Statement(statement)) => {
            let mut text = format!("allowed by {statement}");
            if let Some(other) = other_half(explanation, statement.source) {
                let _ = write!(text, " and {other}");
            }
            text
        }
        Decision::Deny(Refusal::Explicit(statement)) => format!("denied by {statement}"),
        Decision::Deny(Refusal::Implicit) => "nothing allows it".to_owned(),
        Decision::Deny(Refusal::HalfMissing(Half::Identity)) => {
            "the resource's policy allows it, but no RAM policy in the caller's own account".to_owned()
        }
        Decision::Deny(Refusal::HalfMissing(Half::Resource)) => {
            "the caller's own account allows it, but the resource's policy does not".to_owned()
        }
        Decision::Deny(Refusal::SessionPolicy) => "the session's policy does not allow it".to_owned(),
    }
}

/// The grant of the other side, where one side alone would do or both are needed.
fn other_half(explanation: &Explanation<'_>, deciding: crate::policy::PolicySource) -> Option<String> {
    let is_grant = |it: &&Considered<'_>| it.mismatch.is_none() && it.statement.statement.effect == Effect::Allow;
    let mut grants = explanation.considered.iter().filter(is_grant);
    grants.find(|it| it.statement.source != deciding).map(|it| it.statement.to_string())
}

/// What decided; for a refusal that no statement speaks, also which statements came closest and what in them does not
/// match.
pub fn reason_for(explanation: &Explanation<'_>) -> String {
    let mut reason = ground_of(explanation);
    if matches!(explanation.decision, Decision::Allow(_) | Decision::Deny(Refusal::Explicit(_))) {
        return reason;
    }
    let mut missed: Vec<(&Considered<'_>, &Mismatch<'_>)> =
        explanation.considered.iter().filter_map(|it| Some((it, it.mismatch.as_ref()?))).collect();
    missed.sort_by_key(|(_, mismatch)| distance(mismatch));
    let more = missed.len().saturating_sub(MISMATCHES_MAX);
    for (it, mismatch) in missed.iter().take(MISMATCHES_MAX) {
        let _ = write!(reason, "; {}: {mismatch}", it.statement);
    }
    if more > 0 {
        let noun = if more == 1 { "statement" } else { "statements" };
        let _ = write!(reason, "; and {more} more {noun}");
    }
    reason
}

/// How far a statement is from speaking about a question: the more of it matches, the closer it is.
fn distance(mismatch: &Mismatch<'_>) -> usize {
    match mismatch {
        Mismatch::Condition { .. } => 0,
        Mismatch::Resource { .. } => 1,
        Mismatch::Action { .. } => 2,
        Mismatch::Delegated => 3,
        Mismatch::Principal { .. } => 4,
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the running program")]
fn now() -> Timestamp {
    Timestamp::now()
}
