//! RSA: OAEP and PKCS #1 v1.5 for what is secret, PSS and PKCS #1 v1.5 for signatures.
//!
//! Every use of a private key is blinded with random numbers. OAEP has the same hash for its label, which is empty, and
//! for MGF1.

use ::rsa::pkcs8::DecodePublicKey;
use ::rsa::sha2::Sha256;
use ::rsa::traits::PublicKeyParts;
use ::rsa::{PrivateKey, PublicKey};
use p256::elliptic_curve::common::getrandom::SysRng;
use sha1::Sha1;
use zeroize::Zeroizing;

use super::{DIGEST_BYTES, PairError, PairSpec};

/// A new key of that spec, with the exponent 65,537.
pub fn generate(spec: PairSpec) -> Result<PrivateKey, PairError> {
    let bytes = spec.modulus_bytes().ok_or(PairError::WrongAlgorithm)?;
    PrivateKey::new(&mut SysRng, bytes * 8).map_err(|_| PairError::Failed)
}

/// The spec of a key; `None` if its modulus has another number of bits than any spec.
pub fn spec_of(key: &PublicKey) -> Option<PairSpec> {
    let specs = [PairSpec::Rsa2048, PairSpec::Rsa3072, PairSpec::Rsa4096];
    let bits = usize::try_from(key.n().bit_width_vartime()).ok()?;
    specs.into_iter().find(|spec| spec.modulus_bytes().is_some_and(|bytes| bytes * 8 == bits))
}

/// Reads a public key of that spec.
pub fn public_key(spec: PairSpec, der: &[u8]) -> Result<PublicKey, PairError> {
    let key = PublicKey::from_public_key_der(der).ok();
    key.filter(|key| spec_of(key) == Some(spec)).ok_or(PairError::WrongPublicKey)
}

/// Encrypts with OAEP and SHA-256.
pub fn encrypt_oaep_sha256(key: &PublicKey, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
    key.oaep_encrypt::<Sha256>(plaintext).map_err(|_| PairError::Failed)
}

/// Encrypts with OAEP and SHA-1.
pub fn encrypt_oaep_sha1(key: &PublicKey, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
    key.oaep_encrypt::<Sha1>(plaintext).map_err(|_| PairError::Failed)
}

/// Decrypts what OAEP with SHA-256 encrypted.
pub fn decrypt_oaep_sha256(key: &PrivateKey, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    key.oaep_decrypt::<Sha256>(ciphertext).ok().map(Zeroizing::new)
}

/// Decrypts what OAEP with SHA-1 encrypted.
pub fn decrypt_oaep_sha1(key: &PrivateKey, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    key.oaep_decrypt::<Sha1>(ciphertext).ok().map(Zeroizing::new)
}

/// Decrypts with implicit rejection: `None` only if the ciphertext is not as long as the modulus, or not below it.
pub fn decrypt_pkcs1(key: &PrivateKey, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    key.pkcs1v15_decrypt(ciphertext).ok().map(Zeroizing::new)
}

/// Signs with PSS and a salt of 32 bytes.
pub fn sign_pss(key: &PrivateKey, digest: &[u8; DIGEST_BYTES]) -> Result<Vec<u8>, PairError> {
    key.pss_sign_prehash::<Sha256>(digest).map_err(|_| PairError::Failed)
}

/// Whether this is a signature with PSS over the digest, with a salt of 32 bytes and no other.
pub fn verify_pss(key: &PublicKey, digest: &[u8; DIGEST_BYTES], signature: &[u8]) -> bool {
    key.pss_verify_prehash::<Sha256>(digest, signature).is_ok()
}

/// Signs with PKCS #1 v1.5; the same digest always gets the same signature.
pub fn sign_pkcs1(key: &PrivateKey, digest: &[u8; DIGEST_BYTES]) -> Result<Vec<u8>, PairError> {
    key.pkcs1v15_sign_prehash::<Sha256>(digest).map_err(|_| PairError::Failed)
}

/// Whether this is a signature with PKCS #1 v1.5 over the digest.
pub fn verify_pkcs1(key: &PublicKey, digest: &[u8; DIGEST_BYTES], signature: &[u8]) -> bool {
    key.pkcs1v15_verify_prehash::<Sha256>(digest, signature).is_ok()
}
