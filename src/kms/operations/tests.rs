//! The table of operations against the documented lists.

use super::*;

#[test]
fn names_are_unique_and_every_operation_needs_something() {
    let mut names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let unprotected: Vec<&str> = OPERATIONS
        .iter()
        .filter(|operation| match operation.authorization {
            Authenticated => true,
            Needs(needs) => needs.is_empty(),
        })
        .map(|operation| operation.name)
        .collect();
    assert_eq!(unprotected, ["DescribeRegions"]);
}

/// The scope lists of the documentation, applied to every need: "Modify a key policy" (2024) and "Overview of
/// secret policies". A need on a key or secret is in the scope of its policy exactly if one of them fits.
#[test]
fn scopes_are_those_of_the_documentation() {
    const KEY_SCOPE: &[&str] = &[
        "kms:List*",
        "kms:Describe*",
        "kms:Create*",
        "kms:Enable*",
        "kms:Disable*",
        "kms:Get*",
        "kms:Set*",
        "kms:Update*",
        "kms:Delete*",
        "kms:Cancel*",
        "kms:TagResource",
        "kms:UntagResource",
        "kms:ImportKeyMaterial",
        "kms:ScheduleKeyDeletion",
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:GenerateAndExportDataKey",
        "kms:AsymmetricEncrypt",
        "kms:AsymmetricDecrypt",
    ];
    const SECRET_SCOPE: &[&str] = &[
        "kms:List*",
        "kms:Describe*",
        "kms:PutSecretValue",
        "kms:Update*",
        "kms:DeleteSecret",
        "kms:RestoreSecret",
        "kms:RotateSecret",
        "kms:TagResource",
        "kms:UntagResource",
        "kms:GetSecretValue",
    ];
    let fits = |scope: &[&str], action: &str| {
        scope.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => action.starts_with(prefix),
            None => action == *pattern,
        })
    };
    for operation in OPERATIONS {
        let Needs(needs) = operation.authorization else { continue };
        for need in needs {
            let in_scope = match need.on {
                Key(_)
                | KeyIfGiven(_)
                | KeyInEither(..)
                | KeyOfCiphertext(_)
                | KeyOrCiphertext(..)
                | KeyOfAlias(_)
                | KeyOfSecret(_)
                | KeyOfSecretUnlessSession(_) => fits(KEY_SCOPE, need.action),
                Secret(_) => fits(SECRET_SCOPE, need.action),
                KeyOrSecret(..) | Batch => fits(KEY_SCOPE, need.action),
                Alias(_) | Container(_) | Role(_) | Anything => false,
            };
            assert_eq!(need.scope == ResourcePolicy, in_scope, "{} {need:?}", operation.name);
        }
    }
}
