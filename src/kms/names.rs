//! Names of keys, aliases and secrets, and their ARNs.
//!
//! A caller writes a bare name, which means its own account, or an ARN, which may mean another one. Names are checked
//! against their documented alphabets before an ARN is built from them, so a name can never smuggle in a wildcard or
//! a separator. Source: KMS resource ARNs, CreateAlias, CreateSecret.

use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $legal:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name, if it is of the documented form.
            pub fn parse(text: &str) -> Option<Self> {
                let legal: fn(&str) -> bool = $legal;
                legal(text).then(|| Self(text.into()))
            }

            /// The name as it is on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A key's id: `key-…` in a KMS instance, otherwise a UUID. Letters, digits and `-`, at most 128.
    KeyId, |text| is_made_of(text, 128, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
name! {
    /// An alias with its prefix, `alias/…`: at most 255 characters from `A-Za-z0-9:/_-`.
    AliasName, |text| {
        text.strip_prefix("alias/").is_some_and(|rest| {
            is_made_of(rest, 249, |byte| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte))
        })
    }
}
name! {
    /// A secret's name: at most 192 characters from `A-Za-z0-9_/+=.@-`.
    SecretName, |text| is_made_of(text, 192, |byte| byte.is_ascii_alphanumeric() || b"_/+=.@-".contains(&byte))
}

fn is_made_of(text: &str, most: usize, legal: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(legal)
}

/// Whether a text is the id of an account: digits, at most 32.
pub fn is_account_id(text: &str) -> bool {
    is_made_of(text, 32, |byte| byte.is_ascii_digit())
}

/// Whether a text is the id of a region: letters, digits and `-`, at most 64.
pub fn is_region_id(text: &str) -> bool {
    is_made_of(text, 64, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Where something lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The region.
    pub region: &'a str,
    /// The account that owns it.
    pub account: &'a str,
}

/// A key as a request names it: by id or by alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// By its id.
    Id(KeyId),
    /// By an alias.
    Alias(AliasName),
}

/// A name with the region and account it was given for; `None` where the request gave a bare name.
type Given<'a, T> = (Option<Address<'a>>, T);

impl KeyRef {
    /// Reads a `KeyId` parameter: an id, an alias, or the ARN of either.
    pub fn parse(text: &str) -> Option<Given<'_, Self>> {
        let (address, name) = split_arn(text)?;
        let key = match (address, name.strip_prefix("key/")) {
            (Some(_), Some(id)) => Self::Id(KeyId::parse(id)?),
            _ if name.starts_with("alias/") => Self::Alias(AliasName::parse(name)?),
            (None, _) => Self::Id(KeyId::parse(name)?),
            (Some(_), None) => return None,
        };
        Some((address, key))
    }
}

/// A secret as a request names it.
pub struct SecretRef;

impl SecretRef {
    /// Reads a `SecretName` parameter: a name, or the secret's ARN.
    pub fn parse(text: &str) -> Option<Given<'_, SecretName>> {
        let (address, name) = split_arn(text)?;
        let name = if address.is_some() { name.strip_prefix("secret/")? } else { name };
        Some((address, SecretName::parse(name)?))
    }
}

/// `acs:kms:REGION:ACCOUNT:rest` → address and rest; any other text is a bare name.
fn split_arn(text: &str) -> Option<(Option<Address<'_>>, &str)> {
    let Some(rest) = text.strip_prefix("acs:") else { return Some((None, text)) };
    let mut parts = rest.splitn(4, ':');
    let (service, region, account, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (service == "kms" && is_region_id(region) && is_account_id(account))
        .then_some((Some(Address { region, account }), name))
}

/// What a permission is about, as policies see it: an ARN and the account that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The ARN, or `*` for actions that have no resource.
    pub arn: String,
    /// The owning account.
    pub owner: String,
}

impl Resource {
    fn at(address: Address<'_>, name: fmt::Arguments<'_>) -> Self {
        let Address { region, account } = address;
        Self { arn: format!("acs:kms:{region}:{account}:{name}"), owner: account.to_owned() }
    }

