//! Versions of keys: each has a secret of its own.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kms::{CiphertextBlob, ErrorCode, KmsError};

use super::super::asymmetric::PrivateKey;
use super::super::cipher::{CipherError, Material};
use super::super::ids::Ids;
use super::super::mac::MacKey;
use super::super::moment::Moment;
use super::KeySpec;

/// A version of a key. Does not print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "StoredVersion", try_from = "StoredVersion")]
pub struct KeyVersion {
    /// Its id, a UUID: 36 characters, as [`CiphertextBlob`] needs it.
    pub id: String,
    /// When it was created.
    pub created: Moment,
    secret: Secret,
}

/// The secret part.
#[derive(Clone)]
enum Secret {
    /// Of a symmetric key.
    Cipher(Material),
    /// Of an asymmetric key.
    Pair(PrivateKey),
    /// Of a key for message authentication codes.
    Mac(MacKey),
    /// It is to be imported.
    Awaited,
}

impl KeyVersion {
    /// A new version with a random secret. For RSA this takes up to seconds.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(spec: KeySpec, ids: &Ids, now: Moment) -> Result<Self, CipherError> {
        let secret = match spec {
            KeySpec::Pair(spec) => Secret::Pair(PrivateKey::generate(spec).map_err(|_| CipherError::Refused)?),
            KeySpec::Mac(algorithm) => Secret::Mac(MacKey::generate(algorithm)?),
            spec => {
                let (cipher, bytes) = spec.symmetric().ok_or(CipherError::Refused)?;
                Secret::Cipher(Material::generate(cipher, bytes)?)
            }
        };
        Ok(Self { secret, ..Self::awaiting(ids, now) })
    }

    /// A new version whose secret is to be imported.
    pub fn awaiting(ids: &Ids, now: Moment) -> Self {
        Self { id: ids.uuid(), created: now, secret: Secret::Awaited }
    }

    /// The same version with this secret; `None` if keys of the spec have none like that.
    pub fn with_material(&self, spec: KeySpec, bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let (cipher, count) = spec.symmetric()?;
        let material = Material::from_bytes(cipher, bytes).filter(|material| material.size() == count)?;
        Some(Self { secret: Secret::Cipher(material), ..self.clone() })
    }

    /// The same version without its secret.
    pub fn without_material(&self) -> Self {
        Self { secret: Secret::Awaited, ..self.clone() }
    }

    /// Whether its secret is one of a key of this spec, or is still to be imported.
    pub fn fits(&self, spec: KeySpec) -> bool {
        match (&self.secret, spec) {
            (Secret::Pair(pair), KeySpec::Pair(spec)) => pair.spec() == spec,
            (Secret::Mac(key), KeySpec::Mac(algorithm)) => key.algorithm() == algorithm,
            (Secret::Cipher(material), spec) => spec.symmetric() == Some((material.cipher(), material.size())),
            (Secret::Awaited, spec) => spec.symmetric().is_some(),
            _ => false,
        }
    }

    /// Whether its secret is to be imported.
    pub fn is_awaiting(&self) -> bool {
        matches!(self.secret, Secret::Awaited)
    }

    /// Seals `plaintext`, bound to `context` and to this version.
    ///
    /// # Errors
    /// There is no randomness, or it is no version of a symmetric key.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<CiphertextBlob, CipherError> {
        let Secret::Cipher(material) = &self.secret else { return Err(CipherError::Refused) };
        let sealed = material.seal(&self.associated(context), plaintext)?;
        Ok(CiphertextBlob::new(&self.id, &sealed))
    }

    /// Opens what this version sealed for this context; `None` for anything else.
    pub fn open(&self, context: &[u8], ciphertext: &CiphertextBlob) -> Option<Zeroizing<Vec<u8>>> {
        let Secret::Cipher(material) = &self.secret else { return None };
        let ours = ciphertext.version_id() == self.id;
        ours.then(|| material.open(&self.associated(context), ciphertext.sealed())).flatten()
    }

    /// An id always has 36 characters, so where it ends and the context begins is never in doubt.
    fn associated(&self, context: &[u8]) -> Vec<u8> {
        [self.id.as_bytes(), context].concat()
    }

    /// Its private key.
    ///
    /// # Errors
    /// 400 `Rejected.UnsupportedOperation`: it is no version of an asymmetric key.
    pub fn pair(&self) -> Result<&PrivateKey, KmsError> {
        match &self.secret {
            Secret::Pair(pair) => Ok(pair),
            _ => Err(ErrorCode::RejectedUnsupportedOperation.into()),
        }
    }

    /// Its key for message authentication codes.
    ///
    /// # Errors
    /// 400 `Rejected.UnsupportedOperation`: it has none.
    pub fn mac(&self) -> Result<&MacKey, KmsError> {
        match &self.secret {
            Secret::Mac(key) => Ok(key),
            _ => Err(ErrorCode::RejectedUnsupportedOperation.into()),
        }
    }
}

/// A version as it is kept: it has one of the three secrets, or says that it awaits one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVersion {
    id: String,
    created: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    material: Option<Material>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pair: Option<PrivateKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<MacKey>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    awaited: bool,
}

impl From<KeyVersion> for StoredVersion {
    fn from(version: KeyVersion) -> Self {
        let KeyVersion { id, created, secret } = version;
        let stored = Self { id, created, material: None, pair: None, mac: None, awaited: false };
        match secret {
            Secret::Cipher(material) => Self { material: Some(material), ..stored },
            Secret::Pair(pair) => Self { pair: Some(pair), ..stored },
            Secret::Mac(mac) => Self { mac: Some(mac), ..stored },
            Secret::Awaited => Self { awaited: true, ..stored },
        }
    }
}

impl TryFrom<StoredVersion> for KeyVersion {
    type Error = &'static str;

    fn try_from(stored: StoredVersion) -> Result<Self, Self::Error> {
        let secret = match (stored.material, stored.pair, stored.mac, stored.awaited) {
            (Some(material), None, None, false) => Secret::Cipher(material),
            (None, Some(pair), None, false) => Secret::Pair(pair),
            (None, None, Some(mac), false) => Secret::Mac(mac),
            (None, None, None, true) => Secret::Awaited,
            _ => return Err("a key version does not have exactly one secret"),
        };
        Ok(Self { id: stored.id, created: stored.created, secret })
    }
}
