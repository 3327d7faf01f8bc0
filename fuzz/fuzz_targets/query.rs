//! Parameters: what is taken means the same to an independent decoder, has one meaning only, and survives being written in
//! canonical form. Input: a query or form body.
#![no_main]

use std::collections::BTreeMap;

use keyward::kms::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(params) = Params::decode(text) else { return };
    let own: Vec<(String, String)> = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let theirs: Vec<(String, String)> = form_urlencoded::parse(data).into_owned().collect();
    assert_eq!(own.len(), theirs.len(), "a parameter was lost or made up");
    let by_name: BTreeMap<String, String> = theirs.into_iter().collect();
    assert_eq!(own.iter().cloned().collect::<BTreeMap<_, _>>(), by_name);
    assert_eq!(own.len(), by_name.len(), "a name is there twice");
    let again = Params::decode(&params.canonical()).expect("the canonical form is legal");
    assert_eq!(again, params);
    assert!(params.clone().merge(&params).is_err() || own.is_empty(), "a parameter in query and body is ambiguous");
});
