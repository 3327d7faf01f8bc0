//! What was read from the files, and what of it is in force.
//!
//! Each file keeps its last good version. A scan reads only files whose stamp changed, parses only texts that changed,
//! and says whether the set that is in force is another one than before.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Status;
use super::files::{self, FOLDERS, Found, Listing, Stamp, file_name};
use super::identities::{Identities, Taking};
use super::inspect::Inspected;
use crate::authn::{Attachment, Directory, Member};
use crate::authz::{PolicyTable, parse_policy, system_policy};
use crate::policy::{Kind, Policy};
use crate::settings::{self, read_text};
use crate::source::{Problem, shown};

/// A file that claims to be from later than this was given its date by somebody.
const FUTURE: SignedDuration = SignedDuration::from_mins(5);

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
        account.join(folder).join(file_name(&self.name))
    }
}

/// What a scan found.
#[derive(Default)]
pub struct Changes {
    /// Whether another set is in force than before.
    pub changed: bool,
    /// Whether a file is still being written, so that it is worth looking again soon.
    pub unsettled: bool,
    /// What cannot be used.
    pub problems: Vec<Problem>,
}

/// A policy file: its last good version, and what is wrong with the present one.
#[derive(Clone)]
struct Entry {
    path: PathBuf,
    stamp: Option<Stamp>,
    policy: Option<Arc<Policy>>,
    problems: Vec<Problem>,
    /// Whether it was set here, and no file says so: it lasts until the file at its path is another one.
    only_here: bool,
}

/// Everything that was read.
pub struct Loader {
    root: PathBuf,
    account: String,
    entries: HashMap<FileKey, Entry>,
    identities: Identities,
    /// What is wrong with the identities file as it was read last.
    identities_problems: Vec<Problem>,
}

impl Loader {
    /// Nothing read yet.
    pub fn new(settings: &settings::Policies, account: &str) -> Self {
        Self {
            root: settings.directory.clone(),
            account: account.to_owned(),
            entries: HashMap::new(),
            identities: Identities::new(&settings.identities),
            identities_problems: Vec::new(),
        }
    }

    /// Looks at all files and takes what can be used. A file that changed after `settled` is left for the next time:
    /// somebody may still be writing it.
    pub fn scan(&mut self, settled: Option<Timestamp>) -> Changes {
        let mut changes = Changes::default();
        let listing = match files::list(&self.root, &self.account) {
            Ok(listing) => Some(listing),
            Err(error) => {
                changes.problems.push(Problem::of_file(shown(&self.root), format!("cannot be read: {error}")));
                None
            }
        };
        for file in listing.iter().flat_map(|listing| &listing.found) {
            self.take(file, settled, &mut changes);
        }
        // Identities before anything is let go: a policy that was removed together with its last attachment is gone.
        self.take_identities(listing.is_some(), settled, &mut changes);
        if let Some(listing) = listing {
            self.let_go_of_the_missing(&listing, &mut changes);
            changes.problems.extend(listing.problems);
        }
        changes.problems.extend(self.entries.values().flat_map(|entry| entry.problems.iter().cloned()));
        changes.problems.sort();
        changes.problems.dedup();
        changes
    }

    /// Takes one file that was just written. Returns whether it is in force as it stands.
    pub fn take_written(&mut self, key: &FileKey, text: &str) -> bool {
        let path = key.path(&self.root, &self.account);
        let stamp = Stamp::read(&path).map_err(|error| error.to_string());
        self.take(&Found { key: key.clone(), path, stamp }, None, &mut Changes::default());
        let policy = self.entries.get(key).and_then(|entry| entry.policy.as_ref());
        policy.is_some_and(|policy| *policy.text == *text)
    }

    /// Sets a policy in memory, whatever the file at its place says.
    ///
    /// # Errors
    /// The document has mistakes.
    pub fn set(&mut self, key: &FileKey, text: &str) -> Result<(), Vec<Problem>> {
        let name = name_of(&self.root, &key.path(&self.root, &self.account));
        let policy = parse_policy(key.kind, &name, text)?;
        self.keep_here(key, Some(Arc::new(policy)));
        Ok(())
    }

    /// Removes a policy in memory, whatever the file at its place says. Returns whether there was one.
    pub fn unset(&mut self, key: &FileKey) -> bool {
        let was_there = self.entries.get(key).is_some_and(|entry| entry.policy.is_some());
        if was_there {
            self.keep_here(key, None);
        }
        was_there
    }

