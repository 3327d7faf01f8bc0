//! Names that are known by hearsay, where somebody lies about them or they change: nobody is let in by a claim, and nobody is
//! kept out by something that was true before.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::front::{ORDERS, PAYROLL, plain};
use super::scripted::{Act, Recorded, Scripted, answer, answer_with};
use crate::sandbox::{ALICE, CAROL, Caller, House, KIM, Reply, Running};

const HERE: &str = "1234567890123456";
const PARTNER: &str = "6543210987654321";
const OF_PARTNER: &str = "key-partner01";

/// A KMS that says what is true, and remembers it.
#[derive(Clone)]
struct World(Arc<Mutex<Truth>>);

struct Truth {
    /// Key → its account.
    owners: BTreeMap<&'static str, &'static str>,
    /// Alias of the first account → its key.
    aliases: BTreeMap<String, &'static str>,
    /// Secret of the first account → its key.
    secrets: BTreeMap<String, &'static str>,
    /// What an operation is answered instead.
    instead: BTreeMap<&'static str, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Truth {
            owners: [(ORDERS, HERE), (PAYROLL, HERE), ("key-unlisted01", HERE), (OF_PARTNER, PARTNER)].into(),
            aliases: [("alias/orders".to_owned(), ORDERS), ("alias/payroll".to_owned(), PAYROLL)].into(),
            secrets: [("orders/db-password".to_owned(), ORDERS)].into(),
            instead: BTreeMap::new(),
        })))
    }

    fn start(&self) -> Scripted {
        let world = self.clone();
        Scripted::start(move |request, _| vec![Act::Send(world.0.lock().unwrap().answer(request))])
    }

    fn change(&self, change: impl FnOnce(&mut Truth)) {
        change(&mut self.0.lock().unwrap());
    }
}

fn fails(status: u16, code: &str) -> Vec<u8> {
    answer(status, &json!({"Code": code, "Message": "m", "RequestId": "r"}).to_string())
}

/// The version of a key, and a ciphertext that it made.
fn version_of(key: &str) -> String {
    let number: u32 = key.bytes().map(u32::from).sum();
    format!("{number:08}-1111-1111-1111-111111111111")
}

fn blob(key: &str) -> String {
    keyward::kms::CiphertextBlob::new(&version_of(key), b"sealed").encode()
}

fn arn(account: &str, key: &str) -> String {
    format!("acs:kms:cn-hangzhou:{account}:key/{key}")
}

impl Truth {
    fn key_named(&self, name: &str) -> Option<&'static str> {
        let (account, name) = match name.strip_prefix("acs:kms:cn-hangzhou:").and_then(|rest| rest.split_once(':')) {
            Some((account, rest)) => (account, rest.strip_prefix("key/").unwrap_or(rest)),
            None => (HERE, name),
        };
        let aliased = self.aliases.get(name).copied();
        let (key, owner) = aliased.map_or_else(
            || self.owners.iter().find(|(key, _)| **key == name).map(|(key, owner)| (*key, *owner)),
            |key| Some((key, HERE)),
        )?;
        (owner == account).then_some(key)
    }

    fn answer(&mut self, request: &Recorded) -> Vec<u8> {
        let (operation, named) = (request.operation(), request.parameter("KeyId").unwrap_or_default());
        if let Some(instead) = self.instead.get(operation.as_str()) {
            return instead.clone();
        }
        let secret = request.parameter("SecretName").unwrap_or_default();
        let of_secret = self.secrets.get(&secret).copied();
        let body = match operation.as_str() {
            "DescribeKey" | "ListKeyVersions" | "ListResourceTags" => {
                let Some(key) = self.key_named(&named) else {
                    let code =
                        if named.contains("alias/") { "Forbidden.AliasNotFound" } else { "Forbidden.KeyNotFound" };
                    return fails(404, code);
                };
                let version = version_of(key);
                json!({
                    "KeyMetadata": {"KeyId": key, "Arn": arn(self.owners[key], key), "PrimaryKeyVersion": version},
                    "KeyVersions": {"KeyVersion": [{"KeyId": key, "KeyVersionId": version}]},
                    "Tags": {"Tag": [{"TagKey": "team", "TagValue": "orders"}]},
                })
            }
            "Decrypt" => {
                let sent = request.parameter("CiphertextBlob").unwrap();
                let key = self.owners.keys().find(|key| blob(key) == sent).unwrap();
                json!({"KeyId": key, "KeyVersionId": version_of(key), "Plaintext": "U0VDUkVU"})
            }
            "Encrypt" | "GenerateDataKey" => match self.key_named(&named) {
                Some(key) => json!({"KeyId": key, "KeyVersionId": version_of(key), "Plaintext": "U0VDUkVU"}),
                None => return fails(404, "Forbidden.KeyNotFound"),
            },
            "DescribeSecret" if of_secret.is_none() => return fails(404, "Forbidden.ResourceNotFound"),
            "DescribeSecret" => json!({
                "Arn": format!("acs:kms:cn-hangzhou:{HERE}:secret/{secret}"), "EncryptionKeyId": of_secret,
                "Tags": {"Tag": [{"TagKey": "class", "TagValue": "top"}]},
            }),
            "GetSecretValue" => json!({"SecretData": format!("under {}", of_secret.unwrap_or("none"))}),
            "CreateKey" => json!({"KeyMetadata": {"KeyId": "key-unlisted01", "Arn": arn(HERE, "key-unlisted01")}}),
            _ => json!({}),
        };
        let mut body = body;
        body["RequestId"] = "r".into();
        answer(200, &body.to_string())
    }
}

