//! Records: a row of JSON for each key, alias and secret, named `ACCOUNT:NAME`, sealed under the root key.
//!
//! Account ids are digits, so the first `:` always ends them. Names stand in the clear, and so does the number of the
//! format. Buffers are wiped, and no error prints a part of a row.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::kms::{AliasName, KeyId, SecretName};

use super::super::ids::Ids;
use super::super::key::{KeySpec, KeyVersion};
use super::super::moment::Moment;
use super::super::state::{Change, Gone, Record, State};
use super::problem::{CommitError, OpenError};
use super::root_key::RowKey;

/// The layout of the records: 1 was plain rows, 2 is sealed ones. A storage with a higher number was written by a later
/// version of this program.
pub const FORMAT: u32 = 2;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// A record as it is kept, before it is sealed: its table, its name and its JSON, or nothing if it is gone.
pub type Row = (Table, String, Option<Zeroizing<Vec<u8>>>);

pub(super) const META: Table = Table::new("meta");
pub(super) const KEYS: Table = Table::new("keys");
const ALIASES: Table = Table::new("aliases");
const SECRETS: Table = Table::new("secrets");
const PLANTED: Table = Table::new("planted");

/// In [`META`]: the number of the format, the only row that is not sealed.
pub(super) const FORMAT_ROW: &str = "format";

/// In [`META`]: the key version that seals the secrets whose owner chose no key.
pub(super) const DEFAULT_KEY_ROW: &str = "default-key";

/// In [`META`]: opens under the root key that everything else was sealed under, and so tells a wrong key from damage.
const CHECK_ROW: &str = "check";

/// What a storage holds.
pub struct Contents {
    /// What seals the secrets whose owner chose no key.
    pub default_key: KeyVersion,
    /// Keys, then aliases, then secrets, then what the seed planted, each in the order of their names.
    pub records: Vec<Record>,
}

impl Contents {
    /// What a new storage holds: nothing but a default key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new(ids: &Ids, now: Moment) -> Result<Self, OpenError> {
        Ok(Self { default_key: KeyVersion::generate(KeySpec::Aes256, ids, now)?, records: Vec::new() })
    }

    /// The state that they make.
    pub fn into_state(self) -> State {
        let mut state = State::new(self.default_key);
        self.records.iter().for_each(|record| state.insert(record));
        state
    }
}

/// The format of a storage; 0 for one that was not finished.
///
/// # Errors
/// It cannot be read, or a later version wrote it.
pub fn format(database: &Database, path: &Path) -> Result<u32, OpenError> {
    let stored = || -> Result<Option<u32>, redb::Error> {
        match database.begin_read()?.open_table(META) {
            Ok(meta) => Ok(meta.get(FORMAT_ROW)?.map(|format| decode(format.value()).unwrap_or(u32::MAX))),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    match stored().map_err(|error| OpenError::damaged(path, error.to_string()))?.unwrap_or(0) {
        found if found > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found }),
        found => Ok(found),
    }
}

/// Everything that is kept. Without a key, rows are read as the format 1 had them: plain.
///
/// # Errors
/// It was sealed under another key, or a row cannot be read or understood.
pub fn read(database: &Database, path: &Path, key: Option<&RowKey>) -> Result<Contents, OpenError> {
    let transaction = database.begin_read().map_err(|error| OpenError::damaged(path, error.to_string()))?;
    let reader = Reader { transaction, path, key };
    reader.check_key()?;
    let mut default_key = None;
    reader.each(META, |name, value| match name {
        DEFAULT_KEY_ROW => decode(value).map(|version| default_key = Some(version)),
        _ => Some(()),
    })?;
    let default_key = default_key.ok_or_else(|| OpenError::damaged(path, "it has no default key"))?;
    let mut records = Vec::new();
    for (table, read) in [(KEYS, key_of as ReadRow), (ALIASES, alias_of), (SECRETS, secret_of), (PLANTED, planted_of)] {
        reader.each(table, |name, value| {
            let (account, name) = name.split_once(':')?;
            read(account.to_owned(), name, value).map(|record| records.push(record))
        })?;
    }
    Ok(Contents { default_key, records })
}

/// What a row of an account says; `None` if it says nothing that this program wrote.
type ReadRow = fn(String, &str, &[u8]) -> Option<Record>;

fn key_of(account: String, id: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Key(account, KeyId::parse(id)?, Arc::new(decode(value)?)))
}

fn alias_of(account: String, alias: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Alias(account, AliasName::parse(alias)?, KeyId::parse(&decode::<String>(value)?)?))
}

fn secret_of(account: String, name: &str, value: &[u8]) -> Option<Record> {
    Some(Record::Secret(account, SecretName::parse(name)?, Arc::new(decode(value)?)))
}

