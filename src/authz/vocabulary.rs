//! The actions of KMS as policies know them, taken from the operations table.

use std::sync::LazyLock;

use crate::kms::{Api, Authorization, Effect, Need, OPERATIONS, On, Operation, Scope};
use crate::policy::{Kind, KnownAction, Policy, Vocabulary};
use crate::source::Problem;

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let needs = OPERATIONS.iter().flat_map(|operation| match operation.authorization {
        Authorization::Needs(needs) => needs,
        Authorization::Authenticated => &[],
    });
    Vocabulary::new(needs.map(known_action))
});

/// The actions of KMS.
pub fn vocabulary() -> &'static Vocabulary {
    &VOCABULARY
}

/// Reads a policy that speaks about KMS; see [`Policy::parse`].
///
/// # Errors
/// Every problem of the text, each with its place.
pub fn parse_policy(kind: Kind, name: &str, text: &str) -> Result<Policy, Vec<Problem>> {
    Policy::parse(kind, name, text, vocabulary())
}

/// A denial in the place of a policy; see [`Policy::denial`].
pub fn denial(name: &str, why: &str) -> Policy {
    Policy::denial(name, why, vocabulary())
}

fn known_action(need: &Need) -> KnownAction {
    let in_scope = need.scope == Scope::ResourcePolicy;
    let (on_key, on_secret) = match need.on {
        On::Key(_)
        | On::KeyIfGiven(_)
        | On::KeyInEither(..)
        | On::KeyOfCiphertext(_)
        | On::KeyOrCiphertext(..)
        | On::KeyOfAlias(_)
        | On::KeyOfSecret(_)
        | On::KeyOfSecretUnlessSession(_) => (true, false),
        On::Secret(_) => (false, true),
        On::KeyOrSecret(..) | On::Batch => (true, true),
        On::Alias(_) | On::Container(_) | On::Role(_) | On::Anything => (false, false),
    };
    // The operation of that name, which need not be the one that needs it: PutSecretValue needs kms:GenerateDataKey.
    let operation = need.action.strip_prefix("kms:").and_then(|name| Operation::find(Api::Kms, name));
    KnownAction {
        name: need.action,
        in_key_policies: in_scope && on_key,
        in_secret_policies: in_scope && on_secret,
        administers: operation.is_some_and(|operation| operation.effect == Effect::Write),
        replaces_policy: operation
            .is_some_and(|operation| ["SetKeyPolicy", "SetSecretPolicy"].contains(&operation.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ACTIONS_MAX;

    #[test]
    fn every_action_is_known_by_name() {
        let actions = vocabulary().actions();
        assert!(actions.len() < ACTIONS_MAX, "{} actions need a larger set", actions.len());
        let find = |name: &str| actions.iter().find(|action| action.name == name).unwrap();
        for (name, in_keys, in_secrets) in [
            ("kms:Encrypt", true, false),
            ("kms:ReEncryptTo", false, false),
            ("kms:GetSecretValue", false, true),
            ("kms:TagResource", true, true),
            ("kms:CreateAlias", true, false),
            ("kms:ListKeys", false, false),
            ("kms:SetSecretPolicy", false, false),
        ] {
            let action = find(name);
            assert_eq!((action.in_key_policies, action.in_secret_policies), (in_keys, in_secrets), "{name}");
        }
        for (name, administers, replaces_policy) in [
            ("kms:DisableKey", true, false),
            ("kms:SetKeyPolicy", true, true),
            ("kms:SetSecretPolicy", true, true),
            ("kms:GenerateDataKey", false, false),
            ("kms:ReEncryptTo", false, false),
            ("kms:GetKeyPolicy", false, false),
        ] {
            let action = find(name);
            assert_eq!((action.administers, action.replaces_policy), (administers, replaces_policy), "{name}");
        }
    }
}