    fn keep_here(&mut self, key: &FileKey, policy: Option<Arc<Policy>>) {
        let path = key.path(&self.root, &self.account);
        let stamp = Stamp::read(&path).ok();
        self.entries.insert(key.clone(), Entry { path, stamp, policy, problems: Vec::new(), only_here: true });
    }

    /// Takes a file if it is new or changed. What is there and cannot be used keeps its last good version.
    fn take(&mut self, file: &Found, settled: Option<Timestamp>, changes: &mut Changes) {
        let before = self.entries.get(&file.key);
        let stamp = file.stamp.as_ref().ok().copied();
        if before.is_some_and(|entry| stamp.is_some() && entry.stamp == stamp && entry.path == file.path) {
            return;
        }
        if stamp.is_some_and(|stamp| is_unsettled(stamp, settled)) {
            changes.unsettled = true;
            return;
        }
        let kept = before.and_then(|entry| entry.policy.clone());
        let (policy, problems) = match read_policy(&self.root, file, kept.as_deref()) {
            Ok(Some(policy)) => {
                changes.changed = true;
                (Some(Arc::new(policy)), Vec::new())
            }
            Ok(None) => (kept, Vec::new()),
            Err(problems) => (kept, problems),
        };
        if stamp.is_some() && Stamp::read(&file.path).ok() != stamp {
            // It was written while it was read. What was read is whole enough to parse; the rest follows.
            changes.unsettled = true;
        }
        let path = file.path.clone();
        self.entries.insert(file.key.clone(), Entry { path, stamp, policy, problems, only_here: false });
    }

    /// Lets go of the entries whose files are not there any more. Only a folder that was read to the end says so: what
    /// lies in any other one stays, and is reported, because a folder that vanishes must not take its Denys along.
    fn let_go_of_the_missing(&mut self, listing: &Listing, changes: &mut Changes) {
        let there: HashSet<&FileKey> = listing.found.iter().map(|file| &file.key).collect();
        let is_missing = |(key, entry): &(&FileKey, &Entry)| !entry.only_here && !there.contains(key);
        let missing: Vec<FileKey> = self.entries.iter().filter(is_missing).map(|(key, _)| key.clone()).collect();
        for key in missing {
            let Some(folder) = self.entries.get(&key).and_then(|entry| entry.path.parent()) else { continue };
            if listing.complete.contains(folder) {
                changes.changed |= self.let_go(&key);
                continue;
            }
            let folder = shown(folder);
            // The folder itself, or one that it lies in, may be reported already.
            if !listing.problems.iter().any(|problem| Path::new(&folder).starts_with(&problem.file)) {
                let message = "is not there or cannot be read; the policies that were in it stay in force";
                changes.problems.push(Problem::of_file(folder, message));
            }
        }
    }

    /// Lets an entry go whose file was removed. A RAM policy that somebody still has stays: dropping it could drop a Deny
    /// while its holders keep their other grants.
    pub fn let_go(&mut self, key: &FileKey) -> bool {
        let holder = self.holder(key);
        let Some(entry) = self.entries.get_mut(key) else { return false };
        match holder {
            Some(holder) if entry.policy.is_some() => {
                let message =
                    format!("was removed, but is still attached to {holder}; its last version stays in force");
                entry.stamp = None;
                entry.problems = vec![Problem::of_file(shown(&entry.path), message)];
                false
            }
            _ => self.entries.remove(key).is_some_and(|entry| entry.policy.is_some()),
        }
    }

    /// Who has this RAM policy.
    fn holder(&self, key: &FileKey) -> Option<String> {
        let has = |member: &&Member| {
            *member.principal.account == *key.account && member.attachments.iter().any(|it| it.policy == key.name)
        };
        let directory = self.identities.directory();
        let member = directory.members().iter().filter(|_| key.kind == Kind::Ram).find(has)?;
        Some(member.principal.to_string())
    }

