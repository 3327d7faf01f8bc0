//! The servers that are compared, each a process of its own, and the request that each gets.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keyward::authn::Signer;
use tempfile::TempDir;

use crate::load::read_answer;

/// The names of the servers that the others are compared with.
pub const UPSTREAM: &str = "bare HTTP server";
pub const PASS_THROUGH: &str = "pingora, bare pass-through";

/// How an answer begins, in small letters.
const OK: &str = "http/1.1 200";
const REFUSED: &str = "http/1.1 403";

/// Added to the settings of `gateway.toml`, which say nothing of logs.
const NO_AUDIT: (&str, &str) = ("[policies]", "[log]\naudit = \"off\"\n\n[policies]");

/// Two of the example's callers: one who may use the key, and one who may not.
const ALICE: Caller = Caller { id: "LTAIKeywardExampleAlice", secret: "keyward-example-secret-alice" };
const BOB: Caller = Caller { id: "LTAIKeywardExampleBob", secret: "keyward-example-secret-bob" };

/// Who asks.
#[derive(Clone, Copy)]
struct Caller {
    id: &'static str,
    secret: &'static str,
}

/// What is asked, again and again.
#[derive(Clone)]
pub struct Request {
    caller: Caller,
    operation: &'static str,
    own: Vec<(&'static str, String)>,
}

/// A server under load.
pub struct Server {
    pub name: &'static str,
    pub address: String,
    pub process: u32,
    pub request: Request,
    pub status_line: &'static str,
}

/// All processes; they end with this.
pub struct Servers {
    upstream: Process,
    pass_through: Process,
    whole_body: Process,
    embedded: Process,
    re_sign: Process,
    on_as_came: Process,
    _folders: [TempDir; 3],
}

/// One of them, and where it listens.
struct Process {
    child: Child,
    address: String,
}

impl Servers {
    pub fn start() -> Self {
        let upstream = Process::of_ours("upstream", &[]);
        let address = upstream.address.clone();
        let endpoint = format!("http://{address}");
        let elsewhere = ("https://kms.cn-hangzhou.aliyuncs.com", endpoint.as_str());
        let folders = [(); 3].map(|()| TempDir::new().unwrap());
        let [embedded, re_sign, on_as_came] = &folders;
        Self {
            pass_through: Process::of_ours("pass-through", &[&address]),
            whole_body: Process::of_ours("whole-body", &[&address]),
            upstream,
            embedded: Process::keyward(
                embedded.path(),
                "keyward.toml",
                &[("audit = \"stdout\"", "audit = \"off\""), ("explain_denials = true", "explain_denials = false")],
            ),
            re_sign: Process::keyward(re_sign.path(), "gateway.toml", &[elsewhere, NO_AUDIT]),
            on_as_came: Process::keyward(
                on_as_came.path(),
                "gateway.toml",
                &[
                    elsewhere,
                    NO_AUDIT,
                    ("mode = \"re-sign\"", "mode = \"pass-through\""),
                    ("sign_as = \"keyward\"", ""),
                ],
            ),
            _folders: folders,
        }
    }

    pub fn all(&self) -> Vec<Server> {
        let server = |name, process: &Process, request: &Request, status_line| Server {
            name,
            address: process.address.clone(),
            process: process.child.id(),
            request: request.clone(),
            status_line,
        };
        let key = ("KeyId", "key-exampleorders01".to_owned());
        let own = vec![key.clone(), ("Plaintext", "aGVsbG8gd29ybGQgPz5+".to_owned())];
        let encrypt = Request { caller: ALICE, operation: "Encrypt", own };
        let blob = ("CiphertextBlob", member(&self.embedded.address, &encrypt, "CiphertextBlob"));
        let decrypt = Request { operation: "Decrypt", own: vec![blob], ..encrypt.clone() };
        let generate = Request { operation: "GenerateDataKey", own: vec![key], ..encrypt.clone() };
        let refused = Request { caller: BOB, ..encrypt.clone() };
        vec![
            server(UPSTREAM, &self.upstream, &encrypt, OK),
            server(PASS_THROUGH, &self.pass_through, &encrypt, OK),
            server("pingora's proxy, whole body first", &self.whole_body, &encrypt, OK),
            server("Keyward, `Encrypt` signed anew and forwarded", &self.re_sign, &encrypt, OK),
            server("Keyward, `Decrypt` signed anew, answer judged", &self.re_sign, &decrypt, OK),
            server("Keyward, `Encrypt` passed through", &self.on_as_came, &encrypt, OK),
            server("Keyward, `Encrypt` executed", &self.embedded, &encrypt, OK),
            server("Keyward, `Decrypt` executed", &self.embedded, &decrypt, OK),
            server("Keyward, `GenerateDataKey` executed", &self.embedded, &generate, OK),
            server("Keyward, `Encrypt` refused", &self.embedded, &refused, REFUSED),
        ]
    }
}

impl Process {
    /// This program once more, in another role.
    fn of_ours(role: &str, arguments: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let this = std::env::current_exe().unwrap();
        let child = Command::new(this).arg(role).arg(&address).args(arguments).spawn().unwrap();
        await_port(&address);
        Self { child, address }
    }

    /// Keyward with example settings, and without audit lines: a pass-through writes none either.
    fn keyward(folder: &Path, settings: &str, changes: &[(&str, &str)]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let copied =
            Command::new("cp").arg("-r").args([root.join("config"), root.join("policies")]).arg(folder).status();
        assert!(copied.unwrap().success());
        let config = folder.join("config").join(settings);
        let mut text = std::fs::read_to_string(&config).unwrap();
        for (old, new) in [("127.0.0.1:7480", "127.0.0.1:0"), ("127.0.0.1:7481", "127.0.0.1:0")].iter().chain(changes) {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", ALICE.id).env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ALICE.secret);
        let mut child = command.arg("serve").arg("--config").arg(config).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("endpoint")).expect("Keyward did not start");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Request {
    /// The request, signed, as the classic Python client sends it.
    pub fn signed(&self, nonce: &str) -> Vec<u8> {
        let timestamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let Caller { id, secret } = self.caller;
        let secret = secret.into();
        let signer = Signer { access_key_id: id, secret: &secret, security_token: None, timestamp: &timestamp, nonce };
        let own = self.own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let signed = signer.rpc(self.operation, "JSON", &own);
        let body = signed.canonical();
        format!(
            "POST / HTTP/1.1\r\nHost: kms.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A member of the answer to one request.
fn member(address: &str, request: &Request, name: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&request.signed("before everything else")).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let answer: serde_json::Value = serde_json::from_slice(read_answer(&mut stream, &mut buffer, OK)).unwrap();
    answer[name].as_str().unwrap().to_owned()
}

fn await_port(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "{address} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
