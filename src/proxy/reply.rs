//! What became of a permitted request, whoever executed it.

use serde_json::{Map, Value};

use crate::authz::shown_name;
use crate::kms::{Answer, Format, KmsError};
use crate::served::Members;
use crate::store::PolicyChange;
use crate::upstream::{NoAnswer, Received};

/// What became of a permitted request.
pub struct Executed {
    /// What the client is answered.
    pub result: Result<Reply, KmsError>,
    /// The policies that it changed.
    pub changes: Vec<PolicyChange>,
    /// What is told of a KMS elsewhere.
    pub told: Told,
}

/// An answer that is no failure of ours.
pub enum Reply {
    /// The members of a success, to be written in the client's format.
    Members(Members),
    /// The members of an answer with this status, which was in another format.
    Written(u16, Map<String, Value>),
    /// An answer as it came.
    Whole(Answer),
}

/// What is told of a KMS elsewhere, in the audit line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether it executed the request: `yes`, `no`, or `unknown`; `None` if nobody asked it.
    pub executed: Option<&'static str>,
    /// Why there is no answer.
    pub error: Option<&'static str>,
    /// The id that it gave the request.
    pub request_id: Option<String>,
    /// The code of its error answer.
    pub code: Option<String>,
}

/// Most characters of an id or code that came from outside.
const TEXT_CHARS_MAX: usize = 128;

impl Executed {
    /// Something that was executed here.
    pub fn here(result: Result<Members, KmsError>, changes: Vec<PolicyChange>) -> Self {
        Self { result: result.map(Reply::Members), changes, told: Told::default() }
    }

    /// An error.
    pub fn failed(error: KmsError) -> Self {
        Self { result: Err(error), changes: Vec::new(), told: Told::default() }
    }
}

impl Told {
    /// Of an exchange that failed.
    pub fn of_failure(why: NoAnswer) -> Self {
        let executed = if why.may_be_executed() { "unknown" } else { "no" };
        Self { executed: Some(executed), error: Some(why.reason()), ..Self::default() }
    }

    /// Of an answer, with what is no secret of it.
    pub fn of_answer(received: &Received, members: Option<&Map<String, Value>>) -> Self {
        let is_success = received.status < 300;
        // An error of the server's says nothing of how far it came.
        let executed = if is_success { "yes" } else { "no" };
        let executed = if received.status >= 500 { "unknown" } else { executed };
        let bounded = |text: &str| shown_name(text, TEXT_CHARS_MAX);
        let member = |name: &str| members?.get(name)?.as_str().map(bounded);
        let header = received.headers.iter().find(|(name, _)| name == "x-acs-request-id");
        let header = header.map(|(_, value)| bounded(&String::from_utf8_lossy(value)));
        Self {
            executed: Some(executed),
            error: None,
            request_id: header.or_else(|| member("RequestId")),
            code: member("Code").filter(|_| !is_success),
        }
    }
}

impl Reply {
    /// The answer to a request for `operation`.
    pub fn into_answer(self, format: Format, operation: &str, request_id: &str) -> Answer {
        match self {
            Self::Members(members) => Answer::success(format, operation, request_id, members),
            Self::Written(status, members) => Answer::of_members(status, format, operation, members),
            Self::Whole(answer) => answer,
        }
    }
}
