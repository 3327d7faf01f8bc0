//! Ways to forward: signed anew by Keyward or with the caller's key, or passed through; over TLS; and who answers the
//! operations on policies.

use serde_json::Value;

use super::front::{ACCOUNT, ORDERS, PAYROLL, front, plain};
use super::scripted::{Act, Scripted, answer};
use crate::doors::authority::{Authority, Leaf, Pair};
use crate::sandbox::{ALICE, BOB, Caller, House, KIM, Running, exchange, post, signed_v1, status_and_body, tcp};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");

/// A house with the embedded KMS behind TLS, with this certificate.
fn behind(leaf: &Pair) -> House {
    let house = House::new();
    house.write("config/tls/server.pem", &leaf.certificate);
    house.write("config/tls/server.key", &leaf.key);
    for (setting, value) in [
        ("# tls = \"127.0.0.1:7443\"", "tls = \"127.0.0.1:0\""),
        ("# certificate = ", "certificate = "),
        ("# key = ", "key = "),
        ("notice_seconds = 1", "notice_seconds = 0"),
    ] {
        house.edit("config/keyward.toml", setting, value);
    }
    house
}

/// Where a Keyward listens for TLS.
fn tls_address(running: &Running<'_>) -> String {
    let text = running.everything_written();
    let address = text.split("https://").nth(1).and_then(|rest| rest.split_whitespace().next());
    address.expect("there is a TLS endpoint").to_owned()
}

/// A house in front of a KMS at this address, whose certificate is of this authority and has the name `localhost`.
fn in_front(address: &str, authority: &Authority, changes: &[(&str, &str)]) -> House {
    let names = ("# server_name = \"…\"", "server_name = \"localhost\"");
    let ca = ("# ca = \"tls/kms-ca.pem\"", "ca = \"kms-ca.pem\"");
    let house = front(&format!("https://{address}"), &[&[names, ca], changes].concat());
    house.write("config/kms-ca.pem", &authority.certificate);
    house
}

const BY_CALLER: (&str, &str) = ("sign_as = \"keyward\"", "sign_as = \"caller\"");
const PASS_THROUGH: [(&str, &str); 2] =
    [("mode = \"re-sign\"", "mode = \"pass-through\""), ("sign_as = \"keyward\"", "")];

/// Two Keywards in a row, in each mode: what is allowed goes through and back, and the one behind sees who signed.
#[test]
fn two_keywards_in_a_row() {
    let authority = Authority::new("kms");
    let (behind, pass_through) = (behind(&authority.leaf(&Leaf::server())), PASS_THROUGH);
    let kms = behind.start();
    for (changes, signed_by) in [(&[][..], "user/kim"), (&[BY_CALLER], "user/alice"), (&pass_through, "user/alice")] {
        let house = in_front(&tls_address(&kms), &authority, changes);
        let running = house.start();
        let before = kms.audit().len();
        let encrypted = running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), HELLO]).ok();
        let blob = encrypted["CiphertextBlob"].as_str().unwrap();
        assert_eq!(running.call(ALICE, "Decrypt", &[("CiphertextBlob", blob)]).ok()["Plaintext"], "aGVsbG8=");
        running.call(BOB, "Decrypt", &[("CiphertextBlob", blob)]).refused(403, "Forbidden.NoPermission");
        running.call(ALICE, "Encrypt", &[("KeyId", PAYROLL), HELLO]).refused(403, "Forbidden.NoPermission");
        let seen = kms.wait_for_audit_lines(before + 2);
        let callers: Vec<&str> = seen[before..]
            .iter()
            .filter(|line| matches!(line["operation"].as_str(), Some("Encrypt" | "Decrypt")))
            .map(|line| line["caller"].as_str().unwrap())
            .collect();
        let expected = format!("acs:ram::{ACCOUNT}:{signed_by}");
        assert_eq!(callers, [&*expected, &*expected], "{changes:?}");
        // What the front tells of a request is what the one behind called it.
        let lines = running.wait_for_audit_lines(4);
        let told: Vec<&str> = lines.iter().filter_map(|line| line["upstream_request_id"].as_str()).collect();
        assert!(told.iter().all(|id| seen.iter().any(|line| line["request_id"] == **id)), "{told:?}");
    }
}

