//! Having credentials fetched when somebody asks for it: their files may have been exchanged. Nobody waits for that.

use super::Upstream;

impl Upstream {
    /// Has every credential fetched now, from wherever it comes. The last good one stays until there is a new one.
    pub fn refresh_credentials(&self) {
        self.keys.wake();
    }
}
