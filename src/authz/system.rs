//! The system policies of RAM that speak about KMS, with their documented content: whoever has one attached by its name in
//! the directory need not write it. Source: RAM "System policies", each on its own page.

use std::sync::{Arc, LazyLock};

use super::vocabulary::parse_policy;
use crate::policy::{Kind, Policy};

macro_rules! documents {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("system/", $name, ".json")))),*] };
}

/// Their names and documents.
const DOCUMENTS: &[(&str, &str)] = documents![
    "AdministratorAccess",
    "AliyunKMSCryptoAdminAccess",
    "AliyunKMSCryptoUserAccess",
    "AliyunKMSFullAccess",
    "AliyunKMSReadOnlyAccess",
    "AliyunKMSSecretAdminAccess",
    "AliyunKMSSecretUserAccess",
    "AliyunSTSAssumeRoleAccess",
];

/// How their names begin; those of files begin with a folder of their own.
const FOLDER: &str = "system/";

static POLICIES: LazyLock<Vec<(&str, Arc<Policy>)>> = LazyLock::new(|| {
    let parse = |(name, text): &(&'static str, &str)| {
        let policy = parse_policy(Kind::Ram, &format!("{FOLDER}{name}"), text).ok()?;
        Some((*name, Arc::new(policy)))
    };
    DOCUMENTS.iter().filter_map(parse).collect()
});

/// The system policy of this name.
pub fn system_policy(name: &str) -> Option<Arc<Policy>> {
    POLICIES.iter().find(|(known, _)| *known == name).map(|(_, policy)| policy.clone())
}

/// Whether this is a system policy, and not one that somebody here wrote.
pub fn is_system_policy(policy: &Policy) -> bool {
    policy.name.starts_with(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Context, Decision, Identity, Principal, Question, decide};

    #[test]
    fn every_document_is_a_policy() {
        assert_eq!(POLICIES.len(), DOCUMENTS.len());
    }

    #[test]
    fn they_grant_what_their_names_say() {
        let principal = Principal { account: "1".into(), identity: Identity::User("alice".into()) };
        let key = "acs:kms:cn-hangzhou:1:key/k1";
        let secret = "acs:kms:cn-hangzhou:1:secret/s1";
        for (name, action, resource, expected) in [
            ("AdministratorAccess", "kms:Encrypt", key, true),
            ("AliyunKMSFullAccess", "kms:SetKeyPolicy", key, true),
            ("AliyunKMSFullAccess", "sts:AssumeRole", "acs:ram::1:role/r", false),
            ("AliyunKMSReadOnlyAccess", "kms:DescribeKey", key, true),
            ("AliyunKMSReadOnlyAccess", "kms:GetSecretValue", secret, false),
            ("AliyunKMSReadOnlyAccess", "kms:Encrypt", key, false),
            ("AliyunKMSCryptoUserAccess", "kms:Decrypt", key, true),
            ("AliyunKMSCryptoUserAccess", "kms:GetSecretValue", secret, false),
            ("AliyunKMSCryptoUserAccess", "kms:DescribeKey", key, false),
            ("AliyunKMSCryptoAdminAccess", "kms:DisableKey", key, true),
            ("AliyunKMSCryptoAdminAccess", "kms:DescribeSecret", secret, false),
            ("AliyunKMSSecretUserAccess", "kms:GetSecretValue", secret, true),
            ("AliyunKMSSecretUserAccess", "kms:Decrypt", key, false),
            ("AliyunKMSSecretAdminAccess", "kms:DeleteSecret", secret, true),
            ("AliyunKMSSecretAdminAccess", "kms:Decrypt", key, false),
            ("AliyunSTSAssumeRoleAccess", "sts:AssumeRole", "acs:ram::1:role/r", true),
        ] {
            let policies = [system_policy(name).unwrap()];
            let question = Question {
                principal: &principal,
                action: super::super::vocabulary().action(action),
                resource,
                owner: "1",
                identity_policies: &policies,
                session_policy: None,
                resource_policy: None,
                context: Context::default(),
                account_principal: Default::default(),
            };
            assert_eq!(matches!(decide(&question), Decision::Allow(_)), expected, "{name} {action}");
        }
    }
}
