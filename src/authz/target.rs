//! What a request acts on, and how it names that.

use crate::kms::{Address, AliasName, KeyId, SecretName};

/// How a request names what it acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By its own name.
    Name,
    /// By an alias, which may point elsewhere tomorrow.
    Alias,
    /// By a ciphertext that it made.
    Ciphertext,
    /// Not at all: it follows from something else, or is nothing in particular.
    Nothing,
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
    /// The key that encrypts this secret, if there is one; nobody knows.
    UnknownKeyOfSecret(Owned<SecretName>),
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
    /// Something there.
    pub fn new(address: Address<'_>, name: T) -> Self {
        Self { region: address.region.to_owned(), account: address.account.to_owned(), name }
    }

    /// Where it is.
    pub fn address(&self) -> Address<'_> {
        Address { region: &self.region, account: &self.account }
    }
}
