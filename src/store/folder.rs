//! The policy folder at one moment, held by one handle.
//!
//! Everything that one look reads goes through the handle, so it comes from one folder whatever its name leads to by then,
//! and no link leads out of it. Kubernetes mounts volumes as a link `..data` to the version in force and swaps that link;
//! [`Folder::is_the_same`] tells whether that happened during a look, and then the look does not count.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};

use super::layout::{FOLDERS, FileKey, Layout, Place};
use super::stamp::{Inode, Stamp, Time, trusted};
use crate::policy::Kind;
use crate::settings::{read_bounded, unreadable};

/// The largest policy file that is read, in bytes. A policy is far smaller.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How many names a policy folder may hold.
const NAMES_MAX: usize = 1_000_000;

/// A policy file.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is for.
    pub key: FileKey,
    /// Where it is, in the folder.
    pub path: Arc<str>,
    /// What changes when its content does; `Err` if it is there and cannot be used.
    pub stamp: Result<Stamp, String>,
}

/// What a look at one place found.
pub enum Seen {
    /// Nothing is there.
    Nothing,
    /// Something is there, and how it stands; `Err` if it cannot be used.
    File(Result<Stamp, String>),
}

/// The files in the policy folder.
#[derive(Default)]
pub struct Listing {
    /// Those that are there.
    pub found: Vec<Found>,
    /// Folders of which is known what is in them, and when names in each changed last. Of any other folder nothing is known,
    /// whatever was in it before.
    pub complete: HashMap<String, Time>,
    /// What each of them leads to.
    pub inodes: HashMap<String, Inode>,
    /// What is wrong with names and folders: where, and what.
    pub problems: Vec<(String, String)>,
    /// Whether links lead to some of them, so that they change where no event tells it.
    pub has_links: bool,
    names: usize,
}

/// The policy folder, held open.
pub struct Folder {
    root: Dir,
    path: PathBuf,
    inode: Inode,
    /// The folders that were looked into, each with what its name led to and with its own `..data`.
    entered: Mutex<HashMap<String, (Inode, Option<Stamp>)>>,
    /// Whether it does not matter that everybody may write something.
    others_may_write: bool,
}

