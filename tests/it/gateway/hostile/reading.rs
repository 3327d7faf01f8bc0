//! P06–P08, P10–P12, P14–P16, P21, P22, P24: bytes that two parsers could read as two requests, and how much of anything there
//! may be.

use std::io::{Read, Write};

use super::super::front::{ORDERS, PAYROLL, ready};
use super::request::{ENCRYPT, ORDERS_HELLO, V3, form, get, percent, raw, v1, v1_form};
use super::row::{check, encrypting, executed, house, nothing, refused, talk};
use crate::sandbox::{ALICE, FORM, KIM, exchange, post, tcp};

const UNREADABLE: &str = "ParseRequestParameterException";

/// A form whose plaintext is written like this, and signed as it is decoded.
fn with_plaintext(decoded: &str, written: &str) -> String {
    let own = [("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", decoded)];
    v1_form(ALICE, &own).replacen(&format!("Plaintext={}", percent(decoded)), &format!("Plaintext={written}"), 1)
}

/// P06–P08: values are decoded once, and a `+` is a space.
#[test]
fn p06_p07_p08_values_that_are_decoded_once() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = vec![
        refused(
            "P06",
            "the name, twice encoded",
            post("", &v1_form(ALICE, ENCRYPT).replacen("Action=", "%2541ction=", 1)),
            400,
            UNREADABLE,
        ),
        refused(
            "P06",
            "the key, twice encoded",
            post(
                "",
                &v1_form(ALICE, &[("Action", "Encrypt"), ("KeyId", "%6bey-exampleorders01"), ("Plaintext", "eA==")]),
            ),
            400,
            "InvalidParameter",
        ),
        refused(
            "P06",
            "the action, twice encoded",
            post("", &v1_form(ALICE, &[("Action", "%45ncrypt"), ("KeyId", ORDERS), ("Plaintext", "eA==")])),
            404,
            "InvalidApi.NotFound",
        ),
    ];
    for (id, decoded, written) in [
        ("P06", "%41", "%2541"),
        ("P06", "%2541", "%252541"),
        ("P08", "a b", "a+b"),
        ("P08", "a b", "a%20b"),
        ("P08", "a+b", "a%2Bb"),
        ("P08", "a+b", "a%2bb"),
        ("P08", "a=b", "a=b"),
        ("P08", "a;b&c", "a%3Bb%26c"),
        ("P08", "*~'()!/:@$,?", "*~'()!/:@$,?"),
        ("P07", "项\u{2028}\u{feff}😀", "%E9%A1%B9%E2%80%A8%EF%BB%BF%F0%9F%98%80"),
        ("P07", "a\r\nb\t\u{1}", "a%0D%0Ab%09%01"),
        ("P07", "é", "é"),
    ] {
        let params = [("KeyId", ORDERS), ("Plaintext", decoded)];
        let form = post("", &with_plaintext(decoded, written));
        rows.push(executed(id, format!("form {written}"), form, "Encrypt", &params));
        if written.is_ascii() {
            let target = format!("/?{}", with_plaintext(decoded, written));
            rows.push(executed(id, format!("query {written}"), raw("POST", &target, "", ""), "Encrypt", &params));
        }
    }
    check(&running, &kms, &rows);
}

/// P07: nobody repairs an escape.
#[test]
fn p07_escapes_that_are_none() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for written in [
        "%",
        "%4",
        "a%",
        "%G1",
        "%1G",
        "%u0041",
        "%%41",
        "% 41",
        "%+41",
        "%-1",
        "%0x",
        "%C0%AF",
        "%C0%80",
        "%E0%80%AF",
        "%F5%80%80%80",
        "%ED%A0%80",
        "%ED%BF%BF",
        "%FF",
        "%80",
        "%00",
        "a%00b",
        "%EF%BF",
    ] {
        let form = with_plaintext("x", written);
        rows.push(refused("P07", format!("form {written}"), post("", &form), 400, "InvalidParameter"));
        let target = format!("/?{form}");
        if !target.contains(' ') {
            rows.push(refused(
                "P07",
                format!("query {written}"),
                raw("POST", &target, "", ""),
                400,
                "InvalidParameter",
            ));
        }
        let name = v1_form(ALICE, ENCRYPT) + &format!("&{written}=x");
        rows.push(refused("P07", format!("name {written}"), post("", &name), 400, UNREADABLE));
    }
    let mut bytes = post("", &with_plaintext("x", "abc"));
    let at = bytes.windows(3).position(|window| window == b"abc").unwrap();
    bytes[at] = 0xff;
    rows.push(refused("P07", "a body that is no UTF-8", bytes, 400, UNREADABLE));
    check(&running, &kms, &rows);
}

