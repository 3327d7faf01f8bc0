//! Matching agrees with its recursive definition. Input: a pattern, a line break, a text; both short, because the
//! definition takes its time.
#![no_main]

use keyward::policy::Pattern;
use keyward_fuzz::values::fits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let (pattern, text) = input.split_once('\n').unwrap_or((input, ""));
    // Each star multiplies what the definition has to try.
    if pattern.len() > 16 || text.len() > 24 || pattern.matches('*').count() > 5 {
        return;
    }
    assert_eq!(Pattern::exact(pattern).matches(text), fits(pattern, text, false));
    assert_eq!(Pattern::ignoring_case(pattern).matches(text), fits(pattern, text, true));
});
