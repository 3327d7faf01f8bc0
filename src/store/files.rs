//! Which files there are, and what each is for: the layout of the policy folder.
//!
//! `keys/<key-id>.json`, `secrets/<secret-name>.json` (percent-encoded), `ram/<policy-name>.json`, and the same three
//! under `accounts/<account-id>/`. What is no policy is ignored by rule: hidden files and editors' copies. Anything else
//! is a mistake, because a policy that is not read is a policy that is not in force.

#![expect(clippy::disallowed_methods, reason = "the store reads policies from disk")]

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::load::FileKey;
use crate::kms::{KeyId, SecretName, is_account_id, percent_encode};
use crate::policy::Kind;
use crate::source::{Problem, shown};

/// The folders of policies, and what is in them.
pub const FOLDERS: [(Kind, &str); 3] = [(Kind::Key, "keys"), (Kind::Secret, "secrets"), (Kind::Ram, "ram")];

/// Names in the policy folder that have a meaning of their own.
const OTHER_NAMES: [&str; 3] = ["accounts", "cases", "resources.toml"];

/// What tells that a file may have changed. The change time cannot be set back by a program, so a file that was edited
/// and then given its old date is noticed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of the file at `path`.
    ///
    /// # Errors
    /// The file is not there or may not be looked at.
    pub fn read(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// A policy file.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is for.
    pub key: FileKey,
    /// Where it is.
    pub path: PathBuf,
    /// What changes when its content does; `Err` if it is there and cannot be used.
    pub stamp: Result<Stamp, String>,
}

/// The files in the policy folder.
#[derive(Default)]
pub struct Listing {
    /// Those that are there.
    pub found: Vec<Found>,
    /// Folders that were read to the end. Of any other folder nothing is known, whatever was in it before.
    pub complete: HashSet<PathBuf>,
    /// What is wrong with names and folders.
    pub problems: Vec<Problem>,
}

/// Lists all policy files below `root`.
///
/// # Errors
/// The folder itself cannot be read, or was replaced meanwhile: then nothing is known, which is not the same as nothing
/// being there.
pub fn list(root: &Path, account: &str) -> io::Result<Listing> {
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let before = identity(root)?;
    let mut lister = Lister { root: root.canonicalize()?, listing: Listing::default() };
    lister.root_folder(root, account)?;
    if identity(root)? != before {
        return Err(io::Error::other("it was replaced while it was read"));
    }
    Ok(lister.listing)
}

struct Lister {
    root: PathBuf,
    listing: Listing,
}

impl Lister {
    fn root_folder(&mut self, root: &Path, account: &str) -> io::Result<()> {
        for name in self.names(root, fs::read_dir(root)?) {
            let known = FOLDERS.iter().any(|(_, folder)| *folder == name) || OTHER_NAMES.contains(&name.as_str());
            if !known && !is_ignored(&name) {
                let what = "is not part of the layout: keys/, secrets/, ram/, accounts/, cases/, resources.toml";
                self.problem(&root.join(&name), what);
            }
        }
        self.account(root, account);
        let accounts = root.join("accounts");
        for id in self.entries(&accounts) {
            let folder = accounts.join(&id);
            if is_ignored(&id) {
                continue;
            }
            if !is_account_id(&id) || !folder.is_dir() {
                self.problem(&folder, "must be a folder named after an account id, which is digits only");
            } else if id == account {
                self.problem(&folder, "this account's own policies belong in the folder above, not under accounts/");
            } else {
                self.account(&folder, &id);
            }
        }
        Ok(())
    }

    fn account(&mut self, folder: &Path, account: &str) {
        for (kind, name) in FOLDERS {
            for entry in self.entries(&folder.join(name)) {
                if !is_ignored(&entry) {
                    self.file(kind, account, folder.join(name).join(&entry), &entry);
                }
            }
        }
    }

