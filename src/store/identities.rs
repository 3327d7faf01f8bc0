//! The identities file: the directory in force, and whether the file is another one than before.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::events::folder_of;
use super::private::is_readable_by_all;
use super::stamp::{Stamp, trusted};
use crate::authn::{Attachment, Directory, Member, SecretSource};
use crate::settings::read_text;
use crate::source::{Position, Problem, shown};

/// In such a folder, everybody may write his own files only.
const STICKY: u32 = 0o1000;

/// What is wrong with an attachment, if anything.
pub type Missing<'a> = dyn Fn(&Member, &Attachment) -> Option<String> + 'a;

/// The identities file as it was taken last. Cheap to copy.
#[derive(Clone)]
pub struct Identities {
    path: Arc<Path>,
    others_may_write: bool,
    directory: Arc<Directory>,
    text: Arc<SecretString>,
    taken: Option<Taken>,
    readable_secrets: Arc<[PathBuf]>,
}

/// What became of a look at the file.
pub enum Taking {
    /// The directory in force is what the file says.
    Same,
    /// Another directory is in force.
    Changed,
    /// It changed while it was read.
    Unsettled,
    /// It cannot be used; the last good one stays in force.
    Unusable(Vec<Problem>),
}

/// From what the directory in force was made.
#[derive(Clone)]
struct Taken {
    /// Of the file; `None` if it takes secrets from elsewhere, which may change while the file does not.
    stamp: Option<Stamp>,
    /// Of the text and all secrets.
    hash: [u8; 32],
}

/// A directory as it was read.
struct Reading {
    text: String,
    directory: Directory,
    hash: [u8; 32],
    has_secrets_elsewhere: bool,
    /// Files with secrets that everybody on this machine may read.
    readable_secrets: Vec<PathBuf>,
}

