//! Who is identified, and why others are not: signatures, sessions, certificates, user ids.

use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::kms::{ClientCertificate, Params, Scheme};

const NOW: &str = "2026-01-02T03:04:05Z";

const DIRECTORY: &str = "
    [accounts.1.users.alice]
    access_keys = [{ id = 'alice', secret = 'secret' }, { id = 'old', secret = 'secret', active = false }]
    certificates = [{ uri = 'spiffe://example/alice' }, { dns = 'Alice.example' }]
    unix_users = [1000]
    [accounts.1.users.bob]
    access_keys = [{ id = 'bob', secret = 'secret' }]
    certificates = [{ spki_sha256 = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }]
    [accounts.1.roles.App]
    certificates = [{ dns = 'app.example' }]
    unix_users = [2000]
";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn directory() -> Directory {
    Directory::parse(DIRECTORY, &|_| Err(String::new())).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Who signs, and what is known of the connection.
struct Ask<'a> {
    access_key_id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
    timestamp: &'a str,
    origin: Origin,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { access_key_id: "alice", secret: "secret", token: None, timestamp: NOW, origin: Origin::default() }
    }
}

impl Ask<'_> {
    /// Who it is, or why nobody is identified.
    fn answer(&self, sessions: Option<&SessionKey>) -> String {
        let secret = self.secret.into();
        let signer = Signer {
            access_key_id: self.access_key_id,
            secret: &secret,
            security_token: self.token,
            timestamp: self.timestamp,
            nonce: "n",
        };
        let params = if self.access_key_id.is_empty() {
            [("Action", "ListKeys"), ("Version", "2016-01-20")].into_iter().collect()
        } else {
            signer.rpc("ListKeys", "JSON", &Params::default())
        };
        let target = format!("/?{}", params.canonical());
        let headers = HeaderMap::new();
        let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: &self.origin };
        let request = KmsRequest::parse(&raw).unwrap();
        let (directory, rules) = (directory(), IdentityRules::default());
        let authority = Authority { directory: &directory, sessions, rules: &rules };
        match identify(&authority, &raw, &request, now()) {
            Ok(caller) => format!("{} {}", caller.principal, caller.proof.as_str()),
            Err(why) => why.reason().to_owned(),
        }
    }
}

/// G07: the documented format and window, and nothing else.
#[test]
fn the_time_of_signing_must_be_near() {
    let now: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
    for (timestamp, expected) in [
        ("2026-01-02T03:00:00Z", None),
        ("2026-01-02T03:00:00.123Z", None),
        ("2026-01-02T03:14:59Z", None),
        ("2026-01-02T03:15:00Z", None),
        ("2026-01-02T02:45:00Z", None),
        ("2026-01-02T03:15:01Z", Some(Unidentified::TimestampExpired)),
        ("2026-01-02T02:44:59Z", Some(Unidentified::TimestampExpired)),
        ("9999-01-02T02:44:59Z", Some(Unidentified::TimestampExpired)),
        ("", Some(Unidentified::TimestampMissing)),
        ("2026-01-02 03:00:00Z", Some(Unidentified::TimestampMalformed)),
        ("2026-01-02T03:00:00+00:00", Some(Unidentified::TimestampMalformed)),
        ("2026-01-02T03:00:00", Some(Unidentified::TimestampMalformed)),
        ("2026-01-02T03:00:60Z", Some(Unidentified::TimestampMalformed)),
        ("2026-01-02T03:00:00,123Z", Some(Unidentified::TimestampMalformed)),
        ("2026-01-02T030000.123456Z", Some(Unidentified::TimestampMalformed)),
        ("2026-02-30T03:00:00Z", Some(Unidentified::TimestampMalformed)),
        ("Fri, 02 Jan 2026 03:00", Some(Unidentified::TimestampMalformed)),
    ] {
        assert_eq!(check_time(timestamp, now).err(), expected, "{timestamp}");
    }
}

