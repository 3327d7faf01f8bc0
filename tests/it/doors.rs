//! The doors of a running Keyward: TLS and client certificates, Unix sockets, the PROXY protocol, and credentials that are
//! handed out. Rows of the identity threats are named by their ids.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

pub mod authority;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::sandbox::{
    ALICE, BOB, Caller, House, Running, exchange, post, signed_v1, signed_with_token, status_and_body, tcp, wait,
};
use authority::{Authority, Leaf, Tls};

/// A whole request with a form body.
fn request(body: &str) -> Vec<u8> {
    post("", body)
}

/// A request that nobody signed.
fn unsigned(operation: &str) -> Vec<u8> {
    request(&format!("Action={operation}&Version=2016-01-20&Format=JSON"))
}

fn who_am_i() -> Vec<u8> {
    request("Action=GetCallerIdentity&Version=2015-04-01&Format=JSON")
}

/// Sends bytes and reads the answer.
fn talk(stream: &mut (impl Read + Write), bytes: &[u8]) -> (u16, Value) {
    status_and_body(&exchange(stream, bytes))
}

/// The status and either who was identified or the code of the refusal.
fn told((status, body): (u16, Value)) -> String {
    let text = body["Arn"].as_str().or(body["Code"].as_str()).unwrap_or_default();
    format!("{status} {text}")
}

/// A house with a TLS door: a server certificate, and `clients` as the authority of client certificates.
fn tls_house(servers: &Authority, clients: &Authority) -> House {
    let house = House::new();
    let leaf = servers.leaf(&Leaf::server());
    house.write("config/tls/server.pem", &leaf.certificate);
    house.write("config/tls/server.key", &leaf.key);
    house.write("config/tls/clients.pem", &clients.certificate);
    for (setting, value) in [
        ("# tls = \"127.0.0.1:7443\"", "tls = \"127.0.0.1:0\""),
        ("# certificate = ", "certificate = "),
        ("# key = ", "key = "),
        ("# client_ca = ", "client_ca = "),
    ] {
        house.edit("config/keyward.toml", setting, value);
    }
    let identities = "[accounts.1234567890123456.users.alice]\ngroups = [\"developers\"]\n";
    let certificate = "certificates = [{ uri = \"spiffe://example/alice\" }, { dns = \"alice.example\" }]\n";
    house.edit("config/identities.toml", identities, &format!("{identities}{certificate}"));
    house
}

fn https(running: &Running<'_>) -> String {
    let text = running.everything_written();
    let address = text.split("https://").nth(1).and_then(|rest| rest.split_whitespace().next());
    address.expect("there is a TLS endpoint").to_owned()
}

