//! Questions that no request asks: may this caller do this to that? Answered by the same judge, on the same snapshot.

use jiff::Timestamp;

use super::index::ResourceIndex;
use super::snapshot::Snapshot;
use super::target::{Owned, Target};
use super::vocabulary::vocabulary;
use crate::kms::{Address, Authorization, KeyRef, OPERATIONS, On, Resource, SecretRef, is_account_id};
use crate::policy::{Explanation, GivenContext, Identity, KnownAction, Principal, Question, explain};

/// A question that a person asks.
#[derive(Debug, Clone)]
pub struct Hypothetical {
    /// Who.
    pub principal: Principal,
    /// What, for example `kms:Decrypt`.
    pub action: String,
    /// On what.
    pub resource: Resource,
    target: Target,
    /// Under which circumstances.
    pub context: GivenContext,
}

impl Hypothetical {
    /// Reads a question. Short names of resources are `here`; an alias stands for its key, as the index knows it, unless the
    /// action is one on aliases.
    ///
    /// # Errors
    /// Says which part is malformed, and what would be right.
    pub fn parse(
        principal: &str,
        action: &str,
        resource: &str,
        (here, index): (Address<'_>, &ResourceIndex),
        context: GivenContext,
    ) -> Result<Self, String> {
        let principal = parse_principal(principal)?;
        let is_action = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if !is_action {
            return Err(format!("`{action}` is no action; write for example kms:Decrypt"));
        }
        let (mut resource, mut target) = parse_resource(resource, here)?;
        if let Target::Alias(alias) = &target
            && is_on_keys(action)
        {
            let key = index.key_of_alias(&alias.account, &alias.name).ok_or_else(|| {
                let alias = alias.name.as_str();
                format!("{action} is judged by the key that {alias} points to, which is not known here; name the key: key/ID")
            })?;
            let key = Owned::new(alias.address(), key.clone());
            (resource, target) = (Resource::key(key.address(), &key.name), Target::Key(key));
        }
        Ok(Self { principal, action: action.to_owned(), resource, target, context })
    }

    /// Answers with the decision and everything that led to it. `read` gets the answer, which borrows from the snapshot.
    pub fn ask<T>(&self, snapshot: &Snapshot, now: Timestamp, read: impl FnOnce(&Explanation<'_>) -> T) -> T {
        let arn = self.principal.role_arn();
        let member = self.member(snapshot);
        let question = Question {
            principal: &self.principal,
            action: vocabulary().action(&self.action),
            resource: &self.resource.arn,
            owner: &self.resource.owner,
            identity_policies: member.map_or(&[], |member| snapshot.policies.of_member(member)),
            session_policy: None,
            resource_policy: self.is_in_scope().then(|| snapshot.policy_of(&self.target)).flatten(),
            context: self.context.context(now, &arn),
            account_principal: snapshot.rules.account_principal,
        };
        read(&explain(&question))
    }

    /// Where the caller stands in the directory, if it is there.
    pub fn member(&self, snapshot: &Snapshot) -> Option<usize> {
        let arn = self.principal.role_arn();
        snapshot.directory.members().iter().position(|member| member.principal.role_arn() == arn)
    }

    /// Whether the resource's own policy can speak about the action.
    fn is_in_scope(&self) -> bool {
        let known = vocabulary().actions().iter().find(|known| known.name == self.action);
        let in_scope: fn(&KnownAction) -> bool = match self.target {
            Target::Key(_) => |known| known.in_key_policies,
            Target::Secret(_) => |known| known.in_secret_policies,
            _ => |_| false,
        };
        known.is_some_and(in_scope)
    }
}

/// Whether an action is judged by keys, and never by an alias itself.
fn is_on_keys(action: &str) -> bool {
    let needs = OPERATIONS.iter().filter_map(|operation| match operation.authorization {
        Authorization::Needs(needs) => Some(needs),
        _ => None,
    });
    let mut on: Vec<On> = needs.flatten().filter(|need| need.action == action).map(|need| need.on).collect();
    let all = on.len();
    on.retain(|on| !matches!(on, On::Alias(_) | On::Anything | On::Container(_) | On::Role(_) | On::Secret(_)));
    all > 0 && on.len() == all
}

/// Reads a caller's ARN: `acs:ram::ACCOUNT:root`, `…:user/NAME`, `…:role/NAME` or `…:assumed-role/ROLE/SESSION`.
///
/// # Errors
/// Says what would be right.
pub fn parse_principal(arn: &str) -> Result<Principal, String> {
    let wrong = || {
        format!(
            "`{arn}` is no caller; write acs:ram::ACCOUNT:root, …:user/NAME, …:role/NAME or …:assumed-role/ROLE/SESSION"
        )
    };
    let (account, who) = arn.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(':')).ok_or_else(wrong)?;
    let session =
        |role: &str, session: &str| Identity::Session { role: role.to_lowercase().into(), session: session.into() };
    let identity = match *who.split('/').collect::<Vec<_>>() {
        ["root"] => Identity::Root,
        ["user", name] if !name.is_empty() => Identity::User(name.into()),
        ["role", name] if !name.is_empty() => session(name, "any-session"),
        ["assumed-role", role, name] if !role.is_empty() && !name.is_empty() => session(role, name),
        _ => return Err(wrong()),
    };
    if is_account_id(account) { Ok(Principal { account: account.into(), identity }) } else { Err(wrong()) }
}

/// Reads a resource: an ARN, `key/ID`, `secret/NAME`, `alias/NAME`, one of the containers `key`, `secret`, `alias`, or `*`.
fn parse_resource(text: &str, here: Address<'_>) -> Result<(Resource, Target), String> {
    let wrong =
        || format!("`{text}` is no resource; write key/ID, secret/NAME, alias/NAME, key, secret, alias, *, or an ARN");
    if text == "*" {
        return Ok((Resource::anything(here.account), Target::Unspecific));
    }
    let arn = if text.starts_with("acs:") {
        text.to_owned()
    } else {
        format!("acs:kms:{}:{}:{text}", here.region, here.account)
    };
    for container in ["key", "secret", "alias"] {
        if let Some(address) = arn.strip_suffix(container).and_then(container_address) {
            return Ok((Resource::container(address, container), Target::Unspecific));
        }
    }
    if let Some((Some(address), name)) = SecretRef::parse(&arn) {
        return Ok((Resource::secret(address, &name), Target::Secret(Owned::new(address, name))));
    }
    match KeyRef::parse(&arn) {
        Some((Some(address), KeyRef::Id(id))) => {
            Ok((Resource::key(address, &id), Target::Key(Owned::new(address, id))))
        }
        Some((Some(address), KeyRef::Alias(alias))) => {
            Ok((Resource::alias(address, &alias), Target::Alias(Owned::new(address, alias))))
        }
        _ => Err(wrong()),
    }
}

/// `acs:kms:REGION:ACCOUNT:` → region and account.
fn container_address(prefix: &str) -> Option<Address<'_>> {
    match *prefix.split(':').collect::<Vec<_>>() {
        ["acs", "kms", region, account, ""] if is_account_id(account) => Some(Address { region, account }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::{AliasName, KeyId};

    #[test]
    fn resources_are_written_short_or_as_arns() {
        let here = Address { region: "cn-hangzhou", account: "1" };
        for (text, expected) in [
            ("*", Some("*")),
            ("key/key-1", Some("acs:kms:cn-hangzhou:1:key/key-1")),
            ("secret/app/db", Some("acs:kms:cn-hangzhou:1:secret/app/db")),
            ("alias/orders", Some("acs:kms:cn-hangzhou:1:alias/orders")),
            ("key", Some("acs:kms:cn-hangzhou:1:key")),
            ("acs:kms:cn-beijing:2:key/key-1", Some("acs:kms:cn-beijing:2:key/key-1")),
            ("acs:kms:cn-beijing:2:secret", Some("acs:kms:cn-beijing:2:secret")),
            ("key/*", None),
            ("orders", None),
            ("acs:ram::1:user/a", None),
        ] {
            let found = parse_resource(text, here).ok().map(|(resource, _)| resource.arn);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_alias_stands_for_its_key_where_keys_are_judged() {
        let here = Address { region: "cn-hangzhou", account: "1" };
        let mut index = ResourceIndex::default();
        index.set_alias("1", &AliasName::parse("alias/orders").unwrap(), KeyId::parse("key-1").unwrap());
        let about = |action: &str, resource: &str| {
            let asked =
                Hypothetical::parse("acs:ram::1:root", action, resource, (here, &index), GivenContext::default());
            asked.map(|asked| asked.resource.arn)
        };
        for action in ["kms:Encrypt", "kms:Decrypt", "kms:GetPublicKey", "kms:ScheduleKeyDeletion", "kms:Sign"] {
            let found = about(action, "alias/orders");
            let is_known = vocabulary().actions().iter().any(|known| known.name == action);
            let expected =
                if is_known { "acs:kms:cn-hangzhou:1:key/key-1" } else { "acs:kms:cn-hangzhou:1:alias/orders" };
            assert_eq!(found.as_deref(), Ok(expected), "{action}");
            assert_eq!(about(action, "alias/other").is_err(), is_known, "{action}");
        }
        for action in ["kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"] {
            assert_eq!(about(action, "alias/orders").as_deref(), Ok("acs:kms:cn-hangzhou:1:alias/orders"), "{action}");
        }
    }

    #[test]
    fn callers_are_written_as_arns() {
        for (arn, expected) in [
            ("acs:ram::1:root", Some("acs:ram::1:root")),
            ("acs:ram::1:user/alice", Some("acs:ram::1:user/alice")),
            ("acs:ram::1:role/App", Some("acs:ram::1:assumed-role/app/any-session")),
            ("acs:ram::1:assumed-role/app/s1", Some("acs:ram::1:assumed-role/app/s1")),
            ("acs:ram::x:root", None),
            ("alice", None),
            ("acs:ram::1:user/", None),
        ] {
            assert_eq!(parse_principal(arn).ok().map(|principal| principal.to_string()).as_deref(), expected, "{arn}");
        }
    }
}
