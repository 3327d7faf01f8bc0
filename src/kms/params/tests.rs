//! Parameters: how they are decoded, encoded and counted, and what does not print.

use proptest::prelude::*;

use super::*;

#[test]
fn values_are_decoded_once() {
    for (encoded, value) in [
        ("a=b+c%2Bd", "b c+d"),
        ("a=%2541", "%41"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=*~'()!/:@$,?", "*~'()!/:@$,?"),
        ("a=%E9%A1%B9", "项"),
        ("a=%3b", ";"),
    ] {
        assert_eq!(Params::decode(encoded).unwrap().get("a"), Some(value), "{encoded}");
    }
    assert_eq!(Params::decode("").unwrap(), Params::default());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for encoded in [
        "a",
        "a=1&",
        "&a=1",
        "a=1&&b=2",
        "=1",
        "a=1&a=1",
        "a=1&a=2",
        "%41ction=x",
        "A+b=1",
        "a[]=1",
        "a.=1",
        "_method=1",
        "1=1",
        "a=%",
        "a=%4",
        "a=%G1",
        "a=%u0041",
        "a=%C0%AF",
        "a=%ED%A0%80",
        "a=%00",
        "a=1;b=2",
        "é=1",
    ] {
        assert!(Params::decode(encoded).is_err(), "{encoded}");
    }
    let (query, form) = (Params::decode("a=1&b=2").unwrap(), Params::decode("b=2").unwrap());
    assert!(query.merge(form).is_err());
}

#[test]
fn look_alikes_of_known_names_are_refused() {
    for (encoded, fine) in [
        ("KeyId=1", true),
        ("keyid=1", false),
        ("ACTION=1", false),
        ("NewThing=1", true),
        ("NewThing.1=1", true),
        ("ResourceId.1=1", true),
        ("Tag.1.Key=1", true),
        ("ExtendedConfig.CustomData=1", true),
        ("extendedconfig.CustomData=1", false),
        ("resourceid.1=1", false),
        ("KeyId.1=1", false),
        ("Action.1=1", false),
    ] {
        assert_eq!(Params::decode(encoded).unwrap().refuse_look_alikes().is_ok(), fine, "{encoded}");
    }
}

#[test]
fn names_of_headers_are_refused() {
    for (encoded, fine) in [("x-acs-action=1", false), ("X-KMS-ApiName=1", false), ("x-acs=1", true), ("X=1", true)] {
        assert_eq!(Params::decode(encoded).unwrap().refuse_names_of_headers().is_ok(), fine, "{encoded}");
    }
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    assert!(Params::decode(&many(PARAMETERS_MAX)).is_ok());
    assert!(Params::decode(&many(PARAMETERS_MAX + 1)).is_err());
}

#[test]
fn values_do_not_print() {
    assert_eq!(format!("{:?}", Params::decode("Plaintext=hush").unwrap()), r#"["Plaintext"]"#);
}

#[test]
fn every_parameter_in_the_operations_table_is_known() {
    let all = super::super::Api::ALL.iter().flat_map(|api| api.operations());
    for operation in all {
        assert_eq!(unknown_parameters_of(operation), Vec::<&str>::new(), "{}", operation.name);
    }
}

proptest! {
    #[test]
    fn decoding_reverses_encoding(value in "\\PC*") {
        let encoded = format!("a={}", percent_encode(&value));
        let decoded = Params::decode(&encoded).unwrap();
        prop_assert_eq!(decoded.get("a"), Some(value.as_str()));
    }

    #[test]
    fn no_text_makes_decoding_panic(text in "\\PC*") {
        let _ = Params::decode(&text);
    }
}
