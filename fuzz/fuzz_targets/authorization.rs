//! The header `Authorization`: of all that can stand there, only what says exactly what the client said is verified.
//! Input: which recorded request in two bytes, then the value of its header.
#![no_main]

use http::HeaderValue;
use keyward::authn::identify;
use keyward::kms::{KmsRequest, Origin, RawRequest, Scheme};
use keyward_fuzz::signed::{Signed, all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [high, low, value @ ..] = data else { return };
    let recordings: Vec<&Signed> = all().iter().filter(|signed| signed.authorization().is_some()).collect();
    let signed = recordings[usize::from(u16::from_be_bytes([*high, *low])) % recordings.len()];
    // An empty rest stands for the header as it was sent.
    let genuine = signed.authorization().expect("only those were taken");
    let value = if value.is_empty() { genuine.clone() } else { value.to_vec() };
    let Ok(header) = HeaderValue::from_bytes(&value) else { return };
    let mut headers = signed.headers.clone();
    headers.insert("authorization", header);
    let raw = RawRequest {
        method: &signed.method,
        target: &signed.target,
        headers: &headers,
        body: &signed.body,
        origin: Origin::unknown(),
    };
    let Ok(request) = KmsRequest::parse(&raw) else { return };
    let Scheme::Acs(said) = &request.scheme else { panic!("a header is there, and no V3 or V4 signature was read") };
    if identify(&signed.authority(), &raw, &request, signed.now).is_ok() {
        let Ok(KmsRequest { scheme: Scheme::Acs(sent), .. }) = signed.parse() else { panic!("the recording is legal") };
        assert_eq!(*said, sent, "another header than the client's was verified: {header:?}", header = value.escape_ascii());
    }
});
