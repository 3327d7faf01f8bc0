//! What keeps a gateway from working and shows in files: authorities without a certificate, secrets that are not there or
//! open to others. Opens no connection and fetches nothing.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::settings::{Settings, read_text};
use crate::source::{Problem, shown};
use crate::store::read_private;

/// Everything that can be said without asking KMS, each at the place of its setting.
pub fn check_files(settings: &Settings) -> Vec<Problem> {
    let Some(upstream) = &settings.upstream else { return Vec::new() };
    let mut problems = Vec::from_iter(check_authorities(settings).err());
    let own = upstream.credentials.own.iter().map(|(_, source)| ("upstream.credentials".to_owned(), source));
    let callers = upstream.credentials.callers.iter().enumerate();
    let callers = callers.map(|(at, (.., source))| (format!("upstream.callers.{at}.credentials"), source));
    for (section, source) in own.chain(callers) {
        for (name, path) in source.secret_files() {
            if let Err(why) = read_private(path) {
                let why = format!("names {}, which {why}", shown(path));
                problems.push(settings.written.problem(&format!("{section}.{name}"), &why));
            }
        }
    }
    problems
}

/// Whether the authorities of KMS's certificate can be used. pingora takes that for granted.
///
/// # Errors
/// Why not, at the place of the setting.
pub fn check_authorities(settings: &Settings) -> Result<(), Problem> {
    let Some(path) = settings.upstream.as_ref().and_then(|upstream| upstream.ca.as_ref()) else { return Ok(()) };
    let wrong = |why| settings.written.problem("upstream.ca", &format!("names {}, which {why}", shown(path)));
    usable_authorities(path).map_err(wrong)
}

fn usable_authorities(path: &Path) -> Result<(), String> {
    let text = read_text(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| format!("holds an unusable certificate: {error}"))?;
    }
    if roots.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are looked at")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            fs::write(folder.path().join(name), text).unwrap();
            fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).unwrap();
        };
        write("empty.pem", "no certificate\n", 0o644);
        write("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644);
        write("open", "s\n", 0o644);
        write("closed", "s\n", 0o600);
        let least = "[kms]\naccount = '1'\ndata = 'd'\n[policies]\ndirectory = 'p'\nidentities = 'i.toml'\n[upstream]\n\
                     endpoint = 'https://kms.example'\n";
        let key =
            |secret: &str| format!("credentials = {{ source = 'access_key', id = 'I', secret_file = '{secret}' }}\n");
        let caller = |secret: &str| format!("[[upstream.callers]]\narn = 'acs:ram::1:user/a'\n{}", key(secret));
        for (text, expected) in [
            (key("closed"), None),
            (key("closed") + &caller("closed"), None),
            (key("open"), Some("9:64: `upstream.credentials.secret_file` names")),
            (key("none"), Some("none, which is not there")),
            (key("closed") + &caller("open"), Some("12:64: `upstream.callers.credentials.secret_file` names")),
            ("ca = 'none.pem'\n".to_owned() + &key("closed"), Some("9:6: `upstream.ca` names")),
            ("ca = 'empty.pem'\n".to_owned() + &key("closed"), Some("which holds no certificate in PEM")),
            ("ca = 'odd.pem'\n".to_owned() + &key("closed"), Some("which holds an unusable certificate")),
        ] {
            let settings = Settings::parse(&format!("{least}{text}"), folder.path()).unwrap();
            let problems: Vec<String> = check_files(&settings).iter().map(ToString::to_string).collect();
            match expected {
                None => assert_eq!(problems, [""; 0], "{text}"),
                Some(part) => assert!(problems.len() == 1 && problems[0].contains(part), "{text}: {problems:?}"),
            }
        }
    }
}
