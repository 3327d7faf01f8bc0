//! Tables for the evaluation rules, and the properties that must hold for every set of policies.

use proptest::prelude::*;

use super::super::explain::{Considered, explain};
use super::super::vocabulary::Vocabulary;
use super::*;

const OWNER: &str = "1";
const KEY: &str = "acs:kms:cn-hangzhou:1:key/k1";

fn policy(kind: Kind, statements: &[String]) -> Policy {
    let text = format!(r#"{{"Version":"1","Statement":[{}]}}"#, statements.join(","));
    Policy::parse(kind, "p", &text, &Vocabulary::default()).unwrap()
}

fn key_statement(effect: &str, principal: &str, action: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Principal":{{"RAM":"{principal}"}},"Action":"{action}","Resource":"*"}}"#)
}

fn ram_statement(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
}

fn principal(arn: &str) -> Principal {
    let rest = arn.strip_prefix("acs:ram::").unwrap();
    let (account, who) = rest.split_once(':').unwrap();
    let identity = match *who.split('/').collect::<Vec<_>>() {
        ["root"] => Identity::Root,
        ["user", name] => Identity::User(name.into()),
        ["assumed-role", role, session] => Identity::Session { role: role.into(), session: session.into() },
        _ => panic!("{arn}"),
    };
    Principal { account: account.into(), identity }
}

/// Who asks for what, under which policies; the answer in words.
struct Case<'a> {
    who: &'a str,
    ram: &'a [String],
    key: &'a [String],
    session: Option<&'a [String]>,
    reading: AccountPrincipal,
}

impl<'a> Case<'a> {
    fn new(who: &'a str, ram: &'a [String], key: &'a [String]) -> Self {
        Self { who, ram, key, session: None, reading: AccountPrincipal::Delegates }
    }

    fn answer(&self) -> &'static str {
        let principal = principal(self.who);
        let ram: Vec<Arc<Policy>> =
            self.ram.iter().map(|s| Arc::new(policy(Kind::Ram, std::slice::from_ref(s)))).collect();
        let key = (!self.key.is_empty()).then(|| policy(Kind::Key, self.key));
        let session = self.session.map(|statements| policy(Kind::Ram, statements));
        let decision = decide(&Question {
            principal: &principal,
            action: Vocabulary::default().action("kms:Encrypt"),
            resource: KEY,
            owner: OWNER,
            identity_policies: &ram,
            session_policy: session.as_ref(),
            resource_policy: key.as_ref(),
            context: Context::default(),
            account_principal: self.reading,
        });
        match decision {
            Decision::Allow(Basis::OwnerRoot) => "owner",
            Decision::Allow(Basis::Statement(grant)) => match grant.source {
                PolicySource::Identity => "ram allows",
                PolicySource::Resource => "key allows",
                PolicySource::Session => "session allows",
            },
            Decision::Deny(Refusal::Explicit(_)) => "explicit deny",
            Decision::Deny(Refusal::Implicit) => "no grant",
            Decision::Deny(Refusal::HalfMissing(Half::Identity)) => "ram half missing",
            Decision::Deny(Refusal::HalfMissing(Half::Resource)) => "key half missing",
            Decision::Deny(Refusal::SessionPolicy) => "session policy",
        }
    }
}

/// The merge rules of KMS: policy overviews for keys and secrets, RAM policy evaluation.
#[test]
fn ram_and_key_policies_come_to_one_decision() {
    let ram_allow = [ram_statement("Allow", "kms:Encrypt", "*")];
    let ram_deny = [ram_statement("Deny", "KMS:encrypt", "*")];
    let ram_other_key = [ram_statement("Allow", "kms:*", "acs:kms:*:1:key/k2")];
    let owner = [key_statement("Allow", "acs:ram::1:*", "kms:*")];
    let alice = [key_statement("Allow", "acs:ram::1:user/alice", "kms:Encrypt")];
    let carol = [key_statement("Allow", "acs:ram::2:user/carol", "kms:Encrypt")];
    let partner = [key_statement("Allow", "acs:ram::2:*", "kms:Encrypt")];
    let role = [key_statement("Allow", "acs:ram::1:role/App", "kms:Encrypt")];
    let deny_all = [key_statement("Deny", "acs:ram::1:*", "kms:*")];
    let deny_root = [key_statement("Deny", "acs:ram::1:root", "kms:*")];
    let (root, user, session) = ("acs:ram::1:root", "acs:ram::1:user/alice", "acs:ram::1:assumed-role/app/s1");
    let (foreign, foreign_root) = ("acs:ram::2:user/carol", "acs:ram::2:root");
    let none: &[String] = &[];
    for (who, ram, key, expected) in [
        (root, none, none, "owner"),
        (root, none, &deny_all[..], "owner"),
        (user, none, none, "no grant"),
        (user, &ram_allow[..], none, "ram allows"),
        (user, &ram_other_key[..], none, "no grant"),
        (user, none, &alice[..], "key allows"),
        (user, none, &owner[..], "no grant"),
        (user, &ram_allow[..], &owner[..], "ram allows"),
        (user, &ram_deny[..], &alice[..], "explicit deny"),
        (user, &ram_allow[..], &deny_all[..], "explicit deny"),
        (user, &ram_allow[..], &deny_root[..], "explicit deny"),
        (session, none, &role[..], "key allows"),
        (session, &ram_allow[..], none, "ram allows"),
        (session, none, &alice[..], "no grant"),
        (foreign, none, none, "no grant"),
        (foreign, &ram_allow[..], none, "key half missing"),
        (foreign, none, &carol[..], "ram half missing"),
        (foreign, &ram_allow[..], &carol[..], "key allows"),
        (foreign, &ram_allow[..], &partner[..], "key allows"),
        (foreign, &ram_allow[..], &alice[..], "key half missing"),
        (foreign, &ram_deny[..], &carol[..], "explicit deny"),
        (foreign_root, none, none, "key half missing"),
        (foreign_root, none, &partner[..], "key allows"),
        (foreign_root, none, &carol[..], "key half missing"),
    ] {
        assert_eq!(Case::new(who, ram, key).answer(), expected, "{who} with RAM {ram:?} and key {key:?}");
    }
}

