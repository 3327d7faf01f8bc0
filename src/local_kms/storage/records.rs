//! Records: a row of JSON for each key, alias and secret, named `ACCOUNT:NAME`.
//!
//! Account ids are digits, so the first `:` always ends them. Rows hold key material: buffers are wiped, and no error
//! prints a part of one.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::kms::{AliasName, KeyId, SecretName};

use super::super::key::{KeySpec, KeyVersion};
use super::super::moment::Moment;
use super::super::state::{Record, State};
use super::problem::{CommitError, OpenError};

/// The layout of the records. A storage with a higher number was written by a later version of this program.
pub const FORMAT: u32 = 1;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// A record as it is kept: its table, its name and its JSON, or nothing if it is gone.
pub type Row = (Table, String, Option<Zeroizing<Vec<u8>>>);

pub(super) const META: Table = Table::new("meta");
const KEYS: Table = Table::new("keys");
const ALIASES: Table = Table::new("aliases");
const SECRETS: Table = Table::new("secrets");

/// In [`META`]: the number of the format.
const FORMAT_ROW: &str = "format";

/// In [`META`]: the key version that seals the secrets whose owner chose no key.
const DEFAULT_KEY_ROW: &str = "default-key";

/// Makes the tables and first rows of a new storage, and refuses one that a later version wrote.
///
/// # Errors
/// See [`OpenError`].
pub fn prepare(database: &Database, path: &Path, now: Moment) -> Result<(), OpenError> {
    let unwritable = |why| OpenError::Unwritable { path: path.to_owned(), why };
    match stored_format(database).map_err(|error| OpenError::damaged(path, error.to_string()))? {
        Some(found) if found > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found }),
        Some(_) => Ok(()),
        None => {
            let default_key = encode(&KeyVersion::generate(KeySpec::Aes256, now)?).map_err(unwritable)?;
            let format = encode(&FORMAT).map_err(unwritable)?;
            let rows =
                [(META, DEFAULT_KEY_ROW.to_owned(), Some(default_key)), (META, FORMAT_ROW.to_owned(), Some(format))];
            write(database, &rows).map_err(|error| unwritable(CommitError::Database(Box::new(error))))
        }
    }
}

/// The format of a storage; `None` for a new one.
fn stored_format(database: &Database) -> Result<Option<u32>, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT_ROW)?.map(|format| decode(format.value()).unwrap_or(u32::MAX))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Everything that is kept.
///
/// # Errors
/// A row cannot be read, or cannot be understood.
pub fn load(database: &Database, path: &Path) -> Result<State, OpenError> {
    let transaction = database.begin_read().map_err(|error| OpenError::damaged(path, error.to_string()))?;
    let reader = Reader { transaction, path };
    let mut default_key = None;
    reader.each(META, |name, value| match name {
        DEFAULT_KEY_ROW => decode(value).map(|version| default_key = Some(version)),
        _ => Some(()),
    })?;
    let default_key = default_key.ok_or_else(|| OpenError::damaged(path, "it has no default key"))?;
    let mut state = State::new(default_key);
    for (table, read) in [(KEYS, key as ReadRow), (ALIASES, alias), (SECRETS, secret)] {
        reader.each(table, |name, value| {
            let (account, name) = name.split_once(':')?;
            read(account.to_owned(), name, value).map(|record| state.insert(&record))
        })?;
    }
    Ok(state)
}

/// What a row of an account says; `None` if it says nothing that this program wrote.
type ReadRow = fn(String, &str, &[u8]) -> Option<Record>;

fn key(account: String, id: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Key(account, KeyId::parse(id)?, Arc::new(decode(value)?)))
}

fn alias(account: String, alias: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Alias(account, AliasName::parse(alias)?, KeyId::parse(&decode::<String>(value)?)?))
}

fn secret(account: String, name: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Secret(account, SecretName::parse(name)?, Arc::new(decode(value)?)))
}

/// The rows that keep records.
///
/// # Errors
/// A record cannot be encoded.
pub fn rows(records: &[Record]) -> Result<Vec<Row>, CommitError> {
    let row = |record: &Record| {
        Ok(match record {
            Record::Key(account, id, key) => (KEYS, format!("{account}:{id}"), Some(encode(&**key)?)),
            Record::Alias(account, alias, key) => (ALIASES, format!("{account}:{alias}"), Some(encode(key.as_str())?)),
            Record::Secret(account, name, secret) => (SECRETS, format!("{account}:{name}"), Some(encode(&**secret)?)),
            Record::NoKey(account, id) => (KEYS, format!("{account}:{id}"), None),
            Record::NoAlias(account, alias) => (ALIASES, format!("{account}:{alias}"), None),
            Record::NoSecret(account, name) => (SECRETS, format!("{account}:{name}"), None),
        })
    };
    records.iter().map(row).collect()
}

/// Writes rows in one transaction, which is on the disk when this returns.
///
/// # Errors
/// The database failed.
pub fn write(database: &Database, rows: &[Row]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for (table, name, value) in rows {
        let mut table = transaction.open_table(*table)?;
        match value {
            Some(value) => drop(table.insert(name.as_str(), value.as_slice())?),
            None => drop(table.remove(name.as_str())?),
        }
    }
    Ok(transaction.commit()?)
}

struct Reader<'a> {
    transaction: ReadTransaction,
    path: &'a Path,
}

impl Reader<'_> {
    /// Hands every row of a table to `take`, which returns `None` for one that cannot be understood.
    fn each(&self, table: Table, mut take: impl FnMut(&str, &[u8]) -> Option<()>) -> Result<(), OpenError> {
        let damaged = |what: String| OpenError::damaged(self.path, what);
        let rows = match self.transaction.open_table(table) {
            Ok(rows) => rows,
            // Tables come into being with their first row.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(damaged(error.to_string())),
        };
        for row in rows.iter().map_err(|error| damaged(error.to_string()))? {
            let (name, value) = row.map_err(|error| damaged(error.to_string()))?;
            let taken = take(name.value(), value.value());
            taken.ok_or_else(|| damaged(format!("its record `{}` cannot be read", name.value())))?;
        }
        Ok(())
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>, CommitError> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|_| CommitError::Encoding)
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
