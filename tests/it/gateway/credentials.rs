//! Credentials that requests are signed anew with: from each source, kept fresh, and never of anybody else's business. With
//! those that Keyward hands out itself, an application needs no secret at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::front::{ORDERS, PAYROLL, plain, ready};
use super::scripted::{Act, Recorded, Scripted, answer};
use crate::sandbox::{ALICE, House, KIM, exchange, post, signed_with_token, status_and_body, tcp, wait};

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8=");

/// A KMS that is content with everything.
fn kms() -> Scripted {
    let body = format!(r#"{{"KeyId":"{ORDERS}","KeyVersionId":"v","CiphertextBlob":"eA==","RequestId":"r"}}"#);
    Scripted::start(move |_, _| vec![Act::Send(answer(200, &body))])
}

/// A source that hands out credentials with numbers, each of which lives for so long; for as long as it `works`.
fn source(life: SignedDuration, works: Arc<AtomicBool>, handed_out: Arc<AtomicU64>) -> Scripted {
    Scripted::start(move |request, _| {
        if !works.load(Ordering::SeqCst) {
            return vec![Act::Send(answer(500, "out of order"))];
        }
        vec![Act::Send(answer(200, &told(request, life, &handed_out)))]
    })
}

/// What each kind of source answers.
fn told(request: &Recorded, life: SignedDuration, handed_out: &AtomicU64) -> String {
    if request.head.starts_with("PUT /latest/api/token") {
        return "METADATA-TOKEN".to_owned();
    }
    if request.head.starts_with("GET /latest/meta-data/ram/security-credentials/ ") {
        return "ecs-role".to_owned();
    }
    let number = handed_out.fetch_add(1, Ordering::SeqCst) + 1;
    let expires = (Timestamp::now() + life).strftime("%Y-%m-%dT%H:%M:%SZ");
    let members = format!(
        r#""AccessKeyId":"STS.N{number}","AccessKeySecret":"SECRET-CANARY-{number}","SecurityToken":"TOKEN-CANARY-{number}","Expiration":"{expires}""#
    );
    if request.head.contains("AssumeRoleWithOIDC") {
        return format!(r#"{{"RequestId":"r","Credentials":{{{members}}}}}"#);
    }
    format!(r#"{{"Code":"Success",{members}}}"#)
}

/// The settings of a source at this address.
fn settings_of(kind: &str, address: &str) -> String {
    let more = match kind {
        "ecs_ram_role" => format!("endpoint = \"http://{address}\""),
        "uri" => format!("uri = \"http://{address}/credentials/x\""),
        _ => format!(
            "role_arn = \"acs:ram::1234567890123456:role/rrsa\"\nprovider_arn = \"acs:ram::1234567890123456:oidc-provider/ack\"\n\
             token_file = \"oidc.token\"\nsts_endpoint = \"http://{address}\""
        ),
    };
    format!("source = \"{kind}\"\n{more}")
}

fn house(kms: &Scripted, kind: &str, source: &Scripted) -> House {
    let house = plain(&kms.address, &[]);
    let own = format!("source = \"access_key\"\nid = \"{}\"\nsecret_file = \"kim.secret\"", KIM.id);
    house.edit("config/keyward.toml", &own, &settings_of(kind, &source.address));
    house.write("config/oidc.token", "OIDC-TOKEN");
    house
}

/// Each source that fetches: what it gives signs, with its token; it is fetched again before it ends; when the source fails,
/// it is used to its end and no longer; and everything goes on when the source is back.
#[test]
fn every_source_is_kept_fresh() {
    for kind in ["ecs_ram_role", "uri", "oidc_role"] {
        let (works, handed_out) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (kms, source) = (kms(), source(SignedDuration::from_secs(4), works.clone(), handed_out.clone()));
        let house = house(&kms, kind, &source);
        let running = house.start();
        let call = || running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).status;
        assert!(wait(|| call() == 200), "{kind}");
        let signed_with = |number: u64| {
            let last = kms.requests().pop().unwrap();
            last.header("authorization").unwrap().contains(&format!("Credential=STS.N{number},"))
                && last.header("x-acs-security-token") == Some(&format!("TOKEN-CANARY-{number}"))
        };
        assert!(signed_with(1), "{kind}");
        assert!(wait(|| call() == 200 && signed_with(2)), "{kind}: not fetched again");
        works.store(false, Ordering::SeqCst);
        assert!(wait(|| call() == 503), "{kind}: used beyond its end");
        assert_eq!(running.metric("keyward_upstream_credential_seconds{of=\"keyward\"}"), -1.0);
        assert!(running.page("/readyz").1.contains("the credential of keyward cannot be fetched"), "{kind}");
        works.store(true, Ordering::SeqCst);
        assert!(wait(|| call() == 200), "{kind}: not again");
        assert!(running.metric("keyward_upstream_credential_seconds{of=\"keyward\"}") >= 0.0);
        assert!(running.metric("keyward_upstream_credential_fetches_total{result=\"failed\"}") > 0.0);
        let everything =
            [running.everything_written(), running.page("/metrics").1, running.status().to_string()].concat();
        for canary in ["CANARY", "METADATA-TOKEN", "OIDC-TOKEN"] {
            assert!(!everything.contains(canary), "{kind}: {canary} in {everything}");
        }
    }
}

/// What files and the environment hold; and callers whose requests are signed with credentials of their own.
#[test]
fn callers_can_have_credentials_of_their_own() {
    let kms = kms();
    let house = plain(&kms.address, &[]);
    house.write(
        "config/credentials.ini",
        "[payroll]\ntype = access_key\naccess_key_id = LTAIPayroll\naccess_key_secret = s\n",
    );
    house.edit(
        "config/keyward.toml",
        "[limits]\n",
        "[[upstream.callers]]\narn = \"acs:ram::1234567890123456:user/alice\"\n\
         credentials = { source = \"credentials_file\", file = \"credentials.ini\", profile = \"payroll\" }\n\n[limits]\n",
    );
    let running = house.start();
    assert!(wait(|| running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).status == 200));
    assert!(kms.requests().pop().unwrap().header("authorization").unwrap().contains("Credential=LTAIPayroll,"));
    running.call(KIM, "ListKeys", &[]).ok();
    assert!(kms.requests().pop().unwrap().header("authorization").unwrap().contains(KIM.id));
    // The caller's identity decides, whoever signs.
    running.call(ALICE, "Encrypt", &[("KeyId", PAYROLL), HELLO]).refused(403, "Forbidden.NoPermission");
}

/// A key that does not expire has no number; and what nobody can sign is counted, and said.
#[test]
fn credentials_are_measured() {
    let kms = kms();
    let house = plain(&kms.address, &[]);
    let running = house.start();
    ready(&running);
    assert!(!running.page("/metrics").1.contains("keyward_upstream_credential_seconds{"));
    drop(running);
    house.edit("config/keyward.toml", "secret_file = \"kim.secret\"", "secret_file = \"none.secret\"");
    let running = house.start();
    assert!(wait(|| running.metric("keyward_upstream_credential_fetches_total{result=\"failed\"}") > 0.0));
    assert_eq!(running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).status, 503);
    assert!(running.metric("keyward_upstream_errors_total{kind=\"no_credentials\"}") > 0.0);
    assert!(running.metric("keyward_upstream_credential_seconds{of=\"keyward\"}") < 0.0);
    let written = running.everything_written();
    let line = written.lines().find(|line| line.contains("there is no credential")).unwrap();
    for part in ["whose=\"keyward\"", "source=\"access_key\"", "none.secret is not there", "next="] {
        assert!(line.contains(part), "{line}");
    }
}