#[test]
fn the_literal_reading_admits_the_whole_account() {
    let owner = [key_statement("Allow", "acs:ram::1:*", "kms:*")];
    let mut case = Case::new("acs:ram::1:user/alice", &[], &owner);
    assert_eq!(case.answer(), "no grant");
    case.reading = AccountPrincipal::Literal;
    assert_eq!(case.answer(), "key allows");
}

#[test]
fn a_deny_for_the_account_binds_everyone_in_both_readings() {
    let allow = [ram_statement("Allow", "kms:Encrypt", "*")];
    for whom in ["acs:ram::1:root", "acs:ram::1:*"] {
        let deny = [key_statement("Deny", whom, "kms:*")];
        for who in ["acs:ram::1:user/alice", "acs:ram::1:assumed-role/app/s1"] {
            for reading in [AccountPrincipal::Delegates, AccountPrincipal::Literal] {
                let case = Case { reading, ..Case::new(who, &allow, &deny) };
                assert_eq!(case.answer(), "explicit deny", "{who}, {whom}, {reading:?}");
            }
        }
    }
}

#[test]
fn a_session_policy_only_narrows() {
    let allow = [ram_statement("Allow", "kms:Encrypt", "*")];
    let narrow = [ram_statement("Allow", "kms:Decrypt", "*")];
    let session = "acs:ram::1:assumed-role/app/s1";
    for (ram, policy, expected) in [
        (&allow[..], &allow[..], "ram allows"),
        (&allow[..], &narrow[..], "session policy"),
        (&[], &allow[..], "no grant"),
    ] {
        let case = Case { session: Some(policy), ..Case::new(session, ram, &[]) };
        assert_eq!(case.answer(), expected);
    }
}

#[test]
fn the_answer_names_the_statement_which_decided() {
    let text = format!(
        r#"{{"Version":"1","Statement":[{},{{"Sid":"NotHere","Effect":"Deny","Action":"kms:*","Resource":"{KEY}"}}]}}"#,
        ram_statement("Allow", "kms:*", "*")
    );
    let policies = [Arc::new(Policy::parse(Kind::Ram, "ram/Mixed.json", &text, &Vocabulary::default()).unwrap())];
    let alice = principal("acs:ram::1:user/alice");
    let decision = decide(&Question {
        principal: &alice,
        action: Vocabulary::default().action("kms:Encrypt"),
        resource: KEY,
        owner: OWNER,
        identity_policies: &policies,
        session_policy: None,
        resource_policy: None,
        context: Context::default(),
        account_principal: AccountPrincipal::Delegates,
    });
    let Decision::Deny(Refusal::Explicit(by)) = decision else { panic!("{decision:?}") };
    assert_eq!(by.to_string(), "ram/Mixed.json statement 2 (NotHere)");
}

fn any_who() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "acs:ram::1:root",
        "acs:ram::1:user/alice",
        "acs:ram::1:assumed-role/app/s1",
        "acs:ram::2:user/carol",
        "acs:ram::2:root",
    ])
}

fn any_ram(effects: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let action = prop::sample::select(vec!["kms:Encrypt", "kms:*", "kms:Decrypt", "*"]);
    let resource = prop::sample::select(vec!["*", KEY, "acs:kms:*:1:key/k2", "acs:kms:*:*:key/*"]);
    let statement = (prop::sample::select(effects.to_vec()), action, resource);
    prop::collection::vec(
        statement.prop_map(|(effect, action, resource)| ram_statement(effect, action, resource)),
        0..4,
    )
}

