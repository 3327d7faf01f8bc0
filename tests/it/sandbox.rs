//! A house of its own for each test: a folder with settings, identities and policies, and a running Keyward in it.
//!
//! Tests say what is given, what happens and what is expected; how a process is started, found and ended is here. There
//! are no sleeps: whoever waits, waits for a condition with a deadline.

#![expect(clippy::disallowed_methods, reason = "tests write files and read the clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keyward::authn::Signer;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A caller of the example directory.
#[derive(Clone, Copy)]
pub struct Caller {
    pub id: &'static str,
    pub secret: &'static str,
}

pub const ROOT: Caller = Caller { id: "LTAIKeywardExampleRoot", secret: "keyward-example-secret-root" };
pub const KIM: Caller = Caller { id: "LTAIKeywardExampleKim", secret: "keyward-example-secret-kim" };
pub const ALICE: Caller = Caller { id: "LTAIKeywardExampleAlice", secret: "keyward-example-secret-alice" };
pub const BOB: Caller = Caller { id: "LTAIKeywardExampleBob", secret: "keyward-example-secret-bob" };
pub const CAROL: Caller = Caller { id: "LTAIKeywardExampleCarol", secret: "keyward-example-secret-carol" };

/// Folders and files of one Keyward, with the examples of this repository in them.
pub struct House {
    folder: TempDir,
}

/// A Keyward that runs in a house.
pub struct Running<'h> {
    house: &'h House,
    child: Child,
    pub api: String,
    pub admin: String,
    output: Lines,
    errors: Lines,
    /// Once set, nobody reads what it writes: both pipes are closed after their next line.
    unread: Arc<AtomicBool>,
    agent: ureq::Agent,
}

/// A Keyward that was started, and may not serve yet.
pub struct Spawned {
    child: Child,
    output: Lines,
    errors: Lines,
    unread: Arc<AtomicBool>,
}

impl Spawned {
    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    /// Generation and hash of the policies that judged it, if answers say so.
    pub version: Option<String>,
}

impl Reply {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["Code"].as_str()), (status, Some(code)), "{}", self.body);
        self.body
    }
}

/// The lines that a process wrote so far.
type Lines = Arc<Mutex<Vec<String>>>;

