//! The JSON Schemas in `config/schema/`: their lists are those of the program's tables, and everything that this
//! repository shows as an example fits them.
//!
//! `KEYWARD_BLESS=1 cargo test --test it schemas` writes the lists anew.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests read and write files, and stop where they cannot go on"
)]

use std::path::{Path, PathBuf};

use keyward::authz::vocabulary;
use keyward::policy::{CONDITION_KEYS, Kind, OPERATORS};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema_path(name: &str) -> PathBuf {
    root().join("config/schema").join(format!("{name}.schema.json"))
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(schema_path(name)).unwrap()).unwrap()
}

/// Each schema with lists, and the kind of policy that it is for.
const WITH_LISTS: [(&str, Option<Kind>); 4] = [
    ("key-policy", Some(Kind::Key)),
    ("secret-policy", Some(Kind::Secret)),
    ("ram-policy", Some(Kind::Ram)),
    ("cases", None),
];

/// Where each list stands in a schema, and what belongs there.
fn lists(kind: Option<Kind>) -> Vec<(&'static str, Vec<&'static str>)> {
    let in_scope = vocabulary().actions().iter().filter(|action| kind.is_none_or(|kind| action.is_in_scope(kind)));
    let mut actions: Vec<&str> = in_scope.map(|action| action.name).collect();
    let legal = CONDITION_KEYS.iter().filter(|info| kind.is_none_or(|kind| info.legal_in.contains(&kind)));
    let keys = ("/$defs/conditionKey/anyOf/0/enum", legal.map(|info| info.name).collect());
    if kind.is_none() {
        return vec![("/$defs/action/enum", actions), keys];
    }
    actions.push("kms:*");
    let operators = OPERATORS.iter().map(|operator| operator.name).collect();
    vec![("/$defs/action/anyOf/0/enum", actions), ("/$defs/operator/enum", operators), keys]
}

#[test]
fn lists_are_those_of_the_tables() {
    let bless = std::env::var_os("KEYWARD_BLESS").is_some();
    for (name, kind) in WITH_LISTS {
        let mut right = schema(name);
        for (place, list) in lists(kind) {
            *right.pointer_mut(place).unwrap() = json!(list);
        }
        let right = format!("{right:#}\n");
        if bless {
            std::fs::write(schema_path(name), &right).unwrap();
        }
        let written = std::fs::read_to_string(schema_path(name)).unwrap();
        assert!(written == right, "{name}.schema.json is not that of the tables; run the test with KEYWARD_BLESS=1");
    }
}

/// The schema of a file, by the folder it stands in or its name.
fn schema_of(path: &Path) -> Option<&'static str> {
    let folder = path.parent()?.file_name()?.to_str()?;
    let by_place = [
        ("keys", "key-policy"),
        ("secrets", "secret-policy"),
        ("ram", "ram-policy"),
        ("cases", "cases"),
        ("identities.toml", "identities"),
        ("keyward.toml", "keyward"),
        ("gateway.toml", "keyward"),
        ("seed.toml", "seed"),
        ("resources.toml", "resources"),
    ];
    let name = path.file_name()?.to_str()?;
    by_place.iter().find(|(place, _)| *place == folder || *place == name).map(|(_, schema)| *schema)
}

fn document(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).unwrap()
    } else {
        serde_json::from_str(&text).unwrap()
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let mut paths = Vec::new();
    for folder in ["config", "policies", "tests/fixtures/documented-samples"] {
        files(&root().join(folder), &mut paths);
    }
    paths.push(root().join("tests/fixtures/resources.toml"));
    let mut used = Vec::new();
    for path in paths {
        let Some(name) = schema_of(&path) else { continue };
        let schema = schema(name);
        let complaints = complaints(&schema, &schema, &document(&path), "");
        assert!(complaints.is_empty(), "{}: {complaints:?}", path.display());
        used.push(name);
    }
    used.sort_unstable();
    used.dedup();
    let all = ["cases", "identities", "key-policy", "keyward", "ram-policy", "resources", "secret-policy", "seed"];
    assert_eq!(used, all);
}

