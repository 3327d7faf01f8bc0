//! ASYMMETRIC KEYS: RSA, the NIST and Koblitz curves, SM2. They encrypt, sign, and wrap keys for others.
//!
//! Like `cipher`, it knows nothing of requests. A private half is wiped when its last copy is dropped, is never
//! printed, and leaves this room only for the storage. Why a ciphertext does not decrypt is never told.
//!
//! Encodings: signatures of ECDSA and SM2 are ASN.1 DER, a sequence of `r` and `s`, which the KMS documentation leaves
//! open; SM2 ciphertexts are the sequence of GM/T 0009-2012 (C1, C3, C2), as OpenSSL has it. Public keys are
//! SubjectPublicKeyInfo.

mod elliptic;
mod rsa;
mod sm2;
mod spec;

use std::fmt;
use std::sync::Arc;

use ::rsa::pkcs8::{DecodePrivateKey, Document, EncodePrivateKey, EncodePublicKey, LineEnding, SecretDocument};
use data_encoding::BASE64;
use p256::elliptic_curve::Generate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

pub use spec::{EncryptionAlgorithm, PairSpec, SignatureAlgorithm, WrappingAlgorithm};

/// How many bytes every digest has: SHA-256 or SM3.
pub const DIGEST_BYTES: usize = 32;

/// What an asymmetric key cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The algorithm is for keys of other specs.
    #[error("the algorithm does not serve keys of this spec")]
    WrongAlgorithm,
    /// What is to be encrypted has too many bytes, or too few.
    #[error("the plaintext does not have a length that the algorithm can encrypt")]
    PlaintextLength,
    /// A digest has 32 bytes.
    #[error("a digest has 32 bytes")]
    DigestLength,
    /// The public key is none, or not one of the spec that it is said to have.
    #[error("this is no SubjectPublicKeyInfo of a key of the spec")]
    WrongPublicKey,
    /// There is no randomness, or the mathematics failed, which no request can cause.
    #[error("the cipher or the source of randomness failed")]
    Failed,
}

/// An asymmetric key with its secret half. Copies share it. Does not print.
#[derive(Clone)]
pub struct PrivateKey {
    spec: PairSpec,
    half: Arc<Half>,
}

/// The secret halves; each type wipes itself when it is dropped.
#[expect(clippy::large_enum_variant, reason = "it is always behind an Arc of its own")]
enum Half {
    Rsa(::rsa::PrivateKey),
    P256(p256::SecretKey),
    P256K(k256::SecretKey),
    Sm2(::sm2::SecretKey),
}

