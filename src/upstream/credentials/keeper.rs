//! Keeps the credential of one source fresh, in a thread of its own.
//!
//! The last good one is kept for as long as it is valid. It must never be given up for one that is worse, nor handed out
//! after its end. Requests must never wait for a fetch.

#![expect(clippy::disallowed_methods, reason = "where credentials are is in the environment")]

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use uuid::Uuid;

use super::schedule::{Left, back_off, reread_every, when_to_fetch_again};
use super::{Credential, PATIENCE, Surroundings, fetch};
use crate::settings::CredentialSource;

/// How often the thread looks at the clock, which may be set, or stand still while the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The id of the access key that was fetched last.
    pub access_key_id: Option<String>,
    /// When it expires, if it does.
    pub expires: Option<Timestamp>,
    /// What went wrong the last time, if it did.
    pub problem: Option<String>,
    /// How often a credential was fetched.
    pub fetched: u64,
    /// How often that failed.
    pub failed: u64,
}

impl Report {
    /// How many seconds the credential is still valid, if there is one that expires.
    pub fn seconds_left(&self, now: Timestamp) -> Option<i64> {
        self.expires.map(|expires| expires.duration_since(now).as_secs().max(0))
    }
}

/// Keeps the credential of one source fresh. Its thread ends when it is dropped.
pub struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    current: ArcSwapOption<Credential>,
    report: Mutex<Report>,
    asked: Mutex<Asked>,
    woken: Condvar,
}

/// What its owner wants of the thread.
#[derive(Default)]
struct Asked {
    /// That it ends.
    to_end: bool,
    /// That it fetches now.
    to_fetch: bool,
}

impl Keeper {
    /// Begins to fetch from a source; `whose` the credential is, logs say. That the source gives nothing is no error; it is asked
    /// again.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(whose: &str, source: CredentialSource, clock: fn() -> Timestamp) -> io::Result<Self> {
        let (name, reread) = (Name { whose: whose.to_owned(), source: source.kind() }, reread_every(&source));
        let fetch = move |now| {
            let home = variable("HOME").map(PathBuf::from);
            let surroundings = Surroundings { env: &variable, home: home.as_deref(), patience: PATIENCE };
            fetch(&source, &surroundings, now)
        };
        Self::start_with(name, reread, fetch, clock)
    }

    fn start_with<F>(name: Name, reread: Option<Duration>, fetch: F, clock: fn() -> Timestamp) -> io::Result<Self>
    where
        F: FnMut(Timestamp) -> Result<Credential, String> + Send + 'static,
    {
        let shared = Arc::<Shared>::default();
        let worker = Worker::new(name, reread, fetch, clock, &shared);
        thread::Builder::new().name("credentials".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared })
    }

    /// The credential, if there is one that is valid at this time.
    pub fn current(&self, now: Timestamp) -> Option<Arc<Credential>> {
        self.shared.current.load_full().filter(|credential| credential.is_valid(now))
    }

    /// How it stands.
    pub fn report(&self) -> Report {
        locked(&self.shared.report).clone()
    }

    /// Has the credential fetched now, whenever it was due.
    pub fn wake(&self) {
        locked(&self.shared.asked).to_fetch = true;
        self.shared.woken.notify_all();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        locked(&self.shared.asked).to_end = true;
        self.shared.woken.notify_all();
    }
}

/// How logs name a credential.
struct Name {
    /// Who signs with it: Keyward, or a caller.
    whose: String,
    /// The kind of its source.
    source: &'static str,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the log said last.
#[derive(PartialEq, Eq)]
enum State {
    Good,
    /// It cannot be fetched, but the last good one is valid.
    Failing(String),
    /// There is none.
    Without(String),
}

struct Worker<F> {
    name: Name,
    fetch: F,
    clock: fn() -> Timestamp,
    reread: Option<Duration>,
    shared: Arc<Shared>,
    /// How often it failed since it last did not.
    failures: u32,
    told: Option<State>,
}

impl<F: FnMut(Timestamp) -> Result<Credential, String>> Worker<F> {
    fn new(name: Name, reread: Option<Duration>, fetch: F, clock: fn() -> Timestamp, shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self { name, fetch, clock, reread, shared, failures: 0, told: None }
    }

