//! Case files: tables of questions, each with the answer that is expected.
//!
//! A case that cannot mean anything (an action KMS does not have, a user who is not in the directory) is a mistake: it
//! would pass for ever with `expect = "deny"`.

#![expect(clippy::disallowed_methods, reason = "case files are listed here")]

use std::fs;
use std::path::{Path, PathBuf};

use super::super::ask::unknown_action;
use crate::authz::{Hypothetical, Snapshot, parse_principal};
use crate::kms::Address;
use crate::policy::{GivenContext, StatementRef};
use crate::settings::read_text;
use crate::source::toml::{self, Section};
use crate::source::{Position, Problem, shown, suggest};

/// One question, and the answer that is expected.
#[derive(Debug)]
pub struct Case {
    /// The file it stands in, as people know it.
    pub file: String,
    /// Where in that file.
    pub position: Position,
    /// What its author calls it.
    pub name: Option<String>,
    /// The question.
    pub question: Hypothetical,
    /// Whether the answer should be yes.
    pub allow: bool,
    /// What should decide.
    pub by: Option<Decider>,
}

/// What should decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// The caller is the account that owns the resource.
    Owner,
    /// A statement: its policy, and its number or Sid.
    Statement {
        /// As the author wrote it.
        written: String,
        /// The policy's name.
        policy: String,
        /// The statement's number from 1, or its Sid.
        statement: String,
    },
}

impl Decider {
    /// Reads `owner`, `POLICY statement NUMBER`, `POLICY statement SID`, or a statement as it is printed.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "owner" {
            return Ok(Self::Owner);
        }
        let (policy, statement) = text.split_once(" statement ").ok_or_else(|| {
            format!("`{text}` names no statement; write `keys/key-1.json statement 2`, a Sid for the 2, or `owner`")
        })?;
        let printed = statement.split_once(" (").filter(|(number, _)| number.parse::<usize>().is_ok());
        let statement = printed.map_or(statement, |(number, _)| number);
        Ok(Self::Statement { written: text.to_owned(), policy: policy.to_owned(), statement: statement.to_owned() })
    }

    /// Whether it is this statement.
    pub fn is(&self, found: &StatementRef<'_>) -> bool {
        let Self::Statement { policy, statement, .. } = self else { return false };
        let by_sid = found.statement.sid.as_deref() == Some(statement);
        *policy == *found.policy.name && (by_sid || *statement == (found.index + 1).to_string())
    }
}

/// Reads all case files of a folder.
///
/// # Errors
/// Every mistake of every file.
pub fn read_all(folder: &Path, snapshot: &Snapshot, here: Address<'_>) -> Result<Vec<Case>, Vec<Problem>> {
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for path in list(folder).map_err(|problem| vec![problem])? {
        let file = shown(&path);
        let text = read_text(&path).map_err(|message| vec![Problem::of_file("", message)]);
        match text.and_then(|text| read(&text, &file, snapshot, here)) {
            Ok(read) => cases.extend(read),
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.in_file(&file))),
        }
    }
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error| Problem::of_file(shown(folder), format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads the cases of one file.
fn read(text: &str, file: &str, snapshot: &Snapshot, here: Address<'_>) -> Result<Vec<Case>, Vec<Problem>> {
    toml::read(text, |root| {
        let reader = Reader { text, file, snapshot, here };
        Some(root.listed_sections("case").iter().flat_map(|section| reader.cases(section)).collect())
    })
}

struct Reader<'r> {
    text: &'r str,
    file: &'r str,
    snapshot: &'r Snapshot,
    here: Address<'r>,
}