/// A front whose alice may do what these statements of RAM say, beside what the examples let her do.
fn front(kms: &Scripted, statements: &[Value], changes: &[(&str, &str)]) -> House {
    let house = plain(&kms.address, changes);
    if !statements.is_empty() {
        let policy = json!({"Version": "1", "Statement": statements});
        house.write("policies/ram/KmsBrowse.json", &policy.to_string());
    }
    house
}

fn statement(effect: &str, actions: &[&str], resource: &str) -> Value {
    json!({"Effect": effect, "Action": actions, "Resource": resource})
}

fn decrypt(running: &Running<'_>, caller: Caller, key: &str) -> Reply {
    running.call(caller, "Decrypt", &[("CiphertextBlob", &blob(key))])
}

fn sent(kms: &Scripted, operation: &str) -> Recorded {
    kms.requests().into_iter().rev().find(|request| request.operation() == operation).unwrap()
}

/// Whatever a request claims beside what it is judged by: whose a key is, and where an alias points, only KMS says.
#[test]
fn claims_teach_nothing() {
    let world = World::new();
    let kms = world.start();
    let house = front(&kms, &[], &[]);
    let own = json!({"Version": "1", "Statement": [statement("Allow", &["kms:*"], "acs:kms:*:6543210987654321:*")]});
    house.write("policies/accounts/6543210987654321/ram/UsePartnerKeys.json", &own.to_string());
    let running = house.start();
    // That a key of the first account is the partner's: by a parameter that nobody reads, and by a policy for it.
    decrypt(&running, CAROL, PAYROLL).refused(403, "Forbidden.NoPermission");
    for (operation, key) in [("DescribeRegions", PAYROLL), ("SetKeyPolicy", "key-unlisted01")] {
        let mine = arn(PARTNER, key);
        let policy = r#"{"Version":"1","Statement":[{"Sid":"Mine","Effect":"Allow","Principal":{"RAM":["acs:ram::6543210987654321:*"]},"Action":["kms:*"],"Resource":["*"]}]}"#;
        running.call(CAROL, operation, &[("KeyId", &mine), ("Policy", policy)]).ok();
        let refused = decrypt(&running, CAROL, key).refused(403, "Forbidden.NoPermission");
        assert!(!refused.to_string().contains("U0VDUkVU"), "{operation}");
        decrypt(&running, KIM, key).ok();
    }
    // That an alias points elsewhere: by a parameter beside a ciphertext.
    running.call(ALICE, "Decrypt", &[("CiphertextBlob", &blob(ORDERS)), ("KeyId", "alias/payroll")]).ok();
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).ok();
    assert_eq!(sent(&kms, "DeleteKeyMaterial").parameter("KeyId").as_deref(), Some(PAYROLL));
    running.call(ALICE, "GenerateDataKey", &[("KeyId", "alias/payroll")]).refused(403, "Forbidden.NoPermission");
    running.call(KIM, "GenerateDataKey", &[("KeyId", "alias/payroll")]).ok();
}