    /// Takes the identities if they changed and every RAM policy that they attach is there.
    fn take_identities(&mut self, policies_are_known: bool, settled: Option<Timestamp>, changes: &mut Changes) {
        let (root, account, entries) = (&self.root, &self.account, &self.entries);
        let missing = |member: &Member, attachment: &Attachment| {
            let key = FileKey::new(Kind::Ram, &member.principal.account, &attachment.policy);
            let entry = entries.get(&key);
            if entry.is_some_and(|entry| entry.policy.is_some()) || system_policy(&attachment.policy).is_some() {
                return None;
            }
            let what = if entry.is_some() { "cannot be used" } else { "is not there" };
            let path = shown(&key.path(root, account));
            Some(format!("RAM policy `{}` of {} {what}: {path}", attachment.policy, member.principal))
        };
        match self.identities.take(settled, &missing) {
            Taking::Changed => {
                changes.changed = true;
                self.identities_problems.clear();
            }
            Taking::Same => self.identities_problems.clear(),
            // What was wrong with it is not put right by being written again.
            Taking::Unsettled => changes.unsettled = true,
            // Without the policy folder every attachment is missing; that folder is the mistake.
            Taking::Unusable(_) if !policies_are_known => return,
            Taking::Unusable(problems) => self.identities_problems = problems,
        }
        changes.problems.extend(self.identities_problems.iter().cloned());
    }

    /// The directory in force.
    pub fn directory(&self) -> Arc<Directory> {
        self.identities.directory()
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
        let policy_of = |member: &Member, attachment: &Attachment| {
            let key = FileKey::new(Kind::Ram, &member.principal.account, &attachment.policy);
            let of_file = self.entries.get(&key).and_then(|entry| entry.policy.clone());
            of_file.or_else(|| system_policy(&attachment.policy))
        };
        let directory = self.directory();
        let policies_of = |member: &Member| member.attachments.iter().filter_map(|it| policy_of(member, it)).collect();
        table.members = directory.members().iter().map(policies_of).collect();
        table
    }

    /// The policies in force, sorted by file.
    pub fn policies(&self) -> Vec<Inspected> {
        let inspected = |(key, entry): (&FileKey, &Entry)| {
            Some(Inspected {
                file: shown(&entry.path),
                owner: key.account.clone(),
                name: key.name.clone(),
                policy: entry.policy.clone()?,
            })
        };
        let mut policies: Vec<Inspected> = self.entries.iter().filter_map(inspected).collect();
        policies.sort_by(|a, b| a.file.cmp(&b.file));
        policies
    }

    /// Files with secrets that everybody on this machine may read.
    pub fn readable_secrets(&self) -> &[PathBuf] {
        self.identities.readable_secrets()
    }

    /// How much is in force.
    pub fn counts(&self) -> Status {
        let in_force = self.entries.iter().filter(|(_, entry)| entry.policy.is_some());
        let count = |kind: Kind| in_force.clone().filter(|(key, _)| key.kind == kind).count();
        let directory = self.directory();
        Status {
            key_policies: count(Kind::Key),
            secret_policies: count(Kind::Secret),
            ram_policies: count(Kind::Ram),
            callers: directory.caller_count(),
            accounts: directory.account_count(),
            ..Status::default()
        }
    }
}

/// Whether a file changed so recently that its writer may not be done.
pub fn is_unsettled(stamp: Stamp, settled: Option<Timestamp>) -> bool {
    let (seconds, nanoseconds) = stamp.modified;
    let modified = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)).ok();
    // A time far in the future says nothing about the writer.
    let is_recent =
        |modified: Timestamp| settled.is_some_and(|settled| modified > settled && modified < settled + FUTURE);
    modified.is_some_and(is_recent)
}

/// What a policy is called: the path of its file below `root`.
fn name_of(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The policy in a file; `None` if its text is the one in force.
fn read_policy(root: &Path, file: &Found, in_force: Option<&Policy>) -> Result<Option<Policy>, Vec<Problem>> {
    let whole = |message: &String| vec![Problem::of_file(shown(&file.path), message)];
    file.stamp.as_ref().map_err(whole)?;
    if file.key.kind == Kind::Ram && system_policy(&file.key.name).is_some() {
        let message = "has the name of a system policy, which is built in; give yours another name";
        return Err(whole(&message.to_owned()));
    }
    let text = read_text(&file.path).map_err(|message| whole(&message))?;
    if in_force.is_some_and(|policy| *policy.text == *text) {
        return Ok(None);
    }
    let parsed = parse_policy(file.key.kind, &name_of(root, &file.path), &text);
    let in_file = |problem: Problem| problem.in_file(&shown(&file.path));
    parsed.map(Some).map_err(|problems| problems.into_iter().map(in_file).collect())
}