impl House {
    /// A house with the repository's `config/` and `policies/`, on ports that are free.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["config", "policies"] {
            copy(&root.join(part), &folder.path().join(part));
        }
        let house = Self { folder };
        house.edit("config/keyward.toml", "127.0.0.1:7480", "127.0.0.1:0");
        house.edit("config/keyward.toml", "127.0.0.1:7481", "127.0.0.1:0");
        house.edit("config/keyward.toml", "debounce_ms = 100", "debounce_ms = 20");
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Replaces `old`, which must be there, by `new`.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.write(name, &text.replace(old, new));
    }

    /// A command that serves this house; `prefix` comes before it.
    fn command_after(&self, prefix: &[&str]) -> Command {
        let words: Vec<&str> = prefix.iter().copied().chain([env!("CARGO_BIN_EXE_keyward")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["serve", "--config"]).arg(self.path("config/keyward.toml"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self) -> Command {
        self.command_after(&[])
    }

    /// Starts Keyward by another program and waits until it serves.
    pub fn start_after(&self, prefix: &[&str]) -> Running<'_> {
        self.started(self.command_after(prefix))
    }

    /// Starts Keyward and waits until it serves.
    pub fn start(&self) -> Running<'_> {
        self.start_with(&[])
    }

    /// The same with more arguments.
    pub fn start_with(&self, arguments: &[&str]) -> Running<'_> {
        let mut command = self.command();
        command.args(arguments);
        self.started(command)
    }

    fn started(&self, command: Command) -> Running<'_> {
        self.serving(self.spawned(command))
    }

    /// Starts one that waits to take over, and returns when it does.
    pub fn start_successor(&self) -> Spawned {
        let mut command = self.command();
        command.arg("--take-over");
        let spawned = self.spawned(command);
        let says = || spawned.errors.lock().unwrap().iter().any(|line| line.contains("ready to take over"));
        assert!(wait(says), "no successor:\n{}", spawned.errors.lock().unwrap().join("\n"));
        spawned
    }

    fn spawned(&self, mut command: Command) -> Spawned {
        let mut child = command.spawn().unwrap();
        let unread = Arc::new(AtomicBool::new(false));
        let output = collect(child.stdout.take().unwrap(), unread.clone());
        let errors = collect(child.stderr.take().unwrap(), unread.clone());
        Spawned { child, output, errors, unread }
    }

    /// Waits until it serves.
    pub fn serving(&self, spawned: Spawned) -> Running<'_> {
        let Spawned { child, output, errors, unread } = spawned;
        let url = |label: &str| {
            let errors = errors.lock().unwrap();
            let line = errors.iter().find(|line| line.trim_start().starts_with(label))?;
            let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"))?;
            Some(url.split(['/', ',']).next().unwrap().to_owned())
        };
        let started = wait(|| url("metrics").is_some());
        assert!(started, "Keyward did not start:\n{}", errors.lock().unwrap().join("\n"));
        let (api, admin) = (url("endpoint").unwrap(), url("metrics").unwrap());
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Running { house: self, child, api, admin, output, errors, unread, agent }
    }

    /// Starts Keyward and kills it some time after `condition` holds, whatever it is doing then.
    pub fn start_and_kill(&self, mut condition: impl FnMut() -> bool, time: Duration) {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Finer than `wait` looks.
        let spin = |condition: &mut dyn FnMut() -> bool| {
            let begun = Instant::now();
            while !condition() {
                assert!(begun.elapsed() < PATIENCE, "it did not come so far");
                thread::yield_now();
            }
        };
        spin(&mut condition);
        let begun = Instant::now();
        spin(&mut || begun.elapsed() >= time);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs a command in this house: what it printed, what it said, and its exit code.
    pub fn run(&self, arguments: &[&str]) -> (String, String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        let output = command.args(arguments).current_dir(self.folder.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    }

    /// Starts Keyward in the expectation that it ends by itself; what it said, and how it ended.
    pub fn start_in_vain(&self) -> (String, Option<i32>) {
        let output = self.command().output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    }
}

impl Running<'_> {
    /// Sends a request with signature V1 in a form body.
    pub fn call(&self, caller: Caller, operation: &str, params: &[(&str, &str)]) -> Reply {
        self.try_call(caller, operation, params).expect("no answer came")
    }

    /// Runs `keyward call` against this endpoint: what it printed, and its exit code.
    pub fn command(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command.arg("call").args(arguments).arg("--config").arg(self.house.path("config/keyward.toml"));
        let output = command.args(["--endpoint", &format!("http://{}", self.api)]).output().unwrap();
        (String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr), output.status.code())
    }

    /// A page of the admin port: status and text.
    pub fn page(&self, path: &str) -> (u16, String) {
        let mut response = self.agent.get(format!("http://{}{path}", self.admin)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Has the files read again: the status, and what was told.
    pub fn reload(&self, query: &str) -> (u16, Value) {
        let mut response = self.agent.post(format!("http://{}/-/reload{query}", self.admin)).send_empty().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Everything that the admin port tells about policies.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.page("/status").1).unwrap()
    }

    /// The value of a metric, named with its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.page("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Which generation of policies is in force.
    pub fn generation(&self) -> u64 {
        let (_, text) = self.page("/readyz");
        serde_json::from_str::<Value>(&text).unwrap()["generation"].as_u64().unwrap()
    }

    #[track_caller]
    pub fn wait_for_generation(&self, generation: u64) {
        assert!(wait(|| self.generation() >= generation), "generation {generation} did not come");
    }

    /// The audit lines written so far.
    pub fn audit(&self) -> Vec<Value> {
        self.output.lock().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub fn wait_for_audit_lines(&self, count: usize) -> Vec<Value> {
        assert!(wait(|| self.output.lock().unwrap().len() >= count), "{count} audit lines did not come");
        self.audit()
    }

    /// Everything it wrote, once this text is among it.
    #[track_caller]
    pub fn written_with(&self, text: &str) -> String {
        assert!(wait(|| self.everything_written().contains(text)), "`{text}` was not written");
        self.everything_written()
    }

    /// Everything it wrote to standard output and standard error.
    pub fn everything_written(&self) -> String {
        [self.output.lock().unwrap().join("\n"), self.errors.lock().unwrap().join("\n")].join("\n")
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// From now on nobody reads what it writes.
    pub fn stop_reading(&self) {
        self.unread.store(true, Ordering::SeqCst);
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Sends a request like [`Self::call`]; `None` if no whole answer came.
    pub fn try_call(&self, caller: Caller, operation: &str, params: &[(&str, &str)]) -> Option<Reply> {
        self.try_call_if(None, caller, operation, params)
    }

    /// The same, if what it replaces has this hash.
    pub fn try_call_if(
        &self,
        if_match: Option<&str>,
        caller: Caller,
        operation: &str,
        params: &[(&str, &str)],
    ) -> Option<Reply> {
        let body = signed_v1(caller, operation, params);
        let mut request = self.agent.post(format!("http://{}/", self.api));
        if let Some(hash) = if_match {
            request = request.header("if-match", format!("\"{hash}\""));
        }
        let mut response = request.header("content-type", "application/x-www-form-urlencoded").send(body).ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        let version = response.headers().get("x-keyward-policies").map(|it| it.to_str().unwrap().to_owned());
        Some(Reply { status: response.status().as_u16(), body: serde_json::from_str(&text).ok()?, version })
    }

    /// Waits for the end of the process.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.expect("Keyward did not end")
    }

    /// Ends it as an operating system would: without a chance to tidy up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The form body of a request with signature V1.
pub fn signed_v1(caller: Caller, operation: &str, params: &[(&str, &str)]) -> String {
    signed(caller.id, caller.secret, None, operation, params)
}

/// The same, by a role session.
pub fn signed_with_token(id: &str, secret: &str, token: &str, operation: &str, params: &[(&str, &str)]) -> String {
    signed(id, secret, Some(token), operation, params)
}

fn signed(id: &str, secret: &str, token: Option<&str>, operation: &str, params: &[(&str, &str)]) -> String {
    let signer = Signer {
        access_key_id: id,
        secret: &secret.into(),
        security_token: token,
        timestamp: &jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        nonce: &uuid::Uuid::new_v4().to_string(),
    };
    signer.rpc(operation, "JSON", &params.iter().copied().collect()).canonical()
}

/// The header of a form body.
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A whole request with a form body and these headers more; its connection is closed after the answer.
pub fn post(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: kms.test\r\n{FORM}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A connection that gives up after some time.
pub fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
}

/// Sends bytes and reads everything that comes back.
pub fn exchange(stream: &mut (impl Read + Write), bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status and the JSON of one answer.
pub fn status_and_body(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Waits until `condition` holds; `false` if it did not in time.
pub fn wait(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(5));
    }
    condition()
}

fn collect(stream: impl std::io::Read + Send + 'static, unread: Arc<AtomicBool>) -> Lines {
    let lines = Lines::default();
    let sink = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            sink.lock().unwrap().push(line);
            if unread.load(Ordering::SeqCst) {
                return;
            }
        }
    });
    lines
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
