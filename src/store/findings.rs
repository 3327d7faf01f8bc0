//! What is legal and most likely not meant: in policies, looked at together with the directory, and in how files are kept.
//!
//! A file that is mounted by itself is one of these: an edit that replaces it makes a new file elsewhere, and ours never
//! changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::authn::{Directory, Member};
use crate::authz::vocabulary;
use crate::policy::{Finding, Identity, Kind, Policy, PrincipalPattern, Subject, Whom, lint};
use crate::settings::read_text;
use crate::source::{Problem, shown};

/// The rule of files with secrets that everybody on the machine may read.
const READABLE_SECRET: (&str, &str, &str) = (
    "readable-secret",
    "a secret that everybody on this machine may read",
    "whoever reads it can sign as its holder; chmod o-r it, or keep the secret elsewhere",
);

/// The rule of files that are mounted one by one.
const MOUNTED_FILE: (&str, &str, &str) = (
    "mounted-file",
    "a file that is mounted by itself",
    "an editor that replaces it replaces another file, and this one never changes; mount its folder",
);

/// The rules of how files are kept: code, title and reason.
pub const FILE_RULES: [(&str, &str, &str); 2] = [READABLE_SECRET, MOUNTED_FILE];

/// A policy that can be used.
pub struct Inspected {
    /// Its file, as people know it.
    pub file: String,
    /// Its path in the policy folder.
    pub path: Arc<str>,
    /// The account that it belongs to.
    pub owner: Arc<str>,
    /// What it is for: the id of a key, the name of a secret, or its own name as a RAM policy.
    pub name: Arc<str>,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// What is legal and most likely not meant in policies, by their paths.
pub fn findings(policies: &[Inspected], directory: &Directory) -> Vec<(Arc<str>, Vec<Finding>)> {
    let knows = |entry: &PrincipalPattern| knows(directory, entry);
    let of_policy = |inspected: &Inspected| {
        let subject = Subject {
            policy: &inspected.policy,
            owner: &inspected.owner,
            vocabulary: vocabulary(),
            knows: &knows,
            is_attached: is_attached(directory, inspected),
        };
        let in_file = |finding: Finding| Finding { problem: finding.problem.in_file(&inspected.file), ..finding };
        let findings: Vec<Finding> = lint(&subject).into_iter().map(in_file).collect();
        (!findings.is_empty()).then(|| (inspected.path.clone(), findings))
    };
    policies.iter().filter_map(of_policy).collect()
}

/// What is said of a file with secrets that everybody on the machine may read.
pub fn readable_secret(path: &Path) -> Finding {
    let message = "holds secrets, and everybody on this machine may read it; chmod o-r it";
    Finding { problem: Problem::of_file(shown(path), message), code: READABLE_SECRET.0 }
}

/// Whether the directory has somebody that an entry names; `None` if it does not know that account.
fn knows(directory: &Directory, entry: &PrincipalPattern) -> Option<bool> {
    let mut of_account =
        directory.members().iter().filter(|member| member.principal.account == entry.account).peekable();
    of_account.peek()?;
    Some(of_account.any(|member| match (&entry.whom, &member.principal.identity) {
        // The directory has roles, and cannot know their sessions.
        (Whom::Session { role: roles, .. }, Identity::Session { role, .. }) => roles.matches(role),
        _ => entry.names(&member.principal),
    }))
}

/// Whether somebody has a RAM policy. Of other policies that is no question, and without a directory no answer.
fn is_attached(directory: &Directory, inspected: &Inspected) -> bool {
    let has = |member: &Member| {
        *member.principal.account == *inspected.owner
            && member.attachments.iter().any(|it| it.policy == *inspected.name)
    };
    inspected.policy.kind != Kind::Ram || directory.account_count() == 0 || directory.members().iter().any(has)
}

/// Which of the files that policies and identities are read from are mounted by themselves. Linux says so; elsewhere
/// nothing is found.
pub fn mounted_files(policies: &Path, identities: &Path) -> Vec<Finding> {
    let Ok(mounts) = read_text(Path::new("/proc/self/mountinfo")) else { return Vec::new() };
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounted = mounted_in(&mounts, &absolute(policies), &absolute(identities));
    let finding = |path: PathBuf| Finding {
        problem: Problem::of_file(
            shown(&path),
            "is mounted by itself: an edit that replaces it is never seen; mount its folder instead",
        ),
        code: MOUNTED_FILE.0,
    };
    mounted.into_iter().filter(|path| path.is_file()).map(finding).collect()
}

/// The mount points among these files. The fifth word of each line is a mount point, with `\\040` for a space.
fn mounted_in(mounts: &str, policies: &Path, identities: &Path) -> Vec<PathBuf> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let paths = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    paths.filter(|path| path == identities || (path.starts_with(policies) && path != policies)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_known_by_account_and_name() {
        let text = "[accounts.1.users.alice]\n[accounts.1.roles.App]";
        let directory = Directory::parse(text, &|_| Err(String::new())).unwrap();
        for (entry, expected) in [
            ("acs:ram::1:*", Some(true)),
            ("acs:ram::1:root", Some(true)),
            ("acs:ram::1:user/Alice", Some(true)),
            ("acs:ram::1:user/al*", Some(true)),
            ("acs:ram::1:user/bob", Some(false)),
            ("acs:ram::1:user/b*", Some(false)),
            ("acs:ram::1:role/app", Some(true)),
            ("acs:ram::1:role/alice", Some(false)),
            ("acs:ram::1:assumed-role/app/any", Some(true)),
            ("acs:ram::1:assumed-role/other/any", Some(false)),
            ("acs:ram::2:user/bob", None),
        ] {
            assert_eq!(knows(&directory, &PrincipalPattern::parse(entry).unwrap()), expected, "{entry}");
        }
    }

    /// F19.
    #[test]
    fn files_that_are_mounted_by_themselves_are_found() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            31 22 254:0 /a /etc/keyward/policies ro - ext4 /dev/vda rw\n\
            32 22 254:0 /b /etc/keyward/policies/keys/my\\040key.json ro - ext4 /dev/vda rw\n\
            33 22 254:0 /c /etc/keyward/identities.toml rw - ext4 /dev/vda rw\n\
            34 22 254:0 /d /etc/hosts rw - ext4 /dev/vda rw\n";
        let found = mounted_in(mounts, Path::new("/etc/keyward/policies"), Path::new("/etc/keyward/identities.toml"));
        let expected = ["/etc/keyward/policies/keys/my key.json", "/etc/keyward/identities.toml"];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
