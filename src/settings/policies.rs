//! `[policies]`: where policies and identities are, how changes of them are taken, and what stands in for what cannot be
//! used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::authz::WithoutPolicy;
use crate::source::toml::Section;

/// `[policies]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// The folder with `keys/`, `secrets/`, `ram/` and `accounts/`.
    pub directory: PathBuf,
    /// The directory of callers.
    pub identities: PathBuf,
    /// How long files must be quiet before they are read again.
    pub debounce: Duration,
    /// How often everything is looked at without an event.
    pub rescan: Duration,
    /// What stands in for a file that cannot be used.
    pub on_invalid: OnInvalid,
    /// What a key or secret without a policy is judged by.
    pub without_policy: WithoutPolicy,
    /// Whether files and folders are used that every user of the machine may write.
    pub others_may_write: bool,
    /// How long policies are used without a look that found them to be what the files say.
    pub max_age: Option<Duration>,
    /// Where a copy of what is in force is kept, for a start with files that cannot be used.
    pub last_good: Option<PathBuf>,
    /// Whether a changed set waits until somebody approves it.
    pub approval: bool,
    /// Whether answers say which set judged them.
    pub version_header: bool,
}

/// What stands in for a file that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// Its last version that could be used.
    #[default]
    Keep,
    /// A denial of everything that it is about.
    Deny,
}

/// Reads the section; `folder` is where relative paths begin.
pub fn read(section: &Section<'_>, folder: &Path) -> Option<Policies> {
    section.require("directory", "the folder with keys/, secrets/ and ram/");
    section.require("identities", "the file that says who may call");
    let (directory, identities) = (section.string("directory"), section.string("identities"));
    let on_invalid = section.parsed("on_invalid", |text| match text {
        "keep" => Ok(OnInvalid::Keep),
        "deny" => Ok(OnInvalid::Deny),
        _ => Err("must be \"keep\" or \"deny\""),
    });
    let without_policy = section.parsed("without_policy", |text| match text {
        "default" => Ok(WithoutPolicy::Default),
        "deny" => Ok(WithoutPolicy::Deny),
        _ => Err("must be \"default\" or \"deny\""),
    });
    let rescan = section.integer("rescan_seconds", 1..86_401).unwrap_or(10);
    let max_age = section.integer("max_age_seconds", 2..31_536_001);
    if max_age.is_some_and(|age| age <= rescan) {
        section.report_at("max_age_seconds", "must be more than rescan_seconds: nothing is confirmed more often");
    }
    let switch = |name| section.boolean(name).unwrap_or(false);
    let others_may_write = switch("others_may_write");
    let (approval, version_header) = (switch("approval"), switch("version_header"));
    let debounce = section.integer("debounce_ms", 1..60_001).unwrap_or(100);
    let last_good = section.string("last_good").map(|path| folder.join(path));
    section.finish();
    Some(Policies {
        directory: folder.join(directory?),
        identities: folder.join(identities?),
        debounce: Duration::from_millis(debounce),
        rescan: Duration::from_secs(rescan),
        on_invalid: on_invalid.unwrap_or_default(),
        without_policy: without_policy.unwrap_or_default(),
        others_may_write,
        max_age: max_age.map(Duration::from_secs),
        last_good,
        approval,
        version_header,
    })
}
