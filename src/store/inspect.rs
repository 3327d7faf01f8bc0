//! A look at the files without serving them: what cannot be used, and what is legal and most likely not meant.
//!
//! Reads with the one loader, so what it says of a file is what a start would say. It puts nothing in force.

use std::path::Path;
use std::sync::Arc;

use super::identities::read_directory;
use super::load::{Loader, Scope};
use crate::authn::{Directory, Member};
use crate::authz::vocabulary;
use crate::policy::{Finding, Identity, Kind, Policy, PrincipalPattern, Subject, Whom, lint};
use crate::settings::Settings;
use crate::source::{Problem, shown};

/// What is in the files.
pub struct Inspection {
    /// What cannot be used, sorted by file and place.
    pub problems: Vec<Problem>,
    /// How many policies can be used.
    pub policies: usize,
    /// Who there is; nobody if the identities cannot be read.
    pub directory: Arc<Directory>,
    /// What is legal and most likely not meant, sorted by file and place.
    pub findings: Vec<Finding>,
    /// The hash of what can be used, as a running Keyward tells it of what is in force.
    pub hash: String,
}

/// The rule of files with secrets that everybody on the machine may read.
pub const READABLE_SECRET: (&str, &str, &str) = (
    "readable-secret",
    "a secret that everybody on this machine may read",
    "whoever reads it can sign as its holder; chmod o-r it, or keep the secret elsewhere",
);

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

/// Looks at everything that the settings name.
pub fn inspect(settings: &Settings) -> Inspection {
    let mut loader = Loader::new(&settings.policies, &settings.kms.account);
    let files = loader.look(&Scope::Everything, None).files;
    let mut directory = files.identities().directory();
    let mut findings = files.findings();
    if directory.account_count() == 0 {
        // A directory that attaches an unusable policy is not taken; who is in it can be said all the same.
        directory = read_directory(&settings.policies.identities).map_or(directory, Arc::new);
        let of_policies = self::findings(&files.policies(), &directory).into_iter().flat_map(|(_, findings)| findings);
        findings = of_policies.collect();
        findings.sort();
    }
    let (problems, hash) = (files.problems(), files.hash());
    Inspection { problems, policies: files.policies().len(), directory, findings, hash }
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
}
