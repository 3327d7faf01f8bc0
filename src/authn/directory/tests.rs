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
