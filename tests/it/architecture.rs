//! The shape of the source, checked: what every file says first, which room may use which, what the pure rooms must
//! not touch, and how long things may be. Each complaint says what would be right.
//!
//! The checks read text, not types: comments and literals are blanked, then names are looked for.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "the source is read from files")]

mod code;

use std::path::{Path, PathBuf};

use code::{code_of, functions, lines_with, names_below};

/// The rooms in reading order, and the rooms that each may use. [`PURE`] stands for all pure rooms.
const ROOMS: &[(&str, &[&str])] = &[
    ("source", &[]),
    ("policy", &["source"]),
    ("kms", &["source"]),
    ("authn", &["source", "policy", "kms"]),
    ("authz", &["source", "policy", "kms", "authn"]),
    ("settings", &[PURE]),
    ("store", &[PURE, "settings"]),
    ("telemetry", &[PURE, "settings", "store"]),
    ("served", &[PURE, "store"]),
    ("local_kms", &[PURE, "settings", "store", "served"]),
    ("upstream", &[PURE, "settings", "store", "telemetry"]),
    ("listen", &[PURE, "settings", "store", "telemetry"]),
    ("proxy", &[PURE, "store", "served", "local_kms", "upstream", "telemetry", "settings", "listen"]),
    ("admin", &[PURE, "settings", "store", "telemetry", "served", "upstream", "listen", "proxy"]),
    ("cli", &[PURE, "settings", "store", "telemetry", "served", "local_kms", "upstream", "listen", "proxy", "admin"]),
];

/// Every pure room, in one word.
const PURE: &str = "the pure rooms";
const PURE_ROOMS: &[&str] = &["source", "policy", "kms", "authn", "authz"];

/// What a pure room must not mention, and what it does instead.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "take the text as an argument; `store`, `settings` and `local_kms` read files"),
    ("std::env", "take the value as an argument; `settings` reads the environment"),
    ("SystemTime::now", "take the time as an argument"),
    ("Timestamp::now", "take the time as an argument"),
    ("async fn", "compute; whoever waits is a shell"),
    ("tokio", "compute; whoever waits is a shell"),
    ("tracing", "return what is to be told; `telemetry` tells it"),
    ("rand", "take the random bytes as an argument"),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// A file of the source: its path below `src`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let below_root = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        files.iter().map(|path| Self { path: below_root(path), text: std::fs::read_to_string(path).unwrap() }).collect()
    }

    /// The room it belongs to; `None` for `lib.rs` and `main.rs`, which belong to the house.
    fn room(&self) -> Option<&str> {
        let first = self.path.split('/').next().unwrap();
        (first != "lib.rs" && first != "main.rs").then(|| first.strip_suffix(".rs").unwrap_or(first))
    }

    /// A complaint that points into this file.
    fn complain(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }

    /// Its text without tests: those that close the file, and whole files of tests.
    fn text_without_tests(&self) -> &str {
        if self.path.ends_with("tests.rs") {
            return "";
        }
        self.text.split_once("#[cfg(test)]\nmod tests {").map_or(&self.text, |(before, _)| before)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// G09: what a secret is compared with must not be found by how long comparing takes.
#[test]
fn secrets_are_compared_in_constant_time() {
    const SECRETS: [&str; 5] = ["signature", "claimed", "token", "secret", "mac"];
    check(|source| {
        let compares = source.room() == Some("authn") || source.path.starts_with("admin/credentials");
        let code = if compares { code_of(source.text_without_tests()) } else { String::new() };
        let compared = |line: &str| {
            let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || "_.&=!".contains(c))).collect();
            words.windows(3).any(|it| {
                ["==", "!="].contains(&it[1])
                    && [it[0], it[2]]
                        .iter()
                        .any(|side| SECRETS.iter().any(|secret| side.rsplit('.').next() == Some(secret)))
            })
        };
        let found = code.lines().enumerate().filter(|(_, line)| compared(line));
        found.map(|(at, _)| source.complain(at + 1, "compare a secret with `verify_slice` or `ct_eq`")).collect()
    });
}

fn check(complaints: impl Fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> = Source::all().iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    check(missing_introduction);
}

#[test]
fn arrows_point_down_only() {
    check(arrows_that_point_up);
}

#[test]
fn pure_rooms_compute_and_touch_nothing() {
    check(impurities);
}

#[test]
fn files_and_functions_are_short() {
    check(lengths);
}

fn missing_introduction(source: &Source) -> Vec<String> {
    let what = "a file begins with `//!`: what it is for, and what it must never do";
    if source.text.starts_with("//!") { vec![] } else { vec![source.complain(1, what)] }
}

fn arrows_that_point_up(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![
            source.complain(1, format!("room `{room}` has no place yet; put it into ROOMS, below what it uses")),
        ];
    };
    let may_use =
        |used: &str| used == room || allowed.contains(&used) || (allowed.contains(&PURE) && PURE_ROOMS.contains(&used));
    let is_room = |used: &str| ROOMS.iter().any(|(name, _)| *name == used);
    let code = code_of(&source.text);
    let used = names_below(&code, "crate").into_iter().filter(|(_, used)| is_room(used) && !may_use(used));
    let right = if allowed.is_empty() { "no other room".to_owned() } else { allowed.join(", ") };
    used.map(|(line, used)| source.complain(line, format!("`{room}` uses `{used}`; it may use {right}"))).collect()
}

