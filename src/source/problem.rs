//! A mistake in a text, and where it stands.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A place in a text. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
}

impl Position {
    /// The position of the byte at `offset` in `text`; the end of the text when `offset` lies beyond it.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before.chars().count() - before.get(..line_start).unwrap_or("").chars().count() + 1,
        }
    }
}

/// One mistake in something a person wrote: where, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The file as the person knows it; empty while the text has no file yet.
    pub file: String,
    /// Where in the file; `None` when the file as a whole is meant.
    pub position: Option<Position>,
    /// What is wrong, as a lowercase fragment, with what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at the byte `offset` of `text`.
    pub fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { file: String::new(), position: Some(Position::of(text, offset)), message: message.into() }
    }

    /// A problem of a file as a whole.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), position: None, message: message.into() }
    }

    /// The same problem, in the file `file`.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = file.to_owned();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        let gap = if self.file.is_empty() && self.position.is_none() { "" } else { " " };
        write!(f, "{gap}{}", self.message)
    }
}

/// Problems one after the other, where there is room for a line only.
pub fn in_one_line(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// `; did you mean `x`?` when one of `known` is close to `written`, otherwise what there is to choose from.
pub fn suggest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let closest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&written.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    }
}

/// So many things, in words: `no keys`, `1 key`, `2 keys`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

/// A path as people know it: `config/../policies` is `policies`.
pub fn shown(path: &Path) -> String {
    let mut short = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if short.file_name().is_some() => {
                short.pop();
            }
            Component::CurDir => {}
            other => short.push(other),
        }
    }
    short.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "ab\nçd\n";
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (3, 2, 1), (5, 2, 2), (7, 3, 1), (99, 3, 1)] {
            assert_eq!(Position::of(text, offset), Position { line, column }, "offset {offset}");
        }
    }

    #[test]
    fn a_problem_reads_like_a_compiler_message() {
        let problem = Problem::at("{\n  x", 4, "unknown member `x`").in_file("policies/a.json");
        assert_eq!(problem.to_string(), "policies/a.json:2:3: unknown member `x`");
        assert_eq!(Problem::of_file("a.json", "is not UTF-8").to_string(), "a.json: is not UTF-8");
    }

    #[test]
    fn suggestions_prefer_a_close_name() {
        assert_eq!(suggest("Efect", ["Effect", "Action"]), "; did you mean `Effect`?");
        assert_eq!(suggest("zzz", ["Effect", "Action"]), "; known here: Effect, Action");
    }

    #[test]
    fn paths_are_shown_without_detours() {
        assert_eq!(shown(Path::new("config/../policies/./a.json")), "policies/a.json");
        assert_eq!(shown(Path::new("../policies")), "../policies");
    }
}
