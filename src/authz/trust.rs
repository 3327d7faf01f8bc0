//! Roles: whether the role that is to be assumed trusts the caller. Asked beside the policies, which must allow it too.

use super::Rejection;
use super::needs::Permission;
use super::rejection::Denial;
use super::snapshot::Snapshot;
use super::target::Target;
use crate::authn::Caller;
use crate::kms::{ErrorCode, KmsError};
use crate::policy::Identity;

/// Why root is refused (STS AssumeRole).
const NOT_BY_ROOT: &str = "Roles may not be assumed by root accounts.";

/// Lets a permission pass whose target is no role, or one that trusts the caller. A role that is not there is reported to
/// its own account only.
pub(super) fn check(snapshot: &Snapshot, caller: &Caller<'_>, permission: &Permission) -> Result<(), Rejection> {
    let Target::Role(target) = &permission.target else { return Ok(()) };
    let refused = |error: KmsError| {
        let denial = Denial::of_trust(&snapshot.rules, &caller.principal, permission, error);
        Err(Rejection::Denied(Box::new(denial)))
    };
    if caller.principal.identity == Identity::Root {
        return refused(KmsError::new(ErrorCode::StsNoPermission, NOT_BY_ROOT));
    }
    match snapshot.directory.role(&target.account, &target.name) {
        Some((_, role)) if role.trusts(&caller.principal) => Ok(()),
        // Told by whoever executes the request.
        None if *target.account == *caller.principal.account => Ok(()),
        _ => refused(ErrorCode::StsNoPermission.into()),
    }
}
