//! Why a request is not executed: what the client is told, and what only the trail holds.

use serde_json::{Map, Value};

use super::needs::Permission;
use super::snapshot::Rules;
use super::unavailable::Unavailable;
use super::unresolved::{Inquiry, Unresolved};
use crate::authn::{Caller, Proof, Unidentified};
use crate::kms::{Api, Call, ErrorCode, KmsError, KmsRequest, truth};
use crate::policy::{Half, Identity, PolicySource, Principal, Refusal, StatementRef};

/// Why a request is not executed.
#[derive(Debug, Clone)]
pub enum Rejection {
    /// It has no single meaning.
    Malformed(KmsError),
    /// Nobody could be proven to have sent it.
    Unidentified(Unidentified),
    /// The policies do not allow it.
    Denied(Box<Denial>),
    /// Nothing is judged at present.
    Unavailable(Unavailable),
    /// Nobody knows what it is about.
    Unresolved(Unknown),
    /// Its answer does not show what it is about.
    Withheld(Withheld),
}

/// Something that nobody knows, and what may be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What it is.
    pub what: Unresolved,
    /// Whether the caller may do it to whatever has such a name, so that he may learn that nothing has.
    pub may_know: bool,
    /// What came of asking for it.
    pub inquiry: Inquiry,
}

impl Unknown {
    /// What the client is told: to come again, if KMS could not be asked; that there is no such thing, if he may know;
    /// otherwise no more than that he may not.
    fn error(&self) -> KmsError {
        match (&self.what, self.inquiry) {
            (_, Inquiry::Failed) => ErrorCode::ServiceUnavailableTemporary.into(),
            (Unresolved::Alias(_), Inquiry::Absent) if self.may_know => ErrorCode::AliasNotFound.into(),
            (Unresolved::KeyOfSecret(_), Inquiry::Absent) if self.may_know => ErrorCode::ResourceNotFound.into(),
            _ => ErrorCode::NoPermission.into(),
        }
    }
}

/// Why an answer is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// It cannot be read in one way only.
    Unreadable,
    /// It names no key.
    NamesNoKey,
    /// It fails, and says more than errors do.
    OddError,
}

impl Withheld {
    fn reason(self) -> &'static str {
        match self {
            Self::Unreadable => "answer_unreadable",
            Self::NamesNoKey => "answer_names_no_key",
            Self::OddError => "answer_odd_error",
        }
    }
}

impl From<KmsError> for Rejection {
    fn from(error: KmsError) -> Self {
        Self::Malformed(error)
    }
}

/// A refusal by policy.
#[derive(Debug, Clone)]
pub struct Denial {
    /// The answer to the client.
    pub error: KmsError,
    /// The reason in one word, from a closed set.
    pub reason: &'static str,
    /// The statement that refused, if one did: `keys/k1.json statement 2 (Sid)`.
    pub statement: Option<String>,
}

impl Rejection {
    /// The same as the caller may be told of it: without details, if nobody but KMS will find out who it is.
    pub(super) fn told_to(mut self, caller: &Caller<'_>) -> Self {
        if let (Self::Denied(denial), Proof::Upstream) = (&mut self, caller.proof) {
            denial.error.detail = None;
        }
        self
    }

    /// The reason in one word, from a closed set: for metrics and the audit trail.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unidentified(why) => why.reason(),
            Self::Denied(denial) => denial.reason,
            Self::Unavailable(why) => why.reason(),
            Self::Unresolved(Unknown { inquiry: Inquiry::Refused, .. }) => "question_refused",
            Self::Unresolved(Unknown { inquiry: Inquiry::Failed, .. }) => "question_failed",
            Self::Unresolved(unknown) => unknown.what.reason(),
            Self::Withheld(why) => why.reason(),
        }
    }

    /// What the client is told.
    pub fn error(&self) -> KmsError {
        match self {
            Self::Malformed(error) => error.clone(),
            Self::Unidentified(why) => why.error(),
            Self::Denied(denial) => denial.error.clone(),
            Self::Unavailable(why) => why.error(),
            Self::Unresolved(unknown) => unknown.error(),
            Self::Withheld(_) => {
                let message = "The answer of KMS does not show which key it is about, and was withheld.";
                KmsError { status: 502, ..KmsError::new(ErrorCode::InternalFailure, message) }
            }
        }
    }
}

impl Denial {
    pub(super) fn new(
        rules: &Rules,
        caller: &Principal,
        request: &KmsRequest,
        permission: &Permission,
        refusal: &Refusal<'_>,
    ) -> Self {
        let mut error = KmsError::from(no_permission(request));
        if error.code == ErrorCode::NoPermission {
            error.status = rules.no_permission_status.unwrap_or_else(|| documented_status(request.call.name()));
        }
        if rules.explain_denials {
            error.detail = Some(of_refusal(caller, permission, refusal));
        }
        Self { error, reason: reason(refusal), statement: statement(refusal).map(ToString::to_string) }
    }

