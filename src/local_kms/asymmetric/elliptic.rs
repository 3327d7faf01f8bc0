//! ECDSA on P-256 and secp256k1, over a digest that the caller made, with signatures in DER.
//!
//! Signatures are deterministic (RFC 6979): a key signs the same digest with the same signature.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};

use super::{DIGEST_BYTES, PairError};

/// Signs on P-256.
pub fn sign_p256(key: &p256::SecretKey, digest: &[u8; DIGEST_BYTES]) -> Result<Vec<u8>, PairError> {
    let signature: p256::ecdsa::Signature =
        p256::ecdsa::SigningKey::from(key).sign_prehash(digest).map_err(|_| PairError::Failed)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// Whether this is a signature on P-256 over the digest.
pub fn verify_p256(key: &p256::SecretKey, digest: &[u8; DIGEST_BYTES], signature: &[u8]) -> bool {
    let Ok(signature) = p256::ecdsa::Signature::from_der(signature) else { return false };
    p256::ecdsa::VerifyingKey::from(key.public_key()).verify_prehash(digest, &signature).is_ok()
}

/// Signs on secp256k1. The `s` of these signatures is always the lower one of the two that would do.
pub fn sign_p256k(key: &k256::SecretKey, digest: &[u8; DIGEST_BYTES]) -> Result<Vec<u8>, PairError> {
    let signature: k256::ecdsa::Signature =
        k256::ecdsa::SigningKey::from(key).sign_prehash(digest).map_err(|_| PairError::Failed)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// Whether this is a signature on secp256k1 over the digest. Either `s` will do, as the standard has it. The library takes the lower one only, as blockchains do.
pub fn verify_p256k(key: &k256::SecretKey, digest: &[u8; DIGEST_BYTES], signature: &[u8]) -> bool {
    let Ok(signature) = k256::ecdsa::Signature::from_der(signature) else { return false };
    let signature = signature.normalize_s();
    k256::ecdsa::VerifyingKey::from(key.public_key()).verify_prehash(digest, &signature).is_ok()
}
