//! Role sessions: who may begin one, for how long, and what it may do.

use serde_json::{Value, json};

use super::support::*;

const IDENTITIES: &str = "
[accounts.1]
root_access_keys = [{ id = 'root', secret = 's' }]
[accounts.1.users.alice]
policies = ['AliyunSTSAssumeRoleAccess']
access_keys = [{ id = 'alice', secret = 's' }]
[accounts.1.users.bob]
access_keys = [{ id = 'bob', secret = 's' }]
[accounts.1.roles.Reader]
policies = ['AliyunKMSReadOnlyAccess', 'AliyunSTSAssumeRoleAccess']
trust = ['acs:ram::1:root', 'acs:ram::2:user/carol']
max_session_seconds = 7200
[accounts.1.roles.closed]
[accounts.1.roles.second]
policies = ['AliyunKMSFullAccess']
trust = ['acs:ram::1:role/reader']
[accounts.2.users.carol]
policies = ['AliyunSTSAssumeRoleAccess']
access_keys = [{ id = 'carol', secret = 's' }]
[accounts.2.users.dave]
policies = ['AliyunSTSAssumeRoleAccess']
access_keys = [{ id = 'dave', secret = 's' }]
";

const READER: &str = "acs:ram::1:role/Reader";

fn house() -> House {
    House::with_identities("", IDENTITIES)
}

/// The session that an answer of AssumeRole begins.
fn session(answer: &Value) -> Who {
    let part = |name: &str| text(answer, &format!("/Credentials/{name}"));
    Who { id: part("AccessKeyId"), secret: part("AccessKeySecret"), token: Some(part("SecurityToken")) }
}

fn assume(house: &House, who: &Who, role: &str, more: Given<'_>) -> Result<Value, String> {
    let given = [&[("RoleArn", role), ("RoleSessionName", "s1")], more].concat();
    house.ask(who, "AssumeRole", &given)
}

#[test]
fn a_session_is_its_role_narrowed_by_its_policy_and_survives_a_restart() {
    let house = house();
    let answer = assume(&house, &Who::with_key("alice"), READER, &[]).unwrap();
    assert_eq!(text(&answer, "/AssumedRoleUser/Arn"), "acs:ram::1:role/reader/s1");
    assert_eq!(text(&answer, "/Credentials/Expiration"), "2026-01-02T04:00:00Z");
    let plain = session(&answer);
    let narrow = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}"#;
    let narrowed = session(&assume(&house, &Who::with_key("alice"), READER, &[("Policy", narrow)]).unwrap());
    let wide = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let widened = session(&assume(&house, &Who::with_key("alice"), READER, &[("Policy", wide)]).unwrap());
    let house = house.reopened();
    for (who, name, lists_keys, lists_secrets, creates) in [
        (&plain, "plain", true, true, false),
        (&narrowed, "narrowed", true, false, false),
        (&widened, "widened", true, true, false),
    ] {
        for (operation, expected) in [("ListKeys", lists_keys), ("ListSecrets", lists_secrets), ("CreateKey", creates)]
        {
            let answer = house.ask(who, operation, &[]);
            assert_eq!(answer.is_ok(), expected, "{name} {operation}: {answer:?}");
        }
    }
}

/// Both the caller's RAM policies and the role's trust must allow it; root may not, and strangers do not learn what is
/// there.
#[test]
fn who_may_assume_a_role() {
    let house = house();
    let reader = session(&assume(&house, &Who::with_key("alice"), READER, &[]).unwrap());
    let no = "403 NoPermission: You are not authorized to do this action. You should be authorized by RAM.";
    let gone = "404 EntityNotExist.Role: The specified Role not exists .";
    for (who, role, expected) in [
        (&Who::with_key("alice"), READER, None),
        (&Who::with_key("alice"), "acs:ram::1:role/READER", None),
        (&Who::with_key("alice"), "acs:ram::1:role/closed", Some(no)),
        (&Who::with_key("alice"), "acs:ram::1:role/none", Some(gone)),
        (&Who::with_key("alice"), "acs:ram::2:role/none", Some(no)),
        (&Who::with_key("bob"), READER, Some(no)),
        (&Who::with_key("carol"), READER, None),
        (&Who::with_key("dave"), READER, Some(no)),
        (&Who::with_key("dave"), "acs:ram::1:role/none", Some(no)),
        (&Who::with_key("root"), READER, Some("403 NoPermission: Roles may not be assumed by root accounts.")),
        (&reader, "acs:ram::1:role/second", None),
        (&Who::with_key("alice"), "acs:ram::1:role/second", Some(no)),
        (
            &Who::with_key("alice"),
            "role/Reader",
            Some("400 InvalidParameter.RoleArn: The parameter RoleArn is wrongly formed."),
        ),
    ] {
        assert_eq!(assume(&house, who, role, &[]).err().as_deref(), expected, "{} {role}", who.id);
    }
}

