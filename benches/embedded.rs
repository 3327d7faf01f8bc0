//! How long the embedded KMS takes to execute what was permitted, without a socket and without judging, and beside it
//! the cipher alone, in the same run. Reads are measured once more while somebody writes without a pause: they do not wait.
//!
//! `cargo bench --bench embedded`

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a measuring program: it makes a folder of its own, and stops where it cannot go on"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, Generate, KeyInit};
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use jiff::Timestamp;
use keyward::authn::Signer;
use keyward::authz::{Permit, authorize};
use keyward::kms::{Origin, Params, RawRequest};
use keyward::local_kms::LocalKms;
use keyward::settings::Settings;
use keyward::store::Store;

const SETTINGS: &str = "
[kms]
region = 'cn-hangzhou'
account = '1'
data = 'data'
seed = 'seed.toml'
[policies]
directory = 'policies'
identities = 'identities.toml'
";

const IDENTITIES: &str = "
[accounts.1.users.alice]
policies = ['Everything']
access_keys = [{ id = 'K1', secret = 's1' }]
";

const EVERYTHING: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;

const SEED: &str = "
[keys.key-seals]
[keys.key-curve]
spec = 'EC_P256'
[keys.key-rsa]
spec = 'RSA_2048'
[keys.key-mac]
spec = 'HMAC_SHA_256'
[secrets.password]
version = 'v1'
data = 'a password of some length'
";

/// The embedded KMS in a folder, and what judges for it.
struct House {
    kms: LocalKms,
    store: Arc<Store>,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("keyward.toml", SETTINGS);
        write("identities.toml", IDENTITIES);
        write("seed.toml", SEED);
        write("policies/ram/Everything.json", EVERYTHING);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let settings = Settings::load(&folder.path().join("keyward.toml")).unwrap_or_else(|why| panic!("{why:?}"));
        let store = Arc::new(Store::open(&settings, now).unwrap_or_else(|why| panic!("{why:?}")));
        let kms = LocalKms::open(&settings.kms, store.clone(), now).unwrap();
        Self { kms, store, now, _folder: folder }
    }

    fn permit(&self, operation: &str, own: &[(&str, &str)]) -> Permit {
        let (secret, timestamp) = ("s1".into(), self.now.to_string());
        let signer =
            Signer { access_key_id: "K1", secret: &secret, security_token: None, timestamp: &timestamp, nonce: "n" };
        let own: Params = own.iter().copied().collect();
        let target = format!("/?{}", signer.rpc(operation, "JSON", &own).canonical());
        let headers = HeaderMap::new();
        let origin = Origin::unknown();
        let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin };
        authorize(&self.store.current(), &raw, self.now).verdict.unwrap_or_else(|why| panic!("{operation}: {why:?}"))
    }

    /// A member of what is answered.
    fn member(&self, operation: &str, own: &[(&str, &str)], name: &str) -> String {
        let answer =
            self.kms.execute(&self.permit(operation, own), self.now).result.unwrap_or_else(|why| panic!("{why:?}"));
        answer.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    /// The one version of a key.
    fn version(&self, key: &str) -> String {
        let permit = self.permit("DescribeKey", &[("KeyId", key)]);
        let answer = self.kms.execute(&permit, self.now).result.unwrap_or_else(|why| panic!("{why:?}"));
        answer.values().find_map(|metadata| metadata.get("PrimaryKeyVersion")?.as_str()).unwrap_or_default().to_owned()
    }
}

/// A name, and what asks for it.
type Case = (&'static str, Permit);

fn cases(house: &House) -> Vec<Case> {
    let (plaintext, digest) = ("aGVsbG8gd29ybGQ=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let blob = house.member("Encrypt", &[("KeyId", "key-seals"), ("Plaintext", plaintext)], "CiphertextBlob");
    let sign = |key: &'static str, algorithm: &'static str| {
        let version = house.version(key);
        let own = [("KeyId", key), ("KeyVersionId", &version), ("Algorithm", algorithm), ("Digest", digest)];
        house.permit("AsymmetricSign", &own)
    };
    let mac = [("KeyId", "key-mac"), ("Algorithm", "HMAC_SHA_256"), ("Message", plaintext)];
    vec![
        ("Encrypt", house.permit("Encrypt", &[("KeyId", "key-seals"), ("Plaintext", plaintext)])),
        ("Decrypt", house.permit("Decrypt", &[("CiphertextBlob", &blob)])),
        ("GenerateDataKey", house.permit("GenerateDataKey", &[("KeyId", "key-seals")])),
        ("GetSecretValue", house.permit("GetSecretValue", &[("SecretName", "password")])),
        ("GenerateMac", house.permit("GenerateMac", &mac)),
        ("AsymmetricSign, EC_P256", sign("key-curve", "ECDSA_SHA_256")),
        ("AsymmetricSign, RSA_2048", sign("key-rsa", "RSA_PSS_SHA_256")),
    ]
}

fn execute(house: &House, permit: &Permit) {
    black_box(house.kms.execute(black_box(permit), house.now).result).unwrap_or_else(|why| panic!("{why:?}"));
}

fn operations(criterion: &mut Criterion) {
    let house = House::new();
    let cases = cases(&house);
    let mut group = criterion.benchmark_group("alone");
    let cipher = Aes256Gcm::new(&[7; 32].into());
    group.bench_function("AES-256-GCM and nothing else", |bencher| {
        bencher.iter(|| {
            let nonce = aes_gcm::Nonce::generate();
            black_box(cipher.encrypt(&nonce, black_box(&b"hello world"[..])).is_ok())
        });
    });
    for (name, permit) in &cases {
        group.bench_function(*name, |bencher| bencher.iter(|| execute(&house, permit)));
    }
    group.finish();

    let mut group = criterion.benchmark_group("beside a writer");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let describe = [("KeyId", "key-mac"), ("Description", "again")];
            let permit = house.permit("UpdateKeyDescription", &describe);
            while !ended.load(Ordering::Relaxed) {
                execute(&house, &permit);
            }
        });
        for (name, permit) in cases.iter().take(4) {
            group.bench_function(*name, |bencher| bencher.iter(|| execute(&house, permit)));
        }
        ended.store(true, Ordering::Relaxed);
    });
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