#[test]
fn a_certified_caller_needs_no_signature_and_a_signature_must_agree() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let house = tls_house(&servers, &clients);
    let running = house.start();
    let address = https(&running);
    let alice = clients.leaf(&Leaf::with_uri("spiffe://example/alice"));
    let stranger = clients.leaf(&Leaf::with_uri("spiffe://example/stranger"));
    let ask = |client: Option<&authority::Pair>, bytes: &[u8]| {
        let mut tls = Tls::connect(&address, &servers, client).unwrap();
        told(talk(&mut tls, bytes))
    };
    let signed = |caller: Caller| request(&signed_v1(caller, "GetCallerIdentity", &[]));
    assert_eq!(ask(Some(&alice), &who_am_i()), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(ask(Some(&alice), &signed(ALICE)), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(ask(Some(&alice), &signed(BOB)), "400 IncompleteSignature");
    assert_eq!(ask(Some(&stranger), &who_am_i()), "400 IncompleteSignature");
    assert_eq!(ask(Some(&stranger), &signed(BOB)), "200 acs:ram::1234567890123456:user/bob");
    assert_eq!(ask(None, &who_am_i()), "400 IncompleteSignature");
    assert_eq!(ask(None, &signed(BOB)), "200 acs:ram::1234567890123456:user/bob");
    assert_eq!(ask(Some(&alice), &unsigned("ListSecrets")), "200 ");
    assert_eq!(ask(Some(&alice), &unsigned("CreateKey")), "403 Forbidden.NoPermission");
    // The program's own client takes the authority from a file.
    house.write("ca.pem", &servers.certificate);
    let endpoint = format!("https://localhost:{}", address.rsplit(':').next().unwrap());
    let call = |more: &[&str]| {
        house.run(&[&["call", "GetCallerIdentity", "--as", "bob", "--endpoint", &endpoint][..], more].concat())
    };
    let (said, told, _) = call(&["--ca", "ca.pem"]);
    assert!(said.contains("user/bob"), "{said}{told}");
    for (more, said) in [
        (&[][..], "--ca FILE names the authority"),
        (&["--ca", "none.pem"], "none.pem is not there"),
        (&["--ca", "config/keyward.toml"], "holds no certificate"),
    ] {
        let (_, told, code) = call(more);
        assert!(told.contains(said) && code == Some(2), "{told}");
    }
    let proofs: Vec<String> = running
        .wait_for_audit_lines(10)
        .iter()
        .map(|line| line["proof"].as_str().unwrap_or("none").to_owned())
        .collect();
    assert_eq!(proofs[..2], ["certificate", "signature_v1"]);
    assert!(running.metric("keyward_tls_certificate_expires_seconds") > 1.7e9);
}

/// I03: what is no valid leaf of the configured authority does not even shake hands, or proves nobody.
#[test]
fn a_zoo_of_certificates() {
    let (servers, clients, others) = (Authority::new("servers"), Authority::new("clients"), Authority::new("clients"));
    let house = tls_house(&servers, &clients);
    let running = house.start();
    let address = https(&running);
    let uri = "spiffe://example/alice";
    let narrow = clients.narrowed_to("allowed.example");
    let accepted = "200 acs:ram::1234567890123456:user/alice";
    for (name, client, expected) in [
        ("good", clients.leaf(&Leaf::with_uri(uri)), accepted),
        ("a name in another case", clients.leaf(&Leaf::with_dns("ALICE.example")), accepted),
        ("without an end", clients.leaf(&Leaf { years: (2020, 9999), ..Leaf::with_uri(uri) }), accepted),
        ("of another authority with the same name", others.leaf(&Leaf::with_uri(uri)), "no handshake"),
        ("the authority itself", clients.itself(), "no handshake"),
        ("expired", clients.leaf(&Leaf { years: (2000, 2001), ..Leaf::with_uri(uri) }), "no handshake"),
        ("not yet valid", clients.leaf(&Leaf { years: (2090, 2091), ..Leaf::with_uri(uri) }), "no handshake"),
        ("of a server", clients.leaf(&Leaf { is_server: true, ..Leaf::with_uri(uri) }), "no handshake"),
        ("outside its name constraints", narrow.leaf(&Leaf::with_dns("alice.example")), "no handshake"),
        (
            "common name only",
            clients.leaf(&Leaf { common_name: "alice.example", ..Leaf::default() }),
            "400 IncompleteSignature",
        ),
        ("no name at all", clients.leaf(&Leaf::default()), "400 IncompleteSignature"),
        ("a wildcard", clients.leaf(&Leaf::with_dns("*.example")), "400 IncompleteSignature"),
    ] {
        let answer = Tls::connect(&address, &servers, Some(&client)).map(|mut tls| talk(&mut tls, &who_am_i()));
        let answer = answer.ok().filter(|(status, _)| *status != 0).map_or("no handshake".to_owned(), told);
        assert_eq!(answer, expected, "{name}");
    }
}

/// I04, U11: after a change of authorities, neither an open connection nor a resumed session keeps the old trust.
#[test]
fn new_certificates_and_authorities_are_taken_while_it_runs() {
    let (servers, clients, successors) = (Authority::new("servers"), Authority::new("clients"), Authority::new("new"));
    let house = tls_house(&servers, &clients);
    let running = house.start();
    let address = https(&running);
    let alice = clients.leaf(&Leaf::with_uri("spiffe://example/alice"));
    let keep = |body: &str| String::from_utf8(request(body)).unwrap().replace("Connection: close\r\n", "").into_bytes();
    let ask = |tls: &mut Tls| {
        let _ = tls.write_all(&keep("Action=GetCallerIdentity&Version=2015-04-01"));
        told(tls.answer())
    };
    let mut open = Tls::connect(&address, &servers, Some(&alice)).unwrap();
    let resumable = open.client();
    assert_eq!(ask(&mut open), "200 acs:ram::1234567890123456:user/alice");
    // Another server certificate alone: the client's stays good, on the open connection too.
    let renewed = servers.leaf(&Leaf { years: (2020, 2080), ..Leaf::server() });
    let reloads = |result: &str| running.metric(&format!("keyward_tls_reloads_total{{result=\"{result}\"}}"));
    house.write("config/tls/server.pem", &renewed.certificate);
    assert!(wait(|| reloads("refused") > 0.0), "a certificate without its key is refused");
    assert_eq!(
        told(talk(&mut Tls::connect(&address, &servers, Some(&alice)).unwrap(), &who_am_i())),
        "200 acs:ram::1234567890123456:user/alice"
    );
    assert!(running.page("/readyz").1.contains("does not fit"));
    house.write("config/tls/server.key", &renewed.key);
    assert!(wait(|| reloads("taken") > 0.0), "the pair is taken");
    assert_eq!(running.metric("keyward_tls_certificate_expires_seconds"), 3_471_292_800.0);
    assert_eq!(ask(&mut open), "200 acs:ram::1234567890123456:user/alice");
    // Another authority of clients: nobody of the old one is known any more.
    house.write("config/tls/clients.pem", &successors.certificate);
    assert!(wait(|| reloads("taken") > 1.0), "the authority is taken");
    assert_eq!(ask(&mut open), "400 IncompleteSignature");
    let resumed = Tls::resume(&address, resumable).map(|mut tls| talk(&mut tls, &who_am_i()));
    assert!(resumed.is_err() || resumed.is_ok_and(|(status, _)| status != 200));
    let heir = successors.leaf(&Leaf::with_uri("spiffe://example/alice"));
    let mut fresh = Tls::connect(&address, &servers, Some(&heir)).unwrap();
    assert_eq!(told(talk(&mut fresh, &who_am_i())), "200 acs:ram::1234567890123456:user/alice");
}

#[test]
fn a_door_can_ask_for_a_certificate_of_everybody_and_old_tls_is_refused() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let house = tls_house(&servers, &clients);
    house.edit("config/keyward.toml", "require_client_certificate = false", "require_client_certificate = true");
    let running = house.start();
    let address = https(&running);
    let signed = request(&signed_v1(BOB, "GetCallerIdentity", &[]));
    let answer = Tls::connect(&address, &servers, None).map(|mut tls| talk(&mut tls, &signed).0);
    assert!(answer.is_err() || answer.is_ok_and(|status| status == 0));
    // Who is not certified any more may not stay, whatever it signs.
    let alice = clients.leaf(&Leaf::with_uri("spiffe://example/alice"));
    let mut open = Tls::connect(&address, &servers, Some(&alice)).unwrap();
    let kept = |body: &str| String::from_utf8(request(body)).unwrap().replace("Connection: close\r\n", "");
    open.write_all(kept(&signed_v1(ALICE, "GetCallerIdentity", &[])).as_bytes()).unwrap();
    assert_eq!(open.answer().0, 200);
    house.write("config/tls/clients.pem", &Authority::new("others").certificate);
    assert!(wait(|| running.metric("keyward_tls_reloads_total{result=\"taken\"}") > 0.0));
    assert_eq!(talk(&mut open, &request(&signed_v1(ALICE, "GetCallerIdentity", &[]))).0, 0);
    assert!(running.metric("keyward_connections_failed_total{reason=\"tls\"}") > 0.0);
    // A client that speaks TLS 1.1 at most is told so (alert 70, protocol_version), and a plain one gets no HTTP.
    let hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00\x00\x02\x00\x2f\x01\x00";
    let mut stream = tcp(&address);
    stream.write_all(hello).unwrap();
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert);
    assert!(alert.starts_with(b"\x15"), "{alert:?}");
    assert_eq!(talk(&mut tcp(&address), &who_am_i()).0, 0);
}