impl Identities {
    /// A file that was not read yet.
    pub fn new(path: &Path, others_may_write: bool) -> Self {
        Self {
            path: path.into(),
            others_may_write,
            directory: Arc::default(),
            text: Arc::new("".into()),
            taken: None,
            readable_secrets: Arc::default(),
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text that the directory in force was read from; empty if nothing is in force.
    pub fn text(&self) -> &Arc<SecretString> {
        &self.text
    }

    /// The hash of everything that the directory in force was made from, secrets too.
    pub fn proof(&self) -> Option<[u8; 32]> {
        self.taken.as_ref().map(|taken| taken.hash)
    }

    /// The stamp of the file as it is, if it is not the one that was taken.
    pub fn new_stamp(&self) -> Option<Stamp> {
        let stamp = Stamp::read(&self.path).ok();
        stamp.filter(|_| self.taken.as_ref().is_none_or(|taken| taken.stamp != stamp))
    }

    /// The directory in force.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    /// Files with secrets that everybody on this machine may read.
    pub fn readable_secrets(&self) -> &[PathBuf] {
        &self.readable_secrets
    }

    /// Takes the file if it changed and nothing is wrong with it. `anew` reads it also if nothing seems to have changed.
    pub fn take(&mut self, anew: bool, missing: &Missing<'_>) -> Taking {
        let stamp = Stamp::read(&self.path).ok();
        if !anew && stamp.is_some() && self.taken.as_ref().is_some_and(|taken| taken.stamp == stamp) {
            return Taking::Same;
        }
        match self.trusted().and_then(|()| read(&self.path)).and_then(|reading| complete(reading, missing)) {
            Err(problems) => Taking::Unusable(self.located(problems)),
            Ok(_) if stamp.is_some() && Stamp::read(&self.path).ok() != stamp => Taking::Unsettled,
            Ok(reading) => self.put_in_force(reading, stamp),
        }
    }

    /// What everybody may write says nothing; and secrets that everybody may write are nobody's.
    fn trusted(&self) -> Result<(), Vec<Problem>> {
        let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
        let in_folder = mode(&folder_of(&self.path));
        // In a sticky folder, everybody may replace his own files only.
        let of_folder = if in_folder & STICKY == 0 { trusted(in_folder, self.others_may_write) } else { Ok(()) };
        let told = |why| vec![Problem::of_file("", format!("its folder {why}"))];
        of_folder.map_err(told)?;
        trusted(mode(&self.path), self.others_may_write).map_err(|why| vec![Problem::of_file("", why)])
    }

    /// Takes a text that was good before, in the place of a file that was not read yet.
    ///
    /// # Errors
    /// Every problem of the text: secrets that it takes from elsewhere may be gone.
    pub fn take_copy(&mut self, text: String, missing: &Missing<'_>) -> Result<(), Vec<Problem>> {
        let reading = read_from(text, &self.path).and_then(|reading| complete(reading, missing));
        self.put_in_force(reading.map_err(|problems| self.located(problems))?, None);
        Ok(())
    }

    fn located(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let name = shown(&self.path);
        problems.into_iter().map(|problem| problem.in_file(&name)).collect()
    }

    fn put_in_force(&mut self, reading: Reading, stamp: Option<Stamp>) -> Taking {
        let changed = self.taken.as_ref().is_none_or(|taken| taken.hash != reading.hash);
        let stamp = stamp.filter(|_| !reading.has_secrets_elsewhere);
        self.taken = Some(Taken { stamp, hash: reading.hash });
        if !changed {
            return Taking::Same;
        }
        self.directory = Arc::new(reading.directory);
        self.text = Arc::new(reading.text.into());
        self.readable_secrets = reading.readable_secrets.into();
        Taking::Changed
    }
}

/// Reads a directory by itself, without a look at the policies that it attaches.
///
/// # Errors
/// Every problem of the file.
pub fn read_directory(path: &Path) -> Result<Directory, Vec<Problem>> {
    let in_file = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.in_file(&shown(path))).collect();
    read(path).map(|reading| reading.directory).map_err(in_file)
}

fn read(path: &Path) -> Result<Reading, Vec<Problem>> {
    let text = read_text(path).map_err(|message| vec![Problem::of_file("", message)])?;
    read_from(text, path)
}

fn read_from(text: String, path: &Path) -> Result<Reading, Vec<Problem>> {
    let hash = RefCell::new(Sha256::new());
    let add = |part: &str| {
        // With its length before it, so that parts cannot run into each other.
        hash.borrow_mut().update(part.len().to_le_bytes());
        hash.borrow_mut().update(part);
    };
    add(&text);
    let has_secrets_elsewhere = Cell::new(false);
    let secret_files = RefCell::new(Vec::new());
    let folder = path.parent().unwrap_or(Path::new("."));
    let directory = Directory::parse(&text, &|source| {
        has_secrets_elsewhere.set(true);
        if let SecretSource::File(file) = source {
            secret_files.borrow_mut().push(folder.join(file));
        }
        let secret = reveal(source, folder)?;
        add(secret.expose_secret());
        Ok(secret)
    })?;
    let in_place = Some(path.to_owned()).filter(|_| directory.has_secrets_in_place());
    let files_with_secrets = secret_files.into_inner().into_iter().chain(in_place);
    Ok(Reading {
        text,
        directory,
        hash: hash.into_inner().finalize().into(),
        has_secrets_elsewhere: has_secrets_elsewhere.get(),
        readable_secrets: files_with_secrets.filter(|path| is_readable_by_all(path)).collect(),
    })
}

/// A directory that attaches a policy which is not there is not taken: its holder would go without a Deny.
fn complete(reading: Reading, missing: &Missing<'_>) -> Result<Reading, Vec<Problem>> {
    let attachments = reading.directory.members().iter().flat_map(|member| {
        member.attachments.iter().filter_map(move |attachment| Some((attachment, missing(member, attachment)?)))
    });
    let problem = |(attachment, message): (&Attachment, String)| Problem {
        file: String::new(),
        position: Some(Position::of(&reading.text, attachment.offset)),
        message,
    };
    let problems: Vec<Problem> = attachments.map(problem).collect();
    if problems.is_empty() { Ok(reading) } else { Err(problems) }
}

/// Fetches a secret that is kept outside the directory.
fn reveal(source: SecretSource<'_>, folder: &Path) -> Result<SecretString, String> {
    let secret = match source {
        SecretSource::File(path) | SecretSource::Public(path) => {
            let path = folder.join(path);
            read_text(&path).map_err(|why| format!("{} {why}", shown(&path)))?
        }
        #[expect(clippy::disallowed_methods, reason = "the directory says that its secret is in the environment")]
        SecretSource::Environment(name) => std::env::var(name).map_err(|_| format!("variable {name} is not set"))?,
    };
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    if secret.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(secret.into()) }
}
