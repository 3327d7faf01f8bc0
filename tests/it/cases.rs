//! The commands that ask policies a question: `keyward test`, `keyward who-can`, `keyward template`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use crate::sandbox::House;

/// What a command said, what it complained about, and how it ended.
struct Said {
    output: String,
    errors: String,
    code: Option<i32>,
}

/// Runs a command in a house.
fn ask(house: &House, arguments: &[&str]) -> Said {
    let (output, errors, code) = house.run(arguments);
    Said { output, errors, code }
}

#[test]
fn the_example_policies_pass_their_cases_and_every_statement_is_in_one() {
    let said = ask(&House::new(), &["test", "--min-coverage", "100"]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
    assert!(said.output.contains("0 failed\n") && said.output.contains("(100 %)"), "{}", said.output);
}

/// What the documentation shows is read, and decided as the documentation says.
#[test]
fn documented_samples_mean_what_the_documentation_says() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/documented-samples/keyward.toml");
    let said = ask(&House::new(), &["test", "--min-coverage", "100", "--config", samples]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
}

#[test]
fn a_failed_case_says_what_came_and_why() {
    let house = House::new();
    house.edit("policies/keys/key-exampleorders01.json", "\"kms:Decrypt\", ", "");
    let said = ask(&house, &["test"]);
    assert_eq!(said.code, Some(1));
    let failed: Vec<&str> = said.output.lines().filter(|line| line.starts_with("failed: ")).collect();
    assert_eq!(failed.len(), 1, "{}", said.output);
    for part in [
        "policies/cases/orders.toml:5:1: the orders service uses its key: kms:Decrypt on acs:kms:",
        "expected allow by keys/key-exampleorders01.json statement OrdersServiceUsesTheKey, came deny: nothing allows it",
        "its actions are kms:Encrypt, kms:GenerateDataKey, kms:DescribeKey, not kms:Decrypt",
    ] {
        assert!(failed[0].contains(part), "{part}\n{}", failed[0]);
    }
}

#[test]
fn another_statement_than_expected_is_a_failure() {
    let house = House::new();
    house.edit("policies/cases/people.toml", "by = \"owner\"", "by = \"ram/KmsAuditor.json statement 1\"");
    let said = ask(&house, &["test"]);
    assert_eq!(said.code, Some(1));
    assert!(said.output.contains("came allow: owns the resource"), "{}", said.output);
}

#[test]
fn statements_in_no_case_are_listed_and_can_be_asked_for() {
    let house = House::new();
    house.write("payroll/cases.toml", &house.read("policies/cases/payroll.toml"));
    let said = ask(&house, &["test", "payroll"]);
    assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
    assert!(said.output.contains("in no case: ram/KmsAdministrator.json statement 1\n"), "{}", said.output);
    let said = ask(&house, &["test", "payroll", "--min-coverage", "90"]);
    assert_eq!(said.code, Some(1));
    assert!(said.output.contains("the coverage is below 90 %"), "{}", said.output);
}

#[test]
fn mistakes_in_cases_are_named_and_there_is_no_verdict() {
    let house = House::new();
    house.write("policies/cases/wrong.toml", "[[case]]\nas = 'alice'\nexpect = 'perhaps'\n");
    let said = ask(&house, &["test"]);
    assert_eq!((said.code, said.output.as_str()), (Some(2), ""));
    for part in
        ["wrong.toml:2:6: `alice` is no caller", "wrong.toml:3:10: `case.expect` must be", "`case.action` is missing"]
    {
        assert!(said.errors.contains(part), "{part}\n{}", said.errors);
    }
    house.write("none/README", "");
    let said = ask(&house, &["test", "none"]);
    assert_eq!(said.code, Some(2));
    assert!(said.errors.contains("has no cases"), "{}", said.errors);
    house.write("policies/ram/KmsAuditor.json", "{");
    assert_eq!(ask(&house, &["test"]).code, Some(2));
}

/// Names of elements with their attributes, in the order of the text.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                let attribute = |it: quick_xml::events::attributes::Attribute<'_>| {
                    (it.key.as_ref().to_owned(), quick_xml::escape::unescape(&it.value).unwrap().into_owned())
                };
                let attributes = element.attributes().map(|it| attribute(it.unwrap())).collect();
                found.push((element.name().as_ref().to_owned(), attributes));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[test]
fn junit_is_xml_that_counts_right() {
    let house = House::new();
    house.edit("policies/cases/people.toml", "the auditor sees", "the <auditor> & \\u0007 \\\"sees\\\"");
    house.edit("policies/ram/KmsAuditor.json", "\"kms:Describe*\", ", "");
    let said = ask(&house, &["test", "--format", "junit", "--min-coverage", "100"]);
    assert_eq!(said.code, Some(1), "{}{}", said.output, said.errors);
    let elements = elements(&said.output);
    let count = |name: &str| elements.iter().filter(|(element, _)| element == name).count();
    let root = |name: &str| elements[0].1.iter().find(|(key, _)| key == name).unwrap().1.parse::<usize>().unwrap();
    assert_eq!((elements[0].0.as_str(), count("testsuite")), ("testsuites", 4), "{}", said.output);
    assert_eq!((root("tests"), root("failures")), (count("testcase"), count("failure")));
    assert_eq!(count("failure"), 2, "{}", said.output);
    let names: Vec<&str> = elements.iter().flat_map(|(_, it)| it).map(|(_, value)| value.as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("the <auditor> & \u{fffd} \"sees\" everything")), "{names:?}");
}