impl Folder {
    /// Opens the folder. Unless `others_may_write`, what everybody may write is not used; on a mount that nobody can write it is.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn open(path: &Path, others_may_write: bool) -> io::Result<Self> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        let metadata = root.dir_metadata()?;
        let is_read_only = fstatvfs(&root).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        let folder = Self {
            entered: Mutex::new([(String::new(), entered(&metadata, &root, ""))].into()),
            path: path.to_owned(),
            inode: (metadata.dev(), metadata.ino()),
            root,
            others_may_write: others_may_write || is_read_only,
        };
        folder.trusted(&metadata).map_err(io::Error::other)?;
        Ok(folder)
    }

    /// Whether the folder's name still leads to it, and so do those of everything in it that was looked into; and whether
    /// every `..data` is the one of before.
    pub fn is_the_same(&self) -> bool {
        let is_same = |(folder, before): (&String, &(Inode, Option<Stamp>))| {
            let now = self.root.metadata(at(folder)).map(|metadata| entered(&metadata, &self.root, folder));
            now.is_ok_and(|now| now == *before)
        };
        let folders = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        Stamp::read(&self.path).ok().map(|stamp| stamp.leads_to()) == Some(self.inode) && folders.iter().all(is_same)
    }

    /// Whether what was looked into is a volume that is swapped as a whole. A part of one version beside a part of another is
    /// no set that anybody meant.
    pub fn is_swapped_whole(&self) -> bool {
        let folders = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        folders.values().any(|(_, data)| data.is_some())
    }

    fn note(&self, folder: &str, is: (Inode, Option<Stamp>)) {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), is);
    }

    /// Lists everything that the layout has a place for.
    pub fn list(&self, layout: &Layout) -> Listing {
        let mut listing = Listing::default();
        for name in self.names("", &mut listing) {
            match layout.place(Path::new(&name)) {
                Place::Wrong(message) => listing.problems.push((name, message)),
                Place::Folder | Place::Policy(_) | Place::Ignored => {}
            }
        }
        self.account("", layout, &mut listing);
        for id in self.names("accounts", &mut listing) {
            let path = format!("accounts/{id}");
            match layout.place(Path::new(&path)) {
                Place::Folder if self.root.is_dir(&path) => self.account(&format!("{path}/"), layout, &mut listing),
                Place::Folder => {
                    let message = "is no folder; the policies of an account are in a folder named after its id";
                    listing.problems.push((path, message.to_owned()));
                }
                Place::Wrong(message) => {
                    listing.problems.push((path.clone(), message));
                    if *id == *layout.account {
                        self.account(&format!("{path}/"), layout, &mut listing);
                    }
                }
                Place::Policy(_) | Place::Ignored => {}
            }
        }
        listing
    }

    fn account(&self, prefix: &str, layout: &Layout, listing: &mut Listing) {
        if !prefix.is_empty() {
            for name in self.names(prefix.trim_end_matches('/'), listing) {
                let path = format!("{prefix}{name}");
                if let Place::Wrong(message) = layout.place(Path::new(&path)) {
                    listing.problems.push((path, message));
                }
            }
            // A folder that cannot be trusted says nothing about those in it.
            if !listing.complete.contains_key(prefix.trim_end_matches('/')) {
                return;
            }
        }
        for (kind, name) in FOLDERS {
            let folder = format!("{prefix}{name}");
            let begin = listing.found.len();
            for file in self.names(&folder, listing) {
                let path = format!("{folder}/{file}");
                match layout.place(Path::new(&path)) {
                    Place::Policy(key) => {
                        if let Seen::File(stamp) = self.seen(&path, listing) {
                            listing.found.push(Found { key, path: path.into(), stamp });
                        }
                    }
                    Place::Wrong(message) => listing.problems.push((path, message)),
                    Place::Folder | Place::Ignored => {}
                }
            }
            if kind != Kind::Secret {
                refuse_twins(listing.found.get_mut(begin..).unwrap_or_default());
            }
        }
    }

    /// The names in a folder, sorted. Of a folder that cannot be read, or is not there, nothing is known.
    fn names(&self, folder: &str, listing: &mut Listing) -> Vec<String> {
        let read = self.root.open_dir(at(folder)).and_then(|dir| {
            let metadata = dir.dir_metadata()?;
            self.trusted(&metadata).map_err(io::Error::other)?;
            let is = entered(&metadata, &self.root, folder);
            listing.inodes.insert(folder.to_owned(), is.0);
            self.note(folder, is);
            Ok((Stamp::of(&metadata).latest(), dir.entries()?))
        });
        let mut names = Vec::new();
        let mut wrong = |message: String| listing.problems.push((folder.to_owned(), message));
        let (changed, entries) = match read {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return names,
            Err(error) => {
                wrong(format!("cannot be read: {error}"));
                return names;
            }
        };
        let mut is_complete = true;
        for entry in entries {
            listing.names += 1;
            let name = match entry.map(|entry| entry.file_name().into_string()) {
                _ if listing.names > NAMES_MAX => {
                    Err(format!("holds more than {NAMES_MAX} names, with those before it"))
                }
                Ok(Ok(name)) => Ok(name),
                Ok(Err(name)) => Err(format!("holds a name that is not UTF-8: {}", name.display())),
                Err(error) => Err(format!("cannot be read: {error}")),
            };
            match name {
                Ok(name) => names.push(name),
                Err(message) => {
                    wrong(message);
                    is_complete = false;
                    if listing.names > NAMES_MAX {
                        break;
                    }
                }
            }
        }
        if is_complete {
            listing.complete.insert(folder.to_owned(), changed);
        }
        listing.has_links |= !folder.is_empty() && self.is_link(folder);
        names.sort();
        names
    }

    fn seen(&self, path: &str, listing: &mut Listing) -> Seen {
        let (seen, is_link) = self.look(path);
        listing.has_links |= is_link;
        seen
    }

    /// Enters the folder of a file: which one it is, and when names in it changed last. `None` if it is not there, or may be
    /// written by everybody, or lies in a folder that may.
    pub fn enter(&self, folder: &str) -> Option<(Inode, Time)> {
        let metadata = self.root.metadata(folder).ok()?;
        self.trusted_way(folder).ok()?;
        let is = entered(&metadata, &self.root, folder);
        self.note(folder, is);
        Some((is.0, Stamp::of(&metadata).latest()))
    }

    /// Looks at one place; also whether a link is there.
    pub fn look(&self, path: &str) -> (Seen, bool) {
        let of_itself = match self.root.symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Seen::Nothing, false),
            Err(error) => return (Seen::File(Err(unreadable(error))), false),
        };
        if !of_itself.is_symlink() {
            return (Seen::File(self.stamp(&of_itself)), false);
        }
        let real = self.root.canonicalize(path).map_err(why_unreachable);
        let stamp = real.and_then(|real| {
            self.trusted_way(&real.parent().unwrap_or(Path::new("")).to_string_lossy())?;
            self.root.metadata(path).map_err(why_unreachable).and_then(|metadata| self.stamp(&metadata))
        });
        (Seen::File(stamp), true)
    }

    fn stamp(&self, metadata: &Metadata) -> Result<Stamp, String> {
        if !metadata.is_file() {
            return Err("is no regular file".to_owned());
        }
        self.trusted(metadata)?;
        Ok(Stamp::of(metadata))
    }

    /// What everybody may write says nothing.
    fn trusted(&self, metadata: &Metadata) -> Result<(), String> {
        trusted(metadata.mode(), self.others_may_write)
    }

    /// The same of every folder on the way to, and with, this one.
    fn trusted_way(&self, folder: &str) -> Result<(), String> {
        let way = Path::new(folder).ancestors().filter(|it| !it.as_os_str().is_empty());
        for on_it in way {
            self.trusted(&self.root.metadata(on_it).map_err(why_unreachable)?)?;
        }
        Ok(())
    }

    fn is_link(&self, path: &str) -> bool {
        self.root.symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    }

    /// The text of a file, and the stamp that it had all the while; no stamp if it changed meanwhile.
    ///
    /// # Errors
    /// A message for people.
    pub fn read(&self, path: &str) -> Result<(String, Option<Stamp>), String> {
        let mut options = OpenOptions::new();
        // Opening a pipe would wait for its other end.
        options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed());
        let file = self.root.open_with(path, &options).map_err(why_unreachable)?;
        let before = self.stamp(&file.metadata().map_err(unreadable)?)?;
        let text = read_bounded(&file, FILE_BYTES_MAX)?;
        let after = self.stamp(&file.metadata().map_err(unreadable)?)?;
        let unchanged = before == after && matches!(self.look(path).0, Seen::File(Ok(there)) if there == before);
        Ok((text, unchanged.then_some(before)))
    }
}

