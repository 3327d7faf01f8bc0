//! From a request to the permissions it needs: which action on which resource, every name resolved.
//!
//! Driven by the operations table. A bare name means the caller's own account; another account's resource has to be
//! named by its ARN (SetKeyPolicy: cross-account access). A name that stands for nothing is judged all the same, on the
//! narrowest resource that it could have meant, so that strangers do not learn what exists.

use std::borrow::Cow;

use super::snapshot::Snapshot;
use crate::kms::{
    Address, AliasName, Authorization, Call, CiphertextBlob, ErrorCode, KeyId, KeyRef, KmsError, KmsRequest, Need, On,
    Params, Resource, Scope, SecretName, SecretRef, parse_role_arn, role_arn,
};
use crate::policy::{Identity, Principal};

/// One permission that a request needs.
#[derive(Debug, Clone)]
pub struct Permission {
    /// The action, for example `kms:Encrypt`.
    pub action: Cow<'static, str>,
    /// The resource, as policies name it.
    pub resource: Resource,
    /// The same, as whoever executes the request needs it.
    pub target: Target,
    /// Whether the target's own policy can speak about the action.
    pub in_scope: bool,
}

/// Something that belongs to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned<T> {
    /// The region it is in.
    pub region: String,
    /// The account that owns it.
    pub account: String,
    /// Its name.
    pub name: T,
}

/// What a request acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A key; whether it exists is for KMS to say.
    Key(Owned<KeyId>),
    /// A key by an alias that points to none.
    UnknownAlias(Owned<AliasName>),
    /// A key by a ciphertext that none is known to have made.
    UnknownCiphertext,
    /// A secret; whether it exists is for KMS to say.
    Secret(Owned<SecretName>),
    /// An alias.
    Alias(Owned<AliasName>),
    /// A RAM role, by its name in lower case; whether it exists is for STS to say.
    Role(Owned<String>),
    /// All of a kind, or nothing in particular.
    Unspecific,
}

impl<T> Owned<T> {
    fn new(address: Address<'_>, name: T) -> Self {
        Self { region: address.region.to_owned(), account: address.account.to_owned(), name }
    }

    fn address(&self) -> Address<'_> {
        Address { region: &self.region, account: &self.account }
    }
}

/// All permissions that `request` of `caller` needs. Empty only for operations that need none.
///
/// # Errors
/// A parameter that should name a resource is missing or malformed.
pub(super) fn permissions(
    snapshot: &Snapshot,
    request: &KmsRequest,
    caller: &Principal,
) -> Result<Vec<Permission>, KmsError> {
    let here = Address { region: &snapshot.rules.region, account: &caller.account };
    let is_session = matches!(caller.identity, Identity::Session { .. });
    let resolver = Resolver { snapshot, params: &request.params, here, is_session };
    match &request.call {
        Call::Unknown(name) => Ok(vec![Permission {
            action: format!("kms:{name}").into(),
            resource: Resource::anything(here.account),
            target: Target::Unspecific,
            in_scope: false,
        }]),
        Call::Known(operation) => match operation.authorization {
            Authorization::Authenticated => Ok(Vec::new()),
            Authorization::Needs(needs) => {
                let mut permissions = Vec::with_capacity(needs.len());
                for need in needs {
                    permissions.extend(resolver.need(need)?);
                }
                Ok(permissions)
            }
        },
    }
}

struct Resolver<'a> {
    snapshot: &'a Snapshot,
    params: &'a Params,
    /// Where bare names are.
    here: Address<'a>,
    /// Whether a role session asks.
    is_session: bool,
}

