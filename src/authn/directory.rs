//! The directory: accounts with their users, groups and roles, what policies they have, and their access keys.
//!
//! Written by people as TOML (`identities.toml`). Where a secret is kept elsewhere, the directory says where and is
//! handed the secret; it never reads a file or the environment itself.

use std::collections::HashMap;

use secrecy::SecretString;

use crate::kms::is_account_id;
use crate::policy::{Identity, Principal};
use crate::source::Problem;
use crate::source::toml::{self, Section};

/// Where an access key's secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource<'a> {
    /// In a file: its contents, without one newline at the end.
    File(&'a str),
    /// In an environment variable.
    Environment(&'a str),
}

/// Who there is, and how each proves who it is.
#[derive(Default)]
pub struct Directory {
    members: Vec<Member>,
    access_keys: HashMap<String, AccessKey>,
    accounts: usize,
}

/// An account's root, a user or a role.
#[derive(Debug)]
pub struct Member {
    /// Who it is. A role stands here as a session without a name.
    pub principal: Principal,
    /// The RAM policies attached to it, directly or through its groups.
    pub attachments: Vec<Attachment>,
}

/// A RAM policy that is attached to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The policy's name; it belongs to the member's account.
    pub policy: String,
    /// Where the directory says so: a byte offset in its text.
    pub offset: usize,
}

/// An access key.
pub struct AccessKey {
    /// What its holder signs with.
    pub secret: SecretString,
    /// Whether it may be used.
    pub active: bool,
    /// Its holder, as an index into the members.
    pub member: usize,
}

impl Directory {
    /// Reads the directory. `reveal` fetches the secrets that are kept elsewhere.
    ///
    /// # Errors
    /// Every problem of the text, each with its place.
    pub fn parse(
        text: &str,
        reveal: &dyn Fn(SecretSource<'_>) -> Result<SecretString, String>,
    ) -> Result<Self, Vec<Problem>> {
        toml::read(text, |root| {
            let mut builder = Builder { directory: Self::default(), reveal };
            let accounts = root.named_sections("accounts");
            if accounts.is_empty() {
                root.problem("there is no account; write [accounts.ACCOUNT-ID] with its users");
            }
            for (id, section) in accounts {
                builder.account(id, &section);
            }
            Some(builder.directory)
        })
    }

    /// The access key with this id.
    pub fn access_key(&self, id: &str) -> Option<(&str, &AccessKey)> {
        self.access_keys.get_key_value(id).map(|(id, key)| (id.as_str(), key))
    }

    /// Everybody there is, in a fixed order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at `index`.
    pub fn member(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> usize {
        self.accounts
    }

    /// How many callers there are that can prove who they are.
    pub fn caller_count(&self) -> usize {
        let mut holders: Vec<usize> =
            self.access_keys.values().filter(|key| key.active).map(|key| key.member).collect();
        holders.sort_unstable();
        holders.dedup();
        holders.len()
    }

    /// The members known as `name`: a user's or role's name, `ACCOUNT/NAME`, or a whole ARN.
    pub fn members_known_as(&self, name: &str) -> Vec<&Member> {
        self.members.iter().filter(|member| is_known_as(&member.principal, name)).collect()
    }

    /// The active access keys of the members known as `name`: a user's name, `ACCOUNT/NAME`, or a whole ARN.
    pub fn access_keys_of(&self, name: &str) -> Vec<(&str, &AccessKey)> {
        let mut keys: Vec<_> = self
            .access_keys
            .iter()
            .filter(|(_, key)| {
                key.active && self.member(key.member).is_some_and(|member| is_known_as(&member.principal, name))
            })
            .map(|(id, key)| (id.as_str(), key))
            .collect();
        keys.sort_by_key(|(id, _)| *id);
        keys
    }
}

fn is_known_as(principal: &Principal, name: &str) -> bool {
    let known_as = match &principal.identity {
        Identity::Root => "root",
        Identity::User(user) => user,
        Identity::Session { role, .. } => role,
    };
    name == known_as || name == format!("{}/{known_as}", principal.account) || name == principal.to_string()
}

struct Builder<'r> {
    directory: Directory,
    reveal: &'r dyn Fn(SecretSource<'_>) -> Result<SecretString, String>,
}

