//! `keyward check` and `keyward explain` as scripts and people meet them: what they print, and how they end.
//!
//! What people read is compared with the files in `tests/golden`; `KEYWARD_BLESS=1 cargo test --test it commands` writes
//! them anew.

#![expect(clippy::disallowed_methods, reason = "golden files are read, and written on request")]

use std::path::Path;

use serde_json::Value;

use crate::sandbox::{ALICE, BOB, Caller, House, post, signed_v1};

/// Compares a text with the golden file of that name.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("KEYWARD_BLESS").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs; if that is meant, run the test with KEYWARD_BLESS=1");
}

/// A house whose policies have two mistakes and several things that are most likely not meant.
fn untidy() -> House {
    let house = House::new();
    house.write("policies/keys/key-exampleorders01.json", "{\n  \"Version\": \"2\",\n  \"Statement\": []\n}");
    house.edit("policies/ram/KmsAuditor.json", "\"kms:GetSecretValue\"", "\"kms:GetSecretValu\"");
    house.edit("policies/secrets/orders%2Fdb-password.json", "user/alice", "user/alicia");
    let stray = house.read("policies/ram/KmsBrowse.json");
    house.write("policies/ram/Stray.json", &stray);
    house
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_example_policies_are_free_of_errors() {
    let house = House::new();
    let (said, complaints, code) = house.run(&["check"]);
    golden("check-examples.txt", &said);
    assert_eq!((complaints.as_str(), code), ("", Some(0)));
    assert_eq!(house.run(&["check", "--deny-warnings"]).2, Some(1));
    house.edit("policies/ram/KmsAdministrator.json", "\"Resource\": \"*\"", "\"Resource\": \"acs:kms:*:*:*\"");
    assert_eq!(house.run(&["check", "--deny-warnings"]).2, Some(0));
    house.edit("config/seed.toml", "aliases = [", "alias = [");
    let (said, _, code) = house.run(&["check"]);
    assert!(code == Some(1) && said.contains("error: config/seed.toml:"), "{said}");
}

#[test]
fn mistakes_and_warnings_are_told_in_every_format() {
    let house = untidy();
    let (said, _, code) = house.run(&["check"]);
    golden("check-untidy.txt", &said);
    assert_eq!(code, Some(1));

    let (said, _, code) = house.run(&["check", "--format", "json"]);
    let report = json(&said);
    assert_eq!((code, &report["counts"]["errors"], &report["counts"]["warnings"]), (Some(1), &2.into(), &4.into()));
    assert_eq!(report["errors"][0]["file"], "policies/keys/key-exampleorders01.json");
    assert_eq!((&report["errors"][0]["line"], &report["errors"][0]["column"]), (&2.into(), &14.into()));
    assert_eq!(report["warnings"][1]["code"], "unknown-action");

    let (said, _, code) = house.run(&["check", "--format", "sarif"]);
    let log = json(&said);
    assert_eq!((code, &log["version"]), (Some(1), &"2.1.0".into()));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!((run["tool"]["driver"]["name"].as_str(), results.len()), (Some("Keyward"), 6));
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!rules[index]["shortDescription"]["text"].as_str().unwrap().is_empty());
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0, "{result}");
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("policies/") && !uri.contains("orders%2Fdb"), "{uri}");
    }
}

#[test]
fn another_folder_can_be_checked() {
    let house = untidy();
    for folder in ["keys", "secrets", "ram", "accounts"] {
        house.write(&format!("other/{folder}/.keep"), "");
    }
    let (said, _, code) = house.run(&["check", "other"]);
    assert!(code == Some(1) && said.contains("RAM policy `KmsAdministrator`") && !said.contains("orders01"), "{said}");
}

