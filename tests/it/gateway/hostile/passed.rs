//! The same rows where requests go on as they came: then every byte that is taken is a byte that KMS reads, and what could mean
//! two things must not be taken at all.

use std::fmt::Write;

use super::super::front::{ORDERS, PAYROLL, ready};
use super::request::{ENCRYPT, V3, form, get, percent, raw, v1, v1_form};
use super::row::{check, encrypting, house, nothing, talk};
use crate::sandbox::{ALICE, FORM, post};

const THROUGH: (&str, &str) = ("mode = \"re-sign\"", "mode = \"pass-through\"");

/// P01–P24, S01, S02, H01, H03: nothing of these goes on.
#[test]
fn what_could_mean_two_things_is_not_passed_on() {
    let kms = encrypting();
    let house = house(&kms, &[THROUGH, ("sign_as = \"keyward\"", "# sign_as")]);
    let running = house.start();
    let encrypt = || v1_form(ALICE, ENCRYPT);
    let with = |name: &str, value: &str| post("", &v1_form(ALICE, &[ENCRYPT, &[(name, value)]].concat()));
    let target = |target: &str| raw("POST", &target.replace("FORM", &encrypt()), "", "");
    let lines = |lines: &str| post(lines, &encrypt());
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    let other_action = V3 { query: &[("Action", "Decrypt")], body: hello, ..V3::of(ALICE) };
    let chunked = |size: &str, end: &str| {
        let body = encrypt();
        let (size, te) = (size.replace('N', &format!("{:x}", body.len())), "Transfer-Encoding: chunked\r\n");
        format!("POST / HTTP/1.1\r\nHost: a\r\n{FORM}{te}Connection: close\r\n\r\n{size}\r\n{body}\r\n{end}")
    };
    let mut rows = vec![
        nothing(
            "P02",
            "in query and form",
            raw("POST", &format!("/?{}", encrypt()), FORM, "KeyId=key-examplepayroll01"),
        ),
        nothing("P03", "another action in V3", other_action.bytes()),
        nothing("P03", "another action in the header", lines("x-acs-action: Decrypt\r\n")),
        nothing("P05", "an encoded name", post("", &encrypt().replacen("KeyId", "%4BeyId", 1))),
        nothing("P07", "a bad escape", post("", &encrypt().replacen("aGVsbG8%3D", "aGVsbG8%3", 1))),
        nothing("P08", "a separator more", post("", &(encrypt() + "&"))),
        nothing("P10", "no content type", raw("POST", "/", "", &encrypt())),
        nothing(
            "P11",
            "JSON beside a query",
            raw("POST", &format!("/?{}", encrypt()), "Content-Type: application/json\r\n", "{}"),
        ),
        nothing("P12", "GET with a body", raw("GET", &format!("/?{}", form(&v1(ALICE, "GET", ENCRYPT))), FORM, "a=b")),
        nothing("P14", "another method", raw("PUT", &format!("/?{}", form(&v1(ALICE, "PUT", ENCRYPT))), "", "")),
        nothing(
            "H01",
            "a nominated header",
            String::from_utf8(lines("")).unwrap().replacen("close", "close, content-type", 1),
        ),
        nothing("X05", "a coding", lines("Content-Encoding: gzip\r\n")),
        nothing("S02", "an extension", chunked("N;a", "0\r\n\r\n")),
        nothing("S02", "a trailer", chunked("N", "0\r\nAction: Decrypt\r\n\r\n")),
        nothing(
            "S01",
            "a length, too",
            chunked("N", "0\r\n\r\n").replacen("Connection", "Content-Length: 3\r\nConnection", 1),
        ),
    ];
    for (id, name, value) in [
        ("P01", "KeyId", PAYROLL),
        ("P04", "keyId", PAYROLL),
        ("P09", "KeyId.1", PAYROLL),
        ("P13", "_method", "DELETE"),
        ("P03", "x-acs-action", "Decrypt"),
        ("H02", "SourceIp", "203.0.113.9"),
        ("H09", "RegionId", "cn-beijing"),
    ] {
        rows.push(nothing(id, name, with(name, value)));
    }
    for path in ["//?FORM", "/./?FORM", "/%2f?FORM", "/?FORM#x", "*", "http://a/?FORM"] {
        rows.push(nothing("P15", path, target(path)));
    }
    for byte in [" ", "\t", "\u{7f}", " HTTP/1.1"] {
        let more = format!("a{byte}b");
        let form = v1_form(ALICE, &[ENCRYPT, &[("More", &more)]].concat()).replace(&percent(&more), &more);
        rows.push(nothing("P15", format!("{byte:?} in the target"), raw("POST", &format!("/?{form}"), "", "")));
    }
    for host in ["kms.cn-beijing.aliyuncs.com", "kms.cn-beijing.aliyuncs.com:443:80", "a b", "a/b"] {
        let bytes = String::from_utf8(lines("")).unwrap().replacen("kms.test", host, 1);
        rows.push(nothing("H03", host, bytes));
    }
    check(&running, &kms, &rows);
    assert_eq!(kms.bytes(), b"");
}

/// What is taken goes on as it came, and nothing beside it: no header that says where it comes from, or how.
#[test]
fn what_is_taken_is_passed_on_as_it_came() {
    let kms = encrypting();
    let house = house(&kms, &[THROUGH, ("sign_as = \"keyward\"", "# sign_as")]);
    let running = house.start();
    ready(&running);
    let mut odd = String::new();
    for name in [
        "X-Forwarded-For",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "Cookie",
        "X-HTTP-Method-Override",
        "TE",
        "Proxy-Authorization",
        "x-acs-action",
    ] {
        writeln!(odd, "{name}: Encrypt\r").unwrap();
    }
    let plain = form(&v1(ALICE, "POST", &[("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", "a b*")]));
    // As other clients would write it.
    let written = plain.replace("a%20b%2A", "a+b*");
    let query = form(&v1(ALICE, "GET", ENCRYPT));
    for (bytes, target, body) in [
        (post(&odd, &written), "POST / HTTP/1.1".to_owned(), written.as_str()),
        (get(&query), format!("GET /?{query} HTTP/1.1"), ""),
    ] {
        let before = kms.requests().len();
        let answers = talk(&running.api, &bytes).unwrap();
        assert_eq!(answers.iter().map(|it| it.status).collect::<Vec<_>>(), [200], "{answers:?}");
        let received = kms.requests().split_off(before);
        let [request] = &received[..] else { panic!("{received:?}") };
        assert_eq!((request.head.lines().next(), request.body.as_str()), (Some(&*target), body));
        assert_eq!(request.header("host"), Some(&*kms.address));
        let mut names: Vec<String> =
            request.head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
        names.retain(|name| !["content-length", "content-type", "host", "accept-encoding"].contains(&name.as_str()));
        assert_eq!(names, [""; 0], "{}", request.head);
    }
}