    fn run(mut self) {
        loop {
            let due = self.attempt();
            if !self.waited_until(due) {
                return;
            }
        }
    }

    /// Fetches once; says when to do it again, if ever.
    fn attempt(&mut self) -> Option<Timestamp> {
        self.note_end((self.clock)());
        let found = (self.fetch)((self.clock)());
        // It may have taken a while.
        let now = (self.clock)();
        match found {
            Ok(credential) if credential.is_valid(now) => self.take(credential, now),
            Ok(_) => Some(self.fail("the credential has expired already".to_owned(), now)),
            Err(why) => Some(self.fail(why, now)),
        }
    }

    /// Says that the credential has ended, before its source is waited for once more.
    fn note_end(&mut self, now: Timestamp) {
        if let Some(State::Failing(why)) = &self.told
            && self.left(now) == Left::Nothing
        {
            let why = why.clone();
            self.tell(State::Without(why), Some(now));
        }
    }

    /// What there is.
    fn left(&self, now: Timestamp) -> Left {
        match self.shared.current.load().as_ref().map(|credential| credential.expires) {
            Some(None) => Left::Forever,
            Some(Some(expires)) if now < expires => {
                Left::For(Duration::try_from(expires.duration_since(now)).unwrap_or_default())
            }
            Some(Some(_)) | None => Left::Nothing,
        }
    }

    fn take(&mut self, credential: Credential, now: Timestamp) -> Option<Timestamp> {
        let expires = credential.expires;
        {
            let mut report = locked(&self.shared.report);
            report.access_key_id = Some(credential.access_key_id.clone());
            report.expires = expires;
            report.problem = None;
            report.fetched += 1;
        }
        self.shared.current.store(Some(Arc::new(credential)));
        self.failures = 0;
        let next = match (expires, self.reread) {
            (Some(expires), _) => Some(when_to_fetch_again(expires, now, jitter())),
            (None, reread) => reread.map(|reread| later(now, reread)),
        };
        self.tell(State::Good, next);
        next
    }

    fn fail(&mut self, why: String, now: Timestamp) -> Timestamp {
        {
            let mut report = locked(&self.shared.report);
            report.problem = Some(why.clone());
            report.failed += 1;
        }
        self.failures = self.failures.saturating_add(1);
        let left = self.left(now);
        let next = later(now, back_off(self.failures, left, jitter()));
        self.tell(if left == Left::Nothing { State::Without(why) } else { State::Failing(why) }, Some(next));
        next
    }

    /// Once for each change. `next` is when it is tried again.
    fn tell(&mut self, state: State, next: Option<Timestamp>) {
        if self.told.as_ref() == Some(&state) {
            return;
        }
        let Name { whose, source } = &self.name;
        let next = next.map_or_else(|| "never".to_owned(), |next| format!("{next:.0}"));
        match &state {
            State::Good => tracing::info!(whose, source, next, "a credential was fetched"),
            State::Failing(why) => {
                tracing::warn!(whose, source, %why, next, "no new credential; the last one is still valid");
            }
            State::Without(why) => tracing::error!(whose, source, %why, next, "there is no credential"),
        }
        self.told = Some(state);
    }

    /// Waits until it is due, or until its owner asks; `false` when the keeper was dropped.
    fn waited_until(&self, due: Option<Timestamp>) -> bool {
        let mut asked = locked(&self.shared.asked);
        while !asked.to_end {
            if std::mem::take(&mut asked.to_fetch) {
                return true;
            }
            let left = due.map(|due| Duration::try_from(due.duration_since((self.clock)())).unwrap_or_default());
            if left == Some(Duration::ZERO) {
                return true;
            }
            let wait = left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            asked = self.shared.woken.wait_timeout(asked, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// A number between 0 and 1, as chance has it.
fn jitter() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
