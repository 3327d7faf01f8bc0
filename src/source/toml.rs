//! TOML read entry by entry, collecting every problem instead of stopping at the first.
//!
//! A reader asks a [`Section`] for the entries it knows; what was not asked for is reported as unknown when the
//! section is finished. What it must never do: take a wrong type for a right one, or overlook an entry.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Position, Problem, suggest};

/// Reads the TOML `text`: `read` takes what it knows from the root section and returns what it made of it.
///
/// # Errors
/// Every problem found: of the syntax, of `read`, and entries that `read` did not ask for.
pub fn read<T>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Result<T, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        vec![Problem::at(text, start, format!("is not TOML: {}", error.message().replace('\n', ", ")))]
    })?;
    let problems = RefCell::new(Vec::new());
    let root = Section::new(text, &problems, String::new(), table.span(), Some(table.get_ref()));
    let result = read(&root);
    root.finish();
    drop(root);
    let mut problems = problems.into_inner();
    problems.sort();
    match result {
        Some(result) if problems.is_empty() => Ok(result),
        _ => Err(problems),
    }
}

/// Where every entry of a text stands, by its whole name; the elements of an array by their numbers: `a.b.0.c`. Nothing, if
/// the text is not TOML.
pub fn places(text: &str) -> BTreeMap<String, Position> {
    let mut found = BTreeMap::new();
    if let Ok(table) = DeTable::parse(text) {
        note_places(text, "", table.get_ref(), &mut found);
    }
    found
}

fn note_places(text: &str, path: &str, table: &DeTable<'_>, found: &mut BTreeMap<String, Position>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        note_place(text, path, value, found);
    }
}

