//! Parameters of operations, read into what they mean.
//!
//! An empty value is as good as none, as in [`Params::require`]. What is malformed or out of range is refused, with the
//! parameter's name and what would be right; nothing is cut to fit.

use std::ops::RangeInclusive;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::kms::{self, ErrorCode, KmsError, Params, truth};
use crate::policy::{Kind, Policy};
use crate::served::policies::policy_in;
use crate::source::Problem;
use crate::source::json::Node;

use super::key::{Tag, is_instance_id};
use super::moment::DAY_SECONDS;

/// Most entries of `Filters`.
const FILTERS_MAX: usize = 10;

/// Most values of one filter (ListKeys, ListSecrets).
const FILTER_VALUES_MAX: usize = 10;

/// The highest number of a page.
const PAGES_MAX: usize = 1_000_000;

/// The text at `name`, of at most so many characters; empty when it is not given.
///
/// # Errors
/// It is longer.
pub fn text(params: &Params, name: &str, chars_max: usize) -> Result<String, KmsError> {
    let text = params.given(name).unwrap_or_default();
    if text.chars().count() > chars_max {
        return Err(KmsError::invalid_parameter_because(name, format!("it has more than {chars_max} characters")));
    }
    Ok(text.to_owned())
}

/// The switch at `name`: `true` or `false`, which is the default.
///
/// # Errors
/// It is anything else.
pub fn switch(params: &Params, name: &str) -> Result<bool, KmsError> {
    let Some(text) = params.given(name) else { return Ok(false) };
    truth(text).ok_or_else(|| KmsError::invalid_parameter_because(name, "it is true or false"))
}

/// The whole number at `name`, within `range`.
///
/// # Errors
/// It is anything else.
pub fn number(params: &Params, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, KmsError> {
    let Some(text) = params.given(name) else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number));
    let (least, most) = (range.start(), range.end());
    let refusal = || KmsError::invalid_parameter_because(name, format!("it is a whole number from {least} to {most}"));
    number.map(Some).ok_or_else(refusal)
}

/// The bytes at `name`, which is Base64; at most `max` of them.
///
/// # Errors
/// They are missing, not Base64, or too many.
pub fn bytes(params: &Params, name: &str, max: usize) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let wrong = |_| KmsError::invalid_parameter_because(name, "it is not Base64");
    let bytes = BASE64.decode(params.require(name)?.as_bytes()).map(Zeroizing::new).map_err(wrong)?;
    if bytes.len() > max {
        return Err(KmsError::invalid_parameter_because(name, format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}

/// What `parse` knows as the name at `name`.
///
/// # Errors
/// It is missing, or unknown; `known` says what there is.
pub fn named<T>(params: &Params, name: &str, parse: impl Fn(&str) -> Option<T>, known: &str) -> Result<T, KmsError> {
    parse(params.require(name)?).ok_or_else(|| KmsError::invalid_parameter_because(name, format!("it is {known}")))
}

/// A time between two events in seconds: `30d`, `720h`, `43200m`, `2592000s` or `2592000`.
pub fn interval(text: &str) -> Option<u32> {
    const UNITS: [(&str, u32); 4] = [("d", DAY_SECONDS), ("h", 3_600), ("m", 60), ("s", 1)];
    let of_unit = |(unit, seconds): &(&str, u32)| text.strip_suffix(unit).map(|digits| (digits, *seconds));
    let (digits, seconds) = UNITS.iter().find_map(of_unit).unwrap_or((text, 1));
    let number: u32 = Some(digits).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    number.checked_mul(seconds)
}

/// The KMS instance at `DKMSInstanceId`.
///
/// # Errors
/// It is no instance's id.
pub fn instance(params: &Params) -> Result<Option<String>, KmsError> {
    match params.given("DKMSInstanceId") {
        Some(id) if !is_instance_id(id) => {
            Err(KmsError::invalid_parameter_because("DKMSInstanceId", "it is kst- and letters, digits and -"))
        }
        id => Ok(id.map(str::to_owned)),
    }
}

/// The policy document at `Policy`, checked, for a resource that may be in a KMS instance: outside there are none.
///
/// # Errors
/// `InvalidParameter` with the first mistake and its place, or `Forbidden.KeyPolicyUnSupported`.
pub fn policy(params: &Params, kind: Kind, in_instance: bool) -> Result<Option<Policy>, KmsError> {
    if params.given("Policy").is_some() && !in_instance {
        return Err(ErrorCode::KeyPolicyUnSupported.into());
    }
    policy_in(params, kind)
}

/// Which part of a list is asked for: `PageNumber` and `PageSize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub number: usize,
    /// How many entries a page has.
    pub size: usize,
}

impl Page {
    /// Reads the two; `sizes` are the sizes that the operation allows.
    ///
    /// # Errors
    /// One is out of range.
    pub fn read(params: &Params, sizes: RangeInclusive<usize>) -> Result<Self, KmsError> {
        Self::read_with(params, sizes, 10)
    }

    /// The same, where `size` entries are a page if nothing else is asked for.
    ///
    /// # Errors
    /// One is out of range.
    pub fn read_with(params: &Params, sizes: RangeInclusive<usize>, size: usize) -> Result<Self, KmsError> {
        let number = number(params, "PageNumber", 1..=PAGES_MAX)?.unwrap_or(1);
        let size = self::number(params, "PageSize", sizes)?.unwrap_or(size);
        Ok(Self { number, size })
    }

    /// The entries of this page.
    pub fn of<T>(self, entries: Vec<T>) -> Vec<T> {
        let skipped = self.number.saturating_sub(1).saturating_mul(self.size);
        entries.into_iter().skip(skipped).take(self.size).collect()
    }
}

/// `Tags`: `[{"TagKey":…,"TagValue":…}]`.
///
/// # Errors
/// They are of another form, too many, have a key twice, or break the rules for keys and values.
pub fn tags(params: &Params) -> Result<Vec<Tag>, KmsError> {
    let tag = |(key, value): (String, String)| Tag::new(&key, &value);
    let tags = kms::tags(params)?.into_iter().map(tag).collect::<Result<_, _>>();
    tags.map_err(|why| KmsError::invalid_parameter_because("Tags", why))
}

/// The two members that an object has, and no other.
fn pair<'a>(node: Node<'a>, first: &str, second: &str) -> Result<[Node<'a>; 2], Problem> {
    let members = node.members()?;
    let find = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    match (find(first), find(second), members.len()) {
        (Some(first), Some(second), 2) => Ok([first, second]),
        _ => Err(node.problem(format!("expected the members {first} and {second}"))),
    }
}

