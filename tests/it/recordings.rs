//! What the official clients send must be read and verified exactly, and nothing else may be.
//!
//! Every recording in `tests/fixtures/wire` runs through parsing and identification with the clock at its time of
//! recording (G10: unmodified clients must be understood). Its decoded parameters and its signature were found by independent implementations.

mod recording;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use keyward::authn::{Directory, IdentityRules, Proof, rpc_signature};
use keyward::authz::{PolicyTable, ResourceIndex, Rules, Snapshot, Validity, Version, authorize};
use keyward::kms::{Algorithm, KmsRequest, Params, Scheme, percent_encode};
use serde_json::Value;

use recording::{
    Credentials, Expected, Place, REFUSED_BY_RULE, REFUSED_SCHEMES, Recording, TOKEN_IS_LOST, directory, signature_of,
};

#[test]
fn every_recording_is_there_and_something_is_expected_of_it() {
    let all = Recording::all();
    let count = |expected: fn(Expected) -> bool| all.iter().filter(|recording| expected(recording.expected())).count();
    assert_eq!(all.len(), 386);
    assert_eq!(count(|it| it == Expected::Caller), 306);
    assert_eq!(count(|it| it == Expected::Session), 45);
    assert_eq!(count(|it| it == Expected::Unsigned), 2);
    assert_eq!(count(|it| it == Expected::SessionWithoutToken), TOKEN_IS_LOST.len());
    assert_eq!(count(|it| it == Expected::WrongSignature), 2);
    assert_eq!(count(|it| matches!(it, Expected::Refused(_))), 29);
}

#[test]
fn every_request_means_what_its_caller_intended() {
    for recording in Recording::all() {
        let Ok(request) = recording.read() else {
            assert!(matches!(recording.expected(), Expected::Refused(_)), "{}: {:?}", recording.id, recording.read());
            continue;
        };
        assert_eq!(Some(request.call.name()), recording.action.as_deref(), "{}", recording.id);
        assert_eq!(request.params.iter().collect::<BTreeMap<_, _>>(), recording.own(), "{}", recording.id);
        for (name, intended) in &recording.intended {
            let text = match intended {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                // What the client makes of booleans, lists and objects is its own business.
                _ => continue,
            };
            assert_eq!(request.params.get(name), Some(text.as_str()), "{} {name}", recording.id);
        }
    }
}

#[test]
fn the_holder_of_the_access_key_is_identified() {
    for recording in Recording::expecting(Expected::Caller) {
        assert_eq!(recording.outcome(), Ok(recording.proof()), "{}", recording.id);
    }
}

/// G01: an algorithm that the settings do not name is not verified, whatever the signature.
#[test]
fn the_settings_say_which_algorithms_are_taken() {
    for recording in Recording::expecting(Expected::Caller) {
        let taken = |algorithms: &[Algorithm]| {
            let rules = IdentityRules { algorithms: algorithms.to_vec(), ..IdentityRules::default() };
            recording.identify_by(&recording.credentials.directory(), &rules, recording.now()).is_ok()
        };
        let others: Vec<Algorithm> =
            Algorithm::ALL.iter().copied().filter(|algorithm| *algorithm != recording.algorithm()).collect();
        assert!(taken(&[recording.algorithm()]) && !taken(&others), "{}", recording.id);
    }
}

/// An AccessKey that a key pair pretends to be, and the other way round: the id is the same, the key of another kind.
#[test]
fn a_key_verifies_only_what_its_kind_signs() {
    let key_pair = Recording::named("java-classic-20").credentials.public_key_pem;
    for recording in Recording::expecting(Expected::Caller) {
        let mut other = recording.credentials.clone();
        if other.public_key_pem.is_empty() {
            other.public_key_pem = key_pair.clone();
        } else {
            other.public_key_pem.clear();
            other.access_key_secret = "secret".to_owned();
        }
        let directory = other.directory();
        assert_eq!(recording.identify(&directory, recording.now()), Err("signature_method"), "{}", recording.id);
    }
}