/// P08: `&` separates, nothing else does, and every piece has a name and a value.
#[test]
fn p08_pieces_between_separators() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let encrypt = || v1_form(ALICE, ENCRYPT);
    for (name, form) in [
        ("a trailing &", encrypt() + "&"),
        ("a leading &", format!("&{}", encrypt())),
        ("&&", encrypt().replacen('&', "&&", 1)),
        ("an empty name", encrypt() + "&=x"),
        ("no =", encrypt() + "&x"),
        ("a bare known name", encrypt() + "&KeyId"),
        ("a raw ; in a value", with_plaintext("a;b", "a;b")),
        ("; as separator", encrypt() + ";KeyId=key-examplepayroll01"),
        ("a parameter behind ;", encrypt() + "&x=1;Action=ScheduleKeyDeletion"),
        ("&amp;", encrypt() + "&amp;Action=Decrypt"),
        ("a space before a name", encrypt().replacen("&KeyId", "& KeyId", 1)),
        ("+ before a name", encrypt().replacen("&KeyId", "&+KeyId", 1)),
        ("a line before the form", format!("\r\n{}", encrypt())),
        ("a NUL before a name", encrypt() + "&\0x=1"),
        ("a byte order mark", format!("\u{feff}{}", encrypt())),
        ("? in the form", format!("?{}", encrypt())),
    ] {
        rows.push(refused("P08", format!("form: {name}"), post("", &form), 400, UNREADABLE));
        if form.bytes().all(|byte| byte.is_ascii_graphic()) {
            let target = raw("POST", &format!("/?{form}"), "", "");
            rows.push(refused("P08", format!("query: {name}"), target, 400, UNREADABLE));
        }
    }
    check(&running, &kms, &rows);
}

/// P10, P11: a body is a form that says so, or it is nothing.
#[test]
fn p10_p11_bodies_of_other_kinds() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let typed = |kind: &str| raw("POST", "/", &format!("Content-Type: {kind}\r\n"), &v1_form(ALICE, ENCRYPT));
    let mut rows = vec![refused("P10", "none", raw("POST", "/", "", &v1_form(ALICE, ENCRYPT)), 400, UNREADABLE)];
    for kind in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "\tapplication/x-www-form-urlencoded \t",
    ] {
        rows.push(executed("P10", kind, typed(kind), "Encrypt", ORDERS_HELLO));
    }
    for kind in [
        "",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded; charset=\"utf-16\"",
        "application/x-www-form-urlencoded; charset=utf-8; charset=utf-16",
        "application/x-www-form-urlencoded; boundary=x",
        "application/x-www-form-urlencoded, text/plain",
        "text/plain; application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "text/xml",
        "application/x-www-form-urlencodedx",
        "application/x-protobuf",
    ] {
        rows.push(refused("P10", kind, typed(kind), 400, UNREADABLE));
    }
    let query = v1_form(ALICE, ENCRYPT);
    for (kind, body) in [
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"Action\"\r\n\r\nScheduleKeyDeletion\r\n--x--\r\n",
        ),
        ("application/json", r#"{"Action":"ScheduleKeyDeletion","KeyId":"key-examplepayroll01"}"#),
        ("text/xml", "<Action>ScheduleKeyDeletion</Action>"),
        ("application/x-www-form-urlencoded", r#"{"Action":"ScheduleKeyDeletion"}"#),
    ] {
        let bytes = raw("POST", &format!("/?{query}"), &format!("Content-Type: {kind}\r\n"), body);
        rows.push(refused("P11", format!("{kind} beside a query"), bytes, 400, UNREADABLE));
    }
    let hello = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";
    for kind in ["application/json", "application/octet-stream", "multipart/form-data; boundary=x"] {
        let signed = [("content-type", kind)];
        rows.push(refused(
            "P11",
            format!("V3, {kind}"),
            V3 { body: hello, signed: &signed, ..V3::of(ALICE) }.bytes(),
            400,
            UNREADABLE,
        ));
        let empty = V3 { query: ORDERS_HELLO, signed: &signed, ..V3::of(ALICE) };
        rows.push(executed("P11", format!("V3, {kind} of nothing"), empty.bytes(), "Encrypt", ORDERS_HELLO));
    }
    check(&running, &kms, &rows);
}