    /// A key.
    pub fn key(address: Address<'_>, id: &KeyId) -> Self {
        Self::at(address, format_args!("key/{id}"))
    }

    /// A secret.
    pub fn secret(address: Address<'_>, name: &SecretName) -> Self {
        Self::at(address, format_args!("secret/{name}"))
    }

    /// An alias; its name has the prefix `alias/` already.
    pub fn alias(address: Address<'_>, name: &AliasName) -> Self {
        Self::at(address, format_args!("{name}"))
    }

    /// A container: `key`, `secret`, `alias` or `certificate`.
    pub fn container(address: Address<'_>, kind: &'static str) -> Self {
        Self::at(address, format_args!("{kind}"))
    }

    /// No resource in particular; asked about in the name of `account`.
    pub fn anything(account: &str) -> Self {
        Self { arn: "*".to_owned(), owner: account.to_owned() }
    }
}

/// Whether a text is the name of a user, group or role: at most 64 characters from `A-Za-z0-9._-` (RAM: limits).
pub fn is_ram_name(text: &str) -> bool {
    is_made_of(text, 64, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The ARN of a role.
pub fn role_arn(account: &str, name: &str) -> String {
    format!("acs:ram::{account}:role/{name}")
}

/// The account and name of a role's ARN, `acs:ram::ACCOUNT:role/NAME`.
pub fn parse_role_arn(text: &str) -> Option<(&str, &str)> {
    let (account, name) = text.strip_prefix("acs:ram::")?.split_once(":role/")?;
    (is_account_id(account) && is_ram_name(name)).then_some((account, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Address<'_> = Address { region: "cn-hangzhou", account: "1" };

    #[test]
    fn keys_are_named_by_id_alias_or_arn() {
        let id = |text: &str| KeyRef::Id(KeyId::parse(text).unwrap());
        let alias = |text: &str| KeyRef::Alias(AliasName::parse(text).unwrap());
        for (text, expected) in [
            ("key-abc1", Some((None, id("key-abc1")))),
            ("alias/a/b", Some((None, alias("alias/a/b")))),
            ("acs:kms:cn-hangzhou:1:key/key-abc1", Some((Some(HERE), id("key-abc1")))),
            ("acs:kms:cn-hangzhou:1:alias/a", Some((Some(HERE), alias("alias/a")))),
            ("key/key-abc1", None),
            ("acs:kms:cn-hangzhou:1:key/*", None),
            ("acs:kms:cn-hangzhou:*:key/key-abc1", None),
            ("acs:kms:*:1:key/key-abc1", None),
            ("acs:ram:cn-hangzhou:1:key/key-abc1", None),
            ("acs:kms:cn-hangzhou:1:secret/x", None),
            ("acs:kms:cn-hangzhou:1", None),
            ("alias/", None),
            ("alias/a?", None),
            ("key abc", None),
            ("", None),
        ] {
            assert_eq!(KeyRef::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_are_named_by_name_or_arn() {
        let (address, name) = SecretRef::parse("acs:kms:cn-hangzhou:1:secret/app/db").unwrap();
        assert_eq!((address, name.as_str()), (Some(HERE), "app/db"));
        assert_eq!(SecretRef::parse("app/db").unwrap().0, None);
        for text in ["", "a*", "a:b", "a b", "acs:kms:cn-hangzhou:1:app/db", "acs:kms:cn-hangzhou:1:secret/"] {
            assert!(SecretRef::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn arns_are_as_documented() {
        let arns = [
            Resource::key(HERE, &KeyId::parse("key-1").unwrap()).arn,
            Resource::secret(HERE, &SecretName::parse("app/db").unwrap()).arn,
            Resource::alias(HERE, &AliasName::parse("alias/a").unwrap()).arn,
            Resource::container(HERE, "key").arn,
        ];
        assert_eq!(
            arns.map(|arn| arn.replace("acs:kms:cn-hangzhou:1:", "")),
            ["key/key-1", "secret/app/db", "alias/a", "key"]
        );
    }
}
