//! Numbers, moments and networks, read from the texts that policies and requests have them in.
//!
//! One spelling must mean one thing, whatever the libraries beneath would also take: no digits grouped with `_`, no octets
//! with leading zeros, no zone that is ignored, no leap second that is moved. Nothing here allocates.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp};

/// A decimal number of any size, exact: `12`, `-1.5`, `+.5`, `5.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number<'t> {
    negative: bool,
    /// Before the point, without leading zeros.
    whole: &'t str,
    /// Behind the point, without trailing zeros.
    fraction: &'t str,
}

impl<'t> Number<'t> {
    /// Reads a number: a sign, digits, at most one point.
    pub fn read(text: &'t str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: text.starts_with('-') && !is_zero, whole, fraction })
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // More digits before the point are more; behind it, they are compared from the left.
        let size = |number: &Self| (number.whole.len(), number.whole.as_bytes(), number.fraction.as_bytes());
        match (self.negative, other.negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A moment, as the time since 1970-01-01T00:00:00Z. Reaches further than [`Timestamp`]: people write
/// `9999-12-31T23:59:59Z` for "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(SignedDuration);

impl Moment {
    /// Reads ISO 8601 in its extended form with a zone: `2026-01-02T03:04:05Z`; seconds may be left out or have up to
    /// nine decimals, and the zone may be `+08:00`, `+0800` or `+08`. Without a zone it is not known which moment is
    /// meant, and a leap second is none that everybody's clock has.
    pub fn read(text: &str) -> Option<Self> {
        let zone_at = text.find('T').and_then(|t| Some(t + text.get(t..)?.find(['Z', '+', '-'])?))?;
        let (local, zone) = text.split_at_checked(zone_at)?;
        let (clock, fraction) = local.split_once('.').map_or((local, None), |(clock, digits)| (clock, Some(digits)));
        let has_seconds = has_shape(clock, "0000-00-00T00:00:00") && !clock.ends_with(":60");
        let has_clock = has_seconds || has_shape(clock, "0000-00-00T00:00");
        let has_fraction = fraction.is_none_or(|digits| has_seconds && is_fraction(digits));
        if !has_clock || !has_fraction {
            return None;
        }
        let local = local.parse::<DateTime>().ok()?.duration_since(date(1970, 1, 1).at(0, 0, 0, 0));
        Some(Self(local - offset(zone)?))
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time.as_duration())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_duration(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} s after 1970", self.0.as_secs()),
        }
    }
}

/// How far a zone is ahead of UTC.
fn offset(zone: &str) -> Option<SignedDuration> {
    if zone == "Z" {
        return Some(SignedDuration::ZERO);
    }
    let digits = zone.strip_prefix(['+', '-'])?;
    if !["00", "0000", "00:00"].iter().any(|shape| has_shape(digits, shape)) {
        return None;
    }
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes = digits.get(2..)?.trim_start_matches(':');
    let minutes: i64 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    let ahead = SignedDuration::from_mins(hours * 60 + minutes);
    (hours < 24 && minutes < 60).then_some(if zone.starts_with('-') { -ahead } else { ahead })
}

fn is_fraction(digits: &str) -> bool {
    (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` is `shape`, in which `0` stands for any digit.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, expected): (u8, u8)| found == expected || (expected == b'0' && found.is_ascii_digit());
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// An address; IPv4 that is written as IPv6 is IPv4.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// A network or a single address. IPv4 that is written as IPv6 is IPv4; bits behind the prefix do not count.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let net = match prefix {
        None => IpNet::from(address),
        Some(digits) => IpNet::new(address, prefix_length(digits)?).ok()?,
    };
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).ok(),
            None => Some(net),
        },
        _ => Some(net),
    }
}

fn prefix_length(digits: &str) -> Option<u8> {
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_compared_exactly() {
        use Ordering::{Equal, Greater, Less};
        for (one, other, expected) in [
            ("10", "10.0", Equal),
            ("-0", "+0.00", Equal),
            (".5", "0.50", Equal),
            ("5.", "05", Equal),
            ("10", "9", Greater),
            ("-10", "-9", Less),
            ("-1", "0", Less),
            ("-0.5", "-0", Less),
            ("0.1", "0.09", Greater),
            ("0.1", "0.11", Less),
            ("79228162514264337593543950336", "79228162514264337593543950335", Greater),
            ("10.00000000000000000000000000000000000001", "10", Greater),
            ("-10.00000000000000000000000000000000000000", "-10", Equal),
        ] {
            let (one, other) = (Number::read(one).unwrap(), Number::read(other).unwrap());
            assert_eq!(one.cmp(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.cmp(&one), expected.reverse(), "{other:?} {one:?}");
        }
        for text in ["", "-", ".", "1_000", "1_", "1e3", " 1", "1 ", "1.2.3", "--1", "1,5", "0x10", "١"] {
            assert_eq!(Number::read(text), None, "{text}");
        }
    }

    #[test]
    fn moments_have_a_zone_and_one_meaning() {
        let moment = |text: &str| Moment::read(text).unwrap_or_else(|| panic!("{text}"));
        for text in ["2026-01-02T11:04:05+08:00", "2026-01-02T11:04:05+0800", "2026-01-02T11:04:05.000+08"] {
            assert_eq!(moment(text), moment("2026-01-02T03:04:05Z"), "{text}");
        }
        assert_eq!(moment("2026-01-02T03:04Z"), moment("2026-01-02T03:04:00-00:00"));
        assert_eq!(
            moment("2026-01-02T03:04:05.5Z"),
            Moment::from("2026-01-02T03:04:05.5Z".parse::<Timestamp>().unwrap())
        );
        assert!(moment("9999-12-31T23:59:59Z") > moment("9999-12-30T00:00:00Z"));
        assert!(moment("9999-12-31T23:59:59Z") < moment("9999-12-31T23:59:59-23:59"));
        for text in [
            "",
            "T",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-02-29T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02T030405Z",
            "2026-01-02T03Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04.5Z",
            "2026-01-02T03:04:05.1234567890Z",
            "2026-01-02T03:04:05+24:00",
            "2026-01-02T03:04:05+08:60",
            "2026-01-02T03:04:05+8",
            "2026-01-02T03:04:05+08:00:30",
            "2026-01-02T03:04:05Zé",
        ] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
    }

    /// What the library would take by moving or ignoring something.
    #[test]
    fn leap_seconds_and_names_of_zones_are_refused() {
        for text in [
            "2016-12-31T23:59:60Z",
            "2026-01-02T03:04:60Z",
            "2026-01-02T03:04:60.5Z",
            "2026-01-02T03:04:05Z[Asia/Shanghai]",
            "2026-01-02T03:04:05+08:00[America/New_York]",
            "2026-01-02T03:04:05Z[u-ca=hebrew]",
        ] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
    }

    #[test]
    fn networks_are_written_in_one_way() {
        let net = |text: &str| network(text).map(|net| net.to_string());
        assert_eq!(net("10.0.0.1").as_deref(), Some("10.0.0.1/32"));
        assert_eq!(net("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(net("::ffff:10.0.0.0/104").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(net("::ffff:0:0/95").as_deref(), Some("::ffff:0.0.0.0/95"));
        for text in [
            "010.0.0.0/8",
            "010.0.0.0",
            "::ffff:010.0.0.0/104",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0",
            "::1:2:3:4:5:6:7:8/64",
            "fe80::1%eth0/64",
        ] {
            assert_eq!(net(text), None, "{text}");
        }
    }
}
