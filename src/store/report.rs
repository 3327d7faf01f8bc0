//! What is said about a look at the files: in the log, and of a set that waits for approval.

use std::collections::HashSet;
use std::sync::Arc;

use similar::TextDiff;

use super::look::Look;
use super::set::Files;
use super::status::{Difference, Shown, Status, Waiting};
use crate::policy::Finding;
use crate::settings::OnInvalid;
use crate::source::{Problem, shown};

/// How many bytes of differences are shown, of all files together.
const DIFF_BYTES_MAX: usize = 64 * 1024;

/// How many lines the log gets of one look and one kind.
const LINES_MAX: usize = 20;

/// How many lines around a difference are shown.
const AROUND: usize = 3;

/// Says what is new: a generation, mistakes and what stands in for them, and the end of all mistakes.
pub fn report(before: &Status, now: &Status, on_invalid: OnInvalid) {
    let instead = match on_invalid {
        OnInvalid::Keep => "its last good version",
        OnInvalid::Deny => "a denial",
    };
    let known: HashSet<&Problem> = before.problems.iter().collect();
    let new = now.problems.iter().filter(|problem| !known.contains(problem));
    said_once(new, |problem| tracing::error!(%problem, instead, "cannot be used"));
    report_warnings(&before.warnings, &now.warnings);
    if now.problems.is_empty() && !before.problems.is_empty() {
        tracing::info!("all policies and identities can be used again");
    }
    if now.generation != before.generation && before.generation != 0 {
        tracing::info!(generation = now.generation, hash = %now.hash, "other policies or identities are in force");
    }
    if let Some(waiting) = &now.waiting
        && before.waiting.as_ref() != Some(waiting)
    {
        let (files, approval) = (waiting.differences.len(), &waiting.approval);
        tracing::warn!(files, approval, "a changed set waits for approval: `keyward status` shows what it is");
    }
}

/// Says once what is most likely not meant. It is in force all the same.
fn report_warnings(before: &[Finding], now: &[Finding]) {
    // A finding that moved with its text is not new.
    fn identity(finding: &Finding) -> (&str, &str, &str) {
        (finding.code, &finding.problem.file, &finding.problem.message)
    }
    let known: HashSet<_> = before.iter().map(identity).collect();
    let new = now.iter().filter(|finding| !known.contains(&identity(finding)));
    said_once(new, |finding| {
        tracing::warn!(code = finding.code, finding = %finding.problem, "is in force, and most likely not meant");
    });
}

/// Says the first few of many things; `/status` has all of them.
fn said_once<'a, T: 'a>(things: impl Iterator<Item = &'a T>, say: impl Fn(&T)) {
    let mut things = things.peekable();
    things.by_ref().take(LINES_MAX).for_each(say);
    if things.peek().is_some() {
        tracing::warn!(more = things.count(), "the rest is told by `keyward status`");
    }
}

/// A set that waits for approval, compared with what is in force.
pub fn waiting(approval: String, in_force: &Files, look: &Look) -> Waiting {
    let mut room = DIFF_BYTES_MAX;
    let mut paths: Vec<_> = look.touched.paths.iter().collect();
    paths.sort();
    let difference = |path: &Arc<str>| {
        let text = |files: &Files| files.in_force(path).map(|policy| policy.text.clone());
        let (old, new) = (text(in_force), text(&look.files));
        let file = in_force.shown(path);
        let name = |text: &Option<_>| if text.is_some() { file.clone() } else { "/dev/null".to_owned() };
        let names = (name(&old), name(&new));
        let diff = TextDiff::from_lines(old.as_deref().unwrap_or(""), new.as_deref().unwrap_or(""));
        let lines = diff.unified_diff().context_radius(AROUND).header(&names.0, &names.1).to_string();
        let shown = if lines.len() > room { Shown::TooLong } else { Shown::Lines(lines.clone()) };
        room -= lines.len().min(room);
        Difference { file, shown }
    };
    let mut differences: Vec<Difference> = paths.into_iter().map(difference).collect();
    if look.touched.identities {
        let file = shown(look.files.identities().path());
        differences.push(Difference { file, shown: Shown::Secret });
    }
    Waiting { approval, differences }
}
