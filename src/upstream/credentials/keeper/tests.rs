//! A credential over its whole life, on a clock of the test's.

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
        assert!(due > clock() && (at(*expected.start())..=at(*expected.end())).contains(&due), "{due} {expected:?}");
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
