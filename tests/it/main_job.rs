//! The main job over real sockets: allowed requests are executed, forbidden ones refused, and a policy edited on disk
//! changes the next answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::sandbox::{ALICE, BOB, CAROL, House, KIM, ROOT, Running};

const ORDERS: &str = "policies/keys/key-exampleorders01.json";

fn encrypt(house: &Running<'_>, key: &str) -> String {
    let reply = house.call(KIM, "Encrypt", &[("KeyId", key), ("Plaintext", "aGVsbG8=")]);
    reply.ok()["CiphertextBlob"].as_str().unwrap().to_owned()
}

/// Who asks for what on which of the example's resources, and the code of the answer (`OK` when it is executed).
#[test]
fn the_example_policies_do_what_the_readme_says() {
    let house = House::new();
    let running = house.start();
    let (orders, payroll) = (encrypt(&running, "alias/orders"), encrypt(&running, "alias/payroll"));
    let arn = "acs:kms:cn-hangzhou:1234567890123456:key/key-exampleorders01";
    let plaintext = ("Plaintext", "aGVsbG8=");
    for (who, caller, operation, params, code) in [
        ("alice", ALICE, "Encrypt", vec![("KeyId", "alias/orders"), plaintext], "OK"),
        ("alice", ALICE, "Encrypt", vec![("KeyId", "key-exampleorders01"), plaintext], "OK"),
        ("alice", ALICE, "Encrypt", vec![("KeyId", arn), plaintext], "OK"),
        ("alice", ALICE, "Encrypt", vec![("KeyId", "alias/payroll"), plaintext], "Forbidden.NoPermission"),
        ("alice", ALICE, "Encrypt", vec![("KeyId", "alias/nothing"), plaintext], "Forbidden.NoPermission"),
        ("alice", ALICE, "Decrypt", vec![("CiphertextBlob", orders.as_str())], "OK"),
        ("alice", ALICE, "Decrypt", vec![("CiphertextBlob", payroll.as_str())], "Forbidden.NoPermission"),
        ("alice", ALICE, "DisableKey", vec![("KeyId", "key-exampleorders01")], "Forbidden.NoPermission"),
        ("alice", ALICE, "GetSecretValue", vec![("SecretName", "orders/db-password")], "OK"),
        ("alice", ALICE, "GetSecretValue", vec![("SecretName", "payroll/db-password")], "Forbidden.NoPermission"),
        ("alice", ALICE, "ListKeys", vec![], "OK"),
        ("alice", ALICE, "CreateKey", vec![], "Forbidden.NoPermission"),
        ("bob", BOB, "DescribeKey", vec![("KeyId", "alias/payroll")], "OK"),
        ("bob", BOB, "GetSecretValue", vec![("SecretName", "orders/db-password")], "Forbidden.NoPermission"),
        ("bob", BOB, "Decrypt", vec![("CiphertextBlob", orders.as_str())], "Forbidden.NoPermission"),
        ("carol", CAROL, "Encrypt", vec![("KeyId", arn), plaintext], "OK"),
        ("carol", CAROL, "Encrypt", vec![("KeyId", "key-exampleorders01"), plaintext], "Forbidden.NoPermission"),
        ("carol", CAROL, "Decrypt", vec![("CiphertextBlob", orders.as_str())], "Forbidden.NoPermission"),
        ("kim", KIM, "Encrypt", vec![("KeyId", "alias/nothing"), plaintext], "Forbidden.AliasNotFound"),
        ("root", ROOT, "Decrypt", vec![("CiphertextBlob", payroll.as_str())], "OK"),
        ("bob", BOB, "DescribeRegions", vec![], "OK"),
        ("kim", KIM, "BrandNewOperation", vec![], "InvalidApi.NotFound"),
        ("bob", BOB, "BrandNewOperation", vec![], "Forbidden.NoPermission"),
    ] {
        let reply = running.call(caller, operation, &params);
        let found = reply.body["Code"].as_str().unwrap_or("OK");
        assert_eq!(found, code, "{who} {operation} {params:?}: {}", reply.body);
    }
}

#[test]
fn a_refusal_says_why() {
    let house = House::new();
    let running = house.start();
    let body = running.call(BOB, "GetSecretValue", &[("SecretName", "orders/db-password")]);
    let body = body.refused(403, "Forbidden.NoPermission");
    let detail = &body["AccessDeniedDetail"];
    assert_eq!(detail["NoPermissionType"], "ExplicitDeny");
    assert_eq!(detail["Policy"], "ram/KmsAuditor.json statement 2 (AuditorsNeverSeePlaintext)");
    assert_eq!(detail["AuthAction"], "kms:GetSecretValue");
    house.edit("config/keyward.toml", "explain_denials = true", "explain_denials = false");
    drop(running);
    let running = house.start();
    let reply = running.call(BOB, "GetSecretValue", &[("SecretName", "orders/db-password")]);
    assert_eq!(reply.refused(403, "Forbidden.NoPermission")["AccessDeniedDetail"], Value::Null);
}

