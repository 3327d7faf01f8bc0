//! What became of a question, told for people and for programs: the verdict, what decided, and every statement that was
//! looked at.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::authz::{Judgement, Outcome, Rejection};
use crate::policy::{Basis, Considered, Decision, Effect, Explanation, Half, Refusal};

const ALLOW: Style = AnsiColor::Green.on_default().bold();
const DENY: Style = AnsiColor::Red.on_default().bold();
const OPEN: Style = AnsiColor::Yellow.on_default().bold();

/// Everything there is to tell.
pub struct Story {
    /// What it came to.
    pub outcome: Outcome,
    /// Who asked; `None` if nobody was proven to have.
    pub caller: Option<String>,
    /// What was called, if this is about a request.
    pub operation: Option<String>,
    /// What the client is told, if the request was not judged by policies.
    pub rejection: Option<Refused>,
    /// The permissions that were asked for.
    pub permissions: Vec<Answer>,
    /// What a person should know about this answer.
    pub notes: Vec<String>,
}

/// A request that policies were not asked about.
pub struct Refused {
    reason: &'static str,
    code: &'static str,
    message: String,
}

/// The answer about one permission.
pub struct Answer {
    action: String,
    resource: String,
    allowed: bool,
    /// Why, as a sentence without its subject.
    because: String,
    statement: Option<String>,
    considered: Vec<Line>,
    /// What it rests on and nobody knows: then nothing is decided.
    rests_on: Option<String>,
}

/// A statement that was looked at.
struct Line {
    statement: String,
    effect: Effect,
    mismatch: Option<String>,
}

impl Refused {
    /// What the client is told; `None` if policies decided.
    pub fn of(judgement: &Judgement) -> Option<Self> {
        match &judgement.verdict {
            Ok(_) | Err(Rejection::Denied(_) | Rejection::Unresolved(_)) => None,
            Err(rejection) => {
                let error = rejection.error();
                Some(Self { reason: rejection.reason(), code: error.code.as_str(), message: error.message })
            }
        }
    }
}

impl Answer {
    /// What an explanation says about one permission.
    pub fn new(action: &str, resource: &str, explanation: &Explanation<'_>) -> Self {
        // The owner is not judged by any statement.
        let is_owner = matches!(explanation.decision, Decision::Allow(Basis::OwnerRoot));
        let considered = explanation.considered.iter().filter(|_| !is_owner);
        let (allowed, statement) = match &explanation.decision {
            Decision::Allow(basis) => (true, basis.statement()),
            Decision::Deny(Refusal::Explicit(statement)) => (false, Some(*statement)),
            Decision::Deny(_) => (false, None),
        };
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            allowed,
            because: because(&explanation.decision),
            statement: statement.map(|statement| statement.to_string()),
            considered: considered.map(Line::new).collect(),
            rests_on: None,
        }
    }

    /// The same, but it rests on something that nobody knows: whatever statements say of a name that stands for something
    /// else is no answer.
    pub fn resting_on(self, what: &str) -> Self {
        Self {
            because: format!("rests on {what}"),
            statement: None,
            considered: Vec::new(),
            rests_on: Some(what.to_owned()),
            ..self
        }
    }

    /// Whether it is allowed.
    pub fn outcome(&self) -> Outcome {
        match self.rests_on {
            Some(_) => Outcome::Undecided,
            None if self.allowed => Outcome::Allow,
            None => Outcome::Deny,
        }
    }

    fn tell(&self, by: &str, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let (style, word) = word(self.outcome());
        writeln!(out, "{indent}{style}{word}{style:#}  {} on {}{by}", self.action, self.resource)?;
        writeln!(out, "{indent}  {}", self.because)?;
        if self.considered.is_empty() {
            let is_denied = self.outcome() == Outcome::Deny;
            return if !is_denied { Ok(()) } else { writeln!(out, "{indent}  there is no policy that could") };
        }
        let width = self.considered.iter().map(|line| line.statement.chars().count()).max().unwrap_or(0);
        writeln!(out)?;
        for line in &self.considered {
            writeln!(out, "{indent}  {:<width$}  {}", line.statement, line.says())?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let considered: Vec<Value> = self.considered.iter().map(Line::json).collect();
        json!({
            "action": self.action,
            "resource": self.resource,
            "decision": self.outcome().as_str(),
            "because": self.because,
            "statement": self.statement,
            "rests_on": self.rests_on,
            "considered": considered,
        })
    }
}

