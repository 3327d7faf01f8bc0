//! P01–P05, P09, P13, P18, P20: a request that says something twice, in two places, or by another name. Every copy is signed
//! where it could be, so that the row would be executed if the copy were taken.

use keyward::kms::{Authorization, OPERATIONS, On};

use super::super::front::{ORDERS, PAYROLL};
use super::request::{ENCRYPT, ORDERS_HELLO, V3, get, raw, v1, v1_form};
use super::request::{form, percent};
use super::row::{check, encrypting, executed, house, nothing, refused};
use crate::sandbox::{ALICE, FORM, KIM, post};

const AGAIN: &str = "InvalidParameter";

/// What the other rows would be without their trick.
#[test]
fn what_clients_send_is_executed() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let query = |own: &[(&str, &str)]| form(&v1(ALICE, "GET", own));
    let head = |name: &str, value: &str| format!("{FORM}{name}: {value}\r\n");
    let encrypt = || v1_form(ALICE, ENCRYPT);
    let body = form(&v1(ALICE, "POST", &[]));
    assert!(!body.is_empty());
    let java = [("Action", "Encrypt"), ("Version", "2016-01-20"), ("Format", "JSON")];
    let v3 = V3::of(ALICE);
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    check(
        &running,
        &kms,
        &[
            executed("P02", "all in the form", post("", &encrypt()), "Encrypt", ORDERS_HELLO),
            executed(
                "P02",
                "all in the query",
                raw("POST", &format!("/?{}", encrypt()), "", ""),
                "Encrypt",
                ORDERS_HELLO,
            ),
            executed("P02", "GET", get(&query(ENCRYPT)), "Encrypt", ORDERS_HELLO),
            executed(
                "P03",
                "V1 with the header",
                raw("POST", "/", &head("x-acs-action", "Encrypt"), &encrypt()),
                "Encrypt",
                ORDERS_HELLO,
            ),
            executed(
                "P03",
                "as pop-core has it",
                raw("POST", "/", &head("x-acs-action", "encrypt"), &encrypt()),
                "Encrypt",
                ORDERS_HELLO,
            ),
            executed("P03", "V3", V3 { body: hello, ..v3 }.bytes(), "Encrypt", ORDERS_HELLO),
            executed(
                "P03",
                "V3 as Java has it",
                V3 { query: &java, body: hello, ..v3 }.bytes(),
                "Encrypt",
                ORDERS_HELLO,
            ),
            executed("P02", "V3 with a query", V3 { query: ORDERS_HELLO, ..v3 }.bytes(), "Encrypt", ORDERS_HELLO),
            executed(
                "P20",
                "both versions",
                raw("POST", "/", &head("x-acs-version", "2016-01-20"), &encrypt()),
                "Encrypt",
                ORDERS_HELLO,
            ),
        ],
    );
}

/// P01: twice in the query, twice in the form; equal, or not; the signature covers the first copy, or both.
#[test]
fn p01_a_parameter_given_twice() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for (name, other) in [
        ("Action", "ScheduleKeyDeletion"),
        ("Version", "2016-01-21"),
        ("KeyId", PAYROLL),
        ("Plaintext", "eA=="),
        ("AccessKeyId", KIM.id),
        ("Format", "XML"),
        ("Timestamp", "2026-01-02T03:04:05Z"),
    ] {
        let pairs = v1(ALICE, "POST", ENCRYPT);
        let same = pairs.iter().find(|(given, _)| given == name).unwrap().1.clone();
        for (kind, second) in [("equal", same.as_str()), ("different", other)] {
            let copy = format!("{name}={}", percent(second));
            let first_signed = v1_form(ALICE, ENCRYPT);
            let both: Vec<_> = ENCRYPT
                .iter()
                .copied()
                .chain((name != "Action" && name != "KeyId" && name != "Plaintext").then_some((name, same.as_str())))
                .chain([(name, second)])
                .collect();
            for (covers, form) in [
                ("first", format!("{first_signed}&{copy}")),
                ("last", format!("{copy}&{first_signed}")),
                ("both", v1_form(ALICE, &both)),
            ] {
                let target = format!("/?{form}");
                rows.push(refused(
                    "P01",
                    format!("{name}, {kind}, {covers} signed, form"),
                    post("", &form),
                    400,
                    AGAIN,
                ));
                rows.push(refused(
                    "P01",
                    format!("{name}, {kind}, {covers} signed, query"),
                    raw("POST", &target, "", ""),
                    400,
                    AGAIN,
                ));
            }
        }
    }
    for second in ["Signature=c2lnbg%3D%3D", "SignatureNonce=n"] {
        rows.push(refused("P01", second, post("", &format!("{}&{second}", v1_form(ALICE, ENCRYPT))), 400, AGAIN));
    }
    check(&running, &kms, &rows);
}

