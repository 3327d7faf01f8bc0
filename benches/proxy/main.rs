//! Keyward beside a bare pingora pass-through, in one run, as ratios.
//!
//! Each gets the same load in turn, in several rounds: a bare HTTP server; pingora's own proxy in front of that server,
//! which judges nothing, and once more reading every request whole first; Keyward in front of that server, signing anew and
//! passing through; Keyward executing `Encrypt`, `Decrypt` and `GenerateDataKey` with its embedded KMS; Keyward refusing
//! `Encrypt`. For each the table says requests per second, relative to both bare ones, and CPU time per request, relative to
//! the pass-through.
//!
//! `benches/proxy/run` (or `cargo bench --bench proxy -- --seconds 5 --rounds 3 --connections 32`)

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measuring program: it reads clocks and /proc, prints a table, and stops where it cannot go on"
)]

mod load;
mod others;
mod servers;

use std::time::Duration;

use load::{Load, Measured};
use servers::{Server, Servers};

/// The same as Keyward's, so that what it is compared with has no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How the comparison is run.
struct Options {
    rounds: usize,
    load: Load,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["upstream", address] => others::upstream(address),
        ["pass-through", address, upstream] => others::pass_through(address, upstream),
        ["whole-body", address, upstream] => others::whole_body(address, upstream),
        _ => compare(&options(&arguments)),
    }
}

fn options(arguments: &[String]) -> Options {
    let number = |name: &str, default: usize| {
        let index = arguments.iter().position(|argument| argument == name);
        let given = index.and_then(|index| arguments.get(index + 1)?.parse().ok());
        given.unwrap_or(default)
    };
    let seconds = Duration::from_secs(number("--seconds", 5) as u64);
    Options { rounds: number("--rounds", 3), load: Load { seconds, connections: number("--connections", 32) } }
}

fn compare(options: &Options) {
    let servers = Servers::start();
    let all = servers.all();
    let mut results: Vec<Vec<Measured>> = all.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        for (server, results) in all.iter().zip(&mut results) {
            let measured = options.load.run(server);
            println!("round {round}  {:<46} {:>8.0} requests/s", server.name, measured.per_second());
            results.push(measured);
        }
    }
    print_table(&all, &results);
}

fn print_table(servers: &[Server], results: &[Vec<Measured>]) {
    let medians: Vec<(f64, f64)> = results
        .iter()
        .map(|rounds| (median(rounds.iter().map(Measured::per_second)), median(rounds.iter().map(Measured::cpu_us))))
        .collect();
    let of = |name| servers.iter().position(|server| server.name == name).map_or((1.0, 1.0), |at| medians[at]);
    let (upstream, pass_through) = (of(servers::UPSTREAM), of(servers::PASS_THROUGH));
    println!("\nmedians of {} rounds\n", results[0].len());
    println!(
        "| server | requests/s | of the bare server | of the pass-through | CPU µs/request | of the pass-through |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (server, (per_second, cpu_us)) in servers.iter().zip(&medians) {
        let (of_server, of_proxy, cpu) =
            (per_second / upstream.0, per_second / pass_through.0, cpu_us / pass_through.1);
        println!("| {} | {per_second:.0} | {of_server:.2} | {of_proxy:.2} | {cpu_us:.1} | {cpu:.2} |", server.name);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