#[test]
fn tls_files_that_do_not_fit_keep_it_from_starting() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let house = tls_house(&servers, &clients);
    house.write("config/tls/server.key", &servers.leaf(&Leaf::server()).key);
    house.write("config/tls/clients.pem", "nothing");
    house.edit("config/identities.toml", "KmsAuditor", "KmsAuditer");
    let (said, code) = house.start_in_vain();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("server.key: does not fit") && said.contains("KmsAuditer"), "{said}");
}

/// The user id of this process, and a door at a Unix socket.
fn socket_house(users: &str) -> (House, u32) {
    let house = House::new();
    let uid = std::fs::metadata(house.path("config")).unwrap().uid();
    house.edit("config/keyward.toml", "# socket = \"keyward.sock\"", "socket = \"../run/keyward.sock\"");
    let identities = "[accounts.1234567890123456.users.alice]\n";
    house.edit("config/identities.toml", identities, &format!("{identities}unix_users = [{users}]\n"));
    (house, uid)
}

/// I05: at the socket the operating system says who the process is.
#[test]
fn the_user_of_a_process_is_known_at_the_unix_socket() {
    let uid = std::fs::metadata(".").unwrap().uid();
    let (house, uid) = (socket_house(&uid.to_string()).0, uid);
    let mut running = house.start();
    let path = house.path("run/keyward.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let ask = |bytes: &[u8]| told(talk(&mut UnixStream::connect(&path).unwrap(), bytes));
    assert_eq!(ask(&who_am_i()), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(ask(&request(&signed_v1(ALICE, "GetCallerIdentity", &[]))), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(ask(&request(&signed_v1(BOB, "GetCallerIdentity", &[]))), "400 IncompleteSignature");
    let line = running.wait_for_audit_lines(3).remove(0);
    assert_eq!((line["peer"].as_str(), line["proof"].as_str()), (Some(&*format!("uid:{uid}")), Some("unix_peer")));
    running.signal("TERM");
    assert!(running.ended().success());
    assert!(!path.exists(), "the socket goes with its process");
}

/// Clients that connect and say nothing hold no place for long, and none at another door.
#[test]
fn idle_clients_do_not_shut_the_house() {
    let house = socket_house("4294967290").0;
    house.edit("config/keyward.toml", "connections = 1024", "connections = 4");
    house.edit("config/keyward.toml", "request_seconds = 10", "request_seconds = 1");
    let running = house.start();
    let idle: Vec<TcpStream> = (0..8).map(|_| tcp(&running.api)).collect();
    assert!(wait(|| running.metric("keyward_connections_refused_total") >= 4.0));
    let mut socket = UnixStream::connect(house.path("run/keyward.sock")).unwrap();
    assert_eq!(talk(&mut socket, &request(&signed_v1(BOB, "GetCallerIdentity", &[]))).0, 200);
    assert!(wait(|| talk(&mut tcp(&running.api), &request(&signed_v1(BOB, "GetCallerIdentity", &[]))).0 == 200));
    drop(idle);
}

#[test]
fn a_user_who_is_nobody_here_has_to_sign_and_a_killed_process_leaves_no_obstacle() {
    let (house, uid) = socket_house("4294967290");
    assert_ne!(uid, 4_294_967_290);
    let path = house.path("run/keyward.sock");
    let running = house.start();
    let (said, code) = house.start_in_vain();
    assert!(code == Some(2) && said.contains("in use by another process"), "{said}");
    running.kill();
    let _running = house.start();
    let ask = |bytes: &[u8]| told(talk(&mut UnixStream::connect(&path).unwrap(), bytes));
    assert_eq!(ask(&who_am_i()), "400 IncompleteSignature");
    assert_eq!(ask(&request(&signed_v1(BOB, "GetCallerIdentity", &[]))), "200 acs:ram::1234567890123456:user/bob");
}

/// I01, I02, H02: who is not trusted with a claim about its client is not believed, and counted.
#[test]
fn claims_of_origin_are_believed_of_trusted_proxies_only() {
    let condition = r#""Condition": {"IpAddress": {"acs:SourceIp": "203.0.113.9"}},"#;
    let orders = "policies/keys/key-exampleorders01.json";
    let statement = "\"Sid\": \"OrdersServiceUsesTheKey\",";
    let encrypt = || signed_v1(ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")]);
    let forwarded = "X-Forwarded-For: 203.0.113.9\r\n";
    for (trusted, proxied, headers, preface, expected, ignored) in [
        ("", "", forwarded, "", 403, 1.0),
        ("\"127.0.0.1\"", "", forwarded, "", 200, 0.0),
        ("\"127.0.0.1\"", "", "X-Real-IP: 203.0.113.9\r\nX-Keyward-Caller: root\r\n", "", 403, 0.0),
        ("", "\"127.0.0.0/8\"", "", "PROXY TCP4 203.0.113.9 127.0.0.1 4711 7480\r\n", 200, 0.0),
        ("", "\"127.0.0.0/8\"", "", "PROXY TCP4 203.0.113.8 127.0.0.1 4711 7480\r\n", 403, 0.0),
        ("", "\"127.0.0.0/8\"", forwarded, "PROXY TCP4 203.0.113.8 127.0.0.1 4711 7480\r\n", 403, 1.0),
        ("", "\"127.0.0.0/8\"", "", "", 0, 0.0),
        ("", "", "", "PROXY TCP4 203.0.113.9 127.0.0.1 4711 7480\r\n", 400, 0.0),
    ] {
        let house = House::new();
        house.edit(orders, statement, &format!("{statement} {condition}"));
        house.edit("config/keyward.toml", "trusted_proxies = []", &format!("trusted_proxies = [{trusted}]"));
        house.edit("config/keyward.toml", "proxy_protocol = []", &format!("proxy_protocol = [{proxied}]"));
        let running = house.start();
        let bytes = [preface.as_bytes(), &post(headers, &encrypt())].concat();
        let (status, body) = talk(&mut tcp(&running.api), &bytes);
        assert_eq!(status, expected, "{trusted} {proxied} {headers} {preface}: {body}");
        let count = running.metric("keyward_ignored_headers_total{header=\"x-forwarded-for\"}");
        assert_eq!(count, ignored, "{trusted} {proxied} {headers}");
    }
}

/// G05: a captured request is worth nothing, whichever way it comes back, and not after a restart either.
#[test]
fn a_request_that_was_captured_cannot_be_sent_again() {
    let house = House::new();
    let running = house.start();
    let captured = request(&signed_v1(ALICE, "GetCallerIdentity", &[]));
    let denied = request(&signed_v1(ALICE, "CreateKey", &[]));
    assert_eq!(told(talk(&mut tcp(&running.api), &captured)), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(told(talk(&mut tcp(&running.api), &captured)), "400 SignatureNonceUsed");
    assert_eq!(told(talk(&mut tcp(&running.api), &denied)), "403 Forbidden.NoPermission");
    assert_eq!(told(talk(&mut tcp(&running.api), &denied)), "400 SignatureNonceUsed");
    assert_eq!(running.metric("keyward_rejections_total{reason=\"replayed\"}"), 2.0);
    assert_eq!(running.metric("keyward_nonces"), 2.0);
    let signed_at = jiff::Timestamp::now().as_second();
    let later = request(&signed_v1(ALICE, "GetCallerIdentity", &[]));
    assert!(wait(|| jiff::Timestamp::now().as_second() > signed_at + 1));
    running.kill();
    let running = house.start();
    assert_eq!(told(talk(&mut tcp(&running.api), &later)), "400 InvalidTimeStamp.Expired");
    drop(running);
    house.edit("config/keyward.toml", "nonces = 1000000", "nonces = 0");
    let running = house.start();
    assert_eq!(told(talk(&mut tcp(&running.api), &later)), "200 acs:ram::1234567890123456:user/alice");
    assert_eq!(told(talk(&mut tcp(&running.api), &later)), "200 acs:ram::1234567890123456:user/alice");
}

/// G13: a key that is switched off or taken away is worth nothing from the next generation on, nor is its session's role.
#[test]
fn a_key_that_is_revoked_is_refused() {
    let house = House::new();
    let running = house.start();
    let ask = || told(talk(&mut tcp(&running.api), &request(&signed_v1(BOB, "GetCallerIdentity", &[]))));
    assert_eq!(ask(), "200 acs:ram::1234567890123456:user/bob");
    let key = format!("{{ id = \"{}\", secret = \"{}\"", BOB.id, BOB.secret);
    house.edit("config/identities.toml", &key, &format!("{key}, active = false"));
    running.wait_for_generation(2);
    assert_eq!(ask(), "403 Forbidden.AccessKey");
    house.edit("config/identities.toml", &format!("access_keys = [{key}, active = false }}]"), "");
    running.wait_for_generation(3);
    assert_eq!(ask(), "404 InvalidAccessKeyId.NotFound");
}

/// I07: a workload with vended credentials is judged as its role, and by nothing else.
#[test]
fn a_workload_fetches_its_credentials_and_needs_no_secret() {
    let house = House::new();
    for (setting, value) in [
        ("# role = \"acs:ram", "role = \"acs:ram"),
        ("# listen = \"127.0.0.1:7482\"", "listen = \"127.0.0.1:0\""),
        ("# token_file = ", "token_file = "),
    ] {
        house.edit("config/keyward.toml", setting, value);
    }
    let running = house.start();
    let text = running.written_with("/credentials");
    let address =
        text.split("  at http://").nth(1).and_then(|rest| rest.split("/credentials").next()).unwrap().to_owned();
    let token = house.read("config/credentials.token");
    let fetch = |path: &str, headers: &str| {
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Connection: close\r\n\r\n");
        talk(&mut tcp(&address), bytes.as_bytes())
    };
    let path = format!("/credentials/{}", token.trim_end());
    assert_eq!(fetch("/credentials/guess", "").0, 403);
    assert_eq!(fetch(&path, "X-Forwarded-For: 10.0.0.1\r\n").0, 403);
    let (status, credentials) = fetch(&path, "");
    assert_eq!(status, 200, "{path} {credentials}");
    let part = |name: &str| credentials[name].as_str().unwrap();
    let ask = |operation: &str, params: &[(&str, &str)]| {
        let body =
            signed_with_token(part("AccessKeyId"), part("AccessKeySecret"), part("SecurityToken"), operation, params);
        talk(&mut tcp(&running.api), &request(&body))
    };
    let arn = "200 acs:ram::1234567890123456:assumed-role/payroll-service/keyward";
    assert_eq!(told(ask("GetCallerIdentity", &[])), arn);
    assert_eq!(ask("Encrypt", &[("KeyId", "alias/payroll"), ("Plaintext", "aGVsbG8=")]).0, 200);
    assert_eq!(ask("GetSecretValue", &[("SecretName", "payroll/db-password")]).0, 200);
    assert_eq!(ask("Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")]).0, 403);
    // G15: nothing of it is written anywhere.
    let written = [running.everything_written(), running.page("/metrics").1, running.page("/readyz").1].join("\n");
    for secret in [token.trim_end(), part("AccessKeySecret"), part("SecurityToken")] {
        assert!(!written.contains(secret), "{secret} was written");
    }
    assert_eq!(running.metric("keyward_credentials_total{result=\"vended\"}"), 1.0);
    assert_eq!(running.metric("keyward_credentials_total{result=\"wrong_token\"}"), 1.0);
}
