//! The snapshot: everything that a decision may look at, in one value that never changes.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use hashbrown::DefaultHashBuilder;
use imbl::shared_ptr::DefaultSharedPtr;
use ipnet::IpNet;
use jiff::Timestamp;

use super::behind::Behind;
use super::index::ResourceIndex;
use super::target::Target;
use super::unavailable::Unavailable;
use super::vocabulary::denial;
use crate::authn::{Authority, Directory, IdentityRules, SessionKey};
use crate::policy::{AccountPrincipal, Kind, Policy};

/// What a key or secret without a policy is judged by, where that is not RAM alone. Its owner's root may set one.
static NO_POLICY: LazyLock<Policy> = LazyLock::new(|| denial("no policy", "NoPolicyIsADenial"));

/// Policies, directory and names as they were at one moment. A request is judged by one snapshot from start to end.
#[derive(Clone)]
pub struct Snapshot {
    /// Which set of policies and identities this is.
    pub version: Version,
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
    /// Whether anything may be judged by it, and until when.
    pub validity: Validity,
}

/// A set of policies and identities, by number and by content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Counts the sets that were in force since the start, from 1.
    pub generation: u64,
    /// SHA-256 of the set, in hexadecimal digits: the same files give the same one, whoever reads them.
    pub hash: Arc<str>,
}

/// Whether a snapshot may be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validity {
    /// As long as nothing takes its place.
    #[default]
    Unlimited,
    /// Until this time: nobody confirmed since that the files still say the same.
    Until(Timestamp),
    /// Not at all: who may call is not known.
    NoIdentities,
}

impl Validity {
    /// Whether anything may be judged at this time.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, now: Timestamp) -> Result<(), Unavailable> {
        match self {
            Self::Until(end) if now > end => Err(Unavailable::StalePolicies),
            Self::NoIdentities => Err(Unavailable::NoIdentities),
            Self::Until(_) | Self::Unlimited => Ok(()),
        }
    }
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
    /// What a key or secret without a policy is judged by.
    pub without_policy: WithoutPolicy,
    /// Which KMS executes what is permitted.
    pub behind: Behind,
    /// Whether a refusal tells the caller which policy refused.
    pub explain_denials: bool,
    /// The status of `Forbidden.NoPermission`; `None` for what each operation's page documents.
    pub no_permission_status: Option<u16>,
}

/// What a key or secret without a policy is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutPolicy {
    /// The default policy of KMS: the RAM policies of the account that owns it decide alone.
    #[default]
    Default,
    /// Nobody but its owner's root may use it.
    Deny,
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

    /// The policy that a key or secret is judged by; other targets have none.
    pub fn policy_of(&self, target: &Target) -> Option<&Policy> {
        let policy = self.policies.of_target(target);
        let without = || match (self.rules.without_policy, target) {
            (WithoutPolicy::Deny, Target::Key(_) | Target::Secret(_)) => Some(&*NO_POLICY),
            _ => None,
        };
        policy.or_else(without)
    }
}

/// Policies by name. Cheap to copy, and a copy that changes shares what did not.
pub type PoliciesByName = imbl::GenericHashMap<String, Arc<Policy>, DefaultHashBuilder, DefaultSharedPtr>;

/// The same, by account.
pub type PoliciesByAccount = imbl::GenericHashMap<String, PoliciesByName, DefaultHashBuilder, DefaultSharedPtr>;

/// All policies, found by what they are attached to.
#[derive(Clone, Default)]
pub struct PolicyTable {
    /// By account, then key id.
    pub keys: PoliciesByAccount,
    /// By account, then secret name.
    pub secrets: PoliciesByAccount,
    /// The RAM policies of each member of the directory, in the directory's order.
    pub members: Arc<[Box<[Arc<Policy>]>]>,
}

impl fmt::Debug for PolicyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyTable").finish_non_exhaustive()
    }
}

impl PolicyTable {
    /// The RAM policies of a member of the directory.
    pub fn of_member(&self, member: usize) -> &[Arc<Policy>] {
        self.members.get(member).map_or(&[], |policies| policies)
    }

    /// The document of the policy of a key (by id) or secret (by name).
    pub fn text_of(&self, kind: Kind, account: &str, name: &str) -> Option<Arc<str>> {
        self.policy_of(kind, account, name).map(|policy| policy.text.clone())
    }

    /// The policy of a key (by id) or secret (by name).
    pub fn policy_of(&self, kind: Kind, account: &str, name: &str) -> Option<&Arc<Policy>> {
        let by_account = match kind {
            Kind::Key => &self.keys,
            Kind::Secret => &self.secrets,
            Kind::Ram => return None,
        };
        by_account.get(account)?.get(name)
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