fn note_place(text: &str, path: String, value: &Spanned<DeValue<'_>>, found: &mut BTreeMap<String, Position>) {
    if let Some(table) = value.get_ref().as_table() {
        note_places(text, &path, table, found);
    }
    for (number, element) in value.get_ref().as_array().into_iter().flat_map(|array| array.iter().enumerate()) {
        note_place(text, format!("{path}.{number}"), element, found);
    }
    found.insert(path, Position::of(text, value.span().start));
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A table and what was asked of it so far. A table that is missing answers like an empty one.
pub struct Section<'a> {
    text: &'a str,
    problems: &'a RefCell<Vec<Problem>>,
    path: String,
    span: Range<usize>,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    fn new(
        text: &'a str,
        problems: &'a RefCell<Vec<Problem>>,
        path: String,
        span: Range<usize>,
        table: Option<&'a DeTable<'a>>,
    ) -> Self {
        Self { text, problems, path, span, table, asked: RefCell::default() }
    }

    /// Reports a problem of this table as a whole.
    pub fn problem(&self, message: impl Into<String>) {
        self.report(self.span.start, message.into());
    }

    /// The string at `name`, or `None` (with a problem, if something else stands there).
    pub fn string(&self, name: &'static str) -> Option<&'a str> {
        self.typed(name, "a string", |value| value.as_str())
    }

    /// The boolean at `name`.
    pub fn boolean(&self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    /// The whole number at `name`, which must lie in `range`.
    pub fn integer(&self, name: &'static str, range: Range<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start, range.end.saturating_sub(1));
        self.typed(name, &expected, |value| whole(value).filter(|number| range.contains(number)))
    }

    /// The strings in the array at `name`, each with its place: a byte offset, cheap to hand out.
    pub fn strings(&self, name: &'static str) -> Option<Vec<(&'a str, usize)>> {
        self.typed(name, "an array of strings", |value| {
            value.as_array()?.iter().map(|element| Some((element.get_ref().as_str()?, element.span().start))).collect()
        })
    }

    /// The whole numbers in the array at `name`, which must lie in `range`, each with its place.
    pub fn integers(&self, name: &'static str, range: Range<u64>) -> Option<Vec<(u64, usize)>> {
        let expected = format!("an array of whole numbers from {} to {}", range.start, range.end.saturating_sub(1));
        self.typed(name, &expected, |value| {
            let number = |value: &DeValue<'_>| whole(value).filter(|number| range.contains(number));
            value.as_array()?.iter().map(|element| Some((number(element.get_ref())?, element.span().start))).collect()
        })
    }

    /// The string at `name`, or the strings in the array there, each with its place.
    pub fn one_or_more(&self, name: &'static str) -> Option<Vec<(&'a str, usize)>> {
        self.typed(name, "a string, or an array of strings that is not empty", |value| {
            let place = self.entry(name)?.1.span().start;
            let Some(elements) = value.as_array() else { return Some(vec![(value.as_str()?, place)]) };
            let strings = elements.iter().map(|element| Some((element.get_ref().as_str()?, element.span().start)));
            strings.collect::<Option<Vec<_>>>().filter(|strings| !strings.is_empty())
        })
    }

    /// The strings in the table at `name`, by names that the author chose, each with its place.
    pub fn named_strings(&self, name: &'static str) -> Vec<(&'a str, &'a str, usize)> {
        let strings = self.typed(name, "a table of strings", |value| {
            let named = value.as_table()?.iter();
            named
                .map(|(key, value)| Some((key.get_ref().as_ref(), value.get_ref().as_str()?, value.span().start)))
                .collect()
        });
        strings.unwrap_or_default()
    }

    /// Whether the table is there at all.
    pub fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether there is an entry of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where this table stands: a byte offset.
    pub fn place(&self) -> usize {
        self.span.start
    }

    /// What `parse` makes of the string at `name`; its error is reported at the string's place.
    pub fn parsed<T, E: Display>(&self, name: &'static str, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Option<T> {
        let string = self.string(name)?;
        parse(string).map_err(|error| self.report_at(name, error.to_string())).ok()
    }

    /// The table at `name`, to be read further. Missing is the same as empty.
    pub fn section(&self, name: &'static str) -> Section<'a> {
        let table = self.typed(name, "a table", |value| value.as_table());
        let span = self.entry(name).map_or_else(|| self.span.clone(), |(key, _)| key);
        Section::new(self.text, self.problems, self.path_of(name), span, table)
    }

    /// The tables inside the table at `name`, with their names.
    pub fn named_sections(&self, name: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let Some(tables) = self.typed(name, "a table of tables", |value| value.as_table()) else { return Vec::new() };
        let mut sections = Vec::new();
        for (key, value) in tables {
            let path = format!("{}.{}", self.path_of(name), key.get_ref());
            match value.get_ref().as_table() {
                Some(table) => {
                    let section = Section::new(self.text, self.problems, path, key.span(), Some(table));
                    sections.push((key.get_ref().as_ref(), section));
                }
                None => self.report(value.span().start, format!("`{path}` must be a table")),
            }
        }
        sections
    }

    /// The tables in the array at `name`.
    pub fn listed_sections(&self, name: &'static str) -> Vec<Section<'a>> {
        let elements = self.typed(name, "an array of tables", |value| value.as_array());
        let mut sections = Vec::new();
        for element in elements.into_iter().flatten() {
            match element.get_ref().as_table() {
                Some(table) => {
                    let path = self.path_of(name);
                    sections.push(Section::new(self.text, self.problems, path, element.span(), Some(table)));
                }
                None => self.report(element.span().start, format!("`{}` must hold tables", self.path_of(name))),
            }
        }
        sections
    }

    /// Reports that `name` is missing, if it is; otherwise whatever is wrong with it was reported already.
    pub fn require(&self, name: &'static str, what_for: &str) {
        if self.entry(name).is_none() {
            self.problem(format!("`{}` is missing: {what_for}", self.path_of(name)));
        }
    }

    /// Reports `message` at the value of `name`.
    pub fn report_at(&self, name: &str, message: impl Display) {
        let start = self.entry(name).map_or(self.span.start, |(_, value)| value.span().start);
        self.report(start, format!("`{}` {message}", self.path_of(name)));
    }

    /// Reports `message` at a place that was handed out before.
    pub fn report_place(&self, offset: usize, message: impl Into<String>) {
        self.report(offset, message.into());
    }

    /// Reports every entry that was not asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !asked.contains(&name) {
                let hint = suggest(name, asked.iter().copied());
                self.report(key.span().start, format!("unknown entry `{}`{hint}", self.path_of(name)));
            }
        }
    }

    fn typed<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name);
        }
        drop(asked);
        let (_, value) = self.entry(name)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.report_at(name, format!("must be {expected}"));
        }
        read
    }

    fn entry(&self, name: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'a>>)> {
        let (key, value) = self.table?.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((key.span(), value))
    }

    /// The whole name of an entry, as people know it.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn report(&self, offset: usize, message: String) {
        self.problems.borrow_mut().push(Problem::at(self.text, offset, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let result = read(text, |root| {
            let listen = root.section("listen");
            let api = listen.parsed("api", |text| text.parse::<std::net::SocketAddr>());
            listen.require("api", "where to listen");
            listen.integer("backlog", 1..100);
            listen.finish();
            for (_, user) in root.named_sections("users") {
                user.strings("groups");
                user.finish();
            }
            api
        });
        result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_right_text_gives_what_was_read() {
        assert_eq!(problems("[listen]\napi = '127.0.0.1:1'\n[users.kim]\ngroups = ['a']"), [""; 0]);
    }

    #[test]
    fn every_problem_is_reported_at_its_place() {
        let text =
            "lisen = 1\n[listen]\napi = 'here'\nbacklog = 0x64\n[users.kim]\ngroup = []\n[users.bob]\ngroups = 1";
        assert_eq!(
            problems(text),
            [
                "1:1: unknown entry `lisen`; did you mean `listen`?",
                "3:7: `listen.api` invalid socket address syntax",
                "4:11: `listen.backlog` must be a whole number from 1 to 99",
                "6:1: unknown entry `users.kim.group`; did you mean `groups`?",
                "8:10: `users.bob.groups` must be an array of strings",
            ]
        );
    }

    #[test]
    fn one_string_is_a_list_of_one() {
        let lists_and_table = |text: &str| {
            read(text, |root| {
                let strings = |name| root.one_or_more(name).unwrap_or_default();
                let all = strings("a").into_iter().chain(strings("b"));
                let mut found: Vec<String> = all.map(|(text, place)| format!("{place}: {text}")).collect();
                let named = root.named_strings("c");
                found.extend(named.iter().map(|(name, text, place)| format!("{place}: {name}={text}")));
                Some(found)
            })
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let found = lists_and_table("a = 'x'\nb = ['y', 'z']\n[c]\n'k/1' = 'v'");
        assert_eq!(found.unwrap(), ["4: x", "13: y", "18: z", "35: k/1=v"]);
        let problems = lists_and_table("a = []\nb = [1]\n[c]\nk = 1");
        let expected = [
            "1:5: `a` must be a string, or an array of strings that is not empty",
            "2:5: `b` must be a string, or an array of strings that is not empty",
            "3:1: `c` must be a table of strings",
        ];
        assert_eq!(problems.unwrap_err(), expected);
    }

    #[test]
    fn what_is_missing_or_no_toml_is_named() {
        assert_eq!(problems("[listen]"), ["1:2: `listen.api` is missing: where to listen"]);
        assert!(problems("[listen")[0].starts_with("1:8: is not TOML: "), "{:?}", problems("[listen"));
    }
}
