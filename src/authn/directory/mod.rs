//! The directory: accounts with their users, groups and roles, what policies they have, and their access keys.
//!
//! Beside access keys, a client certificate or the user id of a process can prove somebody. Written by people as TOML
//! (`identities.toml`). Where a secret is kept elsewhere, the directory says where and is handed the secret; it never
//! reads a file or the environment itself.

mod outline;
mod read;

use std::collections::HashMap;

use secrecy::SecretString;

use super::rsa::RsaPublicKey;
use crate::kms::ClientCertificate;
use crate::policy::{Identity, Principal, PrincipalPattern};

pub use read::is_session_name;

/// The shortest life of a session, in seconds (STS AssumeRole, `DurationSeconds`).
pub const SESSION_SECONDS_MIN: u32 = 900;

/// The life of a session when nothing else is asked for, and the shortest that a role can be limited to, in seconds.
pub const SESSION_SECONDS_DEFAULT: u32 = 3600;

/// The longest life of a session, in seconds (RAM: `MaxSessionDuration`).
pub const SESSION_SECONDS_MAX: u32 = 43_200;

/// Where an access key's secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource<'a> {
    /// In a file: its contents, without one newline at the end.
    File(&'a str),
    /// In an environment variable.
    Environment(&'a str),
    /// Not a secret, but a public key in a file.
    Public(&'a str),
}

/// Who there is, and how each proves who it is.
#[derive(Default)]
pub struct Directory {
    members: Vec<Member>,
    access_keys: HashMap<String, AccessKey>,
    /// `ACCOUNT/ROLE` → its member.
    roles: HashMap<String, usize>,
    certificates: HashMap<CertificateName, Holder>,
    unix_users: HashMap<u32, Holder>,
    accounts: usize,
    has_secrets_in_place: bool,
}

/// An account's root, a user or a role.
#[derive(Debug)]
pub struct Member {
    /// Who it is. A role stands here as a session without a name.
    pub principal: Principal,
    /// The RAM policies attached to it, directly or through its groups.
    pub attachments: Vec<Attachment>,
    /// What only a role has.
    pub role: Option<Role>,
}

/// Who may assume a role, and for how long.
#[derive(Debug, Clone)]
pub struct Role {
    /// Who may assume it: the RAM principals of its trust policy.
    pub trust: Vec<PrincipalPattern>,
    /// The longest life of a session, in seconds: 3,600 to 43,200.
    pub max_session_seconds: u32,
}

/// Somebody who is proven by something else than an access key.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Who that is; of a role, a session that is named after the proof.
    pub principal: Principal,
    /// The same, as an index into the members.
    pub member: usize,
}

/// A certificate proves two different callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// By what a client certificate is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CertificateName {
    Uri(String),
    Dns(String),
    Spki(String),
}

/// A RAM policy that is attached to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The policy's name; it belongs to the member's account.
    pub policy: String,
    /// Where the directory says so: a byte offset in its text.
    pub offset: usize,
}

/// An access key, or the public half of a key pair.
pub struct AccessKey {
    /// What verifies its signatures.
    pub key: KeyMaterial,
    /// Whether it may be used.
    pub active: bool,
    /// Its holder, as an index into the members.
    pub member: usize,
}

/// What verifies signatures.
#[derive(Clone)]
pub enum KeyMaterial {
    /// The secret that signed.
    Secret(SecretString),
    /// The public key of the key pair that signed.
    Rsa(RsaPublicKey),
    /// Nothing here: only the KMS behind can tell.
    Elsewhere,
}

impl Role {
    /// Whether the role may be assumed by `principal`. An entry for the account as such trusts everybody in it.
    pub fn trusts(&self, principal: &Principal) -> bool {
        self.trust.iter().any(|entry| entry.names_account(&principal.account) || entry.names(principal))
    }
}

impl Directory {
    /// The access key with this id.
    pub fn access_key(&self, id: &str) -> Option<(&str, &AccessKey)> {
        self.access_keys.get_key_value(id).map(|(id, key)| (id.as_str(), key))
    }

    /// The role of this name, in lower case, and where it stands among the members.
    pub fn role(&self, account: &str, name: &str) -> Option<(usize, &Role)> {
        let index = *self.roles.get(&format!("{account}/{name}"))?;
        Some((index, self.member(index)?.role.as_ref()?))
    }

    /// Whom a client certificate proves, if anybody.
    ///
    /// # Errors
    /// Its names are those of different callers.
    pub fn holder_of(&self, certificate: &ClientCertificate) -> Result<Option<&Holder>, Ambiguous> {
        let uris = certificate.uris.iter().cloned().map(CertificateName::Uri);
        let dns_names = certificate.dns_names.iter().cloned().map(CertificateName::Dns);
        let spki = CertificateName::Spki(certificate.spki_sha256.clone());
        let mut holders = uris.chain(dns_names).chain([spki]).filter_map(|name| self.certificates.get(&name));
        let first = holders.next();
        match first {
            Some(first) if holders.any(|other| other.principal != first.principal) => Err(Ambiguous),
            found => Ok(found),
        }
    }

    /// Whom the user id of a process proves, if anybody.
    pub fn unix_user(&self, uid: u32) -> Option<&Holder> {
        self.unix_users.get(&uid)
    }

    /// Whether the directory's own text holds secrets that are not known to everyone anyway.
    pub fn has_secrets_in_place(&self) -> bool {
        self.has_secrets_in_place
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
        let by_key = self.access_keys.values().filter(|key| key.active).map(|key| key.member);
        let by_connection = self.certificates.values().chain(self.unix_users.values()).map(|holder| holder.member);
        let mut holders: Vec<usize> = by_key.chain(by_connection).collect();
        holders.sort_unstable();
        holders.dedup();
        holders.len()
    }

    /// The members known as `name`: a user's or role's name, `ACCOUNT/NAME`, or a whole ARN.
    pub fn members_known_as(&self, name: &str) -> Vec<&Member> {
        self.members.iter().filter(|member| is_known_as(&member.principal, name)).collect()
    }

    /// The active AccessKeys of the members known as `name` (a user's name, `ACCOUNT/NAME`, or a whole ARN), with their
    /// secrets and holders.
    pub fn access_keys_of(&self, name: &str) -> Vec<(&str, &SecretString, &Member)> {
        let mut keys: Vec<_> = self
            .access_keys
            .iter()
            .filter_map(|(id, key)| {
                let holder =
                    self.member(key.member).filter(|member| key.active && is_known_as(&member.principal, name))?;
                match &key.key {
                    KeyMaterial::Secret(secret) => Some((id.as_str(), secret, holder)),
                    KeyMaterial::Rsa(_) | KeyMaterial::Elsewhere => None,
                }
            })
            .collect();
        keys.sort_by_key(|(id, ..)| *id);
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

#[cfg(test)]
mod tests;
