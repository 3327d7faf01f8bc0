//! Parameters whose value is a structure: JSON in one parameter, or a numbered list of parameters.
//!
//! Read strictly: a member given twice or of another type is refused, because policies can look at these values and KMS
//! might read another one. Sources: KMS "EncryptionContext", TagResource, TagResources.

use std::collections::BTreeMap;

use super::error::KmsError;
use super::params::Params;
use crate::source::Problem;
use crate::source::json::Node;

/// The longest encryption context, in characters of its JSON.
const CONTEXT_CHARS_MAX: usize = 8_192;

/// Most tags in one request, and of one key or secret (TagResources).
pub const TAGS_MAX: usize = 20;

/// The encryption context in the parameter `name`: a JSON object from strings to strings, compared as a map. Absent is
/// the same as empty.
///
/// # Errors
/// `InvalidParameter`: it is too long, no object of strings, or has a member twice.
pub fn encryption_context(params: &Params, name: &str) -> Result<BTreeMap<String, String>, KmsError> {
    let Some(text) = params.given(name) else { return Ok(BTreeMap::new()) };
    if text.chars().count() > CONTEXT_CHARS_MAX {
        let why = format!("it has more than {CONTEXT_CHARS_MAX} characters");
        return Err(KmsError::invalid_parameter_because(name, why));
    }
    let read = || -> Result<_, Problem> {
        let members = Node::parse(text)?.members()?;
        members.into_iter().map(|(name, value)| Ok((name, value.string()?))).collect()
    };
    read().map_err(|problem| KmsError::invalid_parameter_because(name, problem))
}

/// The tags in a request, keys and values: `Tags` (`[{"TagKey":…,"TagValue":…}]`) or `Tag.N.Key`, `Tag.N.Value`.
///
/// # Errors
/// `InvalidParameter`: they are of another form, or a key comes twice.
pub fn tags(params: &Params) -> Result<Vec<(String, String)>, KmsError> {
    let mut tags = Vec::new();
    if let Some(text) = params.given("Tags") {
        let read = || Node::parse(text)?.elements()?.into_iter().map(tag).collect::<Result<Vec<_>, _>>();
        tags = read().map_err(|problem| KmsError::invalid_parameter_because("Tags", problem))?;
    }
    let mut numbered = 0;
    while let Some(key) = params.get(&format!("Tag.{}.Key", numbered + 1)) {
        numbered += 1;
        let value = params.get(&format!("Tag.{numbered}.Value")).unwrap_or_default();
        tags.push((key.to_owned(), value.to_owned()));
    }
    // A gap in the numbers would leave a tag unseen.
    if params.iter().filter(|(name, _)| name.starts_with("Tag.") && name.ends_with(".Key")).count() != numbered {
        return Err(KmsError::invalid_parameter("Tag"));
    }
    if tags.len() > TAGS_MAX {
        return Err(KmsError::invalid_parameter_because("Tags", format!("there may be {TAGS_MAX} tags")));
    }
    let repeated = |(at, (key, _)): (usize, &(String, String))| tags.iter().take(at).any(|(other, _)| other == key);
    if tags.iter().enumerate().any(repeated) {
        return Err(KmsError::invalid_parameter_because("Tags", "a key comes twice"));
    }
    Ok(tags)
}

fn tag(node: Node<'_>) -> Result<(String, String), Problem> {
    let members = node.members()?;
    let find = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    match (find("TagKey"), find("TagValue"), members.len()) {
        (Some(key), Some(value), 2) => Ok((key.string()?, value.string()?)),
        _ => Err(node.problem("expected the members TagKey and TagValue")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contexts_are_equal_maps() {
        let read =
            |text: &str| encryption_context(&[("EncryptionContext", text)].into_iter().collect(), "EncryptionContext");
        let expected = read(r#"{"a":"1","b":"2"}"#).unwrap();
        for text in [r#"{"b":"2","a":"1"}"#, " { \"a\" : \"1\",\n\"b\":\"2\"} ", r#"{"b":"2","\u0061":"1"}"#] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for text in ["", "{}", " { } "] {
            assert!(read(text).unwrap().is_empty(), "{text}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(CONTEXT_CHARS_MAX - 7));
        for text in
            ["[]", "\"a\"", "{\"a\":1}", "{\"a\":{}}", "{\"a\":null}", "{", "{\"a\":\"1\",\"\\u0061\":\"2\"}", &long]
        {
            let message = read(text).unwrap_err().message;
            assert!(message.starts_with("The specified parameter \"EncryptionContext\" is not valid: "), "{message}");
        }
        assert!(read(&long.replacen('x', "", 1)).is_ok());
    }

    #[test]
    fn tags_are_read_from_both_forms() {
        let read = |params: &[(&str, &str)]| tags(&params.iter().copied().collect());
        let expected = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        let json = r#"[{"TagKey":"a","TagValue":"1"},{"TagValue":"","TagKey":"b"}]"#;
        assert_eq!(read(&[("Tags", json)]).unwrap(), expected);
        assert_eq!(read(&[("Tag.1.Key", "a"), ("Tag.1.Value", "1"), ("Tag.2.Key", "b")]).unwrap(), expected);
        assert_eq!(read(&[]).unwrap(), []);
        for params in [
            &[("Tags", "{}")][..],
            &[("Tags", "[1]")],
            &[("Tags", r#"[{"TagKey":"a"}]"#)],
            &[("Tags", r#"[{"TagKey":"a","TagValue":1}]"#)],
            &[("Tags", r#"[{"TagKey":"a","TagValue":"b","More":"c"}]"#)],
            &[("Tags", r#"[{"TagKey":"a","TagValue":"b"},{"TagKey":"a","TagValue":"c"}]"#)],
            &[("Tag.2.Key", "a")],
        ] {
            assert_eq!(read(params).unwrap_err().code.as_str(), "InvalidParameter", "{params:?}");
        }
    }
}
