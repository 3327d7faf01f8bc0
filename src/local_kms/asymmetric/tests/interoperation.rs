//! OpenSSL and this room read each other's keys, signatures and ciphertexts.

use super::*;
use crate::local_kms::openssl::OpenSsl;

/// Gives the program both halves of a key: `private.der`, as it is stored, and `public.pem`, as it is answered.
fn give(openssl: &OpenSsl, key: &PrivateKey) {
    openssl.write("private.der", key.to_pkcs8().unwrap().as_bytes());
    openssl.write("public.pem", key.public_key_pem().unwrap());
}

const PRIVATE: &str = "-keyform DER -inkey private.der";
const PUBLIC: &str = "-pubin -inkey public.pem";

fn encryption_options(algorithm: EncryptionAlgorithm) -> &'static str {
    match algorithm {
        EncryptionAlgorithm::OaepSha256 => {
            "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256"
        }
        EncryptionAlgorithm::OaepSha1 => {
            "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1"
        }
        EncryptionAlgorithm::Sm2Pke => "",
    }
}

fn signature_options(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::PssSha256 => {
            "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest"
        }
        SignatureAlgorithm::Pkcs1Sha256 => "-pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pkcs1",
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::Sm2Dsa => "",
    }
}

#[test]
fn signatures_verify_in_both_directions() {
    let Some(openssl) = OpenSsl::find() else { return };
    for key in &*KEYS {
        give(&openssl, key);
        for algorithm in SIGNATURE.into_iter().filter(|algorithm| algorithm.serves(key.spec())) {
            let (spec, options) = (key.spec(), signature_options(algorithm));
            // Some rounds, for numbers that are negative in DER if nothing is done, and for either `s`.
            for round in 0..6 {
                let digest: [u8; DIGEST_BYTES] = Sha256::digest([round]).into();
                openssl.write("digest", digest);
                openssl.write("signature", key.sign(algorithm, &digest).unwrap());
                let verify = format!("pkeyutl -verify {PUBLIC} -in digest -sigfile signature {options}");
                assert!(openssl.succeeds(&verify), "{spec:?} {algorithm:?}");
                let theirs = openssl.make(&format!("pkeyutl -sign {PRIVATE} -in digest {options}"));
                assert!(key.verify(algorithm, &digest, &theirs).unwrap(), "{spec:?} {algorithm:?}");
            }
            openssl.write("digest", [0; DIGEST_BYTES]);
            assert!(!openssl.succeeds(&format!("pkeyutl -verify {PUBLIC} -in digest -sigfile signature {options}")));
        }
    }
}

#[test]
fn openssl_verifies_signatures_over_the_message_itself() {
    let Some(openssl) = OpenSsl::find() else { return };
    openssl.write("message", "the message");
    let digest = Sha256::digest("the message");
    for (spec, algorithm, options) in [
        (
            PairSpec::Rsa2048,
            SignatureAlgorithm::PssSha256,
            "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        ),
        (PairSpec::Rsa2048, SignatureAlgorithm::Pkcs1Sha256, ""),
        (PairSpec::EcP256, SignatureAlgorithm::EcdsaSha256, ""),
        (PairSpec::EcP256K, SignatureAlgorithm::EcdsaSha256, ""),
    ] {
        give(&openssl, key(spec));
        openssl.write("signature", key(spec).sign(algorithm, &digest).unwrap());
        let words = format!("dgst -sha256 -verify public.pem -signature signature {options} message");
        assert!(openssl.succeeds(&words), "{spec:?} {algorithm:?}");
    }
}

#[test]
fn ciphertexts_open_in_both_directions() {
    let Some(openssl) = OpenSsl::find() else { return };
    for key in &*KEYS {
        give(&openssl, key);
        for algorithm in ENCRYPTION.into_iter().filter(|algorithm| algorithm.serves(key.spec())) {
            let (spec, options) = (key.spec(), encryption_options(algorithm));
            for length in [1, 16, 32, 100, *algorithm.plaintext_bytes(spec).unwrap().end()] {
                let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
                openssl.write("ciphertext", key.encrypt(algorithm, &plaintext).unwrap());
                let opened = openssl.make(&format!("pkeyutl -decrypt {PRIVATE} -in ciphertext {options}"));
                assert_eq!(opened, plaintext, "{spec:?} {algorithm:?}, {length} bytes");
                openssl.write("plaintext", &plaintext);
                let theirs = openssl.make(&format!("pkeyutl -encrypt {PUBLIC} -in plaintext {options}"));
                let opened = key.decrypt(algorithm, &theirs).unwrap();
                assert_eq!(opened.as_slice(), plaintext, "{spec:?} {algorithm:?}, {length} bytes");
            }
        }
    }
}

#[test]
fn what_openssl_wraps_is_imported_and_what_is_exported_it_opens() {
    let Some(openssl) = OpenSsl::find() else { return };
    let rsa = key(PairSpec::Rsa2048);
    give(&openssl, rsa);
    openssl.write("material", [3; 32]);
    let wrapped = openssl.make(&format!("pkeyutl -encrypt {PUBLIC} -in material -pkeyopt rsa_padding_mode:pkcs1"));
    assert_eq!(rsa.unwrap(WrappingAlgorithm::Pkcs1V15, &wrapped, 32).unwrap().as_slice(), [3; 32]);

    for (spec, words, algorithm) in [
        (PairSpec::Rsa2048, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", EncryptionAlgorithm::OaepSha1),
        (PairSpec::EcSm2, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:SM2", EncryptionAlgorithm::Sm2Pke),
    ] {
        openssl.write("foreign.pem", openssl.make(words));
        let public_key = openssl.make("pkey -in foreign.pem -pubout -outform DER");
        openssl.write("exported", wrap(spec, &public_key, algorithm, &[5; 32]).unwrap());
        let options = encryption_options(algorithm);
        let opened = openssl.make(&format!("pkeyutl -decrypt -inkey foreign.pem -in exported {options}"));
        assert_eq!(opened, [5; 32]);
    }
}

/// Keys that OpenSSL made and stored can be read, so that a key may come from outside.
#[test]
fn keys_of_openssl_are_read() {
    let Some(openssl) = OpenSsl::find() else { return };
    for (spec, words) in [
        (PairSpec::Rsa2048, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER"),
        (PairSpec::EcP256, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER"),
        (PairSpec::EcP256K, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -outform DER"),
        (PairSpec::EcSm2, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:SM2 -outform DER"),
    ] {
        openssl.write("foreign", openssl.make(words));
        let pkcs8 = openssl.make("pkcs8 -topk8 -nocrypt -inform DER -in foreign -outform DER");
        let key = PrivateKey::from_pkcs8(&pkcs8).unwrap();
        let public_key = openssl.make("pkey -inform DER -in foreign -pubout -outform PEM");
        assert_eq!((key.spec(), key.public_key_pem().unwrap().into_bytes()), (spec, public_key));
    }
}
