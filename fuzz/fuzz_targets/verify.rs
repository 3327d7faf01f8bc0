//! Verification, V1, V3 and V4: whoever changes a signed request either loses its identity or changes nothing that it
//! means. Input: which recorded request in two bytes, then edits of four bytes each: where, in which part, what.
#![no_main]

use keyward::authn::identify;
use keyward::kms::{KmsRequest, Origin, RawRequest};
use keyward_fuzz::signed::{Part, all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [high, low, edits @ ..] = data else { return };
    let signed = &all()[usize::from(u16::from_be_bytes([*high, *low])) % all().len()];
    let mut changed = signed.clone();
    for edit in edits.chunks_exact(4).take(16) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        changed.edit(Part::of(edit[2]), at, edit[3]);
    }
    let raw = RawRequest {
        method: &changed.method,
        target: &changed.target,
        headers: &changed.headers,
        body: &changed.body,
        origin: Origin::unknown(),
    };
    let Ok(request) = KmsRequest::parse(&raw) else { return };
    let Ok(caller) = identify(&signed.authority(), &raw, &request, signed.now) else { return };
    let meant = signed.parse().expect("the recording is legal");
    assert_eq!(caller.principal.to_string(), "acs:ram::1:user/holder");
    assert_eq!((request.api, &request.call), (meant.api, &meant.call));
    assert_eq!((&request.params, &request.region), (&meant.params, &meant.region));
    assert_eq!(caller.once.map(|once| once.nonce), Some(meant.scheme.once().to_owned()), "it could be sent again");
});