    /// Whether a statement refuses, so that nothing could allow it.
    pub(super) fn is_explicit(&self) -> bool {
        self.statement.is_some()
    }

    /// A role does not trust the caller.
    pub(super) fn of_trust(rules: &Rules, caller: &Principal, permission: &Permission, mut error: KmsError) -> Self {
        if rules.explain_denials {
            let reason = format!("{} does not trust {caller}: its `trust` names others.", permission.resource.arn);
            error.detail = Some(detail(caller, permission, ["ImplicitDeny", "AssumeRolePolicy"], reason));
        }
        Self { error, reason: "role_trust", statement: None }
    }
}

/// A request that asks what would happen is told so in a code of its own.
fn no_permission(request: &KmsRequest) -> ErrorCode {
    let has_dry_run = matches!(request.call, Call::Known(operation) if operation.has_dry_run());
    let is_trial = has_dry_run && request.params.given("DryRun").and_then(truth) == Some(true);
    match request.api {
        Api::Kms if is_trial => ErrorCode::AccessDenied,
        Api::Kms => ErrorCode::NoPermission,
        Api::Sts => ErrorCode::StsNoPermission,
    }
}

/// 400 for the operations on policies, 403 for all others: what each operation's own page says.
fn documented_status(operation: &str) -> u16 {
    match operation {
        "SetKeyPolicy" | "GetKeyPolicy" | "SetSecretPolicy" | "GetSecretPolicy" => 400,
        _ => ErrorCode::NoPermission.status(),
    }
}

fn statement<'a, 'p>(refusal: &'a Refusal<'p>) -> Option<&'a StatementRef<'p>> {
    match refusal {
        Refusal::Explicit(statement) => Some(statement),
        Refusal::Implicit | Refusal::HalfMissing(_) | Refusal::SessionPolicy => None,
    }
}

fn reason(refusal: &Refusal<'_>) -> &'static str {
    match refusal {
        Refusal::Explicit(_) => "explicit_deny",
        Refusal::Implicit => "implicit_deny",
        Refusal::HalfMissing(Half::Identity) => "cross_account_ram_policy_missing",
        Refusal::HalfMissing(Half::Resource) => "cross_account_resource_policy_missing",
        Refusal::SessionPolicy => "session_policy",
    }
}

/// `AccessDeniedDetail`, of a refusal by policy.
fn of_refusal(caller: &Principal, permission: &Permission, refusal: &Refusal<'_>) -> Map<String, Value> {
    let statement = statement(refusal);
    let policy_type = match (refusal, statement.map(|statement| statement.source)) {
        (Refusal::SessionPolicy, _) | (_, Some(PolicySource::Session)) => "SessionPolicy",
        (Refusal::HalfMissing(Half::Resource), _) | (_, Some(PolicySource::Resource)) => "ResourcePolicy",
        _ => "AccountLevelIdentityBasedPolicy",
    };
    let refusal_type = if statement.is_some() { "ExplicitDeny" } else { "ImplicitDeny" };
    let mut detail = detail(caller, permission, [refusal_type, policy_type], explanation(caller, permission, refusal));
    if let Some(statement) = statement {
        detail.insert("Policy".to_owned(), statement.to_string().into());
    }
    detail
}

/// `AccessDeniedDetail`: the member names of RAM's own diagnosis, and three of ours.
fn detail(
    caller: &Principal,
    permission: &Permission,
    [refusal_type, policy_type]: [&str; 2],
    reason: String,
) -> Map<String, Value> {
    let (principal_type, name) = match &caller.identity {
        Identity::Root => ("Account", "root".to_owned()),
        Identity::User(name) => ("SubUser", name.to_string()),
        Identity::Session { role, session } => ("AssumedRoleUser", format!("{role}:{session}")),
    };
    let members = [
        ("AuthAction", permission.action.to_string()),
        ("AuthResource", permission.resource.arn.clone()),
        ("AuthPrincipalType", principal_type.to_owned()),
        ("AuthPrincipalOwnerId", caller.account.to_string()),
        ("AuthPrincipalDisplayName", name),
        ("NoPermissionType", refusal_type.to_owned()),
        ("PolicyType", policy_type.to_owned()),
        ("Reason", reason),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

/// One sentence for a person who wants to know what to change.
fn explanation(caller: &Principal, permission: &Permission, refusal: &Refusal<'_>) -> String {
    let what = format!("{} on {} by {caller}", permission.action, permission.resource.arn);
    match refusal {
        Refusal::Explicit(statement) => format!("{what} is denied by {statement}."),
        Refusal::Implicit => format!("No policy allows {what}."),
        Refusal::HalfMissing(Half::Identity) => format!(
            "The resource belongs to account {}: its policy allows {what}, but no RAM policy of the caller does.",
            permission.resource.owner
        ),
        Refusal::HalfMissing(Half::Resource) => format!(
            "The resource belongs to account {}: the caller's own account allows {what}, but the resource's policy does not.",
            permission.resource.owner
        ),
        Refusal::SessionPolicy => format!("The policy of the session does not allow {what}."),
    }
}
