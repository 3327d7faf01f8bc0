//! The answers that hold a credential: of the metadata service, of an address that hands out credentials, and of STS.
//!
//! Must never quote them: not even the words of the JSON reader, which repeat what it did not expect.

use jiff::Timestamp;
use serde::Deserialize;

use super::Credential;
use super::http::Reply;

/// The longest code of an error that is told, in characters.
const CODE_CHARS_MAX: usize = 80;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    code: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    expiration: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsAnswer {
    credentials: Option<Answer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: Option<String>,
}

/// The credential in an answer of the metadata service, or of an address that hands out credentials.
///
/// # Errors
/// A fragment: it holds none, or one that has expired.
pub fn credential_of(reply: &Reply, place: &str, now: Timestamp) -> Result<Credential, String> {
    let answer: Answer = read(reply, place)?;
    match answer.code.as_deref() {
        Some("Success") => credential(answer, place, now),
        Some(code) => Err(format!("{place} refused{}", shown(code))),
        None => Err(format!("the answer of {place} has no Code")),
    }
}

/// The credential in an answer of STS.
///
/// # Errors
/// A fragment: it holds none, or one that has expired.
pub fn sts_credential_of(reply: &Reply, place: &str, now: Timestamp) -> Result<Credential, String> {
    let answer: StsAnswer = read(reply, place)?;
    let credentials = answer.credentials.ok_or_else(|| format!("the answer of {place} has no Credentials"))?;
    credential(credentials, place, now)
}

fn read<'a, T: Deserialize<'a>>(reply: &'a Reply, place: &str) -> Result<T, String> {
    if reply.status != 200 {
        let code = serde_json::from_str(&reply.text).ok().and_then(|refusal: Refusal| refusal.code);
        return Err(format!("{place} answered {}{}", reply.status, shown(&code.unwrap_or_default())));
    }
    serde_json::from_str(&reply.text).map_err(|_| format!("the answer of {place} is not the JSON that is expected"))
}

/// A code, if it looks like one.
fn shown(code: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if code.is_empty() || code.len() > CODE_CHARS_MAX || !code.chars().all(is_code) {
        String::new()
    } else {
        format!(" ({code})")
    }
}

fn credential(answer: Answer, place: &str, now: Timestamp) -> Result<Credential, String> {
    let member = |value: Option<String>, name: &str| {
        value.filter(|value| !value.is_empty()).ok_or_else(|| format!("the answer of {place} has no {name}"))
    };
    let id = member(answer.access_key_id, "AccessKeyId")?;
    let secret = member(answer.access_key_secret, "AccessKeySecret")?;
    let token = member(answer.security_token, "SecurityToken")?;
    let expires = member(answer.expiration, "Expiration")?;
    let expires: Timestamp = expires.parse().map_err(|_| format!("Expiration in the answer of {place} is no time"))?;
    if expires <= now {
        return Err(format!("{place} gave a credential that has expired, at {expires}"));
    }
    let credential = Credential::new(id, secret.into(), Some(token.into()), Some(expires));
    credential.map_err(|why| format!("{why}, in the answer of {place}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fake::{Env, parts};
    use super::*;

    fn whole() -> Value {
        json!({"Code": "Success", "AccessKeyId": "STS.I", "AccessKeySecret": "hush", "SecurityToken": "hush/T+=",
            "Expiration": "2026-08-01T01:00:00Z", "LastUpdated": "2026-08-01T00:00:00Z"})
    }

    fn reply(status: u16, text: String) -> Reply {
        Reply { status, text: text.into() }
    }

    #[test]
    fn a_whole_answer_is_a_credential() {
        let found = credential_of(&reply(200, whole().to_string()), "here", Env::NOW).unwrap();
        let expires = "2026-08-01T01:00:00Z".parse().ok();
        assert_eq!(parts(&found), ("STS.I", "hush", Some("hush/T+="), expires));
        let sts = json!({"RequestId": "R", "Credentials": whole()}).to_string();
        assert_eq!(sts_credential_of(&reply(200, sts), "here", Env::NOW).unwrap().access_key_id, "STS.I");
    }

    #[test]
    fn other_answers_are_none() {
        for (member, value, expected) in [
            ("Code", json!("Failed"), "here refused (Failed)"),
            ("Code", json!("hush hush"), "here refused"),
            ("Code", json!("hush".repeat(100)), "here refused"),
            ("Code", Value::Null, "the answer of here has no Code"),
            ("AccessKeyId", Value::Null, "the answer of here has no AccessKeyId"),
            ("AccessKeySecret", Value::Null, "the answer of here has no AccessKeySecret"),
            ("AccessKeySecret", json!(""), "the answer of here has no AccessKeySecret"),
            ("AccessKeySecret", json!("hush\n"), "the access key secret holds a character"),
            ("SecurityToken", Value::Null, "the answer of here has no SecurityToken"),
            ("SecurityToken", json!(["hush"]), "the answer of here is not the JSON that is expected"),
            ("Expiration", Value::Null, "the answer of here has no Expiration"),
            ("Expiration", json!("hush"), "Expiration in the answer of here is no time"),
            ("Expiration", json!("2026-07-31T23:59:59Z"), "has expired, at 2026-07-31T23:59:59Z"),
            ("Expiration", json!("2026-08-01T00:00:00Z"), "has expired, at 2026-08-01T00:00:00Z"),
        ] {
            let mut answer = whole();
            answer[member] = value;
            let why = credential_of(&reply(200, answer.to_string()), "here", Env::NOW).unwrap_err();
            assert!(why.contains(expected) && !why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn refusals_tell_their_status_and_their_code() {
        for (status, text, expected) in [
            (404, "<html>hush</html>", "here answered 404"),
            (500, r#"{"Code":"InternalError","Message":"hush"}"#, "here answered 500 (InternalError)"),
            (
                400,
                r#"{"Code":"AuthenticationFail.OIDCToken.Expired"}"#,
                "here answered 400 (AuthenticationFail.OIDCToken.Expired)",
            ),
            (200, "hush", "the answer of here is not the JSON that is expected"),
            (200, r#"{"RequestId":"hush"}"#, "the answer of here has no Credentials"),
        ] {
            let why = sts_credential_of(&reply(status, text.into()), "here", Env::NOW).unwrap_err();
            assert_eq!(why, expected);
        }
    }
}
