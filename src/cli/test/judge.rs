//! Runs cases against one snapshot.

use jiff::Timestamp;

use super::super::ask::reason_for;
use super::cases::{Case, Decider};
use super::coverage::Coverage;
use crate::authz::Snapshot;
use crate::policy::{Basis, Decision, Explanation, Refusal, StatementRef};

/// What became of all cases.
pub struct Results {
    /// Each of them.
    pub outcomes: Vec<Outcome>,
    /// Which statements they reached.
    pub coverage: Coverage,
    /// The least coverage that will do, in percent.
    pub min_coverage: Option<u8>,
}

/// What became of one case.
pub struct Outcome {
    /// The file it stands in.
    pub file: String,
    /// `LINE:COLUMN`.
    pub place: String,
    /// Its name; where it has none, its question.
    pub name: String,
    /// The question, in words.
    pub question: String,
    /// `None` if it passed, otherwise what was expected and what came, and why.
    pub failure: Option<String>,
}

impl Results {
    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count()
    }

    /// Whether enough statements are covered.
    pub fn covers_enough(&self) -> bool {
        self.min_coverage.is_none_or(|least| self.coverage.percent() >= usize::from(least))
    }

    /// Whether everything is as it should be.
    pub fn passed(&self) -> bool {
        self.failed() == 0 && self.covers_enough()
    }
}

/// Asks every question.
pub fn run(cases: &[Case], snapshot: &Snapshot, now: Timestamp, min_coverage: Option<u8>) -> Results {
    let mut coverage = Coverage::of(snapshot);
    let outcomes = cases.iter().map(|case| judge(case, snapshot, now, &mut coverage)).collect();
    Results { outcomes, coverage, min_coverage }
}

fn judge(case: &Case, snapshot: &Snapshot, now: Timestamp, coverage: &mut Coverage) -> Outcome {
    let asked = &case.question;
    let question = format!("{} on {} by {}", asked.action, asked.resource.arn, asked.principal);
    let failure = asked.ask(snapshot, now, |explanation| {
        coverage.note(explanation, &asked.action, &asked.resource.arn);
        failure(case, explanation)
    });
    Outcome {
        file: case.file.clone(),
        place: format!("{}:{}", case.position.line, case.position.column),
        name: case.name.clone().unwrap_or_else(|| question.clone()),
        question,
        failure,
    }
}

fn failure(case: &Case, explanation: &Explanation<'_>) -> Option<String> {
    let came = matches!(explanation.decision, Decision::Allow(_));
    if came == case.allow && case.by.as_ref().is_none_or(|by| decides(by, explanation)) {
        return None;
    }
    let by = match &case.by {
        None => String::new(),
        Some(Decider::Owner) => " by owner".to_owned(),
        Some(Decider::Statement { written, .. }) => format!(" by {written}"),
    };
    Some(format!("expected {}{by}, came {}: {}", word(case.allow), word(came), reason_for(explanation)))
}

fn word(allow: bool) -> &'static str {
    if allow { "allow" } else { "deny" }
}

/// Whether what should decide did. Across accounts two statements allow together, and either may be named.
fn decides(by: &Decider, explanation: &Explanation<'_>) -> bool {
    let deciding: Option<StatementRef<'_>> = match explanation.decision {
        Decision::Allow(Basis::OwnerRoot) => return *by == Decider::Owner,
        Decision::Allow(Basis::Statement(statement)) | Decision::Deny(Refusal::Explicit(statement)) => Some(statement),
        Decision::Deny(_) => None,
    };
    let Some(deciding) = deciding else { return false };
    let other_half = explanation.considered.iter().filter(|it| {
        it.mismatch.is_none()
            && it.statement.source != deciding.source
            && it.statement.statement.effect == deciding.statement.effect
    });
    by.is(&deciding) || other_half.into_iter().any(|it| by.is(&it.statement))
}
