//! What became of the cases: for people, for continuous integration (JUnit), for programs (JSON).

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use quick_xml::escape::escape;
use serde_json::json;

use super::judge::{Outcome, Results};
use crate::source::counted;

const FAILED: Style = AnsiColor::Red.on_default().bold();
const PASSED: Style = AnsiColor::Green.on_default().bold();

/// One line for each failure, then counts and coverage.
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for outcome in &results.outcomes {
        if let Some(failure) = &outcome.failure {
            let _ = writeln!(text, "{FAILED}failed{FAILED:#}: {}: {}", place_and_name(outcome), failure);
        }
    }
    let (all, failed) = (results.outcomes.len(), results.failed());
    let style = if failed == 0 { PASSED } else { FAILED };
    let cases = counted(all, "case", "cases");
    let _ = writeln!(text, "{style}{cases}: {} passed, {failed} failed{style:#}", all - failed);
    let coverage = &results.coverage;
    let (reached, statements) = (coverage.reached(), coverage.all());
    let _ = writeln!(text, "coverage: {reached} of {statements} statements ({} %)", coverage.percent());
    for statement in coverage.missed() {
        let _ = writeln!(text, "  in no case: {statement}");
    }
    if let Some(least) = results.min_coverage.filter(|_| !results.covers_enough()) {
        let _ = writeln!(text, "{FAILED}failed{FAILED:#}: the coverage is below {least} %");
    }
    text
}

fn place_and_name(outcome: &Outcome) -> String {
    let Outcome { file, place, name, question, .. } = outcome;
    if name == question { format!("{file}:{place}: {question}") } else { format!("{file}:{place}: {name}: {question}") }
}

/// A test suite for each file, and one for the coverage where a least coverage is asked for.
pub fn junit(results: &Results) -> String {
    let coverage = i32::from(results.min_coverage.is_some());
    let missing = usize::from(!results.covers_enough());
    let tests = results.outcomes.len() + usize::from(results.min_coverage.is_some());
    let failures = results.failed() + missing;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"keyward test\" tests=\"{tests}\" failures=\"{failures}\">");
    for suite in results.outcomes.chunk_by(|one, next| one.file == next.file) {
        junit_suite(&mut xml, suite);
    }
    if let Some(least) = results.min_coverage {
        let _ = writeln!(xml, "  <testsuite name=\"coverage\" tests=\"{coverage}\" failures=\"{missing}\">");
        let failure = (missing > 0).then(|| {
            let missed: Vec<&str> = results.coverage.missed().collect();
            format!("{} % of the statements are in a case; not: {}", results.coverage.percent(), missed.join(", "))
        });
        junit_case(&mut xml, &format!("at least {least} %"), "coverage", failure.as_deref());
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn junit_suite(xml: &mut String, outcomes: &[Outcome]) {
    let file = outcomes.first().map_or("", |outcome| &outcome.file);
    let failures = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let (name, tests) = (xml_text(file), outcomes.len());
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
    for outcome in outcomes {
        let Outcome { name, question, place, failure, .. } = outcome;
        let name = if name == question { question.clone() } else { format!("{name}: {question}") };
        junit_case(xml, &name, &format!("{file}:{place}"), failure.as_deref());
    }
    xml.push_str("  </testsuite>\n");
}

fn junit_case(xml: &mut String, name: &str, class: &str, failure: Option<&str>) {
    let (name, class) = (xml_text(name), xml_text(class));
    let _ = match failure {
        None => writeln!(xml, "    <testcase name=\"{name}\" classname=\"{class}\"/>"),
        Some(failure) => {
            let failure = xml_text(failure);
            writeln!(
                xml,
                "    <testcase name=\"{name}\" classname=\"{class}\"><failure message=\"{failure}\"/></testcase>"
            )
        }
    };
}

/// Escaped, and without the characters that XML cannot hold.
fn xml_text(text: &str) -> String {
    let legal = |character: char| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
    let text: String = text.chars().map(|it| if legal(it) { it } else { '\u{fffd}' }).collect();
    escape(&text).into_owned()
}

/// One object.
pub fn json(results: &Results) -> String {
    let case = |outcome: &Outcome| {
        json!({
            "file": outcome.file,
            "place": outcome.place,
            "name": outcome.name,
            "question": outcome.question,
            "passed": outcome.failure.is_none(),
            "failure": outcome.failure,
        })
    };
    let coverage = &results.coverage;
    let value = json!({
        "passed": results.passed(),
        "cases": results.outcomes.iter().map(case).collect::<Vec<_>>(),
        "failed": results.failed(),
        "coverage": {
            "statements": coverage.all(),
            "reached": coverage.reached(),
            "percent": coverage.percent(),
            "missed": coverage.missed().collect::<Vec<_>>(),
        },
    });
    format!("{value:#}\n")
}
