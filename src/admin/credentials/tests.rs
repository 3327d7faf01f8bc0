//! The guard of credentials (threats I05, I06, I08), and what is behind it.

#![expect(clippy::disallowed_methods, reason = "a token is a file")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use prometheus::Opts;

use super::*;
use crate::authn::SessionKey;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn vending(folder: &Path, at: CredentialsDoor) -> Vending {
    fs::create_dir_all(folder.join("policies")).unwrap();
    fs::write(folder.join("identities.toml"), "[accounts.1.roles.app]\n").unwrap();
    let store = Arc::new(Store::of_folder(folder, "cn-hangzhou", "1").unwrap());
    store.publish_sessions(Arc::new(SessionKey::new(&[7; 32])));
    let settings = settings::Credentials {
        at,
        role: ("1".into(), "app".into()),
        session_name: "keyward".into(),
        duration: Duration::from_secs(3600),
    };
    let vended = IntCounterVec::new(Opts::new("vended", "vended"), &["result"]).unwrap();
    Vending::new(store, settings, "127.0.0.1:7482".parse().ok(), vended).unwrap()
}

fn loopback(folder: &Path) -> Vending {
    let token = folder.join("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    vending(folder, CredentialsDoor::Loopback("127.0.0.1:7482".parse().unwrap(), token))
}

fn status(vending: &Vending, method: &str, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    let mut map = HeaderMap::new();
    for (name, value) in [("host", "127.0.0.1")].iter().chain(headers) {
        map.insert(*name, value.parse().unwrap());
    }
    vending.page(method, path, &map).status
}

/// I06: a request that an application was tricked into sending gets nothing.
#[test]
fn only_who_knows_the_token_and_asks_directly_gets_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let vending = loopback(folder.path());
    let good = format!("/credentials/{TOKEN}");
    for (method, path, headers, expected) in [
        ("GET", good.as_str(), &[][..], 200),
        ("GET", &good, &[("host", "127.0.0.1:7482")], 200),
        ("GET", &good, &[("host", "localhost:7482")], 200),
        ("GET", &good, &[("host", "evil.example")], 421),
        ("GET", &good, &[("x-forwarded-for", "10.0.0.1")], 403),
        ("GET", &good, &[("forwarded", "for=10.0.0.1")], 403),
        ("GET", &good, &[("via", "1.1 proxy")], 403),
        ("GET", &good, &[("origin", "http://evil.example")], 403),
        ("GET", &good, &[("sec-fetch-site", "cross-site")], 403),
        ("POST", &good, &[], 405),
        ("GET", "/credentials", &[], 403),
        ("GET", "/credentials/", &[], 403),
        ("GET", "/credentials/0123456789abcdef0123456789abcdeF", &[], 403),
        ("GET", &format!("{good}/"), &[], 403),
        ("GET", "/", &[], 404),
        ("GET", &format!("/CREDENTIALS/{TOKEN}"), &[], 404),
    ] {
        assert_eq!(status(&vending, method, path, headers), expected, "{method} {path} {headers:?}");
    }
}

#[test]
fn credentials_have_the_shape_that_sdks_read() {
    let folder = tempfile::tempdir().unwrap();
    let page = loopback(folder.path()).credentials().unwrap_or_else(|why| panic!("{why}"));
    let members: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(members["Code"], "Success");
    let (session, credentials) = SessionKey::new(&[7; 32]).open(members["SecurityToken"].as_str().unwrap()).unwrap();
    assert_eq!((session.role.as_str(), session.name.as_str(), session.policy), ("app", "keyward", None));
    assert_eq!(members["AccessKeyId"], credentials.access_key_id);
    assert_eq!(members["AccessKeySecret"], credentials.secret.expose_secret());
    assert_eq!(members["Expiration"].as_str().unwrap().len(), "2026-01-02T03:04:05Z".len());
}

/// I08: a token that is replaced, opened, emptied or weakened while the process runs.
#[test]
fn a_token_is_in_force_as_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let vending = loopback(folder.path());
    let file = folder.path().join("token");
    let other = "fedcba9876543210fedcba9876543210";
    for (text, mode, token, expected) in [
        (TOKEN, 0o600, TOKEN, 200),
        (other, 0o600, TOKEN, 403),
        (other, 0o600, other, 200),
        (other, 0o644, other, 503),
        ("", 0o600, "", 503),
        ("changeme", 0o600, "changeme", 503),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0o600, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 503),
    ] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert_eq!(status(&vending, "GET", &format!("/credentials/{token}"), &[]), expected, "{text} {mode:o}");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_token_is_made_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/token");
    let at = CredentialsDoor::Loopback("127.0.0.1:7482".parse().unwrap(), file.clone());
    let vending = vending(folder.path(), at);
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(status(&vending, "GET", &format!("/credentials/{}", token.trim_end()), &[]), 200);
}

/// I05: another user's process.
#[test]
fn at_a_unix_socket_the_user_counts() {
    let folder = tempfile::tempdir().unwrap();
    let socket = settings::Socket { path: folder.path().join("s"), mode: 0o666 };
    let vending = vending(folder.path(), CredentialsDoor::Socket(socket, vec![1000]));
    assert!(vending.admits(Some(1000)) && !vending.admits(Some(1001)) && !vending.admits(None));
    assert_eq!(status(&vending, "GET", "/credentials", &[("host", "127.0.0.1:7482")]), 200);
}