/// A key of another account that may be described to us is not ours for that.
#[test]
fn the_versions_of_a_foreign_key_are_foreign() {
    let world = World::new();
    let kms = world.start();
    let house = front(&kms, &[], &[]);
    let policy = json!({"Version": "1", "Statement": [{
        "Sid": "Partner", "Effect": "Allow", "Principal": {"RAM": [format!("acs:ram::{HERE}:user/kim")]},
        "Action": ["kms:ListKeyVersions"], "Resource": ["*"],
    }]});
    house.write("policies/accounts/6543210987654321/keys/key-partner01.json", &policy.to_string());
    let running = house.start();
    decrypt(&running, KIM, OF_PARTNER).refused(403, "Forbidden.NoPermission");
    running.call(KIM, "ListKeyVersions", &[("KeyId", &arn(PARTNER, OF_PARTNER))]).ok();
    decrypt(&running, KIM, OF_PARTNER).refused(403, "Forbidden.NoPermission");
    let line = running.wait_for_audit_lines(3).pop().unwrap();
    assert_eq!(line["permissions"][0]["resource"].as_str(), Some(arn(PARTNER, OF_PARTNER).as_str()));
}

/// In XML, a list of one cannot be told from something else: no tags are learned from it.
#[test]
fn tags_in_xml_are_not_believed() {
    let world = World::new();
    let xml = format!(
        "<R><Arn>acs:kms:cn-hangzhou:{HERE}:secret/orders/db-password</Arn><EncryptionKeyId>{ORDERS}</EncryptionKeyId>\
         <Tags><Tag><TagKey>class</TagKey><TagValue>top</TagValue></Tag></Tags></R>"
    );
    let as_xml = format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{xml}", xml.len());
    let kms = world.start();
    let deny = r#"{"Sid":"Top","Effect":"Deny","Principal":{"RAM":["acs:ram::1234567890123456:user/alice"]},"Action":["kms:GetSecretValue"],"Resource":["*"],"Condition":{"StringEquals":{"acs:ResourceTag/class":["top"]}}},"#;
    let house = front(&kms, &[], &[]);
    house.edit("policies/secrets/orders%2Fdb-password.json", "\"Statement\": [", &format!("\"Statement\": [{deny}"));
    let running = house.start();
    let value = || running.call(ALICE, "GetSecretValue", &[("SecretName", "orders/db-password")]);
    value().refused(403, "Forbidden.NoPermission");
    world.change(|truth| drop(truth.instead.insert("DescribeSecret", as_xml.into_bytes())));
    // What comes is no JSON.
    let described = [("SecretName", "orders/db-password"), ("FetchTags", "true")];
    assert!(running.try_call(ALICE, "DescribeSecret", &described).is_none());
    value().refused(403, "Forbidden.NoPermission");
    assert_eq!(kms.count("GetSecretValue"), 0);
}