impl Resolver<'_> {
    fn need(&self, need: &Need) -> Result<Vec<Permission>, KmsError> {
        let permission = |target: Target, resource: Resource| Permission {
            action: need.action.into(),
            resource,
            target,
            in_scope: need.scope == Scope::ResourcePolicy,
        };
        let of_targets = |targets: Vec<Target>| {
            Ok(targets.into_iter().map(|target| (self.resource(&target), target)).collect::<Vec<_>>())
        };
        let found = match need.on {
            On::Key(name) => of_targets(vec![self.key(name)?]),
            On::KeyIfGiven(name) => match self.params.given(name) {
                Some(_) => of_targets(vec![self.key(name)?]),
                None => Ok(Vec::new()),
            },
            On::KeyInEither(one, other) => of_targets(vec![self.key(self.either(one, other)?)?]),
            On::KeyOfCiphertext(name) => of_targets(vec![self.key_of_ciphertext(name)?]),
            On::KeyOrCiphertext(key, ciphertext) => of_targets(vec![self.key_or_ciphertext(key, ciphertext)?]),
            On::Alias(name) => of_targets(vec![self.alias(name)?]),
            On::KeyOfAlias(name) => of_targets(self.key_of_alias(name)?.into_iter().collect()),
            On::Secret(name) => of_targets(vec![self.secret(name)?]),
            On::KeyOfSecretUnlessSession(_) if self.is_session => Ok(Vec::new()),
            On::KeyOfSecret(name) | On::KeyOfSecretUnlessSession(name) => {
                of_targets(self.key_of_secret(name)?.into_iter().collect())
            }
            On::KeyOrSecret(key, secret) => {
                of_targets(vec![if self.either(key, secret)? == key { self.key(key)? } else { self.secret(secret)? }])
            }
            On::Batch => self.batch(),
            On::Role(name) => of_targets(vec![self.role(name)?]),
            On::Container(kind) => Ok(vec![(Resource::container(self.here, kind), Target::Unspecific)]),
            On::Anything => Ok(vec![(Resource::anything(self.here.account), Target::Unspecific)]),
        };
        Ok(found?.into_iter().map(|(resource, target)| permission(target, resource)).collect())
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

    fn key(&self, name: &str) -> Result<Target, KmsError> {
        self.key_named(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))
    }

    /// Where something is. Another region's is not served here: judged under that name, it would escape the statements
    /// that name this region, and be executed all the same.
    fn address<'n>(&'n self, given: Option<Address<'n>>) -> Option<Address<'n>> {
        given.map_or(Some(self.here), |address| (address.region == self.here.region).then_some(address))
    }

    fn key_named(&self, text: &str) -> Option<Target> {
        let (address, key) = KeyRef::parse(text)?;
        let address = self.address(address)?;
        Some(match key {
            KeyRef::Id(id) => Target::Key(Owned::new(address, id)),
            KeyRef::Alias(alias) => match self.snapshot.index.key_of_alias(address.account, &alias) {
                Some(id) => Target::Key(Owned::new(address, id.clone())),
                None => Target::UnknownAlias(Owned::new(address, alias)),
            },
        })
    }

    fn key_of_ciphertext(&self, name: &str) -> Result<Target, KmsError> {
        let ciphertext = CiphertextBlob::decode(self.params.require(name)?);
        let key = ciphertext.as_ref().and_then(|ciphertext| self.snapshot.index.key_of_ciphertext(ciphertext));
        Ok(match key {
            Some((account, id)) => Target::Key(Owned::new(Address { account, ..self.here }, id.clone())),
            None => Target::UnknownCiphertext,
        })
    }

    /// A caller may name any key beside a ciphertext; the one that is known to have made it counts.
    fn key_or_ciphertext(&self, key: &str, ciphertext: &str) -> Result<Target, KmsError> {
        match self.key_of_ciphertext(ciphertext)? {
            Target::UnknownCiphertext if self.params.given(key).is_some() => self.key(key),
            made_by => Ok(made_by),
        }
    }

    fn alias_name(&self, name: &str) -> Result<AliasName, KmsError> {
        AliasName::parse(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))
    }

    fn alias(&self, name: &str) -> Result<Target, KmsError> {
        Ok(Target::Alias(Owned::new(self.here, self.alias_name(name)?)))
    }

    fn key_of_alias(&self, name: &str) -> Result<Option<Target>, KmsError> {
        let alias = self.alias_name(name)?;
        let key = self.snapshot.index.key_of_alias(self.here.account, &alias);
        Ok(key.map(|id| Target::Key(Owned::new(self.here, id.clone()))))
    }

    fn secret(&self, name: &str) -> Result<Target, KmsError> {
        self.secret_named(self.params.require(name)?).ok_or_else(|| KmsError::invalid_parameter(name))
    }

    fn secret_named(&self, text: &str) -> Option<Target> {
        let (address, secret) = SecretRef::parse(text)?;
        Some(Target::Secret(Owned::new(self.address(address)?, secret)))
    }

    fn key_of_secret(&self, name: &str) -> Result<Option<Target>, KmsError> {
        let Target::Secret(secret) = self.secret(name)? else { return Ok(None) };
        let key = self.snapshot.index.key_of_secret(&secret.account, &secret.name);
        Ok(key.map(|id| Target::Key(Owned::new(secret.address(), id.clone()))))
    }

    /// The role's own account says whom it trusts; whether the caller may assume it is for the caller's account to say, as
    /// if the role were its own.
    fn role(&self, name: &str) -> Result<Target, KmsError> {
        let (account, role) = parse_role_arn(self.params.require(name)?).ok_or(ErrorCode::InvalidRoleArn)?;
        // Policies are matched without regard to case here, as RAM has names of roles.
        Ok(Target::Role(Owned::new(Address { account, ..self.here }, role.to_lowercase())))
    }

    /// `ResourceId.1`, `ResourceId.2`, … of the kind `ResourceType`.
    fn batch(&self) -> Result<Vec<(Resource, Target)>, KmsError> {
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
            return Ok(vec![(Resource::container(self.here, kind), Target::Unspecific)]);
        }
        let target = |id: &str| if kind == "key" { self.key_named(id) } else { self.secret_named(id) };
        let found = ids.into_iter().map(|id| target(id).map(|target| (self.resource(&target), target)));
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
            Target::UnknownCiphertext | Target::Unspecific => Resource::anything(self.here.account),
        }
    }
}