fn because(decision: &Decision<'_>) -> String {
    match decision {
        Decision::Allow(Basis::Statement(statement)) => format!("allowed by {statement}"),
        Decision::Allow(Basis::OwnerRoot) => "allowed because the caller is the account that owns it".to_owned(),
        Decision::Deny(Refusal::Explicit(statement)) => format!("denied by {statement}"),
        Decision::Deny(Refusal::Implicit) => "denied because nothing allows it".to_owned(),
        Decision::Deny(Refusal::HalfMissing(Half::Identity)) => {
            "denied because the resource is another account's: its policy allows this, and no RAM policy of the caller does"
                .to_owned()
        }
        Decision::Deny(Refusal::HalfMissing(Half::Resource)) => {
            "denied because the resource is another account's: the caller's own account allows this, the resource's policy does not"
                .to_owned()
        }
        Decision::Deny(Refusal::SessionPolicy) => "denied because the session's policy does not allow it".to_owned(),
    }
}

impl Line {
    fn new(considered: &Considered<'_>) -> Self {
        Self {
            statement: considered.statement.to_string(),
            effect: considered.statement.statement.effect,
            mismatch: considered.mismatch.as_ref().map(ToString::to_string),
        }
    }

    fn says(&self) -> String {
        match (self.effect, &self.mismatch) {
            (Effect::Allow, None) => "allows".to_owned(),
            (Effect::Deny, None) => "denies".to_owned(),
            (Effect::Allow, Some(mismatch)) => format!("would allow, but {mismatch}"),
            (Effect::Deny, Some(mismatch)) => format!("would deny, but {mismatch}"),
        }
    }

    fn json(&self) -> Value {
        let effect = match self.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        };
        json!({
            "statement": self.statement,
            "effect": effect,
            "matches": self.mismatch.is_none(),
            "mismatch": self.mismatch,
        })
    }
}

fn word(outcome: Outcome) -> (Style, &'static str) {
    match outcome {
        Outcome::Allow => (ALLOW, "ALLOW"),
        Outcome::Deny => (DENY, "DENY"),
        Outcome::Reject => (DENY, "REJECT"),
        Outcome::Undecided => (OPEN, "UNDECIDED"),
    }
}

impl Story {
    /// Tells it to a person.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let by = self.caller.as_ref().map(|caller| format!(" by {caller}")).unwrap_or_default();
        match &self.operation {
            None => self.permissions.iter().try_for_each(|answer| answer.tell(&by, "", out))?,
            Some(operation) => self.request(operation, &by, out)?,
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
    }

    fn request(&self, operation: &str, by: &str, out: &mut dyn Write) -> io::Result<()> {
        let (style, word) = word(self.outcome);
        writeln!(out, "{style}{word}{style:#}  {operation}{by}")?;
        if let Some(refused) = &self.rejection {
            return writeln!(out, "  {} ({}): {}", refused.code, refused.reason, refused.message);
        }
        if self.permissions.is_empty() {
            return writeln!(out, "  needs no permission: to be somebody is enough");
        }
        for answer in &self.permissions {
            writeln!(out)?;
            answer.tell("", "  ", out)?;
        }
        Ok(())
    }

    /// The same facts for a program.
    pub fn json(&self) -> Value {
        let rejection =
            |refused: &Refused| json!({ "reason": refused.reason, "code": refused.code, "message": refused.message });
        json!({
            "verdict": self.outcome.as_str(),
            "caller": self.caller,
            "operation": self.operation,
            "rejection": self.rejection.as_ref().map(rejection),
            "permissions": self.permissions.iter().map(Answer::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}
