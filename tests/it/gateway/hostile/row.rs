//! One row: bytes, what must come of them, and how that is found out.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::super::front::{ORDERS, plain, ready};
use super::super::scripted::{Act, HEADERS_OF_OURS, Recorded, Scripted, answer};
use super::request::{Pairs, form};
use crate::sandbox::{House, Running};

/// What must come of a row.
pub enum Expected {
    /// An error with this status and code.
    Refused(u16, &'static str),
    /// The connection is closed without an answer, or an error is answered; nothing is executed either way.
    Nothing,
    /// KMS gets this operation with these parameters, once, and the client gets its answer.
    Executed(&'static str, Pairs),
}

/// A row of the catalogue.
pub struct Row {
    pub id: &'static str,
    pub name: String,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

pub fn refused(
    id: &'static str,
    name: impl Into<String>,
    bytes: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
) -> Row {
    Row { id, name: name.into(), bytes: bytes.into(), expected: Expected::Refused(status, code) }
}

pub fn nothing(id: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Row {
    Row { id, name: name.into(), bytes: bytes.into(), expected: Expected::Nothing }
}

pub fn executed(
    id: &'static str,
    name: impl Into<String>,
    bytes: impl Into<Vec<u8>>,
    operation: &'static str,
    params: &[(&str, &str)],
) -> Row {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Row { id, name: name.into(), bytes: bytes.into(), expected: Expected::Executed(operation, params) }
}

/// An answer, as it came.
#[derive(Debug, Clone)]
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The code of an error in KMS's shape, JSON or XML.
    pub fn code(&self) -> Option<String> {
        if self.body.starts_with("<?xml") {
            let text = |name: &str| {
                let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
                rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
            };
            return text("RequestId").and(text("HostId")).and(text("Message")).and(text("Code"));
        }
        let body = self.json();
        let has = |name: &str| body[name].as_str().is_some_and(|text| name == "HostId" || !text.is_empty());
        let is_whole = has("RequestId") && has("HostId") && has("Message") && body["HttpStatus"] == self.status;
        body["Code"].as_str().filter(|_| is_whole).map(str::to_owned)
    }
}

/// Everything that was answered until the connection was closed. `Err` if it was left open.
pub fn talk(address: &str, bytes: &[u8]) -> Result<Vec<Answered>, String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(15))).unwrap();
    let _ = stream.write_all(bytes);
    answers_of(&mut stream)
}

/// The same on a connection that is open.
pub fn answers_of(stream: &mut impl Read) -> Result<Vec<Answered>, String> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(format!("left open after {:?}", String::from_utf8_lossy(&all)))
        }
        _ => parsed(&all),
    }
}

/// The answers in these bytes, one after the other; interim ones are left out.
fn parsed(bytes: &[u8]) -> Result<Vec<Answered>, String> {
    let (mut rest, mut answers) = (String::from_utf8_lossy(bytes).into_owned(), Vec::new());
    while !rest.is_empty() {
        let odd = || format!("no HTTP: {rest:?}");
        let (head, behind) = rest.split_once("\r\n\r\n").ok_or_else(odd)?;
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 ")).ok_or_else(odd)?;
        let status = status.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(odd)?;
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let body = behind.get(..length.unwrap_or(0)).ok_or_else(odd)?;
        if status != 100 {
            answers.push(Answered { status, head: head.to_owned(), body: body.to_owned() });
        }
        rest = behind[body.len()..].to_owned();
    }
    Ok(answers)
}

/// What KMS answers to Encrypt under alice's key.
pub fn encrypted() -> String {
    format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"v-1","CiphertextBlob":"YmxvYg==","RequestId":"R-UP"}}"#)
}

/// A KMS that encrypts whatever it is asked.
pub fn encrypting() -> Scripted {
    Scripted::start(|_, _| vec![Act::Send(answer(200, &encrypted()))])
}

/// A house in front of it whose requests have to be there after a second.
pub fn house(kms: &Scripted, changes: &[(&str, &str)]) -> House {
    let quick = ("notice_seconds = 0", "notice_seconds = 0\nrequest_seconds = 1");
    let changes: Vec<_> = [quick].iter().chain(changes).copied().collect();
    plain(&kms.address, &changes)
}

/// Sends every row, and fails with all that were not as expected.
#[track_caller]
pub fn check(running: &Running<'_>, kms: &Scripted, rows: &[Row]) {
    assert!(!rows.is_empty());
    ready(running);
    let wrong: Vec<String> = rows.iter().filter_map(|row| row.check(running, kms).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

impl Row {
    fn check(&self, running: &Running<'_>, kms: &Scripted) -> Result<(), String> {
        let (before, bytes_before) = (kms.requests().len(), kms.bytes().len());
        let answers = talk(&running.api, &self.bytes);
        let received = kms.requests().split_off(before);
        let complain = |what: String| {
            let shown = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(300)]);
            let what: String = what.chars().take(400).collect();
            Err(format!("{} {}: {what}\n    {shown:?}", self.id, self.name))
        };
        let answers = match answers {
            Ok(answers) => answers,
            Err(what) => return complain(what),
        };
        // A row that was signed too early, or twice, shows nothing.
        const STALE: [&str; 2] = ["InvalidTimeStamp.Expired", "SignatureNonceUsed"];
        if answers.iter().any(|it| it.code().is_some_and(|code| STALE.contains(&&*code))) {
            return complain("is stale".to_owned());
        }
        let told = || answers.iter().map(|it| format!("{} {}", it.status, it.body)).collect::<Vec<_>>();
        match &self.expected {
            Expected::Executed(operation, params) => {
                let is_right = matches!(&answers[..], [one] if one.status == 200 && one.json()["RequestId"] == "R-UP");
                let wrong = not_canonical(&received, operation, params);
                if is_right && wrong.is_none() { Ok(()) } else { complain(format!("{:?} {wrong:?}", told())) }
            }
            Expected::Refused(status, code) => {
                let is_right =
                    matches!(&answers[..], [one] if one.status == *status && one.code().as_deref() == Some(code));
                let is_silent = kms.bytes().len() == bytes_before;
                if is_right && is_silent { Ok(()) } else { complain(format!("{:?} KMS got {received:?}", told())) }
            }
            Expected::Nothing => {
                let is_right = answers.iter().all(|it| (400..600).contains(&it.status) && it.code().is_some());
                let is_silent = kms.bytes().len() == bytes_before;
                if is_right && is_silent && answers.len() < 2 {
                    Ok(())
                } else {
                    complain(format!("{:?} KMS got {received:?}", told()))
                }
            }
        }
    }
}

/// What is wrong with what KMS received, if it should be this, once.
fn not_canonical(received: &[Recorded], operation: &str, params: &Pairs) -> Option<String> {
    let [request] = received else { return Some(format!("received {received:?}")) };
    let mut sorted = params.clone();
    sorted.sort();
    let mut names: Vec<String> =
        request.head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
    names.sort();
    let is_right = request.head.starts_with("POST / HTTP/1.1\r\n")
        && request.operation() == operation
        && request.body == form(&sorted)
        && names == HEADERS_OF_OURS;
    (!is_right).then(|| format!("received {request:?}"))
}
