//! SM2: signatures over SM3(Z‖M), which the caller made, and public-key encryption.

use ::sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use ::sm2::dsa::{Signature, SigningKey, VerifyingKey};
use ::sm2::pkcs8::DecodePublicKey;
use ::sm2::pke::{DecryptingKey, EncryptingKey};
use ::sm2::{PublicKey, SecretKey};
use p256::elliptic_curve::common::getrandom::SysRng;
use zeroize::Zeroizing;

use super::{DIGEST_BYTES, PairError};

/// The library wants the id of a signer for the Z that it could compute; what is signed here has its Z already.
const NO_ID: &str = "";

/// How often signing is tried. A try fails when the secret number that it drew does not do: once in four thousand
/// million times.
const TRIES: usize = 4;

/// The first byte of a ciphertext in DER, and of a bare one, which begins with an uncompressed point.
const SEQUENCE: u8 = 0x30;
const POINT: u8 = 0x04;

/// Reads a public key.
pub fn public_key(der: &[u8]) -> Result<PublicKey, PairError> {
    PublicKey::from_public_key_der(der).map_err(|_| PairError::WrongPublicKey)
}

/// Encrypts; the ciphertext is DER.
pub fn encrypt(key: PublicKey, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
    EncryptingKey::new(key).encrypt_der(&mut SysRng, plaintext).map_err(|_| PairError::Failed)
}

/// Takes a ciphertext in DER, and also C1, C3 and C2 without any framing: many clients write it so, and the documented
/// limits (97 bytes between plaintext and ciphertext) are its own.
pub fn decrypt(key: &SecretKey, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = DecryptingKey::new(key.clone());
    let plaintext = match *ciphertext.first()? {
        SEQUENCE => key.decrypt_der(ciphertext),
        POINT => key.decrypt(ciphertext),
        _ => return None,
    };
    plaintext.ok().map(Zeroizing::new)
}

/// Signs; the signature is DER.
pub fn sign(key: &SecretKey, digest: &[u8; DIGEST_BYTES]) -> Result<Vec<u8>, PairError> {
    let key = SigningKey::new(NO_ID, key).map_err(|_| PairError::Failed)?;
    let signature: Option<Signature> = (0..TRIES).find_map(|_| key.sign_prehash_with_rng(&mut SysRng, digest).ok());
    signature.map(|signature| signature.to_der().as_bytes().to_vec()).ok_or(PairError::Failed)
}

/// Whether this is a signature in DER over the digest.
pub fn verify(key: &SecretKey, digest: &[u8; DIGEST_BYTES], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::from_der(signature) else { return false };
    let key = VerifyingKey::new(NO_ID, key.public_key());
    key.is_ok_and(|key| key.verify_prehash(digest, &signature).is_ok())
}