#[test]
fn a_policy_edited_on_disk_changes_the_next_answer() {
    let house = House::new();
    let running = house.start();
    let ask = || running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")]);
    ask().ok();
    house.edit(ORDERS, "\"kms:Encrypt\", \"kms:Decrypt\"", "\"kms:Decrypt\"");
    running.wait_for_generation(2);
    ask().refused(403, "Forbidden.NoPermission");
    assert_eq!(running.metric("keyward_reloads_total{result=\"taken\"}"), 1.0);
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// While many requests run, every answer fits the old or the new policy; once the new generation is reported, only the
/// new one.
#[test]
fn a_reload_under_load_is_one_step() {
    let house = House::new();
    let running = house.start();
    let (reloaded, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        // Also when an assertion fails: the workers would run for ever.
        let stop = SetOnDrop(&done);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while !done.load(Ordering::SeqCst) {
                        let after = reloaded.load(Ordering::SeqCst);
                        let params = [("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")];
                        answers.push((after, running.call(ALICE, "Encrypt", &params).status));
                    }
                    answers
                })
            })
            .collect();
        let requests = "keyward_requests_total{decision=\"allow\",operation=\"Encrypt\",status=\"200\"}";
        assert!(crate::sandbox::wait(|| running.metric(requests) > 100.0), "alice is not served");
        house.edit(ORDERS, "user/alice", "user/nobody");
        running.wait_for_generation(2);
        reloaded.store(true, Ordering::SeqCst);
        let refused = "keyward_requests_total{decision=\"deny\",operation=\"Encrypt\",status=\"403\"}";
        let before = running.metric(refused);
        assert!(crate::sandbox::wait(|| running.metric(refused) > before + 100.0), "alice is not refused");
        drop(stop);
        let answers: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        assert!(answers.iter().all(|(_, status)| matches!(status, 200 | 403)));
        assert!(answers.iter().filter(|(after, _)| *after).all(|(_, status)| *status == 403));
        assert!(answers.iter().any(|(_, status)| *status == 200) && answers.iter().any(|(after, _)| *after));
    });
    let lines = running.audit();
    let fits = |line: &Value| (line["generation"] == json!(1)) == (line["decision"] == json!("allow"));
    let about_alice = lines.iter().filter(|line| line["operation"] == "Encrypt");
    assert!(about_alice.clone().count() > 200 && about_alice.clone().all(fits), "a line contradicts its generation");
}

#[test]
fn a_bad_edit_keeps_what_was_good_and_is_reported_everywhere() {
    let house = House::new();
    let running = house.start();
    let good = house.read(ORDERS);
    house.write(ORDERS, &good.replace("\"Effect\": \"Allow\"", "\"Efect\": \"Allow\""));
    assert!(crate::sandbox::wait(|| running.metric("keyward_invalid_files") == 1.0));
    running.call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")]).ok();
    let (status, ready) = running.page("/readyz");
    assert_eq!(status, 200);
    assert!(ready.contains("key-exampleorders01.json:") && ready.contains("did you mean `Effect`?"), "{ready}");
    assert!(running.everything_written().contains("unknown member `Efect`"));
    house.write(ORDERS, &good);
    assert!(crate::sandbox::wait(|| running.metric("keyward_invalid_files") == 0.0));
    assert_eq!(running.generation(), 1);
}