/// Two files for one resource: ids of keys and names of RAM policies do not differ by the case of letters only, and on
/// some file systems one of the two would not exist. Names of secrets may.
fn refuse_twins(found: &mut [Found]) {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, file) in found.iter().enumerate() {
        by_name.entry(file.key.name.to_ascii_lowercase()).or_default().push(index);
    }
    for twins in by_name.into_values().filter(|twins| twins.len() > 1) {
        let paths: Vec<String> =
            twins.iter().filter_map(|index| found.get(*index)).map(|it| it.path.to_string()).collect();
        for index in twins {
            if let Some(file) = found.get_mut(index) {
                file.stamp = Err(format!("is one of several files for one resource: {}", paths.join(", ")));
            }
        }
    }
}

/// What is told about a link that cannot be followed, or about any other reason for not getting at a file.
fn why_unreachable(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is a link that leads nowhere".to_owned(),
        // Not the system's answer, but that of the library that stays in the folder.
        io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            "is a link that leads out of the policy folder".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// What a folder's name leads to, and the link `..data` in it, if there is one.
fn entered(metadata: &Metadata, root: &Dir, folder: &str) -> (Inode, Option<Stamp>) {
    let data = root.symlink_metadata(Path::new(at(folder)).join("..data")).ok();
    ((metadata.dev(), metadata.ino()), data.map(|data| Stamp::of(&data)))
}

/// A folder by its path in the policy folder, which is empty for that one itself.
fn at(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}
