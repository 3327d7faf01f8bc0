//! Keyward's decision beside those of general policy engines, in one run, as ratios.
//!
//! Every contender holds the same policies in the form that suits it best, and answers the same 1,000 questions, which
//! are already in its own form when the clock starts. Before anything is timed, all answers must agree. Contenders take
//! turns in every round; the table has the medians. A contender that would need too long to get ready is left out.
//!
//! `benches/engines/run` (or with `--keys 10,1000 --rounds 9 --millis 100 --limit 60 --only cedar`)

#![expect(clippy::disallowed_methods, reason = "a measuring program reads /proc")]

mod contender;
mod measure;
mod memory;
mod scenario;
mod table;
mod with_cedar;
mod with_keyward;
mod with_regorus;

use std::time::Duration;

use contender::CONTENDERS;
use measure::Course;
use scenario::Scenario;

/// How the comparison is run.
struct Options {
    keys: Vec<usize>,
    only: String,
    course: Course,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["memory", name, keys] => println!("{}", memory::grown_by(name, keys.parse().expect("a number of keys"))),
        _ => compare(options(&arguments)),
    }
}

fn options(arguments: &[String]) -> Options {
    let given = |name: &str| {
        let index = arguments.iter().position(|argument| argument == name)?;
        arguments.get(index + 1).map(String::as_str)
    };
    let number = |name, default: u64| given(name).map_or(default, |text| text.parse().expect(name));
    let keys = given("--keys").unwrap_or("10,100,1000,10000,100000").split(',');
    Options {
        keys: keys.map(|text| text.parse().expect("--keys")).collect(),
        only: given("--only").unwrap_or_default().to_lowercase(),
        course: Course {
            rounds: number("--rounds", 9) as usize,
            turn: Duration::from_millis(number("--millis", 100)),
            limit: Duration::from_secs(number("--limit", 60)),
        },
    }
}

/// Keyward is always among them: it is what the others are compared with.
fn compare(options: Options) {
    let wanted = |name: &str| name == contender::KEYWARD || name.to_lowercase().contains(&options.only);
    let mut racers: Vec<measure::Racer> =
        CONTENDERS.iter().filter(|contender| wanted(contender.name)).map(measure::Racer::new).collect();
    for &keys in &options.keys {
        measure::race(&mut racers, &Scenario::new(keys), &options.course);
    }
    table::print(&racers, &options.keys);
    memory::print(&racers, &options.keys);
}