/// G02, G11: access keys, tokens, and what does not go together.
#[test]
fn only_the_holder_of_a_key_is_identified() {
    let key = SessionKey::new(&[7; 32]);
    let session = |role: &str, expires: &str| {
        let expires = expires.parse().unwrap();
        let session = Session {
            account: "1".into(),
            role: role.into(),
            name: "s1".into(),
            expires,
            begun_by: "acs:ram::1:user/alice".into(),
            policy: None,
        };
        key.seal(&session, [1; 12]).unwrap()
    };
    let good = session("app", "2026-01-02T03:04:06Z");
    let other = key.seal(&Session { name: "s2".into(), ..key.open(&good.security_token).unwrap().0 }, [2; 12]).unwrap();
    let (over, gone) = (session("app", NOW), session("gone", "2027-01-01T00:00:00Z"));
    let foreign = SessionKey::new(&[8; 32]).seal(&key.open(&good.security_token).unwrap().0, [1; 12]).unwrap();
    let secret =
        |credentials: &SessionCredentials| secrecy::ExposeSecret::expose_secret(&credentials.secret).to_owned();
    let cut = good.security_token.get(..good.security_token.len() - 4).unwrap();
    for (id, secret, token, expected) in [
        ("alice", "secret", None, "acs:ram::1:user/alice signature_v1"),
        ("alice", "Secret", None, "signature_mismatch"),
        ("old", "secret", None, "inactive_access_key"),
        ("mallory", "secret", None, "unknown_access_key"),
        (
            &*good.access_key_id,
            &*secret(&good),
            Some(&*good.security_token),
            "acs:ram::1:assumed-role/app/s1 signature_v1",
        ),
        (&*good.access_key_id, "secret", Some(&*good.security_token), "signature_mismatch"),
        (&*good.access_key_id, &*secret(&good), Some(cut), "token_malformed"),
        (&*good.access_key_id, &*secret(&good), None, "token_missing"),
        (&*good.access_key_id, &*secret(&good), Some(&*other.security_token), "token_mismatch"),
        (&*over.access_key_id, &*secret(&over), Some(&*over.security_token), "token_expired"),
        (&*gone.access_key_id, &*secret(&gone), Some(&*gone.security_token), "unknown_role"),
        (&*foreign.access_key_id, &*secret(&foreign), Some(&*foreign.security_token), "token_malformed"),
        ("alice", "secret", Some(&*good.security_token), "token_mismatch"),
        ("mallory", "secret", Some("nonsense"), "token_malformed"),
    ] {
        let ask = Ask { access_key_id: id, secret, token, ..Ask::default() };
        assert_eq!(ask.answer(Some(&key)), expected, "{id} {token:?}");
    }
    let token = Some(&*good.security_token);
    let ask = Ask { access_key_id: &good.access_key_id, secret: &secret(&good), token, ..Ask::default() };
    assert_eq!(ask.answer(None), "token_malformed", "no sessions, no tokens");
}

fn certificate(uris: &[&str], dns_names: &[&str], spki: &str) -> Option<Arc<ClientCertificate>> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Arc::new(ClientCertificate {
        uris: owned(uris),
        dns_names: owned(dns_names),
        spki_sha256: spki.repeat(64),
        expires: "2026-01-02T03:04:06Z".parse().unwrap(),
    }))
}

/// G14, I03: what the connection proves, alone and beside a signature. The common name proves nobody.
#[test]
fn certificates_and_user_ids_prove_who_is_in_the_directory() {
    let by = |certificate, uid| Origin { certificate, uid, ..Origin::default() };
    let expired = certificate(&["spiffe://example/alice"], &[], "b")
        .map(|it| Arc::new(ClientCertificate { expires: now(), ..(*it).clone() }));
    for (origin, signer, expected) in [
        (by(None, None), "", "unsigned"),
        (by(certificate(&["spiffe://example/alice"], &[], "b"), None), "", "acs:ram::1:user/alice certificate"),
        (by(certificate(&[], &["alice.example"], "b"), None), "", "acs:ram::1:user/alice certificate"),
        (by(certificate(&[], &[], "a"), None), "", "acs:ram::1:user/bob certificate"),
        (by(certificate(&[], &["app.example"], "b"), None), "", "acs:ram::1:assumed-role/app/certificate certificate"),
        (by(certificate(&["spiffe://example/Alice"], &[], "b"), None), "", "unsigned"),
        (by(certificate(&[], &["*.example"], "b"), None), "", "unsigned"),
        (by(certificate(&[], &[], "b"), None), "", "unsigned"),
        (by(certificate(&["spiffe://example/alice"], &[], "a"), None), "", "two_identities"),
        (by(expired.clone(), None), "", "certificate_expired"),
        (by(expired, None), "alice", "certificate_expired"),
        (by(certificate(&["spiffe://example/alice"], &[], "b"), None), "alice", "acs:ram::1:user/alice signature_v1"),
        (by(certificate(&["spiffe://example/alice"], &[], "b"), None), "bob", "two_identities"),
        (by(certificate(&[], &[], "b"), None), "bob", "acs:ram::1:user/bob signature_v1"),
        (by(None, Some(1000)), "", "acs:ram::1:user/alice unix_peer"),
        (by(None, Some(2000)), "", "acs:ram::1:assumed-role/app/uid-2000 unix_peer"),
        (by(None, Some(0)), "", "unsigned"),
        (by(None, Some(1000)), "bob", "two_identities"),
        (by(None, Some(0)), "bob", "acs:ram::1:user/bob signature_v1"),
    ] {
        let ask = Ask { access_key_id: signer, origin: origin.clone(), ..Ask::default() };
        assert_eq!(ask.answer(None), expected, "{origin:?} {signer}");
    }
}

