//! Callers that the settings give credentials to, and that are nobody here. Whoever is nobody never calls.

use crate::authn::Directory;
use crate::kms::role_arn;
use crate::settings::Settings;
use crate::source::{Problem, shown, suggest};

/// Those of them that the directory does not have, each at its place in the settings; and the role whose sessions are handed
/// out, if it is not there.
pub fn unknown_callers(settings: &Settings, directory: &Directory) -> Vec<Problem> {
    // Whoever cannot be read is not missing.
    if directory.account_count() == 0 {
        return Vec::new();
    }
    let callers = settings.upstream.iter().flat_map(|upstream| &upstream.credentials.callers).enumerate();
    let callers = callers.map(|(at, (arn, ..))| (format!("upstream.callers.{at}.arn"), arn.clone()));
    let vended = settings.credentials.iter().map(|vended| {
        let (account, role) = &vended.role;
        ("credentials.role".to_owned(), role_arn(account, role))
    });
    let known: Vec<String> = directory.members().iter().map(|member| member.principal.role_arn()).collect();
    let identities = shown(&settings.policies.identities);
    let unknown = callers.chain(vended).filter(|(_, arn)| !known.contains(arn)).map(|(setting, arn)| {
        // Compared by their names alone: all ARNs are alike.
        let (kind, name) = arn.rsplit_once('/').unwrap_or((&arn, ""));
        let of_kind = known.iter().filter_map(|known| known.rsplit_once('/')).filter(|(it, _)| *it == kind);
        let hint = suggest(name, of_kind.map(|(_, name)| name));
        let hint = if hint.contains("did you mean") { &hint } else { "; write one who is there, or remove the entry" };
        settings.written.problem(&setting, &format!("names {arn}, who is not in {identities}{hint}"))
    });
    unknown.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn callers_that_nobody_is_are_named() {
        let text = "[accounts.1.users.alice]\n[accounts.1.roles.app]\ntrust = ['acs:ram::1:root']\n";
        let directory = Directory::parse(text, &|_| Err(String::new())).unwrap_or_else(|it| panic!("{it:?}"));
        for (arn, expected) in [
            ("acs:ram::1:user/alice", None),
            ("acs:ram::1:role/App", None),
            ("acs:ram::1:root", None),
            ("acs:ram::1:user/Alice", Some("did you mean `alice`?")),
            ("acs:ram::2:root", Some("who is not in /etc/i.toml; write one who is there")),
            ("acs:ram::1:user/zoe", Some("11:7: `upstream.callers.arn` names acs:ram::1:user/zoe, who is not in")),
        ] {
            let text = format!(
                "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n[upstream]\n\
                 endpoint = 'https://kms.example'\nsign_as = 'caller'\n[[upstream.callers]]\narn = '{arn}'\n\
                 credentials = {{ source = 'environment' }}\n"
            );
            let settings = Settings::parse(&text, Path::new("/etc")).unwrap();
            let problems: Vec<String> =
                unknown_callers(&settings, &directory).iter().map(ToString::to_string).collect();
            match expected {
                None => assert_eq!(problems, [""; 0], "{arn}"),
                Some(part) => assert!(problems.len() == 1 && problems[0].contains(part), "{arn}: {problems:?}"),
            }
        }
        let vended = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n[credentials]\n\
                      role = 'acs:ram::1:role/apq'\nlisten = '127.0.0.1:1'\ntoken_file = 't'\n";
        let problems = unknown_callers(&Settings::parse(vended, Path::new("/etc")).unwrap(), &directory);
        let expected =
            "8:8: `credentials.role` names acs:ram::1:role/apq, who is not in /etc/i.toml; write one who is there";
        assert!(problems.len() == 1 && problems[0].to_string().contains(expected), "{problems:?}");
    }
}