impl Reader<'_> {
    /// The cases of one table: one for each combination of caller, action and resource.
    fn cases(&self, section: &Section<'_>) -> Vec<Case> {
        let name = section.string("name").map(str::to_owned);
        let who = self.who(section);
        let actions = required(section, "action", "what they do, for example \"kms:Decrypt\"");
        let resources = required(section, "resource", "what they do it to, for example \"key/key-1\"");
        let context = context(section);
        section.require("expect", "\"allow\" or \"deny\"");
        let expect = section.parsed("expect", |text| match text {
            "allow" => Ok(true),
            "deny" => Ok(false),
            _ => Err("must be \"allow\" or \"deny\""),
        });
        let by = section.parsed("by", Decider::parse);
        section.finish();
        let questions = self.questions(section, &who, &actions, &resources, &context);
        let Some(allow) = expect else { return Vec::new() };
        let position = Position::of(self.text, section.place());
        let case = |question| {
            let (file, name) = (self.file.to_owned(), name.clone());
            Case { file, position, name, question, allow, by: by.clone() }
        };
        questions.into_iter().map(case).collect()
    }

    /// Who asks; each of them must be known.
    fn who<'a>(&self, section: &Section<'a>) -> Vec<(&'a str, usize)> {
        let (one, list) = (section.one_or_more("as"), section.one_or_more("who"));
        match (&one, &list) {
            (Some(_), Some(_)) => section.report_at("who", "and `as` mean the same; write one of them"),
            (None, None) if section.string("as").is_none() && section.strings("who").is_none() => {
                section.problem("`as` is missing: who asks, for example \"acs:ram::1234567890123456:user/alice\"");
            }
            _ => {}
        }
        let who = one.or(list).unwrap_or_default();
        for (arn, place) in &who {
            if let Err(message) = self.known(arn) {
                section.report_place(*place, message);
            }
        }
        who
    }

    /// Somebody of an account that is not in the directory may be anybody.
    fn known(&self, arn: &str) -> Result<(), String> {
        let principal = parse_principal(arn)?;
        let directory = &self.snapshot.directory;
        let in_account = || directory.members().iter().filter(|member| member.principal.account == principal.account);
        if in_account().next().is_none()
            || in_account().any(|member| member.principal.role_arn() == principal.role_arn())
        {
            return Ok(());
        }
        let names: Vec<String> = in_account().map(|member| member.principal.role_arn()).collect();
        Err(format!("`{arn}` is nobody in the directory{}", suggest(arn, names.iter().map(String::as_str))))
    }

    fn questions(
        &self,
        section: &Section<'_>,
        who: &[(&str, usize)],
        actions: &[(&str, usize)],
        resources: &[(&str, usize)],
        context: &GivenContext,
    ) -> Vec<Hypothetical> {
        let mut questions = Vec::new();
        for (place, message) in actions.iter().filter_map(|(action, place)| Some((*place, unknown_action(action)?))) {
            section.report_place(place, message);
        }
        // Callers and actions are right by now, so that what is left to be wrong is the resource: said once.
        'resources: for (resource, place) in resources {
            for (arn, _) in who.iter().filter(|(arn, _)| parse_principal(arn).is_ok()) {
                for (action, _) in actions.iter().filter(|(action, _)| unknown_action(action).is_none()) {
                    match Hypothetical::parse(arn, action, resource, (self.here, &self.snapshot.index), context.clone())
                    {
                        Ok(question) => questions.push(question),
                        Err(message) => {
                            section.report_place(*place, message);
                            continue 'resources;
                        }
                    }
                }
            }
        }
        questions
    }
}

fn required<'a>(section: &Section<'a>, name: &'static str, what_for: &str) -> Vec<(&'a str, usize)> {
    section.require(name, what_for);
    section.one_or_more(name).unwrap_or_default()
}

fn context(section: &Section<'_>) -> GivenContext {
    let mut context = GivenContext::default();
    for (key, value, place) in section.named_strings("context") {
        if let Err(message) = context.set(key, value) {
            section.report_place(place, message);
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let identities = "[accounts.1.users.alice]";
        let snapshot = Snapshot {
            version: crate::authz::Version { generation: 1, hash: "test".into() },
            validity: crate::authz::Validity::default(),
            directory: std::sync::Arc::new(
                crate::authn::Directory::parse(identities, &|_| Err(String::new())).ok().unwrap(),
            ),
            sessions: None,
            policies: std::sync::Arc::default(),
            index: crate::authz::ResourceIndex::default(),
            rules: std::sync::Arc::default(),
        };
        let here = Address { region: "cn-hangzhou", account: "1" };
        let found = read(text, "cases.toml", &snapshot, here).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_is_named_at_its_place() {
        let text = "\
[[case]]
as = 'acs:ram::1:user/alcie'
action = 'kms:Decryt'
resource = 'keys/key-1'
context = { 'acs:SourceIp' = 'ten' }
expect = 'yes'
by = 'keys/key-1.json'
[[case]]
who = ['acs:ram::2:user/anybody', 'alice']
action = ['kms:Encrypt', 'kms:Decrypt']
resource = 'key/*'
expect = 'deny'
expected = 1
";
        let expected = [
            "2:6: `acs:ram::1:user/alcie` is nobody in the directory; did you mean `acs:ram::1:user/alice`?",
            "3:10: KMS has no action `kms:Decryt`; did you mean `kms:Decrypt`?",
            "5:30: `acs:SourceIp` must be an IP address, not `ten`",
            "6:10: `case.expect` must be \"allow\" or \"deny\"",
            "7:6: `case.by` `keys/key-1.json` names no statement; write `keys/key-1.json statement 2`, a Sid for the 2, or `owner`",
            "9:35: `alice` is no caller; write acs:ram::ACCOUNT:root, …:user/NAME, …:role/NAME or …:assumed-role/ROLE/SESSION",
            "11:12: `key/*` is no resource; write key/ID, secret/NAME, alias/NAME, key, secret, alias, *, or an ARN",
            "13:1: unknown entry `case.expected`; did you mean `expect`?",
        ];
        assert_eq!(problems(text), expected);
        assert_eq!(problems("[[case]]\nexpect = 'deny'").len(), 3);
        assert_eq!(problems("[[cases]]"), ["1:3: unknown entry `cases`; did you mean `case`?"]);
    }

    #[test]
    fn a_decider_is_written_by_number_by_sid_or_as_it_is_printed() {
        for (text, expected) in [
            ("keys/k.json statement 2", Some(("keys/k.json", "2"))),
            ("keys/k.json statement 2 (A)", Some(("keys/k.json", "2"))),
            ("keys/k.json statement kms default key policy", Some(("keys/k.json", "kms default key policy"))),
            ("keys/k.json", None),
        ] {
            let found = match Decider::parse(text) {
                Ok(Decider::Statement { policy, statement, .. }) => Some((policy, statement)),
                _ => None,
            };
            let found = found.as_ref().map(|(policy, statement)| (policy.as_str(), statement.as_str()));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(Decider::parse("owner"), Ok(Decider::Owner));
    }
}
