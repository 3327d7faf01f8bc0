//! The encryption context: what a ciphertext is bound to, beside its key version.
//!
//! A JSON object from strings to strings, compared as a map: order and white space do not matter. It is not part of
//! the ciphertext; whoever decrypts must know it. Source: KMS "EncryptionContext".

use std::collections::BTreeMap;

use crate::kms::{KmsError, Params};
use crate::source::Problem;
use crate::source::json::Node;

use super::parameters::given;

/// The longest context, in characters of its JSON.
const CHARS_MAX: usize = 8_192;

/// The canonical form of the context in the parameter `name`: names sorted, no white space. A context without members
/// is the same as none, and its canonical form is empty.
///
/// # Errors
/// `InvalidParameter`: it is too long, no object of strings, or has a member twice.
pub fn canonical_context(params: &Params, name: &str) -> Result<Vec<u8>, KmsError> {
    let Some(text) = given(params, name) else { return Ok(Vec::new()) };
    if text.chars().count() > CHARS_MAX {
        return Err(KmsError::invalid_parameter_because(name, format!("it has more than {CHARS_MAX} characters")));
    }
    let members = read(text).map_err(|problem| KmsError::invalid_parameter_because(name, problem))?;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(&members).map_err(|_| KmsError::invalid_parameter(name))
}

fn read(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let members = Node::parse(text)?.members()?;
    members.into_iter().map(|(name, value)| Ok((name, value.string()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        let params: Params = [("EncryptionContext", text)].into_iter().collect();
        let context = canonical_context(&params, "EncryptionContext").map_err(|error| error.message)?;
        Ok(String::from_utf8(context).unwrap())
    }

    #[test]
    fn equal_maps_have_one_canonical_form() {
        let expected = r#"{"a":"1","b":"2"}"#;
        for text in [expected, r#"{"b":"2","a":"1"}"#, " { \"a\" : \"1\",\n\"b\":\"2\"} ", r#"{"\u0061":"1","b":"2"}"#]
        {
            assert_eq!(canonical(text).unwrap(), expected, "{text}");
        }
        for text in ["", "{}", " { } "] {
            assert_eq!(canonical(text).unwrap(), "", "{text}");
        }
    }

    #[test]
    fn what_is_no_map_of_strings_is_refused() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(CHARS_MAX - 7));
        let texts =
            ["[]", "\"a\"", "{\"a\":1}", "{\"a\":{}}", "{\"a\":null}", "{", "{\"a\":\"1\",\"\\u0061\":\"2\"}", &long];
        for text in texts {
            let message = canonical(text).unwrap_err();
            assert!(message.starts_with("The specified parameter \"EncryptionContext\" is not valid: "), "{message}");
        }
        assert!(canonical(&long.replacen('x', "", 1)).is_ok());
    }
}