impl PrivateKey {
    /// A new key. RSA takes its time: up to some seconds for 4,096 bits.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(spec: PairSpec) -> Result<Self, PairError> {
        let half = match spec {
            PairSpec::Rsa2048 | PairSpec::Rsa3072 | PairSpec::Rsa4096 => Half::Rsa(rsa::generate(spec)?),
            PairSpec::EcP256 => Half::P256(p256::SecretKey::try_generate().map_err(|_| PairError::Failed)?),
            PairSpec::EcP256K => Half::P256K(k256::SecretKey::try_generate().map_err(|_| PairError::Failed)?),
            PairSpec::EcSm2 => Half::Sm2(::sm2::SecretKey::try_generate().map_err(|_| PairError::Failed)?),
        };
        Ok(Self { spec, half: Arc::new(half) })
    }

    /// Reads PKCS #8 in DER. `None` if it is none, if its key is of no spec, or if its numbers do not fit together.
    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let of = |spec, half| Self { spec, half: Arc::new(half) };
        if let Ok(key) = ::rsa::PrivateKey::from_pkcs8_der(der) {
            return rsa::spec_of(key.as_ref()).map(|spec| of(spec, Half::Rsa(key)));
        }
        let p256 = || p256::SecretKey::from_pkcs8_der(der).ok().map(|key| of(PairSpec::EcP256, Half::P256(key)));
        let p256k = || k256::SecretKey::from_pkcs8_der(der).ok().map(|key| of(PairSpec::EcP256K, Half::P256K(key)));
        let sm2 = || ::sm2::SecretKey::from_pkcs8_der(der).ok().map(|key| of(PairSpec::EcSm2, Half::Sm2(key)));
        p256().or_else(p256k).or_else(sm2)
    }

    fn to_pkcs8(&self) -> Option<SecretDocument> {
        match &*self.half {
            Half::Rsa(key) => key.to_pkcs8_der().ok(),
            Half::P256(key) => key.to_pkcs8_der().ok(),
            Half::P256K(key) => key.to_pkcs8_der().ok(),
            Half::Sm2(key) => key.to_pkcs8_der().ok(),
        }
    }

    /// What kind of key it is.
    pub fn spec(&self) -> PairSpec {
        self.spec
    }

    /// The public half: SubjectPublicKeyInfo in PEM, `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// The mathematics failed.
    pub fn public_key_pem(&self) -> Result<String, PairError> {
        self.public_document()?.to_pem("PUBLIC KEY", LineEnding::LF).map_err(|_| PairError::Failed)
    }

    /// The public half: SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// The mathematics failed.
    pub fn public_key_der(&self) -> Result<Vec<u8>, PairError> {
        self.public_document().map(|document| document.into_vec())
    }

    fn public_document(&self) -> Result<Document, PairError> {
        let document = match &*self.half {
            Half::Rsa(key) => key.as_ref().to_public_key_der(),
            Half::P256(key) => key.public_key().to_public_key_der(),
            Half::P256K(key) => key.public_key().to_public_key_der(),
            Half::Sm2(key) => key.public_key().to_public_key_der(),
        };
        document.map_err(|_| PairError::Failed)
    }

    /// Encrypts with the public half.
    ///
    /// # Errors
    /// The algorithm does not serve the spec, the plaintext has a wrong length, or there is no randomness.
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
        check_plaintext(self.spec, algorithm, plaintext)?;
        match (&*self.half, algorithm) {
            (Half::Rsa(key), EncryptionAlgorithm::OaepSha256) => rsa::encrypt_oaep_sha256(key.as_ref(), plaintext),
            (Half::Rsa(key), EncryptionAlgorithm::OaepSha1) => rsa::encrypt_oaep_sha1(key.as_ref(), plaintext),
            (Half::Sm2(key), EncryptionAlgorithm::Sm2Pke) => sm2::encrypt(key.public_key(), plaintext),
            _ => Err(PairError::WrongAlgorithm),
        }
    }

    /// Decrypts what the public half encrypted with that algorithm. `None` for anything else, without a word about what
    /// is wrong with it; also if the algorithm does not serve the spec, which [`EncryptionAlgorithm::serves`] tells.
    pub fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match (&*self.half, algorithm) {
            (Half::Rsa(key), EncryptionAlgorithm::OaepSha256) => rsa::decrypt_oaep_sha256(key, ciphertext),
            (Half::Rsa(key), EncryptionAlgorithm::OaepSha1) => rsa::decrypt_oaep_sha1(key, ciphertext),
            (Half::Sm2(key), EncryptionAlgorithm::Sm2Pke) => sm2::decrypt(key, ciphertext),
            _ => None,
        }
    }

    /// Decrypts key material of so many bytes that was wrapped for us. `None` if it is none.
    ///
    /// PKCS #1 v1.5 is decrypted with implicit rejection (draft-irtf-cfrg-rsa-guidance): a wrong padding yields bytes
    /// and a length that are random to whoever does not have the key, and always the same for one ciphertext. So `None`
    /// says that the length is not the expected one, and does not say whether there was a padding.
    pub fn unwrap(&self, algorithm: WrappingAlgorithm, wrapped: &[u8], bytes: usize) -> Option<Zeroizing<Vec<u8>>> {
        let material = match (&*self.half, algorithm) {
            (Half::Rsa(key), WrappingAlgorithm::Pkcs1V15) => rsa::decrypt_pkcs1(key, wrapped),
            (_, WrappingAlgorithm::Pkcs1V15) => None,
            (_, WrappingAlgorithm::Encryption(algorithm)) => self.decrypt(algorithm, wrapped),
        };
        material.filter(|material| material.len() == bytes)
    }

    /// Signs a digest of 32 bytes. ECDSA and SM2 signatures are in DER.
    ///
    /// # Errors
    /// The algorithm does not serve the spec, the digest has a wrong length, or there is no randomness.
    pub fn sign(&self, algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<Vec<u8>, PairError> {
        let digest = self.digest_for(algorithm, digest)?;
        match (&*self.half, algorithm) {
            (Half::Rsa(key), SignatureAlgorithm::PssSha256) => rsa::sign_pss(key, digest),
            (Half::Rsa(key), SignatureAlgorithm::Pkcs1Sha256) => rsa::sign_pkcs1(key, digest),
            (Half::P256(key), SignatureAlgorithm::EcdsaSha256) => elliptic::sign_p256(key, digest),
            (Half::P256K(key), SignatureAlgorithm::EcdsaSha256) => elliptic::sign_p256k(key, digest),
            (Half::Sm2(key), SignatureAlgorithm::Sm2Dsa) => sm2::sign(key, digest),
            _ => Err(PairError::WrongAlgorithm),
        }
    }

    /// Whether the signature is one of this key over this digest. ECDSA and SM2 signatures are in DER.
    ///
    /// # Errors
    /// The algorithm does not serve the spec, or the digest has a wrong length.
    pub fn verify(&self, algorithm: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> Result<bool, PairError> {
        let digest = self.digest_for(algorithm, digest)?;
        Ok(match (&*self.half, algorithm) {
            (Half::Rsa(key), SignatureAlgorithm::PssSha256) => rsa::verify_pss(key.as_ref(), digest, signature),
            (Half::Rsa(key), SignatureAlgorithm::Pkcs1Sha256) => rsa::verify_pkcs1(key.as_ref(), digest, signature),
            (Half::P256(key), SignatureAlgorithm::EcdsaSha256) => elliptic::verify_p256(key, digest, signature),
            (Half::P256K(key), SignatureAlgorithm::EcdsaSha256) => elliptic::verify_p256k(key, digest, signature),
            (Half::Sm2(key), SignatureAlgorithm::Sm2Dsa) => sm2::verify(key, digest, signature),
            _ => return Err(PairError::WrongAlgorithm),
        })
    }

    /// The digest, if keys of this spec sign it with this algorithm.
    fn digest_for<'d>(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &'d [u8],
    ) -> Result<&'d [u8; DIGEST_BYTES], PairError> {
        if !algorithm.serves(self.spec) {
            return Err(PairError::WrongAlgorithm);
        }
        digest.try_into().map_err(|_| PairError::DigestLength)
    }
}