#[test]
fn a_policy_set_through_the_api_is_the_file_on_disk() {
    let house = House::new();
    let running = house.start();
    let policy = house.read(ORDERS).replace("user/alice", "user/bob");
    running
        .call(ALICE, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", &policy)])
        .refused(400, "Forbidden.NoPermission");
    running.call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", &policy)]).ok();
    assert_eq!(house.read(ORDERS), policy);
    running
        .call(ALICE, "Encrypt", &[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")])
        .refused(403, "Forbidden.NoPermission");
    let answer = running.call(KIM, "GetKeyPolicy", &[("KeyId", "key-exampleorders01")]).ok();
    assert_eq!(answer["Policy"], policy.as_str());
    running
        .call(KIM, "SetKeyPolicy", &[("KeyId", "key-exampleorders01"), ("Policy", "{}")])
        .refused(400, "InvalidParameter");
    assert_eq!(house.read(ORDERS), policy);
    let secret = [("SecretName", "payroll/db-password"), ("Policy", policy.as_str())];
    running.call(KIM, "SetSecretPolicy", &secret).ok();
    assert_eq!(house.read("policies/secrets/payroll%2Fdb-password.json"), policy);
}

/// The condition of alice's statement, the parameters of her request, and whether it is executed.
#[test]
fn conditions_look_at_the_real_request() {
    let house = House::new();
    let statement = "\"Sid\": \"OrdersServiceUsesTheKey\",";
    let original = house.read(ORDERS);
    let running = house.start();
    let context = ("EncryptionContext", r#"{"Department":"orders"}"#);
    for (condition, params, executed) in [
        (r#"{"IpAddress": {"acs:SourceIp": ["127.0.0.1"]}}"#, vec![], true),
        (r#"{"NotIpAddress": {"acs:SourceIp": ["127.0.0.0/8"]}}"#, vec![], false),
        (r#"{"Bool": {"acs:SecureTransport": "true"}}"#, vec![], false),
        (r#"{"DateGreaterThan": {"acs:CurrentTime": "2020-01-01T00:00:00Z"}}"#, vec![], true),
        (r#"{"DateLessThan": {"acs:CurrentTime": "2020-01-01T00:00:00Z"}}"#, vec![], false),
        (r#"{"StringEquals": {"kms:EncryptionContext:Department": "orders"}}"#, vec![context], true),
        (r#"{"StringEquals": {"kms:EncryptionContext:Department": "orders"}}"#, vec![], false),
        (r#"{"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}"#, vec![], true),
        (r#"{"StringLike": {"acs:PrincipalARN": "acs:ram::*:user/al*"}}"#, vec![], true),
        (r#"{"StringEquals": {"kms:tag/Project": "Apollo"}}"#, vec![], false),
        (r#"{"StringNotLike": {"acs:SourceVpc": "vpc-*"}}"#, vec![], true),
    ] {
        let generation = running.generation();
        let edited = original.replace(statement, &format!("{statement} \"Condition\": {condition},"));
        if edited != house.read(ORDERS) {
            house.write(ORDERS, &edited);
            running.wait_for_generation(generation + 1);
        }
        let all = [&[("KeyId", "alias/orders"), ("Plaintext", "aGVsbG8=")][..], &params].concat();
        let reply = running.call(ALICE, "Encrypt", &all);
        assert_eq!(reply.status == 200, executed, "{condition} {params:?}: {}", reply.body);
    }
}

/// The documented sample: use keys only where the tag Project is Apollo.
#[test]
fn tags_of_a_key_decide_who_may_use_it() {
    let house = House::new();
    let policy = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],
        "Resource":"acs:kms:*:*:key/*","Condition":{"StringEqualsIgnoreCase":{"kms:tag/Project":["Apollo"]}}}]}"#;
    house.write("policies/ram/KmsBrowse.json", policy);
    let running = house.start();
    let created = |tag: &str| {
        let tags = format!(r#"[{{"TagKey":"Project","TagValue":"{tag}"}}]"#);
        let key = running.call(KIM, "CreateKey", &[("Tags", &tags)]).ok();
        key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    };
    let (apollo, gemini) = (created("apollo"), created("Gemini"));
    running.call(ALICE, "Encrypt", &[("KeyId", &apollo), ("Plaintext", "aGVsbG8=")]).ok();
    running
        .call(ALICE, "Encrypt", &[("KeyId", &gemini), ("Plaintext", "aGVsbG8=")])
        .refused(403, "Forbidden.NoPermission");
}

#[test]
fn yesterdays_ciphertext_decrypts_after_a_kill() {
    let house = House::new();
    let running = house.start();
    let ciphertext = encrypt(&running, "alias/orders");
    let key = running.call(KIM, "CreateKey", &[("Description", "mine")]).ok();
    let key = key["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    running.kill();
    let running = house.start();
    let answer = running.call(ALICE, "Decrypt", &[("CiphertextBlob", &ciphertext)]).ok();
    assert_eq!(
        (answer["Plaintext"].as_str(), answer["KeyId"].as_str()),
        (Some("aGVsbG8="), Some("key-exampleorders01"))
    );
    assert_eq!(running.call(KIM, "DescribeKey", &[("KeyId", &key)]).ok()["KeyMetadata"]["Description"], "mine");
}

#[test]
fn the_command_line_client_needs_no_sdk() {
    let house = House::new();
    let running = house.start();
    let encrypt = ["Encrypt", "--as", "alice", "KeyId=alias/orders", "Plaintext=aGVsbG8="];
    let (text, code) = running.command(&encrypt);
    assert!(code == Some(0) && text.contains("CiphertextBlob"), "{text}");
    let (text, code) = running.command(&["GetSecretValue", "--as", "bob", "SecretName=orders/db-password"]);
    assert!(code == Some(1) && text.contains("\"Code\": \"Forbidden.NoPermission\""), "{text}");
    let (text, code) = running.command(&["DescribeKey", "--as", "bob", "KeyId=alias/orders", "--format", "xml"]);
    assert!(code == Some(0) && text.contains("<DescribeKeyResponse>"), "{text}");
    let policy = house.path(ORDERS);
    let from_file = format!("Policy=@{}", policy.display());
    let (text, code) = running.command(&["SetKeyPolicy", "--as", "kim", "KeyId=key-exampleorders01", &from_file]);
    assert_eq!(code, Some(0), "{text}");
    let (text, code) = running.command(&["Encrypt", "--as", "mallory"]);
    assert!(code == Some(2) && text.contains("nobody known as `mallory`"), "{text}");
}
