//! Everything in a data folder, taken out as one document and put into another one.
//!
//! What is there is never replaced: a document that says something else about it is refused as a whole. Only whoever has
//! the folder can do either.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::kms::{CiphertextBlob, SecretName};

use super::cipher::CipherError;
use super::document::{self, Counts};
use super::key::KeyVersion;
use super::moment::Moment;
use super::secret::{Secret, SecretVersion};
use super::secret_value;
use super::state::{Change, Record, State};
use super::storage::{Contents, OpenError, Storage};

/// Why a document cannot be written or taken.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The data cannot be opened or written.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// There is none.
    #[error("there is no data of the embedded KMS in `{}`", .0.display())]
    NoData(PathBuf),
    /// The data cannot be written as JSON.
    #[error("the data cannot be written as JSON")]
    Encoding,
    /// The document cannot be used.
    #[error("the document {0}")]
    Document(String),
    /// There is something in the folder.
    #[error("there are {held} in `{}` already; --merge adds what is missing, or choose another data folder", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        held: Counts,
    },
    /// The document says something else about what is there.
    #[error("nothing was imported, because this is there already and differs:{}", listed(.0))]
    Conflicts(Vec<String>),
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("\n  {name}")).collect()
}

impl From<CipherError> for TransferError {
    fn from(error: CipherError) -> Self {
        Self::Data(error.into())
    }
}

/// Everything in the data folder, as a document.
///
/// # Errors
/// See [`TransferError`].
pub fn export(folder: &Path, now: Timestamp) -> Result<(Zeroizing<String>, Counts), TransferError> {
    if !Storage::is_in(folder) {
        return Err(TransferError::NoData(folder.to_owned()));
    }
    let (_storage, contents) = Storage::open(folder, Moment(now))?;
    let text = document::write(&contents).ok_or(TransferError::Encoding)?;
    Ok((text, Counts::of(&contents.records)))
}

/// Puts what a document holds into the data folder, which is empty unless it may be merged; says what was added.
///
/// # Errors
/// See [`TransferError`]. Nothing was changed.
pub fn import(folder: &Path, text: &str, merge: bool, now: Timestamp) -> Result<Counts, TransferError> {
    let brought = document::read(text).map_err(TransferError::Document)?;
    let (mut storage, held) = Storage::open(folder, Moment(now))?;
    let (default_key, added) = if held.records.is_empty() {
        (Some(brought.default_key), brought.records)
    } else if merge {
        (None, missing(&held.into_state(), brought)?)
    } else {
        return Err(TransferError::NotEmpty { folder: folder.to_owned(), held: Counts::of(&held.records) });
    };
    let counts = Counts::of(&added);
    let changes: Vec<Change> = added.into_iter().map(Change::Put).collect();
    storage.commit_with(default_key.as_ref(), &changes).map_err(|why| storage.unwritable(why))?;
    Ok(counts)
}

/// What is brought and not there, ready to be put beside it.
fn missing(there: &State, brought: Contents) -> Result<Vec<Record>, TransferError> {
    let records = brought.records.clone();
    let brought = brought.into_state();
    let (mut added, mut conflicts) = (Vec::new(), Vec::new());
    for record in records {
        match standing(there, &brought, &record) {
            Standing::Same => {}
            Standing::Differs => conflicts.push(told(&record)),
            Standing::Missing => added.push(fitted(there, &brought, record)?),
        }
    }
    if conflicts.is_empty() { Ok(added) } else { Err(TransferError::Conflicts(conflicts)) }
}

/// What the data has in the place of a record.
enum Standing {
    Missing,
    Same,
    Differs,
}

fn standing(there: &State, brought: &State, record: &Record) -> Standing {
    let same = match record {
        Record::Key(account, id, key) => {
            let taken = |version: &KeyVersion| {
                let owner = there.index().key_of_ciphertext(&CiphertextBlob::new(&version.id, b""));
                owner.is_some_and(|(owner, key)| owner != account || key != id)
            };
            // A version is of one key only: ciphertexts find their key by it.
            let found = there.account(account).keys.get(id).map(|held| json(&**held) == json(&**key));
            found.or_else(|| key.versions().any(taken).then_some(false))
        }
        Record::Alias(account, alias, key) => there.account(account).aliases.get(alias).map(|held| held == key),
        Record::Planted(..) => Some(true),
        Record::Secret(account, name, secret) => {
            let held = there.account(account).secrets.get(name).cloned();
            held.map(|held| same_secret(account, name, (there, &held), (brought, secret)))
        }
    };
    match same {
        None => Standing::Missing,
        Some(true) => Standing::Same,
        Some(false) => Standing::Differs,
    }
}

fn told(record: &Record) -> String {
    match record {
        Record::Key(account, id, _) => format!("key {id} of account {account}"),
        Record::Alias(account, alias, _) => format!("{alias} of account {account}"),
        Record::Secret(account, name, _) => format!("secret {name} of account {account}"),
        Record::Planted(account, name) => format!("{name} of account {account}, once planted"),
    }
}

/// The record as it can stand here: what the other data's default key sealed is sealed by the one of this data.
fn fitted(there: &State, brought: &State, record: Record) -> Result<Record, TransferError> {
    match record {
        Record::Secret(account, name, secret) if secret.key.is_none() => {
            let (old, new) = (&brought.default_key, &there.default_key);
            let anew = |version: &SecretVersion| {
                let resealed = secret_value::resealed(version, old, new, &account, &name)?;
                resealed.ok_or_else(|| TransferError::Document(format!("has a secret `{name}` that does not open")))
            };
            let versions = secret.versions.iter().map(anew).collect::<Result<_, _>>()?;
            let secret = Secret { versions, ..Secret::clone(&secret) };
            Ok(Record::Secret(account, name, Arc::new(secret)))
        }
        other => Ok(other),
    }
}

/// Whether two secrets of the same name say and hold the same, whatever seals them.
fn same_secret(account: &str, name: &SecretName, one: (&State, &Secret), other: (&State, &Secret)) -> bool {
    let data = |(state, secret): (&State, &Secret), version: &SecretVersion| {
        let keys = state.account(account).keys;
        let sealer = match &secret.key {
            Some(id) => keys.get(id).and_then(|key| key.version(version.sealed.version_id())),
            None => Some(&*state.default_key),
        };
        sealer.and_then(|sealer| secret_value::open(sealer, account, name, version))
    };
    let same_data = |(held, brought): (&SecretVersion, &SecretVersion)| {
        held.sealed == brought.sealed || data(one, held).is_some_and(|held| Some(held) == data(other, brought))
    };
    unsealed(one.1) == unsealed(other.1) && one.1.versions.iter().zip(&other.1.versions).all(same_data)
}

/// What a secret says beside its data.
fn unsealed(secret: &Secret) -> Value {
    let mut value = json(secret);
    for version in value.get_mut("versions").and_then(Value::as_array_mut).into_iter().flatten() {
        version.as_object_mut().and_then(|version| version.remove("sealed"));
    }
    value
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
