//! What is said about a look at the files: in the log, and of a set that waits for approval.

use similar::TextDiff;

use super::load::Look;
use super::set::Files;
use super::status::{Change, Status, Waiting};
use crate::policy::Finding;

/// How many bytes of differences are shown, of all files together.
const DIFF_BYTES_MAX: usize = 64 * 1024;

/// How many lines around a difference are shown.
const AROUND: usize = 3;

/// Says what is new: a generation, mistakes, and the end of all mistakes.
pub fn report(before: &Status, now: &Status) {
    for problem in now.problems.iter().filter(|problem| !before.problems.contains(problem)) {
        tracing::error!(%problem, "cannot be used; the last good version stays in force");
    }
    report_warnings(&before.warnings, &now.warnings);
    if now.problems.is_empty() && !before.problems.is_empty() {
        tracing::info!("all policies and identities can be used again");
    }
    if now.generation != before.generation && before.generation != 0 {
        tracing::info!(generation = now.generation, hash = %now.hash, "policies and identities reloaded");
    }
    if let Some(waiting) = &now.waiting
        && before.waiting.as_ref() != Some(waiting)
    {
        let files = waiting.changes.len();
        tracing::warn!(files, hash = waiting.hash, "changed policies wait for approval: `keyward status` shows them");
    }
}

/// Says once what is most likely not meant. It is in force all the same.
fn report_warnings(before: &[Finding], now: &[Finding]) {
    // A finding that moved with its text is not new.
    let is_new = |finding: &&Finding| {
        let same = |old: &Finding| {
            (old.code, &old.problem.file, &old.problem.message)
                == (finding.code, &finding.problem.file, &finding.problem.message)
        };
        !before.iter().any(same)
    };
    for finding in now.iter().filter(is_new) {
        tracing::warn!(code = finding.code, finding = %finding.problem, "is in force, and most likely not meant");
    }
}

/// A set that waits for approval, compared with what is in force.
pub fn waiting(hash: String, in_force: &Files, look: &Look) -> Waiting {
    let mut room = DIFF_BYTES_MAX;
    let mut paths: Vec<_> = look.touched.paths.iter().collect();
    paths.sort();
    let change = |path: &std::sync::Arc<str>| {
        let text = |files: &Files| files.in_force(path).map(|policy| policy.text.clone());
        let (old, new) = (text(in_force), text(&look.files));
        let file = in_force.shown(path);
        let name = |text: &Option<_>| if text.is_some() { file.clone() } else { "/dev/null".to_owned() };
        let names = (name(&old), name(&new));
        let diff = TextDiff::from_lines(old.as_deref().unwrap_or(""), new.as_deref().unwrap_or(""));
        let mut diff = diff.unified_diff().context_radius(AROUND).header(&names.0, &names.1).to_string();
        if diff.len() > room {
            "too long to be shown\n".clone_into(&mut diff);
        }
        room -= diff.len().min(room);
        Change { file, diff }
    };
    let mut changes: Vec<Change> = paths.into_iter().map(change).collect();
    if look.touched.identities {
        let file = crate::source::shown(look.files.identities().path());
        changes.push(Change { file, diff: String::new() });
    }
    Waiting { hash, changes }
}
