//! From files to the set in force.
//!
//! A look drafts the next set aside: it reads the files that changed, keeps the last good version of those that cannot be
//! used, and says whether all of them are settled. Whoever looked decides whether the draft is taken; until then, what was
//! in force is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::events::folder_of;
use super::folder::{Folder, Found, Listing};
use super::identities::{Identities, Taking};
use super::last_good::LastGood;
use super::layout::{FOLDERS, FileKey, Layout, Place};
use super::read::{Reading, look_at_named, read_all};
use super::set::{Entry, Files, Touched};
use super::settle::{Pace, Settling};
use super::write::sweep;
use crate::authn::Member;
use crate::policy::Kind;
use crate::settings;
use crate::source::{Problem, shown};

/// How often a look begins anew because the folder was replaced under it.
const ATTEMPTS: usize = 5;

/// What a look is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything; files that did not change are not read.
    Everything,
    /// Everything, and every file is read again.
    Anew,
    /// These files of the policy folder only, and the identities if so said. Where links lead to files, nobody knows which
    /// ones an event is about, and everything is looked at.
    Only {
        /// Paths in the policy folder.
        paths: HashSet<PathBuf>,
        /// Whether the identities are looked at, too.
        identities: bool,
    },
}

/// What a look came to.
pub struct Look {
    /// The next set.
    pub files: Files,
    /// What is another one in it.
    pub touched: Touched,
    /// Whether a file is still being written, so that it is worth looking again soon. Then nothing of the draft counts.
    pub unsettled: bool,
    /// Whether everything was looked at.
    pub is_complete: bool,
}

/// Everything that was read, and how it is read.
pub struct Loader {
    root: PathBuf,
    others_may_write: bool,
    files: Files,
    settling: Settling,
    has_links: bool,
    /// Of this process, so that nobody can try secrets against what is shown of them.
    salt: [u8; 16],
}

impl Loader {
    /// Nothing read yet.
    pub fn new(settings: &settings::Policies, account: &str) -> Self {
        let identities = Identities::new(&settings.identities);
        let layout = Layout { account: account.into() };
        Self {
            root: settings.directory.clone(),
            others_may_write: settings.others_may_write,
            files: Files::new(&settings.directory, layout, settings.on_invalid, identities),
            settling: Settling::default(),
            has_links: false,
            salt: *Uuid::new_v4().as_bytes(),
        }
    }

    /// What was taken.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Whether the policy folder is there.
    pub fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    /// By what the draft of a look is approved; see [`super::Waiting`]. Secrets are not in a set's hash: who approved one
    /// has not approved another.
    pub fn approval(&self, look: &Look, hash: &str) -> String {
        let proof = look.files.identities().proof();
        if proof == self.files.identities().proof() {
            return hash.to_owned();
        }
        let salted = Sha256::new().chain_update(self.salt).chain_update(proof.unwrap_or_default()).finalize();
        format!("{hash}-{}", HEXLOWER.encode(salted.get(..8).unwrap_or_default()))
    }

    /// Puts another set in the place of what was taken.
    pub fn take(&mut self, files: Files) {
        self.files = files;
    }

    /// Begins with what a copy says was in force. Returns whether it said something.
    pub fn restore(&mut self, copy: &mut LastGood) -> bool {
        copy.restore(&mut self.files).unwrap_or_else(|why| {
            tracing::warn!(why, "the copy of the last good policies cannot be used, and is not");
            false
        })
    }

    /// Removes what was left in the policy folder by a process that died while it wrote.
    pub fn sweep(&self) {
        let of_layout = FOLDERS.iter().map(|(_, folder)| self.root.join(folder));
        let of_files = self.files.entries().map(|(path, _)| folder_of(&self.files.on_disk(path)));
        let folders: HashSet<PathBuf> = of_layout.chain(of_files).collect();
        folders.iter().for_each(|folder| sweep(folder));
    }

    /// Looks at files and drafts the next set. Without a pace, nothing is waited for.
    pub fn look(&mut self, scope: &Scope, pace: Option<Pace>) -> Look {
        for _ in 0..ATTEMPTS {
            if let Some(mut look) = self.look_once(scope, pace) {
                if !look.unsettled {
                    self.settling.done();
                    look.files.finish(&look.touched);
                }
                return look;
            }
        }
        Look { unsettled: true, ..self.nothing() }
    }

    fn nothing(&self) -> Look {
        Look { files: self.files.clone(), touched: Touched::default(), unsettled: false, is_complete: false }
    }

