//! The root key: what all rows of the storage are sealed under, in a file of its own beside the database.
//!
//! It is made once, when the data is made, and never again: a new one would read nothing of what is there. Rows are not
//! sealed under the root key itself but under a key derived from it, bound to the table and name they stand at, so that
//! a row put in another's place does not open.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::super::cipher::{CipherError, Material};
use super::problem::OpenError;
use crate::served::key_file::{self, Secret};

/// The name of the file in the data folder.
const FILE: &str = "root.key";

/// What the root key is derived for. Another layout of the rows gets another text.
const PURPOSE: &[u8] = b"keyward storage rows 1";

/// What to do when the file is not the one that the data needs.
const WHAT_TO_DO: &str =
    "put back the file that belongs to it, from a backup of the data folder, or move the folder away to start empty";

/// Seals and opens rows. Does not print.
pub struct RowKey {
    material: Material,
    /// The file that it comes from.
    path: PathBuf,
}

/// Where the root key of the data in `folder` is.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl RowKey {
    /// The key of the data in `folder`, which is about to be made: where there is no root key, it is made too.
    ///
    /// # Errors
    /// The file cannot be used or made.
    pub fn of_new(folder: &Path) -> Result<Self, OpenError> {
        let path = path_in(folder);
        match key_file::read_or_make(&path) {
            Ok(root) => Ok(Self::derive(&root, path)),
            Err(what) => Err(OpenError::RootKey { path, what }),
        }
    }

    /// The key of the data that is in `folder` already, in `file`.
    ///
    /// # Errors
    /// The root key is not there, or cannot be used.
    pub fn of_existing(folder: &Path, file: &Path) -> Result<Self, OpenError> {
        let path = path_in(folder);
        if !path.exists() {
            let what = format!("is not there, and nobody can read `{}` without it; {WHAT_TO_DO}", file.display());
            return Err(OpenError::RootKey { path, what });
        }
        match key_file::read(&path) {
            Ok(root) => Ok(Self::derive(&root, path)),
            Err(what) => Err(OpenError::RootKey { path, what }),
        }
    }

    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
    fn derive(root: &Secret, path: PathBuf) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&root[..]).expect("an HMAC takes a key of any length");
        mac.update(PURPOSE);
        let derived: Secret = Zeroizing::new(mac.finalize().into_bytes().into());
        Self { material: Material::of(&derived), path }
    }

    /// Seals the row `name` of `table`.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(&self, table: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, CipherError> {
        self.material.seal(&place(table, name), value)
    }

    /// Opens the row `name` of `table`; `None` if it was sealed by another key, or for another place, or is damaged.
    pub fn open(&self, table: &str, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.material.open(&place(table, name), sealed)
    }

    /// What is to be said when the data in `file` was sealed under another key.
    pub fn wrong(&self, file: &Path) -> OpenError {
        let what = format!("is not the one that `{}` was written with; {WHAT_TO_DO}", file.display());
        OpenError::RootKey { path: self.path.clone(), what }
    }
}

/// The names of tables are ours and have no `/`, so where the name begins is never in doubt.
fn place(table: &str, name: &str) -> Vec<u8> {
    [table, "/", name].concat().into_bytes()
}
