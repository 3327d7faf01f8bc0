//! A policy as plain strings, read after the grammar of §2. What the grammar does not have is refused.

use super::evaluate::OPERATORS;
use super::json::Json;
use super::values::{Network, Number, moment};

/// What a policy is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    Key,
    Secret,
    Ram,
}

#[derive(Debug)]
pub struct Document {
    pub statements: Vec<Statement>,
}

#[derive(Debug)]
pub struct Statement {
    pub allow: bool,
    /// `None` in RAM policies.
    pub principals: Option<Vec<String>>,
    pub actions: Vec<String>,
    /// They stand in `NotAction`.
    pub not_actions: bool,
    pub resources: Vec<String>,
    pub conditions: Vec<Condition>,
}

/// One key below one operator.
#[derive(Debug, Clone)]
pub struct Condition {
    pub operator: String,
    pub key: String,
    pub values: Vec<String>,
}

/// Longest single value that Keyward takes, in bytes.
const VALUE_BYTES_MAX: usize = 1024;

type Result<T> = std::result::Result<T, String>;

impl Document {
    pub fn read(attached: Attached, text: &str) -> Result<Self> {
        // §1: 32,768 bytes for key and secret policies, 6,144 characters for RAM policies.
        let too_large = match attached {
            Attached::Ram => text.chars().count() > 6144,
            Attached::Key | Attached::Secret => text.len() > 32_768,
        };
        if too_large {
            return Err("it is too large".to_owned());
        }
        let json = Json::read(text)?;
        only_members(&json, &["Version", "Statement"])?;
        if json.member("Version") != Some(&Json::text("1")) {
            return Err("Version must be \"1\"".to_owned());
        }
        let Some(Json::List(statements)) = json.member("Statement") else {
            return Err("Statement must be an array".to_owned());
        };
        if statements.is_empty() {
            return Err("there is no statement".to_owned());
        }
        let statements =
            statements.iter().map(|statement| read_statement(attached, statement)).collect::<Result<_>>()?;
        Ok(Self { statements })
    }
}

fn read_statement(attached: Attached, json: &Json) -> Result<Statement> {
    let known: &[&str] = match attached {
        Attached::Ram => &["Sid", "Effect", "Action", "NotAction", "Resource", "Condition"],
        Attached::Key | Attached::Secret => &["Sid", "Effect", "Principal", "Action", "Resource", "Condition"],
    };
    only_members(json, known)?;
    if let Some(sid) = json.member("Sid") {
        check_sid(sid)?;
    }
    let allow = match json.member("Effect") {
        Some(Json::Text(effect)) if effect == "Allow" => true,
        Some(Json::Text(effect)) if effect == "Deny" => false,
        _ => return Err("Effect must be Allow or Deny".to_owned()),
    };
    let (actions, not_actions) = match (json.member("Action"), json.member("NotAction")) {
        (Some(actions), None) => (strings(actions)?, false),
        (None, Some(actions)) => (strings(actions)?, true),
        _ => return Err("there must be Action or NotAction".to_owned()),
    };
    actions.iter().try_for_each(|action| check_action(attached, action))?;
    let resources = strings(json.member("Resource").ok_or("there is no Resource")?)?;
    resources.iter().try_for_each(|resource| check_resource(resource))?;
    Ok(Statement {
        allow,
        principals: if attached == Attached::Ram { None } else { Some(read_principals(json.member("Principal"))?) },
        actions,
        not_actions,
        resources,
        conditions: json.member("Condition").map_or(Ok(Vec::new()), read_conditions)?,
    })
}

/// An object with these members at most, each at most once.
fn only_members(json: &Json, known: &[&str]) -> Result<()> {
    let Json::Object(members) = json else { return Err("there must be an object".to_owned()) };
    for (index, (name, _)) in members.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(format!("{name} is unknown"));
        }
        if members[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("{name} is given twice"));
        }
    }
    Ok(())
}

/// One string, or an array of at least one.
fn strings(json: &Json) -> Result<Vec<String>> {
    let elements = if let Json::List(elements) = json { &elements[..] } else { std::slice::from_ref(json) };
    if elements.is_empty() {
        return Err("an array is empty".to_owned());
    }
    let string = |element: &Json| match element {
        Json::Text(text) if text.len() <= VALUE_BYTES_MAX => Ok(text.clone()),
        _ => Err(format!("{element} is no string, or too long")),
    };
    elements.iter().map(string).collect()
}