impl Builder<'_> {
    fn account(&mut self, id: &str, section: &Section<'_>) {
        if !is_account_id(id) {
            section.problem(format!("account id `{id}` must be digits"));
        }
        section.string("name");
        let groups = Self::groups(section);
        let root = self.add(id, Identity::Root, Vec::new());
        self.access_keys(section, "root_access_keys", root);
        for (name, user) in section.named_sections("users") {
            check_name(name, "user", &user);
            let mut attachments = attachments(&user);
            for (group, offset) in user.strings("groups").unwrap_or_default() {
                match groups.get(group) {
                    Some(inherited) => attachments.extend(inherited.iter().cloned()),
                    None => user.report_place(offset, format!("group `{group}` is not in [accounts.{id}.groups]")),
                }
            }
            let member = self.add(id, Identity::User(name.into()), attachments);
            self.access_keys(&user, "access_keys", member);
            user.finish();
        }
        for (name, role) in section.named_sections("roles") {
            check_name(name, "role", &role);
            let attachments = attachments(&role);
            self.add(id, Identity::Session { role: name.to_lowercase().into(), session: "".into() }, attachments);
            role.finish();
        }
        self.directory.accounts += 1;
        section.finish();
    }

    fn groups<'a>(account: &Section<'a>) -> HashMap<&'a str, Vec<Attachment>> {
        let read = |(name, group): (&'a str, Section<'a>)| {
            check_name(name, "group", &group);
            let attachments = attachments(&group);
            group.finish();
            (name, attachments)
        };
        account.named_sections("groups").into_iter().map(read).collect()
    }

    fn add(&mut self, account: &str, identity: Identity, attachments: Vec<Attachment>) -> usize {
        let principal = Principal { account: account.into(), identity };
        self.directory.members.push(Member { principal, attachments });
        self.directory.members.len() - 1
    }

    fn access_keys(&mut self, section: &Section<'_>, name: &'static str, member: usize) {
        for key in section.listed_sections(name) {
            key.require("id", "the AccessKey ID");
            let id = key.string("id");
            let secret = self.secret(&key);
            let active = key.boolean("active").unwrap_or(true);
            key.finish();
            let (Some(id), Some(secret)) = (id, secret) else { continue };
            if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
                key.report_at("id", "must be 1 to 128 printable characters");
            }
            if id.starts_with("STS.") {
                key.report_at("id", "is a session's: it is worth nothing without its token, and has no place here");
            }
            let access_key = AccessKey { secret, active, member };
            if self.directory.access_keys.insert(id.to_owned(), access_key).is_some() {
                key.report_at("id", format!("is `{id}`, which another caller has already"));
            }
        }
    }

    /// The secret: in place, in a file, or in the environment; exactly one of them.
    fn secret(&self, key: &Section<'_>) -> Option<SecretString> {
        let in_place = key.string("secret");
        let sources = [
            ("secret_file", key.string("secret_file").map(SecretSource::File)),
            ("secret_env", key.string("secret_env").map(SecretSource::Environment)),
        ];
        let given: Vec<_> = sources.into_iter().filter_map(|(name, source)| Some((name, source?))).collect();
        match (in_place, given.as_slice()) {
            (Some(secret), []) if !secret.is_empty() => Some(secret.into()),
            (None, [(name, source)]) => {
                (self.reveal)(*source).map_err(|why| key.report_at(name, format!("cannot be used: {why}"))).ok()
            }
            _ => {
                key.problem("an access key has exactly one of `secret`, `secret_file` and `secret_env`, and not empty");
                None
            }
        }
    }
}

fn attachments(section: &Section<'_>) -> Vec<Attachment> {
    let named = section.strings("policies").unwrap_or_default();
    named.into_iter().map(|(policy, offset)| Attachment { policy: policy.to_owned(), offset }).collect()
}

/// User, group and role names: at most 64 characters from `A-Za-z0-9._-` (RAM: limits).
fn check_name(name: &str, what: &str, section: &Section<'_>) {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
        section.problem(format!("{what} name `{name}` may have 1 to 64 characters from A-Z a-z 0-9 . _ -"));
    }
}

#[cfg(test)]
mod tests {
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
}