fn planted_of(account: String, name: &str, value: &[u8]) -> Option<Record> {
    decode::<()>(value).map(|()| Record::Planted(account, name.to_owned()))
}

/// The rows that keep changes.
///
/// # Errors
/// A record cannot be encoded.
pub fn rows(changes: &[Change]) -> Result<Vec<Row>, CommitError> {
    let row = |change: &Change| match change {
        Change::Put(record) => row(record),
        Change::Remove(Gone::Key(account, id), _) => Ok((KEYS, format!("{account}:{id}"), None)),
        Change::Remove(Gone::Alias(account, alias), _) => Ok((ALIASES, format!("{account}:{alias}"), None)),
        Change::Remove(Gone::Secret(account, name), _) => Ok((SECRETS, format!("{account}:{name}"), None)),
    };
    changes.iter().map(row).collect()
}

fn row(record: &Record) -> Result<Row, CommitError> {
    Ok(match record {
        Record::Key(account, id, key) => (KEYS, format!("{account}:{id}"), Some(encode(&**key)?)),
        Record::Alias(account, alias, key) => (ALIASES, format!("{account}:{alias}"), Some(encode(key.as_str())?)),
        Record::Secret(account, name, secret) => (SECRETS, format!("{account}:{name}"), Some(encode(&**secret)?)),
        Record::Planted(account, name) => (PLANTED, format!("{account}:{name}"), Some(encode(&())?)),
    })
}

/// The row that keeps the default key.
///
/// # Errors
/// It cannot be encoded.
pub fn default_key_row(default_key: &KeyVersion) -> Result<Row, CommitError> {
    Ok((META, DEFAULT_KEY_ROW.to_owned(), Some(encode(default_key)?)))
}

/// The rows of a whole storage with these contents.
///
/// # Errors
/// A record cannot be encoded.
pub fn all_rows(contents: &Contents) -> Result<Vec<Row>, CommitError> {
    let mut all: Vec<Row> = contents.records.iter().map(row).collect::<Result<_, _>>()?;
    all.push(default_key_row(&contents.default_key)?);
    all.push((META, CHECK_ROW.to_owned(), Some(encode("")?)));
    all.push((META, FORMAT_ROW.to_owned(), Some(encode(&FORMAT)?)));
    Ok(all)
}

/// Seals rows and writes them in one transaction, which is on the disk when this returns.
///
/// # Errors
/// The database failed, or there is no randomness.
pub fn write(database: &Database, key: &RowKey, rows: &[Row]) -> Result<(), CommitError> {
    let sealed = rows.iter().map(|(table, name, value)| match value {
        Some(value) if is_plain(table, name) => Ok(Some(value.to_vec())),
        Some(value) => key.seal(table.name(), name, value).map(Some).map_err(CommitError::Cipher),
        None => Ok(None),
    });
    let sealed: Vec<Option<Vec<u8>>> = sealed.collect::<Result<_, _>>()?;
    let keep = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        for ((table, name, _), value) in rows.iter().zip(&sealed) {
            let mut table = transaction.open_table(*table)?;
            match value {
                Some(value) => drop(table.insert(name.as_str(), value.as_slice())?),
                None => drop(table.remove(name.as_str())?),
            }
        }
        Ok(transaction.commit()?)
    };
    keep().map_err(|error| CommitError::Database(Box::new(error)))
}

/// Whether a row stands in the clear in every format.
fn is_plain(table: &Table, name: &str) -> bool {
    table.name() == META.name() && name == FORMAT_ROW
}

struct Reader<'a> {
    transaction: ReadTransaction,
    path: &'a Path,
    key: Option<&'a RowKey>,
}

impl Reader<'_> {
    /// Whether the rows are sealed under this key.
    fn check_key(&self) -> Result<(), OpenError> {
        let Some(key) = self.key else { return Ok(()) };
        let fits = || -> Result<Option<bool>, redb::Error> {
            let meta = self.transaction.open_table(META)?;
            Ok(meta.get(CHECK_ROW)?.map(|check| key.open(META.name(), CHECK_ROW, check.value()).is_some()))
        };
        match fits().map_err(|error| OpenError::damaged(self.path, error.to_string()))? {
            Some(true) => Ok(()),
            Some(false) => Err(key.wrong(self.path)),
            None => Err(OpenError::damaged(self.path, "it does not say which root key it needs")),
        }
    }

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
            let (name, value) = (name.value(), value.value());
            let taken = match self.key.filter(|_| !is_plain(&table, name)) {
                Some(key) => key.open(table.name(), name, value).and_then(|value| take(name, &value)),
                None => take(name, value),
            };
            taken.ok_or_else(|| damaged(format!("its record `{name}` cannot be read")))?;
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
