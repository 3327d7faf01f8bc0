//! The servers that are compared, each a process of its own, and the request that each gets.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keyward::authn::Signer;
use pingora::apps::http_app::ServeHttp;
use pingora::prelude::{HttpPeer, Opt, Result, Server as PingoraServer};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use tempfile::TempDir;

use crate::load::read_answer;

/// The names of the servers that the others are compared with.
pub const UPSTREAM: &str = "bare HTTP server";
pub const PASS_THROUGH: &str = "pingora, bare pass-through";

/// How an answer begins that is none of refusal, in small letters.
const OK: &str = "http/1.1 200";

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
    upstream: (Child, String),
    pass_through: (Child, String),
    keyward: (Child, String),
    _folder: TempDir,
}

impl Servers {
    pub fn start() -> Self {
        let this = std::env::current_exe().unwrap();
        let (up, through) = (free_address(), free_address());
        let upstream = Command::new(&this).args(["upstream", &up]).spawn().unwrap();
        let pass_through = Command::new(&this).args(["pass-through", &through, &up]).spawn().unwrap();
        let folder = TempDir::new().unwrap();
        let keyward = start_keyward(folder.path());
        for address in [&up, &through] {
            await_port(address);
        }
        Self { upstream: (upstream, up), pass_through: (pass_through, through), keyward, _folder: folder }
    }

    pub fn all(&self) -> Vec<Server> {
        let server = |name, (child, address): &(Child, String), request: &Request, status_line| Server {
            name,
            address: address.clone(),
            process: child.id(),
            request: request.clone(),
            status_line,
        };
        let key = ("KeyId", "key-exampleorders01".to_owned());
        let own = vec![key.clone(), ("Plaintext", "aGVsbG8gd29ybGQgPz5+".to_owned())];
        let encrypt = Request { caller: ALICE, operation: "Encrypt", own };
        let blob = ("CiphertextBlob", member(&self.keyward.1, &encrypt, "CiphertextBlob"));
        let decrypt = Request { operation: "Decrypt", own: vec![blob], ..encrypt.clone() };
        let generate = Request { operation: "GenerateDataKey", own: vec![key], ..encrypt.clone() };
        let refused = Request { caller: BOB, ..encrypt.clone() };
        vec![
            server(UPSTREAM, &self.upstream, &encrypt, OK),
            server(PASS_THROUGH, &self.pass_through, &encrypt, OK),
            server("Keyward, `Encrypt` executed", &self.keyward, &encrypt, OK),
            server("Keyward, `Decrypt` executed", &self.keyward, &decrypt, OK),
            server("Keyward, `GenerateDataKey` executed", &self.keyward, &generate, OK),
            server("Keyward, `Encrypt` refused", &self.keyward, &refused, "http/1.1 403"),
        ]
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (child, _) in [&mut self.upstream, &mut self.pass_through, &mut self.keyward] {
            let _ = child.kill();
            let _ = child.wait();
        }
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

/// Keyward with the example settings, without audit lines: a pass-through writes none either.
fn start_keyward(folder: &Path) -> (Child, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = Command::new("cp").arg("-r").args([root.join("config"), root.join("policies")]).arg(folder).status();
    assert!(copied.unwrap().success());
    let config = folder.join("config/keyward.toml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    for (old, new) in [
        ("127.0.0.1:7480", "127.0.0.1:0"),
        ("127.0.0.1:7481", "127.0.0.1:0"),
        ("audit = \"stdout\"", "audit = \"off\""),
        ("explain_denials = true", "explain_denials = false"),
    ] {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    let mut child = command.arg("serve").arg("--config").arg(config).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(std::result::Result::ok);
    let line = lines.find(|line| line.contains("endpoint")).expect("Keyward did not start");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap().to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn await_port(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "{address} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pingora_server() -> PingoraServer {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let conf = ServerConf { threads, ..ServerConf::default() };
    let mut server = PingoraServer::new_with_opt_and_conf(Opt::default(), conf);
    server.bootstrap();
    server
}

/// Answers about as many bytes as an answer to Encrypt has, whatever it is asked.
pub fn upstream(address: &str) {
    struct Fixed;

    #[async_trait]
    impl ServeHttp for Fixed {
        async fn response(&self, session: &mut ServerSession) -> http::Response<Vec<u8>> {
            while session.read_request_body().await.is_ok_and(|piece| piece.is_some()) {}
            let body = vec![b'x'; 400];
            http::Response::builder().header("content-length", body.len()).body(body).unwrap()
        }
    }

    let mut server = pingora_server();
    let mut service = Service::new("upstream".to_owned(), Fixed);
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever();
}

/// pingora's own proxy with nothing in it.
pub fn pass_through(address: &str, upstream: &str) {
    struct PassThrough(HttpPeer);

    #[async_trait]
    impl ProxyHttp for PassThrough {
        type CTX = ();

        fn new_ctx(&self) {}

        async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
            Ok(Box::new(self.0.clone()))
        }
    }

    let mut server = pingora_server();
    let peer = HttpPeer::new(upstream, false, String::new());
    let mut service = http_proxy_service(&server.configuration, PassThrough(peer));
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever();
}
