//! Tables of algorithms and limits, what is refused, how keys are stored, and known answers.

mod interoperation;
mod rsa_answers;

use std::sync::LazyLock;

use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use super::*;

const SPECS: [PairSpec; 6] =
    [PairSpec::Rsa2048, PairSpec::Rsa3072, PairSpec::Rsa4096, PairSpec::EcP256, PairSpec::EcP256K, PairSpec::EcSm2];
const ENCRYPTION: [EncryptionAlgorithm; 3] =
    [EncryptionAlgorithm::OaepSha256, EncryptionAlgorithm::OaepSha1, EncryptionAlgorithm::Sm2Pke];
const SIGNATURE: [SignatureAlgorithm; 4] = [
    SignatureAlgorithm::PssSha256,
    SignatureAlgorithm::Pkcs1Sha256,
    SignatureAlgorithm::EcdsaSha256,
    SignatureAlgorithm::Sm2Dsa,
];

/// One key of each spec, in their order; making RSA keys takes its time.
static KEYS: LazyLock<Vec<PrivateKey>> =
    LazyLock::new(|| SPECS.iter().map(|spec| PrivateKey::generate(*spec).unwrap()).collect());

fn key(spec: PairSpec) -> &'static PrivateKey {
    KEYS.iter().find(|key| key.spec() == spec).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    HEXUPPER.decode(text.as_bytes()).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap()
}

#[test]
fn algorithms_serve_the_documented_specs_with_the_documented_limits() {
    for (spec, name, oaep_sha256, oaep_sha1, sm2) in [
        (PairSpec::Rsa2048, "RSA_2048", Some(190), Some(214), None),
        (PairSpec::Rsa3072, "RSA_3072", Some(318), Some(342), None),
        (PairSpec::Rsa4096, "RSA_4096", Some(446), Some(470), None),
        (PairSpec::EcP256, "EC_P256", None, None, None),
        (PairSpec::EcP256K, "EC_P256K", None, None, None),
        (PairSpec::EcSm2, "EC_SM2", None, None, Some(6_047)),
    ] {
        assert_eq!((PairSpec::parse(name), spec.as_str()), (Some(spec), name));
        let limits = ENCRYPTION.map(|algorithm| algorithm.plaintext_bytes(spec).map(|bytes| *bytes.end()));
        assert_eq!(limits, [oaep_sha256, oaep_sha1, sm2], "{name}");
        assert_eq!(spec.encrypts(), limits.iter().any(Option::is_some), "{name}");
    }
    let rsa = &SPECS[..3];
    for (name, specs) in
        [("RSA_PSS_SHA_256", rsa), ("RSA_PKCS1_SHA_256", rsa), ("ECDSA_SHA_256", &SPECS[3..5]), ("SM2DSA", &SPECS[5..])]
    {
        let algorithm = SignatureAlgorithm::parse(name).unwrap();
        assert!(SPECS.iter().all(|spec| algorithm.serves(*spec) == specs.contains(spec)), "{name}");
    }
    for (name, specs) in
        [("RSAES_OAEP_SHA_256", rsa), ("RSAES_OAEP_SHA_1", rsa), ("RSAES_PKCS1_V1_5", rsa), ("SM2PKE", &SPECS[5..])]
    {
        let algorithm = WrappingAlgorithm::parse(name).unwrap();
        assert_eq!(algorithm.as_str(), name);
        assert!(SPECS.iter().all(|spec| algorithm.serves(*spec) == specs.contains(spec)), "{name}");
        assert_eq!(EncryptionAlgorithm::parse(name).is_some(), name != "RSAES_PKCS1_V1_5");
    }
    assert_eq!((PairSpec::parse("rsa_2048"), PairSpec::parse("RSA_1024")), (None, None));
    assert_eq!((SignatureAlgorithm::parse("SM2PKE"), EncryptionAlgorithm::parse("SM2DSA")), (None, None));
}

