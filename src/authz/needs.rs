//! From a request to the permissions it needs: which action on which resource, every name resolved.
//!
//! Driven by the operations table. A bare name means the caller's own account; another account's resource has to be
//! named by its ARN (SetKeyPolicy: cross-account access). A name that stands for nothing is judged all the same, on the
//! narrowest resource that it could have meant, so that strangers do not learn what exists.

use std::borrow::Cow;
use std::cell::RefCell;

use super::index::Known;
use super::snapshot::Snapshot;
use super::target::{By, Owned, Target};
use super::unresolved::{Hearsay, Unresolved};
use crate::kms::{
    Address, AliasName, Authorization, Call, CiphertextBlob, ErrorCode, KeyRef, KmsError, KmsRequest, Need, On, Params,
    Resource, Scope, SecretRef, parse_role_arn, role_arn,
};
use crate::policy::{Identity, Principal};

/// One permission that a request needs.
#[derive(Debug, Clone)]
pub struct Permission {
    /// The action, for example `kms:Encrypt`.
    pub action: Cow<'static, str>,
    /// The same, of operations in the table; otherwise empty.
    pub action_name: &'static str,
    /// The parameter that names the resource, if one does.
    pub parameter: Option<&'static str>,
    /// How it names it.
    pub by: By,
    /// The alias by which it names it.
    pub alias: Option<Owned<AliasName>>,
    /// Whether it says in which account.
    pub names_account: bool,
    /// The resource, as policies name it.
    pub resource: Resource,
    /// The same, as whoever executes the request needs it.
    pub target: Target,
    /// Whether the target's own policy can speak about the action.
    pub in_scope: bool,
}

/// What a request needs.
#[derive(Default)]
pub(super) struct Needed {
    /// The permissions. Empty only for operations that need none.
    pub permissions: Vec<Permission>,
    /// What it is by hearsay alone that these are about.
    pub hearsay: Vec<Hearsay>,
}

/// All that `request` of `caller` needs.
///
/// # Errors
/// A parameter that should name a resource is missing or malformed, or nobody knows what it stands for.
pub(super) fn permissions(snapshot: &Snapshot, request: &KmsRequest, caller: &Principal) -> Result<Needed, KmsError> {
    let here = Address { region: &snapshot.rules.region, account: &caller.account };
    let is_session = matches!(caller.identity, Identity::Session { .. });
    let hearsay = RefCell::default();
    let resolver = Resolver { snapshot, params: &request.params, here, is_session, hearsay };
    let permissions = match &request.call {
        Call::Unknown(name) => resolver.unknown_operation(name)?,
        Call::Known(operation) => match operation.authorization {
            Authorization::Authenticated => Vec::new(),
            Authorization::Needs(needs) => {
                let mut permissions = Vec::with_capacity(needs.len());
                for need in needs {
                    permissions.extend(resolver.need(need)?);
                }
                permissions
            }
        },
    };
    Ok(Needed { permissions, hearsay: resolver.hearsay.into_inner() })
}

struct Resolver<'a> {
    snapshot: &'a Snapshot,
    params: &'a Params,
    /// Where bare names are.
    here: Address<'a>,
    /// Whether a role session asks.
    is_session: bool,
    /// What was found by hearsay alone.
    hearsay: RefCell<Vec<Hearsay>>,
}

/// What a need is about, and how the request says so.
struct Found {
    target: Target,
    parameter: Option<&'static str>,
    by: By,
    alias: Option<Owned<AliasName>>,
    names_account: bool,
}

impl Found {
    /// Something that the request names itself.
    fn by_name(target: Target, names_account: bool) -> Self {
        Self { target, parameter: None, by: By::Name, alias: None, names_account }
    }

    /// Something that the request does not name itself.
    fn implied(target: Target, names_account: bool) -> Self {
        Self { by: By::Nothing, ..Self::by_name(target, names_account) }
    }

    fn in_parameter(mut self, name: &'static str) -> Self {
        self.parameter = Some(name);
        self
    }
}

