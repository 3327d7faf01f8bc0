//! How much memory a contender takes for the policy of one key.
//!
//! Measured in a process of its own, which does nothing else: by how much its resident memory grows while the contender
//! is built.

use std::process::Command;

use crate::contender::CONTENDERS;
use crate::measure::Racer;
use crate::scenario::Scenario;
use crate::table::grouped;

/// Prints the bytes for each key of all contenders that managed the largest number of keys.
pub fn print(racers: &[Racer], keys: &[usize]) {
    let Some(&most) = keys.iter().max() else { return };
    println!("\nresident memory with {} keys\n\n| engine | bytes per key |\n|---|--:|", grouped(most as f64));
    let place = keys.iter().position(|&keys| keys == most).unwrap_or_default();
    for racer in racers.iter().filter(|racer| racer.results[place].is_some()) {
        println!("| {} | {} |", racer.contender.name, grouped(in_own_process(racer.contender.name, most)));
    }
}

fn in_own_process(name: &str, keys: usize) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(["memory", name, &keys.to_string()]).output().expect("this program runs");
    let grown: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    grown / keys as f64
}

/// The bytes by which this process grows when the contender is built.
pub fn grown_by(name: &str, keys: usize) -> usize {
    let contender = CONTENDERS.iter().find(|contender| contender.name == name).expect("a contender");
    let scenario = Scenario::new(keys);
    let before = resident();
    let engine = (contender.build)(&scenario);
    let after = resident();
    drop(engine);
    after.saturating_sub(before)
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