#[test]
fn what_cannot_be_checked_is_neither_right_nor_wrong() {
    let house = House::new();
    for (arguments, why) in [
        (&["check", "nowhere"][..], "nowhere is no folder"),
        (&["check", "--config", "nowhere.toml"], "nowhere.toml: is not there"),
        (&["explain", "--as", "alice"], "--action"),
        (&["explain", "--as", "zoe", "--action", "kms:Decrypt", "--resource", "*"], "nobody is known as `zoe`"),
        (&["explain", "--as", "root", "--action", "kms:Decrypt", "--resource", "*"], "`root` is more than one"),
        (&["explain", "--as", "alice", "--action", "Decrypt", "--resource", "*"], "`Decrypt` is no action"),
        (&["explain", "--as", "alice", "--action", "kms:Decrypt", "--resource", "orders"], "`orders` is no resource"),
        (
            &["explain", "--as", "bob", "--action", "a:b", "--resource", "*", "--context", "acs:SourceIp=here"],
            "`acs:SourceIp` must be an IP address",
        ),
        (
            &["explain", "--as", "bob", "--action", "kms:Encrypt", "--resource", "alias/none"],
            "kms:Encrypt is judged by the key that alias/none points to, which is not known here; name the key: key/ID",
        ),
        (&["who-can", "kms:Encrypt", "alias/none"], "which is not known here"),
        (&["explain", "--request", "nowhere.http"], "nowhere.http is not there"),
        (&["explain", "--request", "config/keyward.toml"], "is no request: there is no empty line"),
    ] {
        let (said, complaints, code) = house.run(arguments);
        assert_eq!((said.as_str(), code), ("", Some(2)), "{arguments:?}: {complaints}");
        assert!(complaints.contains(why), "{arguments:?}: {complaints}");
    }
    let (_, complaints, code) =
        untidy().run(&["explain", "--as", "alice", "--action", "kms:Encrypt", "--resource", "key/key-exampleorders01"]);
    assert!(code == Some(2) && complaints.matches("error: policies/").count() == 2, "{complaints}");
}

#[test]
fn questions_are_answered_as_stories() {
    let house = House::new();
    for (name, who, action, resource, code) in [
        ("allowed", "alice", "kms:Encrypt", "key/key-exampleorders01", 0),
        ("allowed", "alice", "kms:Encrypt", "alias/orders", 0),
        ("denied", "bob", "kms:GetSecretValue", "secret/orders/db-password", 1),
        ("half", "carol", "kms:Decrypt", "key/key-exampleorders01", 1),
        ("owner", "1234567890123456/root", "kms:Decrypt", "key/key-exampleorders01", 0),
        ("role", "payroll-service", "kms:GetSecretValue", "secret/payroll/db-password", 0),
        ("stranger", "acs:ram::1234567890123456:user/zoe", "kms:Decryp", "key/key-1", 1),
    ] {
        let (said, complaints, found) =
            house.run(&["explain", "--as", who, "--action", action, "--resource", resource]);
        assert_eq!((complaints.as_str(), found), ("", Some(code)), "{name}");
        golden(&format!("explain-{name}.txt"), &said);
    }
}

/// What the README shows is what is printed.
#[test]
fn the_readme_shows_real_output() {
    let (house, edited) = (House::new(), House::new());
    edited.edit("policies/ram/KmsAuditor.json", "\"kms:GetSecretValue\"", "\"kms:GetSecretValu\"");
    edited.edit("policies/secrets/orders%2Fdb-password.json", "user/alice", "user/alicia");
    let mut compared = Vec::new();
    for block in include_str!("../../README.md").split("```console\n$ keyward ").skip(1) {
        let (command, rest) = block.split_once('\n').unwrap();
        // A second command changes the house.
        let (shown, more) = rest.split_once("```").unwrap();
        let shown = shown.split_once("\n$ ").map_or(shown, |(first, _)| first);
        assert!(!more.is_empty());
        let house = if command.starts_with("check") { &edited } else { &house };
        let (said, _, _) = house.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(said, shown, "{command}");
        compared.extend(command.split(' ').next());
    }
    assert_eq!(compared, ["check", "explain", "test", "who-can"]);
}

