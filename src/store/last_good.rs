//! A copy of what is in force, so that a start with files that cannot be used is like a reload with them.
//!
//! One database file, for its owner only: it holds the texts of policies and identities. Only what changed is written,
//! in one transaction; what is read is checked against the hash that was written with it, and a copy that is not whole is
//! no copy.

#![expect(clippy::disallowed_methods, reason = "a copy that cannot be used is set aside")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use secrecy::{ExposeSecret, SecretString};

use super::entry::{Entry, Good, Touched};
use super::events::folder_of;
use super::layout::Place;
use super::read::read_policy;
use super::set::Files;
use super::write::make_folder;
use crate::source::{Problem, in_one_line, shown};

/// The policies in force, by path.
const POLICIES: TableDefinition<'_, &str, &str> = TableDefinition::new("policies");

/// The hash of everything, and the text of the identities.
const SET: TableDefinition<'_, &str, &str> = TableDefinition::new("set");

/// The names in it.
const HASH: &str = "hash";
const IDENTITIES: &str = "identities";

/// Why a copy cannot be used or written.
type Failure = Box<dyn std::error::Error>;

/// The copy.
pub struct LastGood {
    path: PathBuf,
    /// `None` after a failure, until it can be opened again.
    database: Option<Database>,
    /// What was written last.
    written: Option<Files>,
    /// Which generation that is.
    generation: u64,
}

impl LastGood {
    /// Opens the copy, or begins one. What is no copy is set aside.
    ///
    /// # Errors
    /// It cannot be opened or begun, or another process has it.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let told =
            |error: Failure| Problem::of_file(shown(path), format!("cannot be used as policies.last_good: {error}"));
        let opened = open(path).or_else(|error| match error.downcast_ref() {
            // What cannot even be opened may be as good as ever.
            None | Some(DatabaseError::DatabaseAlreadyOpen) => Err(error),
            Some(_) => {
                let aside = path.with_extension("unusable");
                tracing::warn!(%error, aside = %aside.display(), "the copy of the last good policies is set aside");
                fs::rename(path, aside)?;
                open(path)
            }
        });
        Ok(Self { path: path.to_owned(), database: Some(opened.map_err(told)?), written: None, generation: 0 })
    }

    /// Puts what was in force when it was written into a set that has nothing yet. Returns whether there was something.
    ///
    /// # Errors
    /// It is not whole, or cannot be read; `files` is then as good as before.
    pub fn restore(&mut self, files: &mut Files) -> Result<bool, String> {
        let mut restored = files.clone();
        let found = self.read_into(&mut restored).map_err(|error| error.to_string())?;
        if found {
            *files = restored.clone();
            self.written = Some(restored);
        }
        Ok(found)
    }

    fn read_into(&self, files: &mut Files) -> Result<bool, Failure> {
        let Some(database) = &self.database else { return Ok(false) };
        let reading = database.begin_read()?;
        let Ok(set) = reading.open_table(SET) else { return Ok(false) };
        let (hash, identities) = match (set.get(HASH)?, set.get(IDENTITIES)?) {
            (Some(hash), Some(identities)) => (hash.value().to_owned(), identities.value().to_owned()),
            _ => return Ok(false),
        };
        let mut touched = Touched { identities: true, ..Touched::default() };
        for row in reading.open_table(POLICIES)?.iter()? {
            let (path, text) = row?;
            let path: Arc<str> = path.value().into();
            let Place::Policy(key) = files.layout().place(Path::new(&*path)) else {
                return Err(format!("it holds `{path}`, which is no policy").into());
            };
            let policy = read_policy(&key, &path, text.value());
            let policy = policy.map_err(|problems| in_one_line(&problems))?;
            let entry = Entry { key, stamp: None, good: Some(Good::new(policy)), only_here: false };
            files.put(&path, entry, Vec::new(), &mut touched);
        }
        let known = files.clone();
        let taken = files.identities_mut().take_copy(identities, &|member, it| known.missing(member, it));
        taken.map_err(|problems| in_one_line(&problems))?;
        if files.hash_of_good() != hash {
            return Err("it is not what was written".into());
        }
        files.finish(&touched);
        Ok(true)
    }

    /// Writes what changed, if this generation is not written yet. Blocks until it is on the disk.
    ///
    /// # Errors
    /// It cannot be written; the copy is what it was.
    pub fn keep(&mut self, files: &Files, generation: u64) -> Result<(), Problem> {
        if self.generation == generation {
            return Ok(());
        }
        if let Err(error) = self.write(files) {
            // After one failure the database refuses everything, whatever becomes of the disk. It is opened anew next time.
            self.database = None;
            return Err(Problem::of_file(shown(&self.path), format!("the last good policies are not kept: {error}")));
        }
        (self.written, self.generation) = (Some(files.clone()), generation);
        Ok(())
    }

    fn write(&mut self, files: &Files) -> Result<(), Failure> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        let writing = self.database.insert(database).begin_write()?;
        {
            let mut policies = writing.open_table(POLICIES)?;
            match &self.written {
                None => policies.retain(|_, _| false)?,
                Some(written) => {
                    let mut gone =
                        written.good().filter(|(path, _)| files.entry(path).is_none_or(|entry| entry.good.is_none()));
                    gone.try_for_each(|(path, _)| policies.remove(&**path).map(drop))?;
                }
            }
            for (path, good) in files.good() {
                let before = self.written.as_ref().and_then(|written| written.entry(path)?.good.as_ref());
                if before.is_none_or(|before| before.hash != good.hash) {
                    policies.insert(&**path, &*good.policy.text)?;
                }
            }
            let mut set = writing.open_table(SET)?;
            set.insert(HASH, files.hash_of_good().as_str())?;
            let identities: &SecretString = files.identities().text();
            set.insert(IDENTITIES, identities.expose_secret())?;
        }
        writing.commit()?;
        Ok(())
    }
}

/// For its owner only, whoever could read it before.
fn open(path: &Path) -> Result<Database, Failure> {
    make_folder(&folder_of(path), 0o700)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(redb::Builder::new().create_with_backend(FileBackend::new(file)?)?)
}