/// P02: in the query and in the form; official clients disagree about which of the two is signed.
#[test]
fn p02_a_parameter_in_query_and_form() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for (name, same, other) in [("Action", "Encrypt", "ScheduleKeyDeletion"), ("KeyId", ORDERS, PAYROLL)] {
        for second in [same, other] {
            let both: Vec<_> = ENCRYPT.iter().copied().chain([(name, second)]).collect();
            for (covers, form) in [
                ("one", v1_form(ALICE, ENCRYPT)),
                ("both", v1_form(ALICE, &both).replacen(&format!("&{name}={second}"), "", 1)),
            ] {
                let (copy, name) = (format!("{name}={second}"), format!("{name}={second}, {covers} signed"));
                rows.push(refused(
                    "P02",
                    format!("{name}, copy in the query"),
                    raw("POST", &format!("/?{copy}"), FORM, &form),
                    400,
                    AGAIN,
                ));
                rows.push(refused(
                    "P02",
                    format!("{name}, copy in the form"),
                    raw("POST", &format!("/?{form}"), FORM, &copy),
                    400,
                    AGAIN,
                ));
            }
        }
    }
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    for key in [ORDERS, PAYROLL] {
        let twice = V3 { query: &[("KeyId", key)], body: hello, ..V3::of(ALICE) };
        rows.push(refused("P02", format!("V3, {key} in the query"), twice.bytes(), 400, AGAIN));
    }
    check(&running, &kms, &rows);
}

/// P03: the header counts with V3, the parameter with V1; whatever the other says must be the same.
#[test]
fn p03_action_in_header_and_parameter() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let lines = |action: &str| format!("{FORM}x-acs-action: {action}\r\n");
    let no_action = v1_form(ALICE, ORDERS_HELLO);
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    let v3 = |query: &[(&str, &str)]| V3 { query, body: hello, ..V3::of(ALICE) }.bytes();
    let decrypt = form(&v1(ALICE, "POST", ENCRYPT)).replace("Action=Encrypt", "Action=Decrypt");
    let mut rows = vec![
        refused(
            "P03",
            "V1, in the header only",
            raw("POST", "/", &lines("Encrypt"), &no_action),
            400,
            "MissingParameter",
        ),
        refused("P03", "V3, a contradicting parameter", v3(&[("Action", "Decrypt")]), 400, AGAIN),
        refused("P03", "V3, the first letter", v3(&[("Action", "encrypt")]), 400, AGAIN),
        refused("P03", "V3, an empty parameter", v3(&[("Action", "")]), 400, AGAIN),
        refused("P03", "V3, a contradicting version", v3(&[("Version", "2015-04-01")]), 400, "NoSuchVersion"),
        refused(
            "P03",
            "V3, a parameter in the form",
            V3 { body: &format!("Action=Decrypt&{hello}"), ..V3::of(ALICE) }.bytes(),
            400,
            AGAIN,
        ),
        refused(
            "P03",
            "V3, without the header",
            String::from_utf8(v3(&[("Action", "Encrypt")])).unwrap().replace("x-acs-action: Encrypt\r\n", ""),
            400,
            "IncompleteSignature",
        ),
        refused("P03", "V1, another action than is signed", post("", &decrypt), 400, "SignatureDoesNotMatch"),
        refused(
            "P03",
            "signed twice",
            raw(
                "POST",
                "/",
                &format!(
                    "{FORM}Authorization: ACS3-HMAC-SHA256 Credential={},SignedHeaders=host,Signature=00\r\n",
                    ALICE.id
                ),
                &v1_form(ALICE, ENCRYPT),
            ),
            400,
            "IncompleteSignature",
        ),
    ];
    for action in ["Decrypt", "ENCRYPT", "encrypT", "Encrypt2", "", "Encrypt, Encrypt", "Encrypt;"] {
        let bytes = raw("POST", "/", &lines(action), &v1_form(ALICE, ENCRYPT));
        rows.push(refused("P03", format!("V1, header {action:?}"), bytes, 400, AGAIN));
    }
    check(&running, &kms, &rows);
}