/// Encrypts `data` for the owner of a foreign public key: SubjectPublicKeyInfo in DER, of the spec that it is said to
/// have.
///
/// # Errors
/// It is no such key, the algorithm does not serve the spec, or the data has a length that it cannot encrypt.
pub fn wrap(
    spec: PairSpec,
    public_key: &[u8],
    algorithm: EncryptionAlgorithm,
    data: &[u8],
) -> Result<Vec<u8>, PairError> {
    check_plaintext(spec, algorithm, data)?;
    match algorithm {
        EncryptionAlgorithm::OaepSha256 => rsa::encrypt_oaep_sha256(&rsa::public_key(spec, public_key)?, data),
        EncryptionAlgorithm::OaepSha1 => rsa::encrypt_oaep_sha1(&rsa::public_key(spec, public_key)?, data),
        EncryptionAlgorithm::Sm2Pke => sm2::encrypt(sm2::public_key(public_key)?, data),
    }
}

fn check_plaintext(spec: PairSpec, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<(), PairError> {
    let bytes = algorithm.plaintext_bytes(spec).ok_or(PairError::WrongAlgorithm)?;
    if bytes.contains(&plaintext.len()) { Ok(()) } else { Err(PairError::PlaintextLength) }
}

impl fmt::Debug for PrivateKey {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl Serialize for PrivateKey {
    /// PKCS #8 in DER, as Base64. It says by itself what kind of key it is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = self.to_pkcs8().ok_or_else(|| serde::ser::Error::custom("a private key cannot be encoded"))?;
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(document.as_bytes())))
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    /// Says nothing about what it found: it may be a key all the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let der = BASE64.decode(text.as_bytes()).map(Zeroizing::new).ok();
        der.and_then(|der| Self::from_pkcs8(&der)).ok_or_else(|| de::Error::custom("a private key is damaged"))
    }
}

#[cfg(test)]
mod tests;
