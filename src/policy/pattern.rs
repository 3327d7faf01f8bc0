//! Patterns with `*` (any characters, also none) and `?` (exactly one character).
//!
//! A pattern is matched against a whole string; `*` also crosses `:` and `/`. There is no escape. Source: RAM policy
//! syntax, "Wildcard characters".

use std::fmt;

/// Longest pattern that a policy may hold, in bytes. Resource names are far shorter; the bound keeps matching cheap.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// A pattern, prepared for matching.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    case: Case,
    shape: Shape,
}

/// Which wildcards are in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// None: it is compared as a whole.
    Literal,
    /// `*` only: what is between them is looked for.
    Stars,
    /// `?` too.
    Mixed,
}

/// Whether letters must agree in case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Ignored,
}

impl Pattern {
    /// A pattern in which case matters: resources.
    pub fn exact(text: &str) -> Self {
        Self::new(text, Case::Exact)
    }

    /// A pattern in which ASCII case does not matter: actions, names of users and roles.
    pub fn ignoring_case(text: &str) -> Self {
        Self::new(text, Case::Ignored)
    }

    fn new(text: &str, case: Case) -> Self {
        let shape = match (text.contains('*'), text.contains('?')) {
            (false, false) => Shape::Literal,
            (true, false) => Shape::Stars,
            (_, true) => Shape::Mixed,
        };
        Self { text: text.into(), case, shape }
    }

    /// Whether it matches one text only, but for case.
    pub fn is_literal(&self) -> bool {
        self.shape == Shape::Literal
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `candidate` fits. Takes no memory, and at worst time proportional
    /// to the product of both lengths.
    pub fn matches(&self, candidate: &str) -> bool {
        match (self.shape, self.case) {
            (Shape::Literal, Case::Exact) => *self.text == *candidate,
            (Shape::Literal, Case::Ignored) => self.text.eq_ignore_ascii_case(candidate),
            (Shape::Stars, Case::Exact) => matches_pieces(&self.text, candidate),
            _ => self.matches_slowly(candidate),
        }
    }

    /// Any pattern, character by character.
    fn matches_slowly(&self, candidate: &str) -> bool {
        let (mut pattern, mut rest) = (self.text.chars(), candidate.chars());
        // Where to go on when the part after the latest `*` does not fit: the pattern behind that `*`, and the
        // candidate one character further than the last attempt. Earlier `*` never need to be tried again, because
        // the latest one can take up whatever they would have.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let here = rest.clone();
            match (pattern.next(), rest.next()) {
                (Some('*'), _) => {
                    rest = here;
                    retry = Some((pattern.clone(), rest.clone()));
                }
                (None, None) => return true,
                (Some('?'), Some(_)) => {}
                (Some(expected), Some(found)) if self.case.same(expected, found) => {}
                _ => {
                    let Some((after_star, mut from)) = retry.take() else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    pattern = after_star.clone();
                    rest = from.clone();
                    retry = Some((after_star, from));
                }
            }
        }
    }
}

/// A pattern with `*` only: the first piece begins the candidate, the last one ends it, and each of the others is found
/// behind the one before it, as early as it can be.
fn matches_pieces(pattern: &str, candidate: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let last = pieces.next_back().unwrap_or_default();
    let rest = candidate.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = rest else { return false };
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    true
}

impl Case {
    fn same(self, expected: char, found: char) -> bool {
        expected == found || (self == Self::Ignored && expected.eq_ignore_ascii_case(&found))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_strings() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "kms:Encrypt", true),
            ("kms:*", "kms:Encrypt", true),
            ("kms:*", "kms:", true),
            ("kms:*", "ram:Encrypt", false),
            ("kms:List*", "kms:ListKeys", true),
            ("kms:ReEncrypt*", "kms:ReEncryptFrom", true),
            ("kms:?ncrypt", "kms:Encrypt", true),
            ("kms:?ncrypt", "kms:ncrypt", false),
            ("*Key", "kms:DescribeKey", true),
            ("*Key", "kms:DescribeKeys", false),
            ("acs:kms:*:*:key/*", "acs:kms:cn-hangzhou:1:key/a/b", true),
            ("acs:kms:*:*:key/*", "acs:kms:cn-hangzhou:1:key", false),
            ("acs:kms:*:*:key*", "acs:kms:cn-hangzhou:1:key", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("?", "é", true),
            ("??", "é", false),
            ("", "", true),
            ("", "a", false),
            ("**", "a", true),
        ] {
            assert_eq!(Pattern::exact(pattern).matches(text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn case_matters_only_where_it_should() {
        assert!(!Pattern::exact("KMS:encrypt").matches("kms:Encrypt"));
        assert!(Pattern::ignoring_case("KMS:encr*").matches("kms:Encrypt"));
    }

    #[test]
    fn hostile_patterns_end_quickly() {
        let pattern = Pattern::exact(&"*a".repeat(PATTERN_BYTES_MAX / 2));
        assert!(!pattern.matches(&"a".repeat(400)));
    }

    /// The definition, written recursively.
    fn fits(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => fits(rest, text) || (!text.is_empty() && fits(pattern, &text[1..])),
            (['?', rest @ ..], [_, more @ ..]) => fits(rest, more),
            ([p, rest @ ..], [t, more @ ..]) => p == t && fits(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let expected = fits(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::exact(&pattern).matches(&text), expected);
        }
    }
}