/// P12, P14: GET and POST, and a body belongs to POST.
#[test]
fn p12_p14_methods() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let own = |method: &str| form(&v1(ALICE, method, ENCRYPT));
    let of_get = own("GET");
    let (before, after) = of_get.split_once("&Plaintext=aGVsbG8%3D").unwrap();
    let split = format!("/?{before}{after}");
    rows.push(refused("P12", "GET with a form", raw("GET", &split, FORM, "Plaintext=aGVsbG8%3D"), 400, UNREADABLE));
    rows.push(refused("P12", "GET, all in the form", raw("GET", "/", FORM, &of_get), 400, UNREADABLE));
    let chunked = format!(
        "GET {split} HTTP/1.1\r\nHost: a\r\n{FORM}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n16\r\nPlaintext=aGVsbG8%253D\r\n0\r\n\r\n"
    );
    rows.push(refused("P12", "GET with chunks", chunked, 400, UNREADABLE));
    for method in
        ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND", "get", "post", "Post", "POSTT", "QUERY", "LINK"]
    {
        let bytes = raw(method, &format!("/?{}", own(method)), "", "");
        rows.push(refused("P14", method, bytes, 403, "UnsupportedHTTPMethod"));
    }
    for (method, target) in [
        ("CONNECT", "kms.test:443"),
        ("PRI", "*"),
        ("OPTIONS", "*"),
        ("P\u{d6}ST", "/"),
        ("PO ST", "/"),
        ("", "/"),
        ("POST\t", "/"),
    ] {
        rows.push(nothing("P14", format!("{method} {target}"), raw(method, target, "", &own("POST"))));
    }
    check(&running, &kms, &rows);
}

/// P14: the answer to HEAD has no body, which the next answer on the connection would be read as.
#[test]
fn p14_head_is_answered_without_a_body() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let query = form(&v1(ALICE, "HEAD", ENCRYPT));
    let mut stream = tcp(&running.api);
    stream.write_all(format!("HEAD /?{query} HTTP/1.1\r\nHost: kms.test\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
    let next = exchange(&mut stream, &get(&form(&v1(ALICE, "GET", ENCRYPT))));
    assert!(next.starts_with("HTTP/1.1 200") || next.is_empty(), "{next}");
}

/// P15: the path is `/`, before anybody normalises it.
#[test]
fn p15_paths() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let encrypt = || v1_form(ALICE, ENCRYPT);
    for path in [
        "//", "/./", "/../", "/.", "/..", "/%2e", "/%2f", "/%2F", "/;a=b", "/;", "/index", "/kms/", "/%3f", "/\\",
        "/%5c", "/a/..", "/&", "/:", "/@",
    ] {
        let target = format!("{path}?{}", encrypt());
        rows.push(refused("P15", path, raw("POST", &target, "", ""), 404, "InvalidApi.NotFound"));
        rows.push(refused(
            "P15",
            format!("{path} with a form"),
            raw("POST", path, FORM, &encrypt()),
            404,
            "InvalidApi.NotFound",
        ));
    }
    for (name, target) in [
        ("no slash", format!("?{}", encrypt())),
        ("asterisk", "*".to_owned()),
        ("fragment", format!("/?{}#x", encrypt())),
        ("a fragment that hides", format!("/#?{}", encrypt())),
        ("backslash", format!("\\?{}", encrypt())),
        ("another authority", format!("http://kms.evil/?{}", encrypt())),
        ("userinfo", format!("http://kms.test@kms.evil/?{}", encrypt())),
        ("userinfo of ours", format!("http://x@kms.test/?{}", encrypt())),
        ("no path", format!("http://kms.test?{}", encrypt())),
        ("another scheme", format!("ftp://kms.test/?{}", encrypt())),
        ("a path behind the authority", format!("http://kms.test/x?{}", encrypt())),
        ("two questions", format!("/??{}", encrypt())),
        ("a space", format!("/?{}", with_plaintext("a b", "a b"))),
        ("letters that are not ASCII", format!("/?{}", with_plaintext("é", "é"))),
        ("a quote", format!("/?{}", with_plaintext("\"", "\""))),
        ("a control byte", format!("/?{}", with_plaintext("\u{1}", "\u{1}"))),
        ("a tab", format!("/?{}", with_plaintext("a\tb", "a\tb"))),
        ("a second request line", format!("/?x=1 HTTP/1.1&{}", encrypt())),
        ("DEL", format!("/?{}", with_plaintext("\u{7f}", "\u{7f}"))),
    ] {
        rows.push(nothing("P15", name, raw("POST", &target, "", "")));
    }
    for target in ["http://kms.test/?", "https://kms.test/?"] {
        rows.push(executed(
            "P15",
            target,
            raw("POST", &format!("{target}{}", encrypt()), "", ""),
            "Encrypt",
            ORDERS_HELLO,
        ));
    }
    check(&running, &kms, &rows);
}

