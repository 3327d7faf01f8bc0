//! H01–H03, H09, and S06 at the TLS door: what a request says about the way, about who sends it, and about where it should go.

use super::super::front::{ACCOUNT, ORDERS, PAYROLL, plain, ready};
use super::super::scripted::{Act, Scripted, answer};
use super::request::{ENCRYPT, ORDERS_HELLO, Pairs, V3, v1_form};
use super::row::{Row, check, encrypted, encrypting, executed, house, nothing, refused, talk};
use crate::doors::authority::{Authority, Leaf, Tls};
use crate::sandbox::{ALICE, KIM, exchange, post, wait};

const HELLO: &str = "KeyId=key-exampleorders01&Plaintext=aGVsbG8%3D";

/// H01: nobody asks to have a header taken away on which something depends.
#[test]
fn h01_headers_that_are_nominated() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let v3 = |lines: &str| {
        let bytes = String::from_utf8(V3 { body: HELLO, ..V3::of(ALICE) }.bytes()).unwrap();
        bytes.replacen("connection: close\r\n", lines, 1)
    };
    let mut rows: Vec<Row> = Vec::new();
    for name in [
        "authorization",
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "date",
        "expect",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
        "x-acs-content-sm3",
        "x-acs-security-token",
        "x-acs-accesskey-id",
        "x-acs-bearer-token",
        "x-kms-acccesskeyid",
        "x-kms-apiname",
        "x-forwarded-for",
        "cookie",
        "upgrade",
        "te",
        "trailer",
        "x-anything",
        "*",
        "\"close\"",
        "close;x",
        "clos\u{e9}",
    ] {
        let upper = name.to_uppercase();
        for lines in [
            format!("connection: {name}\r\n"),
            format!("connection: close, {name}\r\n"),
            format!("connection: {name},close\r\n"),
            format!("Connection: {upper}\r\n"),
            format!("connection: close\r\nConnection: {name}\r\n"),
            format!("connection:\tclose\t,\t{name}\t\r\n"),
        ] {
            rows.push(nothing("H01", lines.clone(), v3(&lines)));
        }
    }
    for lines in [
        "connection: close\r\n",
        "Connection: Close\r\n",
        "connection: close, close\r\n",
        "connection: keep-alive, close\r\n",
        "connection: ,close,\r\n",
        "proxy-connection: x-acs-action\r\nconnection: close\r\n",
    ] {
        rows.push(executed("H01", lines, v3(lines), "Encrypt", ORDERS_HELLO));
    }
    check(&running, &kms, &rows);
}

/// Headers in which somebody could say where a request comes from.
const CLAIMS: [&str; 20] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "Forwarded-For",
    "X-Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Cluster-Client-IP",
    "X-ProxyUser-Ip",
    "Client-IP",
    "Remote-Addr",
    "x-acs-source-ip",
    "X-Keyward-Caller",
];