/// What is made anew under an old name is another thing, and an answer from before says nothing of it.
#[test]
fn a_secret_that_is_made_anew_is_asked_for_anew() {
    let world = World::new();
    let (kms, asked, answered) = (world.clone(), Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let late = Arc::new(Mutex::new(Some((asked.clone(), answered.clone()))));
    let kms = Scripted::start(move |request, _| {
        let answer = kms.0.lock().unwrap().answer(request);
        if request.operation() == "DescribeSecret" && request.header("user-agent").is_some() {
            // The client's own question comes with its parameter.
            if request.parameter("FetchTags").as_deref() == Some("false")
                && let Some((asked, answered)) = late.lock().unwrap().take()
            {
                asked.wait();
                answered.wait();
            }
        }
        vec![Act::Send(answer)]
    });
    let read = ["kms:GetSecretValue", "kms:DescribeSecret"];
    let may = [statement("Allow", &read, "*"), statement("Allow", &["kms:Decrypt"], &arn(HERE, ORDERS))];
    let house = front(&kms, &may, &[]);
    let running = house.start();
    let value = || running.call(ALICE, "GetSecretValue", &[("SecretName", "orders/db-password")]);
    assert_eq!(value().ok()["SecretData"], format!("under {ORDERS}"));
    let describe = [("SecretName", "orders/db-password"), ("FetchTags", "false")];
    thread::scope(|scope| {
        let describing = scope.spawn(|| running.call(ALICE, "DescribeSecret", &describe));
        asked.wait();
        world.change(|truth| truth.secrets.extend([("orders/db-password".to_owned(), PAYROLL)]));
        let params = [("SecretName", "orders/db-password"), ("SecretData", "x"), ("EncryptionKeyId", PAYROLL)];
        running.call(KIM, "CreateSecret", &params).ok();
        answered.wait();
        describing.join().unwrap().ok();
    });
    let refused = value().refused(403, "Forbidden.NoPermission");
    assert!(!refused.to_string().contains("under"), "{refused}");
}

/// Who reads a secret is not refused because somebody else changes it all the time, or nobody knows whether he did.
#[test]
fn changes_keep_nobody_out() {
    let world = World::new();
    let kms = world.start();
    let may =
        [statement("Allow", &["kms:GetSecretValue"], "*"), statement("Allow", &["kms:Decrypt"], &arn(HERE, ORDERS))];
    let house = front(&kms, &may, &[]);
    let running = house.start();
    let value = || running.call(ALICE, "GetSecretValue", &[("SecretName", "orders/db-password")]).ok();
    let make = || running.call(KIM, "CreateSecret", &[("SecretName", "orders/db-password"), ("SecretData", "x")]);
    for _ in 0..100 {
        thread::scope(|scope| {
            scope.spawn(|| make().ok());
            value();
        });
    }
    world.change(|truth| drop(truth.instead.insert("CreateSecret", fails(500, "InternalFailure"))));
    make().refused(500, "InternalFailure");
    let asked = kms.count("DescribeSecret");
    let is_asked_again = || {
        value();
        kms.count("DescribeSecret") >= asked + 3
    };
    assert!(crate::sandbox::wait(is_asked_again), "nobody knows for long");
}

/// Tags are asked for anew when they change, and not when something else does.
#[test]
fn only_tagging_changes_tags() {
    let world = World::new();
    let kms = world.start();
    let mut tagged = statement("Allow", &["kms:Decrypt"], "*");
    tagged["Condition"] = json!({"StringEquals": {"kms:tag/team": ["orders"]}});
    let house = front(&kms, &[statement("Allow", &["kms:GetSecretValue"], "*"), tagged], &[]);
    world.change(|truth| truth.secrets.extend([("unlisted/s".to_owned(), "key-unlisted01")]));
    let running = house.start();
    let value = || running.call(ALICE, "GetSecretValue", &[("SecretName", "unlisted/s")]).ok();
    for number in ["1", "2", "3"] {
        value();
        let params = [("SecretName", "unlisted/s"), ("SecretData", "x"), ("VersionId", number)];
        running.call(KIM, "PutSecretValue", &params).ok();
    }
    assert_eq!(kms.count("ListResourceTags"), 1);
    running.call(KIM, "TagResource", &[("KeyId", "key-unlisted01"), ("Tags", "[]")]).ok();
    value();
    assert_eq!(kms.count("ListResourceTags"), 2);
}

/// Where an alias points is asked anew before something is changed by it, and before somebody is refused because of it.
#[test]
fn an_alias_that_moved_is_noticed_in_time() {
    let world = World::new();
    let kms = world.start();
    let may = [
        statement("Allow", &["kms:DeleteAlias", "kms:DeleteKeyMaterial"], "*"),
        statement("Allow", &["kms:DeleteAlias", "kms:GenerateDataKey"], &arn(HERE, ORDERS)),
    ];
    let house = front(&kms, &may, &[]);
    let running = house.start();
    let generate = |alias: &str| running.call(ALICE, "GenerateDataKey", &[("KeyId", alias)]);
    generate("alias/orders").ok();
    generate("alias/payroll").refused(403, "Forbidden.NoPermission");
    world.change(|truth| {
        truth.aliases.insert("alias/orders".to_owned(), PAYROLL);
        truth.aliases.insert("alias/payroll".to_owned(), ORDERS);
    });
    // The policy of payroll's key denies her everything.
    running.call(ALICE, "DeleteAlias", &[("AliasName", "alias/orders")]).refused(403, "Forbidden.NoPermission");
    assert_eq!(kms.count("DeleteAlias"), 0);
    let reply = generate("alias/payroll");
    if reply.status != 200 {
        panic!("{:#?} {:?}", running.audit(), kms.requests());
    }
    running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/payroll")]).ok();
    assert_eq!(sent(&kms, "DeleteKeyMaterial").parameter("KeyId").as_deref(), Some(ORDERS));
    // What is not there any more is said to be absent, to who may know.
    world.change(|truth| truth.aliases.retain(|alias, _| alias != "alias/payroll"));
    running.call(KIM, "DeleteAlias", &[("AliasName", "alias/payroll")]).refused(404, "Forbidden.AliasNotFound");
}

/// Nobody can be told that something does not exist because Keyward's own credentials are no good, or by whoever is not
/// proven to have asked.
#[test]
fn only_kms_says_that_something_is_absent() {
    for (code, told) in [
        ("Forbidden.AliasNotFound", (404, "Forbidden.AliasNotFound")),
        ("InvalidAccessKeyId.NotFound", (503, "ServiceUnavailableTemporary")),
        ("InvalidApi.NotFound", (403, "Forbidden.NoPermission")),
    ] {
        let world = World::new();
        world.change(|truth| drop(truth.instead.insert("DescribeKey", fails(404, code))));
        let kms = world.start();
        let house = front(&kms, &[], &[]);
        let running = house.start();
        running.call(KIM, "DeleteKeyMaterial", &[("KeyId", "alias/orders")]).refused(told.0, told.1);
    }
}

/// One caller's questions are no reason to let others wait, and a name is asked for once, however many need it.
#[test]
fn questions_of_one_caller_do_not_hold_up_others() {
    let world = World::new();
    let kms = world.clone();
    let kms = Scripted::start(move |request, _| {
        if request.parameter("KeyId").is_some_and(|name| name.starts_with("alias/nope")) {
            return vec![Act::Silence];
        }
        vec![Act::Send(kms.0.lock().unwrap().answer(request))]
    });
    let house = front(&kms, &[statement("Allow", &["kms:DeleteKeyMaterial"], "*")], &[]);
    let running = house.start();
    thread::scope(|scope| {
        for number in 0..64 {
            let running = &running;
            scope.spawn(move || {
                let alias = format!("alias/nope{number}");
                let refused = running.call(ALICE, "DeleteKeyMaterial", &[("KeyId", &alias)]);
                refused.refused(503, "ServiceUnavailableTemporary");
            });
        }
        assert!(crate::sandbox::wait(|| kms.count("DescribeKey") >= 4), "hers are asked");
        for _ in 0..8 {
            scope.spawn(|| running.call(KIM, "GetSecretValue", &[("SecretName", "orders/db-password")]).ok());
        }
    });
    assert_eq!(kms.count("DescribeSecret"), 1);
}

/// Many names in one request are all asked for.
#[test]
fn the_tags_of_each_of_many_keys_are_asked_for() {
    let world = World::new();
    let kms = world.start();
    let tagged = json!({
        "Effect": "Allow", "Action": ["kms:TagResources"], "Resource": "*",
        "Condition": {"StringEquals": {"kms:tag/team": ["orders"]}},
    });
    let house = front(&kms, &[tagged], &[]);
    let running = house.start();
    let keys = ["key-unlisted01", ORDERS, "key-unlisted02", "key-unlisted03", "key-unlisted04", "key-unlisted05"];
    world.change(|truth| truth.owners.extend(keys.map(|key| (key, HERE))));
    let names: Vec<String> = (1..=keys.len()).map(|number| format!("ResourceId.{number}")).collect();
    let mut params = vec![("ResourceType", "key"), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")];
    params.extend(names.iter().map(String::as_str).zip(keys));
    running.call(ALICE, "TagResources", &params).ok();
    assert_eq!(kms.count("ListResourceTags"), keys.len());
}

/// An operation that the table does not have may act on anything.
#[test]
fn operations_that_nobody_knows_are_refused() {
    let world = World::new();
    let kms = world.start();
    let may = [statement("Allow", &["kms:*"], "*"), statement("Deny", &["kms:*"], "acs:kms:*:*:secret/payroll/*")];
    let house =
        front(&kms, &may, &[("# unknown_operations = [\"ListSomethingNew\"]", "unknown_operations = [\"Foresee\"]")]);
    let running = house.start();
    running.call(ALICE, "BatchGetSecretValue", &[("SecretName", "payroll/db")]).refused(403, "Forbidden.NoPermission");
    running.call(ALICE, "BatchGetSecretValue", &[]).refused(404, "InvalidApi.NotFound");
    running.call(ALICE, "Foresee", &[("SecretName", "payroll/db")]).refused(403, "Forbidden.NoPermission");
    running.call(ALICE, "Foresee", &[("KeyId", PAYROLL)]).refused(403, "Forbidden.NoPermission");
    assert!(kms.requests().is_empty());
    running.call(ALICE, "Foresee", &[("SecretName", "orders/db-password")]).ok();
}

/// What comes with something new is in force at once, and KMS does not get it where policies are kept here.
#[test]
fn the_policy_of_a_new_key_is_in_force_with_it() {
    const MIRRORED: &[(&str, &str)] = &[("policy_operations = \"served\"", "policy_operations = \"mirrored\"")];
    for changes in [&[][..], MIRRORED] {
        let world = World::new();
        let kms = world.start();
        let house = front(&kms, &[statement("Allow", &["kms:*"], "*")], changes);
        let running = house.start();
        let policy = json!({"Version": "1", "Statement": [{
            "Sid": "NotAlice", "Effect": "Deny", "Principal": {"RAM": [format!("acs:ram::{HERE}:user/alice")]},
            "Action": ["kms:*"], "Resource": ["*"],
        }]});
        running.call(KIM, "CreateKey", &[("Policy", "{}")]).refused(400, "InvalidParameter");
        assert_eq!(kms.count("CreateKey"), 0);
        running.call(KIM, "CreateKey", &[("Policy", &policy.to_string())]).ok();
        assert_eq!(sent(&kms, "CreateKey").parameter("Policy").is_some(), changes == MIRRORED);
        let encrypt = [("KeyId", "key-unlisted01"), ("Plaintext", "aGVsbG8=")];
        running.call(ALICE, "Encrypt", &encrypt).refused(403, "Forbidden.NoPermission");
        running.call(KIM, "Encrypt", &encrypt).ok();
    }
}

/// A policy that is not the one that was meant to be replaced is replaced nowhere.
#[test]
fn a_condition_on_a_policy_is_checked_before_kms_gets_it() {
    for (operations, code) in [("mirrored", "Rejected.PolicyConflict"), ("forwarded", "UnsupportedOperation")] {
        let world = World::new();
        let kms = world.start();
        let setting = format!("policy_operations = \"{operations}\"");
        let house = front(&kms, &[], &[("policy_operations = \"served\"", &setting)]);
        let running = house.start();
        let policy = house.read("policies/keys/key-exampleorders01.json");
        let params = [("KeyId", ORDERS), ("Policy", policy.as_str())];
        let reply = running.try_call_if(Some(&"0".repeat(64)), KIM, "SetKeyPolicy", &params).unwrap();
        assert_eq!(reply.body["Code"].as_str(), Some(code), "{}", reply.body);
        assert_eq!(kms.count("SetKeyPolicy"), 0);
        running.call(KIM, "SetKeyPolicy", &params).ok();
        assert_eq!(kms.count("SetKeyPolicy"), 1);
    }
}

/// What an audit line says is so: whether KMS did it, and whether anybody decided it.
#[test]
fn what_nobody_can_tell_is_not_told() {
    let error = |status| {
        answer(
            status,
            r#"{"Code":"X","Message":"m","RequestId":"r","AccessDeniedDetail":{"AuthPrincipalDisplayName":"kim"}}"#,
        )
    };
    for (instead, status, decision, executed, upstream_error) in [
        (fails(500, "InternalFailure"), 500, "undecided", "unknown", None),
        (fails(429, "Rejected.Throttling"), 429, "undecided", "no", None),
        (fails(404, "InvalidAccessKeyId.NotFound"), 503, "undecided", "no", Some("credentials_refused")),
        (fails(400, "InvalidSecurityToken.Expired"), 503, "undecided", "no", Some("credentials_refused")),
        (answer_with("", 202, r#"{"KeyId":"key-exampleorders01"}"#), 502, "undecided", "yes", Some("malformed")),
        (answer(202, r#"{"KeyId":"key-examplepayroll01"}"#), 502, "undecided", "yes", Some("malformed")),
        (error(400), 403, "deny", "no", None),
    ] {
        let world = World::new();
        world.change(|truth| drop(truth.instead.insert("Decrypt", instead.clone())));
        let kms = world.start();
        let house = front(&kms, &[], &[]);
        let running = house.start();
        let reply = decrypt(&running, ALICE, ORDERS);
        let line = running.wait_for_audit_lines(1).pop().unwrap();
        let text = |name: &str| line[name].as_str();
        let found = (reply.status, text("decision").unwrap(), text("executed").unwrap(), text("upstream_error"));
        let case = String::from_utf8_lossy(&instead);
        assert_eq!(found, (status, decision, executed, upstream_error), "{case}: {line}");
        assert!(!reply.body.to_string().contains("kim"), "{}", reply.body);
    }
}
