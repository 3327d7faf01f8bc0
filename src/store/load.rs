//! What was read from the files, and what of it is in force.
//!
//! Each file keeps its last good version. A scan reads only files whose stamp changed, parses only texts that changed,
//! and says whether the set that is in force is another one than before.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Status;
use super::files::{self, FOLDERS, Found, Stamp};
use crate::authn::{Attachment, Directory, Member, SecretSource};
use crate::authz::{PolicyTable, parse_policy};
use crate::kms::percent_encode;
use crate::policy::{Kind, Policy};
use crate::settings;
use crate::source::{Problem, shown};

/// What a policy file is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileKey {
    kind: Kind,
    account: String,
    name: String,
}

impl FileKey {
    /// The policy of this kind with this name (a key's id, a secret's or a RAM policy's name) in this account.
    pub fn new(kind: Kind, account: &str, name: &str) -> Self {
        Self { kind, account: account.to_owned(), name: name.to_owned() }
    }

    /// Where it belongs below `root`, the folder of `own_account`.
    pub fn path(&self, root: &Path, own_account: &str) -> PathBuf {
        let folder = FOLDERS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, folder)| folder);
        let account =
            if self.account == own_account { root.to_owned() } else { root.join("accounts").join(&self.account) };
        account.join(folder).join(format!("{}.json", percent_encode(&self.name)))
    }
}

/// What a scan found.
pub struct Changes {
    /// Whether another set is in force than before.
    pub changed: bool,
    /// What cannot be used.
    pub problems: Vec<Problem>,
}

/// A policy file: its last good version, and what is wrong with the present one.
struct Entry {
    stamp: Option<Stamp>,
    text: Arc<str>,
    policy: Option<Arc<Policy>>,
    problems: Vec<Problem>,
    path: PathBuf,
}

/// The identities file.
struct Identities {
    path: PathBuf,
    fingerprint: [u8; 32],
    directory: Arc<Directory>,
}

/// Everything that was read.
pub struct Loader {
    root: PathBuf,
    account: String,
    entries: HashMap<FileKey, Entry>,
    identities: Identities,
}

impl Loader {
    /// Nothing read yet.
    pub fn new(settings: &settings::Policies, account: &str) -> Self {
        let (path, directory) = (settings.identities.clone(), Arc::default());
        Self {
            root: settings.directory.clone(),
            account: account.to_owned(),
            entries: HashMap::new(),
            identities: Identities { path, fingerprint: [0; 32], directory },
        }
    }

    /// Looks at all files and takes what can be used.
    pub fn scan(&mut self) -> Changes {
        let mut problems = Vec::new();
        let changed_policies = match files::list(&self.root, &self.account, &mut problems) {
            Ok(found) => self.take_policies(found),
            Err(error) => {
                problems.push(Problem::of_file(shown(&self.root), format!("cannot be read: {error}")));
                false
            }
        };
        let changed_identities = self.take_identities(&mut problems);
        for entry in self.entries.values() {
            problems.extend(entry.problems.iter().cloned());
        }
        problems.sort();
        Changes { changed: changed_policies || changed_identities, problems }
    }

    fn take_policies(&mut self, found: Vec<Found>) -> bool {
        let mut changed = false;
        let mut gone: HashMap<FileKey, Entry> = std::mem::take(&mut self.entries);
        for file in found {
            let before = gone.remove(&file.key);
            if let Some(entry) = before.as_ref().filter(|entry| entry.stamp == Some(file.stamp)) {
                debug_assert_eq!(entry.path, file.path);
                self.entries.extend(before.map(|entry| (file.key, entry)));
                continue;
            }
            let (entry, is_new) = read_policy(&self.root, &file, before);
            changed |= is_new;
            self.entries.insert(file.key, entry);
        }
        for (key, entry) in gone {
            match self.still_attached(&key) {
                // Dropping it could drop a Deny while its holders keep their other grants.
                Some(holder) if entry.policy.is_some() => {
                    let message =
                        format!("was removed, but is still attached to {holder}; its last version stays in force");
                    let problems = vec![Problem::of_file(shown(&entry.path), message)];
                    self.entries.insert(key, Entry { stamp: None, problems, ..entry });
                }
                _ => changed |= entry.policy.is_some(),
            }
        }
        changed
    }

    /// Who has this RAM policy.
    fn still_attached(&self, key: &FileKey) -> Option<String> {
        let has = |member: &&Member| {
            *member.principal.account == *key.account && member.attachments.iter().any(|it| it.policy == key.name)
        };
        if key.kind != Kind::Ram {
            return None;
        }
        self.identities.directory.members().iter().find(has).map(|member| member.principal.to_string())
    }

