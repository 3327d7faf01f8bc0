//! The snapshot: everything that a decision may look at, in one value that never changes.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::index::ResourceIndex;
use super::needs::Target;
use crate::authn::{Authority, Directory, IdentityRules, SessionKey};
use crate::policy::{AccountPrincipal, Kind, Policy};

/// Policies, directory and names as they were at one moment. A request is judged by one snapshot from start to end.
#[derive(Clone)]
pub struct Snapshot {
    /// Counts the sets of policies and identities that were in force, from 1.
    pub generation: u64,
    /// Who there is.
    pub directory: Arc<Directory>,
    /// What the tokens of role sessions are made with; `None` where there are no sessions.
    pub sessions: Option<Arc<SessionKey>>,
    /// What is allowed.
    pub policies: Arc<PolicyTable>,
    /// What names stand for.
    pub index: ResourceIndex,
    /// How the operator wants things read.
    pub rules: Arc<Rules>,
}

/// The operator's choices that a decision depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The region that is served; bare names and containers are in it.
    pub region: String,
    /// What proves an identity.
    pub identity: IdentityRules,
    /// The VPC that requests come from, as `acs:SourceVpc`; `None` if they come from none.
    pub source_vpc: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How `acs:ram::ACCOUNT:*` in a key or secret policy is read.
    pub account_principal: AccountPrincipal,
    /// Whether a refusal tells the caller which policy refused.
    pub explain_denials: bool,
    /// The status of `Forbidden.NoPermission`; `None` for what each operation's page documents.
    pub no_permission_status: Option<u16>,
}

impl Rules {
    /// Whether what a proxy at this address says of its clients is believed.
    pub fn trusts_proxy(&self, address: &IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

impl Snapshot {
    /// By what callers are known.
    pub fn authority(&self) -> Authority<'_> {
        Authority { directory: &self.directory, sessions: self.sessions.as_deref(), rules: &self.rules.identity }
    }
}

/// All policies, found by what they are attached to.
#[derive(Default)]
pub struct PolicyTable {
    /// By account, then key id.
    pub keys: HashMap<String, HashMap<String, Arc<Policy>>>,
    /// By account, then secret name.
    pub secrets: HashMap<String, HashMap<String, Arc<Policy>>>,
    /// The RAM policies of each member of the directory, in the directory's order.
    pub members: Vec<Box<[Arc<Policy>]>>,
}

impl PolicyTable {
    /// The RAM policies of a member of the directory.
    pub fn of_member(&self, member: usize) -> &[Arc<Policy>] {
        self.members.get(member).map_or(&[], |policies| policies)
    }

    /// The document of the policy of a key (by id) or secret (by name).
    pub fn text_of(&self, kind: Kind, account: &str, name: &str) -> Option<Arc<str>> {
        let by_account = match kind {
            Kind::Key => &self.keys,
            Kind::Secret => &self.secrets,
            Kind::Ram => return None,
        };
        Some(by_account.get(account)?.get(name)?.text.clone())
    }

    /// The policy of a key or secret; other targets have none.
    pub fn of_target(&self, target: &Target) -> Option<&Policy> {
        let policy = match target {
            Target::Key(key) => self.keys.get(&key.account)?.get(key.name.as_str()),
            Target::Secret(secret) => self.secrets.get(&secret.account)?.get(secret.name.as_str()),
            _ => None,
        };
        policy.map(|policy| &**policy)
    }
}
