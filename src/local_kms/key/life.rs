//! The life of a key: its states, what each allows, and what happens to it by itself.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::cipher::CipherError;
use super::super::ids::Ids;
use super::super::moment::Moment;
use super::{Key, KeyVersion, VERSIONS_MAX};
use crate::kms::{ErrorCode, KmsError};

/// What may be done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing cryptographic.
    Disabled,
    /// Nothing but to look at it, and to cancel its deletion.
    PendingDeletion,
    /// Nothing cryptographic: its material is to be imported.
    PendingImport,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// For what a key is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Encrypting, decrypting, signing; making versions, and rotating.
    Cryptography,
    /// Changing its description or tags, or pointing an alias elsewhere to it.
    Update,
    /// Enabling and disabling it.
    Switch,
    /// Scheduling its deletion, giving it an alias, importing its material.
    Schedule,
    /// Cancelling its deletion.
    Cancel,
}

impl Purpose {
    /// The rejections: of enabled and disabled keys, and of those that wait for their deletion or their material.
    fn rejections(self) -> [Option<ErrorCode>; 4] {
        use ErrorCode::{Disabled, PendingDeletion, PendingImport, StateModifiedFailed};
        match self {
            Self::Cryptography => [None, Some(Disabled), Some(PendingDeletion), Some(PendingImport)],
            Self::Update => [None, None, Some(PendingDeletion), None],
            Self::Switch => [None, None, Some(StateModifiedFailed), Some(StateModifiedFailed)],
            Self::Schedule => [None, None, Some(StateModifiedFailed), None],
            Self::Cancel => [Some(StateModifiedFailed), Some(StateModifiedFailed), None, Some(StateModifiedFailed)],
        }
    }
}

/// Automatic rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How often, in seconds.
    pub interval: u32,
    /// When the next time is.
    pub next: Moment,
}

/// What is known of material that comes from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Of the first material that was imported, a hash: no other is taken later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Whether the key was disabled when its material was deleted: it comes back disabled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// When the material is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
}

impl Key {
    /// The key itself, if its state lets it be used for this (KMS: "Impact of the key state on API calls").
    ///
    /// # Errors
    /// 409 `Rejected.…`, the code for the key's state.
    pub fn fit_for(&self, purpose: Purpose) -> Result<&Self, KmsError> {
        let [enabled, disabled, pending_deletion, pending_import] = purpose.rejections();
        let rejection = match self.state {
            KeyState::Enabled => enabled,
            KeyState::Disabled => disabled,
            KeyState::PendingDeletion => pending_deletion,
            KeyState::PendingImport => pending_import,
        };
        rejection.map_or(Ok(self), |code| Err(code.into()))
    }

    /// The key with a new version, which encrypts from now on; its other versions still decrypt.
    pub fn with_version(&self, version: KeyVersion, now: Moment) -> Self {
        let mut next = self.clone();
        let former = std::mem::replace(&mut next.primary, version);
        next.earlier.insert(0, former);
        if let Some(rotation) = &mut next.rotation {
            rotation.next = now.plus(rotation.interval);
        }
        next
    }

    /// The key after its rotation; without rotation, if it has as many versions as a key can have.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn rotated(&self, ids: &Ids, now: Moment) -> Result<Self, CipherError> {
        if self.versions().count() >= VERSIONS_MAX {
            return Ok(Self { rotation: None, ..self.clone() });
        }
        Ok(self.with_version(KeyVersion::generate(self.spec, ids, now)?, now))
    }

    /// The key with material from outside, until `expires`.
    ///
    /// # Errors
    /// 400 `InvalidKeyMaterial`: it is no material of its spec, or another than it had before.
    pub fn imported(&self, material: Zeroizing<Vec<u8>>, expires: Option<Moment>) -> Result<Self, KmsError> {
        let fingerprint =
            BASE64.encode(&Sha256::new().chain_update(&self.primary.id).chain_update(&*material).finalize());
        let known = self.import.as_ref().and_then(|import| import.fingerprint.as_deref());
        let primary = self.primary.with_material(self.spec, material);
        match primary.filter(|_| known.is_none_or(|known| known == fingerprint)) {
            Some(primary) => {
                let disabled = self.import.as_ref().is_some_and(|import| import.disabled);
                let state = match self.state {
                    KeyState::PendingImport if disabled => KeyState::Disabled,
                    KeyState::PendingImport => KeyState::Enabled,
                    state => state,
                };
                let import = Some(Import { fingerprint: Some(fingerprint), disabled: false, expires });
                Ok(Self { primary, state, import, ..self.clone() })
            }
            None => Err(ErrorCode::InvalidKeyMaterial.into()),
        }
    }

    /// The key without the material that was imported.
    pub fn without_material(&self) -> Self {
        let waits = matches!(self.state, KeyState::Enabled | KeyState::Disabled);
        let state = if waits { KeyState::PendingImport } else { self.state };
        let known = self.import.clone().unwrap_or_default();
        let disabled = known.disabled || self.state == KeyState::Disabled;
        let import = Some(Import { disabled, expires: None, ..known });
        Self { state, import, primary: self.primary.without_material(), ..self.clone() }
    }

    /// The key after its deletion was called off.
    pub fn kept(&self) -> Self {
        let state = if self.primary.is_awaiting() { KeyState::PendingImport } else { KeyState::Enabled };
        Self { state, deletion: None, ..self.clone() }
    }

    /// When the next thing happens to it by itself: its deletion, the end of its material, or its rotation.
    pub fn due(&self) -> Option<Moment> {
        let rotation = self.rotation.as_ref().filter(|_| self.state == KeyState::Enabled);
        let expires = self.import.as_ref().and_then(|import| import.expires);
        [self.deletion, expires, rotation.map(|rotation| rotation.next)].into_iter().flatten().min()
    }

    /// The key after what should have happened by `now`; `None` if it is deleted.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn after(&self, ids: &Ids, now: Moment) -> Result<Option<Self>, CipherError> {
        let over = |moment: Option<Moment>| moment.is_some_and(|moment| moment <= now);
        if over(self.deletion) {
            return Ok(None);
        }
        if over(self.import.as_ref().and_then(|import| import.expires)) {
            return Ok(Some(self.without_material()));
        }
        let rotation = self.rotation.as_ref().filter(|_| self.state == KeyState::Enabled);
        if over(rotation.map(|rotation| rotation.next)) {
            self.rotated(ids, now).map(Some)
        } else {
            Ok(Some(self.clone()))
        }
    }
}
