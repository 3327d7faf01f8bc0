//! Any text is read or refused, and the reference reads and refuses the same.
#![no_main]

use keyward_fuzz::ask::{Both, Refused};
use keyward_fuzz::document::Attached;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for attached in [Attached::Key, Attached::Secret, Attached::Ram] {
        if let Err(Refused::ByOne(why)) = Both::read(attached, text) {
            panic!("{attached:?}: {why}");
        }
    }
});
