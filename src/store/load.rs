//! From files to the set in force.
//!
//! A look drafts the next set aside: it reads the files that changed, keeps the last good version of those that cannot be
//! used, and says whether all of them are settled. Whoever looked decides whether the draft is taken; until then, what was
//! in force is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entry::Touched;
use super::events::folder_of;
use super::folder::{Folder, Found, Listing, Seen};
use super::identities::{Identities, Taking};
use super::last_good::LastGood;
use super::layout::{FOLDERS, FileKey, Layout, Place, parent_of};
use super::look::Look;
use super::read::read_all;
use super::resources;
use super::set::Files;
use super::settle::{Pace, Settling};
use super::stamp::{Inode, Stamp};
use super::write::sweep;
use crate::settings;
use crate::source::{Problem, shown};

/// How often a look begins anew because the folder was replaced under it.
const ATTEMPTS: usize = 5;

/// The same of a start, which also waits for whoever writes; and how long it pauses in between.
const ATTEMPTS_AT_START: usize = 50;
const PAUSE_AT_START: Duration = Duration::from_millis(20);

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

/// Everything that was read, and how it is read.
pub struct Loader {
    root: PathBuf,
    others_may_write: bool,
    /// Whether names behind a KMS elsewhere are the operator's to state.
    reads_resources: bool,
    files: Files,
    settling: Settling,
    has_links: bool,
    /// The folders that policies in force were read from, also those that vanished since.
    inodes: HashMap<String, Inode>,
    /// The folders of the last whole look.
    listed: HashMap<String, Inode>,
    /// Of this process, so that nobody can try secrets against what is shown of them.
    salt: [u8; 16],
}

/// What is not where it was.
struct Absent<'a> {
    /// What is there.
    listing: &'a Listing,
    /// Files that are known and not there.
    missing: &'a [Arc<str>],
    /// Folders that were replaced by others with nothing in them.
    emptied: &'a HashSet<String>,
}