#[test]
fn what_a_key_encrypts_it_decrypts_up_to_the_limit() {
    for (spec, algorithm) in SPECS.iter().flat_map(|spec| ENCRYPTION.map(|algorithm| (*spec, algorithm))) {
        let key = key(spec);
        let Some(bytes) = algorithm.plaintext_bytes(spec) else {
            assert_eq!(key.encrypt(algorithm, b"x"), Err(PairError::WrongAlgorithm));
            assert!(key.decrypt(algorithm, &[4; 256]).is_none());
            continue;
        };
        for length in [*bytes.start(), 32, *bytes.end()] {
            let plaintext = vec![0x5A; length];
            let ciphertext = key.encrypt(algorithm, &plaintext).unwrap();
            assert_eq!(key.decrypt(algorithm, &ciphertext).unwrap().as_slice(), plaintext);
            assert!(key.decrypt(algorithm, &[&ciphertext[..], &[0]].concat()).is_none(), "something follows");
            assert!(key.decrypt(algorithm, &ciphertext[1..]).is_none());
        }
        let mut damaged = key.encrypt(algorithm, b"plain").unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(key.decrypt(algorithm, &damaged).is_none() && key.decrypt(algorithm, &[]).is_none());
        assert_eq!(key.encrypt(algorithm, &vec![0; bytes.end() + 1]), Err(PairError::PlaintextLength));
    }
    assert_eq!(key(PairSpec::EcSm2).encrypt(EncryptionAlgorithm::Sm2Pke, &[]), Err(PairError::PlaintextLength));
}

#[test]
fn oaep_with_another_hash_does_not_decrypt() {
    let key = key(PairSpec::Rsa2048);
    let ciphertext = key.encrypt(EncryptionAlgorithm::OaepSha1, b"plain").unwrap();
    assert!(key.decrypt(EncryptionAlgorithm::OaepSha256, &ciphertext).is_none());
}

#[test]
fn what_a_key_signs_it_verifies_and_nothing_else() {
    let digest = [7; DIGEST_BYTES];
    for (spec, algorithm) in SPECS.iter().flat_map(|spec| SIGNATURE.map(|algorithm| (*spec, algorithm))) {
        let key = key(spec);
        if !algorithm.serves(spec) {
            assert_eq!(key.sign(algorithm, &digest), Err(PairError::WrongAlgorithm));
            assert_eq!(key.verify(algorithm, &digest, &[0x30; 256]), Err(PairError::WrongAlgorithm));
            continue;
        }
        let signature = key.sign(algorithm, &digest).unwrap();
        assert!(key.verify(algorithm, &digest, &signature).unwrap(), "{spec:?} {algorithm:?}");
        assert!(!key.verify(algorithm, &[8; DIGEST_BYTES], &signature).unwrap());
        assert!(!key.verify(algorithm, &digest, &[&signature[..], &[0]].concat()).unwrap(), "something follows");
        assert!(
            !key.verify(algorithm, &digest, &signature[1..]).unwrap() && !key.verify(algorithm, &digest, &[]).unwrap()
        );
        let mut damaged = signature.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(!key.verify(algorithm, &digest, &damaged).unwrap());
        for length in [0, 20, 31, 33, 64] {
            let digest = vec![7; length];
            assert_eq!(key.sign(algorithm, &digest), Err(PairError::DigestLength));
            assert_eq!(key.verify(algorithm, &digest, &signature), Err(PairError::DigestLength));
        }
    }
    let key = key(PairSpec::Rsa2048);
    let signature = key.sign(SignatureAlgorithm::PssSha256, &digest).unwrap();
    assert!(!key.verify(SignatureAlgorithm::Pkcs1Sha256, &digest, &signature).unwrap());
}

#[test]
fn keys_are_wrapped_for_the_owner_of_a_public_key_of_the_spec() {
    let (rsa, sm2) = (key(PairSpec::Rsa2048), key(PairSpec::EcSm2));
    for (key, algorithm) in
        ENCRYPTION.iter().map(|algorithm| (if algorithm.serves(rsa.spec()) { rsa } else { sm2 }, *algorithm))
    {
        let public_key = key.public_key_der().unwrap();
        let wrapped = wrap(key.spec(), &public_key, algorithm, &[9; 32]).unwrap();
        let material = key.unwrap(WrappingAlgorithm::Encryption(algorithm), &wrapped, 32).unwrap();
        assert_eq!(material.as_slice(), [9; 32]);
        assert!(key.unwrap(WrappingAlgorithm::Encryption(algorithm), &wrapped, 16).is_none(), "another length");
        let bytes = algorithm.plaintext_bytes(key.spec()).unwrap();
        let too_long = wrap(key.spec(), &public_key, algorithm, &vec![9; bytes.end() + 1]);
        assert_eq!(too_long, Err(PairError::PlaintextLength));
        let damaged = wrap(key.spec(), &public_key[1..], algorithm, &[9; 32]);
        assert_eq!(damaged, Err(PairError::WrongPublicKey));
    }
    let wrong = |spec, of, algorithm| wrap(spec, &key(of).public_key_der().unwrap(), algorithm, &[9; 32]).unwrap_err();
    let (oaep, pke) = (EncryptionAlgorithm::OaepSha256, EncryptionAlgorithm::Sm2Pke);
    assert_eq!(wrong(PairSpec::Rsa2048, PairSpec::Rsa3072, oaep), PairError::WrongPublicKey);
    assert_eq!(wrong(PairSpec::Rsa2048, PairSpec::EcSm2, oaep), PairError::WrongPublicKey);
    assert_eq!(wrong(PairSpec::EcSm2, PairSpec::EcP256, pke), PairError::WrongPublicKey);
    assert_eq!(wrong(PairSpec::EcSm2, PairSpec::EcSm2, oaep), PairError::WrongAlgorithm);
    assert_eq!(wrong(PairSpec::Rsa2048, PairSpec::Rsa2048, pke), PairError::WrongAlgorithm);
}

