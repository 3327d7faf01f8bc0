//! `[throttle]`: how many requests of a kind each caller may have executed.

use std::num::NonZeroU32;

use crate::kms::Class;
use crate::source::toml::Section;

/// `[throttle]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttle {
    /// Of each kind, how many a second; `None` for as many as there are.
    pub per_second: [Option<NonZeroU32>; Class::ALL.len()],
}

pub(super) fn read(section: &Section<'_>) -> Throttle {
    let rate = |class: Class| {
        let given = section.integer(class.setting(), 1..1_000_001);
        given.and_then(|rate| u32::try_from(rate).ok()).and_then(NonZeroU32::new)
    };
    let throttle = Throttle { per_second: Class::ALL.map(rate) };
    section.finish();
    throttle
}