#[test]
fn another_secret_or_another_time_proves_nobody() {
    for recording in Recording::expecting(Expected::Caller) {
        assert_eq!(recording.identify_with_another_key(), Err("signature_mismatch"), "{}", recording.id);
        assert_eq!(recording.outcome_for_strangers(), Err("unknown_access_key"), "{}", recording.id);
        let directory = recording.credentials.directory();
        for minutes in [16, -16] {
            let now = recording.now() + SignedDuration::from_mins(minutes);
            assert_eq!(recording.identify(&directory, now), Err("expired_timestamp"), "{} {minutes}", recording.id);
        }
    }
}

#[test]
fn one_byte_more_in_any_parameter_spoils_the_signature() {
    for recording in Recording::expecting(Expected::Caller) {
        for name in recording.own().into_keys() {
            let (changed, place) = recording.with_changed(name);
            // V3 signs a hash of the body, so there the body is found to be another one.
            let body_is_hashed = place == Place::Form && recording.scheme.starts_with("ACS");
            let reason = if body_is_hashed { "body_mismatch" } else { "signature_mismatch" };
            assert_eq!(changed.outcome(), Err(reason), "{} {name}", recording.id);
        }
    }
}

#[test]
fn another_method_spoils_the_signature() {
    for mut recording in Recording::expecting(Expected::Caller) {
        recording.method = if recording.method == "GET" { "POST" } else { "GET" }.to_owned();
        // A GET has no body at all.
        let has_body = !recording.body().is_empty();
        let reason = if has_body { "ParseRequestParameterException" } else { "signature_mismatch" };
        // A client key does not sign the method, and what it asks for is the same.
        let expected = if recording.proof() == Proof::ClientKey { Ok(Proof::ClientKey) } else { Err(reason) };
        assert_eq!(recording.outcome(), expected, "{}", recording.id);
    }
}

/// G03: a header that KMS acts on must be signed; whoever leaves one out of the list has not signed it.
#[test]
fn a_header_that_is_left_out_of_the_list_is_not_signed() {
    for recording in Recording::expecting(Expected::Caller) {
        let Ok(KmsRequest { scheme: Scheme::Acs(signature), .. }) = recording.read() else { continue };
        let names: Vec<&str> = signature.signed_headers.split(';').collect();
        for left_out in names.iter().filter(|name| name.starts_with("x-acs-")) {
            let kept = names.iter().filter(|name| name != &left_out).copied().collect::<Vec<_>>().join(";");
            let mut changed = recording.clone();
            for (name, value) in &mut changed.headers {
                if name.eq_ignore_ascii_case("authorization") {
                    *value = value.replace(&signature.signed_headers, &kept);
                }
            }
            assert_eq!(changed.read().err(), Some("IncompleteSignature"), "{} {left_out}", recording.id);
        }
    }
}

/// G04: the hash of the body is computed, never believed.
#[test]
fn a_hash_that_is_not_the_bodys_is_refused() {
    for recording in Recording::expecting(Expected::Caller) {
        if recording.proof() != Proof::SignatureV3 && recording.proof() != Proof::SignatureV4 {
            continue;
        }
        for stated in ["UNSIGNED-PAYLOAD", "", "STREAMING", &"0".repeat(64), &"E3B0C442".repeat(8)] {
            let mut changed = recording.clone();
            for (name, value) in &mut changed.headers {
                if ["x-acs-content-sha256", "x-acs-content-sm3"].iter().any(|hash| name.eq_ignore_ascii_case(hash)) {
                    stated.clone_into(value);
                }
            }
            assert_eq!(changed.outcome(), Err("body_mismatch"), "{} {stated}", recording.id);
        }
    }
}

#[test]
fn no_signed_header_can_be_changed_or_taken_away() {
    for recording in Recording::expecting(Expected::Caller) {
        let Ok(KmsRequest { scheme: Scheme::Acs(signature), .. }) = recording.read() else { continue };
        for signed in signature.signed_headers.split(';') {
            let (mut changed, mut missing) = (recording.clone(), recording.clone());
            for (name, value) in &mut changed.headers {
                value.push_str(if name.eq_ignore_ascii_case(signed) { "0" } else { "" });
            }
            missing.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(signed));
            assert!(changed.outcome().is_err() && missing.outcome().is_err(), "{} {signed}", recording.id);
        }
    }
}

