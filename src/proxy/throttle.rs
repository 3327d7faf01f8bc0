//! How much each caller may ask for: a bucket of tokens for each caller and kind of work, so that one noisy application
//! does not spend what KMS allows the whole account.

use std::sync::Arc;

use governor::clock::MonotonicClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::authz::Permit;
use crate::kms::{Call, Class};
use crate::settings;

type Buckets = RateLimiter<Arc<str>, HashMapStateStore<Arc<str>>, MonotonicClock>;

/// The buckets of all callers. Sessions share their role's, so there are as many as the directory has callers. Whoever is not proven to
/// have asked takes nothing from whom he claims to be.
pub struct Throttle([Option<Buckets>; Class::ALL.len()]);

impl Throttle {
    /// Full buckets, which hold what a caller may ask for in a second.
    pub fn new(settings: &settings::Throttle) -> Self {
        let bucket = |rate| RateLimiter::new(Quota::per_second(rate), HashMapStateStore::default(), MonotonicClock);
        Self(settings.per_second.map(|rate| rate.map(bucket)))
    }

    /// Takes a token for a permitted request.
    ///
    /// # Errors
    /// There is none left: the kind of work that the caller asks for too much of.
    pub fn take(&self, permit: &Permit) -> Result<(), Class> {
        let class = match &permit.request().call {
            Call::Known(operation) => operation.class(),
            Call::Unknown(_) => Class::Management,
        };
        let limited = Class::ALL.iter().zip(&self.0).find(|(of, _)| **of == class);
        match limited.and_then(|(_, buckets)| buckets.as_ref()) {
            Some(buckets) => buckets.check_key(permit.asker()).map_err(|_| class),
            None => Ok(()),
        }
    }
}
