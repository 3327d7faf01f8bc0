//! `keyward template`: policies to begin with, as the console's visual editor makes them.
//!
//! The first statement is the one that every key and secret has: it leaves the account's users and roles to RAM. The
//! second gives one of the console's roles to somebody.

use std::io::Write;

use clap::ValueEnum;
use serde_json::json;

use super::{Exit, banner};
use crate::kms::is_account_id;
use crate::policy::{PrincipalPattern, Whom};

/// Arguments of `keyward template`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    keyward template key-user --owner 1234567890123456 --principal acs:ram::1234567890123456:user/alice \\\n    \
    > policies/keys/key-exampleorders01.json")]
pub struct Template {
    /// Which policy
    #[arg(value_enum, value_name = "ROLE")]
    role: RoleName,
    /// The account that owns the key or secret
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    owner: String,
    /// Who gets the role: acs:ram::ACCOUNT:user/NAME or …:role/NAME; may be repeated [default: a name to replace]
    #[arg(long = "principal", value_name = "ARN")]
    principals: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Administers a key, and cannot encrypt or decrypt with it
    KeyAdmin,
    /// Encrypts and decrypts with a key
    KeyUser,
    /// The same, from another account
    KeyCrossAccountUser,
    /// Administers a secret, and cannot read it
    SecretAdmin,
    /// Reads a secret
    SecretUser,
    /// The same, from another account
    SecretCrossAccountUser,
}

/// One role of the console.
struct Role {
    name: RoleName,
    /// The Sid of the owner's statement.
    owner_sid: &'static str,
    sid: &'static str,
    /// Whether it is for other accounts than the owner's.
    foreign: bool,
    actions: &'static [&'static str],
}

const KEY_OWNER: &str = "kms default key policy";
const SECRET_OWNER: &str = "kms default secret policy";

/// KMS "SetKeyPolicy", the sample of an administrator.
const ADMINISTER_KEY: &[&str] = &[
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
];

/// KMS "Modify a key policy", the actions of users and of users of other accounts.
const USE_KEY: &[&str] = &[
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateAndExportDataKey",
    "kms:AsymmetricEncrypt",
    "kms:AsymmetricDecrypt",
    "kms:DescribeKey",
    "kms:DescribeKeyVersion",
    "kms:ListKeyVersions",
    "kms:ListAliasesByKeyId",
    "kms:TagResource",
];

/// For other accounts without `kms:TagResource`: they can use a key, not administer it.
const USE_FOREIGN_KEY: &[&str] = match USE_KEY {
    [all @ .., _tag] => all,
    [] => &[],
};

/// KMS "Overview of secret policies", what an administrator may do.
const ADMINISTER_SECRET: &[&str] = &[
    "kms:List*",
    "kms:Describe*",
    "kms:PutSecretValue",
    "kms:Update*",
    "kms:DeleteSecret",
    "kms:RestoreSecret",
    "kms:RotateSecret",
    "kms:TagResource",
    "kms:UntagResource",
];

/// KMS "Configure a secret policy", what users and users of other accounts may do.
const USE_SECRET: &[&str] = &["kms:List*", "kms:Describe*", "kms:GetSecretValue"];

const ROLES: &[Role] = &[
    Role {
        name: RoleName::KeyAdmin,
        owner_sid: KEY_OWNER,
        sid: "KeyAdministrators",
        foreign: false,
        actions: ADMINISTER_KEY,
    },
    Role { name: RoleName::KeyUser, owner_sid: KEY_OWNER, sid: "KeyUsers", foreign: false, actions: USE_KEY },
    Role {
        name: RoleName::KeyCrossAccountUser,
        owner_sid: KEY_OWNER,
        sid: "CrossAccountKeyUsers",
        foreign: true,
        actions: USE_FOREIGN_KEY,
    },
    Role {
        name: RoleName::SecretAdmin,
        owner_sid: SECRET_OWNER,
        sid: "SecretAdministrators",
        foreign: false,
        actions: ADMINISTER_SECRET,
    },
    Role {
        name: RoleName::SecretUser,
        owner_sid: SECRET_OWNER,
        sid: "SecretUsers",
        foreign: false,
        actions: USE_SECRET,
    },
    Role {
        name: RoleName::SecretCrossAccountUser,
        owner_sid: SECRET_OWNER,
        sid: "CrossAccountSecretUsers",
        foreign: true,
        actions: USE_SECRET,
    },
];