/// P16: an operation is the one that is written, or none.
#[test]
fn p16_operations_that_look_like_others() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for action in [
        "decrypt",
        "DECRYPT",
        "Decrypt.",
        "Decrypt ",
        " Decrypt",
        "Decrypt\t",
        "Decrypt\u{200b}",
        "\u{feff}Decrypt",
        "D\u{435}crypt",
        "Decryp\u{1d42d}",
        "De\u{301}crypt",
        "Decrypt/",
        "Decrypt\n",
        "Decrypt,Encrypt",
        "kms:Decrypt",
        "Decrypt?",
        "Decrypt%00",
        "\u{ff24}ecrypt",
        "",
        "*",
        "Decrypt-",
        "De_crypt",
    ] {
        let own = [("Action", action), ("KeyId", ORDERS), ("Plaintext", "eA==")];
        rows.push(refused("P16", format!("{action:?}"), post("", &v1_form(KIM, &own)), 404, "InvalidApi.NotFound"));
    }
    let long = "A".repeat(65);
    rows.push(refused("P16", "a long name", post("", &v1_form(KIM, &[("Action", &long)])), 404, "InvalidApi.NotFound"));
    rows.push(refused(
        "P16",
        "nobody knows it",
        post("", &v1_form(ALICE, &[("Action", "Decrypt2"), ("KeyId", ORDERS)])),
        403,
        "Forbidden.NoPermission",
    ));
    rows.push(refused(
        "P16",
        "nobody knows it, and all is allowed",
        post("", &v1_form(KIM, &[("Action", "Decrypt2"), ("KeyId", ORDERS)])),
        404,
        "InvalidApi.NotFound",
    ));
    check(&running, &kms, &rows);
}

/// P21: what is refused is refused in the format that was asked for; V3 has JSON only, and Accept says nothing.
#[test]
fn p21_formats_of_refusals() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    ready(&running);
    let denied = [("Action", "DescribeKey"), ("KeyId", PAYROLL), ("Format", "")];
    let with = |format: &'static str| denied.map(|(name, value)| (name, if name == "Format" { format } else { value }));
    let json = "application/json;charset=utf-8";
    let v3 = |format| {
        V3 { action: "DescribeKey", query: &[("KeyId", PAYROLL), ("Format", format)], ..V3::of(ALICE) }.bytes()
    };
    for (name, bytes, expected) in [
        ("JSON", post("", &v1_form(ALICE, &with("JSON"))), json),
        ("json", post("", &v1_form(ALICE, &with("json"))), json),
        ("XML", post("", &v1_form(ALICE, &with("XML"))), "text/xml;charset=utf-8"),
        ("None", post("", &v1_form(ALICE, &with("None"))), json),
        ("unknown", post("", &v1_form(ALICE, &with("YAML"))), json),
        ("JSON, Accept XML", post("Accept: text/xml\r\n", &v1_form(ALICE, &with("JSON"))), json),
        (
            "XML, Accept JSON",
            post("Accept: application/json\r\n", &v1_form(ALICE, &with("XML"))),
            "text/xml;charset=utf-8",
        ),
        ("V3, XML", v3("XML"), json),
        ("unreadable, XML", post("", &(v1_form(ALICE, &with("XML")) + "&KeyId=x")), "text/xml;charset=utf-8"),
    ] {
        let answers = talk(&running.api, &bytes).unwrap();
        let [answer] = &answers[..] else { panic!("{name}: {answers:?}") };
        let kind =
            answer.head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-type: ").map(str::to_owned));
        assert_eq!((kind.as_deref(), answer.code().is_some()), (Some(expected), true), "{name}: {answer:?}");
        assert!(answer.status == 403 || name.starts_with("unreadable"), "{name}: {answer:?}");
    }
    assert_eq!(kms.count("DescribeKey"), 0);
}

