//! What is answered, to the letter: one golden file for each operation, `tests/golden/answers/OPERATION.txt`.
//!
//! A file is a story. A line that is not indented is something to do, and what came of it stands below, indented;
//! `KEYWARD_BLESS=1 cargo test --lib answers` writes the indented lines anew.
//!
//! | line | what it does |
//! |---|---|
//! | `Encrypt KeyId=KEY-1 Plaintext=aGk=` | asks for the file's own operation: the answer in JSON and in XML as it is sent, or `STATUS CODE: MESSAGE` |
//! | the same with another operation | prepares: has to succeed, and shows nothing |
//! | `without KeyId Plaintext` | asks the last own request again without the first of these parameters, then without the second |
//! | `stranger` | asks it again as a user whom nothing permits anything |
//! | `as ID SECRET TOKEN` | from here on, somebody else asks; without a token, with a long-term AccessKey |
//! | `later 86400` | so many seconds pass; without this line, one from each request to the next |
//! | `wrap BASE64 for PUBLIC-KEY-1` | encrypts bytes for a public key: `WRAPPED-1` |
//! | `# …`, or nothing | nothing |
//!
//! What is different every time has a placeholder, numbered in the order of appearance; requests use it as well.
#![expect(clippy::disallowed_methods, reason = "golden files are read, and written on request")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Map, Value};

use super::support::{House, Who, at};
use crate::kms::{Answer, Format, KmsError};
use crate::local_kms::asymmetric::{EncryptionAlgorithm, PairSpec, wrap};
use crate::local_kms::functions::FUNCTIONS;

const IDENTITIES: &str = "
[accounts.1]
root_access_keys = [{ id = 'root', secret = 's' }]
[accounts.1.users.alice]
policies = ['Everything', 'AliyunSTSAssumeRoleAccess']
access_keys = [{ id = 'alice', secret = 's' }]
[accounts.1.users.stranger]
access_keys = [{ id = 'stranger', secret = 's' }]
[accounts.1.roles.reader]
policies = ['AliyunKMSReadOnlyAccess']
trust = ['acs:ram::1:root']
[accounts.1.roles.closed]
";

/// The members whose values are different every time, unless the file itself says them, and their placeholders.
const RANDOM: &[(&str, &str)] = &[
    ("KeyId", "KEY"),
    ("PrimaryKeyVersion", "VERSION"),
    ("KeyVersionId", "VERSION"),
    ("CiphertextBlob", "CIPHERTEXT"),
    ("Plaintext", "DATA-KEY"),
    ("ExportedDataKey", "EXPORTED"),
    ("PublicKey", "PUBLIC-KEY"),
    ("ImportToken", "IMPORT-TOKEN"),
    ("Value", "SIGNATURE"),
    ("Mac", "MAC"),
    ("RandomPassword", "PASSWORD"),
    ("AccessKeyId", "ACCESS-KEY"),
    ("AccessKeySecret", "ACCESS-SECRET"),
    ("SecurityToken", "TOKEN"),
];

const PEM_FRAME: [&str; 2] = ["-----BEGIN PUBLIC KEY-----\n", "\n-----END PUBLIC KEY-----\n"];

type Parameters = Vec<(String, String)>;

/// A story while it is told.
struct Story<'a> {
    operation: &'a str,
    text: &'a str,
    house: House,
    who: Who,
    seconds: i64,
    /// What is different every time, and its placeholder.
    known: Vec<(String, String)>,
    /// The parameters of the last own request.
    last: Parameters,
}