/// RAM has names of roles without regard to case: neither a request nor a policy gets around a Deny by spelling.
#[test]
fn a_role_is_the_same_in_any_case() {
    for (written, asked) in [("Reader", "READER"), ("READER", "reader"), ("reader", "Reader"), ("r*", "READER")] {
        let folder = furnish("");
        let deny = format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"acs:ram:*:*:role/{written}"}}]}}"#
        );
        write(folder.path(), "policies/ram/Never.json", &deny);
        let identities =
            IDENTITIES.replacen("['AliyunSTSAssumeRoleAccess']", "['AliyunSTSAssumeRoleAccess', 'Never']", 1);
        write(folder.path(), "identities.toml", &identities);
        let house = House::of(folder);
        let told = assume(&house, &Who::with_key("alice"), &format!("acs:ram::1:role/{asked}"), &[]).unwrap_err();
        assert!(told.starts_with("403 NoPermission"), "{written} {asked}: {told}");
    }
}

#[test]
fn a_session_is_asked_for_as_documented() {
    let house = house();
    let long = format!(r#"{{"Version":"1","Statement":[]{}}}"#, " ".repeat(2048));
    for (name, value, code) in [
        ("RoleSessionName", "", "MissingParameter"),
        ("RoleSessionName", "a", "InvalidParameter.RoleSessionName"),
        ("RoleSessionName", "a b", "InvalidParameter.RoleSessionName"),
        ("DurationSeconds", "899", "InvalidParameter.DurationSeconds"),
        ("DurationSeconds", "7201", "InvalidParameter.DurationSeconds"),
        ("DurationSeconds", "+900", "InvalidParameter.DurationSeconds"),
        ("Policy", "{}", "InvalidParameter.PolicyGrammar"),
        ("Policy", &long, "InvalidParameter.PolicySize"),
        ("ExternalId", "x", "InvalidParameter.ExternalId"),
    ] {
        let mut given = vec![("RoleArn", READER), ("RoleSessionName", "s1")];
        given.retain(|(given, _)| *given != name);
        given.push((name, value));
        let told = house.ask(&Who::with_key("alice"), "AssumeRole", &given).unwrap_err();
        assert!(told.contains(&format!(" {code}:")), "{name}={value}: {told}");
    }
    for seconds in ["900", "7200"] {
        assert!(assume(&house, &Who::with_key("alice"), READER, &[("DurationSeconds", seconds)]).is_ok(), "{seconds}");
    }
}

/// KMS asks a session for no permission on the key of a secret, and a user for one.
#[test]
fn a_session_reads_a_secret_without_a_grant_on_its_key() {
    let seed = "[keys.key-1]\n[secrets.db]\nkey = 'key-1'\nversion = 'v1'\ndata = 'hush'\n";
    let reads = "policies = ['AliyunKMSSecretUserAccess']";
    let identities = IDENTITIES.replace("policies = ['AliyunKMSReadOnlyAccess', 'AliyunSTSAssumeRoleAccess']", reads);
    let identities = identities.replace("[accounts.1.users.bob]", &format!("[accounts.1.users.bob]\n{reads}"));
    let house = House::with_identities(seed, &identities);
    let session = session(&assume(&house, &Who::with_key("alice"), READER, &[]).unwrap());
    let read = |who: &Who| house.ask(who, "GetSecretValue", &[("SecretName", "db")]);
    assert_eq!(read(&session).unwrap()["SecretData"], "hush");
    assert!(read(&Who::with_key("bob")).unwrap_err().contains("Forbidden.NoPermission"));
}

#[test]
fn everybody_may_ask_who_it_is() {
    let house = house();
    let of = |who: &Who| house.ask(who, "GetCallerIdentity", &[]).unwrap();
    let root = json!({"IdentityType": "Account", "AccountId": "1", "PrincipalId": "1", "UserId": "1", "Arn": "acs:ram::1:root"});
    assert_eq!(of(&Who::with_key("root")), root);
    let bob = of(&Who::with_key("bob"));
    assert_eq!((text(&bob, "/IdentityType"), text(&bob, "/Arn")), ("RAMUser".into(), "acs:ram::1:user/bob".into()));
    assert_eq!(bob["UserId"], bob["PrincipalId"]);
    let assumed = assume(&house, &Who::with_key("alice"), READER, &[]).unwrap();
    let session = of(&session(&assumed));
    assert_eq!(names(&session, ""), ["IdentityType", "AccountId", "PrincipalId", "RoleId", "Arn"]);
    assert_eq!(text(&session, "/Arn"), "acs:ram::1:assumed-role/reader/s1");
    assert_eq!(session["PrincipalId"], assumed["AssumedRoleUser"]["AssumedRoleId"]);
}

#[test]
fn the_key_of_sessions_is_its_owners_and_must_be_whole() {
    use std::os::unix::fs::PermissionsExt;
    let house = house();
    let path = house.folder.path().join("data/session.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(house.kms);
    write(house.folder.path(), "data/session.key", "short");
    let why = open(house.folder.path()).err().unwrap().to_string();
    assert!(why.contains("session.key` is no key"), "{why}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let why = open(house.folder.path()).err().unwrap().to_string();
    assert!(why.contains("chmod 600"), "{why}");
}
