//! One permitted request on its way through the embedded KMS.
//!
//! What it acts on are the permit's targets, in the order of the operation's needs: those were judged. Names in the
//! parameters are never resolved again, because an alias may point elsewhere by now.

use std::cell::RefCell;
use std::fmt::Display;

use jiff::Timestamp;

use crate::authz::{Owned, Permit, PolicyTable, Target};
use crate::kms::{AliasName, CiphertextBlob, ErrorCode, KeyId, KeyRef, KmsError, Params, SecretName};
use crate::policy::Principal;
use crate::served::Asked;
use crate::store::PolicyChange;

use super::LocalKms;
use super::moment::Moment;
use super::state::Draft;

/// One permitted request, and the KMS that executes it.
pub struct Execution<'a> {
    /// The KMS.
    pub kms: &'a LocalKms,
    permit: &'a Permit,
    /// When it happens, for what is kept.
    pub now: Moment,
    /// When it really happens, for what callers keep and show elsewhere.
    pub real_now: Timestamp,
    /// The policies that it changed so far.
    changes: RefCell<Vec<PolicyChange>>,
}

impl<'a> Execution<'a> {
    /// An execution of what `permit` permits.
    pub fn new(kms: &'a LocalKms, permit: &'a Permit, now: Moment, real_now: Timestamp) -> Self {
        Self { kms, permit, now, real_now, changes: RefCell::default() }
    }

    /// Makes a change to what the KMS holds; see [`LocalKms::write`].
    ///
    /// # Errors
    /// Those of `change`, or it cannot be kept.
    pub fn write<T>(&self, change: impl FnOnce(&mut Draft) -> Result<T, KmsError>) -> Result<T, KmsError> {
        let (answer, dropped) = self.kms.write(change)?;
        self.changes.borrow_mut().extend(dropped);
        Ok(answer)
    }

    /// Notes that a policy was changed.
    pub fn note(&self, change: PolicyChange) {
        self.changes.borrow_mut().push(change);
    }

    /// The policies that were changed.
    pub fn into_changes(self) -> Vec<PolicyChange> {
        self.changes.into_inner()
    }

    /// The same, to be answered without regard to what the KMS holds.
    pub fn asked(&self) -> Asked<'_> {
        Asked { permit: self.permit, store: &self.kms.store, now: self.real_now }
    }

    /// The policies that judged it.
    pub fn policies(&self) -> &'a PolicyTable {
        self.permit.policies()
    }

    /// The hash of the policy that it means to replace, if it says so.
    pub fn if_match(&self) -> Option<&'a str> {
        self.permit.request().if_match.as_deref()
    }

    /// The request's parameters.
    pub fn params(&self) -> &'a Params {
        &self.permit.request().params
    }

    /// The account in whose name things are created and listed: the caller's.
    pub fn account(&self) -> &'a str {
        &self.permit.caller().account
    }

    /// Whether the operation's need at `position` was there at all.
    pub fn has_target(&self, position: usize) -> bool {
        self.permit.targets().get(position).is_some()
    }

    /// Who asks.
    pub fn caller(&self) -> &'a Principal {
        self.permit.caller()
    }

    /// Everything that was judged, in the order of the operation's needs.
    pub fn targets(&self) -> &'a [Target] {
        self.permit.targets()
    }

    /// The key that was judged for the operation's need at `position`. Whether it exists is for the state to say.
    ///
    /// # Errors
    /// The request names none that could be ours: `Forbidden.KeyNotFound`, `Forbidden.AliasNotFound`, or
    /// `InvalidParameter` for what is no ciphertext.
    pub fn key(&self, position: usize) -> Result<&'a Owned<KeyId>, KmsError> {
        match self.permit.targets().get(position) {
            Some(Target::Key(key)) if key.region == *self.kms.region => Ok(key),
            Some(Target::Key(_)) => Err(ErrorCode::KeyNotFound.into()),
            Some(Target::UnknownAlias(_)) => Err(ErrorCode::AliasNotFound.into()),
            Some(Target::UnknownCiphertext) => {
                ciphertext(self.params())?;
                Err(ErrorCode::KeyNotFound.into())
            }
            _ => Err(internal_failure("the permit has no key where the operation needs one")),
        }
    }

    /// The secret that was judged for the operation's need at `position`.
    ///
    /// # Errors
    /// It is in another region: `Forbidden.ResourceNotFound`.
    pub fn secret(&self, position: usize) -> Result<&'a Owned<SecretName>, KmsError> {
        match self.permit.targets().get(position) {
            Some(Target::Secret(secret)) if secret.region == *self.kms.region => Ok(secret),
            Some(Target::Secret(_)) => Err(ErrorCode::ResourceNotFound.into()),
            _ => Err(internal_failure("the permit has no secret where the operation needs one")),
        }
    }

    /// The alias that was judged for the operation's need at `position`; always one of the caller's account.
    ///
    /// # Errors
    /// None that a request could cause.
    pub fn alias(&self, position: usize) -> Result<&'a AliasName, KmsError> {
        match self.permit.targets().get(position) {
            Some(Target::Alias(alias)) => Ok(&alias.name),
            _ => Err(internal_failure("the permit has no alias where the operation needs one")),
        }
    }

    /// Refuses an alias in `KeyId` or `ProtectedResourceArn`, for operations that take a key's id or ARN only.
    ///
    /// # Errors
    /// 400 `Unsupported.Alias`.
    pub fn refuse_alias(&self) -> Result<(), KmsError> {
        let named = ["KeyId", "ProtectedResourceArn"].map(|name| self.params().get(name).and_then(KeyRef::parse));
        let is_alias = |named: &Option<_>| matches!(named, Some((_, KeyRef::Alias(_))));
        if named.iter().any(is_alias) { Err(ErrorCode::UnsupportedAlias.into()) } else { Ok(()) }
    }
}

/// The ciphertext at `CiphertextBlob`.
///
/// # Errors
/// It is missing, or no ciphertext.
pub fn ciphertext(params: &Params) -> Result<CiphertextBlob, KmsError> {
    let text = params.require("CiphertextBlob")?;
    CiphertextBlob::decode(text).ok_or_else(|| KmsError::invalid_parameter("CiphertextBlob"))
}

/// 500 `InternalFailure`; why goes to the log only.
pub fn internal_failure(why: impl Display) -> KmsError {
    tracing::error!(%why, "the embedded KMS failed");
    ErrorCode::InternalFailure.into()
}

impl From<super::cipher::CipherError> for KmsError {
    fn from(error: super::cipher::CipherError) -> Self {
        internal_failure(error)
    }
}
