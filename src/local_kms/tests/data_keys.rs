//! Data keys that are exported for the owner of a public key.

use data_encoding::BASE64;

use super::support::{House, check_refusals, names, text};
use crate::local_kms::asymmetric::{EncryptionAlgorithm, PairSpec, PrivateKey};

#[test]
fn a_data_key_is_exported_for_the_owner_of_a_public_key() {
    let house = House::new();
    let key = house.key();
    for (spec, name, algorithm, wrapping) in [
        (PairSpec::Rsa2048, "RSA_2048", EncryptionAlgorithm::OaepSha256, "RSAES_OAEP_SHA_256"),
        (PairSpec::Rsa2048, "RSA_2048", EncryptionAlgorithm::OaepSha1, "RSAES_OAEP_SHA_1"),
        (PairSpec::EcSm2, "EC_SM2", EncryptionAlgorithm::Sm2Pke, "SM2PKE"),
    ] {
        let owner = PrivateKey::generate(spec).unwrap();
        let public = BASE64.encode(&owner.public_key_der().unwrap());
        let asked = [("PublicKeyBlob", &*public), ("WrappingKeySpec", name), ("WrappingAlgorithm", wrapping)];
        let open = |exported: String| {
            BASE64.encode(&owner.decrypt(algorithm, &BASE64.decode(exported.as_bytes()).unwrap()).unwrap())
        };
        let context = [("EncryptionContext", r#"{"a":"b"}"#)];
        let made = house.ok(
            "GenerateAndExportDataKey",
            &[&asked[..], &context, &[("KeyId", &key), ("NumberOfBytes", "48")]].concat(),
        );
        assert_eq!(names(&made, ""), ["KeyId", "KeyVersionId", "CiphertextBlob", "ExportedDataKey"]);
        let blob = text(&made, "/CiphertextBlob");
        let inside = text(&house.ok("Decrypt", &[&[("CiphertextBlob", &*blob)], &context[..]].concat()), "/Plaintext");
        assert_eq!(
            (BASE64.decode(inside.as_bytes()).unwrap().len(), open(text(&made, "/ExportedDataKey"))),
            (48, inside.clone())
        );
        let again = house.ok("ExportDataKey", &[&asked[..], &context, &[("CiphertextBlob", &blob)]].concat());
        assert_eq!(names(&again, ""), ["KeyId", "KeyVersionId", "ExportedDataKey"]);
        assert_eq!(open(text(&again, "/ExportedDataKey")), inside);
    }
}

#[test]
fn what_cannot_be_exported_is_explained() {
    let house = House::new();
    let key = house.key();
    let owner = PrivateKey::generate(PairSpec::Rsa2048).unwrap();
    let public = BASE64.encode(&owner.public_key_der().unwrap());
    let asked = |blob, spec, algorithm, bytes| {
        [
            ("KeyId", &*key),
            ("PublicKeyBlob", blob),
            ("WrappingKeySpec", spec),
            ("WrappingAlgorithm", algorithm),
            ("NumberOfBytes", bytes),
        ]
    };
    let invalid = |name: &str, why: &str| {
        format!("400 InvalidParameter: The specified parameter \"{name}\" is not valid: {why}.")
    };
    let operation = "GenerateAndExportDataKey";
    check_refusals(
        &house,
        &[
            (
                operation,
                &asked("aGk=", "RSA_2048", "RSAES_OAEP_SHA_1", "32"),
                &invalid("PublicKeyBlob", "this is no SubjectPublicKeyInfo of a key of the spec"),
            ),
            (
                operation,
                &asked("?", "RSA_2048", "RSAES_OAEP_SHA_1", "32"),
                &invalid("PublicKeyBlob", "it is not Base64"),
            ),
            (
                operation,
                &asked(&public, "RSA_3072", "RSAES_OAEP_SHA_1", "32"),
                &invalid("WrappingKeySpec", "it is RSA_2048 or EC_SM2"),
            ),
            (
                operation,
                &asked(&public, "RSA_2048", "SM2PKE", "32"),
                &invalid("WrappingAlgorithm", "the algorithm does not serve keys of this spec"),
            ),
            (
                operation,
                &asked(&public, "RSA_2048", "RSAES_PKCS1_V1_5", "32"),
                &invalid("WrappingAlgorithm", "it is RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1 or SM2PKE"),
            ),
            (
                operation,
                &asked(&public, "RSA_2048", "RSAES_OAEP_SHA_256", "191"),
                &invalid("WrappingAlgorithm", "the data key is too long for it"),
            ),
            (
                operation,
                &asked("", "RSA_2048", "RSAES_OAEP_SHA_256", "32"),
                "400 MissingParameter: The parameter \"PublicKeyBlob\" is needed but not provided.",
            ),
        ],
    );
}
