//! What the grammar takes, and how it refuses the rest.

use super::super::document::Policy;
use super::super::vocabulary::KnownAction;
use super::*;

const OWNER: &str = r#"{"Statement":[{"Action":["kms:*"],"Effect":"Allow","Principal":{"RAM":["acs:ram::1:*"]},
    "Resource":["*"],"Sid":"kms default key policy"}],"Version":"1"}"#;

fn vocabulary() -> Vocabulary {
    let known = |name| KnownAction { name, in_key_policies: true, ..KnownAction::default() };
    Vocabulary::new(["kms:Encrypt", "kms:ListKeys"].map(known))
}

fn includes(policy: &Policy, action: &str) -> bool {
    policy.statements[0].actions.include(vocabulary().action(action))
}

fn problems(kind: Kind, text: &str) -> Vec<String> {
    let problems = Policy::parse(kind, "p", text, &vocabulary()).err().unwrap_or_default();
    problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn the_documented_default_policy_is_accepted() {
    let policy = Policy::parse(Kind::Key, "p", OWNER, &vocabulary()).unwrap();
    assert_eq!(policy.statements[0].sid.as_deref(), Some("kms default key policy"));
    assert!(includes(&policy, "kms:Encrypt"));
}

#[test]
fn strings_and_arrays_are_the_same_where_both_are_legal() {
    let text = r#"{"Version":"1","Statement":[{"Effect":"Deny","NotAction":"kms:List*","Resource":"*"}]}"#;
    let policy = Policy::parse(Kind::Ram, "p", text, &vocabulary()).unwrap();
    assert!(includes(&policy, "kms:Encrypt"));
    assert!(!includes(&policy, "KMS:listkeys"));
}

/// One row for each way to be wrong: kind, the statement, and the beginning of the only problem.
#[test]
fn what_the_grammar_does_not_have_is_refused() {
    let principal = r#""Principal":{"RAM":"acs:ram::1:root"}"#;
    let rest = r#""Effect":"Allow","Action":"kms:*","Resource":"*""#;
    for (kind, statement, problem) in [
        (Kind::Ram, format!(r#"{{{rest},"Efect":"Deny"}}"#), "unknown member `Efect` in a RAM policy; did you mean"),
        (Kind::Ram, format!(r#"{{{rest},{principal}}}"#), "unknown member `Principal` in a RAM policy"),
        (Kind::Key, format!("{{{rest}}}"), "`Principal` is missing"),
        (Kind::Key, format!(r#"{{{rest},"Principal":{{"Service":"x"}}}}"#), "unknown member `Service` of `Principal`"),
        (Kind::Key, format!(r#"{{{rest},"Principal":"*"}}"#), "expected an object, found a string"),
        (Kind::Key, format!(r#"{{{rest},"Principal":{{"RAM":"*"}}}}"#), "principal `*` does not start with"),
        (Kind::Key, format!(r#"{{{rest},{principal},"NotAction":"kms:*"}}"#), "unknown member `NotAction` in a key"),
        (Kind::Ram, format!(r#"{{{rest},"NotResource":"*"}}"#), "unknown member `NotResource`"),
        (Kind::Ram, format!(r#"{{{rest},"NotAction":"kms:*"}}"#), "a statement has `Action` or `NotAction`, not both"),
        (Kind::Ram, format!(r#"{{{rest},"Effect":"Deny"}}"#), "member `Effect` is given twice"),
        (Kind::Ram, r#"{"Effect":"allow","Action":"*","Resource":"*"}"#.into(), "`Effect` must be"),
        (Kind::Ram, r#"{"Effect":"Allow","Resource":"*"}"#.into(), "`Action` is missing"),
        (Kind::Ram, r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#.into(), "`Action` is empty"),
        (
            Kind::Ram,
            r#"{"Effect":"Allow","Action":"Encrypt","Resource":"*"}"#.into(),
            "action `Encrypt` is of no known",
        ),
        (
            Kind::Ram,
            r#"{"Effect":"Allow","Action":"*","Resource":"key/x"}"#.into(),
            "resource `key/x` can match nothing",
        ),
        (Kind::Ram, r#"{"Effect":"Allow","Action":[1],"Resource":"*"}"#.into(), "expected a string, found a number"),
        (Kind::Ram, format!(r#"{{{rest},"Sid":"a;b"}}"#), "`Sid` may have at most 128 characters"),
        (
            Kind::Key,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":{"RAM":"acs:ram::1:*"}}"#.into(),
            "action `*` is of no known form",
        ),
    ] {
        let text = format!(r#"{{"Version":"1","Statement":[{statement}]}}"#);
        let found = problems(kind, &text);
        assert_eq!(found.len(), 1, "{statement}: {found:?}");
        assert!(found[0].starts_with(problem), "{statement}: {found:?}");
    }
}

#[test]
fn resources_begin_as_arns_do_or_with_a_wildcard() {
    for (resource, legal) in [
        ("*", true),
        ("acs:kms:*:1:key/*", true),
        ("*:key/k1", true),
        ("a*", true),
        ("?cs:kms:*", true),
        ("acs*", true),
        ("acs", false),
        ("", false),
        ("ACS:*", false),
        ("b*", false),
        ("key/*", false),
    ] {
        let text =
            format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"*","Resource":"{resource}"}}]}}"#);
        assert_eq!(problems(Kind::Ram, &text).is_empty(), legal, "{resource}");
    }
}

#[test]
fn documents_of_another_shape_are_refused() {
    for (text, problem) in [
        (r#"{"Version":"2","Statement":[]}"#, "`Version` must be \"1\""),
        (r#"{"Version":1,"Statement":[]}"#, "expected a string, found a number"),
        (r#"{"Version":"1","Statement":{}}"#, "expected an array, found an object"),
        (r#"{"Version":"1"}"#, "`Statement` is missing; it is an array of statements"),
        ("[]", "expected an object, found an array"),
    ] {
        assert!(problems(Kind::Ram, text).iter().any(|found| found == problem), "{text}");
    }
}

#[test]
fn all_problems_are_reported_together_with_their_lines() {
    let text = "{\n\"Version\": \"3\",\n\"Statement\": [\n{\"Effect\": \"No\", \"Resource\": \"*\"}\n]}";
    let found: Vec<String> =
        Policy::parse(Kind::Ram, "p", text, &vocabulary()).unwrap_err().iter().map(|p| p.to_string()).collect();
    let expected = ["2:12: `Version` must be", "4:1: `Action` is missing", "4:12: `Effect` must be"];
    assert_eq!(found.len(), 3);
    assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
}

#[test]
fn sizes_are_bounded() {
    let large = format!("{}{}", " ".repeat(Kind::Key.size_max()), OWNER);
    assert!(problems(Kind::Key, &large)[0].starts_with("a key policy may have at most 32768 bytes"));
}
