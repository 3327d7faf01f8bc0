//! What `keyward check` found as SARIF 2.1.0, the format that code scanning reads.
//!
//! Members are those of the standard (OASIS, "Static Analysis Results Interchange Format 2.1.0"); nothing is decided.

use serde_json::{Value, json};

use super::check::Report;
use crate::kms::percent_encode;
use crate::policy::{Finding, RULES};
use crate::source::Problem;
use crate::store::FILE_RULES;

/// The rule of everything that cannot be used.
const UNUSABLE: &str = "unusable";

/// A log with one run.
pub fn log(report: &Report) -> Value {
    let errors = report.errors.iter().map(|problem| result(UNUSABLE, "error", problem));
    let warning = |finding: &Finding| result(finding.code, "warning", &finding.problem);
    let results: Vec<Value> = errors.chain(report.warnings.iter().map(warning)).collect();
    let driver = json!({ "name": "Keyward", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules() });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    })
}

fn rules() -> Vec<Value> {
    let unusable = (UNUSABLE, "a file that cannot be used", "Keyward does not start with it", "error");
    let warnings = warning_rules().map(|(code, title, why)| (code, title, why, "warning"));
    let describe = |(code, title, why, level)| {
        json!({
            "id": code,
            "shortDescription": { "text": title },
            "fullDescription": { "text": why },
            "defaultConfiguration": { "level": level },
        })
    };
    std::iter::once(unusable).chain(warnings).map(describe).collect()
}

/// Code, title and reason of everything that is most likely not meant.
pub fn warning_rules() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    RULES.iter().map(|rule| (rule.code, rule.title, rule.why)).chain(FILE_RULES)
}

fn result(code: &str, level: &str, problem: &Problem) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(&problem.file) } });
    if let (Some(position), Some(members)) = (problem.position, place.as_object_mut()) {
        let region = json!({ "startLine": position.line, "startColumn": position.column });
        members.insert("region".to_owned(), region);
    }
    json!({
        "ruleId": code,
        "ruleIndex": warning_rules().position(|(known, ..)| known == code).map_or(0, |index| index + 1),
        "level": level,
        "message": { "text": problem.message },
        "locations": [{ "physicalLocation": place }],
    })
}

/// A path as a URI: relative ones are relative to where the command ran.
fn uri(path: &str) -> String {
    let encoded = path.split('/').map(percent_encode).collect::<Vec<_>>().join("/");
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        for (path, expected) in [
            ("policies/secrets/a%2Fb.json", "policies/secrets/a%252Fb.json"),
            ("/etc/my policies/a.json", "file:///etc/my%20policies/a.json"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }

    #[test]
    fn every_result_points_to_its_rule() {
        let rules = rules();
        for (code, ..) in warning_rules() {
            let result = result(code, "warning", &Problem::of_file("a.json", "x"));
            let index = result["ruleIndex"].as_u64().unwrap();
            assert_eq!(rules[usize::try_from(index).unwrap()]["id"], code);
        }
        assert_eq!(rules[0]["id"], UNUSABLE);
    }
}
