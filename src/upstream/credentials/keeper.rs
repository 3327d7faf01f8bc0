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
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Instant;

    use super::super::fake::Env;
    use super::*;

    /// Waits until it is so; wakes the thread, whose clock may have been set.
    fn until(keeper: &Keeper, what: &str, is_so: impl Fn(&Keeper) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so(keeper) {
            assert!(Instant::now() < deadline, "{what}: {:?}", keeper.report());
            keeper.shared.woken.notify_all();
            thread::yield_now();
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Env::NOW + Duration::from_secs(u64::try_from(seconds).unwrap())
    }

    fn key(id: &str, expires: Option<i64>) -> Result<Credential, String> {
        Credential::new(id.to_owned(), "hush".to_owned().into(), None, expires.map(at))
    }

    fn name() -> Name {
        Name { whose: "test".to_owned(), source: "access_key" }
    }

    fn no(why: &str) -> Result<Credential, String> {
        Err(why.to_owned())
    }

    /// Gives these in turn, then fails.
    fn script(
        answers: impl IntoIterator<Item = Result<Credential, String>>,
    ) -> impl FnMut(Timestamp) -> Result<Credential, String> {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        move |_| answers.pop_front().unwrap_or_else(|| no("no more"))
    }

    /// A clock of its own for each test: `clock!(SECONDS, clock)`.
    macro_rules! clock {
        ($seconds:ident, $clock:ident) => {
            static $seconds: AtomicI64 = AtomicI64::new(0);
            fn $clock() -> Timestamp {
                at($seconds.load(Ordering::SeqCst))
            }
        };
    }

    fn id(keeper: &Keeper, now: Timestamp) -> Option<String> {
        keeper.current(now).map(|credential| credential.access_key_id.clone())
    }

    #[test]
    fn a_source_that_fails_is_asked_again_ever_later() {
        clock!(SECONDS, clock);
        let script = script([no("a"), no("b"), no("c"), key("I", None)]);
        let keeper = Keeper::start_with(name(), None, script, clock).unwrap();
        for (failed, seconds) in [(1, 0), (2, 1), (3, 3)] {
            SECONDS.store(seconds, Ordering::SeqCst);
            until(&keeper, "failed", |keeper| keeper.report().failed == failed);
            assert!(keeper.current(clock()).is_none());
        }
        assert_eq!(keeper.report().problem.as_deref(), Some("c"));
        SECONDS.store(7, Ordering::SeqCst);
        until(&keeper, "fetched", |keeper| keeper.report().fetched == 1);
        let report = keeper.report();
        assert_eq!((report.problem, report.failed, report.access_key_id.as_deref()), (None, 3, Some("I")));
        assert_eq!(report.expires, None);
    }

    #[test]
    fn the_last_good_one_is_kept_until_its_end() {
        clock!(SECONDS, clock);
        let script = script([key("I", Some(3600)), no("down"), key("OLD", Some(10))]);
        let keeper = Keeper::start_with(name(), None, script, clock).unwrap();
        until(&keeper, "fetched", |keeper| keeper.report().fetched == 1);
        assert_eq!(keeper.report().seconds_left(at(600)), Some(3000));
        SECONDS.store(3241, Ordering::SeqCst);
        until(&keeper, "failed", |keeper| keeper.report().failed == 1);
        SECONDS.store(3300, Ordering::SeqCst);
        until(&keeper, "failed", |keeper| keeper.report().failed >= 2);
        // What has expired already is no better than what is there.
        assert_eq!(id(&keeper, at(3599)).as_deref(), Some("I"));
        assert_eq!(id(&keeper, at(3600)), None);
        assert_eq!(keeper.report().seconds_left(at(4000)), Some(0));
        assert_eq!(keeper.report().fetched, 1);
    }

    #[test]
    fn each_attempt_says_when_the_next_one_is() {
        clock!(SECONDS, clock);
        let minute = Some(Duration::from_secs(60));
        let answers = [no("a"), no("a"), key("I", None), no("a"), key("OLD", Some(100)), key("J", Some(3700))];
        let shared = Arc::default();
        let mut worker = Worker::new(name(), minute, script(answers), clock, &shared);
        SECONDS.store(100, Ordering::SeqCst);
        for expected in [100..=101, 101..=102, 160..=160, 100..=101, 101..=102, 2980..=3340, 100..=101] {
            let due = worker.attempt().unwrap();
            assert!(
                due > clock() && (at(*expected.start())..=at(*expected.end())).contains(&due),
                "{due} {expected:?}"
            );
        }
        let report = locked(&shared.report).clone();
        assert_eq!((report.fetched, report.failed, report.access_key_id.as_deref()), (2, 5, Some("J")));
        let mut worker = Worker::new(name(), None, script([key("I", None)]), clock, &shared);
        assert_eq!(worker.attempt(), None);
    }

    #[test]
    fn the_log_is_told_each_change_once() {
        clock!(SECONDS, clock);
        let shared = Arc::default();
        let answers = [no("a"), key("I", Some(3600)), key("J", Some(3600)), no("a"), no("a"), no("b")];
        let mut worker = Worker::new(name(), None, script(answers), clock, &shared);
        let (failing, without) = (|why: &str| State::Failing(why.into()), |why: &str| State::Without(why.into()));
        let good = || State::Good;
        for expected in [without("a"), good(), good(), failing("a"), failing("a"), failing("b")] {
            worker.attempt();
            assert!(worker.told == Some(expected));
        }
        SECONDS.store(3600, Ordering::SeqCst);
        worker.attempt();
        assert!(worker.told == Some(without("no more")));
    }

    /// The end of a credential is not stepped over, and after it nobody waits for long.
    #[test]
    fn the_end_is_said_when_it_comes() {
        clock!(SECONDS, clock);
        let shared = Arc::default();
        let mut worker = Worker::new(name(), None, script([key("I", Some(100))]), clock, &shared);
        worker.attempt();
        SECONDS.store(60, Ordering::SeqCst);
        for _ in 0..7 {
            worker.attempt();
        }
        assert!(worker.told == Some(State::Failing("no more".into())));
        assert_eq!(worker.attempt(), Some(at(100)));
        SECONDS.store(100, Ordering::SeqCst);
        let due = worker.attempt().unwrap();
        assert!((at(104)..=at(105)).contains(&due), "{due}");
        assert!(worker.told == Some(State::Without("no more".into())));
        SECONDS.store(99, Ordering::SeqCst);
        worker.attempt();
        SECONDS.store(100, Ordering::SeqCst);
        worker.note_end(clock());
        assert!(worker.told == Some(State::Without("no more".into())), "nobody has to wait for the source to hear it");
    }

    #[test]
    fn it_is_fetched_when_somebody_asks() {
        clock!(SECONDS, clock);
        SECONDS.store(0, Ordering::SeqCst);
        let keeper = Keeper::start_with(name(), None, script([key("I", None), key("J", None)]), clock).unwrap();
        until(&keeper, "fetched", |keeper| id(keeper, clock()).as_deref() == Some("I"));
        keeper.wake();
        until(&keeper, "fetched again", |keeper| id(keeper, clock()).as_deref() == Some("J"));
    }

    #[test]
    fn it_is_renewed_ahead_of_its_end() {
        clock!(SECONDS, clock);
        let script = script([key("I", Some(3600)), key("J", Some(7200))]);
        let keeper = Keeper::start_with(name(), None, script, clock).unwrap();
        until(&keeper, "fetched", |keeper| id(keeper, clock()).as_deref() == Some("I"));
        SECONDS.store(3240, Ordering::SeqCst);
        until(&keeper, "renewed", |keeper| id(keeper, clock()).as_deref() == Some("J"));
        assert_eq!(keeper.report().expires, Some(at(7200)));
    }

    #[test]
    fn files_are_read_again() {
        clock!(SECONDS, clock);
        let script = script([key("I", None), key("J", None)]);
        let keeper = Keeper::start_with(name(), Some(Duration::from_secs(60)), script, clock).unwrap();
        until(&keeper, "fetched", |keeper| id(keeper, clock()).as_deref() == Some("I"));
        SECONDS.store(60, Ordering::SeqCst);
        until(&keeper, "rotated", |keeper| id(keeper, clock()).as_deref() == Some("J"));
        assert_eq!(keeper.report().seconds_left(clock()), None);
    }

    #[test]
    fn the_thread_ends_with_its_keeper() {
        clock!(SECONDS, clock);
        for answer in [key("I", None), key("I", Some(3600)), no("down")] {
            SECONDS.store(0, Ordering::SeqCst);
            let keeper = Keeper::start_with(name(), None, script([answer]), clock).unwrap();
            until(&keeper, "asked", |keeper| keeper.report() != Report::default());
            let shared = Arc::downgrade(&keeper.shared);
            drop(keeper);
            let deadline = Instant::now() + Duration::from_secs(30);
            while shared.strong_count() > 0 {
                assert!(Instant::now() < deadline);
                thread::yield_now();
            }
        }
    }

    #[test]
    fn what_is_wrong_is_reported_without_the_secret() {
        clock!(SECONDS, clock);
        SECONDS.store(0, Ordering::SeqCst);
        let source = CredentialSource::CredentialsFile { path: Some("/nowhere/file".into()), profile: None };
        let keeper = Keeper::start("test", source, clock).unwrap();
        until(&keeper, "failed", |keeper| keeper.report().failed > 0);
        assert_eq!(keeper.report().problem.as_deref(), Some("/nowhere/file is not there"));
        let script = script([key("I", None)]);
        let keeper = Keeper::start_with(name(), None, script, clock).unwrap();
        until(&keeper, "fetched", |keeper| keeper.report().fetched == 1);
        assert!(!format!("{:?} {:?}", keeper.report(), keeper.current(clock())).contains("hush"));
    }
}