    /// The names in a folder, sorted. Of a folder that cannot be read, or is not there, nothing is known.
    fn entries(&mut self, folder: &Path) -> Vec<String> {
        match fs::read_dir(folder) {
            Ok(entries) => self.names(folder, entries),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.problem(folder, &format!("cannot be read: {error}"));
                }
                Vec::new()
            }
        }
    }

    fn names(&mut self, folder: &Path, entries: fs::ReadDir) -> Vec<String> {
        let mut names = Vec::new();
        self.listing.complete.insert(folder.to_owned());
        for entry in entries {
            match entry.map(|entry| entry.file_name().into_string()) {
                Ok(Ok(name)) => names.push(name),
                Ok(Err(name)) => self.problem(&folder.join(name), "has a name that is not UTF-8"),
                Err(error) => {
                    self.problem(folder, &format!("cannot be read: {error}"));
                    self.listing.complete.remove(folder);
                }
            }
        }
        names.sort();
        names
    }

    fn file(&mut self, kind: Kind, account: &str, path: PathBuf, file_name: &str) {
        match resource_name(kind, file_name) {
            Err(message) => self.problem(&path, &message),
            Ok(name) => {
                if let Some(stamp) = self.look(&path) {
                    self.listing.found.push(Found { key: FileKey::new(kind, account, &name), path, stamp });
                }
            }
        }
    }

    /// `None` if the file was removed since its folder was listed.
    fn look(&self, path: &Path) -> Option<Result<Stamp, String>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_link = fs::symlink_metadata(path).is_ok();
                return is_link.then(|| Err("is a link that leads nowhere".to_owned()));
            }
            Err(error) => return Some(Err(format!("cannot be read: {error}"))),
        };
        if !metadata.is_file() {
            return Some(Err("is no regular file".to_owned()));
        }
        Some(match path.canonicalize() {
            Ok(target) if target.starts_with(&self.root) => Ok(Stamp::of(&metadata)),
            Ok(_) => Err("is a link that leads out of the policy folder".to_owned()),
            Err(error) => Err(format!("cannot be read: {error}")),
        })
    }

    fn problem(&mut self, path: &Path, message: &str) {
        self.listing.problems.push(Problem::of_file(shown(path), message));
    }
}

/// The name of the file that holds a policy: the resource's name percent-encoded, a dot at its beginning too, because
/// hidden files are no policies.
pub fn file_name(name: &str) -> String {
    let encoded = percent_encode(name);
    match encoded.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}.json"),
        None => format!("{encoded}.json"),
    }
}

/// What a policy file is for, from its name.
fn resource_name(kind: Kind, name_of_file: &str) -> Result<String, String> {
    let stem = name_of_file.strip_suffix(".json").ok_or("is no policy: names of policies end in .json")?;
    match kind {
        Kind::Key => match KeyId::parse(stem) {
            Some(id) => Ok(id.to_string()),
            None => Err("must be named <key-id>.json; a key id has letters, digits and -".to_owned()),
        },
        Kind::Secret => {
            let decoded = percent_decode_str(stem).decode_utf8().ok();
            let name = decoded
                .and_then(|decoded| SecretName::parse(&decoded))
                .ok_or("must be named after a secret, percent-encoded: app/db is app%2Fdb.json")?;
            let right = file_name(name.as_str());
            if right == name_of_file { Ok(name.to_string()) } else { Err(format!("must be named {right}")) }
        }
        Kind::Ram => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if !stem.is_empty() && stem.len() <= 128 && stem.bytes().all(legal) {
                Ok(stem.to_owned())
            } else {
                Err("must be named after a RAM policy: at most 128 letters, digits and -".to_owned())
            }
        }
    }
}

/// Hidden files and the copies that editors make.
fn is_ignored(name: &str) -> bool {
    const COPIES: [&str; 6] = [".swp", ".swx", ".tmp", ".bak", ".orig", "~"];
    name.starts_with(['.', '#']) || COPIES.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_files_are_names_of_resources() {
        for (kind, file, expected) in [
            (Kind::Key, "key-1.json", Some("key-1")),
            (Kind::Key, "key_1.json", None),
            (Kind::Key, "key-1.txt", None),
            (Kind::Secret, "app%2Fdb.json", Some("app/db")),
            (Kind::Secret, "app%2fdb.json", None),
            (Kind::Secret, "a%2Bb.json", Some("a+b")),
            (Kind::Secret, "a+b.json", None),
            (Kind::Secret, "%61.json", None),
            (Kind::Secret, "a%00.json", None),
            (Kind::Secret, "%2Ehidden.json", Some(".hidden")),
            (Kind::Secret, "%2E.%2Fx.json", Some("../x")),
            (Kind::Ram, "KmsAuditor.json", Some("KmsAuditor")),
            (Kind::Ram, "Kms Auditor.json", None),
        ] {
            assert_eq!(resource_name(kind, file).ok().as_deref(), expected, "{file}");
        }
    }

    #[test]
    fn copies_of_editors_are_ignored_by_rule() {
        for (name, ignored) in [
            (".a.json", true),
            ("..data", true),
            ("a.json~", true),
            ("a.json.swp", true),
            ("#a.json#", true),
            ("a.json", false),
        ] {
            assert_eq!(is_ignored(name), ignored, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_secret_has_a_file_that_is_read(name in "[A-Za-z0-9_/+=.@-]{1,60}") {
            let file = file_name(&name);
            prop_assert!(!is_ignored(&file) && !file.contains('/'), "{}", file);
            prop_assert_eq!(resource_name(Kind::Secret, &file), Ok(name));
        }
    }
}