#[test]
fn circumstances_count() {
    let house = House::new();
    house.edit(
        "policies/ram/KmsBrowse.json",
        "\"Effect\": \"Allow\",",
        "\"Effect\": \"Allow\", \"Condition\": {\"IpAddress\": {\"acs:SourceIp\": \"10.0.0.0/8\"}},",
    );
    let question = ["explain", "--as", "alice", "--action", "kms:ListKeys", "--resource", "key", "--format", "json"];
    for (context, code, mismatch) in [
        (None, 1, "the request has no acs:SourceIp"),
        (Some("acs:SourceIp=192.0.2.1"), 1, "it is 192.0.2.1"),
        (Some("acs:SourceIp=10.1.2.3"), 0, ""),
    ] {
        let mut arguments = question.to_vec();
        arguments.extend(context.iter().flat_map(|context| ["--context", context]));
        let (said, complaints, found) = house.run(&arguments);
        assert_eq!(found, Some(code), "{complaints}{said}");
        let story = json(&said);
        let said = story["permissions"][0]["considered"][0]["mismatch"].as_str().unwrap_or_default();
        assert!(said.contains(mismatch), "{said}");
    }
}

/// A request as it comes over the wire, in a file of the house.
fn record(house: &House, caller: Caller, operation: &str, params: &[(&str, &str)]) {
    let body = signed_v1(caller, operation, params);
    house.write("request.http", &String::from_utf8(post("", &body)).unwrap());
}

#[test]
fn requests_are_explained_as_they_are_judged() {
    let house = House::new();
    let secret = [("SecretName", "orders/db-password")];
    let wrong = Caller { id: "LTAIunknown", ..ALICE };
    for (name, caller, operation, params, code) in [
        ("allowed", ALICE, "GetSecretValue", &secret[..], 0),
        ("denied", BOB, "GetSecretValue", &secret, 1),
        ("alias", ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")], 0),
        ("unknown-alias", ALICE, "Encrypt", &[("KeyId", "alias/other"), ("Plaintext", "aGVsbG8=")], 1),
        ("nothing-needed", ALICE, "DescribeRegions", &[], 0),
        ("rejected", wrong, "Encrypt", &[], 1),
    ] {
        record(&house, caller, operation, params);
        let (said, complaints, found) = house.run(&["explain", "--request", "request.http"]);
        assert_eq!((complaints.as_str(), found), ("", Some(code)), "{name}: {said}");
        golden(&format!("request-{name}.txt"), &said);
        let story = json(&house.run(&["explain", "--request", "request.http", "--format", "json"]).0);
        let all_allowed = story["permissions"].as_array().unwrap().iter().all(|it| it["decision"] == "allow");
        assert!(story["verdict"] == "reject" || (story["verdict"] == "allow") == all_allowed, "{name}: {story}");
    }
    let (said, _, code) = house.run(&["explain", "--request", "request.http", "--format", "json"]);
    let story = json(&said);
    assert_eq!((code, story["verdict"].as_str()), (Some(1), Some("reject")));
    assert_eq!(story["rejection"]["code"], "InvalidAccessKeyId.NotFound");
    record(&house, ALICE, "ListKeys", &[]);
    let (said, _, code) = house.run(&["explain", "--request", "request.http", "--at", "2001-01-01T00:00:00Z"]);
    assert!(code == Some(1) && said.contains("InvalidTimeStamp.Expired"), "{said}");
}

/// A typo in a Deny refuses nothing. It is said at the start, and by the readiness page.
#[test]
fn a_running_keyward_says_what_is_most_likely_not_meant() {
    let house = House::new();
    let running = house.start();
    house.edit("policies/ram/KmsAuditor.json", "\"kms:GetSecretValue\"", "\"kms:GetSecretValu\"");
    running.wait_for_generation(2);
    let (_, ready) = running.page("/readyz");
    let warnings = json(&ready)["warnings"].clone();
    let expected = "KMS has no action `kms:GetSecretValu`; did you mean `kms:GetSecretValue`?";
    assert!(warnings[1].as_str().unwrap().contains(expected), "{warnings}");
    let count = |part: &str| running.everything_written().matches(part).count();
    assert!(crate::sandbox::wait(|| count("kms:GetSecretValu`") == 1));
    assert_eq!(count("allows every KMS action"), 1, "what was said at the start is not said again");
}