#[test]
fn a_session_of_somebody_else_signs_with_its_temporary_secret_and_is_not_accepted() {
    for recording in Recording::expecting(Expected::Session) {
        let request = recording.read().unwrap();
        let Credentials { access_key_secret, security_token, .. } = &recording.credentials;
        assert_eq!(request.scheme.security_token(), Some(security_token.as_str()), "{}", recording.id);
        let signature = recording.signature_by(&request, access_key_secret);
        assert_eq!(signature_of(&request.scheme), signature, "{}", recording.id);
        assert_eq!(recording.outcome_for_strangers(), Err("token_malformed"), "{}", recording.id);
    }
}

/// A parameter with the name of a signed header would stand in its place in the text that is signed.
#[test]
fn a_client_key_signs_its_headers_and_no_parameters_in_their_place() {
    let recording = Recording::named("go-secretsmanager-01");
    for name in ["Date", "date", "x-kms-apiname", "X-Kms-AccccessKeyId", "x-kms-acccesskeyid", "x-kms-signaturemethod"]
    {
        let mut changed = recording.clone();
        changed.target = format!("{}&{name}=x", recording.target);
        assert!(changed.outcome().is_err(), "{name}");
        let value = recording.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        let Some((_, value)) = value else { continue };
        changed.target = format!("{}&{name}={}", recording.target, percent_encode(value));
        for (header, value) in &mut changed.headers {
            value.push_str(if header.eq_ignore_ascii_case(name) { "0" } else { "" });
        }
        assert!(changed.outcome().is_err(), "{name}");
    }
}

#[test]
fn who_does_not_sign_is_nobody() {
    for recording in Recording::expecting(Expected::Unsigned) {
        assert_eq!(recording.outcome_for_strangers(), Err("unsigned"), "{}", recording.id);
    }
}

#[test]
fn a_session_without_its_token_is_a_stranger() {
    for recording in Recording::expecting(Expected::SessionWithoutToken) {
        let request = recording.read().unwrap();
        let signature = recording.signature_by(&request, &recording.credentials.access_key_secret);
        assert_eq!((request.scheme.security_token(), signature_of(&request.scheme)), (None, signature.as_str()));
        assert_eq!(recording.outcome_for_strangers(), Err("token_missing"), "{}", recording.id);
    }
}

/// The token is signed: whoever takes it away does not turn a session into the holder of a long-lived key.
#[test]
fn a_session_cannot_hide_its_token() {
    for recording in Recording::expecting(Expected::Session) {
        let hidden = recording.without_token();
        assert_eq!(hidden.read().map_or(None, |request| request.scheme.security_token().map(str::to_owned)), None);
        // In V3 the list of signed headers gives it away; in V1 the signature does.
        if let Ok(request) = hidden.read() {
            let signature = hidden.signature_by(&request, &recording.credentials.access_key_secret);
            assert_ne!(signature_of(&request.scheme), signature, "{}", recording.id);
        } else {
            assert_eq!(hidden.read().err(), Some("IncompleteSignature"), "{}", recording.id);
        }
    }
}

/// Old SDKs write `STSToken`; nobody may be let in because it was overlooked.
#[test]
fn both_names_of_the_token_are_known() {
    for id in ["py-classic-old-07", "py-classic-old-08"] {
        let recording = Recording::named(id);
        assert!(recording.query.contains_key("STSToken"), "{id}");
        assert_eq!(recording.expected(), Expected::Session, "{id}");
    }
}

#[test]
fn a_proxied_request_names_its_host_twice_and_is_understood() {
    for id in ["py-classic-34", "py-tea-331-46", "py-tea-331-47"] {
        let mut recording = Recording::named(id);
        assert!(recording.target.starts_with("http://") && recording.read().is_ok(), "{id}");
        recording.target = recording.target.replace("http://kms.", "http://kms2.");
        assert_eq!(recording.read().err(), Some("InvalidParameter"), "{id}");
    }
}

#[test]
fn a_wrong_signature_proves_nobody() {
    for recording in Recording::expecting(Expected::WrongSignature) {
        let request = recording.read().unwrap();
        let signature = recording.signature_by(&request, &recording.credentials.access_key_secret);
        assert_ne!(signature_of(&request.scheme), signature, "{}", recording.id);
        // No directory holds a session's access key.
        let is_session = recording.credentials.kind == "sts";
        let outcome = if is_session { recording.outcome_for_strangers() } else { recording.outcome() };
        let reason = if is_session { "token_malformed" } else { "signature_mismatch" };
        assert_eq!(outcome, Err(reason), "{}", recording.id);
    }
}

