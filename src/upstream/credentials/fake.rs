//! Fakes for tests: an endpoint that records what it is asked and answers what it is told to, and an environment.
//! It must never be part of the program.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Credential, Surroundings};

/// What the metadata service answers.
pub const GOOD: &str = r#"{"AccessKeyId":"STS.I","AccessKeySecret":"S","Expiration":"2026-08-01T01:00:00Z",
    "SecurityToken":"T/+=","LastUpdated":"2026-07-31T19:00:00Z","Code":"Success"}"#;

/// What is answered to one request.
pub enum Answer {
    /// A status and a text.
    Text(u16, String),
    /// A status and bytes.
    Bytes(u16, Vec<u8>),
    /// These bytes, whatever they are.
    Raw(String),
    /// These bytes, and nothing more for as long as the fake lives.
    Stall(String),
    /// Nothing, for as long as the fake lives.
    Silence,
}

/// An endpoint on this machine. It closes when it has given all its answers.
pub struct Fake {
    pub address: SocketAddr,
    /// How long it is worth waiting for it.
    pub patience: Duration,
    seen: Arc<Mutex<Vec<String>>>,
    _held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Fake {
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<Answer> = answers.into_iter().collect();
        let is_slow = answers.iter().any(|answer| matches!(answer, Answer::Silence | Answer::Stall(_)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, held) = (Arc::default(), Arc::default());
        let fake = Self {
            address,
            patience: if is_slow { Duration::from_secs(1) } else { Duration::from_secs(20) },
            seen: Arc::clone(&seen),
            _held: Arc::clone(&held),
        };
        if !answers.is_empty() {
            thread::spawn(move || serve(&listener, answers, &seen, &held));
        }
        fake
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests that came so far, as they were written.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The parts of the credential in [`GOOD`].
    pub fn given() -> Parts<'static> {
        ("STS.I", "S", Some("T/+="), "2026-08-01T01:00:00Z".parse().ok())
    }
}

fn serve(listener: &TcpListener, answers: Vec<Answer>, seen: &Mutex<Vec<String>>, held: &Mutex<Vec<TcpStream>>) {
    for answer in answers {
        let (mut stream, _) = listener.accept().unwrap();
        seen.lock().unwrap().push(request_on(&mut stream));
        // Who asked may have gone.
        let _ = match &answer {
            Answer::Text(status, text) => answer_with(&mut stream, *status, text.as_bytes()),
            Answer::Bytes(status, bytes) => answer_with(&mut stream, *status, bytes),
            Answer::Raw(text) | Answer::Stall(text) => stream.write_all(text.as_bytes()),
            Answer::Silence => Ok(()),
        };
        if matches!(answer, Answer::Silence | Answer::Stall(_)) {
            held.lock().unwrap().push(stream);
        }
    }
}

fn answer_with(stream: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn request_on(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut part = [0; 4096];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return request;
            }
        }
        match stream.read(&mut part).unwrap() {
            0 => return request,
            count => request.push_str(std::str::from_utf8(&part[..count]).unwrap()),
        }
    }
}

/// Id, secret, token, and when it expires.
pub type Parts<'a> = (&'a str, &'a str, Option<&'a str>, Option<Timestamp>);

/// What a credential is made of.
pub fn parts(credential: &Credential) -> Parts<'_> {
    let token = credential.security_token.as_ref().map(ExposeSecret::expose_secret);
    (&credential.access_key_id, credential.secret.expose_secret(), token, credential.expires)
}

/// An environment, and a home folder.
pub struct Env {
    variables: HashMap<String, String>,
    home: Option<PathBuf>,
    patience: Duration,
}

impl Env {
    /// 2026-08-01, midnight.
    pub const NOW: Timestamp = Timestamp::constant(1_785_542_400, 0);

    pub fn of(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { variables: variables.iter().map(owned).collect(), home: None, patience: Duration::from_secs(20) }
    }

    pub fn at_home(mut self, home: &std::path::Path) -> Self {
        self.home = Some(home.to_owned());
        self
    }

    pub fn waiting_for(mut self, fake: &Fake) -> Self {
        self.patience = fake.patience;
        self
    }

    pub fn within<T>(&self, ask: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let env = |name: &str| self.variables.get(name).cloned();
        ask(&Surroundings { env: &env, home: self.home.as_deref(), patience: self.patience })
    }
}