#[test]
fn keys_are_stored_as_pkcs8_and_read_again() {
    for key in &*KEYS {
        let stored = serde_json::to_value(key).unwrap();
        let read: PrivateKey = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((read.spec(), read.public_key_pem()), (key.spec(), key.public_key_pem()));
        assert_eq!(serde_json::to_value(&read).unwrap(), stored);
        let pem = key.public_key_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("\n-----END PUBLIC KEY-----\n"));
        let between: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(base64(&between), key.public_key_der().unwrap());
        assert_eq!(format!("{key:?}"), "PrivateKey");
    }
}

#[test]
fn damaged_keys_are_not_read() {
    let read =
        |der: &[u8]| serde_json::from_value::<PrivateKey>(BASE64.encode(der).into()).map_err(|why| why.to_string());
    for key in &*KEYS {
        let der = key.to_pkcs8().unwrap();
        let der = der.as_bytes();
        assert!(read(der).is_ok());
        for damaged in [&der[..der.len() - 1], &der[1..], &[]] {
            assert_eq!(read(damaged).unwrap_err(), "a private key is damaged");
        }
        // The number in the middle of an RSA key is its private exponent, that of a curve's key is its secret number.
        // In the latter the public half stands beside it.
        let mut changed = der.to_vec();
        let middle = if key.spec().modulus_bytes().is_some() { der.len() / 2 } else { 50 };
        changed[middle] ^= 1;
        assert!(read(&changed).is_err(), "{:?}", key.spec());
    }
    assert!(serde_json::from_value::<PrivateKey>("?".into()).is_err());
}

static KNOWN_RSA: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::from_pkcs8(&base64(rsa_answers::KEY)).unwrap());

#[test]
fn rsa_decrypts_and_verifies_known_answers() {
    let (key, message) = (&*KNOWN_RSA, rsa_answers::MESSAGE);
    let digest = Sha256::digest(message);
    for (algorithm, ciphertext) in [
        (EncryptionAlgorithm::OaepSha256, rsa_answers::OAEP_SHA_256),
        (EncryptionAlgorithm::OaepSha1, rsa_answers::OAEP_SHA_1),
    ] {
        assert_eq!(key.decrypt(algorithm, &base64(ciphertext)).unwrap().as_slice(), message);
    }
    assert!(key.verify(SignatureAlgorithm::PssSha256, &digest, &base64(rsa_answers::PSS)).unwrap());
    assert!(key.verify(SignatureAlgorithm::Pkcs1Sha256, &digest, &base64(rsa_answers::PKCS1_SIGNATURE)).unwrap());
    let signature = key.sign(SignatureAlgorithm::Pkcs1Sha256, &digest).unwrap();
    assert_eq!(signature, base64(rsa_answers::PKCS1_SIGNATURE), "there is no chance in it");
}