    /// `None` if the folder was replaced meanwhile.
    fn look_once(&mut self, scope: &Scope, pace: Option<Pace>) -> Option<Look> {
        let mut look = self.nothing();
        let folder = match Folder::open(&self.root, self.others_may_write) {
            Ok(folder) => folder,
            Err(error) => {
                let problem = Problem::of_file(shown(&self.root), format!("cannot be read: {error}"));
                look.files.set_folder_problems(vec![problem]);
                // Whose attachments are missing, is not known without the folder.
                self.look_at_identities(&mut look, false, scope == &Scope::Anew, pace);
                return Some(look);
            }
        };
        let only = match scope {
            Scope::Only { paths, identities } if !self.has_links => self.named(paths).map(|named| (named, *identities)),
            _ => None,
        };
        let (listing, missing) = match &only {
            Some((named, _)) => look_at_named(&folder, &self.files, named),
            None => self.listed(&folder),
        };
        let anew = scope == &Scope::Anew;
        look.is_complete = only.is_none();
        let changed = self.changed(listing.found.iter(), anew, pace, &mut look);
        let readings = read_all(&folder, &self.files, changed);
        if !folder.is_the_same() {
            return None;
        }
        for reading in readings {
            look.put(reading);
        }
        if only.as_ref().is_none_or(|(_, identities)| *identities) {
            self.look_at_identities(&mut look, true, anew, pace);
        }
        self.let_go_of(&missing, &listing, pace, &mut look);
        if look.is_complete {
            self.has_links = listing.has_links;
            self.blame_folders(&missing, &listing, pace, &mut look);
        }
        // What goes on for too long is left out, and said; the rest is taken without it.
        if look.unsettled && self.settling.is_out_of_patience(pace) {
            look.unsettled = false;
        }
        Some(look)
    }

    /// The policy files that these paths name; `None` if one of them may stand for many.
    fn named(&self, paths: &HashSet<PathBuf>) -> Option<Vec<(FileKey, Arc<str>)>> {
        let mut named = Vec::new();
        for path in paths {
            match self.files.layout().place(path) {
                Place::Policy(key) => named.push((key.clone(), self.files.layout().path(&key).into())),
                Place::Ignored => {}
                Place::Folder | Place::Wrong(_) => return None,
            }
        }
        Some(named)
    }

    fn listed(&self, folder: &Folder) -> (Listing, Vec<Arc<str>>) {
        let listing = folder.list(self.files.layout());
        let there: HashSet<&str> = listing.found.iter().map(|file| &*file.path).collect();
        let missing = self.files.entries().filter(|(path, entry)| !entry.only_here && !there.contains(&***path));
        let missing = missing.map(|(path, _)| path.clone()).collect();
        (listing, missing)
    }

    /// Those that are not what was taken, as far as they are settled.
    fn changed<'f>(
        &mut self,
        found: impl Iterator<Item = &'f Found>,
        anew: bool,
        pace: Option<Pace>,
        look: &mut Look,
    ) -> Vec<Found> {
        let mut changed = Vec::new();
        for file in found {
            let entry = self.files.entry(&file.path);
            let stamp = file.stamp.as_ref().ok().copied();
            let is_known = stamp.is_some() && entry.is_some_and(|entry| entry.stamp == stamp);
            if is_known && (!anew || entry.is_some_and(|entry| entry.only_here)) {
                continue;
            }
            let is_settled =
                stamp.is_none_or(|stamp| self.settling.is_settled(&file.path, Some(stamp), stamp.latest(), pace));
            if is_settled {
                changed.push(file.clone());
            } else {
                look.wait_for(file);
            }
        }
        changed
    }

    /// Lets go of the entries whose files are not there any more. Only a folder that was read to the end says so: what
    /// lies in any other one stays, and is reported, because a folder that vanishes must not take its Denys along.
    fn let_go_of(&mut self, missing: &[Arc<str>], listing: &Listing, pace: Option<Pace>, look: &mut Look) {
        for path in missing {
            let Some(changed) = path.rsplit_once('/').and_then(|(folder, _)| listing.complete.get(folder)) else {
                continue;
            };
            if self.settling.is_settled(path, None, *changed, pace) {
                look.let_go(path);
            } else {
                look.unsettled = true;
                look.blame(path, "comes and goes all the time");
            }
        }
    }

    /// Says what is wrong with names and folders, once it is clear that it stays so.
    fn blame_folders(&mut self, missing: &[Arc<str>], listing: &Listing, pace: Option<Pace>, look: &mut Look) {
        let mut problems = Vec::new();
        for (path, message) in &listing.problems {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let changed = listing.complete.get(folder).copied().unwrap_or_default();
            if self.settling.is_settled(&path.as_str().into(), None, changed, pace) {
                problems.push(Problem::of_file(self.files.shown(path), message));
            } else {
                look.unsettled = true;
            }
        }
        let folders: HashSet<&str> = missing.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
        for folder in folders.into_iter().filter(|folder| !listing.complete.contains_key(*folder)) {
            // The folder itself, or one that it lies in, may be reported already.
            if !listing.problems.iter().any(|(blamed, _)| Path::new(folder).starts_with(blamed)) {
                let message = "is not there or cannot be read; the policies that were in it stay in force";
                problems.push(Problem::of_file(self.files.shown(folder), message));
            }
        }
        problems.sort();
        look.files.set_folder_problems(problems);
    }

    /// Takes the identities if they changed and every RAM policy that they attach is there.
    fn look_at_identities(&mut self, look: &mut Look, policies_are_known: bool, anew: bool, pace: Option<Pace>) {
        let identities = self.files.identities();
        let path: Arc<str> = identities.path().to_string_lossy().into();
        if let Some(stamp) = identities.new_stamp()
            && !self.settling.is_settled(&path, Some(stamp), stamp.latest(), pace)
        {
            look.blame_identities();
            return;
        }
        let files = look.files.clone();
        match look.files.identities_mut().take(anew, &|member, attachment| files.missing(member, attachment)) {
            Taking::Changed => {
                look.touched.identities = true;
                look.files.set_identities_problems(Vec::new());
            }
            Taking::Same => look.files.set_identities_problems(Vec::new()),
            Taking::Unsettled => look.blame_identities(),
            Taking::Unusable(_) if !policies_are_known => {}
            Taking::Unusable(problems) => look.files.set_identities_problems(problems),
        }
    }
}