#[test]
fn json_has_every_case() {
    let said = ask(&House::new(), &["test", "--format", "json"]);
    let value: Value = serde_json::from_str(&said.output).unwrap();
    assert_eq!((value["passed"].as_bool(), value["failed"].as_u64()), (Some(true), Some(0)));
    assert_eq!(value["coverage"]["percent"], 100);
    let cases = value["cases"].as_array().unwrap();
    assert!(cases.len() > 30 && cases.iter().all(|case| case["failure"].is_null()), "{}", said.output);
}

#[test]
fn watching_runs_the_cases_again_when_a_policy_changes() {
    let house = House::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    command.args(["test", "--watch", "--config"]).arg(house.path("config/keyward.toml"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut counts = || lines.find(|line| line.contains(" cases: ")).unwrap();
    assert!(counts().ends_with(" 0 failed"));
    house.edit("policies/keys/key-exampleorders01.json", "user/alice", "user/alicia");
    // An editor may be caught half-way; what counts is what comes in the end.
    while counts().ends_with(" 0 failed") {}
    house.edit("policies/keys/key-exampleorders01.json", "user/alicia", "user/alice");
    while !counts().ends_with(" 0 failed") {}
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_can_names_everybody_who_may_and_why() {
    let house = House::new();
    let said = ask(&house, &["who-can", "kms:Encrypt", "key/key-exampleorders01"]);
    let lines: Vec<String> =
        said.output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "acs:ram::1234567890123456:root owns the resource",
        "acs:ram::1234567890123456:user/alice allowed by keys/key-exampleorders01.json statement 2 (OrdersServiceUsesTheKey)",
        "acs:ram::1234567890123456:user/kim allowed by ram/KmsAdministrator.json statement 1",
        "acs:ram::6543210987654321:user/carol allowed by keys/key-exampleorders01.json statement 3 (PartnerMayOnlyEncrypt) \
         and accounts/6543210987654321/ram/UsePartnerKeys.json statement 1",
    ];
    assert_eq!((said.code, lines.as_slice()), (Some(0), &expected.map(str::to_owned)[..]));

    let said = ask(&house, &["who-can", "kms:Decrypt", "key/key-examplepayroll01", "--all", "--format", "json"]);
    let value: Value = serde_json::from_str(&said.output).unwrap();
    let of = |name: &str| value.as_array().unwrap().iter().find(|it| it["principal"].as_str().unwrap().ends_with(name));
    assert_eq!(of("role/payroll-service").unwrap()["allowed"], true);
    let bob = of("user/bob").unwrap();
    assert_eq!(bob["reason"], "denied by ram/KmsAuditor.json statement 2 (AuditorsNeverSeePlaintext)");
}

#[test]
fn who_can_says_nobody_and_could_not_say() {
    let house = House::new();
    let foreign = "acs:kms:cn-hangzhou:7777777777777777:key/key-1";
    let said = ask(&house, &["who-can", "kms:Decrypt", foreign]);
    assert_eq!((said.code, said.output.as_str()), (Some(1), "nobody\n"));
    for (arguments, complaint) in [
        (["who-can", "kms:Decryt", "key/key-1"].as_slice(), "did you mean `kms:Decrypt`?"),
        (&["who-can", "kms:Decrypt", "key"], ""),
        (&["who-can", "kms:Decrypt", "orders"], "`orders` is no resource"),
        (&["who-can", "kms:Decrypt", "key/key-1", "--context", "acs:SourceIp=here"], "must be an IP address"),
        (&["who-can", "kms:Decrypt", "key/key-1", "--context", "acs:SourceIp"], "is not KEY=VALUE"),
    ] {
        let said = ask(&house, arguments);
        let expected = if complaint.is_empty() { Some(0) } else { Some(2) };
        assert_eq!(said.code, expected, "{arguments:?} {}", said.errors);
        assert!(said.errors.contains(complaint), "{}", said.errors);
    }
}

#[test]
fn a_template_becomes_a_policy_that_grants_its_role() {
    let house = House::new();
    let (owner, alice) = ("1234567890123456", "acs:ram::1234567890123456:user/alice");
    let said = ask(&house, &["template", "secret-user", "--owner", owner, "--principal", alice]);
    assert_eq!((said.code, said.errors.as_str()), (Some(0), ""));
    house.write("policies/secrets/payroll%2Fdb-password.json", &said.output);
    let said = ask(&house, &["who-can", "kms:GetSecretValue", "secret/payroll/db-password"]);
    assert!(said.output.contains("secrets/payroll%2Fdb-password.json statement 2 (SecretUsers)"), "{}", said.output);

    let said = ask(&house, &["template", "key-user", "--owner", owner]);
    assert_eq!(said.code, Some(0));
    assert!(said.errors.contains("Replace user/NAME"), "{}", said.errors);
    let said = ask(&house, &["template", "key-cross-account-user", "--owner", owner, "--principal", alice]);
    assert_eq!(said.code, Some(2));
}
