//! A KMS in a folder of its own, and callers that really sign: permits come from the real `authorize` only.
#![expect(clippy::disallowed_methods, reason = "policies, identities and the seed are files")]

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::super::*;
use crate::authn::Signer;
use crate::authz::{Rejection, Snapshot, authorize};
use crate::kms::{Origin, Params, RawRequest};

pub const REGION: &str = "cn-hangzhou";
pub const ALICE: &str = "1";
pub const BOB: &str = "2";
pub const INSTANCE: &str = "kst-example01";

/// Parameters of a request.
pub type Given<'a> = &'a [(&'a str, &'a str)];

/// Two accounts, each with a user who may do everything there.
const IDENTITIES: &str = "\
[accounts.1.users.alice]
policies = ['Everything']
access_keys = [{ id = 'K1', secret = 's1' }]
[accounts.2.users.bob]
policies = ['Everything']
access_keys = [{ id = 'K2', secret = 's2' }]
";

const EVERYTHING: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;

pub fn at(seconds: i64) -> Timestamp {
    "2026-01-02T03:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

/// A KMS, the store that it publishes to, and the folder that it is in.
pub struct House {
    pub kms: LocalKms,
    pub store: Arc<Store>,
    pub folder: tempfile::TempDir,
}

impl House {
    pub fn new() -> Self {
        Self::seeded("")
    }

    pub fn seeded(seed: &str) -> Self {
        Self::of(furnish(seed))
    }

    /// With other identities than those of [`furnish`].
    pub fn with_identities(seed: &str, identities: &str) -> Self {
        let folder = furnish(seed);
        write(folder.path(), "identities.toml", identities);
        Self::of(folder)
    }

    /// The KMS in a folder.
    pub fn of(folder: tempfile::TempDir) -> Self {
        let (kms, store) = open(folder.path()).unwrap();
        Self { kms, store, folder }
    }

    /// The same folder, after the process ended and another began.
    pub fn reopened(self) -> Self {
        let Self { kms, folder, .. } = self;
        drop(kms);
        Self::of(folder)
    }

    /// What judging a request of `account` permits.
    pub fn permit(&self, account: &str, operation: &str, given: Given<'_>) -> Permit {
        permit(&self.store.current(), account, operation, given)
    }

    /// Whether a request of `account` is permitted, or the reason why not, in one word.
    pub fn permit_or_reason(&self, account: &str, operation: &str, given: Given<'_>) -> Result<(), &'static str> {
        let who = Who { id: format!("K{account}"), secret: format!("s{account}"), token: None };
        judge(&self.store.current(), &who, operation, given).map(|_| ()).map_err(|rejection| rejection.reason())
    }

    pub fn call(&self, account: &str, operation: &str, given: Given<'_>) -> Result<Map<String, Value>, KmsError> {
        self.kms.execute(&self.permit(account, operation, given), at(0)).result
    }

    /// What Alice is answered so many days later, or told instead.
    pub fn days_later(&self, days: i64, operation: &str, given: Given<'_>) -> Result<Value, String> {
        let result = self.kms.execute(&self.permit(ALICE, operation, given), at(days * 86_400)).result;
        result.map(Value::from).map_err(|error| format!("{} {}", error.status, error.code.as_str()))
    }

    /// What Alice is answered.
    pub fn ok(&self, operation: &str, given: Given<'_>) -> Value {
        self.call(ALICE, operation, given).unwrap_or_else(|error| panic!("{operation}: {error:?}")).into()
    }

    /// What Alice is told instead of an answer: `STATUS CODE: MESSAGE`.
    pub fn refused(&self, operation: &str, given: Given<'_>) -> String {
        match self.call(ALICE, operation, given) {
            Ok(_) => format!("{operation} was executed"),
            Err(error) => format!("{} {}: {}", error.status, error.code.as_str(), error.message),
        }
    }

    /// What somebody is answered, or told instead: `STATUS CODE: MESSAGE`.
    pub fn ask(&self, who: &Who, operation: &str, given: Given<'_>) -> Result<Value, String> {
        let told = |error: KmsError| format!("{} {}: {}", error.status, error.code.as_str(), error.message);
        self.answer(who, operation, given, at(0)).map(Value::from).map_err(told)
    }

    /// What somebody is answered at that moment, or the error that is told instead.
    pub fn answer(
        &self,
        who: &Who,
        operation: &str,
        given: Given<'_>,
        now: Timestamp,
    ) -> Result<Map<String, Value>, KmsError> {
        let permit = judge(&self.store.current(), who, operation, given).map_err(|rejection| rejection.error())?;
        self.kms.execute(&permit, now).result
    }

    /// The id of a new key of Alice's, in an instance.
    pub fn key(&self) -> String {
        text(&self.ok("CreateKey", &[("DKMSInstanceId", INSTANCE)]), "/KeyMetadata/KeyId")
    }

    /// The id of a new key of Alice's, and of its version.
    pub fn new_key(&self, given: Given<'_>) -> (String, String) {
        let created = self.ok("CreateKey", given);
        (text(&created, "/KeyMetadata/KeyId"), text(&created, "/KeyMetadata/PrimaryKeyVersion"))
    }

    /// The ciphertext of a plaintext in Base64.
    pub fn encrypted(&self, key: &str, plaintext: &str) -> String {
        text(&self.ok("Encrypt", &[("KeyId", key), ("Plaintext", plaintext)]), "/CiphertextBlob")
    }
}

/// A folder with identities, policies and a seed.
pub fn furnish(seed: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "identities.toml", IDENTITIES);
    write(folder.path(), "policies/ram/Everything.json", EVERYTHING);
    write(folder.path(), "policies/accounts/2/ram/Everything.json", EVERYTHING);
    write(folder.path(), "seed.toml", seed);
    folder
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Opens the KMS in `folder`, with its seed.
pub fn open(folder: &Path) -> Result<(LocalKms, Arc<Store>), OpenError> {
    let store = Arc::new(Store::of_folder(folder, REGION, ALICE).unwrap());
    Ok((LocalKms::open(&settings(folder), store.clone(), at(0))?, store))
}

/// What the KMS in `folder` is told.
pub fn settings(folder: &Path) -> Kms {
    Kms {
        foreign_accounts: 100,
        data: folder.join("data"),
        seed: Some(folder.join("seed.toml")),
        region: REGION.to_owned(),
        account: ALICE.to_owned(),
    }
}

/// What judging a request by this snapshot permits.
pub fn permit(snapshot: &Snapshot, account: &str, operation: &str, given: Given<'_>) -> Permit {
    let who = Who { id: format!("K{account}"), secret: format!("s{account}"), token: None };
    judge(snapshot, &who, operation, given).unwrap_or_else(|rejection| panic!("{operation}: {rejection:?}"))
}

/// With what somebody signs.
pub struct Who {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Who {
    pub fn with_key(id: &str) -> Self {
        Self { id: id.to_owned(), secret: "s".to_owned(), token: None }
    }
}

fn judge(snapshot: &Snapshot, who: &Who, operation: &str, given: Given<'_>) -> Result<Permit, Rejection> {
    let signer = Signer {
        access_key_id: &who.id,
        secret: &who.secret.as_str().into(),
        security_token: who.token.as_deref(),
        timestamp: &at(0).to_string(),
        nonce: "n",
    };
    let own: Params = given.iter().copied().collect();
    let target = format!("/?{}", signer.rpc(operation, "JSON", &own).canonical());
    let headers = HeaderMap::new();
    let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: Origin::unknown() };
    authorize(snapshot, &raw, at(0)).verdict
}

/// The string at a JSON pointer.
pub fn text(answer: &Value, pointer: &str) -> String {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {answer}")).to_owned()
}

/// The names of the members at a JSON pointer, in their order.
pub fn names(answer: &Value, pointer: &str) -> Vec<String> {
    answer.pointer(pointer).and_then(Value::as_object).unwrap().keys().cloned().collect()
}

/// Checks rows of operation, parameters, and what is told.
pub fn check_refusals(house: &House, rows: &[(&str, Given<'_>, &str)]) {
    for (operation, given, expected) in rows {
        let shown: Vec<_> = given.iter().map(|(name, value)| (name, value.get(..60).unwrap_or(value))).collect();
        assert_eq!(house.refused(operation, given), *expected, "{operation} {shown:?}");
    }
}