/// H04, H05: only a certificate of the configured authority with the configured name will do.
#[test]
fn a_kms_that_cannot_be_verified_is_not_asked() {
    let (right, wrong) = (Authority::new("kms"), Authority::new("kms"));
    let named = |name| Leaf { dns: Some(name), is_server: true, ..Leaf::default() };
    let expired = Leaf { years: (2000, 2001), ..Leaf::server() };
    for (name, leaf, is_taken) in [
        ("good", right.leaf(&Leaf::server()), true),
        ("of another authority", wrong.leaf(&Leaf::server()), false),
        ("with another name", right.leaf(&named("kms.example")), false),
        ("expired", right.leaf(&expired), false),
        ("of a client", right.leaf(&Leaf::with_dns("localhost")), false),
        ("the authority itself", right.itself(), false),
    ] {
        let behind = behind(&leaf);
        let kms = behind.start();
        let house = in_front(&tls_address(&kms), &right, &[]);
        let running = house.start();
        let reply = running.call(KIM, "ListKeys", &[]);
        assert_eq!(reply.status, if is_taken { 200 } else { 503 }, "{name}: {}", reply.body);
        assert_eq!(running.metric("keyward_upstream_errors_total{kind=\"tls\"}") > 0.0, !is_taken, "{name}");
        assert_eq!(kms.audit().len(), usize::from(is_taken), "{name}");
    }
    // No TLS at all, and TLS that is too old: the alert of a server that speaks 1.0 at most.
    for script in [answer(200, "{}"), b"\x15\x03\x01\x00\x02\x02\x46".to_vec()] {
        let kms = Scripted::start(move |_, _| vec![Act::Send(script.clone()), Act::Close]);
        let house = in_front(&kms.address, &right, &[("connect_ms = 2000", "connect_ms = 500")]);
        let running = house.start();
        running.call(KIM, "ListKeys", &[]).refused(503, "ServiceUnavailableTemporary");
        assert!(!String::from_utf8_lossy(&kms.bytes()).contains("ListKeys"));
    }
}

/// Sends a V3 request of a caller with this Host, and this target.
fn send_v3(running: &Running<'_>, caller: Caller, host: &str, target: &str, params: &[(&str, &str)]) -> (u16, Value) {
    let signer = keyward::authn::Signer {
        access_key_id: caller.id,
        secret: &caller.secret.into(),
        security_token: None,
        timestamp: &jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        nonce: &uuid::Uuid::new_v4().to_string(),
    };
    let request = signer.acs("Encrypt", &params.iter().copied().collect(), host);
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = request.body.len();
    let text = format!(
        "POST {target} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{}",
        request.body
    );
    status_and_body(&exchange(&mut tcp(&running.api), text.as_bytes()))
}

/// What is passed through arrives with the client's own signature and bytes; what could not be verified there is refused.
#[test]
fn what_is_passed_through_is_the_clients() {
    let encrypted = format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"v","CiphertextBlob":"eA==","RequestId":"r"}}"#);
    let kms = Scripted::start(move |_, _| vec![Act::Send(answer(200, &encrypted))]);
    let named = ("# also_named = [\"kms.internal\"]", "also_named = [\"kms.cn-hangzhou.aliyuncs.com\"]");
    let house = plain(&kms.address, &[&PASS_THROUGH[..], &[named]].concat());
    let running = house.start();
    let body = signed_v1(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]);
    let request = post("X-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nx-acs-action: encrypt\r\n", &body);
    assert_eq!(status_and_body(&exchange(&mut tcp(&running.api), &request)).0, 200);
    let query = signed_get(ALICE, &[("KeyId", ORDERS), HELLO]);
    let request = format!("GET /?{query} HTTP/1.1\r\nHost: x\r\nUser-Agent: sdk\r\nConnection: close\r\n\r\n");
    assert_eq!(status_and_body(&exchange(&mut tcp(&running.api), request.as_bytes())).0, 200);
    let [first, second] = &kms.requests()[..] else { panic!("{:?}", kms.requests()) };
    assert_eq!((first.body.as_str(), first.header("host")), (body.as_str(), Some(&*kms.address)));
    for absent in ["x-forwarded-for", "cookie", "x-acs-action"] {
        assert_eq!(first.header(absent), None, "{absent}");
    }
    assert_eq!(
        (second.head.lines().next().unwrap(), second.header("user-agent")),
        (&*format!("GET /?{query} HTTP/1.1"), Some("sdk"))
    );
    // V3 signs the Host: it must be a name that KMS has.
    let real = "kms.cn-hangzhou.aliyuncs.com";
    let params = [("KeyId", ORDERS), HELLO];
    assert_eq!(send_v3(&running, ALICE, real, "/", &params).0, 200);
    assert_eq!(send_v3(&running, ALICE, real, &format!("http://{real}/"), &params).0, 200, "through HTTP_PROXY");
    let (status, body) = send_v3(&running, ALICE, &running.api.clone(), "/", &params);
    assert_eq!((status, body["Code"].as_str()), (400, Some("IncompleteSignature")), "{body}");
    assert!(body["Message"].as_str().unwrap().contains("so it must be for"), "{body}");
    let last = kms.requests().pop().unwrap();
    assert_eq!((last.header("host"), last.head.lines().next()), (Some(real), Some("POST / HTTP/1.1")));
    assert!(last.header("authorization").unwrap().contains(ALICE.id));
    assert_eq!(kms.requests().len(), 4);
    // An alias is read again there.
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/orders")]).refused(403, "Forbidden.NoPermission");
}

