//! A decision allocates nothing, whatever the policies hold: it is made on every request, and must not wait for memory.

use keyward::authz::{parse_policy, vocabulary};
use keyward::policy::{AccountPrincipal, Context, Identity, Kind, Principal, Question, decide};

/// Wildcards, NotAction, an index of principals, and a condition of every family.
const KEY_POLICY: &str = r#"{"Version":"1","Statement":[
    {"Effect":"Allow","Principal":{"RAM":["acs:ram::1:*"]},"Action":["kms:*"],"Resource":["*"]},
    {"Effect":"Deny","Principal":{"RAM":["acs:ram::1:user/a*","acs:ram::1:role/app","acs:ram::1:user/bob","acs:ram::2:*"]},
     "Action":["kms:De?rypt"],"Resource":["acs:kms:*:1:key/key-*"],
     "Condition":{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","2001:db8::/32"]},
                  "StringLike":{"acs:PrincipalARN":"acs:ram::*:user/*","kms:tag/Project":"Ap*"},
                  "StringEqualsIgnoreCase":{"kms:EncryptionContext:Dept":"ORDERS"},
                  "NumericLessThan":{"acs:ResourceTag/Level":"5.5"},
                  "DateGreaterThan":{"acs:CurrentTime":"2020-01-01T00:00:00+08:00"},
                  "Bool":{"acs:SecureTransport":"false"},
                  "StringNotEquals":{"acs:SourceIp":"10.0.0.2"}}},
    {"Effect":"Allow","Principal":{"RAM":["acs:ram::1:user/alice"]},"Action":["kms:Decrypt"],"Resource":["*"]}]}"#;

const RAM_POLICY: &str = r#"{"Version":"1","Statement":[
    {"Effect":"Allow","NotAction":["kms:Delete*"],"Resource":["acs:kms:*:*:key/*"]}]}"#;

#[test]
fn a_decision_allocates_nothing() {
    let key = parse_policy(Kind::Key, "k", KEY_POLICY).unwrap();
    let ram = [std::sync::Arc::new(parse_policy(Kind::Ram, "r", RAM_POLICY).unwrap())];
    let pairs = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
    let (project, dept, level) = (pairs("Project", "Apollo"), pairs("Dept", "orders"), pairs("Level", "4"));
    let context = Context {
        source_ip: "10.0.0.1".parse().ok(),
        current_time: "2026-01-02T03:04:05Z".parse().ok(),
        secure_transport: Some(false),
        principal_arn: Some("acs:ram::1:user/alice"),
        encryption_context: &dept,
        key_tags: &project,
        resource_tags: &level,
        ..Context::default()
    };
    let alice = Identity::User("alice".into());
    let session = Identity::Session { role: "App".into(), session: "s".into() };
    for (account, identity, action) in [
        ("1", Identity::Root, "kms:Decrypt"),
        ("1", alice.clone(), "kms:Decrypt"),
        ("1", session, "kms:Decrypt"),
        ("2", alice.clone(), "kms:Decrypt"),
        ("1", alice, "kms:NotInTheTable"),
    ] {
        let principal = Principal { account: account.into(), identity };
        let question = Question {
            principal: &principal,
            action: vocabulary().action(action),
            resource: "acs:kms:cn-hangzhou:1:key/key-1",
            owner: "1",
            identity_policies: &ram,
            session_policy: Some(&ram[0]),
            resource_policy: Some(&key),
            context,
            account_principal: AccountPrincipal::Delegates,
        };
        let allocated = allocation_counter::measure(|| {
            std::hint::black_box(decide(&question));
        });
        assert_eq!(allocated.count_total, 0, "{principal} {action}");
    }
}
