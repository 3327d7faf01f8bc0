//! How long the whole path takes without a socket: from the bytes of a request to the verdict, for each way to sign, and
//! its largest parts beside it in the same run. The requests are those that official clients really sent.
//!
//! `cargo bench --bench authorize`

#![expect(clippy::panic, clippy::unwrap_used, reason = "a measuring program stops where it cannot go on")]

#[path = "../tests/it/recordings/recording.rs"]
#[expect(dead_code, reason = "the tests ask more of a recording")]
mod recording;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use jiff::Timestamp;
use keyward::authn::{Directory, Session, SessionKey, Signer, identify};
use keyward::authz::{PolicyTable, ResourceIndex, Rules, Snapshot, Validity, Version, authorize, parse_policy};
use keyward::kms::{KmsRequest, Origin, Params, RawRequest};
use keyward::policy::Kind;
use recording::Recording;

/// A small request of each algorithm, by an official client.
const RECORDINGS: &[(&str, &str)] = &[
    ("HMAC-SHA1", "py-classic-06"),
    ("SHA256withRSA", "java-classic-20"),
    ("ACS3-HMAC-SHA256", "py-tea-331-06"),
    ("ACS3-HMAC-SM3", "java-classic-19"),
    ("ACS3-RSA-SHA256", "py-tea-331-35"),
    ("ACS4-HMAC-SHA256", "py-tea-331-40"),
    ("client key", "go-secretsmanager-01"),
];

/// Everybody in the directory may do everything.
fn snapshot(directory: Directory, sessions: Option<SessionKey>) -> Snapshot {
    let text = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:*"],"Resource":["*"]}]}"#;
    let policy = Arc::new(parse_policy(Kind::Ram, "bench", text).unwrap_or_else(|why| panic!("{why:?}")));
    let members = directory.members().iter().map(|_| [policy.clone()].into()).collect();
    Snapshot {
        version: Version { generation: 1, hash: "bench".into() },
        validity: Validity::default(),
        directory: Arc::new(directory),
        sessions: sessions.map(Arc::new),
        policies: Arc::new(PolicyTable { members, ..PolicyTable::default() }),
        index: ResourceIndex::default(),
        rules: Arc::new(Rules { region: "cn-hangzhou".into(), ..Rules::default() }),
    }
}

fn measure(criterion: &mut Criterion, name: &str, snapshot: &Snapshot, raw: &RawRequest<'_>, now: Timestamp) {
    let mut group = criterion.benchmark_group(name);
    // The client key's recording names a secret in a way that is refused after its sender is known.
    let judgement = authorize(snapshot, raw, now);
    assert!(judgement.trail.caller.is_some(), "{name}: {:?}", judgement.verdict);
    group.bench_function("whole path", |bencher| {
        bencher.iter(|| black_box(authorize(snapshot, black_box(raw), now).trail.caller.is_some()));
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| black_box(KmsRequest::parse(black_box(raw)).is_ok()));
    });
    let (request, authority) = (KmsRequest::parse(raw).unwrap(), snapshot.authority());
    group.bench_function("identify", |bencher| {
        bencher.iter(|| black_box(identify(&authority, raw, black_box(&request), now).is_ok()));
    });
    group.finish();
}

fn each_way_to_sign(criterion: &mut Criterion) {
    for (name, id) in RECORDINGS {
        let recording = Recording::named(id);
        let snapshot = snapshot(recording.credentials.directory(), None);
        recording.with_raw(|raw| measure(criterion, name, &snapshot, raw, recording.now()));
    }
}

/// A role session: its token is opened, and its policy read, for each request.
fn sessions(criterion: &mut Criterion) {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let directory =
        || Directory::parse("[accounts.1.roles.app]", &|_| Err(String::new())).unwrap_or_else(|why| panic!("{why:?}"));
    let narrow = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"*"}]}"#;
    for (name, policy) in [("session", None), ("session with a policy", Some(narrow.to_owned()))] {
        let key = SessionKey::new(&[7; 32]);
        let expires = "2026-01-02T04:04:05Z".parse().unwrap();
        let session = Session {
            account: "1".into(),
            role: "app".into(),
            name: "s1".into(),
            expires,
            begun_by: String::new(),
            policy,
        };
        let credentials = key.seal(&session, [1; 12]).unwrap_or_else(|why| panic!("{why:?}"));
        let signer = Signer {
            access_key_id: &credentials.access_key_id,
            secret: &credentials.secret,
            security_token: Some(&credentials.security_token),
            timestamp: &now.to_string(),
            nonce: "3d9dc4572181661b8687d48793c3ca2d",
        };
        let own: Params = [("KeyId", "alias/my-key_1")].into_iter().collect();
        let target = format!("/?{}", signer.rpc("DescribeKey", "JSON", &own).canonical());
        let headers = HeaderMap::new();
        let raw =
            RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: Origin::unknown() };
        measure(criterion, name, &snapshot(directory(), Some(key)), &raw, now);
    }
}

criterion_group!(benches, each_way_to_sign, sessions);
criterion_main!(benches);
