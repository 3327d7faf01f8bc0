//! Reads Rust source just well enough: blanks what is no code, finds paths and functions.

/// The text with comments and the contents of literals blanked. Lines and columns stay what they are.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank_bytes = comment_bytes(rest).or_else(|| literal_bytes(rest));
        let (taken, remaining) = rest.split_at(blank_bytes.unwrap_or(first.len_utf8()).min(rest.len()));
        match blank_bytes {
            None => code.push(first),
            Some(_) => code.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' })),
        }
        rest = remaining;
    }
    code
}

/// How long the comment is with which `rest` begins.
fn comment_bytes(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let here = rest.get(at..).unwrap_or_default();
        match (here.get(..2), depth) {
            (Some("/*"), _) => (depth, at) = (depth + 1, at + 2),
            (_, 0) => return None,
            (Some("*/"), 1) => return Some(at + 2),
            (Some("*/"), _) => (depth, at) = (depth - 1, at + 2),
            _ if here.is_empty() => return Some(at),
            _ => at += here.chars().next().map_or(1, char::len_utf8),
        }
    }
}

/// How long the string or character is with which `rest` begins. A lifetime is neither.
fn literal_bytes(rest: &str) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let contents = raw.trim_start_matches('#').strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(2 + hashes + contents.find(&end).map_or(contents.len(), |at| at + end.len()));
    }
    let quote = rest.chars().next().filter(|first| ['"', '\''].contains(first))?;
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if quote == '\'' && first != '\\' && characters.next().is_none_or(|(_, second)| second != quote) {
        return None;
    }
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn is_in_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The lines in which `phrase` stands as whole words.
pub fn lines_with(code: &str, phrase: &str) -> Vec<usize> {
    places_of(code, phrase).into_iter().map(|at| line_of(code, at)).collect()
}

fn places_of(code: &str, phrase: &str) -> Vec<usize> {
    let is_whole = |at: usize| {
        let (before, after) = code.split_at(at);
        let after = after.strip_prefix(phrase).unwrap_or_default();
        let goes_on = phrase.ends_with(is_in_name) && after.starts_with(is_in_name);
        !goes_on && !before.ends_with(is_in_name)
    };
    code.match_indices(phrase).map(|(at, _)| at).filter(|at| is_whole(*at)).collect()
}

fn line_of(code: &str, at: usize) -> usize {
    code.split_at(at).0.matches('\n').count() + 1
}

fn leading_name(text: &str) -> &str {
    let text = text.trim_start();
    text.split_at(text.find(|c| !is_in_name(c)).unwrap_or(text.len())).0
}

/// The names that stand directly below `root`, with their lines: `a` in `root::a::b`, `a` and `b` in
/// `root::{a::x, b::{c, d}}`.
pub fn names_below<'c>(code: &'c str, root: &str) -> Vec<(usize, &'c str)> {
    let path = format!("{root}::");
    let mut names = Vec::new();
    for at in places_of(code, &path) {
        let after = code.split_at(at + path.len()).1;
        let line = line_of(code, at);
        match after.trim_start().strip_prefix('{') {
            Some(group) => names.extend(elements_of(group).into_iter().map(|element| (line, leading_name(element)))),
            None => names.push((line, leading_name(after))),
        }
    }
    names
}

/// The elements of a group whose opening brace was read already, split at its own commas.
fn elements_of(group: &str) -> Vec<&str> {
    let (mut elements, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in group.char_indices() {
        let is_end = depth == 0 && [',', '}'].contains(&character);
        if is_end {
            elements.extend(group.get(start..at));
            start = at + 1;
        }
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    elements
}

/// Every function that has a body: its line, its name and how many lines it has.
pub fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let starts = places_of(code, "fn").into_iter().map(|at| (at, code.split_at(at + 2).1));
    let named = starts.filter(|(_, after)| after.starts_with(' '));
    named
        .filter_map(|(at, after)| {
            let (signature, body) = after.split_at(body_start(after)? + 1);
            let lines = signature.matches('\n').count() + lines_to_closing_brace(body) + 1;
            Some((line_of(code, at), leading_name(after), lines))
        })
        .collect()
}

/// Where the body of a function begins; `None` if it has none. A `;` within brackets is part of an array's type.
fn body_start(after_fn: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in after_fn.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// How many lines it is from here to the brace that closes the block we are in.
fn lines_to_closing_brace(body: &str) -> usize {
    let mut depth = 1;
    let inside = body.chars().take_while(|character| {
        depth += i32::from(*character == '{') - i32::from(*character == '}');
        depth > 0
    });
    inside.filter(|character| *character == '\n').count()
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x\\\"//\", '\"', 'y')", "f(       ,    ,    )"),
        ("r#\"a\"b\"# c", "         c"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("'\\'' 'ü'", "         "),
        ("a /* b\nc", "a     \n "),
    ] {
        assert_eq!(code_of(text).trim_end(), code.trim_end(), "{text}");
    }
}

#[test]
fn paths_are_found_in_groups_too() {
    let code = "use crate::{a, b::{c, d}, e::*}; crate::f::g(); my_crate::h(); crate::{\n i };";
    let names: Vec<&str> = names_below(code, "crate").into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "e", "f", "i"]);
}

#[test]
fn functions_are_measured_from_their_name_to_their_last_brace() {
    let code = "trait T { fn a(&self); fn b(&self) {} } type F = fn(u8) -> u8;\nfn c() -> [u8; 2] {\n{}\n}";
    assert_eq!(functions(code), [(1, "b", 1), (2, "c", 3)]);
}