impl Resolver<'_> {
    fn need(&self, need: &Need) -> Result<Vec<Permission>, KmsError> {
        let found = match need.on {
            On::Key(name) => vec![self.key(name)?],
            On::KeyIfGiven(name) => match self.params.given(name) {
                Some(_) => vec![self.key(name)?],
                None => Vec::new(),
            },
            On::KeyInEither(one, other) if self.other_resource(one, other)?.is_none() => {
                vec![self.key(self.either(one, other)?)?]
            }
            On::KeyOfCiphertext(name) => vec![self.key_of_ciphertext(name)?],
            On::KeyOrCiphertext(key, ciphertext) => vec![self.key_or_ciphertext(key, ciphertext)?],
            On::Alias(name) => vec![self.alias(name)?],
            On::KeyOfAlias(name) => self.key_of_alias(name)?.into_iter().collect(),
            On::Secret(name) => vec![self.secret(name)?],
            On::KeyOfSecretUnlessSession(_) if self.is_session => Vec::new(),
            On::KeyOfSecret(name) | On::KeyOfSecretUnlessSession(name) => {
                self.key_of_secret(name)?.into_iter().collect()
            }
            On::KeyOrSecret(key, secret) if self.other_resource(key, secret)?.is_none() => {
                vec![if self.either(key, secret)? == key { self.key(key)? } else { self.secret(secret)? }]
            }
            On::Batch => return self.batch(need),
            On::Role(name) => vec![self.role(name)?],
            On::Container(kind) => return Ok(vec![self.container(need, kind)]),
            On::Anything | On::KeyInEither(..) | On::KeyOrSecret(..) => {
                vec![Found::implied(Target::Unspecific, false)]
            }
        };
        Ok(found.into_iter().map(|found| self.permission(need, found)).collect())
    }

    fn permission(&self, need: &Need, found: Found) -> Permission {
        Permission {
            action: need.action.into(),
            action_name: need.action,
            parameter: found.parameter,
            by: found.by,
            alias: found.alias,
            names_account: found.names_account,
            resource: self.resource(&found.target),
            target: found.target,
            in_scope: need.scope == Scope::ResourcePolicy,
        }
    }

    /// An operation that the table does not have may act on anything; where it names a key or secret as others do, on that.
    fn unknown_operation(&self, name: &str) -> Result<Vec<Permission>, KmsError> {
        let mut found = vec![Found::implied(Target::Unspecific, false)];
        if self.params.given("KeyId").is_some() {
            found.push(self.key("KeyId")?);
        }
        if self.params.given("SecretName").is_some() {
            found.push(self.secret("SecretName")?);
        }
        let need = Need { action: "", on: On::Anything, scope: Scope::ResourcePolicy };
        let action = || Cow::from(format!("kms:{name}"));
        Ok(found.into_iter().map(|found| Permission { action: action(), ..self.permission(&need, found) }).collect())
    }

    fn container(&self, need: &Need, kind: &'static str) -> Permission {
        let nothing = self.permission(need, Found::implied(Target::Unspecific, false));
        Permission { resource: Resource::container(self.here, kind), ..nothing }
    }

    /// A resource that only a KMS elsewhere has, and that stands in the place of these.
    fn other_resource(&self, one: &str, other: &str) -> Result<Option<&'static str>, KmsError> {
        let given = ["KmsInstanceId", "CertificateId"].into_iter().find(|name| self.params.given(name).is_some());
        let given = given.filter(|_| !self.snapshot.index.is_complete());
        match [one, other].into_iter().find(|name| self.params.given(name).is_some()) {
            Some(also) if given.is_some() => {
                let why = format!("give it or {}, not both", given.unwrap_or_default());
                Err(KmsError::invalid_parameter_because(also, why))
            }
            _ => Ok(given),
        }
    }

    fn either(&self, one: &'static str, other: &'static str) -> Result<&'static str, KmsError> {
        match (self.params.given(one), self.params.given(other)) {
            (Some(_), None) => Ok(one),
            (None, Some(_)) => Ok(other),
            (None, None) => Err(KmsError::missing_parameter(one)),
            (Some(_), Some(_)) => {
                Err(KmsError::invalid_parameter_because(other, format!("give it or {one}, not both")))
            }
        }
    }

    fn key(&self, name: &'static str) -> Result<Found, KmsError> {
        let found = self.key_named(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))?;
        Ok(found.in_parameter(name))
    }

    /// Where something is. Another region's is not served here: judged under that name, it would escape the statements
    /// that name this region, and be executed all the same.
    fn address<'n>(&'n self, given: Option<Address<'n>>) -> Option<Address<'n>> {
        given.map_or(Some(self.here), |address| (address.region == self.here.region).then_some(address))
    }

    fn key_named(&self, text: &str) -> Option<Found> {
        let (given, key) = KeyRef::parse(text)?;
        let address = self.address(given)?;
        let alias = match key {
            KeyRef::Id(id) => return Some(Found::by_name(Target::Key(Owned::new(address, id)), given.is_some())),
            KeyRef::Alias(alias) => Owned::new(address, alias),
        };
        let target = match self.snapshot.index.key_of_alias(address.account, &alias.name) {
            Some(id) => Target::Key(Owned::new(address, id.clone())),
            None => Target::UnknownAlias(alias.clone()),
        };
        self.heard_alias(&alias, true);
        Some(Found { by: By::Alias, alias: Some(alias), ..Found::by_name(target, given.is_some()) })
    }

    /// Notes an alias of which it is heard only where it points; `is_named` if the request names the key by it.
    fn heard_alias(&self, alias: &Owned<AliasName>, is_named: bool) {
        if self.snapshot.index.hears_alias(&alias.account, &alias.name) {
            self.hearsay.borrow_mut().push(Hearsay { what: Unresolved::Alias(alias.clone()), is_named });
        }
    }

    fn key_of_ciphertext(&self, name: &'static str) -> Result<Found, KmsError> {
        let ciphertext = CiphertextBlob::decode(self.params.require(name)?);
        let key = ciphertext.as_ref().and_then(|ciphertext| self.snapshot.index.key_of_ciphertext(ciphertext));
        let target = match key {
            Some((account, id)) => Target::Key(Owned::new(Address { account, ..self.here }, id.clone())),
            None => Target::UnknownCiphertext,
        };
        // A ciphertext says itself whose it is.
        Ok(Found { by: By::Ciphertext, ..Found::by_name(target, true) }.in_parameter(name))
    }

    /// A caller may name any key beside a ciphertext; the one that is known to have made it counts.
    fn key_or_ciphertext(&self, key: &'static str, ciphertext: &'static str) -> Result<Found, KmsError> {
        match self.key_of_ciphertext(ciphertext)? {
            Found { target: Target::UnknownCiphertext, .. } if self.params.given(key).is_some() => self.key(key),
            made_by => Ok(made_by),
        }
    }

    fn alias_name(&self, name: &str) -> Result<AliasName, KmsError> {
        AliasName::parse(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))
    }

    fn alias(&self, name: &'static str) -> Result<Found, KmsError> {
        let target = Target::Alias(Owned::new(self.here, self.alias_name(name)?));
        Ok(Found::by_name(target, false).in_parameter(name))
    }

    fn key_of_alias(&self, name: &str) -> Result<Option<Found>, KmsError> {
        let alias = Owned::new(self.here, self.alias_name(name)?);
        let index = &self.snapshot.index;
        self.heard_alias(&alias, false);
        let target = match index.key_of_alias(self.here.account, &alias.name) {
            Some(id) => Target::Key(Owned::new(self.here, id.clone())),
            None if index.is_complete() => return Ok(None),
            None => Target::UnknownAlias(alias),
        };
        Ok(Some(Found::implied(target, false)))
    }

    fn secret(&self, name: &'static str) -> Result<Found, KmsError> {
        let found = self.secret_named(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))?;
        Ok(found.in_parameter(name))
    }

    fn secret_named(&self, text: &str) -> Option<Found> {
        let (given, secret) = SecretRef::parse(text)?;
        Some(Found::by_name(Target::Secret(Owned::new(self.address(given)?, secret)), given.is_some()))
    }

    fn key_of_secret(&self, name: &'static str) -> Result<Option<Found>, KmsError> {
        let Found { target: Target::Secret(secret), names_account, .. } = self.secret(name)? else { return Ok(None) };
        if self.snapshot.index.hears_key_of_secret(&secret.account, &secret.name) {
            let what = Unresolved::KeyOfSecret(secret.clone());
            self.hearsay.borrow_mut().push(Hearsay { what, is_named: false });
        }
        let target = match self.snapshot.index.key_of_secret(&secret.account, &secret.name) {
            Known::Is(id) => Target::Key(Owned::new(secret.address(), id.clone())),
            Known::None => return Ok(None),
            Known::Unknown => Target::UnknownKeyOfSecret(secret),
        };
        Ok(Some(Found::implied(target, names_account)))
    }

    /// The role's own account says whom it trusts; whether the caller may assume it is for the caller's account to say, as
    /// if the role were its own.
    fn role(&self, name: &'static str) -> Result<Found, KmsError> {
        let (account, role) = parse_role_arn(self.params.require(name)?).ok_or(ErrorCode::InvalidRoleArn)?;
        // Policies are matched without regard to case here, as RAM has names of roles.
        let target = Target::Role(Owned::new(Address { account, ..self.here }, role.to_lowercase()));
        Ok(Found::by_name(target, true).in_parameter(name))
    }

    /// `ResourceId.1`, `ResourceId.2`, … of the kind `ResourceType`.
    fn batch(&self, need: &Need) -> Result<Vec<Permission>, KmsError> {
        let kind = match self.params.require("ResourceType")? {
            "key" => "key",
            "secret" => "secret",
            _ => return Err(KmsError::invalid_parameter_because("ResourceType", "it must be key or secret")),
        };
        let ids = self.params.list("ResourceId");
        // A gap in the numbers would leave a resource unjudged.
        if ids.len() != self.params.iter().filter(|(name, _)| name.starts_with("ResourceId")).count() {
            return Err(KmsError::invalid_parameter("ResourceId"));
        }
        if ids.is_empty() {
            return Ok(vec![self.container(need, kind)]);
        }
        let found = |id: &str| if kind == "key" { self.key_named(id) } else { self.secret_named(id) };
        let found = ids.into_iter().map(|id| found(id).map(|found| self.permission(need, found)));
        found.collect::<Option<_>>().ok_or_else(|| KmsError::invalid_parameter("ResourceId"))
    }

    fn resource(&self, target: &Target) -> Resource {
        match target {
            Target::Key(key) => Resource::key(key.address(), &key.name),
            Target::Secret(secret) => Resource::secret(secret.address(), &secret.name),
            Target::Alias(alias) | Target::UnknownAlias(alias) => Resource::alias(alias.address(), &alias.name),
            Target::Role(role) => {
                Resource { arn: role_arn(&role.account, &role.name), owner: self.here.account.to_owned() }
            }
            Target::UnknownCiphertext | Target::UnknownKeyOfSecret(_) | Target::Unspecific => {
                Resource::anything(self.here.account)
            }
        }
    }
}