fn impurities(source: &Source) -> Vec<String> {
    if !source.room().is_some_and(|room| PURE_ROOMS.contains(&room)) {
        return Vec::new();
    }
    let code = code_of(&source.text);
    let mut complaints = Vec::new();
    for (phrase, instead) in IMPURE {
        let grouped = phrase.strip_prefix("std::").into_iter();
        let grouped = grouped.flat_map(|name| names_below(&code, "std").into_iter().filter(move |(_, it)| *it == name));
        let mut lines: Vec<usize> = grouped.map(|(line, _)| line).chain(lines_with(&code, phrase)).collect();
        lines.sort_unstable();
        lines.dedup();
        complaints.extend(lines.into_iter().map(|line| source.complain(line, format!("`{phrase}`: {instead}"))));
    }
    complaints
}

fn lengths(source: &Source) -> Vec<String> {
    let text = source.text_without_tests();
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines without tests; at most {FILE_LINES_MAX}: part it where the subject changes");
        complaints.push(source.complain(1, what));
    }
    for (line, name, lines) in functions(&code_of(text)) {
        if lines > FUNCTION_LINES_MAX {
            let what =
                format!("`{name}` has {lines} lines; at most {FUNCTION_LINES_MAX}: make a table or name its parts");
            complaints.push(source.complain(line, what));
        }
    }
    complaints
}

/// The checks themselves, on texts that are wrong.
mod checks {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_without_introduction_is_found() {
        assert_eq!(missing_introduction(&source("kms/mod.rs", "//! Words.\n")), [""; 0]);
        let complaints = missing_introduction(&source("main.rs", "fn main() {}"));
        assert!(complaints[0].starts_with("src/main.rs:1: a file begins with `//!`"), "{complaints:?}");
    }

    /// File, text, and the complaint about it.
    #[test]
    fn arrows_that_point_up_are_found() {
        for (path, text, complaint) in [
            ("authz/mod.rs", "use crate::policy::Policy;", None),
            ("authz/mod.rs", "use crate::{kms::{Params, Need}, authn};", None),
            ("kms/mod.rs", "use crate::kms::Params;", None),
            ("kms/mod.rs", "// crate::policy\n/* crate::policy /* */ crate::policy */ //! [`crate::policy`]", None),
            ("kms/mod.rs", r##"const A: &str = "crate::policy"; const B: &str = r#"" crate::policy"#;"##, None),
            (
                "kms/mod.rs",
                "const Q: char = '\"'; use crate::policy; // \"",
                Some("1: `kms` uses `policy`; it may use source"),
            ),
            ("kms/mod.rs", "fn f<'a>(x: &'a crate::policy::Policy) {}", Some("1: `kms` uses `policy`")),
            ("policy/decide.rs", "\nuse crate::kms::Params;", Some("2: `policy` uses `kms`; it may use source")),
            ("policy/decide.rs", "use crate::{\n    source,\n    kms::Params,\n};", Some("1: `policy` uses `kms`")),
            ("authz/mod.rs", "use crate::{kms::{self}, store::Store};", Some("1: `authz` uses `store`")),
            ("store/mod.rs", "use crate::{authz::Snapshot, settings};", None),
            (
                "store.rs",
                "fn f() { crate::proxy::serve() }",
                Some("1: `store` uses `proxy`; it may use the pure rooms, settings"),
            ),
            ("lib.rs", "use crate::cli;", None),
            ("cellar/mod.rs", "", Some("1: room `cellar` has no place yet")),
        ] {
            let complaints = arrows_that_point_up(&source(path, text));
            match complaint {
                None => assert_eq!(complaints, [""; 0], "{text}"),
                Some(right) => {
                    assert!(complaints.len() == 1 && complaints[0].contains(right), "{text}: {complaints:?}");
                }
            }
        }
    }

    #[test]
    fn impurities_are_found_in_pure_rooms_only() {
        for text in [
            "std::fs::read(path)",
            "use std::{env, fmt};",
            "use std::{fmt, fs::{self, File}};",
            "let now = std::time::SystemTime::now();",
            "jiff::Timestamp::now()",
            "pub async fn f() {}",
            "tokio::spawn(f)",
            "tracing::info!()",
            "use rand::Rng;",
        ] {
            assert_eq!(impurities(&source("policy/mod.rs", text)).len(), 1, "{text}");
            assert_eq!(impurities(&source("proxy/mod.rs", text)), [""; 0], "{text}");
        }
        let pure =
            "// std::fs\nuse std::{fmt, net::IpAddr};\nconst RANDOM: &str = \"rand tokio\"; fn brand(operand: u8) {}";
        assert_eq!(impurities(&source("policy/mod.rs", pure)), [""; 0]);
    }

    #[test]
    fn long_files_and_functions_are_found() {
        let function = |lines: usize| format!("fn f(\n) {{\n{}}}\n", "    g('{', \"}\");\n".repeat(lines - 3));
        assert_eq!(lengths(&source("kms/a.rs", &function(70))), [""; 0]);
        let complaints = lengths(&source("kms/a.rs", &format!("//! A.\n{}", function(71))));
        assert!(complaints[0].starts_with("src/kms/a.rs:2: `f` has 71 lines; at most 70"), "{complaints:?}");
        assert_eq!(lengths(&source("kms/a.rs", &"\n".repeat(400))), [""; 0]);
        let complaints = lengths(&source("kms/a.rs", &"\n".repeat(401)));
        assert!(complaints[0].starts_with("src/kms/a.rs:1: 401 lines"), "{complaints:?}");
    }

    #[test]
    fn tests_may_be_long() {
        let text = format!("//! A.\n#[cfg(test)]\nmod tests {{\nfn f() {{\n{}}}\n}}", "g();\n".repeat(500));
        assert_eq!(lengths(&source("kms/a.rs", &text)), [""; 0]);
        assert_eq!(lengths(&source("kms/a/tests.rs", &text)), [""; 0]);
        assert_eq!(lengths(&source("kms/a.rs", &text.replace("#[cfg(test)]\n", ""))).len(), 2);
    }
}
