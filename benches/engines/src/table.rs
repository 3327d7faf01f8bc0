//! Prints the result as a Markdown table.

use crate::measure::Racer;

/// One row for each contender, one column for each number of keys.
pub fn print(racers: &[Racer], keys: &[usize]) {
    let [cedar, regorus] = ["cedar-policy", "regorus"].map(version);
    println!("ns per decision (ratio to Keyward), by number of keys; medians of rounds");
    println!("cedar-policy {cedar}, regorus {regorus}\n");
    let heads: Vec<String> = keys.iter().map(|&keys| grouped(keys as f64)).collect();
    println!("| engine | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(keys.len()));
    for racer in racers {
        let cells: Vec<String> = racer.results.iter().map(|result| cell(*result)).collect();
        println!("| {} | {} |", racer.contender.name, cells.join(" | "));
    }
}

/// The version of a package that this program was built with.
fn version(package: &str) -> &'static str {
    let mut lines = include_str!("../Cargo.lock").lines();
    let name = format!("name = \"{package}\"");
    lines.find(|line| *line == name);
    lines.next().unwrap_or_default().trim_start_matches("version = ").trim_matches('"')
}

fn cell(result: Option<(f64, f64)>) -> String {
    result.map_or_else(
        || "–".to_owned(),
        |(time, ratio)| {
            let ratio = if ratio < 99.5 { format!("{ratio:.1}") } else { grouped(ratio) };
            format!("{} ({ratio})", grouped(time))
        },
    )
}

/// A whole number with commas between thousands.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
