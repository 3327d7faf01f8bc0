//! Builds the contenders, checks that they agree, and takes times in turns.
//!
//! Times are those that the thread had a processor: other programs on the machine then count less.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::contender::{Contender, Engine, KEYWARD};
use crate::scenario::{QUESTIONS, Scenario};

/// Questions between two looks at the clock.
const BATCH: usize = 50;

/// How long and how often is measured.
pub struct Course {
    /// How many turns each contender has.
    pub rounds: usize,
    /// How long a turn is.
    pub turn: Duration,
    /// How long a contender may be expected to take to build itself and to answer every question once.
    pub limit: Duration,
}

/// A contender and what was found about it.
pub struct Racer {
    /// Who.
    pub contender: &'static Contender,
    /// For each number of keys, the median time of a decision in ns, and the median ratio to Keyward's in the same
    /// round; `None` where it was left out.
    pub results: Vec<Option<(f64, f64)>>,
    /// How long it took to get ready, and for how many keys.
    ready: Option<(Duration, usize)>,
}

impl Racer {
    /// A contender that has not run.
    pub fn new(contender: &'static Contender) -> Self {
        Self { contender, results: Vec::new(), ready: None }
    }

    /// Whether it can be expected to get ready for so many keys in time. Building takes a time in proportion to the
    /// keys.
    fn can_be_ready(&self, keys: usize, limit: Duration) -> bool {
        self.ready.is_none_or(|(took, before)| took.mul_f64(keys as f64 / before as f64) <= limit)
    }

    /// Builds it and has it answer every question once, which also warms it up.
    fn get_ready(&mut self, scenario: &Scenario) -> (Box<dyn Engine>, Vec<bool>) {
        let start = processor_time();
        let mut engine = (self.contender.build)(scenario);
        let built = processor_time() - start;
        let answers = (0..QUESTIONS).map(|question| engine.allows(question)).collect();
        let answered = processor_time() - start - built;
        let took = if self.contender.linear { built + answered } else { built };
        self.ready = Some((took, scenario.keys.len()));
        eprintln!(
            "{:>7} keys  {:<42} built in {:>7.3} s, answered in {:>7.3} s",
            scenario.keys.len(),
            self.contender.name,
            built.as_secs_f64(),
            answered.as_secs_f64()
        );
        (engine, answers)
    }
}

/// Runs one scenario and adds a result to each racer.
pub fn race(racers: &mut [Racer], scenario: &Scenario, course: &Course) {
    let mut running: Vec<(usize, Box<dyn Engine>)> = Vec::new();
    let mut expected: Option<Vec<bool>> = None;
    for (place, racer) in racers.iter_mut().enumerate() {
        if !racer.can_be_ready(scenario.keys.len(), course.limit) {
            continue;
        }
        let (engine, answers) = racer.get_ready(scenario);
        agree(expected.get_or_insert_with(|| answers.clone()), &answers, racer.contender.name);
        running.push((place, engine));
    }
    let times = take_turns(&mut running, course);
    let keyward = running.iter().position(|(place, _)| racers[*place].contender.name == KEYWARD);
    let keyward = &times[keyward.expect("Keyward always runs")];
    for racer in racers.iter_mut() {
        racer.results.push(None);
    }
    for ((place, _), times) in running.iter().zip(&times) {
        let ratios = times.iter().zip(keyward).map(|(time, base)| time / base);
        let result = (median(times.iter().copied()), median(ratios));
        if let Some(last) = racers[*place].results.last_mut() {
            *last = Some(result);
        }
    }
}

/// All must answer alike; and if nearly all answers were the same, little would have been compared.
fn agree(expected: &[bool], answers: &[bool], name: &str) {
    let different = expected.iter().zip(answers).position(|(one, other)| one != other);
    assert_eq!(different, None, "{name} answers this question differently");
    let allowed = answers.iter().filter(|&&allowed| allowed).count();
    assert!((QUESTIONS / 5..QUESTIONS * 4 / 5).contains(&allowed), "{allowed} answers are yes");
}

/// For each engine, the time of a decision in ns in each round.
fn take_turns(running: &mut [(usize, Box<dyn Engine>)], course: &Course) -> Vec<Vec<f64>> {
    let mut times: Vec<Vec<f64>> = running.iter().map(|_| Vec::new()).collect();
    for (_, engine) in running.iter_mut() {
        turn(engine.as_mut(), course.turn / 2);
    }
    for _ in 0..course.rounds {
        for ((_, engine), times) in running.iter_mut().zip(&mut times) {
            times.push(turn(engine.as_mut(), course.turn));
        }
    }
    times
}

/// Asks in batches until the time is up, and says how long the processor was busy with each question, in ns. What comes
/// before that brings an engine's memory back into the caches, which the others have used meanwhile.
fn turn(engine: &mut dyn Engine, length: Duration) -> f64 {
    let warm = Instant::now();
    let mut first = 0;
    while first < QUESTIONS && warm.elapsed() < length / 4 {
        black_box(engine.allowed(first, first + BATCH));
        first += BATCH;
    }
    let (mut asked, start, busy) = (0, Instant::now(), processor_time());
    while start.elapsed() < length {
        let first = (first + asked) % QUESTIONS;
        black_box(engine.allowed(black_box(first), first + BATCH));
        asked += BATCH;
    }
    (processor_time() - busy).as_nanos() as f64 / asked as f64
}

/// How long this thread has had a processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("a time that has passed")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
