//! What commands share that ask the policies on disk a question: the snapshot to ask, and answers in words.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::now;
use crate::authz::vocabulary;
use crate::kms::Address;
use crate::local_kms::{LocalKms, OpenError};
use crate::policy::{Basis, Considered, Decision, Effect, Explanation, GivenContext, Half, Mismatch, Refusal};
use crate::served;
use crate::settings::Settings;
use crate::source::{Problem, suggest};
use crate::store::Store;

/// The most mismatches that stand in one sentence.
const MISMATCHES_MAX: usize = 3;

/// Policies and identities as they are on disk, and what the seed of the embedded KMS says about names and tags. What a
/// running Keyward has learned since is not in it.
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
    /// Every mistake of the first file that has any: settings, then policies and identities, then the seed.
    pub fn open(config: &Path) -> Result<Self, Vec<Problem>> {
        let settings = Settings::load(config)?;
        let now = now();
        let store = Store::open(&settings, now)?;
        let told = |error| match error {
            OpenError::Seed(problems) => problems,
            other => vec![Problem::of_file("", other.to_string())],
        };
        // Of a KMS elsewhere is known what the operator says, and nothing more.
        if settings.upstream.is_none() {
            store.publish_index(LocalKms::names_of_seed(&settings.kms, now).map_err(told)?);
        }
        Ok(Self { settings, store, now })
    }

    /// Loads the key of role sessions, if there is one: without it, the token of a session in a recorded request is
    /// nobody's.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn know_sessions(&self) -> Result<(), OpenError> {
        if let Some(key) = served::existing(&self.settings.kms.data)? {
            self.store.publish_sessions(Arc::new(key));
        }
        Ok(())
    }

    /// Where short names of resources live.
    pub fn here(&self) -> Address<'_> {
        Address { region: &self.settings.kms.region, account: &self.settings.kms.account }
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

/// What is wrong with an action that KMS does not have; `None` if it has it.
pub fn unknown_action(action: &str) -> Option<String> {
    let names = || vocabulary().actions().iter().map(|known| known.name);
    if names().any(|name| name == action) {
        return None;
    }
    let hint = suggest(action, names());
    let hint = if hint.contains("did you mean") { hint } else { "; write for example kms:Decrypt".to_owned() };
    Some(format!("KMS has no action `{action}`{hint}"))
}

/// The values of condition keys, as they were given.
///
/// # Errors
/// A key has no values here, or a value is none of its key's.
pub fn given(pairs: &[(String, String)]) -> Result<GivenContext, String> {
    let mut context = GivenContext::default();
    for (key, value) in pairs {
        context.set(key, value)?;
    }
    Ok(context)
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// There is no `=`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}
