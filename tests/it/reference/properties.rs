//! What holds for all policies and questions, whatever they are: laws of the engine that need no second opinion.

use keyward::authz::parse_policy;
use keyward::policy::{Kind, PrincipalPattern};
use proptest::prelude::*;

use super::ask::{Asked, kind, principal};
use super::document::Attached;
use super::evaluate::{Caller, Outcome, Request};
use super::generate::{Dice, Set, policy_of};
use super::json::Json;
use super::legal::damage;

const REQUESTS: usize = 8;

/// A set of policies, and questions about it.
fn roll(dice: &mut Dice) -> (Set, Vec<Request>) {
    let set = Set::roll(dice);
    let requests = (0..REQUESTS).map(|_| set.roll_request(dice)).collect();
    (set, requests)
}

fn outcomes(set: &Set, requests: &[Request]) -> Vec<Outcome> {
    let asked = Asked::new(set).unwrap();
    requests.iter().map(|request| asked.engine(request)).collect()
}

/// The statements of a policy.
fn statements(policy: &mut Json) -> &mut Vec<Json> {
    policy.member_mut("Statement").and_then(Json::list_mut).unwrap()
}

/// The same set with more statements of one effect, at any place of any policy.
fn with_more(dice: &mut Dice, set: &Set, effect: &'static str) -> Set {
    let mut more = set.clone();
    for _ in 0..=dice.below(3) {
        let statement = set.roll_statement(dice, Attached::Ram, effect);
        match dice.below(3) {
            0 => more.identity.push(policy_of(vec![statement])),
            1 => more.identity.iter_mut().chain(&mut more.session).for_each(|policy| {
                let at = dice.below(statements(policy).len() + 1);
                statements(policy).insert(at, statement.clone());
            }),
            _ => {
                if let Some((attached, policy)) = &mut more.resource {
                    let at = dice.below(statements(policy).len() + 1);
                    statements(policy).insert(at, set.roll_statement(dice, *attached, effect));
                }
            }
        }
    }
    more
}

/// Everything in another order: policies, statements, members, values.
fn shuffled(dice: &mut Dice, set: &Set) -> Set {
    let mut other = set.clone();
    dice.shuffle(&mut other.identity);
    let resource = other.resource.as_mut().map(|(_, policy)| policy);
    other.identity.iter_mut().chain(&mut other.session).chain(resource).for_each(|policy| shuffle(dice, policy));
    other
}

fn shuffle(dice: &mut Dice, json: &mut Json) {
    match json {
        Json::List(elements) => {
            dice.shuffle(elements);
            elements.iter_mut().for_each(|element| shuffle(dice, element));
        }
        Json::Object(members) => {
            dice.shuffle(members);
            members.iter_mut().for_each(|(_, value)| shuffle(dice, value));
        }
        _ => {}
    }
}

/// Each statement as many: one for each action, resource and principal. `NotAction` is left whole, for its list says
/// what all of it leaves out.
fn split(policy: &Json) -> Json {
    let mut policy = policy.clone();
    for member in ["Action", "Resource", "Principal"] {
        *statements(&mut policy) = statements(&mut policy).iter().flat_map(|it| split_by(it, member)).collect();
    }
    policy
}

fn split_by(statement: &Json, member: &str) -> Vec<Json> {
    let Some(value) = statement.member(member) else { return vec![statement.clone()] };
    let is_principal = member == "Principal";
    let list = if is_principal { value.member("RAM").unwrap() } else { value };
    let Json::List(elements) = list else { return vec![statement.clone()] };
    let with = |element: &Json| {
        let mut one = statement.clone();
        let value = one.member_mut(member).unwrap();
        *(if is_principal { value.member_mut("RAM").unwrap() } else { value }) = element.clone();
        one
    };
    elements.iter().map(with).collect()
}

/// All RAM policies as one.
fn merged(policies: &[Json]) -> Vec<Json> {
    let all: Vec<Json> = policies.iter().flat_map(|policy| statements(&mut policy.clone()).clone()).collect();
    if all.is_empty() { Vec::new() } else { vec![policy_of(all)] }
}

/// Statements that were split may be more than one RAM policy can hold.
fn is_too_large(policy: &Json) -> bool {
    policy.to_string().chars().count() > Kind::Ram.size_max()
}

