//! The set of policies and identities: what was read, and what of it is in force.
//!
//! One value, cheap to copy: a look at the files drafts the next one, and either all of it is taken or nothing. A policy
//! whose file did not change is shared with the set before, compiled as it is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use imbl::OrdMap;
use sha2::{Digest, Sha256};

use super::entry::{Entry, Good, Hash, Touched};
use super::findings::{self, Inspected};
use super::identities::Identities;
use super::layout::{FileKey, Layout, parent_of};
use super::resources::{self, Resources};
use super::status::Counts;
use crate::authn::{Attachment, Member};
use crate::authz::{PoliciesByName, PolicyTable, denial, system_policy};
use crate::policy::{Finding, Kind, Policy};
use crate::settings::OnInvalid;
use crate::source::{Problem, shown};

/// Everything that was read.
#[derive(Clone)]
pub struct Files {
    root: Arc<Path>,
    layout: Layout,
    on_invalid: OnInvalid,
    entries: OrdMap<Arc<str>, Arc<Entry>>,
    /// What is wrong with the present version of files, by path.
    problems: OrdMap<Arc<str>, Arc<[Problem]>>,
    /// What is legal and most likely not meant, by path.
    findings: OrdMap<Arc<str>, Arc<[Finding]>>,
    /// What is wrong with names and folders.
    of_folder: Arc<[Problem]>,
    resources: Resources,
    identities: Identities,
    of_identities: Arc<[Problem]>,
    /// What somebody writes all the time: it is not read, and nothing is wrong with it that anybody knows.
    busy: Arc<[Problem]>,
    table: PolicyTable,
    counts: [usize; 3],
    /// What is notable about how files are mounted: it is looked at once, at the start.
    mounted: Arc<[Finding]>,
}

impl Files {
    /// Nothing read yet.
    pub fn new(root: &Path, layout: Layout, on_invalid: OnInvalid, identities: Identities) -> Self {
        let mounted = findings::mounted_files(root, identities.path()).into();
        Self {
            root: root.into(),
            layout,
            on_invalid,
            entries: OrdMap::new(),
            problems: OrdMap::new(),
            findings: OrdMap::new(),
            of_folder: Arc::default(),
            resources: Resources::default(),
            identities,
            of_identities: Arc::default(),
            busy: Arc::default(),
            table: PolicyTable::default(),
            counts: [0; 3],
            mounted,
        }
    }

