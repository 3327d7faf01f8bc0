//! What is a policy at all: engine and reference accept the same documents, and nothing makes the engine panic.

use super::ask::{Asked, Refused};
use super::corpus::*;
use super::document::Attached;
use super::generate::{Dice, Set};
use super::json::Json;

/// Damaged documents: both sides refuse them, or both read them and then decide alike.
#[test]
fn engine_and_reference_accept_the_same_documents() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..2_500 {
        let mut dice = Dice::new(seed);
        let mut set = Set::roll(&mut dice);
        for _ in 0..=dice.below(2) {
            damage_one(&mut dice, &mut set);
        }
        match Asked::new(&set) {
            Err(Refused::ByBoth) => refused += 1,
            Err(Refused::ByOne(why)) => panic!("seed {seed}: {why}"),
            Ok(asked) => {
                accepted += 1;
                for _ in 0..5 {
                    let request = set.roll_request(&mut dice);
                    let (engine, reference) = (asked.engine(&request), asked.reference(&request));
                    assert_eq!(engine, reference, "seed {seed}\n{set:#?}\n{request:#?}");
                }
            }
        }
    }
    assert!(accepted > 300 && refused > 300, "{accepted} accepted, {refused} refused");
}

/// Damages one document of the set, or attaches it to something else.
fn damage_one(dice: &mut Dice, set: &mut Set) {
    if let Some((attached, policy)) = &mut set.resource
        && dice.chance(50)
    {
        if dice.chance(5) {
            *attached = Attached::Ram;
        } else {
            damage(dice, policy);
        }
        return;
    }
    if let Some(policy) = set.identity.first_mut() {
        damage(dice, policy);
    }
}

/// Changes one value somewhere in the document.
pub fn damage(dice: &mut Dice, json: &mut Json) {
    let inner = match json {
        Json::List(elements) if !elements.is_empty() => dice.below(elements.len()),
        Json::Object(members) if !members.is_empty() => dice.below(members.len()),
        _ => return *json = odd_value(dice),
    };
    if dice.chance(85) {
        return match json {
            Json::List(elements) => damage(dice, &mut elements[inner]),
            Json::Object(members) => damage(dice, &mut members[inner].1),
            _ => {}
        };
    }
    match json {
        Json::List(elements) => damage_list(dice, elements),
        Json::Object(members) => damage_object(dice, members, inner),
        _ => {}
    }
}

fn damage_list(dice: &mut Dice, elements: &mut Vec<Json>) {
    match dice.below(3) {
        0 => elements.clear(),
        1 => elements.push(odd_value(dice)),
        _ => elements.extend(elements.clone()),
    }
}

fn damage_object(dice: &mut Dice, members: &mut Vec<(String, Json)>, at: usize) {
    const NAMES: &[&str] = &[
        "Version",
        "Statement",
        "Sid",
        "Effect",
        "effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "RAM",
        "Service",
        "Null",
        "StringEqualsIfExists",
        "ForAllValues:StringEquals",
        "ArnLike",
        "Bool",
        "DateEquals",
        "NumericEquals",
        "IpAddress",
        "StringLike",
        "acs:SourceIp",
        "",
    ];
    match dice.below(4) {
        0 => drop(members.remove(at)),
        1 => members.push(members[at].clone()),
        2 => members[at].0 = dice.word(NAMES).to_owned(),
        _ => members.push((dice.word(NAMES).to_owned(), odd_value(dice))),
    }
}

fn odd_value(dice: &mut Dice) -> Json {
    const WORDS: &[&str] = &[
        "",
        "1",
        "2",
        "Allow",
        "allow",
        "Deny",
        "kms:*",
        "*",
        "kms:Encrypt ",
        "Encrypt",
        ":Encrypt",
        "kms",
        "kms:É",
        "KMS:*",
        "acs:ram::1:*",
        "acs:ram::1:root",
        "acs:ram:cn:1:root",
        "acs:ram::*:root",
        "acs:ram::1:user/",
        "acs:ram::1:user/a b",
        "acs:ram::1:user/a/b",
        "acs:ram::1:role/a/b",
        "acs:ram::1:group/a",
        "acs:ram::1",
        "acs:ram::x:root",
        "acs:sts::1:*",
        "acs:ram::1:assumed-role/a",
        "acs:ram::1:assumed-role/*/*",
        "acs:ram::1:user/*",
        "acs:ram::1:user/a:b",
        "key/k1",
        "ACS:kms:*",
        "acs",
        "acs:",
        "ac*",
        "?",
        "????kms",
        "b*",
        "?*?",
        "x?*",
        "a;b",
    ];
    let values =
        [TEXTS, NUMBERS, NO_NUMBERS, DATES, NO_DATES, NETWORKS, NO_NETWORKS, FLAGS, NO_FLAGS, WORDS, WORDS, WORDS];
    match dice.below(20) {
        0 => Json::Null,
        1 => Json::Flag(true),
        2 => Json::Number("1".to_owned()),
        3 => Json::List(Vec::new()),
        4 => Json::Object(Vec::new()),
        5 => Json::List(vec![Json::texts(["kms:*"])]),
        6 => Json::text("kms:a".repeat(dice.below(300))),
        7 => Json::texts([dice.word(WORDS), dice.word(WORDS)]),
        _ => {
            let kind = *dice.pick(&values);
            Json::text(dice.word(kind))
        }
    }
}
