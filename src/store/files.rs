//! Which files there are, and what each is for: the layout of the policy folder.
//!
//! `keys/<key-id>.json`, `secrets/<secret-name>.json` (percent-encoded), `ram/<policy-name>.json`, and the same three
//! under `accounts/<account-id>/`. What is no policy is ignored by rule: hidden files and editors' copies. Anything else
//! is a mistake, because a policy that is not read is a policy that is not in force.

#![expect(clippy::disallowed_methods, reason = "the store reads policies from disk")]

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::load::FileKey;
use crate::kms::{KeyId, SecretName, percent_encode};
use crate::policy::Kind;
use crate::source::{Problem, shown};

/// The largest file that is read, in bytes. Every kind of policy is smaller; identities may take more room.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The folders of policies, and what is in them.
pub const FOLDERS: [(Kind, &str); 3] = [(Kind::Key, "keys"), (Kind::Secret, "secrets"), (Kind::Ram, "ram")];

/// Names in the policy folder that have a meaning of their own.
const OTHER_NAMES: [&str; 3] = ["accounts", "cases", "resources.toml"];

/// A policy file.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is for.
    pub key: FileKey,
    /// Where it is.
    pub path: PathBuf,
    /// What changes when its content does.
    pub stamp: Stamp,
}

/// What tells that a file may have changed. The change time cannot be set back by a program, so a file that was edited
/// and then given its old date is noticed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Lists all policy files below `root`. Mistakes in names and folders are added to `problems`.
///
/// # Errors
/// The folder itself cannot be read: then nothing is known, which is not the same as nothing being there.
pub fn list(root: &Path, account: &str, problems: &mut Vec<Problem>) -> io::Result<Vec<Found>> {
    let mut lister = Lister { root: root.canonicalize()?, found: Vec::new(), problems };
    for name in entries(root)? {
        let known = FOLDERS.iter().any(|(_, folder)| *folder == name) || OTHER_NAMES.contains(&name.as_str());
        if !known && !is_ignored(&name) {
            let what = "is not part of the layout: keys/, secrets/, ram/, accounts/, cases/, resources.toml";
            lister.problem(&root.join(&name), what);
        }
    }
    lister.account(root, account)?;
    let accounts = root.join("accounts");
    for id in entries(&accounts)? {
        let folder = accounts.join(&id);
        if is_ignored(&id) {
            continue;
        }
        if !id.bytes().all(|byte| byte.is_ascii_digit()) || !folder.is_dir() {
            lister.problem(&folder, "must be a folder named after an account id, which is digits only");
        } else if id == account {
            lister.problem(&folder, "this account's own policies belong in the folder above, not under accounts/");
        } else {
            lister.account(&folder, &id)?;
        }
    }
    Ok(lister.found)
}

struct Lister<'p> {
    root: PathBuf,
    found: Vec<Found>,
    problems: &'p mut Vec<Problem>,
}

impl Lister<'_> {
    fn account(&mut self, folder: &Path, account: &str) -> io::Result<()> {
        for (kind, name) in FOLDERS {
            for entry in entries(&folder.join(name))? {
                if !is_ignored(&entry) {
                    self.file(kind, account, folder.join(name).join(&entry), &entry);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, kind: Kind, account: &str, path: PathBuf, name: &str) {
        match self.look(kind, account, &path, name) {
            Ok(Some(found)) => self.found.push(found),
            Ok(None) => {}
            Err(message) => self.problem(&path, &message),
        }
    }

    fn look(&self, kind: Kind, account: &str, path: &Path, name: &str) -> Result<Option<Found>, String> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // Removed since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        if !metadata.is_file() {
            return Err("is no regular file".to_owned());
        }
        let target = path.canonicalize().map_err(|error| format!("cannot be read: {error}"))?;
        if !target.starts_with(&self.root) {
            return Err("is a link that leads out of the policy folder".to_owned());
        }
        let name = resource_name(kind, name)?;
        let (key, stamp) = (FileKey::new(kind, account, &name), Stamp::of(&metadata));
        Ok(Some(Found { key, path: path.to_owned(), stamp }))
    }

    fn problem(&mut self, path: &Path, message: &str) {
        self.problems.push(Problem::of_file(shown(path), message));
    }
}

/// What a policy file is for, from its name.
fn resource_name(kind: Kind, file_name: &str) -> Result<String, String> {
    let stem = file_name.strip_suffix(".json").ok_or("is no policy: names of policies end in .json")?;
    match kind {
        Kind::Key => match KeyId::parse(stem) {
            Some(id) => Ok(id.to_string()),
            None => Err("must be named <key-id>.json; a key id has letters, digits and -".to_owned()),
        },
        Kind::Secret => {
            let name = crate::kms::Params::decode(&format!("n={}", stem.replace('+', "%2B")))
                .ok()
                .and_then(|decoded| SecretName::parse(decoded.get("n").unwrap_or_default()))
                .ok_or("must be named after a secret, percent-encoded: app/db is app%2Fdb.json")?;
            let right = percent_encode(name.as_str());
            if right == stem { Ok(name.to_string()) } else { Err(format!("must be named {right}.json")) }
        }
        Kind::Ram => {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let right = !stem.is_empty() && stem.len() <= 128 && stem.bytes().all(legal);
            if right {
                Ok(stem.to_owned())
            } else {
                Err("must be named after a RAM policy: at most 128 letters, digits and -".to_owned())
            }
        }
    }
}

/// Hidden files and the copies that editors make.
fn is_ignored(name: &str) -> bool {
    name.starts_with(['.', '#'])
        || [".swp", ".swx", ".tmp", ".bak", ".orig"].iter().any(|end| name.ends_with(end))
        || name.ends_with('~')
}

/// The names in a folder, sorted; none if the folder does not exist.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The text of a file.
///
/// # Errors
/// A message for people: too large, not UTF-8, or unreadable.
pub fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        format!("is not UTF-8 (at byte {position})")
    })
}

#[cfg(test)]
mod tests {
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
}
