//! A KMS that does what it is told: it writes down every byte that it gets, and answers bytes, silence, or nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One thing after the other, once a request is there.
pub enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes one by one, with this pause after each.
    Drip(Vec<u8>, Duration),
    /// Says nothing until the test is over.
    Silence,
    /// Ends the connection.
    Close,
    /// Ends it by a reset.
    Reset,
}

/// The headers of a request that Keyward wrote anew, in order and in small letters.
pub const HEADERS_OF_OURS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its head, without the empty line.
    pub head: String,
    /// Its body.
    pub body: String,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

impl Recorded {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        let line = lines.find(|line| line.split(':').next().is_some_and(|found| found.eq_ignore_ascii_case(name)))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// The operation, wherever it stands.
    pub fn operation(&self) -> String {
        let from_header = self.header("x-acs-action").map(str::to_owned);
        let target = self.head.split(' ').nth(1).unwrap();
        let all = format!("{}&{}", target.trim_start_matches("/?"), self.body);
        let parameter = || all.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned);
        from_header.or_else(parameter).unwrap_or_default()
    }

    /// The value of a parameter in the body, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let value = self.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
    }
}

/// The KMS.
pub struct Scripted {
    pub address: String,
    shared: Arc<Shared>,
}

type Script = dyn Fn(&Recorded, usize) -> Vec<Act> + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Recorded>>,
    bytes: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    over: AtomicBool,
}

impl Scripted {
    /// Answers as `script` says, which gets each request and its number.
    pub fn start(script: impl Fn(&Recorded, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            bytes: Mutex::default(),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, number) = (accepting.clone(), accepting.connections.fetch_add(1, Ordering::SeqCst));
                thread::spawn(move || shared.converse(stream, number));
            }
        });
        Self { address, shared }
    }

    /// Answers everything with this success.
    pub fn always(body: &'static str) -> Self {
        Self::start(move |_, _| vec![Act::Send(answer(200, body))])
    }

    /// Everything that it received so far, whole requests only.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How often an operation was received.
    pub fn count(&self, operation: &str) -> usize {
        self.requests().iter().filter(|request| request.operation() == operation).count()
    }

    /// Every byte that it received.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.bytes.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn converse(&self, mut stream: TcpStream, connection: usize) {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        while let Some(request) = self.receive(&mut stream, connection) {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len() - 1
            };
            for act in (self.script)(&request, number) {
                match act {
                    Act::Send(bytes) if stream.write_all(&bytes).is_err() => return,
                    Act::Send(_) => {}
                    Act::Drip(bytes, pause) => {
                        for byte in bytes {
                            if stream.write_all(&[byte]).is_err() {
                                return;
                            }
                            thread::park_timeout(pause);
                        }
                    }
                    Act::Silence => {
                        while !self.over.load(Ordering::SeqCst) {
                            thread::park_timeout(Duration::from_millis(10));
                        }
                        return;
                    }
                    Act::Close => return,
                    Act::Reset => {
                        let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                        return;
                    }
                }
            }
        }
    }

    fn receive(&self, stream: &mut TcpStream, connection: usize) -> Option<Recorded> {
        let (mut bytes, mut piece) = (Vec::new(), [0; 65_536]);
        loop {
            if let Some((head, body)) = whole(&bytes) {
                return Some(Recorded { head, body, connection });
            }
            match stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => {
                    bytes.extend_from_slice(&piece[..count]);
                    self.bytes.lock().unwrap().extend_from_slice(&piece[..count]);
                }
                Err(_) if self.over.load(Ordering::SeqCst) => return None,
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => return None,
            }
        }
    }
}

/// Head and body of a request that is there whole.
fn whole(bytes: &[u8]) -> Option<(String, String)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let body = &bytes[end + 4..];
    let length = length.unwrap_or(0);
    (body.len() >= length).then(|| (head, String::from_utf8(body[..length].to_vec()).unwrap()))
}

/// An answer in JSON.
pub fn answer(status: u16, body: &str) -> Vec<u8> {
    answer_with("", status, body)
}

/// The same with these headers more.
pub fn answer_with(headers: &str, status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    let kind = "Content-Type: application/json;charset=utf-8\r\n";
    format!("HTTP/1.1 {status} X\r\n{kind}{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
