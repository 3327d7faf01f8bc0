//! STS, as far as role sessions need it: AssumeRole and GetCallerIdentity (API version 2015-04-01).
//!
//! A session is stored nowhere: its token says everything. Sources: STS "AssumeRole", "GetCallerIdentity".

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Asked, Members, internal_failure, session_key};
use crate::authn::{SESSION_SECONDS_DEFAULT, SESSION_SECONDS_MIN, Session, is_session_name};
use crate::authz::{Target, parse_policy};
use crate::kms::{ErrorCode, KmsError, Params, role_arn};
use crate::policy::{Identity, Kind, Principal};

/// The longest session policy, in characters.
const POLICY_CHARS_MAX: usize = 2048;

/// `AssumeRole`. Whether the caller may, and whether the role trusts it, was judged.
pub fn assume_role(asked: &Asked<'_>) -> Result<Members, KmsError> {
    let Some(Target::Role(target)) = asked.permit.targets().first() else {
        return Err(internal_failure("the permit has no role where the operation needs one"));
    };
    let params = &asked.permit.request().params;
    let name = params.require("RoleSessionName")?;
    if !is_session_name(name) {
        let why = "it has 2 to 64 characters from A-Z a-z 0-9 . @ _ -";
        return Err(KmsError::because(ErrorCode::InvalidRoleSessionName, why));
    }
    check_external_id(params)?;
    let policy = session_policy(params)?;
    let snapshot = asked.store.current();
    let (_, role) = snapshot.directory.role(&target.account, &target.name).ok_or(ErrorCode::RoleNotExist)?;
    let seconds = seconds(params, role.max_session_seconds)?;
    let session = Session {
        account: target.account.clone(),
        role: target.name.clone(),
        name: name.to_owned(),
        expires: later(asked.now, seconds),
        begun_by: asked.permit.caller().role_arn(),
        policy,
    };
    let credentials = session_key::begin(&snapshot, &session)?;
    let (account, role) = (&session.account, &session.role);
    let user = members([
        ("AssumedRoleId", format!("{}:{name}", id_of("role", account, role)).into()),
        ("Arn", format!("{}/{name}", role_arn(account, role)).into()),
    ]);
    let credentials = members([
        ("SecurityToken", credentials.security_token.into()),
        ("Expiration", format!("{:.0}", session.expires).into()),
        ("AccessKeySecret", credentials.secret.expose_secret().into()),
        ("AccessKeyId", credentials.access_key_id.into()),
    ]);
    Ok(members([("AssumedRoleUser", user.into()), ("Credentials", credentials.into())]))
}

/// `GetCallerIdentity`: everybody may ask who it is.
pub fn get_caller_identity(asked: &Asked<'_>) -> Result<Members, KmsError> {
    let caller: &Principal = asked.permit.caller();
    let account = &caller.account;
    let (kind, principal_id, user_id, role_id) = match &caller.identity {
        Identity::Root => ("Account", account.to_string(), Some(account.to_string()), None),
        Identity::User(name) => {
            let id = id_of("user", account, name);
            ("RAMUser", id.clone(), Some(id), None)
        }
        Identity::Session { role, session } => {
            let id = id_of("role", account, role);
            ("AssumedRoleUser", format!("{id}:{session}"), None, Some(id))
        }
    };
    let present = [
        ("IdentityType", Some(kind.into())),
        ("AccountId", Some(Value::from(account.to_string()))),
        ("PrincipalId", Some(principal_id.into())),
        ("UserId", user_id.map(Value::from)),
        ("RoleId", role_id.map(Value::from)),
        ("Arn", Some(caller.to_string().into())),
    ];
    Ok(present.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Members {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// So many seconds later, in whole seconds.
fn later(now: Timestamp, seconds: u32) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_add(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

/// The id of a user or role: 18 digits, always the same for the same name. Roles' begin with 3, users' with 2.
fn id_of(kind: &str, account: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{kind}/{account}/{}", name.to_lowercase()));
    let number = hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let first = if kind == "role" { 3 } else { 2 };
    format!("{first}{:017}", number % 100_000_000_000_000_000)
}

/// Longer than the role allows is refused, not cut.
fn seconds(params: &Params, longest: u32) -> Result<u32, KmsError> {
    let Some(text) = params.given("DurationSeconds") else { return Ok(SESSION_SECONDS_DEFAULT) };
    let seconds = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = seconds.and_then(|text| text.parse().ok());
    seconds.filter(|seconds| (SESSION_SECONDS_MIN..=longest).contains(seconds)).ok_or_else(|| {
        let why = format!("this role's sessions last {SESSION_SECONDS_MIN} to {longest} seconds");
        KmsError::because(ErrorCode::InvalidDurationSeconds, why)
    })
}

fn session_policy(params: &Params) -> Result<Option<String>, KmsError> {
    let Some(text) = params.given("Policy") else { return Ok(None) };
    if text.chars().count() > POLICY_CHARS_MAX {
        return Err(ErrorCode::InvalidPolicySize.into());
    }
    match parse_policy(Kind::Ram, "session policy", text) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Err(KmsError::because(ErrorCode::InvalidPolicyGrammar, first))
        }
    }
}

/// No `trust` asks for one, so any will do that is well formed.
fn check_external_id(params: &Params) -> Result<(), KmsError> {
    let Some(id) = params.given("ExternalId") else { return Ok(()) };
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    let fits = (2..=1224).contains(&id.chars().count()) && id.chars().all(legal);
    if fits { Ok(()) } else { Err(ErrorCode::InvalidExternalId.into()) }
}
