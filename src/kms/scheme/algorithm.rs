//! The ways to sign that are verified here: one table, which reading, verifying, settings and messages use.

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithm(&'static Row);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Row {
    name: &'static str,
    version: Version,
    hash: Hash,
    key: KeyKind,
}

/// Which of the documented signature methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// In the parameters (`SignatureVersion=1.0`).
    V1,
    /// In the headers, `ACS3-…`.
    V3,
    /// In the headers, `ACS4-…`, with a key that is derived for one day, region and product.
    V4,
    /// A client key in the header `x-acs-bearer-token`.
    ClientKey,
}

/// The hash that a signature is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SM3 (GM/T 0004-2012).
    Sm3,
}

/// What its holder signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A secret that both sides know.
    Secret,
    /// An RSA key pair, of which we know the public key.
    Rsa,
}

macro_rules! algorithms {
    ($($constant:ident $name:literal $version:ident $hash:ident $key:ident, $doc:literal;)*) => {
        impl Algorithm {
            $(#[doc = $doc] pub const $constant: Self =
                Self(&Row { name: $name, version: Version::$version, hash: Hash::$hash, key: KeyKind::$key });)*

            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$constant,)*];
        }
    };
}

algorithms! {
    HMAC_SHA1 "HMAC-SHA1" V1 Sha1 Secret, "V1 with an AccessKey.";
    SHA256_WITH_RSA "SHA256withRSA" V1 Sha256 Rsa, "V1 with a key pair (`SignatureType=PRIVATEKEY`).";
    ACS3_HMAC_SHA256 "ACS3-HMAC-SHA256" V3 Sha256 Secret, "V3 with an AccessKey.";
    ACS3_HMAC_SM3 "ACS3-HMAC-SM3" V3 Sm3 Secret, "V3 with an AccessKey and SM3.";
    ACS3_RSA_SHA256 "ACS3-RSA-SHA256" V3 Sha256 Rsa, "V3 with a key pair.";
    ACS4_HMAC_SHA256 "ACS4-HMAC-SHA256" V4 Sha256 Secret, "V4 with an AccessKey.";
    ACS4_HMAC_SM3 "ACS4-HMAC-SM3" V4 Sm3 Secret, "V4 with an AccessKey and SM3.";
    CLIENT_KEY "RSA_PKCS1_SHA_256" ClientKey Sha256 Rsa, "A client key, as the secrets-manager clients sign with it.";
}

impl Algorithm {
    /// The algorithm with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name)
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// To which signature method it belongs.
    pub fn version(self) -> Version {
        self.0.version
    }

    /// Its hash.
    pub fn hash(self) -> Hash {
        self.0.hash
    }

    /// What its holder signs with.
    pub fn key(self) -> KeyKind {
        self.0.key
    }
}