fn any_key(effects: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let who = vec!["acs:ram::1:*", "acs:ram::1:root", "acs:ram::1:user/a*", "acs:ram::1:role/app", "acs:ram::2:*"];
    let action = prop::sample::select(vec!["kms:Encrypt", "kms:*", "kms:Decrypt"]);
    let statement = (prop::sample::select(effects.to_vec()), prop::sample::select(who), action);
    prop::collection::vec(statement.prop_map(|(effect, who, action)| key_statement(effect, who, action)), 0..4)
}

fn any_reading() -> impl Strategy<Value = AccountPrincipal> {
    prop::sample::select(vec![AccountPrincipal::Delegates, AccountPrincipal::Literal])
}

fn allowed(who: &str, ram: &[String], key: &[String], reading: AccountPrincipal) -> bool {
    let answer = Case { reading, ..Case::new(who, ram, key) }.answer();
    answer == "owner" || answer.ends_with(" allows")
}

const BOTH: &[&str] = &["Allow", "Deny"];

/// An explanation tells the story of the decision: what decided matched, and a Deny that matched decided.
fn explanation_fits(who: &str, ram: &[String], key: &[String], reading: AccountPrincipal) -> Result<(), String> {
    let principal = principal(who);
    let ram: Vec<Arc<Policy>> = ram.iter().map(|it| Arc::new(policy(Kind::Ram, std::slice::from_ref(it)))).collect();
    let key = (!key.is_empty()).then(|| policy(Kind::Key, key));
    let question = Question {
        principal: &principal,
        action: Vocabulary::default().action("kms:Encrypt"),
        resource: KEY,
        owner: OWNER,
        identity_policies: &ram,
        session_policy: None,
        resource_policy: key.as_ref(),
        context: Context::default(),
        account_principal: reading,
    };
    let explanation = explain(&question);
    let matched = |it: &StatementRef<'_>| {
        let same = |other: &Considered<'_>| std::ptr::eq(other.statement.statement, it.statement);
        explanation.considered.iter().any(|other| same(other) && other.mismatch.is_none())
    };
    let denies = |it: &&Considered<'_>| it.mismatch.is_none() && it.statement.statement.effect == Effect::Deny;
    let deny_matched = explanation.considered.iter().find(denies).is_some();
    match explanation.decision {
        Decision::Allow(Basis::OwnerRoot) => Ok(()),
        Decision::Allow(Basis::Statement(by)) if matched(&by) && !deny_matched => Ok(()),
        Decision::Deny(Refusal::Explicit(by)) if matched(&by) => Ok(()),
        Decision::Deny(Refusal::Implicit | Refusal::HalfMissing(_) | Refusal::SessionPolicy) if !deny_matched => Ok(()),
        other => Err(format!("{other:?} does not fit {:?}", explanation.considered)),
    }
}

proptest! {
    #[test]
    fn explanations_fit_decisions(who in any_who(), ram in any_ram(BOTH), key in any_key(BOTH), reading in any_reading()) {
        prop_assert_eq!(explanation_fits(who, &ram, &key, reading), Ok(()));
    }

    #[test]
    fn order_does_not_matter(who in any_who(), ram in any_ram(BOTH), key in any_key(BOTH), reading in any_reading()) {
        let (mut ram_back, mut key_back) = (ram.clone(), key.clone());
        ram_back.reverse();
        key_back.reverse();
        prop_assert_eq!(allowed(who, &ram, &key, reading), allowed(who, &ram_back, &key_back, reading));
    }

    #[test]
    fn a_deny_never_allows(who in any_who(), ram in any_ram(BOTH), key in any_key(BOTH),
                           more_ram in any_ram(&["Deny"]), more_key in any_key(&["Deny"]), reading in any_reading()) {
        let (with_ram, with_key) = ([ram.clone(), more_ram].concat(), [key.clone(), more_key].concat());
        prop_assert!(allowed(who, &ram, &key, reading) || !allowed(who, &with_ram, &with_key, reading));
    }

    #[test]
    fn an_allow_never_refuses(who in any_who(), ram in any_ram(BOTH), key in any_key(BOTH),
                              more_ram in any_ram(&["Allow"]), more_key in any_key(&["Allow"]), reading in any_reading()) {
        let (with_ram, with_key) = ([ram.clone(), more_ram].concat(), [key.clone(), more_key].concat());
        prop_assert!(!allowed(who, &ram, &key, reading) || allowed(who, &with_ram, &with_key, reading));
    }

    #[test]
    fn without_an_allow_only_the_owner_may(who in any_who(), ram in any_ram(&["Deny"]), key in any_key(&["Deny"])) {
        prop_assert_eq!(allowed(who, &ram, &key, AccountPrincipal::Delegates), who == "acs:ram::1:root");
    }
}