/// What a wrong padding yields is derived from key and ciphertext, so these tests always see the same.
#[test]
fn a_wrong_pkcs1_padding_cannot_be_told_from_another_plaintext() {
    let key = &*KNOWN_RSA;
    let wrapped = base64(rsa_answers::PKCS1_V1_5);
    let message = rsa_answers::MESSAGE;
    let material = key.unwrap(WrappingAlgorithm::Pkcs1V15, &wrapped, message.len()).unwrap();
    assert_eq!(material.as_slice(), message);
    assert!(key.unwrap(WrappingAlgorithm::Pkcs1V15, &wrapped, 32).is_none(), "another length");
    let Half::Rsa(rsa_key) = &*key.half else { panic!() };
    let mut lengths = std::collections::BTreeSet::new();
    for last in 1..=16 {
        let mut damaged = wrapped.clone();
        *damaged.last_mut().unwrap() ^= last;
        let yielded = rsa::decrypt_pkcs1(rsa_key, &damaged).unwrap();
        assert_eq!(yielded, rsa::decrypt_pkcs1(rsa_key, &damaged).unwrap());
        assert_ne!(yielded.as_slice(), message);
        lengths.insert(yielded.len());
    }
    assert!(lengths.len() > 8, "{lengths:?}");
    assert!(key.unwrap(WrappingAlgorithm::Pkcs1V15, &wrapped[1..], message.len()).is_none());
    assert!(self::key(PairSpec::EcSm2).unwrap(WrappingAlgorithm::Pkcs1V15, &wrapped, 7).is_none());
}

/// A signature in DER, of two numbers that begin with a bit that is 1 if their first hexadecimal digit says so.
fn der(r: &str, s: &str) -> Vec<u8> {
    let number = |text: &str| {
        let sign: &[u8] = if text.as_bytes()[0] >= b'8' { &[0] } else { &[] };
        let bytes = [sign, &hex(text)].concat();
        [&[2, u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat()
    };
    let numbers = [number(r), number(s)].concat();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], &numbers[..]].concat()
}

/// RFC 6979, A.2.5, "sample" with SHA-256.
#[test]
fn p256_signs_as_rfc_6979_has_it() {
    let secret = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let half = Half::P256(p256::SecretKey::from_slice(&secret).unwrap());
    let key = PrivateKey { spec: PairSpec::EcP256, half: Arc::new(half) };
    let expected = der(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    );
    let digest = Sha256::digest(b"sample");
    assert_eq!(key.sign(SignatureAlgorithm::EcdsaSha256, &digest).unwrap(), expected);
    assert!(key.verify(SignatureAlgorithm::EcdsaSha256, &digest, &expected).unwrap());
}

/// The vector of the secret key 1 and "Satoshi Nakamoto" that the libraries of this curve share; then the same
/// signature with its other `s`, the order of the curve minus the first one.
#[test]
fn p256k_signs_with_the_lower_s_and_verifies_either() {
    let mut secret = [0; 32];
    secret[31] = 1;
    let half = Half::P256K(k256::SecretKey::from_slice(&secret).unwrap());
    let key = PrivateKey { spec: PairSpec::EcP256K, half: Arc::new(half) };
    let r = "934B1EA10A4B3C1757E2B0C017D0B6143CE3C9A7E6A4A49860D7A6AB210EE3D8";
    let lower = der(r, "2442CE9D2B916064108014783E923EC36B49743E2FFA1C4496F01A512AAFD9E5");
    let higher = der(r, "DBBD3162D46E9F9BEF7FEB87C16DC13B4F6568A87F4E83F728E2443BA586675C");
    let digest = Sha256::digest(b"Satoshi Nakamoto");
    assert_eq!(key.sign(SignatureAlgorithm::EcdsaSha256, &digest).unwrap(), lower);
    assert!(key.verify(SignatureAlgorithm::EcdsaSha256, &digest, &lower).unwrap());
    assert!(key.verify(SignatureAlgorithm::EcdsaSha256, &digest, &higher).unwrap());
}

/// GB/T 32918.5-2017, annexes A and C.
#[test]
fn sm2_verifies_and_decrypts_what_its_standard_has() {
    let secret = hex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8");
    let half = Half::Sm2(::sm2::SecretKey::from_slice(&secret).unwrap());
    let key = PrivateKey { spec: PairSpec::EcSm2, half: Arc::new(half) };
    let digest = hex("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640");
    let signature = der(
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3",
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
    );
    assert!(key.verify(SignatureAlgorithm::Sm2Dsa, &digest, &signature).unwrap());

    let (x, y) = (
        "04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73",
        "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0",
    );
    let c3 = hex("59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766");
    let c2 = hex("21886CA989CA9C7D58087307CA93092D651EFA");
    let point = der(x, y);
    let framed = [&[0x30, 0x7C], &point[2..], &[4, 0x20], &c3, &[4, 0x13], &c2].concat();
    let bare = [&[4], &hex(x)[..], &hex(y), &c3, &c2].concat();
    for ciphertext in [framed, bare] {
        let plaintext = key.decrypt(EncryptionAlgorithm::Sm2Pke, &ciphertext).unwrap();
        assert_eq!(plaintext.as_slice(), b"encryption standard");
    }
}