/// A connection proves its sender, not whoever talks through it.
#[test]
fn what_came_through_a_proxy_or_a_browser_has_to_be_signed() {
    for (header, expected) in [
        ("accept", "acs:ram::1:user/alice"),
        ("x-sdk-client", "acs:ram::1:user/alice"),
        ("origin", "foreign"),
        ("referer", "foreign"),
        ("sec-fetch-site", "foreign"),
        ("cookie", "foreign"),
        ("x-forwarded-for", "foreign"),
        ("forwarded", "foreign"),
        ("via", "foreign"),
        ("x-real-ip", "foreign"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header, "x".parse().unwrap());
        let origin = Origin { uid: Some(1000), ..Origin::default() };
        let target = "/?Action=ListKeys&Version=2016-01-20";
        let raw = RawRequest { method: "GET", target, headers: &headers, body: b"", origin: &origin };
        let request = KmsRequest::parse(&raw).unwrap();
        let (directory, rules) = (directory(), IdentityRules::default());
        let authority = Authority { directory: &directory, sessions: None, rules: &rules };
        let found = identify(&authority, &raw, &request, now()).map(|caller| caller.principal.to_string());
        assert_eq!(found.unwrap_or_else(|why| why.reason().to_owned()), expected, "{header}");
    }
}

/// Who is known by the connection may use a session that it began; another's stays another's.
#[test]
fn a_session_may_be_used_by_who_began_it() {
    let key = SessionKey::new(&[7; 32]);
    for (begun_by, uid, expected) in [
        ("acs:ram::1:user/alice", Some(1000), "acs:ram::1:assumed-role/app/s1 signature_v1"),
        ("acs:ram::1:user/bob", Some(1000), "two_identities"),
        ("", Some(1000), "acs:ram::1:assumed-role/app/s1 signature_v1"),
        ("acs:ram::1:user/bob", Some(2000), "acs:ram::1:assumed-role/app/s1 signature_v1"),
        ("acs:ram::1:user/bob", None, "acs:ram::1:assumed-role/app/s1 signature_v1"),
    ] {
        let session = Session {
            account: "1".into(),
            role: "app".into(),
            name: "s1".into(),
            expires: "2027-01-01T00:00:00Z".parse().unwrap(),
            begun_by: begun_by.into(),
            policy: None,
        };
        let made = key.seal(&session, [1; 12]).unwrap();
        let ask = Ask {
            access_key_id: &made.access_key_id,
            secret: secrecy::ExposeSecret::expose_secret(&made.secret),
            token: Some(&made.security_token),
            origin: Origin { uid, ..Origin::default() },
            ..Ask::default()
        };
        assert_eq!(ask.answer(Some(&key)), expected, "{begun_by} {uid:?}");
    }
}

#[test]
fn a_trusted_upstream_verifies_signatures_and_not_the_rest() {
    let (directory, rules) = (directory(), IdentityRules { trust_upstream: true, ..IdentityRules::default() });
    for (id, expected) in
        [("alice", Ok(Proof::Upstream)), ("old", Err("inactive_access_key")), ("x", Err("unknown_access_key"))]
    {
        let all: Params = [
            ("Action", "ListKeys"),
            ("Version", "2016-01-20"),
            ("AccessKeyId", id),
            ("Signature", "bm9uZQ=="),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", NOW),
        ]
        .into_iter()
        .collect();
        let target = format!("/?{}", all.canonical());
        let raw = RawRequest {
            method: "POST",
            target: &target,
            headers: &HeaderMap::new(),
            body: b"",
            origin: Origin::unknown(),
        };
        let request = KmsRequest::parse(&raw).unwrap();
        let authority = Authority { directory: &directory, sessions: None, rules: &rules };
        let found = identify(&authority, &raw, &request, now()).map(|caller| caller.proof);
        assert_eq!(found.map_err(|why| why.reason()), expected, "{id}");
    }
}

/// A nonce-less request is made unique by its signature.
#[test]
fn every_signature_says_what_makes_it_unique() {
    for nonce in ["", "&SignatureNonce=n", "&SignatureNonce="] {
        let target = format!(
            "/?Action=ListKeys&Version=2016-01-20&AccessKeyId=a&Signature=s&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0{nonce}"
        );
        let raw = RawRequest {
            method: "POST",
            target: &target,
            headers: &HeaderMap::new(),
            body: b"",
            origin: Origin::unknown(),
        };
        let Scheme::Rpc(signature) = KmsRequest::parse(&raw).unwrap().scheme else { panic!("it is V1") };
        let expected = if nonce.ends_with('n') { "n" } else { "s" };
        assert_eq!(Scheme::Rpc(signature).once(), expected, "{nonce}");
    }
}
