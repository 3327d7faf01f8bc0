//! Codes: known answers, OpenSSL's, and what is no code.

use data_encoding::HEXLOWER;

use super::*;
use crate::local_kms::openssl::OpenSsl;

fn all() -> impl Iterator<Item = MacAlgorithm> {
    ALGORITHMS.iter().map(|(algorithm, ..)| *algorithm)
}

/// RFC 4231, test case 2; for SM3, which it does not have, OpenSSL 3.0.19 on the same key and message.
#[test]
fn codes_are_the_known_ones() {
    let (key, message) = (b"Jefe", b"what do ya want for nothing?");
    for (name, expected) in [
        ("HMAC_SHA_224", "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
        ("HMAC_SHA_256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "HMAC_SHA_384",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            "HMAC_SHA_512",
            concat!(
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ),
        ("HMAC_SM3", "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882"),
    ] {
        let algorithm = MacAlgorithm::parse(name).unwrap();
        let code = algorithm.make(key, message);
        assert_eq!(HEXLOWER.encode(&code), expected, "{name}");
        assert_eq!((algorithm.as_str(), algorithm.bytes()), (name, code.len()));
        assert!(algorithm.verify(key, message, &code));
    }
    assert_eq!(MacAlgorithm::parse("HMAC_SHA_1"), None);
    assert_eq!(MacAlgorithm::parse("hmac_sha_256"), None);
}

#[test]
fn only_the_whole_code_of_this_message_and_key_is_one() {
    for algorithm in all() {
        let code = algorithm.make(b"key", b"message");
        assert!(!algorithm.verify(b"key", b"messagf", &code) && !algorithm.verify(b"kez", b"message", &code));
        assert!(!algorithm.verify(b"key", b"message", &[]) && !algorithm.verify(b"key", b"message", &[0; 64]));
        assert!(!algorithm.verify(b"key", b"message", &code[..code.len() - 1]));
        assert!(!algorithm.verify(b"key", b"message", &[&code[..], &[0]].concat()));
        for index in 0..code.len() {
            let mut damaged = code.clone();
            damaged[index] ^= 1;
            assert!(!algorithm.verify(b"key", b"message", &damaged), "{algorithm:?}: byte {index}");
        }
    }
}

#[test]
fn openssl_makes_the_same_codes() {
    let Some(openssl) = OpenSsl::find() else { return };
    for (algorithm, digest) in all().zip(["sha224", "sha256", "sha384", "sha512", "sm3"]) {
        for key_bytes in [1, 32, 64, 128, 200] {
            let key = vec![0xA5; key_bytes];
            openssl.write("message", "what OpenSSL is given");
            let hex = HEXLOWER.encode(&key);
            let code = openssl.make(&format!("dgst -{digest} -mac HMAC -macopt hexkey:{hex} -binary message"));
            assert_eq!(algorithm.make(&key, b"what OpenSSL is given"), code, "{algorithm:?}, {key_bytes} bytes");
        }
    }
}