/// Prints the policy.
pub fn run(template: &Template) -> Exit {
    let Some(role) = ROLES.iter().find(|role| role.name == template.role) else { return Exit::CouldNotSay };
    match policy(role, &template.owner, &template.principals) {
        Ok(policy) => {
            if template.principals.is_empty() {
                let _ = writeln!(anstream::stderr(), "Replace user/NAME, or name somebody with --principal ARN.");
            }
            let _ = writeln!(anstream::stdout(), "{policy}");
            Exit::Yes
        }
        Err(message) => {
            banner::failure(&message);
            Exit::CouldNotSay
        }
    }
}

fn policy(role: &Role, owner: &str, principals: &[String]) -> Result<String, String> {
    for principal in principals {
        check(role, owner, principal)?;
    }
    let somewhere = if role.foreign { "0000000000000000" } else { owner };
    let somebody = [format!("acs:ram::{somewhere}:user/NAME")];
    let principals = if principals.is_empty() { &somebody } else { principals };
    let policy = json!({
        "Version": "1",
        "Statement": [
            {
                "Sid": role.owner_sid,
                "Effect": "Allow",
                "Principal": { "RAM": [format!("acs:ram::{owner}:*")] },
                "Action": ["kms:*"],
                "Resource": ["*"],
            },
            {
                "Sid": role.sid,
                "Effect": "Allow",
                "Principal": { "RAM": principals },
                "Action": role.actions,
                "Resource": ["*"],
            },
        ],
    });
    Ok(format!("{policy:#}"))
}

/// The console gives these roles to users and roles only, and each to one side of the account's border.
fn check(role: &Role, owner: &str, principal: &str) -> Result<(), String> {
    let entry = PrincipalPattern::parse(principal)?;
    if !matches!(entry.whom, Whom::User(_) | Whom::Role(_)) {
        return Err(format!("`{principal}` is neither a user nor a role"));
    }
    match (*entry.account == *owner, role.foreign) {
        (true, true) => Err(format!("`{principal}` belongs to the owner's account; this role is for other accounts")),
        (false, false) => Err(format!("`{principal}` belongs to another account; there is a cross-account role")),
        _ => Ok(()),
    }
}

fn account(text: &str) -> Result<String, String> {
    if is_account_id(text) { Ok(text.to_owned()) } else { Err("an account id is digits only".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{parse_policy, vocabulary};
    use crate::policy::{Kind, Subject, lint};

    #[test]
    fn every_template_is_a_policy_without_findings() {
        for role in ROLES {
            let kind = if role.owner_sid == KEY_OWNER { Kind::Key } else { Kind::Secret };
            let text = policy(role, "1", &[]).unwrap();
            let parsed = parse_policy(kind, "template", &text).unwrap();
            let subject =
                Subject { policy: &parsed, owner: "1", vocabulary: vocabulary(), is_attached: true, knows: &|_| None };
            let codes: Vec<&str> = lint(&subject).iter().map(|finding| finding.code).collect();
            // The console's administrators may replace the policy; that is what they are for.
            let expected: &[&str] = if role.name == RoleName::KeyAdmin { &["rewritable"] } else { &[] };
            assert_eq!(codes, expected, "{:?}", role.name);
        }
        let names: Vec<RoleName> = ROLES.iter().map(|role| role.name).collect();
        assert_eq!(names, RoleName::value_variants());
    }

    #[test]
    fn roles_keep_to_their_side_of_the_border() {
        let of = |name| ROLES.iter().find(|role| role.name == name).unwrap();
        for (name, principal, fine) in [
            (RoleName::KeyUser, "acs:ram::1:user/alice", true),
            (RoleName::KeyUser, "acs:ram::1:role/app", true),
            (RoleName::KeyUser, "acs:ram::2:user/carol", false),
            (RoleName::KeyUser, "acs:ram::1:root", false),
            (RoleName::KeyCrossAccountUser, "acs:ram::2:user/carol", true),
            (RoleName::KeyCrossAccountUser, "acs:ram::1:user/alice", false),
            (RoleName::SecretUser, "alice", false),
        ] {
            assert_eq!(policy(of(name), "1", &[principal.to_owned()]).is_ok(), fine, "{name:?} {principal}");
        }
    }
}
