//! Reading policy files, each at most once, and many of them with all cores.

use std::panic;
use std::thread;

use super::entry::Good;
use super::folder::{Folder, Found};
use super::layout::FileKey;
use super::set::Files;
use super::stamp::Stamp;
use crate::authz::{parse_policy, system_policy};
use crate::policy::{Kind, Policy};
use crate::source::Problem;

/// From how many files on it pays to read with all cores.
const FILES_FOR_ALL_CORES: usize = 256;

/// What was read of one file.
pub struct Reading {
    /// The file.
    pub found: Found,
    /// The stamp that it had all the while; `None` if it changed meanwhile.
    pub stamp: Option<Stamp>,
    /// `None`: it says what it said.
    pub read: Result<Option<Good>, Vec<Problem>>,
}

/// Reads files; many of them with all cores.
pub fn read_all(folder: &Folder, files: &Files, found: Vec<Found>) -> Vec<Reading> {
    let read = |found: &Found| read_one(folder, files, found.clone());
    if found.len() < FILES_FOR_ALL_CORES {
        return found.iter().map(read).collect();
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let chunk = found.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let readers: Vec<_> =
            found.chunks(chunk).map(|chunk| scope.spawn(|| chunk.iter().map(read).collect::<Vec<_>>())).collect();
        // A reader that panicked takes the whole look with it: files that nobody read are not files that say nothing.
        let joined = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|why| panic::resume_unwind(why)));
        joined.flatten().collect()
    })
}

fn read_one(folder: &Folder, files: &Files, found: Found) -> Reading {
    let whole = |message: String| vec![Problem::of_file(files.shown(&found.path), message)];
    let (text, stamp) = match found.stamp.clone().and_then(|_| folder.read(&found.path)) {
        Ok(read) => read,
        Err(message) => {
            let (stamp, read) = (found.stamp.as_ref().ok().copied(), Err(whole(message)));
            return Reading { found, stamp, read };
        }
    };
    let in_force = files.entry(&found.path).and_then(|entry| entry.good.as_ref());
    let read = match in_force {
        Some(good) if *good.policy.text == *text => Ok(None),
        _ => read_policy(&found.key, &found.path, &text).map(|policy| Some(Good::new(policy))),
    };
    let in_file = |problem: Problem| problem.in_file(&files.shown(&found.path));
    let read = read.map_err(|problems| problems.into_iter().map(in_file).collect());
    Reading { found, stamp, read }
}

/// The policy in a text.
///
/// # Errors
/// Every mistake, without the name of the file.
pub fn read_policy(key: &FileKey, path: &str, text: &str) -> Result<Policy, Vec<Problem>> {
    if key.kind == Kind::Ram && system_policy(&key.name).is_some() {
        let message = "has the name of a system policy, which is built in; give yours another name";
        return Err(vec![Problem::of_file("", message)]);
    }
    parse_policy(key.kind, path, text)
}
