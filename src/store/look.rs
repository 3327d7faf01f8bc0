//! What a look came to: the draft of the next set, and what it says of each file.

use std::sync::Arc;

use super::entry::{Entry, Touched};
use super::layout::FileKey;
use super::read::Reading;
use super::resources;
use super::set::Files;
use crate::authn::Member;
use crate::policy::Kind;
use crate::source::Problem;

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
    /// Whether a folder is another one than at the last whole look: whoever watches, watches the old one.
    pub has_moved: bool,
    /// What is still being written.
    pub busy: Vec<Problem>,
}

impl Look {
    /// Leaves out what is still being written, until it is settled.
    pub fn wait_for(&mut self, file: String) {
        self.unsettled = true;
        self.busy.push(Problem::of_file(file, "is being written all the time"));
    }

    /// What is there and cannot be used keeps its last good version.
    pub fn put(&mut self, reading: Reading) {
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
            self.wait_for(self.files.shown(&found.path));
            return;
        }
        let entry = Entry { key: found.key, stamp, good, only_here: false };
        self.files.put(&found.path, entry, problems, &mut self.touched);
    }

    /// What the operator says of names; what cannot be used changes nothing.
    pub fn put_resources(&mut self, reading: resources::Reading) {
        match reading {
            resources::Reading::Same => {}
            resources::Reading::Unsettled => self.wait_for(self.files.shown(resources::FILE)),
            resources::Reading::Changed(resources) => self.files.set_resources(resources, &mut self.touched),
            resources::Reading::Unusable(problems) => self.files.set_resources_problems(problems),
        }
    }

    /// Lets a file go that was removed. A RAM policy that somebody still has stays: dropping it could drop a Deny while its
    /// holders keep their other grants.
    pub fn let_go(&mut self, path: &Arc<str>) {
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
