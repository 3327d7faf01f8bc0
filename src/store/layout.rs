//! The layout of the policy folder: what each name in it is for, and where each policy belongs.
//!
//! `keys/<key-id>.json`, `secrets/<secret-name>.json` (percent-encoded), `ram/<policy-name>.json`, and the same three
//! under `accounts/<account-id>/`. What is no policy is ignored by rule: hidden files and editors' copies. Anything else
//! is a mistake, because a policy that is not read is a policy that is not in force. Pure: it looks at names only.

use std::path::{Component, Path};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::kms::{KeyId, SecretName, is_account_id, percent_encode};
use crate::policy::Kind;

/// The folders of policies, and what is in them.
pub const FOLDERS: [(Kind, &str); 3] = [(Kind::Key, "keys"), (Kind::Secret, "secrets"), (Kind::Ram, "ram")];

/// What a policy file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    /// What its policy is attached to.
    pub kind: Kind,
    /// The account that it belongs to.
    pub account: Arc<str>,
    /// A key's id, a secret's or a RAM policy's name.
    pub name: Arc<str>,
}

/// What a path in the policy folder is.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A policy file.
    Policy(FileKey),
    /// A folder of the layout, or something above one: what changes there may concern every file.
    Folder,
    /// Nothing that policies are read from: hidden files, editors' copies, cases.
    Ignored,
    /// Nothing that belongs here. Says what would.
    Wrong(String),
}

/// Where policies belong: the folder's own account, and all others.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The account whose policies are directly in the folder.
    pub account: Arc<str>,
}

impl FileKey {
    /// The policy of this kind with this name (a key's id, a secret's or a RAM policy's name) in this account.
    pub fn new(kind: Kind, account: &str, name: &str) -> Self {
        Self { kind, account: account.into(), name: name.into() }
    }
}

impl Layout {
    /// The path of a policy's file in the folder: how people know it, and how it is found again.
    pub fn path(&self, key: &FileKey) -> String {
        let folder = FOLDERS.iter().find(|(kind, _)| *kind == key.kind).map_or("", |(_, folder)| folder);
        let file = file_name(&key.name);
        if key.account == self.account {
            format!("{folder}/{file}")
        } else {
            format!("accounts/{}/{folder}/{file}", key.account)
        }
    }

    /// What a path in the folder is.
    pub fn place(&self, path: &Path) -> Place {
        let names: Option<Vec<&str>> = path
            .components()
            .map(|component| match component {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let Some(names) = names else { return Place::Wrong("has a name that is not UTF-8".to_owned()) };
        match *names.as_slice() {
            ["accounts", id, ref rest @ ..] if !is_ignored(id) => self.place_of_account(id, rest),
            ["..data" | "accounts" | "resources.toml"] | [] => Place::Folder,
            ["accounts", ..] => Place::Ignored,
            [name, ..] if is_ignored(name) || name == "cases" => Place::Ignored,
            ref rest => place_in(&self.account, rest).unwrap_or_else(|| {
                Place::Wrong(
                    "is not part of the layout: keys/, secrets/, ram/, accounts/, cases/, resources.toml".to_owned(),
                )
            }),
        }
    }

    fn place_of_account(&self, id: &str, rest: &[&str]) -> Place {
        let wrong = |message: &str| Place::Wrong(message.to_owned());
        match rest {
            _ if !is_account_id(id) => wrong("must be a folder named after an account id, which is digits only"),
            [] if *id == *self.account => {
                wrong("this account's own policies belong in the folder above, not under accounts/")
            }
            [] => Place::Folder,
            [folder, file] if *id == *self.account => {
                Place::Wrong(format!("is a second place for {folder}/{file}; that is where it belongs"))
            }
            [name, ..] if is_ignored(name) => Place::Ignored,
            rest => place_in(id, rest)
                .unwrap_or_else(|| wrong("is not part of the layout of an account: keys/, secrets/, ram/")),
        }
    }
}

/// What a path in the folder of an account is; `None` if its first name is none of the layout.
fn place_in(account: &str, names: &[&str]) -> Option<Place> {
    let (folder, rest) = names.split_first()?;
    let (kind, _) = FOLDERS.iter().find(|(_, known)| known == folder)?;
    Some(match rest {
        [] => Place::Folder,
        [file] if is_ignored(file) => Place::Ignored,
        [file] => match resource_name(*kind, file) {
            Ok(name) => Place::Policy(FileKey::new(*kind, account, &name)),
            Err(message) => Place::Wrong(message),
        },
        _ => Place::Ignored,
    })
}

/// The folder of a path in the policy folder.
pub fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
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
pub fn is_ignored(name: &str) -> bool {
    const COPIES: [&str; 6] = [".swp", ".swx", ".tmp", ".bak", ".orig", "~"];
    name.starts_with(['.', '#']) || COPIES.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_path_has_one_meaning() {
        let layout = Layout { account: "1".into() };
        let policy = |kind, account, name| Place::Policy(FileKey::new(kind, account, name));
        let wrong = |message: &str| Place::Wrong(message.to_owned());
        let outside = "is not part of the layout: keys/, secrets/, ram/, accounts/, cases/, resources.toml";
        for (path, expected) in [
            ("", Place::Folder),
            ("keys", Place::Folder),
            ("accounts", Place::Folder),
            ("accounts/2", Place::Folder),
            ("accounts/2/ram", Place::Folder),
            ("..data", Place::Folder),
            ("..2026_11_25/keys/key-1.json", Place::Ignored),
            (".git/keys", Place::Ignored),
            ("cases/orders.toml", Place::Ignored),
            ("resources.toml", Place::Folder),
            ("keys/key-1.json", policy(Kind::Key, "1", "key-1")),
            ("secrets/app%2Fdb.json", policy(Kind::Secret, "1", "app/db")),
            ("accounts/2/ram/Use.json", policy(Kind::Ram, "2", "Use")),
            ("keys/.key-1.json.swp", Place::Ignored),
            ("keys/more/key-1.json", Place::Ignored),
            ("accounts/2/.git", Place::Ignored),
            ("accounts/2/key/a.json", wrong("is not part of the layout of an account: keys/, secrets/, ram/")),
            ("accounts/.git", Place::Ignored),
            ("key/key-1.json", wrong(outside)),
            ("accounts/two", wrong("must be a folder named after an account id, which is digits only")),
            ("accounts/1", wrong("this account's own policies belong in the folder above, not under accounts/")),
            ("accounts/1/keys/a.json", wrong("is a second place for keys/a.json; that is where it belongs")),
            ("keys/readme.txt", wrong("is no policy: names of policies end in .json")),
        ] {
            assert_eq!(layout.place(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_policy_is_found_where_it_is_put() {
        let layout = Layout { account: "1".into() };
        for (kind, account, name, path) in [
            (Kind::Key, "1", "key-1", "keys/key-1.json"),
            (Kind::Secret, "2", "a/b", "accounts/2/secrets/a%2Fb.json"),
            (Kind::Ram, "1", "Use", "ram/Use.json"),
        ] {
            let key = FileKey::new(kind, account, name);
            assert_eq!(layout.path(&key), path);
            assert_eq!(layout.place(Path::new(path)), Place::Policy(key));
        }
    }

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
