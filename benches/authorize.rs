//! How long the whole path takes without a socket: from the bytes of a request to the verdict, for each signature
//! scheme, and its largest parts beside it in the same run.
//!
//! `cargo bench --bench authorize`

#![expect(clippy::panic, reason = "a measuring program stops where it cannot go on")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use hashbrown::HashMap;
use http::HeaderMap;
use jiff::Timestamp;
use keyward::authn::{AcsParts, Directory, Signer, acs_signature, identify, payload_hash};
use keyward::authz::{PolicyTable, ResourceIndex, Rules, Snapshot, authorize, parse_policy};
use keyward::kms::{KmsRequest, Params, RawRequest};
use keyward::policy::{Kind, Policy};

const ACCOUNT: &str = "1234567890123456";
const KEY: &str = "key-exampleorders01";

struct Wire {
    target: String,
    headers: HeaderMap,
}

impl Wire {
    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: "POST",
            target: &self.target,
            headers: &self.headers,
            body: b"",
            peer: None,
            secure: false,
        }
    }
}

fn own_params() -> Params {
    [("KeyId", KEY), ("Plaintext", "aGVsbG8gd29ybGQgPz5+")].into_iter().collect()
}

fn v1(now: Timestamp) -> Wire {
    let (timestamp, secret) = (now.to_string(), "s".into());
    let nonce = "3d9dc4572181661b8687d48793c3ca2d";
    let signer = Signer { access_key_id: "K", secret: &secret, timestamp: &timestamp, nonce };
    let signed = signer.rpc("Encrypt", "JSON", &own_params());
    Wire { target: format!("/?{}", signed.canonical()), headers: HeaderMap::new() }
}

fn v3(now: Timestamp) -> Wire {
    let query = own_params().canonical();
    let hash = payload_hash(b"");
    let timestamp = now.to_string();
    let headers = [
        ("host", "127.0.0.1:7480"),
        ("x-acs-action", "Encrypt"),
        ("x-acs-content-sha256", &hash),
        ("x-acs-date", &timestamp),
        ("x-acs-signature-nonce", "3d9dc4572181661b8687d48793c3ca2d"),
        ("x-acs-version", "2016-01-20"),
    ];
    let canonical_headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let signed_headers = headers.map(|(name, _)| name).join(";");
    let parts = AcsParts {
        method: "POST",
        canonical_query: &query,
        canonical_headers: &canonical_headers,
        signed_headers: &signed_headers,
        payload_hash: &hash,
    };
    let signature = acs_signature(&"s".into(), &parts);
    let authorization = format!("ACS3-HMAC-SHA256 Credential=K,SignedHeaders={signed_headers},Signature={signature}");
    let mut map = HeaderMap::new();
    for (name, value) in headers.into_iter().chain([("authorization", authorization.as_str())]) {
        map.insert(name, value.parse().unwrap_or_else(|_| panic!("{name}")));
    }
    Wire { target: format!("/?{query}"), headers: map }
}

fn snapshot(keys: usize) -> Snapshot {
    let directory = format!("[accounts.{ACCOUNT}.users.alice]\naccess_keys = [{{ id = 'K', secret = 's' }}]");
    let directory = Directory::parse(&directory, &|_| Err(String::new())).unwrap_or_else(|why| panic!("{why:?}"));
    let text = format!(
        r#"{{"Version":"1","Statement":[
            {{"Effect":"Allow","Principal":{{"RAM":["acs:ram::{ACCOUNT}:*"]}},"Action":["kms:*"],"Resource":["*"]}},
            {{"Effect":"Allow","Principal":{{"RAM":["acs:ram::{ACCOUNT}:user/alice"]}},"Action":["kms:Encrypt"],
              "Resource":["*"]}}]}}"#
    );
    let policy = Arc::new(parse_policy(Kind::Key, "bench", &text).unwrap_or_else(|why| panic!("{why:?}")));
    let mut of_account: HashMap<String, Arc<Policy>> =
        (0..keys).map(|key| (format!("key-{key:08}"), policy.clone())).collect();
    of_account.insert(KEY.to_owned(), policy);
    let policies = PolicyTable {
        keys: HashMap::from_iter([(ACCOUNT.to_owned(), of_account)]),
        members: directory.members().iter().map(|_| Box::default()).collect(),
        ..PolicyTable::default()
    };
    Snapshot {
        generation: 1,
        directory: Arc::new(directory),
        policies: Arc::new(policies),
        index: ResourceIndex::default(),
        rules: Arc::new(Rules { region: "cn-hangzhou".into(), ..Rules::default() }),
    }
}

fn whole_path(criterion: &mut Criterion) {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap_or_else(|error| panic!("{error}"));
    let mut group = criterion.benchmark_group("authorize");
    for (name, wire) in [("v1", v1(now)), ("v3", v3(now))] {
        let snapshot = snapshot(1_000);
        let raw = wire.raw();
        assert!(authorize(&snapshot, &raw, now).verdict.is_ok(), "{name}");
        group.bench_function(format!("{name} whole path"), |bencher| {
            bencher.iter(|| black_box(authorize(&snapshot, black_box(&raw), now).verdict.is_ok()));
        });
        group.bench_function(format!("{name} read"), |bencher| {
            bencher.iter(|| black_box(KmsRequest::parse(black_box(&raw)).is_ok()));
        });
        let request = KmsRequest::parse(&raw).unwrap_or_else(|error| panic!("{error:?}"));
        group.bench_function(format!("{name} identify"), |bencher| {
            bencher.iter(|| black_box(identify(&snapshot.directory, &raw, black_box(&request), now).is_ok()));
        });
    }
    group.finish();
}

criterion_group!(benches, whole_path);
criterion_main!(benches);