impl Loader {
    /// Nothing read yet.
    pub fn new(settings: &settings::Settings) -> Self {
        let (account, reads_resources) = (settings.kms.account.as_str(), settings.upstream.is_some());
        let settings = &settings.policies;
        let identities = Identities::new(&settings.identities, settings.others_may_write);
        let layout = Layout { account: account.into() };
        Self {
            root: settings.directory.clone(),
            others_may_write: settings.others_may_write,
            reads_resources,
            files: Files::new(&settings.directory, layout, settings.on_invalid, identities),
            settling: Settling::default(),
            has_links: false,
            inodes: HashMap::new(),
            listed: HashMap::new(),
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

    /// Looks at files and drafts the next set. Without a pace, whatever is being written is waited for a little.
    pub fn look(&mut self, scope: &Scope, pace: Option<Pace>) -> Look {
        let attempts = if pace.is_some() { ATTEMPTS } else { ATTEMPTS_AT_START };
        for attempt in 1..=attempts {
            match self.look_once(scope, pace) {
                Some(look) if look.unsettled && pace.is_none() => {}
                // Whose policies are removed depends on who has them: with another directory, everything is asked again.
                Some(look) if look.touched.identities && !look.is_complete => {
                    return self.look(&Scope::Everything, pace);
                }
                Some(mut look) => {
                    if !look.unsettled {
                        self.settling.done();
                        look.files.finish(&look.touched);
                    }
                    return look;
                }
                None => {}
            }
            if pace.is_none() && attempt < attempts {
                thread::park_timeout(PAUSE_AT_START);
            }
        }
        let mut look = Look { unsettled: true, ..self.nothing() };
        let message = "is replaced or written all the time; nothing whole could be read";
        look.files.set_folder_problems(vec![Problem::of_file(shown(&self.root), message)]);
        look
    }

    fn nothing(&self) -> Look {
        Look {
            files: self.files.clone(),
            touched: Touched::default(),
            unsettled: false,
            is_complete: false,
            has_moved: false,
            busy: Vec::new(),
        }
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
        let anew = scope == &Scope::Anew;
        let looked = only.as_ref().and_then(|(named, _)| self.look_at_named(&folder, named));
        look.is_complete = looked.is_none();
        let (listing, missing) = looked.unwrap_or_else(|| self.listed(&folder));
        let changed = self.changed(listing.found.iter(), anew, pace, &mut look);
        let readings = read_all(&folder, &self.files, changed);
        let resources = look.is_complete.then(|| self.read_resources(&folder, anew, pace));
        if !folder.is_the_same() {
            return None;
        }
        resources.into_iter().for_each(|reading| look.put_resources(reading));
        for reading in readings {
            look.put(reading);
        }
        // What RAM policies there are decides whether the identities can be used.
        let concerns_identities = look.touched.ram || look.files.has_bad_identities();
        if look.is_complete || concerns_identities || only.is_some_and(|(_, identities)| identities) {
            self.look_at_identities(&mut look, true, anew, pace);
        }
        let emptied = if anew { HashSet::new() } else { self.emptied(&missing, &listing) };
        let absent = Absent { listing: &listing, missing: &missing, emptied: &emptied };
        self.let_go_of(&absent, pace, &mut look);
        if look.is_complete {
            self.has_links = listing.has_links;
            self.blame_folders(&absent, pace, &mut look);
            look.has_moved = self.listed != listing.inodes;
            self.listed.clone_from(&listing.inodes);
            self.inodes.extend(listing.inodes.into_iter().filter(|(folder, _)| !emptied.contains(folder)));
        }
        // What goes on for too long is left out, and said; the rest is taken without it.
        let may_be_parted = pace.is_some() && !folder.is_swapped_whole();
        if look.unsettled && may_be_parted && self.settling.is_out_of_patience(pace) {
            look.unsettled = false;
        }
        if look.is_complete || !look.busy.is_empty() {
            look.files.set_busy(std::mem::take(&mut look.busy));
        }
        Some(look)
    }

    fn read_resources(&mut self, folder: &Folder, anew: bool, pace: Option<Pace>) -> resources::Reading {
        if !self.reads_resources {
            return resources::Reading::Same;
        }
        let (files, settling) = (&self.files, &mut self.settling);
        let mut is_settled = |it: Stamp| settling.is_settled(&resources::FILE.into(), Some(it), it.latest(), pace);
        files.resources().look(folder, &files.layout().account, anew, &mut is_settled)
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

    /// Looks at some files only: those that are there, and those that are not any more. `None` if everything has to be looked
    /// at: one of them is a link, may be a second one for its resource, or is in another folder than before.
    fn look_at_named(&self, folder: &Folder, named: &[(FileKey, Arc<str>)]) -> Option<(Listing, Vec<Arc<str>>)> {
        let (mut listing, mut missing) = (Listing::default(), Vec::new());
        for (key, path) in named {
            let parent = parent_of(path);
            let (inode, changed) = folder.enter(parent)?;
            if self.inodes.get(parent) != Some(&inode) {
                return None;
            }
            match folder.look(path) {
                (_, true) => return None,
                (Seen::File(_), _) if self.files.entry(path).is_none() && self.files.has_twin_of(path) => return None,
                (Seen::File(stamp), _) => {
                    listing.found.push(Found { key: key.clone(), path: path.clone(), stamp });
                }
                (Seen::Nothing, _) if self.files.entry(path).is_some_and(|entry| !entry.only_here) => {
                    missing.push(path.clone());
                    listing.complete.insert(parent.to_owned(), changed);
                }
                (Seen::Nothing, _) => {}
            }
        }
        Some((listing, missing))
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
                look.wait_for(self.files.shown(&file.path));
            }
        }
        changed
    }

    /// Folders that were replaced by others with nothing in them: unmounted, or made anew by a deployment that is not done.
    /// That is no removal of everything, until somebody says so by having all files read again.
    fn emptied(&self, missing: &[Arc<str>], listing: &Listing) -> HashSet<String> {
        let filled: HashSet<&str> = listing.found.iter().map(|file| parent_of(&file.path)).collect();
        let folders: HashSet<&str> = missing.iter().map(|path| parent_of(path)).collect();
        // After a start with a copy, which one was there before is not known.
        let is_another =
            |folder: &&str| listing.inodes.get(*folder).is_some_and(|now| self.inodes.get(*folder) != Some(now));
        folders.into_iter().filter(|it| !filled.contains(it)).filter(is_another).map(str::to_owned).collect()
    }

    /// Lets go of the entries whose files are not there any more. Only a folder that was read to the end says so: what
    /// lies in any other one stays, and is reported, because a folder that vanishes must not take its Denys along.
    fn let_go_of(&mut self, absent: &Absent<'_>, pace: Option<Pace>, look: &mut Look) {
        for path in absent.missing.iter().filter(|path| !absent.emptied.contains(parent_of(path))) {
            let Some(changed) = absent.listing.complete.get(parent_of(path)) else { continue };
            if self.settling.is_settled(path, None, *changed, pace) {
                look.let_go(path);
            } else {
                look.wait_for(self.files.shown(path));
            }
        }
    }

    /// Says what is wrong with names and folders, once it is clear that it stays so.
    fn blame_folders(&mut self, absent: &Absent<'_>, pace: Option<Pace>, look: &mut Look) {
        let Absent { listing, missing, emptied } = absent;
        let told = "is another folder, and empty; the policies that were in it stay in force until a file is there, or \
                    `keyward reload`";
        let of_emptied = emptied.iter().map(|folder| Problem::of_file(self.files.shown(folder), told));
        let mut problems: Vec<Problem> = of_emptied.collect();
        for (path, message) in &listing.problems {
            let changed = listing.complete.get(parent_of(path)).copied().unwrap_or_default();
            if self.settling.is_settled(&path.as_str().into(), None, changed, pace) {
                problems.push(Problem::of_file(self.files.shown(path), message));
            } else {
                look.unsettled = true;
            }
        }
        let folders: HashSet<&str> = missing.iter().map(|path| parent_of(path)).collect();
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
            look.wait_for(shown(identities.path()));
            return;
        }
        let files = look.files.clone();
        match look.files.identities_mut().take(anew, &|member, attachment| files.missing(member, attachment)) {
            Taking::Changed => {
                look.touched.identities = true;
                look.files.set_identities_problems(Vec::new());
            }
            Taking::Same => look.files.set_identities_problems(Vec::new()),
            Taking::Unsettled => look.wait_for(shown(files.identities().path())),
            Taking::Unusable(_) if !policies_are_known => {}
            Taking::Unusable(problems) => look.files.set_identities_problems(problems),
        }
    }
}