#[test]
fn what_is_not_verified_here_is_refused_with_its_code() {
    let mut seen = Vec::new();
    for recording in Recording::all() {
        if let Expected::Refused(code) = recording.expected() {
            assert_eq!(recording.read().err(), Some(code), "{} {}", recording.id, recording.scheme);
            seen.extend([recording.id, recording.scheme]);
        }
    }
    let unused = REFUSED_BY_RULE.iter().chain(REFUSED_SCHEMES).find(|(name, _)| !seen.iter().any(|it| it == name));
    assert_eq!(unused, None, "no recording needs this row");
}

/// The Go client signs bearer requests with an empty secret and an empty access key id. Without the token such a
/// request must not find anybody either, whatever id it names.
#[test]
fn an_empty_secret_finds_nobody() {
    let recording = Recording::named("go-classic-05");
    let directory = directory("LTAIHolder", "a-secret");
    assert_eq!(recording.identify(&directory, recording.now()), Err("IncompleteSignature"));
    for (id, reason) in [("", "MissingParameter"), ("LTAIHolder", "signature_mismatch"), ("x", "unknown_access_key")] {
        let kept = recording
            .query
            .iter()
            .filter(|(name, _)| !["BearerToken", "SignatureType", "Signature"].contains(&name.as_str()));
        let mut params: BTreeMap<&str, &str> = kept.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        params.insert("AccessKeyId", id);
        let signed: Params = params.into_iter().collect();
        let signature = percent_encode(&rpc_signature(&"".into(), &recording.method, &signed));
        let target = format!("/?{}&Signature={signature}", signed.canonical());
        let forged = Recording { target, ..recording.clone() };
        assert_eq!(forged.identify(&directory, forged.now()), Err(reason), "{id:?}");
    }
}

#[test]
fn an_access_key_without_id_or_secret_is_not_taken_into_the_directory() {
    for key in ["{ id = '', secret = 'x' }", "{ id = 'x', secret = '' }", "{ id = 'x' }"] {
        let text = format!("[accounts.1.users.holder]\naccess_keys = [{key}]");
        assert!(Directory::parse(&text, &|_| Ok("".into())).is_err(), "{key}");
    }
}

/// Short values are left out: they may well be part of a name that may be printed.
const SHORT_BYTES: usize = 8;

#[test]
fn a_request_that_is_printed_shows_no_value_and_no_signature() {
    for recording in Recording::all() {
        let Ok(request) = recording.read() else { continue };
        let printed = format!("{request:?}");
        let token = request.scheme.security_token().into_iter();
        let hidden = recording.own().into_values().chain(token).chain([signature_of(&request.scheme)]);
        for secret in hidden.filter(|value| value.len() > SHORT_BYTES) {
            assert!(!printed.contains(secret), "{}: {secret} in {printed}", recording.id);
        }
    }
}

#[test]
fn the_trail_of_a_request_names_resources_and_shows_no_other_value() {
    const NAME_RESOURCES: &[&str] = &["KeyId", "AliasName", "SecretName", "DestinationKeyId", "SourceKeyId"];
    for recording in Recording::expecting(Expected::Caller) {
        let snapshot = Snapshot {
            version: Version { generation: 1, hash: "test".into() },
            validity: Validity::default(),
            directory: Arc::new(recording.credentials.directory()),
            sessions: None,
            policies: Arc::new(PolicyTable::default()),
            index: ResourceIndex::default(),
            rules: Arc::new(Rules { region: "cn-hangzhou".to_owned(), explain_denials: true, ..Rules::default() }),
        };
        let judgement = recording.with_raw(|raw| authorize(&snapshot, raw, recording.now()));
        assert!(judgement.trail.caller.is_some(), "{}", recording.id);
        let printed = format!("{:?} {:?}", judgement.trail, judgement.verdict);
        for (name, value) in recording.own() {
            let hidden = value.len() > SHORT_BYTES && !NAME_RESOURCES.contains(&name);
            assert!(!hidden || !printed.contains(value), "{} {name}: {value} in {printed}", recording.id);
        }
    }
}