/// §2: at most 128 characters; the documents' own have spaces.
fn check_sid(sid: &Json) -> Result<()> {
    let Json::Text(sid) = sid else { return Err("Sid is no string".to_owned()) };
    let right = sid.chars().all(|c| c.is_ascii_alphanumeric() || " _/+=.@-".contains(c)) && sid.chars().count() <= 128;
    if right { Ok(()) } else { Err(format!("{sid} is no Sid")) }
}

/// §1: `kms:` and a name in key and secret policies; also any other service, or `*`, in RAM policies.
fn check_action(attached: Attached, action: &str) -> Result<()> {
    let service = action.split_once(':').map_or("", |(service, _)| service);
    let right = match attached {
        Attached::Ram => action == "*" || !service.is_empty(),
        Attached::Key | Attached::Secret => service.eq_ignore_ascii_case("kms"),
    };
    if right && action.chars().all(|c| c.is_ascii_alphanumeric() || ":*?-_".contains(c)) {
        Ok(())
    } else {
        Err(format!("{action} is no action"))
    }
}

/// §3.3: a resource is an ARN; a pattern that fits none is a mistake.
fn check_resource(resource: &str) -> Result<()> {
    let fixed: String = resource.chars().take_while(|c| !"*?".contains(*c)).collect();
    let is_cut = fixed.len() < resource.len();
    if fixed.starts_with("acs:") || (is_cut && "acs:".starts_with(&fixed)) {
        Ok(())
    } else {
        Err(format!("{resource} is no resource"))
    }
}

/// §3.4: `{"RAM": …}` with accounts, users, roles and sessions.
fn read_principals(json: Option<&Json>) -> Result<Vec<String>> {
    let json = json.ok_or("there is no Principal")?;
    only_members(json, &["RAM"])?;
    let entries = strings(json.member("RAM").ok_or("there is no RAM")?)?;
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@*?".contains(c));
    for entry in &entries {
        let parts: Vec<&str> = entry.splitn(5, ':').collect();
        let ["acs", "ram", "", account, who] = parts[..] else { return Err(format!("{entry} is no principal")) };
        let right = match who.split('/').collect::<Vec<_>>()[..] {
            ["*" | "root"] => true,
            ["user" | "role", name] => is_name(name),
            ["assumed-role", role, session] => is_name(role) && is_name(session),
            _ => false,
        };
        if !right || account.is_empty() || !account.chars().all(|c| c.is_ascii_digit()) {
            return Err(format!("{entry} is no principal"));
        }
    }
    Ok(entries)
}

/// §2: operator, key, value or values. Numbers and booleans may be written bare.
fn read_conditions(json: &Json) -> Result<Vec<Condition>> {
    only_members(json, OPERATORS)?;
    let Json::Object(operators) = json else { return Err("Condition is no object".to_owned()) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(format!("{operator} is no object")) };
        for (index, (key, values)) in keys.iter().enumerate() {
            if keys[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(format!("{key} is given twice"));
            }
            conditions.push(read_condition(operator, key, values)?);
        }
    }
    Ok(conditions)
}

fn read_condition(operator: &str, key: &str, json: &Json) -> Result<Condition> {
    let elements = if let Json::List(elements) = json { &elements[..] } else { std::slice::from_ref(json) };
    let mut values = Vec::new();
    for element in elements {
        let value = match element {
            Json::Text(text) | Json::Number(text) => text.clone(),
            Json::Flag(flag) => flag.to_string(),
            Json::Null | Json::List(_) | Json::Object(_) => return Err(format!("{element} is no value")),
        };
        if value.len() > VALUE_BYTES_MAX || !is_comparable(operator, &value) {
            return Err(format!("{operator} cannot use {value}"));
        }
        values.push(value);
    }
    if values.is_empty() {
        return Err(format!("{key} has no values"));
    }
    Ok(Condition { operator: operator.to_owned(), key: key.to_owned(), values })
}

/// §4: whether the operator can ever compare with this value.
fn is_comparable(operator: &str, value: &str) -> bool {
    match operator {
        "Bool" => matches!(value, "true" | "false"),
        "IpAddress" | "NotIpAddress" => Network::read(value).is_some(),
        _ if operator.starts_with("Numeric") => Number::read(value).is_some(),
        _ if operator.starts_with("Date") => moment(value).is_some(),
        _ => true,
    }
}
