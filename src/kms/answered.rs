//! What an answer of KMS says, as far as somebody has to know before it is released: which key it is about, or that it
//! is an error and nothing more.
//!
//! Read strictly: an answer that two parsers could read differently says nothing.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::answer::Format;
use crate::source::json::Node;

/// The most elements deep that an answer in XML is read.
const DEPTH_MAX: usize = 16;

/// The key that an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnsweredKey {
    /// This one, by its id or ARN.
    Named(String),
    /// It names none.
    Absent,
    /// It cannot be read in one way only.
    Unreadable,
}

/// The members of an error answer.
const OF_ERRORS: &[&str] = &["RequestId", "HostId", "HttpStatus", "Code", "Message", "Recommend", "AccessDeniedDetail"];

/// The key that the answer names at `pointer`, such as `/KeyMetadata/KeyId`.
pub fn answered_key(format: Format, body: &[u8], pointer: &str) -> AnsweredKey {
    let Ok(text) = std::str::from_utf8(body) else { return AnsweredKey::Unreadable };
    let path: Vec<&str> = pointer.split('/').skip(1).collect();
    let found = match format {
        Format::Json => in_json(text, &path),
        Format::Xml => in_xml(text, &path),
    };
    match found {
        Some(Some(key)) => AnsweredKey::Named(key),
        Some(None) => AnsweredKey::Absent,
        None => AnsweredKey::Unreadable,
    }
}

/// Whether the code of an error is about who signed, and not about what was asked.
pub fn is_about_signature(code: &str) -> bool {
    const FAMILIES: &[&str] = &[
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidSecurityToken",
        "InvalidTimeStamp",
        "MissingSecurityToken",
        "SignatureDoesNotMatch",
        "SignatureNonceUsed",
    ];
    code.split('.').next().is_some_and(|family| FAMILIES.contains(&family))
}

/// Whether the code of an error says that there were too many requests.
pub fn is_throttling(code: &str) -> bool {
    code.contains("Throttling")
}

/// Whether an answer is an error that says what errors say, and nothing else.
pub fn is_plain_error(format: Format, body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let names = match format {
        Format::Json => Node::parse(text)
            .and_then(|node| node.members())
            .ok()
            .map(|members| members.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()),
        Format::Xml => top_elements(text),
    };
    names.is_some_and(|names| names.iter().all(|name| OF_ERRORS.contains(&name.as_str())))
}

/// The members of an answer, but for those that are secret: these are not kept anywhere. `None` if it has none. In XML, a name
/// that comes more than once is a list.
pub fn public_members(format: Format, body: &[u8]) -> Option<Map<String, Value>> {
    match format {
        Format::Json => serde_json::from_slice(body).ok().map(|Public(members)| members),
        Format::Xml => tree(std::str::from_utf8(body).ok()?),
    }
}

/// The elements below the root, as members.
fn tree(text: &str) -> Option<Map<String, Value>> {
    let mut levels: Vec<Map<String, Value>> = vec![Map::new()];
    walk(text, |stack, value| {
        // Elements end before those that they are in.
        while levels.len() < stack.len() {
            levels.push(Map::new());
        }
        let Some(name) = stack.last().filter(|name| !SECRET.contains(&name.as_str())) else { return true };
        let inner = if levels.len() > stack.len() { levels.pop() } else { None };
        let value = inner.map_or_else(|| Value::from(value), Value::Object);
        let Some(level) = levels.last_mut() else { return false };
        match level.remove(name) {
            None => drop(level.insert(name.clone(), value)),
            Some(Value::Array(mut before)) => {
                before.push(value);
                level.insert(name.clone(), before.into());
            }
            Some(before) => drop(level.insert(name.clone(), vec![before, value].into())),
        }
        true
    })?;
    let root = levels.pop()?;
    root.into_iter().find_map(|(_, value)| match value {
        Value::Object(members) => Some(members),
        _ => None,
    })
}

/// What nobody but the client has to read.
const SECRET: &[&str] = &["Plaintext", "SecretData", "ExportedDataKey", "RandomPassword", "CiphertextForRecipient"];

struct Public(Map<String, Value>);

impl<'de> Deserialize<'de> for Public {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PublicMembers)
    }
}

struct PublicMembers;

impl<'de> Visitor<'de> for PublicMembers {
    type Value = Public;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Public, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if SECRET.contains(&name.as_str()) {
                access.next_value::<IgnoredAny>()?;
            } else {
                members.insert(name, access.next_value()?);
            }
        }
        Ok(Public(members))
    }
}

