//! Asymmetric keys: signing, encrypting, and what they refuse; OpenSSL as the other side.

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::support::{House, check_refusals, names, text};
use crate::local_kms::openssl::OpenSsl;

/// The Base64 of a digest.
fn digest() -> String {
    BASE64.encode(&Sha256::digest(b"Keyward"))
}

#[test]
fn what_is_signed_verifies_with_the_version_that_signed_it() {
    let house = House::new();
    let digest = digest();
    for (spec, algorithms) in [
        ("RSA_2048", &["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"][..]),
        ("EC_P256", &["ECDSA_SHA_256"]),
        ("EC_P256K", &["ECDSA_SHA_256"]),
        ("EC_SM2", &["SM2DSA"]),
    ] {
        let (key, version) = house.new_key(&[("KeySpec", spec)]);
        let later = text(&house.ok("CreateKeyVersion", &[("KeyId", &key)]), "/KeyVersion/KeyVersionId");
        for algorithm in algorithms {
            let asked = [("KeyId", &*key), ("KeyVersionId", &*version), ("Algorithm", algorithm), ("Digest", &*digest)];
            let signed = house.ok("AsymmetricSign", &asked);
            assert_eq!(names(&signed, ""), ["KeyId", "KeyVersionId", "Value"]);
            assert_eq!((signed["KeyId"].as_str(), signed["KeyVersionId"].as_str()), (Some(&*key), Some(&*version)));
            let value = text(&signed, "/Value");
            for (version, algorithm_digest, expected) in
                [(&version, &*digest, true), (&later, &*digest, false), (&version, &*BASE64.encode(&[7; 32]), false)]
            {
                let verified = house.ok(
                    "AsymmetricVerify",
                    &[
                        ("KeyId", &key),
                        ("KeyVersionId", version),
                        ("Algorithm", algorithm),
                        ("Digest", algorithm_digest),
                        ("Value", &value),
                    ],
                );
                assert_eq!(names(&verified, ""), ["KeyId", "KeyVersionId", "Value"]);
                assert_eq!(verified["Value"], Value::Bool(expected), "{spec} {algorithm}");
            }
        }
    }
}

#[test]
fn what_is_encrypted_decrypts_also_after_a_restart() {
    let mut house = House::new();
    for (spec, algorithm) in
        [("RSA_2048", "RSAES_OAEP_SHA_256"), ("RSA_2048", "RSAES_OAEP_SHA_1"), ("EC_SM2", "SM2PKE")]
    {
        let (key, version) = house.new_key(&[("KeySpec", spec), ("KeyUsage", "ENCRYPT/DECRYPT")]);
        let asked = [("KeyId", &*key), ("KeyVersionId", &*version), ("Algorithm", algorithm)];
        let sealed = house.ok("AsymmetricEncrypt", &[&asked[..], &[("Plaintext", "aGk=")]].concat());
        assert_eq!(names(&sealed, ""), ["KeyId", "KeyVersionId", "CiphertextBlob"]);
        let blob = text(&sealed, "/CiphertextBlob");
        house = house.reopened();
        let opened = house.ok("AsymmetricDecrypt", &[&asked[..], &[("CiphertextBlob", &blob)]].concat());
        assert_eq!(names(&opened, ""), ["KeyId", "KeyVersionId", "Plaintext"]);
        assert_eq!(opened["Plaintext"], "aGk=");
        // The other way out: to a symmetric key, without anybody seeing the plaintext.
        let destination = house.key();
        let moved = house.ok(
            "ReEncrypt",
            &[
                ("CiphertextBlob", &blob),
                ("SourceKeyId", &key),
                ("SourceKeyVersionId", &version),
                ("SourceEncryptionAlgorithm", algorithm),
                ("DestinationKeyId", &destination),
            ],
        );
        assert_eq!(moved["KeyId"], *destination);
        let opened = house.ok("Decrypt", &[("CiphertextBlob", &text(&moved, "/CiphertextBlob"))]);
        assert_eq!(opened["Plaintext"], "aGk=");
    }
}