/// P22: what is no decision of ours goes on as it is written: nobody makes one number out of another.
#[test]
fn p22_values_go_on_as_they_are() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for value in [
        "7",
        "007",
        "+7",
        "-1",
        "7.0",
        "1e3",
        "0x7",
        " 7 ",
        "７",
        "99999999999999999999999",
        "NaN",
        "True",
        "true",
        "yes",
        "1",
        "",
    ] {
        let own = [("Action", "ScheduleKeyDeletion"), ("KeyId", ORDERS), ("PendingWindowInDays", value)];
        rows.push(executed("P22", value, post("", &v1_form(KIM, &own)), "ScheduleKeyDeletion", &own[1..]));
    }
    check(&running, &kms, &rows);
}

/// P24: so many parameters, so many bytes, so deep, and no more.
#[test]
fn p24_limits() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let public = v1(ALICE, "POST", ENCRYPT).len();
    for (count, is_taken) in [(255, true), (256, true), (257, false), (5000, false)] {
        let names: Vec<String> = (public..count).map(|number| format!("More{number:05}")).collect();
        let more: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let own: Vec<_> = ENCRYPT.iter().copied().chain(more.iter().copied()).collect();
        let bytes = post("", &v1_form(ALICE, &own));
        let params: Vec<_> = ORDERS_HELLO.iter().copied().chain(more.iter().copied()).collect();
        rows.push(match is_taken {
            true => executed("P24", format!("{count} parameters"), bytes, "Encrypt", &params),
            false => refused("P24", format!("{count} parameters"), bytes, 400, UNREADABLE),
        });
    }
    for (length, is_taken) in [(127, true), (128, true), (129, false)] {
        let name = "N".repeat(length);
        let own: Vec<_> = ENCRYPT.iter().copied().chain([(name.as_str(), "x")]).collect();
        let bytes = post("", &v1_form(ALICE, &own));
        rows.push(match is_taken {
            true => executed("P24", format!("a name of {length}"), bytes, "Encrypt", &own[1..]),
            false => refused("P24", format!("a name of {length}"), bytes, 400, UNREADABLE),
        });
    }
    let around = v1_form(ALICE, &[("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", "")]).len();
    for length in [262_143, 262_144, 262_145] {
        // How long a signature is depends on what it holds.
        let (mut count, mut plaintext, mut bytes) = (length - around, String::new(), String::new());
        while bytes.len() != length {
            plaintext = "A".repeat(count);
            bytes = v1_form(ALICE, &[("Action", "Encrypt"), ("KeyId", ORDERS), ("Plaintext", &plaintext)]);
            count = count + length - bytes.len();
        }
        rows.push(match length {
            262_145 => refused("P24", "a body above the limit", post("", &bytes), 413, "RequestTooLarge"),
            _ => executed(
                "P24",
                format!("a body of {length}"),
                post("", &bytes),
                "Encrypt",
                &[("KeyId", ORDERS), ("Plaintext", &plaintext)],
            ),
        });
    }
    check(&running, &kms, &rows);
}

/// P24: JSON in a parameter, deeper than anybody needs it.
#[test]
fn p24_deep_values() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    for (name, parameter, deep) in [
        ("a deep context", "EncryptionContext", "{\"a\":".repeat(1_600)),
        ("a deep array", "EncryptionContext", "[".repeat(8_192)),
        ("a context with a member twice", "EncryptionContext", r#"{"a":"1","a":"2"}"#.to_owned()),
        ("a context that is too long", "EncryptionContext", format!("{{\"a\":\"{}\"}}", "x".repeat(8_192))),
        ("a context of numbers", "EncryptionContext", r#"{"a":1}"#.to_owned()),
    ] {
        let own: Vec<_> = ENCRYPT.iter().copied().chain([(parameter, deep.as_str())]).collect();
        rows.push(refused("P24", name, post("", &v1_form(ALICE, &own)), 400, "InvalidParameter"));
    }
    for (operation, parameter, deep) in [
        ("SetKeyPolicy", "Policy", "[".repeat(32_768)),
        ("SetKeyPolicy", "Policy", "{\"Statement\":".repeat(2_500)),
        ("TagResource", "Tags", "[".repeat(60_000)),
        ("TagResource", "Tags", "[{\"TagKey\":".repeat(10_000)),
    ] {
        let own = [("Action", operation), ("KeyId", ORDERS), (parameter, deep.as_str())];
        rows.push(nothing("P24", format!("{operation} with a deep {parameter}"), post("", &v1_form(KIM, &own))));
    }
    rows.push(executed(
        "P24",
        "afterwards it still serves",
        get(&form(&v1(ALICE, "GET", ENCRYPT))),
        "Encrypt",
        ORDERS_HELLO,
    ));
    check(&running, &kms, &rows);
}
