//! The `openssl` program, for tests: what we make must be what it reads, and the other way round.
#![expect(clippy::disallowed_methods, reason = "the program is given files")]

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder in which the program runs.
pub struct OpenSsl(TempDir);

impl OpenSsl {
    /// `None`, and a word about it, where there is no such program. Whoever gets `None` has nothing to test; no test
    /// may pass without the program in any other way.
    pub fn find() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success()) {
            return Some(Self(tempfile::tempdir().unwrap()));
        }
        eprintln!("NOT TESTED: there is no `openssl` program here, so nothing was compared with it");
        None
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Whether the program ends well with these words.
    pub fn succeeds(&self, words: &str) -> bool {
        self.output(words).status.success()
    }

    /// Runs the program and reads the file `out`, which it has to write.
    pub fn make(&self, words: &str) -> Vec<u8> {
        let (command, rest) = words.split_once(' ').unwrap();
        let output = self.output(&format!("{command} -out out {rest}"));
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(self.path("out")).unwrap()
    }

    fn output(&self, words: &str) -> Output {
        Command::new("openssl").args(words.split_whitespace()).current_dir(self.0.path()).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