#[test]
fn openssl_verifies_what_is_signed_and_encrypts_what_is_decrypted() {
    let Some(openssl) = OpenSsl::find() else { return };
    let house = House::new();
    let (key, version) = house.new_key(&[("KeySpec", "EC_P256")]);
    let named = [("KeyId", &*key), ("KeyVersionId", &*version)];
    let public = house.ok("GetPublicKey", &named);
    assert_eq!(names(&public, ""), ["KeyId", "KeyVersionId", "PublicKey"]);
    let signed =
        house.ok("AsymmetricSign", &[&named[..], &[("Algorithm", "ECDSA_SHA_256"), ("Digest", &digest())]].concat());
    openssl.write("public.pem", text(&public, "/PublicKey"));
    openssl.write("signature", BASE64.decode(text(&signed, "/Value").as_bytes()).unwrap());
    openssl.write("message", "Keyward");
    assert!(openssl.succeeds("dgst -sha256 -verify public.pem -signature signature message"));
    openssl.write("message", "Keywarg");
    assert!(!openssl.succeeds("dgst -sha256 -verify public.pem -signature signature message"));

    let (key, version) = house.new_key(&[("KeySpec", "RSA_2048"), ("KeyUsage", "ENCRYPT/DECRYPT")]);
    let named = [("KeyId", &*key), ("KeyVersionId", &*version)];
    openssl.write("public.pem", text(&house.ok("GetPublicKey", &named), "/PublicKey"));
    let options = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
    let blob = openssl.make(&format!("pkeyutl -encrypt -pubin -inkey public.pem -in message {options}"));
    let blob = BASE64.encode(&blob);
    let asked = [&named[..], &[("Algorithm", "RSAES_OAEP_SHA_256"), ("CiphertextBlob", &blob)]].concat();
    assert_eq!(house.ok("AsymmetricDecrypt", &asked)["Plaintext"], BASE64.encode(b"Keywarg"));
}

fn sign<'a>(key: &'a str, version: &'a str, algorithm: &'a str, digest: &'a str) -> [(&'a str, &'a str); 4] {
    [("KeyId", key), ("KeyVersionId", version), ("Algorithm", algorithm), ("Digest", digest)]
}

fn encrypt<'a>(key: &'a str, version: &'a str, algorithm: &'a str, plaintext: &'a str) -> [(&'a str, &'a str); 4] {
    [("KeyId", key), ("KeyVersionId", version), ("Algorithm", algorithm), ("Plaintext", plaintext)]
}

const WRONG_USE: &str = "400 Rejected.UnsupportedOperation: Unsupported operation.";
const PSS: &str = "RSA_PSS_SHA_256";
const OAEP: &str = "RSAES_OAEP_SHA_256";

fn invalid(name: &str, why: &str) -> String {
    format!("400 InvalidParameter: The specified parameter \"{name}\" is not valid{why}.")
}

