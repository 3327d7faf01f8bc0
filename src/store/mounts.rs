//! Files that are mounted one by one: whoever replaces such a file replaces another one, and we go on reading the old.

use std::path::{Path, PathBuf};

use crate::policy::Finding;
use crate::settings::read_text;
use crate::source::{Problem, shown};

/// The rule of files that are mounted one by one.
pub const MOUNTED_FILE: (&str, &str, &str) = (
    "mounted-file",
    "a file that is mounted by itself",
    "an editor that replaces it replaces another file, and this one never changes; mount its folder",
);

/// Which of the files that policies and identities are read from are mounted by themselves. Linux says so; elsewhere
/// nothing is found.
pub fn findings(policies: &Path, identities: &Path) -> Vec<Finding> {
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