    /// What is known of the file at `path`.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path).map(|entry| &**entry)
    }

    /// All files, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path, &**entry))
    }

    /// Whether a file is known whose path differs from this one by the case of letters only.
    pub fn has_twin_of(&self, path: &str) -> bool {
        let begin: Arc<str> = format!("{}/", parent_of(path)).into();
        let in_folder = self.entries.range(begin.clone()..).take_while(|(it, _)| it.starts_with(&*begin));
        in_folder.into_iter().any(|(it, _)| it.eq_ignore_ascii_case(path) && **it != *path)
    }

    /// Whether some file is known in this folder of the policy folder.
    pub fn knows_files_in(&self, folder: &str) -> bool {
        let begin: Arc<str> = format!("{folder}/").into();
        self.entries.range(begin.clone()..).next().is_some_and(|(path, _)| path.starts_with(&*begin))
    }

    /// The identities file.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The identities file, to be taken anew.
    pub fn identities_mut(&mut self) -> &mut Identities {
        &mut self.identities
    }

    /// The file at `path` is this one, with these mistakes in its present version.
    pub fn put(&mut self, path: &Arc<str>, entry: Entry, problems: Vec<Problem>, touched: &mut Touched) {
        let before = self.in_force(path).map(|policy| policy.text.clone());
        let key = entry.key.clone();
        if problems.is_empty() {
            self.problems.remove(path);
        } else {
            self.problems.insert(path.clone(), problems.into());
        }
        self.entries.insert(path.clone(), Arc::new(entry));
        self.settle_table(path, &key, before.as_deref(), touched);
    }

    /// Lets go of the file at `path`: nothing of it is in force any more.
    pub fn remove(&mut self, path: &Arc<str>, touched: &mut Touched) {
        let before = self.in_force(path).map(|policy| policy.text.clone());
        self.problems.remove(path);
        if let Some(entry) = self.entries.remove(path) {
            self.settle_table(path, &entry.key, before.as_deref(), touched);
        }
    }

    /// Has the table say what is in force for one file.
    fn settle_table(&mut self, path: &Arc<str>, key: &FileKey, before: Option<&str>, touched: &mut Touched) {
        let now = self.in_force(path);
        if before == now.as_ref().map(|policy| &*policy.text) {
            return;
        }
        touched.paths.insert(path.clone());
        let [keys, secrets, ram] = &mut self.counts;
        let (count, by_account) = match key.kind {
            Kind::Key => (keys, Some(&mut self.table.keys)),
            Kind::Secret => (secrets, Some(&mut self.table.secrets)),
            Kind::Ram => (ram, None),
        };
        match (before.is_some(), now.is_some()) {
            (false, true) => *count += 1,
            (true, false) => *count -= 1,
            _ => {}
        }
        let Some(by_account) = by_account else {
            touched.ram = true;
            return;
        };
        let account = by_account.entry(key.account.to_string()).or_insert_with(PoliciesByName::default);
        match now {
            Some(policy) => drop(account.insert(key.name.to_string(), policy)),
            None => drop(account.remove(&*key.name)),
        }
    }

    /// The policy that is in force for the file at `path`.
    pub fn in_force(&self, path: &Arc<str>) -> Option<Arc<Policy>> {
        let entry = self.entries.get(path)?;
        if self.denies_instead(path) {
            return Some(Arc::new(denial(path, "TheFileCannotBeUsed")));
        }
        entry.good.as_ref().map(|good| good.policy.clone())
    }

    /// What the operator says of names.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The operator says something else of names.
    pub fn set_resources(&mut self, resources: Resources, touched: &mut Touched) {
        touched.resources |= resources.hash() != self.resources.hash();
        self.problems.remove(resources::FILE);
        self.resources = resources;
    }

    /// What the operator says of names cannot be used: what was said before counts.
    pub fn set_resources_problems(&mut self, problems: Vec<Problem>) {
        let problems = problems.into_iter().map(|problem| problem.in_file(&self.shown(resources::FILE)));
        self.problems.insert(resources::FILE.into(), problems.collect());
    }

    /// What is wrong with names and folders, as of the last whole look.
    pub fn set_folder_problems(&mut self, problems: Vec<Problem>) {
        self.of_folder = problems.into();
    }

    /// What somebody writes all the time.
    pub fn set_busy(&mut self, busy: Vec<Problem>) {
        self.busy = busy.into();
    }

    /// What is wrong with the identities.
    pub fn set_identities_problems(&mut self, problems: Vec<Problem>) {
        self.of_identities = problems.into();
    }

    /// Whether something is wrong with the identities.
    pub fn has_bad_identities(&self) -> bool {
        !self.of_identities.is_empty()
    }

    /// Whether the identities cannot be used, and no older ones are wanted in their place.
    pub fn has_no_identities(&self) -> bool {
        self.on_invalid == OnInvalid::Deny && !self.of_identities.is_empty()
    }

    /// What is wrong with an attachment, if anything.
    pub fn missing(&self, member: &Member, attachment: &Attachment) -> Option<String> {
        let (account, name) = (&member.principal.account, &attachment.policy);
        if self.ram_policy(account, name).is_some() {
            return None;
        }
        let path = self.layout.path(&FileKey::new(Kind::Ram, account, name));
        let what = if self.entry(&path).is_some() { "cannot be used" } else { "is not there" };
        Some(format!("RAM policy `{name}` of {} {what}: {}", member.principal, self.shown(&path)))
    }

    /// The RAM policy of this name in an account.
    pub fn ram_policy(&self, account: &str, name: &str) -> Option<Arc<Policy>> {
        let path: Arc<str> = self.layout.path(&FileKey::new(Kind::Ram, account, name)).into();
        self.in_force(&path).or_else(|| system_policy(name))
    }

    /// Brings up to date what follows from files and identities together.
    pub fn finish(&mut self, touched: &Touched) {
        if touched.ram || touched.identities {
            let directory = self.identities.directory();
            let policy_of = |member: &Member, it: &Attachment| self.ram_policy(&member.principal.account, &it.policy);
            let of = |member: &Member| member.attachments.iter().filter_map(|it| policy_of(member, it)).collect();
            self.table.members = directory.members().iter().map(of).collect();
        }
        let paths: Vec<Arc<str>> = match touched.identities {
            true => self.entries.keys().cloned().collect(),
            false => touched.paths.iter().cloned().collect(),
        };
        let of_files = self.inspected_of(paths.iter());
        for path in &paths {
            self.findings.remove(path);
        }
        for (path, findings) in findings::findings(&of_files, &self.identities.directory()) {
            self.findings.insert(path, findings.into());
        }
    }

    /// All policies in force, by what they are attached to.
    pub fn table(&self) -> &PolicyTable {
        &self.table
    }

    /// Where a policy belongs.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A path in the folder, on the disk.
    pub fn on_disk(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A path in the folder, as people know it.
    pub fn shown(&self, path: &str) -> String {
        shown(&self.on_disk(path))
    }

    /// Everything that is wrong at present, sorted by file and place.
    pub fn problems(&self) -> Vec<Problem> {
        let of_files = self.problems.values().flat_map(|problems| problems.iter());
        let mut problems: Vec<Problem> =
            of_files.chain(&*self.of_folder).chain(&*self.of_identities).chain(&*self.busy).cloned().collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// This set with the problems of another one, which is not taken: what is broken there is broken here, and what was
    /// broken here and is not there is mended.
    pub fn with_problems_of(&self, other: &Self) -> (Self, Touched) {
        let (mut files, mut touched) = (self.clone(), Touched::default());
        let paths: HashSet<&Arc<str>> = self.problems.keys().chain(other.problems.keys()).collect();
        for path in paths {
            let problems = other.problems.get(path).map(|problems| problems.to_vec()).unwrap_or_default();
            if let Some(entry) = self.entry(path) {
                files.put(path, entry.clone(), problems, &mut touched);
            }
        }
        (files.of_folder, files.of_identities) = (other.of_folder.clone(), other.of_identities.clone());
        files.busy = other.busy.clone();
        files.finish(&touched);
        (files, touched)
    }

    /// What is legal and most likely not meant, sorted by file and place.
    pub fn findings(&self) -> Vec<Finding> {
        let of_secrets = self.identities.readable_secrets().iter().map(|path| findings::readable_secret(path));
        let of_policies = self.findings.values().flat_map(|findings| findings.iter().cloned());
        let mut findings: Vec<Finding> = of_policies.chain(of_secrets).chain(self.mounted.iter().cloned()).collect();
        findings.sort();
        findings
    }

    /// The policies that can be used, sorted by file.
    pub fn policies(&self) -> Vec<Inspected> {
        self.inspected_of(self.entries.keys())
    }

    fn inspected_of<'p>(&self, paths: impl Iterator<Item = &'p Arc<str>>) -> Vec<Inspected> {
        let inspected = |path: &Arc<str>| {
            let entry = self.entries.get(path)?;
            Some(Inspected {
                file: self.shown(path),
                path: path.clone(),
                owner: entry.key.account.clone(),
                name: entry.key.name.clone(),
                policy: entry.good.as_ref()?.policy.clone(),
            })
        };
        paths.filter_map(inspected).collect()
    }

    /// How much is in force.
    pub fn counts(&self) -> Counts {
        let [key_policies, secret_policies, ram_policies] = self.counts;
        let directory = self.identities.directory();
        Counts {
            key_policies,
            secret_policies,
            ram_policies,
            callers: directory.caller_count(),
            accounts: directory.account_count(),
        }
    }

    /// The last good version of every file, sorted by path.
    pub fn good(&self) -> impl Iterator<Item = (&Arc<str>, &Good)> {
        self.entries.iter().filter_map(|(path, entry)| Some((path, entry.good.as_ref()?)))
    }

    /// The hash of everything in force: of what `sha256sum` says of the policy files, sorted by path, of `resources.toml`
    /// where that is read, and of one more line for the identities without their secrets.
    pub fn hash(&self) -> String {
        self.hash_of(self.hashes())
    }

    /// Every policy file of which something is in force, sorted by path, and the hash of that.
    pub fn hashes(&self) -> impl Iterator<Item = (&Arc<str>, Hash)> {
        self.entries.iter().filter_map(|(path, entry)| match &entry.good {
            Some(good) if !self.denies_instead(path) => Some((path, good.hash)),
            _ => Some((path, Sha256::digest(self.in_force(path)?.text.as_bytes()).into())),
        })
    }

    /// The same of the last good version of everything.
    pub fn hash_of_good(&self) -> String {
        self.hash_of(self.good().map(|(path, good)| (path, good.hash)))
    }

    fn hash_of<'a>(&self, files: impl Iterator<Item = (&'a Arc<str>, Hash)>) -> String {
        let mut whole = Sha256::new();
        let mut digits = [0; 64];
        let mut line = |hash: Hash, name: &str| {
            HEXLOWER.encode_mut(&hash, &mut digits);
            whole.update(digits);
            whole.update("  ");
            whole.update(name);
            whole.update("\n");
        };
        files.for_each(|(path, hash)| line(hash, path));
        if let Some(hash) = self.resources.hash() {
            line(hash, resources::FILE);
        }
        line(Sha256::digest(self.identities.directory().outline()).into(), "identities");
        HEXLOWER.encode(&whole.finalize())
    }

    fn denies_instead(&self, path: &Arc<str>) -> bool {
        self.on_invalid == OnInvalid::Deny && self.problems.contains_key(path)
    }
}