    fn take_identities(&mut self, problems: &mut Vec<Problem>) -> bool {
        let name = shown(&self.identities.path);
        match self.read_identities() {
            Ok(Some((fingerprint, directory))) => {
                self.identities.fingerprint = fingerprint;
                self.identities.directory = Arc::new(directory);
                true
            }
            Ok(None) => false,
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| problem.in_file(&name)));
                false
            }
        }
    }

    /// The directory, if it is another one than before. The file is always read, because a secret that it takes from
    /// another file may have changed.
    fn read_identities(&self) -> Result<Option<([u8; 32], Directory)>, Vec<Problem>> {
        let (fingerprint, directory) = read_directory(&self.identities.path)?;
        let missing: Vec<Problem> = directory
            .members()
            .iter()
            .flat_map(|member| member.attachments.iter().map(move |attachment| (member, attachment)))
            .filter(|(member, attachment)| self.attached(member, attachment).is_none_or(|entry| entry.policy.is_none()))
            .map(|(member, attachment)| self.missing_policy(member, attachment))
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok((fingerprint != self.identities.fingerprint).then_some((fingerprint, directory)))
    }

    fn attached(&self, member: &Member, attachment: &Attachment) -> Option<&Entry> {
        self.entries.get(&FileKey::new(Kind::Ram, &member.principal.account, &attachment.policy))
    }

    fn missing_policy(&self, member: &Member, attachment: &Attachment) -> Problem {
        let path =
            FileKey::new(Kind::Ram, &member.principal.account, &attachment.policy).path(&self.root, &self.account);
        let what = if self.attached(member, attachment).is_some() { "cannot be used" } else { "is not there" };
        let message = format!("RAM policy `{}` of {} {what}: {}", attachment.policy, member.principal, shown(&path));
        Problem { file: String::new(), position: Some(attachment.position), message }
    }

    /// The directory in force.
    pub fn directory(&self) -> Arc<Directory> {
        self.identities.directory.clone()
    }

    /// All policies in force, by what they are attached to.
    pub fn table(&self) -> PolicyTable {
        let mut table = PolicyTable::default();
        for (key, entry) in &self.entries {
            let by_account = match key.kind {
                Kind::Key => &mut table.keys,
                Kind::Secret => &mut table.secrets,
                Kind::Ram => continue,
            };
            if let Some(policy) = &entry.policy {
                by_account.entry(key.account.clone()).or_default().insert(key.name.clone(), policy.clone());
            }
        }
        let policy_of = |member: &Member, attachment| self.attached(member, attachment)?.policy.clone();
        let members = self.identities.directory.members().iter();
        table.members = members
            .map(|member| member.attachments.iter().filter_map(|attachment| policy_of(member, attachment)).collect())
            .collect();
        table
    }

    /// How much is in force, and what is wrong.
    pub fn counts(&self) -> Status {
        let mut by_kind = BTreeMap::new();
        for (key, _) in self.entries.iter().filter(|(_, entry)| entry.policy.is_some()) {
            *by_kind.entry(key.kind as u8).or_insert(0) += 1;
        }
        let count = |kind: Kind| by_kind.get(&(kind as u8)).copied().unwrap_or(0);
        Status {
            key_policies: count(Kind::Key),
            secret_policies: count(Kind::Secret),
            ram_policies: count(Kind::Ram),
            callers: self.identities.directory.caller_count(),
            accounts: self.identities.directory.account_count(),
            ..Status::default()
        }
    }

    /// The text of a policy in force.
    pub fn text(&self, key: &FileKey) -> Option<Arc<str>> {
        self.entries.get(key).filter(|entry| entry.policy.is_some()).map(|entry| entry.text.clone())
    }
}

/// Reads a policy file that is new or changed. Returns its entry, and whether another policy is in force with it.
fn read_policy(root: &Path, file: &Found, before: Option<Entry>) -> (Entry, bool) {
    let name = file.path.strip_prefix(root).unwrap_or(&file.path).display().to_string();
    let read = files::read(&file.path).map_err(|message| vec![Problem::of_file("", message)]).and_then(|text| {
        if before.as_ref().is_some_and(|entry| entry.policy.is_some() && *entry.text == *text) {
            return Ok(None);
        }
        parse_policy(file.key.kind, &name, &text).map(|policy| Some((text, policy)))
    });
    let (path, stamp) = (file.path.clone(), Some(file.stamp));
    match (read, before) {
        (Ok(Some((text, policy))), _) => {
            let policy = Some(Arc::new(policy));
            (Entry { stamp, text: text.into(), policy, problems: Vec::new(), path }, true)
        }
        (Ok(None), Some(before)) => (Entry { stamp, problems: Vec::new(), path, ..before }, false),
        (Ok(None), None) => (Entry { stamp, text: "".into(), policy: None, problems: Vec::new(), path }, false),
        (Err(problems), before) => {
            let shown = shown(&file.path);
            let problems = problems.into_iter().map(|problem| problem.in_file(&shown)).collect();
            let (text, policy) = before.map_or(("".into(), None), |entry| (entry.text, entry.policy));
            (Entry { stamp, text, policy, problems, path }, false)
        }
    }
}

/// Reads the directory, with a hash of everything it was made from. Problems do not name the file.
pub fn read_directory(path: &Path) -> Result<([u8; 32], Directory), Vec<Problem>> {
    let text = files::read(path).map_err(|message| vec![Problem::of_file("", message)])?;
    let hash = std::cell::RefCell::new(Sha256::new_with_prefix(&text));
    let folder = path.parent().unwrap_or(Path::new("."));
    let directory = Directory::parse(&text, &|source| {
        let secret = reveal(source, folder)?;
        hash.borrow_mut().update(secret.expose_secret());
        Ok(secret)
    })?;
    Ok((hash.into_inner().finalize().into(), directory))
}

/// Fetches a secret that is kept outside the directory.
fn reveal(source: SecretSource<'_>, folder: &Path) -> Result<SecretString, String> {
    let secret = match source {
        SecretSource::File(path) => files::read(&folder.join(path))?,
        #[expect(clippy::disallowed_methods, reason = "the directory says that its secret is in the environment")]
        SecretSource::Environment(name) => std::env::var(name).map_err(|_| format!("variable {name} is not set"))?,
    };
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    if secret.is_empty() { Err("it is empty".to_owned()) } else { Ok(secret.into()) }
}
