//! `[upstream]` as people write it, right and wrong.

use super::super::Settings;
use super::*;

const LEAST: &str = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";

fn read(text: &str) -> Result<Settings, Vec<String>> {
    let settings = Settings::parse(&format!("{LEAST}{text}"), Path::new("/etc"));
    settings.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The shipped file shows every setting, and each has the default's value.
#[test]
fn the_shipped_file_shows_the_defaults() {
    let shipped = Settings::parse(include_str!("../../../config/gateway.toml"), Path::new("config")).unwrap();
    let least = "[upstream]\nendpoint = 'https://kms.cn-hangzhou.aliyuncs.com'\n[upstream.credentials]\n\
                 source = 'environment'\naccount = '1234567890123456'\n";
    assert_eq!(shipped.upstream, read(least).unwrap().upstream);
}

/// Least settings of a KMS elsewhere, and of Keyward's own credentials.
const AT: &str = "[upstream]\nendpoint = 'https://kms.example'\n";
const OWN: &str = "[upstream.credentials]\nsource = 'environment'\n";

/// Each of these is a mistake that is told so, perhaps beside others.
fn are_mistakes(rows: impl IntoIterator<Item = (String, &'static str)>) {
    for (text, expected) in rows {
        let problems = read(&text).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:#?}");
    }
}

#[test]
fn mistakes_are_named() {
    const VENDED: &str = "[credentials]\nrole = 'acs:ram::1:role/app'\nlisten = '127.0.0.1:1'\ntoken_file = 't'\n";
    let with = |more: &str| format!("{AT}{more}\n{OWN}");
    are_mistakes([
        ("[upstream]\n".to_owned() + OWN, "`upstream.endpoint` is missing"),
        (AT.to_owned(), "needs credentials to sign with"),
        (with("mode = 'through'"), "must be \"re-sign\" or \"pass-through\""),
        (format!("{AT}mode = 'pass-through'\nsign_as = 'caller'\n"), "is for mode = \"re-sign\""),
        (with("sign_as = 'me'"), "must be \"keyward\" or \"caller\""),
        (with("policy_operations = 'both'"), "must be \"served\", \"forwarded\" or \"mirrored\""),
        (with("networks = ['here']"), "`upstream.networks` holds `here`; write addresses or networks"),
        (with("requests = 0"), "whole number from 1 to 65536"),
        (with("request = 1"), "unknown entry `upstream.request`"),
        (format!("{AT}sign_as = 'caller'\nlisting_seconds = 60\n"), "needs credentials of Keyward's own"),
        (with("listing_seconds = 300"), "must be less than remember_seconds"),
        (format!("{AT}sign_as = 'caller'\n{VENDED}"), "mean nothing to KMS"),
        (format!("{AT}mode = 'pass-through'\n{VENDED}"), "mean nothing to KMS"),
        (with("server_name = ''"), "`upstream.server_name` must be the name of a host"),
        (with("server_name = 'kms example'"), "`upstream.server_name` must be the name of a host"),
        (with("also_named = ['https://kms.example']"), "which is no name of a host"),
        (with("also_named = ['']"), "which is no name of a host"),
        (with("ca = ''"), "`upstream.ca` must be a file"),
        ("[signatures]\ntrust_upstream = true\n".to_owned(), "the embedded KMS does not"),
        (format!("{AT}{OWN}[signatures]\ntrust_upstream = true\n"), "nobody verifies what Keyward signs anew"),
        ("[throttle]\ncryptography_per_second = 0\n".to_owned(), "whole number from 1"),
    ]);
    let seed = LEAST.replace("[policies]", "seed = 's'\n[policies]");
    let problems = Settings::parse(&format!("{seed}{AT}{OWN}"), Path::new("/etc")).err().unwrap();
    assert!(problems[0].message.contains("is for the embedded KMS"), "{problems:?}");
}

#[test]
fn endpoints_that_are_none_are_named() {
    let at = |endpoint: &str, more: &str| format!("[upstream]\nendpoint = '{endpoint}'\n{more}{OWN}");
    are_mistakes([
        (at("https://kms.example:99999", ""), "the port `99999`"),
        (at("https://100.100.100.200", ""), "is the address of the metadata service"),
        (at("https://[fe80::1]", ""), "`upstream.endpoint` names [fe80::1]"),
        (at("https://10.0.0.1", "networks = ['100.64.0.0/10']\n"), "is outside upstream.networks"),
        (at("http://127.0.0.1:8080", "ca = 'ca.pem'\n"), "`upstream.ca` is for https"),
        (at("https://kms-vpc.cn-beijing.aliyuncs.com", ""), "is KMS in cn-beijing, and kms.region is cn-hangzhou"),
    ]);
}

#[test]
fn credentials_that_can_never_be_had_are_named() {
    const CALLER: &str =
        "[[upstream.callers]]\narn = 'acs:ram::1:role/App'\ncredentials = { source = 'environment' }\n";
    let of = |source: &str, more: &str| format!("{AT}[upstream.credentials]\nsource = '{source}'\n{more}\n");
    are_mistakes([
        (format!("{AT}[upstream.credentials]\n"), "`upstream.credentials.source` is missing"),
        (of("vault", ""), "must be one of access_key, environment"),
        (of("access_key", "id = 'K'"), "the secret of the access key is missing"),
        (of("access_key", "id = 'K'\nsecret = 's'"), "unknown entry `upstream.credentials.secret`"),
        (of("environment", "role = 'r'"), "unknown entry `upstream.credentials.role`"),
        (of("uri", "uri = 'ftp://x'"), "credentials.uri` must be a URL"),
        (of("uri", "uri = ''"), "credentials.uri` must be a URL"),
        (of("ecs_ram_role", "endpoint = '127.0.0.1'"), "credentials.endpoint` must be a URL"),
        (of("oidc_role", "sts_endpoint = 'http://sts.example.com'"), "credentials.sts_endpoint` must be https"),
        (of("oidc_role", "role_arn = 'rolex'"), "must be an ARN such as \"acs:ram::1234567890123456:role/NAME\""),
        (
            of("oidc_role", "provider_arn = 'acs:ram::1:role/x'"),
            "such as \"acs:ram::1234567890123456:oidc-provider/NAME\"",
        ),
        (format!("{AT}{OWN}[[upstream.callers]]\n"), "`upstream.callers.arn` is missing"),
        (format!("{AT}{OWN}{}", CALLER.replace("acs:ram::1:role/App", "app")), "is no caller"),
        (format!("{AT}{OWN}{}", CALLER.replace("role/App", "assumed-role/app/one")), "name the role, …:role/app"),
        (
            format!("{AT}{OWN}{CALLER}{}", CALLER.replace("App", "app")),
            "15:7: `upstream.callers.arn` names acs:ram::1:role/app a second time",
        ),
        (format!("{AT}mode = 'pass-through'\n{CALLER}"), "`upstream.callers` is for mode = \"re-sign\""),
    ]);
}

/// One mistake is told once.
#[test]
fn what_is_wrong_with_credentials_is_not_that_there_are_none() {
    for text in [
        "[upstream.credentials]\nsource = 'vault'\n",
        "[upstream.credentials]\n",
        "[[upstream.callers]]\narn = 'app'\ncredentials = { source = 'environment' }\n",
    ] {
        let problems = read(&format!("{AT}{text}")).err().unwrap();
        assert!(problems.len() == 1 && !problems[0].contains("sign with"), "{text}: {problems:?}");
    }
    let text = LEAST.replace("data = 'd'\n", "") + AT + "[upstream.credentials]\nsource = 'environment'\n";
    let problems = Settings::parse(&text, Path::new("/etc")).err().unwrap();
    assert!(problems[0].message.contains("`kms.data` is missing: the folder of session.key"), "{problems:?}");
}

#[test]
fn callers_have_credentials_of_their_own() {
    let text = "[upstream]\nendpoint = 'https://kms.example'\nsign_as = 'caller'\n[[upstream.callers]]\n\
                arn = 'acs:ram::2:role/App'\ncredentials = { source = 'uri', account = '3' }\n[[upstream.callers]]\n\
                arn = 'acs:ram::1:user/alice'\ncredentials = { source = 'ecs_ram_role', role = 'r' }\n";
    let callers = read(text).unwrap().upstream.unwrap().credentials.callers;
    let found: Vec<(&str, &str)> = callers.iter().map(|(arn, account, _)| (arn.as_str(), account.as_str())).collect();
    assert_eq!(found, [("acs:ram::2:role/app", "3"), ("acs:ram::1:user/alice", "1")]);
}
