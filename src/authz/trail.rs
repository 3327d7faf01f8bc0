//! The trail: what was found out about a request on its way, for audit, metrics and logs.
//!
//! Holds names and decisions, never the value of a parameter, a signature or a secret.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::needs::Permission;
use super::snapshot::Version;
use super::{Permit, Rejection};
use crate::authn::{Caller, Directory};
use crate::kms::{Algorithm, Call, KmsRequest};

/// Most characters of a name that came from outside.
const NAME_CHARS_MAX: usize = 256;

/// What was found out about one request.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Which set of policies and identities judged it.
    pub version: Version,
    /// What was called; `None` if that could not be read.
    pub operation: Option<String>,
    /// Whether the operations table has it. Only then its name may become a label.
    pub operation_is_known: bool,
    /// The access key id it came with, proven or not; of one that nobody knows, a hash.
    pub access_key_id: Option<String>,
    /// How it is signed, proven or not.
    pub algorithm: Option<&'static str>,
    /// Who sent it, once proven: an ARN.
    pub caller: Option<String>,
    /// How that was proven.
    pub proof: Option<&'static str>,
    /// Headers with claims that were not believed, from a closed set.
    pub ignored_headers: Vec<&'static str>,
    /// Which actions on which resources it needs.
    pub permissions: Vec<(String, String)>,
    /// The statements that granted or refused.
    pub statements: Vec<String>,
    /// What it came to.
    pub outcome: Outcome,
    /// Why not, in one word from a closed set.
    pub reason: Option<&'static str>,
}

/// What judging a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It may be executed.
    Allow,
    /// Policies refuse it.
    Deny,
    /// Its answer would have shown what it is about, and there was none.
    Undecided,
    /// It cannot be read, or nobody is proven to have sent it.
    #[default]
    Reject,
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Undecided => "undecided",
            Self::Reject => "reject",
        }
    }
}

impl Trail {
    pub(super) fn new(version: Version) -> Self {
        Self { version, ..Self::default() }
    }

    /// A request that could not even be received whole.
    pub fn unreadable(version: Version, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::new(version) }
    }

    pub(super) fn ignored(&mut self, headers: Vec<&'static str>) {
        self.ignored_headers = headers;
    }

    pub(super) fn read(&mut self, request: &KmsRequest, directory: &Directory) {
        self.operation = Some(bounded(request.call.name()));
        self.operation_is_known = matches!(request.call, Call::Known(_));
        self.access_key_id = request.scheme.access_key_id().map(|id| shown_id(id, directory));
        self.algorithm = request.scheme.algorithm().map(Algorithm::name);
    }

    pub(super) fn identified(&mut self, caller: &Caller<'_>) {
        self.caller = Some(caller.principal.to_string());
        self.proof = Some(caller.proof.as_str());
    }

    pub(super) fn needs(&mut self, permissions: &[Permission]) {
        let pair = |permission: &Permission| (permission.action.to_string(), bounded(&permission.resource.arn));
        self.permissions = permissions.iter().map(pair).collect();
    }

    /// What a request is about that did not say so itself: its answer did.
    pub(super) fn answered(&mut self, permission: &Permission) {
        let pair = (permission.action.to_string(), bounded(&permission.resource.arn));
        match self.permissions.iter_mut().find(|(action, _)| *action == pair.0) {
            Some(found) => *found = pair,
            None => self.permissions.push(pair),
        }
    }

    /// What became of an answer that was judged.
    pub fn released<T>(&mut self, verdict: &Result<T, Rejection>) {
        if let Err(rejection) = verdict {
            self.outcome = Outcome::Reject;
            self.refused(rejection);
        }
    }

    /// A verdict that was found by asking more than policies.
    pub(super) fn refuse(&mut self, verdict: &Result<Permit, Rejection>) {
        self.outcome = Outcome::Reject;
        self.statements.clear();
        self.concluded(verdict);
    }

    /// There is no answer that could be judged. What was judged before stays.
    pub fn undecided(&mut self, permit: &Permit) {
        if permit.route.proof.as_ref().is_some_and(|proof| proof.judged.is_none()) {
            self.outcome = Outcome::Undecided;
        }
    }

    pub(super) fn granted(&mut self, by: Option<String>) {
        self.statements.extend(by);
    }

    pub(super) fn concluded(&mut self, verdict: &Result<Permit, Rejection>) {
        match verdict {
            Ok(_) => self.outcome = Outcome::Allow,
            Err(rejection) => self.refused(rejection),
        }
    }

    fn refused(&mut self, rejection: &Rejection) {
        self.reason = Some(rejection.reason());
        if let Rejection::Denied(denial) = rejection {
            self.outcome = Outcome::Deny;
            self.statements = denial.statement.iter().cloned().collect();
        }
    }
}

/// An id that nobody knows may be a secret that somebody put in its place: only its hash is shown, by which the same one
/// can be known again.
fn shown_id(id: &str, directory: &Directory) -> String {
    if directory.access_key(id).is_some() || id.starts_with("STS.") {
        return bounded(id);
    }
    let hash = HEXLOWER.encode(&Sha256::digest(id));
    format!("unknown:{}", hash.get(..12).unwrap_or_default())
}

fn bounded(name: &str) -> String {
    shown_name(name, NAME_CHARS_MAX)
}

/// A name that came from outside, as it may stand in a line that people and programs read: visible ASCII, and no more than
/// so many characters of it. What is left out leaves a mark.
pub fn shown_name(name: &str, most: usize) -> String {
    let mut shown: String = name.chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if name.chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_moves_no_terminal_and_ends_no_line() {
        for (name, expected) in [
            ("alias/a", "alias/a"),
            ("abcdefgh", "abcdefgh"),
            ("abcdefghi", "abcdefgh..."),
            ("\u{1b}[2J\n", "?[2J?"),
            ("\u{9b}\u{2028}\u{85}é ", "?????"),
        ] {
            assert_eq!(shown_name(name, 8), expected);
        }
    }
}
