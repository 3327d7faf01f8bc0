//! How loading policies and taking one changed file grow with the number of files.
//!
//! `cargo bench --bench reload` makes folders of 100 to 100,000 key policies and measures, for each in a process of its own:
//! a start, the memory that it takes, one changed file from saving it to its being in force (with the watcher, as serving
//! does), the same without waiting for the file to be quiet, and a whole look that finds nothing.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program writes files, prints a table and stops where it cannot go on"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keyward::settings::Settings;
use keyward::store::{Scope, Store, Watcher};

/// How many policy files.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// How many changed files are measured.
const CHANGES: usize = 21;

fn policy(version: usize) -> String {
    format!(
        r#"{{
  "Version": "1",
  "Statement": [
    {{ "Sid": "kms default key policy", "Effect": "Allow", "Principal": {{ "RAM": ["acs:ram::1234567890123456:*"] }},
      "Action": ["kms:*"], "Resource": ["*"] }},
    {{ "Sid": "Version{version}", "Effect": "Allow", "Principal": {{ "RAM": ["acs:ram::1234567890123456:user/alice"] }},
      "Action": ["kms:Encrypt", "kms:DescribeKey"], "Resource": ["*"] }},
    {{ "Sid": "NotFromElsewhere", "Effect": "Deny", "Principal": {{ "RAM": ["acs:ram::1234567890123456:*"] }},
      "Action": ["kms:Decrypt"], "Resource": ["*"], "Condition": {{ "NotIpAddress": {{ "acs:SourceIp": "10.0.0.0/8" }} }} }}
  ]
}}
"#
    )
}

fn furnish(folder: &Path, size: usize) {
    std::fs::create_dir_all(folder.join("policies/keys")).expect("a folder");
    let (text, identities) = (policy(0), "[accounts.1234567890123456.users.alice]\n");
    for number in 0..size {
        std::fs::write(folder.join(format!("policies/keys/key-{number:06}.json")), &text).expect("a policy");
    }
    std::fs::write(folder.join("identities.toml"), identities).expect("identities");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kilobytes * 1024
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Saves a policy as an editor does: beside it, and into its place.
fn save(folder: &Path, number: usize, round: usize) {
    let path = folder.join(format!("policies/keys/key-{number:06}.json"));
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, policy(round)).expect("a file");
    std::fs::rename(beside, path).expect("a move");
}

/// From saving a file to its being in force.
fn change(store: &Store, folder: &Path, round: usize, look: impl Fn()) -> Duration {
    let before = store.status().generation;
    save(folder, round, round);
    let begun = Instant::now();
    look();
    while store.status().generation == before {
        assert!(begun.elapsed() < Duration::from_secs(60), "a change did not come into force");
        std::thread::park_timeout(Duration::from_micros(200));
    }
    begun.elapsed()
}

/// One line of the table.
fn measure(folder: &Path) {
    let text = "[kms]\naccount = '1234567890123456'\ndata = 'data'\n[policies]\ndirectory = 'policies'\nidentities = 'identities.toml'\n";
    let settings = Settings::parse(text, folder).expect("settings");
    let (before, begun) = (resident_bytes(), Instant::now());
    let store = Arc::new(Store::open(&settings, Timestamp::now()).expect("policies"));
    let (start, memory) = (begun.elapsed(), resident_bytes().saturating_sub(before));
    let size = store.status().counts.key_policies;
    let begun = Instant::now();
    store.reload(&Scope::Everything, Duration::ZERO, None, Timestamp::now());
    let rescan = begun.elapsed();
    let taking = |round: usize| {
        let paths = [format!("keys/key-{:06}.json", round).into()].into();
        let scope = Scope::Only { paths, identities: false };
        change(&store, folder, round, || {
            store.reload(&scope, Duration::ZERO, None, Timestamp::now() + jiff::SignedDuration::from_secs(1));
        })
    };
    let taking = median((1..=CHANGES).map(taking).collect());
    let watcher = Watcher::start(store.clone(), &settings.policies, Timestamp::now).expect("a watcher");
    let watched = |round| change(&store, folder, round, || ());
    let mut watched: Vec<Duration> = (CHANGES + 1..=2 * CHANGES).map(watched).collect();
    watched.sort();
    let slowest = watched.last().copied().unwrap_or_default();
    let grown = resident_bytes().saturating_sub(before + memory);
    drop(watcher);
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    println!(
        "| {size} | {} | {:.1} | {} | {} | {} | {} | {:.1} |",
        ms(start),
        memory as f64 / size as f64 / 1024.0,
        ms(rescan),
        ms(taking),
        ms(median(watched)),
        ms(slowest),
        grown as f64 / 1024.0 / 1024.0
    );
}

fn main() {
    let folder = std::env::args().skip_while(|word| word != "--folder").nth(1);
    if let Some(folder) = folder {
        return measure(Path::new(&folder));
    }
    println!(
        "| policy files | start, ms | KiB per policy | whole look, ms | taking one change, ms | saved → in force, ms | slowest, ms | grown, MiB |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    let program = std::env::current_exe().expect("a program");
    for size in SIZES {
        let folder = tempfile::TempDir::new().expect("a folder");
        furnish(folder.path(), size);
        // A process of its own: what one size leaves in memory is not the next one's.
        let status = Command::new(&program).arg("--folder").arg(folder.path()).status().expect("a process");
        assert!(status.success(), "{size} files could not be measured");
    }
}
