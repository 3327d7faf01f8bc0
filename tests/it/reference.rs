//! The policy engine against a second one that was written from the rules alone.
//!
//! The second one, here called the reference, is slow and plain: it reads policies with serde_json into strings, matches
//! patterns by their recursive definition, and decides top-down in the order of the rules. It must never use the
//! engine's code; only `ask` knows both. Numbers after `§` are those of our notes on the policy language.
#![expect(clippy::panic, reason = "a test that cannot go on should say where and stop")]

mod ask;
mod corpus;
mod document;
mod evaluate;
mod generate;
mod json;
mod legal;
mod properties;
mod values;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ask::Asked;
use evaluate::{Outcome, Truth};
use generate::{Dice, Set};
use proptest::prelude::*;

/// Questions that are asked of each set of policies.
const QUESTIONS: u64 = 200;

/// How often each outcome and each answer of an operator occurred.
#[derive(Default)]
struct Tally {
    pairs: u64,
    clauses: u64,
    outcomes: BTreeMap<Outcome, u64>,
    truths: BTreeMap<(String, Truth), u64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.clauses += other.clauses;
        for (outcome, times) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += times;
        }
        for (truth, times) in other.truths {
            *self.truths.entry(truth).or_default() += times;
        }
    }
}

/// Asks both sides everything about one set of policies, made from `seed`.
fn compare(seed: u64, questions: u64) -> Tally {
    compare_what(Dice::new(seed), seed, questions)
}

fn compare_what(mut dice: Dice, seed: u64, questions: u64) -> Tally {
    let set = Set::roll(&mut dice);
    let asked = Asked::new(&set).unwrap_or_else(|why| panic!("seed {seed}: {why:?}\n{set:#?}"));
    let mut tally = Tally::default();
    for _ in 0..questions {
        let request = set.roll_request(&mut dice);
        let (engine, reference) = (asked.engine(&request), asked.reference(&request));
        assert_eq!(engine, reference, "engine and reference differ; seed {seed}\n{set:#?}\n{request:#?}");
        *tally.outcomes.entry(reference).or_default() += 1;
        tally.pairs += 1;
        for (operator, engine, reference) in asked.clauses(&request) {
            assert_eq!(engine, reference, "{operator} differs; seed {seed}\n{set:#?}\n{request:#?}");
            *tally.truths.entry((operator, reference)).or_default() += 1;
            tally.clauses += 1;
        }
    }
    tally
}

#[test]
fn engine_and_reference_agree() {
    let mut tally = Tally::default();
    for seed in 0..500 {
        tally.add(compare(seed, 40));
    }
    assert_eq!(tally.pairs, 20_000);
    assert_well_spread(&tally);
}

proptest! {
    /// Bytes choose here, so that a difference shrinks to the shortest choice that shows it.
    #[test]
    fn engine_and_reference_agree_whatever_is_chosen(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        compare_what(Dice::of_bytes(&bytes), 0, 4);
    }
}

/// A comparison proves nothing about what never occurs in it.
fn assert_well_spread(tally: &Tally) {
    for outcome in Outcome::ALL {
        let times = tally.outcomes.get(&outcome).copied().unwrap_or_default();
        assert!(times * 100 >= tally.pairs, "{outcome:?} occurs only {times} times: {:?}", tally.outcomes);
    }
    for operator in evaluate::OPERATORS {
        for truth in [Truth::Yes, Truth::No, Truth::Undecidable] {
            let occurs = tally.truths.contains_key(&((*operator).to_owned(), truth));
            assert!(occurs || (truth == Truth::Undecidable && operator.starts_with("String")), "{operator} {truth:?}");
        }
    }
}

/// `KEYWARD_PAIRS` pairs (20,000,000) from `KEYWARD_SEED` on (the time), in two threads. Takes minutes:
/// `cargo test --release --test it -- --ignored engine_and_reference_agree_for_millions --nocapture`
#[test]
#[ignore = "takes minutes"]
fn engine_and_reference_agree_for_millions() {
    let pairs = number_from("KEYWARD_PAIRS").unwrap_or(20_000_000);
    let first = number_from("KEYWARD_SEED").unwrap_or_else(|| now_in_seconds() << 32);
    let sets = pairs.div_ceil(QUESTIONS);
    say(&format!("{pairs} pairs in {sets} sets of policies, from KEYWARD_SEED={first}"));
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let tallies = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| work(&next, sets, first, begun))).collect();
        workers.into_iter().map(|worker| worker.join().expect("both sides agree")).collect::<Vec<_>>()
    });
    let mut all = Tally::default();
    tallies.into_iter().for_each(|tally| all.add(tally));
    say(&format!("{} pairs and {} conditions agree, {:?}", all.pairs, all.clauses, begun.elapsed()));
    all.outcomes.iter().for_each(|(outcome, times)| say(&format!("  {times:>10}  {outcome:?}")));
    all.truths.iter().for_each(|((operator, truth), times)| say(&format!("  {times:>10}  {operator} {truth:?}")));
    assert_well_spread(&all);
}

fn work(next: &AtomicU64, sets: u64, first: u64, begun: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut told = Duration::ZERO;
    loop {
        let set = next.fetch_add(1, Ordering::Relaxed);
        if set >= sets {
            return tally;
        }
        tally.add(compare(first.wrapping_add(set), QUESTIONS));
        if begun.elapsed() > told + Duration::from_secs(20) {
            told = begun.elapsed();
            say(&format!("  {} of {sets} sets after {told:.0?}", set + 1));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the long run is told its size by whoever starts it")]
fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "every long run sees other policies")]
fn now_in_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[expect(clippy::print_stdout, reason = "the long run tells how far it is")]
fn say(line: &str) {
    println!("{line}");
}