#[test]
fn a_key_does_only_what_it_is_for() {
    let house = House::new();
    let symmetric = house.key();
    let symmetric_version = text(&house.ok("DescribeKey", &[("KeyId", &symmetric)]), "/KeyMetadata/PrimaryKeyVersion");
    let (signs, version) = house.new_key(&[("KeySpec", "RSA_2048"), ("KeyUsage", "SIGN/VERIFY")]);
    let (encrypts, encrypts_version) = house.new_key(&[("KeySpec", "RSA_2048"), ("KeyUsage", "ENCRYPT/DECRYPT")]);
    let digest = digest();
    let not_symmetric = "400 UnsupportedOperation: This action is not supported.";
    let rotation = [("KeyId", &*signs), ("EnableAutomaticRotation", "true"), ("RotationInterval", "30d")];
    let secret = [("SecretName", "s"), ("VersionId", "v"), ("SecretData", "d"), ("EncryptionKeyId", &*encrypts)];
    check_refusals(
        &house,
        &[
            ("AsymmetricSign", &sign(&symmetric, &symmetric_version, PSS, &digest), WRONG_USE),
            ("AsymmetricSign", &sign(&encrypts, &encrypts_version, PSS, &digest), WRONG_USE),
            ("AsymmetricEncrypt", &encrypt(&signs, &version, OAEP, "aGk="), WRONG_USE),
            ("GetPublicKey", &[("KeyId", &symmetric), ("KeyVersionId", &symmetric_version)], WRONG_USE),
            ("Encrypt", &[("KeyId", &encrypts), ("Plaintext", "aGk=")], not_symmetric),
            ("GenerateDataKey", &[("KeyId", &signs)], not_symmetric),
            ("UpdateRotationPolicy", &rotation, not_symmetric),
            ("CreateSecret", &secret, &invalid("EncryptionKeyId", ": a secret is encrypted by a symmetric key")),
        ],
    );
    house.ok("DisableKey", &[("KeyId", &signs)]);
    house.ok("GetPublicKey", &[("KeyId", &signs), ("KeyVersionId", &version)]);
    let disabled = "409 Rejected.Disabled: The request was rejected because the key state is Disabled.";
    check_refusals(&house, &[("AsymmetricSign", &sign(&signs, &version, PSS, &digest), disabled)]);
}

#[test]
fn what_an_algorithm_cannot_do_is_explained() {
    let house = House::new();
    let (curve, curve_version) = house.new_key(&[("KeySpec", "EC_P256")]);
    let (signs, version) = house.new_key(&[("KeySpec", "RSA_2048")]);
    let (encrypts, encrypts_version) = house.new_key(&[("KeySpec", "RSA_2048"), ("KeyUsage", "ENCRYPT/DECRYPT")]);
    let (long, short, digest) = (BASE64.encode(&[0; 191]), BASE64.encode(&[0; 31]), digest());
    let serves = invalid("Algorithm", ": the algorithm does not serve keys of this spec");
    let known = invalid("Algorithm", ": it is RSA_PSS_SHA_256, RSA_PKCS1_SHA_256, ECDSA_SHA_256 or SM2DSA");
    let no_version = "404 Forbidden.KeyVersionNotFound: The specified Key version is not found.";
    let missing = "400 MissingParameter: The parameter \"KeyVersionId\" is needed but not provided.";
    let length = invalid("Plaintext", ": the plaintext does not have a length that the algorithm can encrypt");
    let decrypt = |algorithm| {
        let named = [("KeyId", &*encrypts), ("KeyVersionId", &*encrypts_version)];
        [named[0], named[1], ("Algorithm", algorithm), ("CiphertextBlob", &*long)]
    };
    check_refusals(
        &house,
        &[
            ("AsymmetricSign", &sign(&curve, &curve_version, PSS, &digest), &serves),
            ("AsymmetricSign", &sign(&curve, &curve_version, "ECDSA_SHA_384", &digest), &known),
            ("AsymmetricSign", &sign(&signs, &version, PSS, &short), &invalid("Digest", ": a digest has 32 bytes")),
            ("AsymmetricSign", &sign(&signs, &version, PSS, &long), &invalid("Digest", ": it has more than 32 bytes")),
            ("AsymmetricSign", &sign(&signs, &curve_version, PSS, &digest), no_version),
            ("AsymmetricSign", &[("KeyId", &signs)], missing),
            ("AsymmetricEncrypt", &encrypt(&encrypts, &encrypts_version, OAEP, &long), &length),
            ("AsymmetricDecrypt", &decrypt(OAEP), &invalid("CiphertextBlob", "")),
            ("AsymmetricDecrypt", &decrypt("SM2PKE"), &serves),
        ],
    );
}