/// An application that knows no secret: Keyward hands it a session of its role, judges what it asks, and signs with a
/// credential of its own, which is a session of the instance's role.
#[test]
fn an_application_needs_no_secret() {
    let (works, handed_out) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let (kms, source) = (kms(), source(SignedDuration::from_hours(1), works, handed_out));
    let house = house(&kms, "ecs_ram_role", &source);
    house.edit(
        "config/keyward.toml",
        "[limits]\n",
        "[credentials]\nrole = \"acs:ram::1234567890123456:role/payroll-service\"\nlisten = \"127.0.0.1:0\"\n\
         token_file = \"credentials.token\"\n\n[limits]\n",
    );
    let running = house.start();
    let text = running.everything_written();
    let line = text.lines().find(|line| line.trim_start().starts_with("vends")).unwrap();
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let token = house.read("config/credentials.token");
    let request = format!("GET /credentials/{} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", token.trim());
    let (status, vended) = status_and_body(&exchange(&mut tcp(address), request.as_bytes()));
    assert_eq!((status, vended["Code"].as_str()), (200, Some("Success")));
    let part = |name: &str| vended[name].as_str().unwrap().to_owned();
    let ask = |operation: &str, params: &[(&str, &str)]| -> (u16, Value) {
        let (id, secret, token) = (part("AccessKeyId"), part("AccessKeySecret"), part("SecurityToken"));
        let body = signed_with_token(&id, &secret, &token, operation, params);
        status_and_body(&exchange(&mut tcp(&running.api), &post("", &body)))
    };
    let (status, body) = ask("Encrypt", &[("KeyId", PAYROLL), HELLO]);
    assert_eq!(status, 403, "what is answered is of another key: {body}");
    let (status, body) = ask("GetSecretValue", &[("SecretName", "payroll/db-password")]);
    assert_eq!(status, 200, "{body}");
    assert_eq!(ask("GetSecretValue", &[("SecretName", "orders/db-password")]).0, 403);
    let last = kms.requests().pop().unwrap();
    assert!(last.header("authorization").unwrap().contains("Credential=STS.N1,"));
    assert_eq!(last.parameter("SecretName").as_deref(), Some("payroll/db-password"));
    let line = running.audit().into_iter().find(|line| line["operation"] == "GetSecretValue").unwrap();
    assert_eq!(line["caller"].as_str(), Some("acs:ram::1234567890123456:assumed-role/payroll-service/keyward"));
}

/// U10: until there is something to sign with, it is not ready; and a file that changed is read when somebody says so.
#[test]
fn whoever_cannot_sign_is_not_ready_and_new_keys_are_taken_on_demand() {
    let kms = kms();
    let house = plain(&kms.address, &[]);
    let secret = house.read("config/kim.secret");
    std::fs::remove_file(house.path("config/kim.secret")).unwrap();
    let running = house.start();
    let (status, told) = running.page("/readyz");
    assert_eq!((status, told.contains("no_credentials")), (503, true), "{told}");
    let call = || running.call(ALICE, "Encrypt", &[("KeyId", ORDERS), HELLO]).status;
    assert_eq!(call(), 503);
    let write = |text: &str| {
        house.write("config/new.secret", text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(house.path("config/new.secret"), mode).unwrap();
        std::fs::rename(house.path("config/new.secret"), house.path("config/kim.secret")).unwrap();
    };
    write(&secret);
    running.reload("");
    assert!(wait(|| running.page("/readyz").0 == 200));
    assert_eq!(call(), 200);
    let fetched = || running.metric("keyward_upstream_credential_fetches_total{result=\"fetched\"}");
    let before = fetched();
    write("another-secret");
    running.signal("HUP");
    // It is read every minute anyway, but nobody waits so long.
    assert!(wait(|| fetched() > before));
}
