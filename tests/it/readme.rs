//! The README's commands, as a newcomer types them.

use std::collections::BTreeSet;
use std::process::Command;

use crate::sandbox::House;

const README: &str = include_str!("../../README.md");

/// The commands of a block of a section, each with what its comment promises.
fn commands(heading: &str, block: usize) -> Vec<(String, Option<String>)> {
    let section = README.split(heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = section.split("```sh").nth(block).unwrap().split("```").next().unwrap();
    let typed = block.lines().filter(|line| line.starts_with("keyward ") || line.starts_with("sed "));
    typed
        .map(|line| match line.split_once("  # ") {
            Some((command, promise)) => (command.trim().to_owned(), Some(promise.trim().to_owned())),
            None => (line.to_owned(), None),
        })
        .collect()
}

#[test]
fn commands_go_as_the_readme_says() {
    let house = House::new();
    let running = house.start();
    let mut commands = commands("## Five minutes to the first denial", 2);
    assert!(commands.len() >= 8, "{commands:?}");
    commands.extend(self::commands("### Role sessions", 1));
    assert!(commands.len() >= 11, "{commands:?}");
    for (command, promise) in commands {
        // The sandbox has other ports and another folder than a newcomer.
        let program = env!("CARGO_BIN_EXE_keyward");
        let line = command.replacen("keyward call", &format!("{program} call --endpoint http://{}", running.api), 1);
        let output = Command::new("sh").arg("-c").arg(&line).current_dir(house.path(".")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match promise.as_deref() {
            Some("allowed") => assert_eq!(output.status.code(), Some(0), "{command}: {said}"),
            Some(code) => assert!(said.contains(&format!("\"Code\": \"{code}\"")), "{command}: {said}"),
            None => assert!(output.status.success(), "{command}"),
        }
    }
}

/// The README names every metric, and no other.
#[test]
fn the_readme_names_every_metric() {
    let house = House::new();
    let running = house.start();
    let (_, page) = running.page("/metrics");
    let names = |text: &'static str, quote: char| -> BTreeSet<&'static str> {
        text.split(quote).filter(|word| word.starts_with("keyward_") && !word.contains(['{', ' '])).collect()
    };
    let mut made = names(include_str!("../../src/telemetry/metrics.rs"), '"');
    made.extend(names(include_str!("../../src/telemetry/policies.rs"), '"'));
    made.extend(names(include_str!("../../src/telemetry/upstream.rs"), '"'));
    assert_eq!(names(README, '`'), made);
    // A metric with labels has no series before something happened.
    assert!(made.iter().filter(|name| page.contains(*name)).count() > made.len() / 2);
}