/// The query of a request of V1 with GET.
fn signed_get(caller: Caller, params: &[(&str, &str)]) -> String {
    use keyward::kms::{Params, percent_encode};
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let nonce = uuid::Uuid::new_v4().to_string();
    let public = [
        ("Action", "Encrypt"),
        ("Version", "2016-01-20"),
        ("AccessKeyId", caller.id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", nonce.as_str()),
        ("Timestamp", time.as_str()),
    ];
    let all: Params = public.iter().chain(params).copied().collect();
    let signature = keyward::authn::rpc_signature(&caller.secret.into(), "GET", &all);
    format!("{}&Signature={}", all.canonical(), percent_encode(&signature))
}

/// Signatures left to KMS: an access key needs no secret here, and nothing is answered here in its name.
#[test]
fn signatures_can_be_left_to_kms() {
    let encrypted = format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"v","CiphertextBlob":"eA==","RequestId":"r"}}"#);
    let kms = Scripted::start(move |_, _| vec![Act::Send(answer(200, &encrypted))]);
    let trust = ("[limits]", "[signatures]\ntrust_upstream = true\n\n[limits]");
    let house = plain(&kms.address, &[&PASS_THROUGH[..], &[trust]].concat());
    house.edit("config/identities.toml", "secret = \"keyward-example-secret-alice\"", "no_secret = true");
    let running = house.start();
    let forged = Caller { id: ALICE.id, secret: "nobody knows" };
    running.call(forged, "Encrypt", &[("KeyId", ORDERS), HELLO]).ok();
    running.call(forged, "Encrypt", &[("KeyId", PAYROLL), HELLO]).refused(403, "Forbidden.NoPermission");
    for operation in ["GetCallerIdentity", "GetKeyPolicy"] {
        let reply = running.call(forged, operation, &[("KeyId", ORDERS)]);
        assert!(reply.status >= 400, "{operation}: {}", reply.body);
    }
    assert_eq!(kms.requests().len(), 1);
    let line = running.wait_for_audit_lines(1).remove(0);
    assert_eq!(line["proof"].as_str(), Some("upstream"));
    // Without that, nobody can verify the key.
    let house = plain(&kms.address, &PASS_THROUGH);
    house.edit("config/identities.toml", "secret = \"keyward-example-secret-alice\"", "no_secret = true");
    let running = house.start();
    running.call(ALICE, "ListKeys", &[]).refused(400, "InvalidSignatureMethod");
    // Signing anew what nobody verified is refused at the start.
    let house = plain(&kms.address, &[trust]);
    assert!(house.start_in_vain().0.contains("nobody verifies what Keyward signs anew"));
}

