//! JSON whose every value knows where it stands.
//!
//! Values are read layer by layer as slices of the original text, so a reader sees members in their order, sees a
//! member that is given twice, and never recurses deeper than the shape it asks for. What it must never do: repair
//! or guess. The text is accepted exactly where RFC 8259 accepts it.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Position, Problem};

/// One JSON value, as a slice of the text it was found in.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    text: &'a str,
    raw: &'a str,
}

impl<'a> Node<'a> {
    /// The value which `text` consists of.
    ///
    /// # Errors
    /// One problem with its position, when `text` is not exactly one JSON value.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        if text.starts_with('\u{feff}') {
            return Err(Problem::at(text, 0, "starts with a byte order mark; save the file as UTF-8 without one"));
        }
        let value: &RawValue = serde_json::from_str(text).map_err(|error| syntax_problem(text, &error))?;
        Ok(Self { text, raw: value.get() })
    }

    /// A problem at this value's place.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::at(self.text, self.offset(), message)
    }

    /// Where this value begins.
    pub fn position(&self) -> Position {
        Position::of(self.text, self.offset())
    }

    /// This value as a text: a string's value, or a number or boolean as it is written.
    ///
    /// # Errors
    /// This is an object, an array or null.
    pub fn scalar(&self) -> Result<String, Problem> {
        match self.kind() {
            "a string" => self.string(),
            "a number" | "a boolean" => Ok(self.raw.to_owned()),
            other => Err(self.problem(format!("expected a string, found {other}"))),
        }
    }

    /// The members of this object in their order.
    ///
    /// # Errors
    /// This is no object, or a member is given twice.
    pub fn members(&self) -> Result<Vec<(String, Self)>, Problem> {
        let Members(members) = self.read("an object")?;
        let mut seen = HashSet::with_capacity(members.len());
        if let Some((name, value)) = members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            return Err(self.child(value).problem(format!("member `{name}` is given twice")));
        }
        Ok(members.into_iter().map(|(name, value)| (name, self.child(value))).collect())
    }

    /// The elements of this array.
    ///
    /// # Errors
    /// This is no array.
    pub fn elements(&self) -> Result<Vec<Self>, Problem> {
        let elements: Vec<&RawValue> = self.read("an array")?;
        Ok(elements.into_iter().map(|element| self.child(element)).collect())
    }

    /// This string's value.
    ///
    /// # Errors
    /// This is no string.
    pub fn string(&self) -> Result<String, Problem> {
        self.read("a string")
    }

    /// What kind of value this is, in words: `an object`, `a number`, …
    pub fn kind(&self) -> &'static str {
        match self.raw.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    fn read<T: Deserialize<'a>>(&self, expected: &str) -> Result<T, Problem> {
        if self.kind() != expected {
            return Err(self.problem(format!("expected {expected}, found {}", self.kind())));
        }
        serde_json::from_str(self.raw).map_err(|error| self.problem(format!("cannot be read: {error}")))
    }

    fn child(&self, value: &'a RawValue) -> Self {
        Self { text: self.text, raw: value.get() }
    }

    /// `raw` is a slice of `text`, so the distance of their addresses is the offset.
    fn offset(&self) -> usize {
        (self.raw.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind(), self.offset())
    }
}

fn syntax_problem(text: &str, error: &serde_json::Error) -> Problem {
    let offset = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Problem::at(text, offset + error.column().saturating_sub(1), format!("is not JSON: {message}"))
}

/// An object's members, in order and with repetitions: what a map type would lose.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &RawValue>().map_err(de::Error::custom)? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(result: Result<impl fmt::Debug, Problem>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = Node::parse("{\n  \"a\": [1, \"é\"],\n  \"b\": true\n}").unwrap();
        let members = node.members().unwrap();
        let elements = members[0].1.elements().unwrap();
        assert_eq!(elements[1].string().unwrap(), "é");
        assert_eq!(elements[0].problem("here").to_string(), "2:9: here");
        assert_eq!(problem(members[1].1.string()), "3:8: expected a string, found a boolean");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_position() {
        for (text, expected) in [
            ("", "1:1: is not JSON: EOF while parsing a value"),
            ("{\n  \"a\": }", "2:8: is not JSON: expected value"),
            ("{} {}", "1:4: is not JSON: trailing characters"),
            ("\u{feff}{}", "1:1: starts with a byte order mark; save the file as UTF-8 without one"),
        ] {
            assert_eq!(problem(Node::parse(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn a_member_given_twice_is_refused_even_when_written_differently() {
        let node = Node::parse(r#"{"Effect": 1, "\u0045ffect": 2}"#).unwrap();
        assert_eq!(problem(node.members()), "1:30: member `Effect` is given twice");
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(Node::parse(&deep).unwrap().elements().unwrap().len(), 1);
    }
}