/// A document that speaks of principals of these accounts only.
fn of_account(policy: &Json, account: &str) -> Json {
    let mut policy = policy.clone();
    for statement in statements(&mut policy) {
        let entries = statement.member_mut("Principal").and_then(|it| it.member_mut("RAM")).unwrap();
        let renamed = |entry: &Json| match entry {
            Json::Text(text) => Json::text(format!("acs:ram::{account}:{}", text.splitn(5, ':').nth(4).unwrap())),
            other => other.clone(),
        };
        *entries = if let Json::List(list) = entries {
            Json::List(list.iter().map(renamed).collect())
        } else {
            renamed(entries)
        };
    }
    policy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn adding_a_deny_never_allows(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (set, requests) = roll(dice);
        let more = with_more(dice, &set, "Deny");
        for (before, after) in outcomes(&set, &requests).into_iter().zip(outcomes(&more, &requests)) {
            prop_assert!(before == Outcome::Allowed || after != Outcome::Allowed, "{set:#?} {more:#?}");
        }
    }

    #[test]
    fn adding_an_allow_never_refuses(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (set, requests) = roll(dice);
        let more = with_more(dice, &set, "Allow");
        for (before, after) in outcomes(&set, &requests).into_iter().zip(outcomes(&more, &requests)) {
            prop_assert!(before != Outcome::Allowed || after == Outcome::Allowed, "{set:#?} {more:#?}");
        }
    }

    #[test]
    fn a_matching_deny_binds_everyone_but_the_owner(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (mut set, requests) = roll(dice);
        let all = r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#;
        set.identity.push(policy_of(vec![Json::read(all).unwrap()]));
        for (request, after) in requests.iter().zip(outcomes(&set, &requests)) {
            let is_root = request.caller.ends_with(":root");
            prop_assert!(is_root || after == Outcome::ExplicitDeny, "{request:?} {set:#?}");
        }
    }

    #[test]
    fn no_order_matters(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (set, requests) = roll(dice);
        let other = shuffled(dice, &set);
        prop_assert_eq!(outcomes(&set, &requests), outcomes(&other, &requests), "{:#?} {:#?}", set, other);
    }

    #[test]
    fn splitting_and_merging_statements_changes_nothing(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (set, requests) = roll(dice);
        let mut other = set.clone();
        other.identity = merged(&set.identity.iter().map(split).collect::<Vec<_>>());
        other.session = set.session.as_ref().map(split);
        other.resource = set.resource.as_ref().map(|(attached, policy)| (*attached, split(policy)));
        if other.identity.iter().any(is_too_large) {
            let statements = other.identity.iter_mut().flat_map(|policy| statements(policy).clone());
            other.identity = statements.map(|statement| policy_of(vec![statement])).collect();
        }
        if other.session.as_ref().is_some_and(is_too_large) {
            other.session.clone_from(&set.session);
        }
        prop_assert_eq!(outcomes(&set, &requests), outcomes(&other, &requests), "{:#?} {:#?}", set, other);
    }

    #[test]
    fn a_policy_about_another_account_is_as_good_as_none(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let (mut set, requests) = roll(dice);
        let Some((attached, policy)) = set.resource.take() else { return Ok(()) };
        let account_of = |request: &Request| Caller::read(&request.caller).account;
        let first = account_of(&requests[0]);
        let mut with = set.clone();
        for other in [format!("{first}0"), format!("0{first}"), "77".to_owned()] {
            let strangers: Vec<Request> =
                requests.iter().filter(|request| account_of(request) != other).cloned().collect();
            with.resource = Some((attached, of_account(&policy, &other)));
            prop_assert_eq!(outcomes(&set, &strangers), outcomes(&with, &strangers), "{:#?}", with);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn patterns_of_one_account_never_name_principals_of_another(
        account in "[0-9]{1,3}",
        other in "[0-9]{1,3}",
        whom in r"\*|root|user/[a*?.@-]{1,4}|role/[a*?]{1,3}|assumed-role/[a*?]{1,2}/[a*?]{1,2}",
        who in "root|user/[a*.@-]{1,4}|assumed-role/[a*]{1,2}/[a*]{1,2}",
    ) {
        prop_assume!(account != other);
        let entry = PrincipalPattern::parse(&format!("acs:ram::{other}:{whom}")).unwrap();
        let principal = principal(&format!("acs:ram::{account}:{who}"));
        prop_assert!(!entry.names(&principal) && !entry.names_account(&principal.account));
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[\PC]{0,300}|[\[\]{}":,a\\ \n1e-]{0,300}"#) {
        for kind in [Kind::Key, Kind::Secret, Kind::Ram] {
            drop(parse_policy(kind, "p", &text));
        }
    }

    #[test]
    fn damaged_policies_are_read_or_refused(seed in any::<u64>()) {
        let dice = &mut Dice::new(seed);
        let set = Set::roll(dice);
        let resource = set.resource.into_iter();
        for (attached, mut policy) in set.identity.into_iter().map(|policy| (Attached::Ram, policy)).chain(resource) {
            damage(dice, &mut policy);
            drop(parse_policy(kind(attached), "p", &scribbled(dice, &policy.to_string())));
        }
    }
}

/// The text with up to three scribbles in it.
fn scribbled(dice: &mut Dice, text: &str) -> String {
    const SCRIBBLES: &[&str] =
        &["", "\"", "{", "]", ",", "\\", "\\u00", "\u{0}", "é", "9e999", "\\ud800", "null", "\u{feff}"];
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..dice.below(4) {
        let at = dice.below(letters.len() + 1);
        let end = (at + dice.below(6)).min(letters.len());
        letters.splice(at..end, dice.word(SCRIBBLES).chars());
    }
    letters.into_iter().collect()
}

#[test]
fn depth_is_no_danger() {
    let around = [
        ("", ""),
        (r#"{"Version":"1","Statement":"#, "}"),
        (r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":"*","Action":"#, "}]}"),
        (r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":"*","Action":"*","Condition":"#, "}]}"),
        (
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":"*","Action":"*","Condition":{"Bool":{"a":"#,
            "}}}]}",
        ),
    ];
    for (before, after) in around {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), ("[", "")] {
            for depth in [2, 200, 5_000] {
                let text = format!("{before}{}1{}{after}", open.repeat(depth), close.repeat(depth));
                for kind in [Kind::Key, Kind::Ram] {
                    assert!(parse_policy(kind, "p", &text).is_err(), "{before}{open}…{close}{after} {depth} deep");
                }
            }
        }
    }
}

/// One below the limit, the limit, one above it: bytes for key and secret policies, characters for RAM policies.
#[test]
fn documents_may_be_as_large_as_documented_and_no_larger() {
    let resource = "acs:kms:*:1:secret/éééé";
    for kind in [Kind::Key, Kind::Secret, Kind::Ram] {
        let principal = if kind == Kind::Ram { "" } else { r#""Principal":{"RAM":"acs:ram::1:*"},"# };
        let text = format!(
            r#"{{"Version":"1","Statement":[{{{principal}"Effect":"Allow","Action":"kms:*","Resource":"{resource}"}}]}}"#
        );
        let size = if kind == Kind::Ram { text.chars().count() } else { text.len() };
        let limit = if kind == Kind::Ram { 6_144 } else { 32_768 };
        for (total, legal) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            let padded = format!("{text}{}", " ".repeat(total - size));
            assert_eq!(parse_policy(kind, "p", &padded).is_ok(), legal, "{kind:?} of {total}");
        }
    }
}

#[test]
fn values_may_have_1024_bytes() {
    let policy = |action: &str, resource: &str, principal: &str, value: &str, sid: &str| {
        format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}","Sid":"{sid}",
            "Principal":{{"RAM":"{principal}"}},"Condition":{{"StringLike":{{"kms:tag/a":"{value}"}}}}}}]}}"#
        )
    };
    let long = |start: &str, length: usize| format!("{start}{}", "a".repeat(length - start.len()));
    for (length, legal) in [(1_023, true), (1_024, true), (1_025, false)] {
        for text in [
            policy(&long("kms:", length), "*", "acs:ram::1:*", "a", "a"),
            policy("kms:*", &long("acs:", length), "acs:ram::1:*", "a", "a"),
            policy("kms:*", "*", &long("acs:ram::1:user/", length), "a", "a"),
            policy("kms:*", "*", "acs:ram::1:*", &long("é", length), "a"),
            policy("kms:*", "*", "acs:ram::1:*", "a", &long("", length - 896)),
        ] {
            assert_eq!(parse_policy(Kind::Key, "p", &text).is_ok(), legal, "{text}");
        }
    }
}