#[test]
fn what_keyward_refuses_does_not_fit() {
    let statement = |change: Value| {
        let mut statement = json!({ "Effect": "Allow", "Principal": { "RAM": "acs:ram::1:root" },
            "Action": "kms:Encrypt", "Resource": "*" });
        for (name, value) in change.as_object().unwrap() {
            statement[name] = value.clone();
        }
        json!({ "Version": "1", "Statement": [statement] })
    };
    for (name, document, fits) in [
        ("key-policy", statement(json!({})), true),
        ("key-policy", statement(json!({ "Efect": "Deny" })), false),
        ("key-policy", statement(json!({ "Effect": "allow" })), false),
        ("key-policy", statement(json!({ "NotAction": "kms:*" })), false),
        ("key-policy", statement(json!({ "Condition": { "Null": { "acs:SourceIp": "true" } } })), false),
        ("key-policy", statement(json!({ "Condition": { "IpAddress": { "acs:SourceIp": ["10.0.0.0/8"] } } })), true),
        ("ram-policy", statement(json!({})), false),
        ("key-policy", json!({ "Version": "1" }), false),
        ("keyward", json!({ "kms": { "account": "1", "data": "d", "regio": "x" } }), false),
        ("identities", json!({ "accounts": { "1": { "users": { "a": { "access_keys": [{ "id": "I" }] } } } } }), false),
        (
            "cases",
            json!({ "case": [{ "as": "acs:ram::1:root", "action": "kms:Decryt", "resource": "key/k", "expect": "deny" }] }),
            false,
        ),
        ("seed", json!({ "keys": { "k": { "spec": "RSA_1024" } } }), false),
        ("resources", json!({ "keys": { "k": { "versions": "v" } } }), false),
        ("resources", json!({ "secrets": { "s": { "owner": "1" } } }), false),
    ] {
        let schema = schema(name);
        assert_eq!(complaints(&schema, &schema, &document, "").is_empty(), fits, "{name}: {document}");
    }
}

/// What of `value` does not fit `schema`. Knows the keywords that the schemas here use, and no others; patterns are for
/// editors.
fn complaints(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "pattern" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                found.extend(complaints(root, target, value, at));
                true
            }
            "type" => rule.as_array().map_or_else(|| is_a(value, rule), |any| any.iter().any(|it| is_a(value, it))),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "anyOf" | "oneOf" => {
                let fitting = rule.as_array().unwrap().iter();
                let fitting = fitting.filter(|choice| complaints(root, choice, value, at).is_empty()).count();
                fitting > 0 && (keyword == "anyOf" || fitting == 1)
            }
            "minimum" => value.as_i64() >= rule.as_i64(),
            "maximum" => value.as_i64() <= rule.as_i64(),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "minProperties" => value.as_object().is_none_or(|it| it.len() as u64 >= rule.as_u64().unwrap()),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                let items = value.as_array().into_iter().flatten();
                found.extend(items.flat_map(|item| complaints(root, rule, item, &format!("{at}/…"))));
                true
            }
            "properties" | "additionalProperties" | "propertyNames" => {
                found.extend(members(root, schema, keyword, rule, value, at));
                true
            }
            other => panic!("this test does not know the keyword {other}"),
        };
        if !fits {
            found.push(format!("{at}: {value} against {keyword} {rule}"));
        }
    }
    found
}

fn members(root: &Value, schema: &Value, keyword: &str, rule: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        let known = schema.get("properties").and_then(|properties| properties.get(name));
        match (keyword, known) {
            ("properties", Some(known)) => found.extend(complaints(root, known, member, &at)),
            ("propertyNames", _) => found.extend(complaints(root, rule, &json!(name), &at)),
            ("additionalProperties", None) if *rule == false => found.push(format!("{at}: unknown")),
            ("additionalProperties", None) => found.extend(complaints(root, rule, member, &at)),
            _ => {}
        }
    }
    found
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("this test does not know the type {other}"),
    }
}