/// Whether an entry of a list has a value.
type Has<T> = fn(&T, &str) -> bool;

/// What a list can be filtered by: the key on the wire, and what it looks at.
pub type FilterTable<T> = &'static [(&'static str, Has<T>)];

/// One filter: its key, what it looks at, and the values that pass.
type Filter<T> = (&'static str, Has<T>, Vec<String>);

/// `Filters`: `[{"Key":…,"Values":[…]}]`. An entry passes if each key has one of its values.
pub struct Filters<T: 'static>(Vec<Filter<T>>);

impl<T> Filters<T> {
    /// Reads the filters of a list that can be filtered by `table`.
    ///
    /// # Errors
    /// They are of another form, too many, or have a key that the table does not have.
    pub fn read(params: &Params, table: FilterTable<T>) -> Result<Self, KmsError> {
        let Some(text) = params.given("Filters") else { return Ok(Self(Vec::new())) };
        let read = || {
            let elements = Node::parse(text)?.elements()?;
            if elements.len() > FILTERS_MAX {
                return Err(Problem::at(text, 0, format!("there are more than {FILTERS_MAX} filters")));
            }
            elements.into_iter().map(|element| filter(element, table)).collect()
        };
        read().map(Self).map_err(|problem| KmsError::invalid_parameter_because("Filters", problem))
    }

    /// Whether an entry passes. The same key given twice is one key with the values of both.
    pub fn pass(&self, entry: &T) -> bool {
        let has_one = |name: &str| {
            self.0.iter().any(|(key, has, values)| *key == name && values.iter().any(|value| has(entry, value)))
        };
        self.0.iter().all(|(name, ..)| has_one(name))
    }
}

fn filter<T>(node: Node<'_>, table: FilterTable<T>) -> Result<Filter<T>, Problem> {
    let [key, values] = pair(node, "Key", "Values")?;
    let name = key.string()?;
    let values = values.elements()?;
    if values.len() > FILTER_VALUES_MAX {
        return Err(node.problem(format!("there are more than {FILTER_VALUES_MAX} values")));
    }
    let values = values.into_iter().map(|value| value.string()).collect::<Result<Vec<_>, _>>()?;
    let known = table.iter().find(|(known, _)| *known == name);
    let (name, has) = known.ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        key.problem(format!("`{name}` is no filter here; known: {}", known.join(", ")))
    })?;
    if values.is_empty() {
        return Err(node.problem("a filter has at least one value"));
    }
    Ok((name, *has, values))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(name: &str, value: &str) -> Params {
        [(name, value)].into_iter().collect()
    }

    #[test]
    fn pages_are_within_their_limits() {
        let read = |name: &str, value: &str| Page::read(&params(name, value), 1..=100).map_err(|error| error.message);
        assert_eq!(read("PageSize", ""), Ok(Page { number: 1, size: 10 }));
        assert_eq!(read("PageSize", "100"), Ok(Page { number: 1, size: 100 }));
        for (name, value) in [
            ("PageNumber", "0"),
            ("PageNumber", "-1"),
            ("PageNumber", "+1"),
            ("PageNumber", "1.0"),
            ("PageNumber", "99999999999999999999"),
            ("PageSize", "0"),
            ("PageSize", "101"),
            ("PageSize", "ten"),
        ] {
            let message = read(name, value).unwrap_err();
            assert!(message.starts_with(&format!("The specified parameter \"{name}\" is not valid: ")), "{message}");
        }
        let page = Page { number: 3, size: 2 };
        assert_eq!((page.of(vec![1, 2, 3, 4, 5]), page.of(vec![1, 2])), (vec![5], vec![]));
    }

    #[test]
    fn tags_follow_the_rules() {
        let read = |text: &str| tags(&params("Tags", text));
        let tag = Tag { key: "env".to_owned(), value: String::new() };
        assert_eq!(read(r#"[{"TagValue":"","TagKey":"env"}]"#).unwrap(), [tag]);
        let one = |n: usize| format!(r#"{{"TagKey":"k{n}","TagValue":"v"}}"#);
        let many = |count: usize| format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(","));
        assert_eq!(read(&many(20)).unwrap().len(), 20);
        for text in [
            &many(21),
            "{}",
            "[1]",
            r#"[{"TagKey":"a"}]"#,
            r#"[{"TagKey":"a","TagValue":1}]"#,
            r#"[{"TagKey":"a","TagValue":"b","More":"c"}]"#,
            r#"[{"TagKey":"a","TagValue":"b"},{"TagKey":"a","TagValue":"c"}]"#,
            r#"[{"TagKey":"","TagValue":"b"}]"#,
            r#"[{"TagKey":"aliyun1","TagValue":"b"}]"#,
            r#"[{"TagKey":"acs:a","TagValue":"b"}]"#,
            r#"[{"TagKey":"a b","TagValue":"b"}]"#,
            r#"[{"TagKey":"a","TagValue":"b?"}]"#,
        ] {
            assert_eq!(read(text).unwrap_err().code, ErrorCode::InvalidParameter, "{text}");
        }
    }

    #[test]
    fn filters_are_and_of_keys_and_or_of_values() {
        const TABLE: FilterTable<(&str, &str)> =
            &[("One", |entry, value| entry.0 == value), ("Other", |entry, value| entry.1 == value)];
        let passes =
            |text: &str| Filters::read(&params("Filters", text), TABLE).map(|filters| filters.pass(&("a", "b")));
        for (text, expected) in [
            ("", true),
            ("[]", true),
            (r#"[{"Key":"One","Values":["x","a"]}]"#, true),
            (r#"[{"Key":"One","Values":["a"]},{"Key":"Other","Values":["x"]}]"#, false),
            (r#"[{"Key":"One","Values":["x"]},{"Key":"One","Values":["a"]}]"#, true),
        ] {
            assert_eq!(passes(text).unwrap(), expected, "{text}");
        }
        let filters = |count: usize| json!(vec![json!({"Key": "One", "Values": ["a"]}); count]).to_string();
        let values = |count: usize| json!([{"Key": "One", "Values": vec!["a"; count]}]).to_string();
        for (given, most) in [(&filters as &dyn Fn(usize) -> String, FILTERS_MAX), (&values, FILTER_VALUES_MAX)] {
            assert_eq!((most, passes(&given(most)).unwrap()), (10, true));
            assert_eq!(passes(&given(most + 1)).unwrap_err().code, ErrorCode::InvalidParameter);
        }
        for text in
            [r#"[{"Key":"Three","Values":["a"]}]"#, r#"[{"Key":"One","Values":[]}]"#, "{}", r#"[{"Key":"One"}]"#]
        {
            assert_eq!(passes(text).unwrap_err().code, ErrorCode::InvalidParameter, "{text}");
        }
    }
}
