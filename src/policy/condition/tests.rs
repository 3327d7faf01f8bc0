//! Every operator with every sort of value, after the tables of RAM's "Condition operators".

use Truth::{No, Undecidable, Yes};

use super::*;

fn holds(operator: &str, key: &str, values: &[&str], context: &Context<'_>) -> Truth {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    let clause = Clause::new(Operator::find(operator).unwrap(), key, &values).unwrap();
    clause.holds(context)
}

/// Operator, the policy's values, the request's tag `Level` (or none), and whether it holds.
#[test]
fn texts_and_numbers() {
    for (operator, values, tag, expected) in [
        ("StringEquals", &["a", "b"][..], Some("b"), Yes),
        ("StringEquals", &["a"], Some("A"), No),
        ("StringEquals", &["a*"], Some("ab"), No),
        ("StringEquals", &["a"], None, No),
        ("StringNotEquals", &["a", "b"], Some("c"), Yes),
        ("StringNotEquals", &["a", "b"], Some("b"), No),
        ("StringNotEquals", &["a"], None, Yes),
        ("StringEqualsIgnoreCase", &["Apollo"], Some("aPOLLO"), Yes),
        ("StringEqualsIgnoreCase", &["Apollo"], None, No),
        ("StringNotEqualsIgnoreCase", &["Apollo"], Some("apollo"), No),
        ("StringNotEqualsIgnoreCase", &["Apollo"], None, Yes),
        ("StringLike", &["a*", "?x"], Some("yx"), Yes),
        ("StringLike", &["a*"], Some("A1"), No),
        ("StringLike", &["*"], Some(""), Yes),
        ("StringLike", &["*"], None, No),
        ("StringNotLike", &["a*", "b*"], Some("c"), Yes),
        ("StringNotLike", &["a*", "b*"], Some("b"), No),
        ("StringNotLike", &["*"], None, Yes),
        ("NumericEquals", &["10"], Some("10.0"), Yes),
        ("NumericEquals", &["10", "11"], Some("11"), Yes),
        ("NumericNotEquals", &["10"], Some("10.00"), No),
        ("NumericNotEquals", &["10"], None, Yes),
        ("NumericLessThan", &["10"], Some("9.99"), Yes),
        ("NumericLessThan", &["10"], Some("10"), No),
        ("NumericLessThanEquals", &["10"], Some("10"), Yes),
        ("NumericGreaterThan", &["-1"], Some("0"), Yes),
        ("NumericGreaterThanEquals", &["10"], Some("9"), No),
        ("NumericGreaterThan", &["1"], None, No),
        ("NumericGreaterThan", &["1"], Some("high"), Undecidable),
        ("NumericNotEquals", &["1"], Some("high"), Undecidable),
        ("Bool", &["true"], Some("true"), Yes),
        ("Bool", &["true", "false"], Some("false"), Yes),
        ("Bool", &["true"], Some("yes"), Undecidable),
        ("IpAddress", &["10.0.0.0/8"], Some("10.1.2.3"), Yes),
        ("IpAddress", &["10.0.0.0/8"], Some("ten"), Undecidable),
        ("DateLessThan", &["2026-01-01T00:00:00Z"], Some("2025-12-31T23:59:59Z"), Yes),
        ("DateLessThan", &["2026-01-01T00:00:00Z"], Some("soon"), Undecidable),
    ] {
        let tags: Vec<(String, String)> = tag.map(|tag| ("Level".to_owned(), tag.to_owned())).into_iter().collect();
        let context = Context { key_tags: &tags, ..Context::default() };
        assert_eq!(holds(operator, "kms:tag/Level", values, &context), expected, "{operator} {values:?} on {tag:?}");
    }
}

