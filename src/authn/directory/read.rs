//! Reading the directory as people write it: every mistake is named, with its place and what would be right.

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};

use super::{
    AccessKey, Attachment, CertificateName, Directory, Holder, KeyMaterial, Member, Role, RsaPublicKey,
    SESSION_SECONDS_DEFAULT, SESSION_SECONDS_MAX, SecretSource,
};
use crate::kms::{is_account_id, is_ram_name};
use crate::policy::{Identity, Principal, PrincipalPattern};
use crate::source::Problem;
use crate::source::toml::{self, Section};

/// How the secrets of the example files begin. Everybody knows them, so nobody need hide them.
const EXAMPLE_SECRET: &str = "keyward-example-secret-";

/// Most principals that a role may trust.
const TRUST_MAX: usize = 200;

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
            self.key_pairs(&user, member);
            self.proofs(&user, member);
            user.finish();
        }
        for (name, role) in section.named_sections("roles") {
            check_name(name, "role", &role);
            let attachments = attachments(&role);
            let identity = Identity::Session { role: name.to_lowercase().into(), session: "".into() };
            let member = self.add(id, identity, attachments);
            self.role(id, &name.to_lowercase(), member, &role);
            self.proofs(&role, member);
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
        self.directory.members.push(Member { principal, attachments, role: None });
        self.directory.members.len() - 1
    }

    fn access_keys(&mut self, section: &Section<'_>, name: &'static str, member: usize) {
        for key in section.listed_sections(name) {
            key.require("id", "the AccessKey ID");
            if key.string("id").is_some_and(|id| id.starts_with("STS.")) {
                key.report_at("id", "is a session's: it is worth nothing without its token, and has no place here");
            }
            let is_elsewhere = key.boolean("no_secret").unwrap_or(false);
            let material =
                if is_elsewhere { Some(KeyMaterial::Elsewhere) } else { self.secret(&key).map(KeyMaterial::Secret) };
            self.add_key(&key, material, member);
        }
    }

    /// Key pairs and client keys: we know the public half only.
    fn key_pairs(&mut self, section: &Section<'_>, member: usize) {
        for key in section.listed_sections("key_pairs") {
            key.require("id", "the id of the key pair or client key");
            let material = self.public_key(&key).map(KeyMaterial::Rsa);
            self.add_key(&key, material, member);
        }
    }

    fn add_key(&mut self, section: &Section<'_>, material: Option<KeyMaterial>, member: usize) {
        let id = section.string("id");
        let active = section.boolean("active").unwrap_or(true);
        section.finish();
        let (Some(id), Some(key)) = (id, material) else { return };
        if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            section.report_at("id", "must be 1 to 128 printable characters");
        }
        if self.directory.access_keys.insert(id.to_owned(), AccessKey { key, active, member }).is_some() {
            section.report_at("id", format!("is `{id}`, which another caller has already"));
        }
    }

    fn public_key(&self, key: &Section<'_>) -> Option<RsaPublicKey> {
        let (name, pem) = match (key.string("public_key"), key.string("public_key_file")) {
            (Some(pem), None) => ("public_key", Ok(SecretString::from(pem))),
            (None, Some(path)) => ("public_key_file", (self.reveal)(SecretSource::Public(path))),
            _ => {
                key.problem("a key pair has exactly one of `public_key` and `public_key_file`");
                return None;
            }
        };
        let parsed = pem
            .map_err(|why| format!("cannot be used: {why}"))
            .and_then(|pem| RsaPublicKey::parse(pem.expose_secret()));
        parsed.map_err(|why| key.report_at(name, why)).ok()
    }

    fn role(&mut self, account: &str, name: &str, member: usize, section: &Section<'_>) {
        let mut trust = Vec::new();
        for (text, offset) in section.strings("trust").unwrap_or_default() {
            match PrincipalPattern::parse(text) {
                Ok(entry) => trust.push(entry),
                Err(why) => section.report_place(offset, why),
            }
        }
        if trust.len() > TRUST_MAX {
            section.report_at("trust", format!("may name at most {TRUST_MAX} principals"));
        }
        let range = u64::from(SESSION_SECONDS_DEFAULT)..u64::from(SESSION_SECONDS_MAX) + 1;
        let longest = section.integer("max_session_seconds", range).and_then(|seconds| u32::try_from(seconds).ok());
        let role = Role { trust, max_session_seconds: longest.unwrap_or(SESSION_SECONDS_DEFAULT) };
        if let Some(member) = self.directory.members.get_mut(member) {
            member.role = Some(role);
        }
        if self.directory.roles.insert(format!("{account}/{name}"), member).is_some() {
            section.problem(format!("role `{name}` is there already; names of roles are the same in any case"));
        }
    }

    /// What proves somebody without a signature.
    fn proofs(&mut self, section: &Section<'_>, member: usize) {
        for certificate in section.listed_sections("certificates") {
            let names = [
                certificate.string("uri").map(|uri| CertificateName::Uri(uri.to_owned())),
                certificate.string("dns").map(|name| CertificateName::Dns(name.to_ascii_lowercase())),
                certificate.parsed("spki_sha256", spki).map(CertificateName::Spki),
            ];
            certificate.finish();
            let mut names = names.into_iter().flatten();
            let (Some(name), None) = (names.next(), names.next()) else {
                certificate.problem("a certificate is known by exactly one of `uri`, `dns` and `spki_sha256`");
                continue;
            };
            let Some(holder) = self.holder(member, "certificate") else { continue };
            if self.directory.certificates.insert(name, holder).is_some() {
                certificate.problem("another caller has a certificate with this name already");
            }
        }
        for (uid, offset) in section.integers("unix_users", 0..u64::from(u32::MAX)).unwrap_or_default() {
            let Ok(uid) = u32::try_from(uid) else { continue };
            let Some(holder) = self.holder(member, &format!("uid-{uid}")) else { continue };
            if self.directory.unix_users.insert(uid, holder).is_some() {
                section.report_place(offset, format!("user id {uid} is another caller's already"));
            }
        }
    }

    /// A member, or of a role the session that is named after its proof.
    fn holder(&self, member: usize, proof: &str) -> Option<Holder> {
        let mut principal = self.directory.member(member)?.principal.clone();
        if let Identity::Session { session, .. } = &mut principal.identity {
            *session = proof.into();
        }
        Some(Holder { principal, member })
    }

    /// The secret: in place, in a file, or in the environment; exactly one of them.
    fn secret(&mut self, key: &Section<'_>) -> Option<SecretString> {
        let in_place = key.string("secret");
        self.directory.has_secrets_in_place |= in_place.is_some_and(|secret| !secret.starts_with(EXAMPLE_SECRET));
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

/// User, group and role names.
fn check_name(name: &str, what: &str, section: &Section<'_>) {
    if !is_ram_name(name) {
        section.problem(format!("{what} name `{name}` may have 1 to 64 characters from A-Z a-z 0-9 . _ -"));
    }
}

/// SHA-256 of a SubjectPublicKeyInfo.
fn spki(text: &str) -> Result<String, &'static str> {
    let hash = text.to_ascii_lowercase();
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(hash) } else { Err("must be the SHA-256 of the SubjectPublicKeyInfo: 64 hexadecimal digits") }
}

/// Names of sessions: 2 to 64 characters from `A-Za-z0-9.@_-` (STS AssumeRole, `RoleSessionName`).
pub fn is_session_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".@_-".contains(&byte);
    (2..=64).contains(&name.len()) && name.bytes().all(legal)
}
