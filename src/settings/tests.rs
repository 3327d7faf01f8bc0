//! The settings file as a whole: the example, mistakes, and what is missing.

use super::*;

const LEAST: &str = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n";

fn problems(text: &str) -> Vec<String> {
    let problems = Settings::parse(text, Path::new("/etc")).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_written_has_its_default() {
    let settings = Settings::parse(LEAST, Path::new("/etc")).unwrap();
    assert_eq!(settings.listen.api, "127.0.0.1:7480".parse().ok());
    assert_eq!(settings.policies.directory, Path::new("/etc/p"));
    assert!(!settings.authorization.explain_denials);
}

/// The shipped file shows every setting, and all but those it marks have the default's value.
#[test]
fn the_shipped_file_shows_the_defaults() {
    let shipped = Settings::parse(include_str!("../../config/keyward.toml"), Path::new("config")).unwrap();
    let least = LEAST.replace("'p'", "'../policies'").replace("i.toml", "identities.toml");
    let least = least.replace("'d'", "'../.keyward'");
    let mut defaults = Settings::parse(&least, Path::new("config")).unwrap();
    defaults.kms.account = shipped.kms.account.clone();
    defaults.kms.seed = Some("config/seed.toml".into());
    defaults.authorization.explain_denials = true;
    assert_eq!(shipped, defaults);
}

#[test]
fn every_mistake_is_reported_at_its_place() {
    let text = format!(
        "{LEAST}[listen]\napi = '0.0.0.0:1'\nadmin = 'localhost'\n[limits]\nbody_bytes = 0\nbody = 1\n[log]\nformat = 'xml'\nlevel = 'inof'\naudit = 'stdot'\n"
    );
    assert_eq!(
        problems(&text),
        [
            "8:7: `listen.api` is reachable from other machines; if you mean it, set beyond_loopback = true",
            "9:9: `listen.admin` must be an IP address with a port, such as \"127.0.0.1:7480\"",
            "11:14: `limits.body_bytes` must be a whole number from 1024 to 16777216",
            "12:1: unknown entry `limits.body`; did you mean `body_bytes`?",
            "14:10: `log.format` must be \"text\" or \"json\"",
            "15:9: `log.level` holds `inof`, which is no level; did you mean `info`?",
            "16:9: `log.audit` must be \"stdout\", \"stderr\", \"off\" or a path with a / in it, such as \"./audit.jsonl\"",
        ]
    );
    assert!(problems(&text.replace("[listen]", "[listen]\nbeyond_loopback = true"))[0].contains("listen.admin"));
}

#[test]
fn what_is_missing_is_said() {
    let expected = [
        "1:1: `kms.account` is missing: the account that owns the keys, for example \"1234567890123456\"",
        "1:1: `kms.data` is missing: the folder where the embedded KMS keeps keys and secrets",
        "1:1: `policies.directory` is missing: the folder with keys/, secrets/ and ram/",
        "1:1: `policies.identities` is missing: the file that says who may call",
    ];
    assert_eq!(problems(""), expected);
}
