//! One operator on one key. Input: a byte that chooses the operator, and lines: the key, the request's value, the
//! policy's values.
#![no_main]

use keyward_fuzz::ask::{Asked, Refused};
use keyward_fuzz::evaluate::{OPERATORS, Reading, Request, Truth};
use keyward_fuzz::generate::policy_of;
use keyward_fuzz::json::Json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let operator = OPERATORS[usize::from(*first) % OPERATORS.len()];
    let mut lines = text.split('\n');
    let (key, found) = (lines.next().unwrap_or_default(), lines.next());
    let values: Vec<&str> = lines.take(4).collect();
    // Patterns are compared with their recursive definition, which takes its time.
    if operator.ends_with("Like") && text.len() > 40 {
        return;
    }
    let request = request(key, found);
    let truth = truth(operator, key, &values, &request);
    if let Some(opposite) = opposite(operator) {
        let is_opposite = match (truth, self::truth(opposite, key, &values, &request)) {
            (Some(Truth::Yes), other) => other == Some(Truth::No),
            (Some(Truth::No), other) => other == Some(Truth::Yes),
            (truth, other) => truth == other,
        };
        assert!(is_opposite, "{operator} and {opposite} on {key}");
    }
    let reversed: Vec<&str> = values.iter().rev().copied().collect();
    assert_eq!(truth, self::truth(operator, key, &reversed, &request), "the order of values matters");
});

/// What engine and reference say; `None` if both refuse the values.
fn truth(operator: &'static str, key: &str, values: &[&str], request: &Request) -> Option<Truth> {
    let keys = Json::Object(vec![(key.to_owned(), Json::texts(values.iter().copied()))]);
    let statement = Json::object([
        ("Effect", Json::text("Deny")),
        ("Action", Json::text("*")),
        ("Resource", Json::text("*")),
        ("Condition", Json::object([(operator, keys)])),
    ]);
    match Asked::about(&[policy_of(vec![statement])], None, None) {
        Ok(asked) => {
            let (_, engine, reference) = asked.clauses(request).pop().expect("there is one clause");
            assert_eq!(engine, reference, "{operator} on {key}: {values:?} for {request:?}");
            assert_eq!(asked.engine(request), asked.reference(request));
            Some(engine)
        }
        Err(Refused::ByBoth) => None,
        Err(Refused::ByOne(why)) => panic!("{why}"),
    }
}

/// A request with this value under this key, if it is a key that takes any text.
fn request(key: &str, found: Option<&str>) -> Request {
    let value = |found: &str| (key.to_owned(), found.to_owned());
    let takes_it = |found: &&str| match key {
        "acs:SourceIp" | "acs:VpcSourceIp" => found.parse::<std::net::IpAddr>().is_ok(),
        "acs:CurrentTime" | "acs:SecureTransport" | "acs:MFAPresent" => false,
        _ => true,
    };
    Request {
        caller: "acs:ram::1:user/alice".to_owned(),
        action: "kms:Encrypt".to_owned(),
        resource: "*".to_owned(),
        owner: "1".to_owned(),
        context: found.filter(takes_it).map(value).into_iter().collect(),
        reading: Reading::Delegation,
    }
}

fn opposite(operator: &str) -> Option<&'static str> {
    let other = if let Some(name) = operator.strip_prefix("Not") {
        name.to_owned()
    } else if operator == "IpAddress" {
        "NotIpAddress".to_owned()
    } else if operator.contains("Not") {
        operator.replacen("Not", "", 1)
    } else {
        operator.replacen("Equals", "NotEquals", 1).replacen("Like", "NotLike", 1)
    };
    OPERATORS.iter().find(|name| **name == other && other != operator).copied()
}
