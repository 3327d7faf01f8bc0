//! What condition values mean: wildcards, numbers, moments, addresses (§3.1, §4).
//!
//! Each is written from its definition, with nothing prepared and nothing shared with the engine.

use std::cmp::Ordering;
use std::net::IpAddr;

/// §3.1: `*` is any number of characters, `?` exactly one; the whole text must fit.
pub fn fits(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern.chars(), text.chars());
    match (pattern_rest.next(), text_rest.next()) {
        (None, found) => found.is_none(),
        (Some('*'), None) => fits(pattern_rest.as_str(), text, ignore_case),
        (Some('*'), Some(_)) => {
            fits(pattern_rest.as_str(), text, ignore_case) || fits(pattern, text_rest.as_str(), ignore_case)
        }
        (Some(_), None) => false,
        (Some(expected), Some(found)) => {
            let same = expected == '?' || expected == found || (ignore_case && lower(expected) == lower(found));
            same && fits(pattern_rest.as_str(), text_rest.as_str(), ignore_case)
        }
    }
}

/// The same text but for the case of the letters A to Z. What other letters do is documented nowhere.
pub fn same_ignoring_case(one: &str, other: &str) -> bool {
    one.chars().map(lower).eq(other.chars().map(lower))
}

fn lower(letter: char) -> char {
    if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { letter }
}

/// A decimal number, exact: a sign, and the digits before and after the point without meaningless zeros.
#[derive(Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Number {
    /// `12`, `-1.5`, `+.5`, `5.`: digits with at most one point and a sign; no exponent, no grouping.
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit());
        if !all_digits || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let negative = text.starts_with('-') && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole, fraction })
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
        }
    }

    /// Compares digit by digit, both made equally long with zeros.
    fn compare_size(&self, other: &Self) -> Ordering {
        let (before, after) = (self.whole.len().max(other.whole.len()), self.fraction.len().max(other.fraction.len()));
        let padded = |number: &Self| format!("{:0>before$}{:0<after$}", number.whole, number.fraction);
        padded(self).cmp(&padded(other))
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z. ISO 8601 in its extended form with a zone: seconds may be left out, may
/// have up to nine decimals, and are at most 59; the zone is `Z`, `+08:00`, `+0800` or `+08`.
pub fn moment(text: &str) -> Option<i128> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let [year, month, day] = fields(date, '-', &[4, 2, 2])?[..] else { return None };
    let (time, nanoseconds) = match time.split_once('.') {
        None => (time, 0),
        Some((time, fraction)) => (time, nanoseconds(fraction).filter(|_| time.len() == "03:04:05".len())?),
    };
    let time = if time.len() == "03:04".len() { format!("{time}:00") } else { time.to_owned() };
    let [hour, minute, second] = fields(&time, ':', &[2, 2, 2])?[..] else { return None };
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (days_before(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset(zone)?;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
}

fn fields(text: &str, separator: char, lengths: &[usize]) -> Option<Vec<i64>> {
    let parts: Vec<&str> = text.split(separator).collect();
    let right = parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == *length)
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if right { parts.iter().map(|part| part.parse().ok()).collect() } else { None }
}

fn nanoseconds(fraction: &str) -> Option<i64> {
    let right = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if right { format!("{fraction:0<9}").parse().ok() } else { None }
}

/// The seconds by which a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..)?;
    let digits = match digits.len() {
        2 => format!("{digits}:00"),
        4 => format!("{}:{}", digits.get(..2)?, digits.get(2..)?),
        _ => digits.to_owned(),
    };
    let [hours, minutes] = fields(&digits, ':', &[2, 2])?[..] else { return None };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this day, by the rule for leap years.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leap_days_before = |year: i64| {
        let count = |every: i64| (year - 1).div_euclid(every);
        count(4) - count(100) + count(400)
    };
    let years = (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

/// An address; IPv4 that is written as IPv6 is IPv4.
pub fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

/// A network as the bits that count: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`. What stands behind the prefix does
/// not count. A network of IPv4 written as IPv6 (prefix 96 or longer) is one of IPv4.
pub struct Network {
    bits: Vec<bool>,
    v4: bool,
}

impl Network {
    pub fn read(text: &str) -> Option<Self> {
        let (written, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let parsed = written.parse::<IpAddr>().ok()?;
        let mut bits = bits(parsed);
        if let Some(prefix) = prefix {
            let length: usize = prefix.parse().ok()?;
            if length.to_string() != prefix || length > bits.len() {
                return None;
            }
            bits.truncate(length);
        }
        let is_mapped = parsed.is_ipv6() && parsed.to_canonical().is_ipv4();
        if is_mapped && bits.len() >= 96 {
            return Some(Self { bits: bits.split_off(96), v4: true });
        }
        Some(Self { bits, v4: parsed.is_ipv4() })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && bits(address).starts_with(&self.bits)
    }
}

fn bits(address: IpAddr) -> Vec<bool> {
    let bytes = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

/// The reference is code too; these are its anchors.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_right() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00Z", 951_782_400),
            ("2026-01-02T11:04:05+08:00", 1_767_323_045),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
        ] {
            assert_eq!(moment(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(moment("1970-01-01T00:00:00.5-0100"), Some(3_600_500_000_000));
        for text in ["2026-02-29T00:00:00Z", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:60Z", "T", ""] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let compare = |one, other| Number::read(one).unwrap().compare(&Number::read(other).unwrap());
        assert_eq!(compare("10", "9.99"), Ordering::Greater);
        assert_eq!(compare("-0", "0.000"), Ordering::Equal);
        assert_eq!(compare("-10", "-9"), Ordering::Less);
        assert_eq!(compare("0.1", "0.09"), Ordering::Greater);
        assert_eq!(compare(&"9".repeat(50), &format!("1{}", "0".repeat(50))), Ordering::Less);
    }
}
