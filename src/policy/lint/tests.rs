//! One policy for each rule, and what it is told.

use super::*;

fn vocabulary() -> Vocabulary {
    let known = |(name, in_key_policies, in_secret_policies)| KnownAction {
        name,
        in_key_policies,
        in_secret_policies,
        administers: ["kms:SetKeyPolicy", "kms:DisableKey"].contains(&name),
        replaces_policy: name == "kms:SetKeyPolicy",
    };
    Vocabulary::new(
        [
            ("kms:Encrypt", true, false),
            ("kms:Decrypt", true, false),
            ("kms:AsymmetricSign", false, false),
            ("kms:SetKeyPolicy", true, false),
            ("kms:DisableKey", true, false),
            ("kms:GetSecretValue", false, true),
        ]
        .map(known),
    )
}

fn findings(kind: Kind, statements: &[String]) -> Vec<(&'static str, String)> {
    let vocabulary = vocabulary();
    let text = format!(r#"{{"Version":"1","Statement":[{}]}}"#, statements.join(","));
    let policy = Policy::parse(kind, "p", &text, &vocabulary).unwrap_or_else(|problems| panic!("{problems:?}"));
    let knows = |entry: &PrincipalPattern| {
        (*entry.account == *"1").then(|| !matches!(&entry.whom, Whom::User(name) if name.as_str() == "nobody"))
    };
    let subject = Subject { policy: &policy, owner: "1", vocabulary: &vocabulary, knows: &knows, is_attached: true };
    lint(&subject).into_iter().map(|finding| (finding.code, finding.problem.message)).collect()
}

fn key(effect: &str, principal: &str, action: &str, rest: &str) -> String {
    let principal = format!(r#""Principal":{{"RAM":"{principal}"}}"#);
    format!(r#"{{"Effect":"{effect}",{principal},"Action":"{action}","Resource":"*"{rest}}}"#)
}

fn ram(effect: &str, action: &str, resource: &str, rest: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"{rest}}}"#)
}

const ALICE: &str = "acs:ram::1:user/alice";
const ANY_KEY: &str = "acs:kms:*:1:key/*";

/// Rows of: what kind of policy, its statements, the rule's code, and what it says.
type Row = (Kind, Vec<String>, &'static str, &'static str);

fn assert_found<const N: usize>(rows: [Row; N]) {
    for (kind, statements, code, message) in rows {
        assert_eq!(findings(kind, &statements), [(code, message.to_owned())], "{statements:?}");
    }
}

fn condition(inner: &str) -> String {
    format!(r#","Condition":{{{inner}}}"#)
}

#[test]
fn statements_that_do_nothing_are_found() {
    assert_found([
        (
            Kind::Ram,
            vec![ram("Deny", "kms:GetSecretValu", "*", "")],
            "unknown-action",
            "KMS has no action `kms:GetSecretValu`; did you mean `kms:GetSecretValue`?",
        ),
        (
            Kind::Key,
            vec![key("Allow", ALICE, "kms:AsymmetricSign", "")],
            "no-effect",
            "`kms:AsymmetricSign` has no effect in a key policy; only RAM policies decide",
        ),
        (
            Kind::Secret,
            vec![key("Allow", ALICE, "kms:Decrypt", "")],
            "no-effect",
            "`kms:Decrypt` has no effect in a secret policy; only RAM policies decide",
        ),
        (
            Kind::Ram,
            vec![ram("Allow", "kms:Decrypt", ANY_KEY, ""), ram("Deny", "kms:*", "*", "")],
            "unreachable",
            "statement 2 denies all of this already",
        ),
        (
            Kind::Key,
            vec![key("Deny", "acs:ram::1:*", "kms:*", ""), key("Allow", ALICE, "kms:Decrypt", "")],
            "unreachable",
            "statement 1 denies all of this already",
        ),
        (
            Kind::Ram,
            vec![
                ram("Allow", "kms:Encrypt", ANY_KEY, r#","Sid":"A""#),
                ram("Allow", "kms:Decrypt", ANY_KEY, r#","Sid":"A""#),
            ],
            "duplicate-sid",
            "Sid `A` is that of statement 1 too",
        ),
    ]);
}

#[test]
fn whoever_is_let_in_too_far_is_found() {
    assert_found([
        (Kind::Ram, vec![ram("Allow", "kms:*", "*", "")], "over-broad", "allows every KMS action on every resource"),
        (
            Kind::Key,
            vec![key("Allow", "acs:ram::1:user/*", "kms:Decrypt", "")],
            "over-broad",
            "allows everybody that `acs:ram::1:user/*` can name",
        ),
        (
            Kind::Key,
            vec![key("Allow", "acs:ram::2:user/carol", "kms:DisableKey", "")],
            "cross-account-admin",
            "lets acs:ram::2:user/carol administer it, with kms:DisableKey for example",
        ),
        (
            Kind::Key,
            vec![key("Allow", ALICE, "kms:Set*", "")],
            "rewritable",
            "lets `acs:ram::1:user/alice` replace this policy (kms:SetKeyPolicy)",
        ),
        (
            Kind::Key,
            vec![key("Deny", "acs:ram::1:user/nobody", "kms:Decrypt", "")],
            "unknown-principal",
            "`acs:ram::1:user/nobody` is nobody in the directory",
        ),
    ]);
}

#[test]
fn conditions_that_cannot_hold_are_found() {
    assert_found([
        (
            Kind::Ram,
            vec![ram("Deny", "kms:Decrypt", "*", &condition(r#""StringEquals":{"kms:KeySpec":"x"}"#))],
            "unknown-condition-key",
            "condition key `kms:KeySpec` has no value here",
        ),
        (
            Kind::Ram,
            vec![ram("Deny", "kms:Decrypt", "*", &condition(r#""StringLike":{"acs:SourceIp":"10.*"}"#))],
            "condition-type",
            "StringLike is not made for `acs:SourceIp`",
        ),
        (
            Kind::Secret,
            vec![key(
                "Deny",
                ALICE,
                "kms:GetSecretValue",
                &condition(r#""StringEquals":{"kms:EncryptionAlgorithm":"x"}"#),
            )],
            "condition-not-here",
            "`kms:EncryptionAlgorithm` is not documented for a secret policy",
        ),
        (
            Kind::Ram,
            vec![ram("Deny", "*", ANY_KEY, &condition(r#""StringEquals":{"acs:SourceVpc":"vpc-1"}"#))],
            "vpc-needs-kms-actions",
            "with acs:SourceVpc every action must begin with kms:",
        ),
    ]);
}

/// A Deny covers what it surely denies, and nothing else.
#[test]
fn only_what_is_denied_already_is_unreachable() {
    let denied = |by: usize| vec![("unreachable", format!("statement {by} denies all of this already"))];
    for (kind, statements, found) in [
        (Kind::Ram, [ram("Deny", "kms:Decrypt", "*", ""), ram("Allow", "oss:*", "*", "")], vec![]),
        (Kind::Ram, [ram("Deny", "kms:*", "*", ""), ram("Allow", "oss:GetObject", "*", "")], vec![]),
        (Kind::Ram, [ram("Deny", "*", "*", ""), ram("Allow", "oss:GetObject", "*", "")], denied(1)),
        (Kind::Ram, [ram("Deny", "oss:Put*", "*", ""), ram("Allow", "oss:Put*", "*", "")], denied(1)),
        (Kind::Key, [key("Deny", "acs:ram::1:root", "kms:*", ""), key("Allow", ALICE, "kms:Decrypt", "")], denied(1)),
        (
            Kind::Key,
            [key("Deny", "acs:ram::2:*", "kms:*", ""), key("Allow", "acs:ram::2:root", "kms:Encrypt", "")],
            denied(1),
        ),
        (
            Kind::Key,
            [key("Deny", "acs:ram::1:*", "kms:*", ""), key("Allow", "acs:ram::1:root", "kms:Encrypt", "")],
            vec![],
        ),
    ] {
        assert_eq!(findings(kind, &statements), found, "{statements:?}");
    }
}

#[test]
fn what_is_meant_is_left_alone() {
    for (kind, statement) in [
        (Kind::Key, key("Allow", "acs:ram::1:*", "kms:*", "")),
        (Kind::Key, key("Allow", ALICE, "kms:Decrypt", "")),
        (Kind::Key, key("Allow", "acs:ram::2:user/carol", "kms:Encrypt", "")),
        (
            Kind::Ram,
            ram("Allow", "kms:Decrypt", ANY_KEY, r#","Condition":{"StringEquals":{"kms:tag/Project":"Apollo"}}"#),
        ),
        (Kind::Ram, ram("Allow", "ecs:*", "*", "")),
        (Kind::Ram, ram("Deny", "kms:*", "*", r#","Condition":{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}"#)),
    ] {
        assert_eq!(findings(kind, std::slice::from_ref(&statement)), [], "{statement}");
    }
}

#[test]
fn codes_are_unique() {
    let mut codes: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), RULES.len());
}
