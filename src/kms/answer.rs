//! Answers: what an operation returns, or why it does not, written as JSON or XML the way clients parse it.
//!
//! JSON has the names capitalised and a content type that the Java client accepts; XML's root is `OPERATIONResponse`
//! or `Error`. Source: KMS "Responses", and what the official clients make of each form.

use std::borrow::Cow;

use quick_xml::escape::escape;
use serde_json::{Map, Value};

use super::error::KmsError;
use super::request::RawRequest;

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `Format=JSON`, and whenever nothing else is asked for.
    #[default]
    Json,
    /// `Format=XML`, which only V1 has.
    Xml,
}

impl Format {
    /// The format that a request asks for; also for requests which are refused because they cannot be read.
    pub fn requested(raw: &RawRequest<'_>) -> Self {
        let query = raw.target.split_once('?').map_or("", |(_, query)| query);
        let form = std::str::from_utf8(raw.body).unwrap_or_default();
        let asks = query.split('&').chain(form.split('&')).any(|piece| piece == "Format=XML");
        if asks && !raw.headers.contains_key("authorization") { Self::Xml } else { Self::Json }
    }

    /// The value of `Content-Type`. The XML one is spelt as Python's Tea client expects it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: Cow<'static, str>,
    /// Other headers that clients read.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A success: the members that `operation` returns, and the request id.
    pub fn success(format: Format, operation: &str, request_id: &str, members: Map<String, Value>) -> Self {
        let mut object = members;
        object.insert("RequestId".to_owned(), request_id.into());
        Self::new(200, format, &format!("{operation}Response"), object)
    }

    /// An answer of a KMS elsewhere, written in another format: a success of `operation`, or an error.
    pub fn of_members(status: u16, format: Format, operation: &str, members: Map<String, Value>) -> Self {
        let root = if status < 300 { format!("{operation}Response") } else { "Error".to_owned() };
        Self::new(status, format, &root, members)
    }

    /// A refusal or failure. `host` is what the client addressed.
    pub fn error(format: Format, host: &str, request_id: &str, error: &KmsError) -> Self {
        let mut object = Map::new();
        object.insert("RequestId".to_owned(), request_id.into());
        object.insert("HostId".to_owned(), host.into());
        object.insert("HttpStatus".to_owned(), error.status.into());
        object.insert("Code".to_owned(), error.code.as_str().into());
        object.insert("Message".to_owned(), error.message.as_str().into());
        if let Some(detail) = &error.detail {
            object.insert("AccessDeniedDetail".to_owned(), detail.clone().into());
        }
        Self::new(error.status, format, "Error", object)
    }

    fn new(status: u16, format: Format, root: &str, object: Map<String, Value>) -> Self {
        let object = Value::Object(object);
        // XML has no way to write some control characters; an answer that nobody can read is worse than another format.
        let format = if is_writable(&object) { format } else { Format::Json };
        let body = match format {
            Format::Json => object.to_string().into_bytes(),
            Format::Xml => {
                let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
                write_xml(&mut xml, root, &object);
                xml.into_bytes()
            }
        };
        Self { status, content_type: format.content_type().into(), headers: Vec::new(), body }
    }
}

fn is_writable(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')),
        Value::Array(elements) => elements.iter().all(is_writable),
        Value::Object(members) => members.values().all(is_writable),
        _ => true,
    }
}

/// An array becomes one element for each of its members, as KMS's lists are (`<Keys><Key>…</Key><Key>…</Key></Keys>`).
fn write_xml(xml: &mut String, name: &str, value: &Value) {
    if let Value::Array(elements) = value {
        elements.iter().for_each(|element| write_xml(xml, name, element));
        return;
    }
    xml.extend(["<", name, ">"]);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| write_xml(xml, name, member)),
        Value::String(text) => xml.push_str(&escape(text.as_str())),
        Value::Null => {}
        other => xml.push_str(&other.to_string()),
    }
    xml.extend(["</", name, ">"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ErrorCode;
    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn success_is_written_in_both_formats() {
        let keys = members(json!({"Keys": {"Key": [{"KeyId": "a<b"}, {"KeyId": "c"}]}, "TotalCount": 2}));
        let answer = Answer::success(Format::Json, "ListKeys", "R1", keys.clone());
        let expected = r#"{"Keys":{"Key":[{"KeyId":"a<b"},{"KeyId":"c"}]},"TotalCount":2,"RequestId":"R1"}"#;
        assert_eq!((answer.status, text(&answer)), (200, expected));
        let answer = Answer::success(Format::Xml, "ListKeys", "R1", keys);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListKeysResponse><Keys><Key><KeyId>a&lt;b</KeyId></Key>\
            <Key><KeyId>c</KeyId></Key></Keys><TotalCount>2</TotalCount><RequestId>R1</RequestId></ListKeysResponse>";
        assert_eq!((&*answer.content_type, text(&answer)), ("text/xml;charset=utf-8", expected));
    }

    #[test]
    fn what_xml_cannot_say_is_said_in_json() {
        let answer = Answer::success(Format::Xml, "GetSecretValue", "R1", members(json!({"SecretData": "a\u{1}"})));
        assert_eq!(answer.content_type, "application/json;charset=utf-8");
    }

    #[test]
    fn errors_have_the_shape_that_every_client_understands() {
        let error = KmsError::from(ErrorCode::NoPermission);
        let answer = Answer::error(Format::Json, "kms.example", "R1", &error);
        let expected = concat!(
            r#"{"RequestId":"R1","HostId":"kms.example","HttpStatus":403,"Code":"Forbidden.NoPermission","#,
            r#""Message":"This operation is forbidden by permission system."}"#
        );
        assert_eq!((answer.status, text(&answer)), (403, expected));
        let answer = Answer::error(Format::Xml, "kms.example", "R1", &error);
        assert!(text(&answer).contains("<Error><RequestId>R1</RequestId>"), "{}", text(&answer));
    }
}