impl<'a> Story<'a> {
    /// The story with what comes of each line.
    fn told(operation: &'a str, text: &'a str) -> String {
        let (house, who) = (House::with_identities("", IDENTITIES), Who::with_key("alice"));
        let mut story = Self { operation, text, house, who, seconds: 0, known: Vec::new(), last: Vec::new() };
        let mut told = String::new();
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let came_of_it = story.line(line).into_iter().map(|it| format!("    {}\n", it.replace('\n', "\n    ")));
            told.extend([format!("{line}\n")].into_iter().chain(came_of_it));
        }
        told
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        let mut words = line.split(' ');
        let (verb, words): (&str, Vec<&str>) = (words.next().unwrap_or_default(), words.collect());
        match verb {
            "" | "#" => {}
            "as" => {
                let mut parts = words.iter().map(|word| self.meant(word));
                let (id, secret) = (parts.next().unwrap(), parts.next().unwrap());
                self.who = Who { id, secret, token: parts.next() };
            }
            "later" => self.seconds += words.first().unwrap().parse::<i64>().unwrap(),
            "wrap" => self.wrap(words.first().unwrap(), words.last().unwrap()),
            "stranger" => {
                let own = std::mem::replace(&mut self.who, Who::with_key("stranger"));
                let told = self.ask(self.operation, &self.last.clone());
                self.who = own;
                return self.shown(told);
            }
            "without" => return words.iter().map(|name| self.without(name)).collect(),
            operation => {
                let given = words.iter().map(|word| word.split_once('=').unwrap_or_else(|| panic!("{line}")));
                let given: Parameters = given.map(|(name, value)| (name.to_owned(), self.meant(value))).collect();
                let result = self.ask(operation, &given);
                if operation == self.operation {
                    self.last = given;
                    return self.shown(result);
                }
                result.unwrap_or_else(|error| panic!("{}: {line}: {error:?}", self.operation));
            }
        }
        Vec::new()
    }

    fn ask(&mut self, operation: &str, given: &Parameters) -> Result<Map<String, Value>, KmsError> {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let result = self.house.answer(&self.who, operation, &given, at(self.seconds));
        self.seconds += 1;
        if let Ok(answer) = &result {
            self.learn(answer);
        }
        result
    }

    fn without(&mut self, name: &str) -> String {
        let given = self.last.iter().filter(|(other, _)| other != name).cloned().collect();
        match self.ask(self.operation, &given) {
            Ok(_) => panic!("{} does without {name}", self.operation),
            Err(error) => format!("{name}: {}", self.refusal(&error)),
        }
    }

    /// An answer in both formats, or the refusal.
    fn shown(&self, result: Result<Map<String, Value>, KmsError>) -> Vec<String> {
        let members = match result {
            Ok(members) => members.into_iter().map(|(name, value)| (name, self.masked_value(value))).collect(),
            Err(error) => return vec![self.refusal(&error)],
        };
        let body = |format, members| Answer::success(format, self.operation, "REQUEST-1", members).body;
        let bodies = [body(Format::Json, Map::clone(&members)), body(Format::Xml, members)];
        bodies.map(|body| String::from_utf8(body).unwrap()).into()
    }

    fn refusal(&self, error: &KmsError) -> String {
        self.masked(&format!("{} {}: {}", error.status, error.code.as_str(), error.message))
    }

    fn wrap(&mut self, bytes: &str, public_key: &str) {
        let [bytes, public_key] = [bytes, public_key].map(|text| BASE64.decode(self.meant(text).as_bytes()).unwrap());
        let wrapped = wrap(PairSpec::Rsa2048, &public_key, EncryptionAlgorithm::OaepSha256, &bytes).unwrap();
        self.remember(BASE64.encode(&wrapped), "WRAPPED");
    }

    fn learn(&mut self, members: &Map<String, Value>) {
        for (name, value) in members {
            match value {
                Value::Object(members) => self.learn(members),
                Value::Array(elements) => elements.iter().filter_map(Value::as_object).for_each(|it| self.learn(it)),
                Value::String(text) => {
                    if let Some((_, placeholder)) = RANDOM.iter().find(|(random, _)| random == name) {
                        let [begin, end] = PEM_FRAME;
                        let inner = text.strip_prefix(begin).and_then(|text| text.strip_suffix(end)).unwrap_or(text);
                        self.remember(inner.to_owned(), placeholder);
                    }
                }
                _ => {}
            }
        }
    }

    fn remember(&mut self, value: String, placeholder: &str) {
        if self.known.iter().any(|(known, _)| *known == value) || self.text.contains(&value) {
            return;
        }
        let prefix = format!("{placeholder}-");
        let number = self.known.iter().filter(|(_, known)| number_of(known, &prefix).is_some()).count() + 1;
        self.known.push((value, format!("{prefix}{number}")));
    }

    /// A text of the file, with the values of the placeholders.
    fn meant(&self, text: &str) -> String {
        replaced(text, self.known.iter().map(|(value, placeholder)| (placeholder, value)))
    }

    /// A text for the file, with the placeholders of the values.
    fn masked(&self, text: &str) -> String {
        replaced(text, self.known.iter().map(|(value, placeholder)| (value, placeholder)))
    }

    fn masked_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.masked(&text).into(),
            Value::Array(elements) => elements.into_iter().map(|element| self.masked_value(element)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, value)| (name, self.masked_value(value))).collect()
            }
            other => other,
        }
    }
}

fn number_of(placeholder: &str, prefix: &str) -> Option<usize> {
    placeholder.strip_prefix(prefix)?.parse().ok()
}

/// The longest first: `KEY-1` is also the beginning of `KEY-10`.
fn replaced<'a>(text: &str, pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/answers")
}

#[test]
fn every_operation_answers_as_its_file_says() {
    let bless = std::env::var_os("KEYWARD_BLESS").is_some();
    let mut different = Vec::new();
    for (operation, _) in FUNCTIONS {
        let path = folder().join(format!("{operation}.txt"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let told = Story::told(operation, &text);
        if !text.lines().any(|line| line.split(' ').next() == Some(operation)) {
            different.push(format!("{operation}: {} asks for it nowhere", path.display()));
        } else if bless {
            std::fs::write(&path, &told).unwrap();
        } else if told != text {
            let line = text.lines().zip(told.lines()).take_while(|(before, now)| before == now).count();
            let [before, now] = [&*text, &*told].map(|text| text.lines().nth(line).unwrap_or("(the end)"));
            different.push(format!("{operation}, line {}:\n{before}\nis now\n{now}", line + 1));
        }
    }
    assert!(different.is_empty(), "if this is meant, run the test with KEYWARD_BLESS=1:\n{}", different.join("\n"));
}

#[test]
fn every_operation_has_a_file_and_every_file_an_operation() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let operations = FUNCTIONS.iter().map(|(operation, _)| format!("{operation}.txt"));
    assert_eq!(files.collect::<BTreeSet<_>>(), operations.collect());
}