/// H02: the address is the socket's. A policy allows alice from one address only, and denies kim everything from here.
#[test]
fn h02_addresses_are_the_sockets() {
    let orders = "policies/keys/key-exampleorders01.json";
    let statement = "\"Sid\": \"OrdersServiceUsesTheKey\",";
    let from = |condition: &str| format!(r#"{statement} "Condition": {{{condition}}},"#);
    let elsewhere = from(r#""IpAddress": {"acs:SourceIp": "203.0.113.0/24"}"#);
    let not_here = from(r#""NotIpAddress": {"acs:SourceIp": "127.0.0.0/8"}"#);
    let here = from(r#""IpAddress": {"acs:SourceIp": "127.0.0.0/8"}"#);
    let claims = |address: &str| -> Vec<String> {
        let named = CLAIMS.iter().map(|name| format!("{name}: {address}\r\n"));
        let more = [
            format!("Forwarded: for={address};proto=https\r\n"),
            format!("Forwarded: for=\"[::ffff:{address}]\"\r\n"),
            format!("Via: 1.1 {address}\r\n"),
            format!("X-Forwarded-For: {address}\r\nX-Forwarded-For: {address}\r\n"),
            format!("X-Forwarded-For: {address}, 127.0.0.1\r\n"),
            format!("X-Forwarded-For: 127.0.0.1, {address}\r\n"),
        ];
        named.chain(more).collect()
    };
    for (condition, claimed, is_allowed) in
        [(elsewhere.clone(), "203.0.113.9", false), (not_here, "203.0.113.9", false), (here, "203.0.113.9", true)]
    {
        let kms = encrypting();
        let house = house(&kms, &[]);
        house.edit(orders, statement, &condition);
        let running = house.start();
        let rows: Vec<Row> = claims(claimed)
            .into_iter()
            .map(|lines| {
                let bytes = post(&lines, &v1_form(ALICE, ENCRYPT));
                match is_allowed {
                    true => executed("H02", lines, bytes, "Encrypt", ORDERS_HELLO),
                    false => refused("H02", lines, bytes, 403, "Forbidden.NoPermission"),
                }
            })
            .collect();
        check(&running, &kms, &rows);
        let claim = [ENCRYPT, &[("SourceIp", claimed)]].concat();
        let header = post(&format!("x-acs-proxy-source-ip: {claimed}\r\n"), &v1_form(ALICE, ENCRYPT));
        let rows = [
            refused("H02", "a parameter", post("", &v1_form(ALICE, &claim)), 400, "InvalidParameter"),
            refused("H02", "the gateway's own header", header, 400, "InvalidParameter"),
        ];
        check(&running, &kms, &rows);
    }
    // A proxy that is trusted is believed, in one header, as to its last hop.
    let kms = encrypting();
    let trusted = ("[policies]", "[network]\ntrusted_proxies = [\"127.0.0.1\"]\n\n[policies]");
    let house = house(&kms, &[trusted]);
    house.edit(orders, statement, &elsewhere);
    let running = house.start();
    let sent = |lines: &str| post(lines, &v1_form(ALICE, ENCRYPT));
    let rows = [
        executed("H02", "trusted", sent("X-Forwarded-For: 203.0.113.9\r\n"), "Encrypt", ORDERS_HELLO),
        refused("H02", "another header", sent("X-Real-IP: 203.0.113.9\r\n"), 403, "Forbidden.NoPermission"),
        refused(
            "H02",
            "not the last hop",
            sent("X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n"),
            403,
            "Forbidden.NoPermission",
        ),
        refused("H02", "nothing", sent("X-Forwarded-For: \r\n"), 400, "InvalidParameter"),
        refused("H02", "no address", sent("X-Forwarded-For: 203.0.113.9x\r\n"), 400, "InvalidParameter"),
    ];
    check(&running, &kms, &rows);
}

/// H03: a Host is a name that the client uses, never a place to go to. That of another endpoint of Alibaba Cloud's is refused.
#[test]
fn h03_a_host_leads_nowhere() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let sent = |host: &str| {
        let bytes = String::from_utf8(post("", &v1_form(ALICE, ENCRYPT))).unwrap();
        bytes.replacen("Host: kms.test", &format!("Host: {host}"), 1)
    };
    for host in [
        "127.0.0.1",
        "[::1]:7480",
        "localhost",
        "100.100.100.200",
        "169.254.169.254",
        "metadata.google.internal",
        "kms",
        "KMS.Test:7480",
        "kms.test.",
        "xn--kms-4cd.test",
        "aliyuncs.com.evil.test",
        "kms.cn-hangzhou.aliyuncs.com.evil.test",
    ] {
        rows.push(executed("H03", host, sent(host), "Encrypt", ORDERS_HELLO));
    }
    for host in [
        "kms.cn-beijing.aliyuncs.com",
        "KMS.CN-BEIJING.ALIYUNCS.COM",
        "kms.cn-beijing.aliyuncs.com.",
        "kms.cn-beijing.aliyuncs.com:443",
        "kms.cn-beijing.aliyuncs.com.:80",
        "kms-vpc.cn-beijing.aliyuncs.com",
        "ecs.aliyuncs.com",
        "kms.aliyuncs.com",
    ] {
        rows.push(refused("H03", host, sent(host), 400, "InvalidParameter"));
    }
    for host in [
        "",
        "kms.test, kms.evil",
        "kms.test kms.evil",
        "user@kms.test",
        "kms.test/x",
        "kms.test?x",
        "kms.test#x",
        "kms.cn-beijing.aliyuncs.com:443:80",
        "kms.cn-beijing.aliyuncs.com:",
        "kms.cn-beijing.aliyuncs.com..",
        "kms\\.test",
        "[::1",
        "kms.test:x",
        "kms.cn-beijing.aliyuncs.\u{441}om",
        "kms.test\u{0}",
    ] {
        rows.push(nothing("H03", host, sent(host)));
    }
    check(&running, &kms, &rows);
    assert!(kms.requests().iter().all(|request| request.header("host") == Some(&*kms.address)));
}

/// H09: one region is served. Whoever means another one is told so, wherever he says it.
#[test]
fn h09_other_regions() {
    let kms = encrypting();
    let house = house(&kms, &[]);
    let running = house.start();
    let mut rows = Vec::new();
    let with = |name: &'static str, value: &str| {
        let mut own: Pairs = ENCRYPT
            .iter()
            .filter(|(given, _)| *given != name)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        own.push((name.to_owned(), value.to_owned()));
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post("", &v1_form(ALICE, &own))
    };
    let here = [ORDERS_HELLO, &[("RegionId", "cn-hangzhou")]].concat();
    rows.push(executed("H09", "this region", with("RegionId", "cn-hangzhou"), "Encrypt", &here));
    for region in ["cn-beijing", "CN-HANGZHOU", "cn-hangzhou ", "cn_hangzhou", "*", "", "cn-hangzhou,cn-beijing"] {
        rows.push(refused("H09", format!("RegionId {region:?}"), with("RegionId", region), 400, "InvalidParameter"));
        let query = [("RegionId", region)];
        rows.push(refused(
            "H09",
            format!("V3, RegionId {region:?}"),
            V3 { query: &query, body: HELLO, ..V3::of(ALICE) }.bytes(),
            400,
            "InvalidParameter",
        ));
    }
    for region in ["cn-beijing", "CN-HANGZHOU", "*", "", "cn-hangzhou "] {
        let arn = format!("acs:kms:{region}:{ACCOUNT}:key/{ORDERS}");
        rows.push(refused("H09", &arn, with("KeyId", &arn), 400, "InvalidParameter"));
    }
    let arn = format!("acs:kms:cn-hangzhou:{ACCOUNT}:key/{ORDERS}");
    rows.push(executed("H09", &arn, with("KeyId", &arn), "Encrypt", &[("KeyId", &arn), ("Plaintext", "aGVsbG8=")]));
    check(&running, &kms, &rows);
}

/// H09: operations with two resources, and lists of them: each may be in this region only.
#[test]
fn h09_every_resource_is_in_this_region() {
    let kms = Scripted::start(|_, _| vec![Act::Send(answer(200, &encrypted()))]);
    let house = plain(&kms.address, &[]);
    let running = house.start();
    ready(&running);
    let there = |rest: &str| format!("acs:kms:cn-beijing:{ACCOUNT}:{rest}");
    let (key, alias, secret) = (there(&format!("key/{PAYROLL}")), there("alias/payroll"), there("secret/s"));
    for (operation, params) in [
        ("CreateAlias", vec![("AliasName", "alias/new"), ("KeyId", &*key)]),
        ("UpdateAlias", vec![("AliasName", "alias/orders"), ("KeyId", &key)]),
        ("CreateSecret", vec![("SecretName", "s"), ("EncryptionKeyId", &key)]),
        ("SetDeletionProtection", vec![("ProtectedResourceArn", &key)]),
        ("TagResources", vec![("ResourceType", "key"), ("ResourceId.1", ORDERS), ("ResourceId.2", &key)]),
        ("TagResources", vec![("ResourceType", "secret"), ("ResourceId.1", &secret)]),
        ("GetSecretValue", vec![("SecretName", &secret)]),
        ("TagResource", vec![("SecretName", &secret)]),
        ("DescribeKey", vec![("KeyId", &alias)]),
    ] {
        running.call(KIM, operation, &params).refused(400, "InvalidParameter");
    }
    assert_eq!(kms.bytes(), b"");
}

/// S06: at the TLS door HTTP/2 is not offered, and what speaks it all the same gets no further than at the other one.
#[test]
fn s06_http_2_is_not_offered() {
    let kms = encrypting();
    let servers = Authority::new("servers");
    let leaf = servers.leaf(&Leaf::server());
    let api = "api = \"127.0.0.1:0\"";
    let tls = "tls = \"127.0.0.1:0\"\n[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    let house = house(&kms, &[]);
    let settings = house.read("config/keyward.toml");
    let (before, after) = settings.split_once("[kms]").unwrap();
    let before = before.replacen(api, &format!("{api}\ntls = \"127.0.0.1:0\""), 1);
    let tls = tls.split_once('\n').unwrap().1;
    house.write("config/keyward.toml", &format!("{before}{tls}\n[kms]{after}"));
    house.write("config/server.pem", &leaf.certificate);
    house.write("config/server.key", &leaf.key);
    let running = house.start();
    ready(&running);
    let text = running.everything_written();
    let address = text.split("https://").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
    let plain_client = Tls::connect(&address, &servers, None).unwrap().client();
    for offered in [&["h2", "http/1.1"][..], &["h2"], &["http/1.1"], &["http/1.0", "h2c"]] {
        let mut config = (*plain_client).clone();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let Ok(mut tls) = Tls::resume(&address, config.into()) else { continue };
        assert_ne!(tls.protocol(), Some(&b"h2"[..]), "{offered:?}");
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let told = exchange(&mut tls, preface);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    }
    assert_eq!(kms.bytes(), b"");
    let mut tls = Tls::connect(&address, &servers, None).unwrap();
    assert!(exchange(&mut tls, &post("", &v1_form(ALICE, ENCRYPT))).starts_with("HTTP/1.1 200"));
    assert!(wait(|| kms.count("Encrypt") == 1));
    assert_eq!(talk(&running.api, &post("", &v1_form(ALICE, ENCRYPT))).unwrap()[0].status, 200);
}