/// Every parameter that names a resource, and the public ones.
fn names() -> Vec<&'static str> {
    let needs = OPERATIONS.iter().flat_map(|operation| match operation.authorization {
        Authorization::Needs(needs) => needs,
        Authorization::Authenticated => &[],
    });
    let mut names: Vec<&str> = needs.flat_map(|need| need.on.parameters()).collect();
    names.extend(["Action", "Version", "Format", "AccessKeyId", "Signature", "SecurityToken", "RegionId", "Timestamp"]);
    names.extend(["EncryptionContext", "Plaintext", "ResourceType", "SourceIp", "OwnerId", "Policy", "DryRun"]);
    names.sort_unstable();
    names.dedup();
    names
}

/// P04: names are case-sensitive, and nobody may guess whether KMS's are.
#[test]
fn p04_names_in_another_case() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for name in names() {
        let first = name[..1].to_lowercase() + &name[1..];
        for flipped in [name.to_lowercase(), name.to_uppercase(), first] {
            let with: Vec<_> = ENCRYPT.iter().copied().chain([(flipped.as_str(), PAYROLL)]).collect();
            rows.push(refused("P04", &flipped, post("", &v1_form(ALICE, &with)), 400, AGAIN));
        }
    }
    let instead = [("action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", "eA==")];
    rows.push(refused("P04", "instead of Action", post("", &v1_form(ALICE, &instead)), 400, AGAIN));
    check(&running, &kms, &rows);
}

/// P05: a name that is encoded is the same name to one parser, and another one to the next.
#[test]
fn p05_names_that_are_encoded() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for name in ["Action", "KeyId", "AccessKeyId", "Plaintext", "Signature"] {
        for (at, byte) in name.bytes().enumerate() {
            let encoded = format!("{}%{byte:02X}{}=", &name[..at], &name[at + 1..]);
            let form = v1_form(ALICE, ENCRYPT).replace(&format!("{name}="), &encoded);
            rows.push(refused("P05", encoded, post("", &form), 400, "ParseRequestParameterException"));
        }
    }
    check(&running, &kms, &rows);
}

/// P09, P13: names that a server could take apart, or for another one. They are signed, and no parser would object.
#[test]
fn p09_p13_names_that_a_server_could_take_for_others() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for (id, name, code) in [
        ("P09", "KeyId.1", AGAIN),
        ("P09", "KeyId.0", AGAIN),
        ("P09", "Action.1", AGAIN),
        ("P09", "keyid.1", AGAIN),
        ("P09", "SourceIp.1", AGAIN),
        ("P09", "KeyId.1.KeyId", AGAIN),
        ("P09", "KeyId.", "ParseRequestParameterException"),
        ("P09", "KeyId[]", "ParseRequestParameterException"),
        ("P09", "KeyId[0]", "ParseRequestParameterException"),
        ("P09", "Key Id", "ParseRequestParameterException"),
        ("P13", "_method", "ParseRequestParameterException"),
        ("P03", "x-acs-action", AGAIN),
        ("P03", "X-Acs-Security-Token", AGAIN),
        ("P03", "x-kms-apiname", AGAIN),
    ] {
        let with: Vec<_> = ENCRYPT.iter().copied().chain([(name, PAYROLL)]).collect();
        rows.push(refused(id, name, post("", &v1_form(ALICE, &with)), 400, code));
        let raw_name = v1_form(ALICE, &with).replace(&format!("{}=", percent(name)), &format!("{name}="));
        rows.push(nothing(id, format!("{name}, not encoded"), post("", &raw_name)));
    }
    check(&running, &kms, &rows);
}

