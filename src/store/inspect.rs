//! A look at the files without serving them: what cannot be used, and what is legal and most likely not meant.
//!
//! Reads with the one loader, so what it says of a file is what a start would say. It puts nothing in force.

use std::sync::Arc;

use super::callers::unknown_callers;
use super::findings::findings;
use super::identities::read_directory;
use super::load::{Loader, Scope};
use crate::authn::Directory;
use crate::policy::Finding;
use crate::settings::Settings;
use crate::source::Problem;

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

/// Looks at everything that the settings name.
pub fn inspect(settings: &Settings) -> Inspection {
    let mut loader = Loader::new(settings);
    let files = loader.look(&Scope::Everything, None).files;
    let mut directory = files.identities().directory();
    let mut found = files.findings();
    if directory.account_count() == 0 {
        // A directory that attaches an unusable policy is not taken; who is in it can be said all the same.
        directory = read_directory(&settings.policies.identities).map_or(directory, Arc::new);
        let of_policies = findings(&files.policies(), &directory).into_iter().flat_map(|(_, findings)| findings);
        found = of_policies.collect();
        found.sort();
    }
    let (mut problems, hash) = (files.problems(), files.hash());
    problems.extend(unknown_callers(settings, &directory));
    problems.sort();
    Inspection { problems, policies: files.policies().len(), directory, findings: found, hash }
}