impl Look {
    fn wait_for(&mut self, file: &Found) {
        self.unsettled = true;
        let problem = Problem::of_file(self.files.shown(&file.path), "is being written all the time");
        let new = || Entry { key: file.key.clone(), stamp: None, good: None, only_here: false };
        let entry = self.files.entry(&file.path).cloned().unwrap_or_else(new);
        self.files.put(&file.path, entry, vec![problem], &mut self.touched);
    }

    fn blame_identities(&mut self) {
        self.unsettled = true;
        let file = shown(self.files.identities().path());
        self.files.set_identities_problems(vec![Problem::of_file(file, "is being written all the time")]);
    }

    /// Says what is wrong with a file that is known.
    fn blame(&mut self, path: &Arc<str>, message: &str) {
        if let Some(entry) = self.files.entry(path).cloned() {
            let problem = Problem::of_file(self.files.shown(path), message);
            self.files.put(path, entry, vec![problem], &mut self.touched);
        }
    }

    /// What is there and cannot be used keeps its last good version.
    fn put(&mut self, reading: Reading) {
        let Reading { found, stamp, read } = reading;
        let before = self.files.entry(&found.path);
        let kept = before.and_then(|entry| entry.good.clone());
        let (good, problems) = match read {
            Ok(Some(good)) => (Some(good), Vec::new()),
            Ok(None) => (kept, Vec::new()),
            Err(problems) => (kept, problems),
        };
        // It changed while it was read: what was read may be half of two versions.
        if stamp.is_none() && found.stamp.is_ok() {
            self.wait_for(&found);
            return;
        }
        let entry = Entry { key: found.key, stamp, good, only_here: false };
        self.files.put(&found.path, entry, problems, &mut self.touched);
    }

    /// Lets a file go that was removed. A RAM policy that somebody still has stays: dropping it could drop a Deny while its
    /// holders keep their other grants.
    fn let_go(&mut self, path: &Arc<str>) {
        let Some(entry) = self.files.entry(path).cloned() else { return };
        match holder(&self.files, &entry.key) {
            Some(holder) if entry.good.is_some() => {
                let message = format!("was removed, but is still attached to {holder}");
                let problem = Problem::of_file(self.files.shown(path), message);
                self.files.put(path, Entry { stamp: None, ..entry }, vec![problem], &mut self.touched);
            }
            _ => self.files.remove(path, &mut self.touched),
        }
    }
}

/// Who has this RAM policy.
fn holder(files: &Files, key: &FileKey) -> Option<String> {
    let has = |member: &&Member| {
        *member.principal.account == *key.account && member.attachments.iter().any(|it| it.policy == *key.name)
    };
    let directory = files.identities().directory();
    let member = directory.members().iter().filter(|_| key.kind == Kind::Ram).find(has)?;
    Some(member.principal.to_string())
}