/// P13: headers that say another method or path are not read, and do not go on.
#[test]
fn p13_headers_of_other_servers_mean_nothing() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for header in [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: PUT",
        "X-Method-Override: GET",
        "X-Original-URL: /?Action=ScheduleKeyDeletion",
        "X-Rewrite-URL: /admin",
        "X-Forwarded-Prefix: /x",
        "Cookie: a=b",
        "Proxy-Authorization: Basic eDp5",
        "TE: trailers",
        "Keep-Alive: timeout=1",
        "If-None-Match: *",
        "Range: bytes=0-1",
    ] {
        let bytes = raw("POST", "/", &format!("{FORM}{header}\r\n"), &v1_form(ALICE, ENCRYPT));
        rows.push(executed("P13", header, bytes, "Encrypt", ORDERS_HELLO));
    }
    check(&running, &kms, &rows);
}

/// P18: a header on which anything depends is there once.
#[test]
fn p18_headers_given_twice() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    let right = || String::from_utf8(V3 { body: hello, ..V3::of(ALICE) }.bytes()).unwrap();
    let lines: Vec<String> = right().lines().skip(1).take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "connection" {
            continue;
        }
        for (kind, second) in [("equal", value), ("different", "x"), ("empty", "")] {
            let text = right();
            let (first, rest) = text.split_once("\r\n").unwrap();
            let before = format!("{first}\r\n{name}: {second}\r\n{rest}");
            let after = text.replacen("\r\n\r\n", &format!("\r\n{name}: {second}\r\n\r\n"), 1);
            rows.push(nothing("P18", format!("{name}, {kind}, before"), before));
            rows.push(nothing("P18", format!("{name}, {kind}, after"), after));
        }
    }
    for lines in [
        "Content-Type: text/plain\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nDate: a\r\nDate: a\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nx-acs-action: Encrypt\r\nX-Acs-Action: Encrypt\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nx-kms-apiname: a\r\nx-kms-apiname: a\r\n",
    ] {
        rows.push(refused("P18", lines, raw("POST", "/", lines, &v1_form(ALICE, ENCRYPT)), 400, AGAIN));
    }
    check(&running, &kms, &rows);
}

/// P20: there is one version of the API.
#[test]
fn p20_versions() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for version in
        ["2016-01-21", "2015-04-01", "2016-1-20", "20160120", " 2016-01-20", "2016-01-20 ", "2016-01-20,2016-01-20", ""]
    {
        let with: Vec<_> = ENCRYPT.iter().copied().chain([("Version", version)]).collect();
        rows.push(refused("P20", version, post("", &v1_form(ALICE, &with)), 400, "NoSuchVersion"));
        let lines = format!("{FORM}x-acs-version: {version}\r\n");
        if version.trim() != "2016-01-20" {
            rows.push(refused(
                "P20",
                format!("header {version}"),
                raw("POST", "/", &lines, &v1_form(ALICE, ENCRYPT)),
                400,
                "NoSuchVersion",
            ));
        }
    }
    let pairs = v1(ALICE, "POST", ENCRYPT);
    let without: Vec<_> = pairs.iter().filter(|(name, _)| name != "Version").cloned().collect();
    rows.push(refused("P20", "none", post("", &form(&without)), 400, "MissingParameter"));
    check(&running, &kms, &rows);
}

#[test]
fn resources_are_named_by_parameters() {
    assert!(names().contains(&"DestinationKeyId") && names().contains(&"ProtectedResourceArn"));
    assert!(On::Anything.parameters().is_empty());
}
