//! Getting ready before anybody asks: so that a successor does not begin by refusing what its predecessor could do.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Upstream;
use super::addresses::Resolved;
use super::credentials::Report;
use crate::store::Store;

/// How long somebody waits for credentials and addresses.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often is looked whether they are there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Upstream {
    /// Waits for the address of the endpoint and for all credentials. Blocks.
    ///
    /// # Errors
    /// A sentence: what is missing, and why.
    pub fn warm_up(&self) -> Result<(), String> {
        if let Some((host, port)) = self.addresses.name() {
            let found =
                (host, port).to_socket_addrs().map_err(|error| format!("{host} cannot be resolved: {error}"))?;
            if self.addresses.take(&found.collect::<Vec<_>>(), Instant::now()) == Resolved::Unusable {
                return Err(format!("{host} has no address that may be used"));
            }
        }
        let until = Instant::now() + PATIENCE;
        while let Some(whose) = self.lacks_credentials() {
            if Instant::now() > until {
                return Err(format!("there is no credential yet for {whose}"));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Whose credentials were never fetched yet, if anybody's; or Keyward's own, if they are over.
    fn lacks_credentials(&self) -> Option<String> {
        let never = || self.keys.reports().into_iter().find(|(_, report)| report.fetched == 0).map(|(whose, _)| whose);
        self.lacks_own_credentials().then(|| "keyward".to_owned()).or_else(never)
    }

    /// Whether Keyward's own credentials are not there, or somebody's were not even tried yet. A caller whose credentials
    /// cannot be had is no reason to let others wait.
    pub fn waits_for_credentials(&self) -> bool {
        let is_new = |(_, report): &(String, Report)| report.fetched == 0 && report.failed == 0;
        self.lacks_own_credentials() || self.keys.reports().iter().any(is_new)
    }

    fn lacks_own_credentials(&self) -> bool {
        self.own_address().is_some() && self.keys.own((self.clock)()).is_none()
    }

    /// The same, for what is in force in another store.
    #[must_use]
    pub fn over(self, store: Arc<Store>) -> Self {
        let moved = Self { store, ..self };
        moved.store.publish_index(moved.lock_knowledge().index());
        moved
    }
}
