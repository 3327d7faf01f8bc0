//! Properties: bytes of people who know no secret, and signed bytes that were changed.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// Pieces that are right on their own, among bytes that are not.
fn any_piece() -> impl Strategy<Value = String> {
    let right = signed("root", "Encrypt", &[("KeyId", "k1"), HELLO]);
    let right: Vec<String> = right.trim_start_matches("/?").split('&').map(str::to_owned).collect();
    let signature_missing: Vec<String> = right.into_iter().filter(|piece| !piece.starts_with("Signature=")).collect();
    prop_oneof![
        4 => prop::sample::select(signature_missing),
        1 => prop::sample::select(vec!["Signature=c2lnbg%3D%3D", "SecurityToken=t", "STSToken=t", "Action=DescribeRegions"]).prop_map(str::to_owned),
        1 => "[A-Za-z.]{0,8}=[ -~]{0,12}",
        1 => "\\PC{0,12}",
    ]
}

fn any_header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let known = vec![
        "authorization",
        "x-acs-action",
        "x-acs-date",
        "x-acs-version",
        "x-acs-content-sha256",
        "host",
        "content-type",
    ];
    let name = prop_oneof![prop::sample::select(known).prop_map(str::to_owned), "[a-z_-]{1,12}"];
    let value = prop_oneof![
        prop::sample::select(vec![
            "ACS3-HMAC-SHA256 Credential=root,SignedHeaders=host,Signature=00",
            "ACS3-HMAC-SHA256 Credential=root,SignedHeaders=,Signature=",
            "application/x-www-form-urlencoded",
            "DescribeRegions",
            NOW,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    (name, value)
}

fn any_method() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(vec!["GET", "POST"]).prop_map(str::to_owned), "\\PC{0,8}"]
}

fn any_target() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(any_piece(), 0..12).prop_map(|pieces| pieces.join("&"));
    prop_oneof![
        3 => pieces.prop_map(|query| format!("/?{query}")),
        1 => "\\PC{0,40}",
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let form = prop::collection::vec(any_piece(), 0..12).prop_map(|pieces| pieces.join("&").into_bytes());
    prop_oneof![Just(Vec::new()), form, prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    /// Whoever knows no secret gets nothing, not even a panic; and what was answered once is answered again.
    #[test]
    fn no_bytes_without_a_secret_are_permitted(
        method in any_method(),
        target in any_target(),
        headers in prop::collection::vec(any_header(), 0..6),
        body in any_body(),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        let house = House::new().rules(|rules| rules.explain_denials = true);
        let raw = RawRequest { method: &method, target: &target, headers: &map, body: &body, origin: Origin::unknown() };
        let judge = || authorize(&house.0, &raw, NOW.parse().unwrap());
        let (first, second) = (judge(), judge());
        prop_assert!(first.verdict.is_err());
        prop_assert_eq!(first.trail.outcome, Outcome::Reject);
        prop_assert_eq!(format!("{:?} {:?}", first.trail, first.verdict), format!("{:?} {:?}", second.trail, second.verdict));
    }

    /// A signature covers every byte: one that is changed on the way changes a permit into a refusal.
    #[test]
    fn a_signed_request_that_is_changed_is_not_permitted(at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let house = House::new();
        let right = signed("root", "Encrypt", &[("KeyId", "k1"), HELLO]);
        let mut bytes = right.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        let raw = RawRequest { method: "POST", target: &changed, headers: &HeaderMap::new(), body: b"", origin: Origin::unknown() };
        let verdict = authorize(&house.0, &raw, NOW.parse().unwrap()).verdict;
        // The hex digits of an escape mean the same in either case.
        prop_assert_eq!(verdict.is_ok(), changed.eq_ignore_ascii_case(&right) && decoded(&changed) == decoded(&right));
    }
}

fn decoded(target: &str) -> Params {
    Params::decode(target.trim_start_matches("/?")).unwrap_or_default()
}
