//! The directory as people write it.

use super::*;

fn parse(text: &str) -> Result<Directory, Vec<String>> {
    let reveal = |source: SecretSource<'_>| match source {
        SecretSource::File("good") => Ok("from a file".into()),
        _ => Err("there is no such file".to_owned()),
    };
    Directory::parse(text, &reveal).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn users_have_their_own_policies_and_those_of_their_groups() {
    let directory = parse(
        "[accounts.1.groups.dev]\npolicies = ['B']\n[accounts.1.users.alice]\npolicies = ['A']\ngroups = ['dev']\n\
         access_keys = [{ id = 'K1', secret = 's' }, { id = 'K2', secret_file = 'good', active = false }]\n\
         [accounts.1.users.bob]\naccess_keys = [{ id = 'K3', secret = 's', active = false }]",
    )
    .unwrap();
    let (_, key) = directory.access_key("K1").unwrap();
    let member = directory.member(key.member).unwrap();
    let policies: Vec<&str> = member.attachments.iter().map(|attachment| attachment.policy.as_str()).collect();
    assert_eq!((member.principal.to_string().as_str(), policies), ("acs:ram::1:user/alice", vec!["A", "B"]));
    assert!(!directory.access_key("K2").unwrap().1.active);
    for name in ["alice", "1/alice", "acs:ram::1:user/alice"] {
        assert_eq!(directory.access_keys_of(name).len(), 1, "{name}");
    }
    assert_eq!(directory.caller_count(), 1);
}

#[test]
fn mistakes_are_named_at_their_place() {
    let problems = parse(
        "[accounts.x]\n[accounts.1.users.alice]\npolicy = []\ngroups = ['dev']\n\
         access_keys = [{ id = 'K1' }, { id = 'K2', secret = 's' }, { id = 'K2', secret = 't' },\n\
         { id = 'K3', secret_file = 'bad' }, { id = 'STS.x', secret = 's' }]\n[accounts.1.roles.'a b']",
    )
    .err()
    .unwrap();
    let expected = [
        "1:11: account id `x` must be digits",
        "3:1: unknown entry `accounts.1.users.alice.policy`; did you mean `policies`?",
        "4:11: group `dev` is not in [accounts.1.groups]",
        "5:16: an access key has exactly one of `secret`, `secret_file` and `secret_env`, and not empty",
        "5:67: `accounts.1.users.alice.access_keys.id` is `K2`, which another caller has already",
        "6:28: `accounts.1.users.alice.access_keys.secret_file` cannot be used: there is no such file",
        "6:44: `accounts.1.users.alice.access_keys.id` is a session's: it is worth nothing without its token, and has \
         no place here",
        "7:19: role name `a b` may have 1 to 64 characters from A-Z a-z 0-9 . _ -",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn roles_trust_whom_they_name() {
    let directory = parse(
        "[accounts.1.roles.Open]\ntrust = ['acs:ram::1:root', 'acs:ram::2:user/carol', 'acs:ram::2:role/ci']\n\
         max_session_seconds = 7200\n[accounts.1.roles.closed]",
    )
    .unwrap();
    let (member, role) = directory.role("1", "open").unwrap();
    assert_eq!(directory.member(member).unwrap().principal.to_string(), "acs:ram::1:assumed-role/open/");
    assert_eq!(role.max_session_seconds, 7200);
    let session = |account: &str, role: &str| Principal {
        account: account.into(),
        identity: Identity::Session { role: role.into(), session: "s1".into() },
    };
    let user = |account: &str, name: &str| Principal { account: account.into(), identity: Identity::User(name.into()) };
    for (principal, expected) in [
        (user("1", "anybody"), true),
        (session("1", "any"), true),
        (user("2", "carol"), true),
        (user("2", "dave"), false),
        (session("2", "ci"), true),
        (session("2", "cd"), false),
        (user("3", "carol"), false),
    ] {
        assert_eq!(role.trusts(&principal), expected, "{principal}");
    }
    assert!(!directory.role("1", "closed").unwrap().1.trusts(&user("1", "anybody")));
    assert!(directory.role("2", "open").is_none() && directory.role("1", "Open").is_none());
}

#[test]
fn mistakes_in_what_proves_somebody_are_named() {
    let key = include_str!("../../../tests/fixtures/another-public-key.pem");
    let text = format!(
        "[accounts.1.users.alice]\nkey_pairs = [{{ id = 'P1', public_key = {key:?} }}, {{ id = 'P1', public_key = 'x' }}, {{ id = 'P2' }}]\n\
         certificates = [{{ uri = 'u', dns = 'd' }}, {{ dns = 'D' }}, {{ dns = 'd' }}, {{ spki_sha256 = 'ab' }}]\nunix_users = [-1]\n\
         [accounts.1.roles.r]\ntrust = ['alice']\nmax_session_seconds = 60\nunix_users = [5, 5]\n[accounts.1.roles.R]"
    );
    let problems = parse(&text).err().unwrap();
    let expected = [
        "is no PEM",
        "has exactly one of `public_key` and `public_key_file`",
        "exactly one of `uri`, `dns` and `spki_sha256`",
        "another caller has a certificate with this name",
        "exactly one of `uri`, `dns` and `spki_sha256`",
        "must be the SHA-256 of the SubjectPublicKeyInfo",
        "`accounts.1.users.alice.unix_users` must be an array of whole numbers from 0",
        "principal `alice` does not start with acs:ram::",
        "must be a whole number from 3600 to 43200",
        "user id 5 is another caller's already",
        "role `r` is there already",
    ];
    for what in expected {
        assert!(problems.iter().any(|problem| problem.contains(what)), "{what}: {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}