/// Policies are answered from what is enforced here; or KMS's own, which can be enforced here, too.
#[test]
fn policies_are_served_forwarded_or_mirrored() {
    let policy = |house: &House| house.read("policies/keys/key-exampleorders01.json");
    let key = ("KeyId", ORDERS);
    for (mode, arrives, is_written) in [("served", 0, true), ("forwarded", 1, false), ("mirrored", 1, true)] {
        let kms = Scripted::always(r#"{"RequestId":"r"}"#);
        let house =
            plain(&kms.address, &[("policy_operations = \"served\"", &format!("policy_operations = \"{mode}\""))]);
        let running = house.start();
        let new = policy(&house).replace("OrdersServiceUsesTheKey", "Renamed");
        running.call(KIM, "SetKeyPolicy", &[key, ("Policy", &new)]).ok();
        assert_eq!((kms.count("SetKeyPolicy"), policy(&house) == new), (arrives, is_written), "{mode}");
        assert_eq!(running.generation(), if is_written { 2 } else { 1 }, "{mode}");
        let line = running.wait_for_audit_lines(1).remove(0);
        assert_eq!(line["policy_changes"].as_array().is_some_and(|changes| changes.len() == 1), is_written, "{mode}");
        let reply = running.call(KIM, "GetKeyPolicy", &[key]).ok();
        assert_eq!(reply["Policy"].as_str().is_some_and(|text| text == new), mode == "served", "{mode}: {reply}");
        running.call(ALICE, "SetKeyPolicy", &[key, ("Policy", &new)]).refused(400, "Forbidden.NoPermission");
        if mode != "forwarded" {
            running.call(KIM, "SetKeyPolicy", &[key, ("Policy", "{}")]).refused(400, "InvalidParameter");
            assert_eq!(kms.count("SetKeyPolicy"), arrives, "{mode}: what could not be enforced is not set");
        }
    }
    // What KMS refuses is not enforced here.
    let kms = Scripted::start(|_, _| {
        vec![Act::Send(answer(400, r#"{"Code":"InvalidParameter","Message":"m","RequestId":"r"}"#))]
    });
    let house = plain(&kms.address, &[("policy_operations = \"served\"", "policy_operations = \"mirrored\"")]);
    let running = house.start();
    let new = policy(&house).replace("OrdersServiceUsesTheKey", "Renamed");
    running.call(KIM, "SetKeyPolicy", &[key, ("Policy", &new)]).refused(400, "InvalidParameter");
    assert_ne!(policy(&house), new);
    // What cannot be written here is not even sent.
    let kms = Scripted::always(r#"{"RequestId":"r"}"#);
    let house = plain(&kms.address, &[("policy_operations = \"served\"", "policy_operations = \"mirrored\"")]);
    let running = house.start();
    house.write("policies/keys/key-exampleorders01.json", "{ somebody is editing");
    running.call(KIM, "SetKeyPolicy", &[key, ("Policy", &new)]).refused(409, "Rejected.PolicyConflict");
    assert_eq!(kms.count("SetKeyPolicy"), 0);
}

/// A request that its connection proves, and nobody signed, is signed by Keyward or cannot go on.
#[test]
fn unsigned_requests_of_known_connections_are_signed_anew() {
    let encrypted = format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"v","CiphertextBlob":"eA==","RequestId":"r"}}"#);
    let kms = Scripted::start(move |_, _| vec![Act::Send(answer(200, &encrypted))]);
    let listen = ("[kms]\nregion", "socket = \"keyward.sock\"\n\n[kms]\nregion");
    let unsigned = format!("Action=Encrypt&Version=2016-01-20&Format=JSON&KeyId={ORDERS}&Plaintext=aGVsbG8%3D");
    for (changes, status) in
        [(&[listen][..], 200), (&[listen, BY_CALLER], 200), (&[&[listen], &PASS_THROUGH[..]].concat(), 400)]
    {
        let house = plain(&kms.address, changes);
        let uid =
            std::fs::metadata(house.path(".")).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata)).unwrap();
        let alice = "[accounts.1234567890123456.users.alice]\n";
        house.edit("config/identities.toml", alice, &format!("{alice}unix_users = [{uid}]\n"));
        let running = house.start();
        let mut stream = std::os::unix::net::UnixStream::connect(house.path("config/keyward.sock")).unwrap();
        let (found, body) = status_and_body(&exchange(&mut stream, &post("", &unsigned)));
        assert_eq!(found, status, "{changes:?}: {body}");
        drop(running);
    }
    let signed_with: Vec<bool> =
        kms.requests().iter().map(|request| request.header("authorization").unwrap().contains(KIM.id)).collect();
    assert_eq!(signed_with, [true, false], "with Keyward's key, and then with alice's own");
}