/// `None` if it is ambiguous; `Some(None)` if nothing is there.
fn in_json(text: &str, path: &[&str]) -> Option<Option<String>> {
    let mut node = Node::parse(text).ok()?;
    for name in path {
        let members = node.members().ok()?;
        match members.into_iter().find(|(found, _)| found == name) {
            Some((_, found)) => node = found,
            None => return Some(None),
        }
    }
    node.string().ok().map(Some)
}

/// Below the root element, whatever it is called.
fn in_xml(text: &str, path: &[&str]) -> Option<Option<String>> {
    let mut found = None;
    walk(text, |stack, value| {
        let below_root = stack.iter().skip(1);
        if stack.len() == path.len() + 1 && below_root.zip(path).all(|(one, other)| one == other) {
            match found {
                None => found = Some(value.to_owned()),
                // Twice.
                Some(_) => return false,
            }
        }
        true
    })?;
    Some(found)
}

fn top_elements(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    walk(text, |stack, _| {
        names.extend(stack.get(1).cloned());
        true
    })?;
    Some(names)
}

/// Calls `visit` at the end of each element, with the names on the way to it and its text, which only those have that hold no
/// others. `None` if it is no XML that everybody reads alike, or `visit` has enough.
fn walk(text: &str, mut visit: impl FnMut(&[String], &str) -> bool) -> Option<()> {
    let mut reader = Reader::from_str(text);
    let (mut stack, mut value): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut is_over, mut holds_others) = (false, false);
    let is_blank = |text: &str| text.bytes().all(|byte| byte.is_ascii_whitespace());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if !is_over && stack.len() < DEPTH_MAX && is_blank(&value) => {
                stack.push(start.name().as_ref().to_owned());
                value.clear();
                holds_others = false;
            }
            Event::Text(text) => value.push_str(&text),
            Event::End(_) => {
                if (holds_others && !is_blank(&value)) || !visit(&stack, &value) {
                    return None;
                }
                value.clear();
                stack.pop()?;
                holds_others = true;
                is_over = stack.is_empty();
            }
            Event::Empty(start) if is_blank(&value) => {
                value.clear();
                holds_others = true;
                stack.push(start.name().as_ref().to_owned());
                if stack.len() == 1 || !visit(&stack, "") {
                    return None;
                }
                stack.pop()?;
            }
            Event::Decl(_) if stack.is_empty() && !is_over => {}
            // Escapes stand in no key; what follows them is not read as one.
            Event::GeneralRef(_) => value.push('&'),
            Event::Eof => return is_over.then_some(()),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str) -> AnsweredKey {
        AnsweredKey::Named(key.to_owned())
    }

    #[test]
    fn the_key_is_found_where_the_operation_names_it() {
        use AnsweredKey::{Absent, Unreadable};
        for (body, pointer, expected) in [
            (r#"{"KeyId":"k1","Plaintext":"x"}"#, "/KeyId", named("k1")),
            (r#"{"KeyMetadata":{"KeyId":"k1"},"KeyId":"k2"}"#, "/KeyMetadata/KeyId", named("k1")),
            (r#"{"Plaintext":"x"}"#, "/KeyId", Absent),
            (r#"{"KeyMetadata":{}}"#, "/KeyMetadata/KeyId", Absent),
            (r#"{"keyid":"k1"}"#, "/KeyId", Absent),
            (r#"{"KeyId":"k1","KeyId":"k2"}"#, "/KeyId", Unreadable),
            (r#"{"KeyId":"k1","\u004beyId":"k2"}"#, "/KeyId", Unreadable),
            (r#"{"KeyId":1}"#, "/KeyId", Unreadable),
            (r#"["KeyId"]"#, "/KeyId", Unreadable),
            (r#"{"KeyId":"k1"}{"KeyId":"k2"}"#, "/KeyId", Unreadable),
            ("", "/KeyId", Unreadable),
            ("<html>", "/KeyId", Unreadable),
        ] {
            assert_eq!(answered_key(Format::Json, body.as_bytes(), pointer), expected, "{body}");
        }
        for (body, pointer, expected) in [
            ("<?xml version=\"1.0\"?><KMS><KeyId>k1</KeyId><Plaintext>x</Plaintext></KMS>", "/KeyId", named("k1")),
            ("<R>\n <KeyMetadata>\n <KeyId>k1</KeyId></KeyMetadata></R>\n", "/KeyMetadata/KeyId", named("k1")),
            ("<R><A><KeyId>k1</KeyId></A></R>", "/KeyId", Absent),
            ("<R><KeyId/></R>", "/KeyId", named("")),
            ("<R><KeyId>k1</KeyId><KeyId>k1</KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId>k&#49;</KeyId></R>", "/KeyId", named("k&")),
            ("<!DOCTYPE R [<!ENTITY a \"k1\">]><R><KeyId>&a;</KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId><![CDATA[k1]]></KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId>k1</KeyId></R><R><KeyId>k2</KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId>k1</KeyId>", "/KeyId", Unreadable),
            ("<R><KeyId>k2<b>x</b>k1</KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId><b>x</b>k1</KeyId></R>", "/KeyId", Unreadable),
            ("<R><KeyId>k1<b/></KeyId></R>", "/KeyId", Unreadable),
            ("<R>k2<KeyId>k1</KeyId></R>", "/KeyId", Unreadable),
            ("<R>k2<A/><KeyId>k1</KeyId></R>", "/KeyId", Unreadable),
            ("<R>\n<A/>\n<KeyId>k1</KeyId>\n</R>", "/KeyId", named("k1")),
            ("{\"KeyId\":\"k1\"}", "/KeyId", Unreadable),
        ] {
            assert_eq!(answered_key(Format::Xml, body.as_bytes(), pointer), expected, "{body}");
        }
        assert_eq!(answered_key(Format::Json, b"{\"KeyId\":\"\xff\"}", "/KeyId"), Unreadable);
    }

    proptest::proptest! {
        /// Whatever comes: a key is named only where everybody who reads JSON finds the same one.
        #[test]
        fn a_named_key_is_the_one_that_others_read(
            names in proptest::collection::vec("(KeyId|keyid|KeyI\\\\u0064|A)", 0..4),
            values in proptest::collection::vec(r#"("k1"|"k2"|1|null|\{"KeyId":"k3"\}|\["k4"\])"#, 4),
            noise in ".{0,6}",
        ) {
            let members = names.iter().zip(&values).map(|(name, value)| format!("\"{name}\":{value}"));
            let body = format!("{{{}}}{noise}", members.collect::<Vec<_>>().join(","));
            if let AnsweredKey::Named(key) = answered_key(Format::Json, body.as_bytes(), "/KeyId") {
                let read: Value = serde_json::from_str(&body).unwrap();
                proptest::prop_assert_eq!(read.get("KeyId").and_then(Value::as_str), Some(key.as_str()));
                let times = names.iter().filter(|name| name.starts_with("KeyI")).count();
                proptest::prop_assert_eq!(times, 1);
            }
            for format in [Format::Json, Format::Xml] {
                is_plain_error(format, body.as_bytes());
                public_members(format, noise.as_bytes());
                answered_key(format, noise.as_bytes(), "/KeyMetadata/KeyId");
            }
        }
    }

    #[test]
    fn secrets_are_left_out() {
        let public_members = |body: &[u8]| public_members(Format::Json, body);
        let members =
            public_members(br#"{"KeyId":"k","Plaintext":"x","Tags":{"Tag":[]},"SecretData":{"a":1}}"#).unwrap();
        assert_eq!(members.keys().collect::<Vec<_>>(), ["KeyId", "Tags"]);
        assert!(public_members(b"[]").is_none() && public_members(b"{").is_none());
    }

    #[test]
    fn xml_has_members_too() {
        let of = |text: &str| public_members(Format::Xml, text.as_bytes()).map(Value::Object);
        let text = "<R><KeyMetadata><KeyId>k</KeyId><Arn>a</Arn></KeyMetadata><Plaintext>x</Plaintext><Keys><Key><KeyId>1</KeyId>\
                    </Key><Key><KeyId>2</KeyId></Key></Keys><RequestId>r</RequestId></R>";
        let expected = serde_json::json!({
            "KeyMetadata": {"KeyId": "k", "Arn": "a"},
            "Keys": {"Key": [{"KeyId": "1"}, {"KeyId": "2"}]},
            "RequestId": "r",
        });
        assert_eq!(of(text), Some(expected));
        assert_eq!(of("<Error><Code>X</Code></Error>"), Some(serde_json::json!({"Code": "X"})));
        assert_eq!(of("<R/>"), None);
        assert_eq!(of("<R>"), None);
    }

    #[test]
    fn errors_say_what_errors_say() {
        for (format, body, expected) in [
            (Format::Json, r#"{"Code":"Forbidden.KeyNotFound","Message":"m","RequestId":"r","HostId":"h"}"#, true),
            (Format::Json, r#"{"Code":"X","Message":"m","Plaintext":"secret"}"#, false),
            (Format::Json, "secret", false),
            (Format::Xml, "<Error><Code>X</Code><Message>m</Message></Error>", true),
            (Format::Xml, "<Error><Code>X</Code><Plaintext>secret</Plaintext></Error>", false),
            (Format::Xml, "secret", false),
        ] {
            assert_eq!(is_plain_error(format, body.as_bytes()), expected, "{body}");
        }
    }
}