#[test]
fn addresses() {
    for (operator, values, address, expected) in [
        ("IpAddress", &["10.0.0.1"][..], Some("10.0.0.1"), Yes),
        ("IpAddress", &["10.0.0.1/32"], Some("10.0.0.1"), Yes),
        ("IpAddress", &["10.0.0.7/8"], Some("10.9.9.9"), Yes),
        ("IpAddress", &["0.0.0.0/0"], Some("1.2.3.4"), Yes),
        ("IpAddress", &["0.0.0.0/0"], Some("::1"), No),
        ("IpAddress", &["::/0"], Some("2001:db8::1"), Yes),
        ("IpAddress", &["2001:db8::/32", "10.0.0.0/8"], Some("2001:db8::1"), Yes),
        ("IpAddress", &["10.0.0.0/8"], Some("::ffff:10.0.0.1"), Yes),
        ("IpAddress", &["::ffff:10.0.0.0/104"], Some("10.0.0.1"), Yes),
        ("IpAddress", &["10.0.0.0/8"], None, No),
        ("NotIpAddress", &["10.0.0.0/8", "::1"], Some("11.0.0.1"), Yes),
        ("NotIpAddress", &["10.0.0.0/8", "::1"], Some("::1"), No),
        ("NotIpAddress", &["10.0.0.0/8"], None, Yes),
        ("StringEquals", &["10.0.0.1"], Some("10.0.0.1"), Yes),
        ("StringLike", &["10.*"], Some("::ffff:10.0.0.1"), Yes),
    ] {
        let context = Context { source_ip: address.map(|it: &str| it.parse().unwrap()), ..Context::default() };
        assert_eq!(holds(operator, "acs:SourceIp", values, &context), expected, "{operator} {values:?} on {address:?}");
    }
}

#[test]
fn times_and_flags() {
    let now = "2026-06-01T12:00:00Z".parse().ok();
    let context = Context { current_time: now, secure_transport: Some(true), ..Context::default() };
    for (operator, key, values, expected) in [
        ("DateGreaterThan", "acs:CurrentTime", &["2026-06-01T11:59:59Z"][..], Yes),
        ("DateGreaterThan", "acs:CurrentTime", &["2026-06-01T20:00:00+08:00"], No),
        ("DateGreaterThanEquals", "acs:CurrentTime", &["2026-06-01T20:00:00+08:00"], Yes),
        ("DateEquals", "acs:CurrentTime", &["2026-06-01T12:00:00.000Z"], Yes),
        ("DateNotEquals", "acs:CurrentTime", &["2026-06-01T12:00:00Z"], No),
        ("DateLessThanEquals", "acs:CurrentTime", &["2026-06-01T12:00:00Z"], Yes),
        ("Bool", "acs:SecureTransport", &["true"], Yes),
        ("Bool", "acs:SecureTransport", &["false"], No),
        ("StringEquals", "acs:SecureTransport", &["true"], Yes),
        ("Bool", "acs:MFAPresent", &["true"], No),
        ("Bool", "acs:MFAPresent", &["false"], No),
        ("StringNotEquals", "kms:NotKnownHere", &["x"], Yes),
        ("StringLike", "kms:NotKnownHere", &["*"], No),
    ] {
        assert_eq!(holds(operator, key, values, &context), expected, "{operator} {key} {values:?}");
    }
}

#[test]
fn values_that_an_operator_cannot_use_are_refused() {
    for (operator, value) in [
        ("NumericEquals", "ten"),
        ("NumericEquals", "1e3"),
        ("NumericEquals", "0x10"),
        ("NumericEquals", ""),
        ("DateEquals", "2026-01-02"),
        ("DateEquals", "2026-01-02T03:04:05"),
        ("DateEquals", "2026-13-02T03:04:05Z"),
        ("Bool", "True"),
        ("Bool", "1"),
        ("IpAddress", "10.0.0.0/33"),
        ("IpAddress", "10.0.0"),
        ("IpAddress", "fe80::1%eth0"),
        ("IpAddress", "10.0.0.9-10.0.0.1"),
    ] {
        let values = ["x".repeat(0), value.to_owned()];
        let result = Clause::new(Operator::find(operator).unwrap(), "acs:SourceIp", &values[1..]);
        assert_eq!(result.err().map(|(index, _)| index), Some(0), "{operator} {value}");
    }
}

#[test]
fn every_clause_must_hold() {
    let clause = |operator: &str, value: &str| {
        Clause::new(Operator::find(operator).unwrap(), "kms:tag/Level", &[value.to_owned()]).unwrap()
    };
    let tags = [("Level".to_owned(), "high".to_owned())];
    let context = Context { key_tags: &tags, ..Context::default() };
    let (yes, no) = (clause("StringEquals", "high"), clause("StringEquals", "low"));
    let undecidable = clause("NumericEquals", "1");
    for (clauses, expected) in [
        (vec![], Yes),
        (vec![yes.clone()], Yes),
        (vec![yes.clone(), no.clone()], No),
        (vec![yes, undecidable.clone()], Undecidable),
        (vec![undecidable, no], No),
    ] {
        assert_eq!(all_hold(&clauses, &context), expected);
    }
}
