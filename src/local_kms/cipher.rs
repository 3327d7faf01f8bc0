//! SEALING: AES-GCM under a key's material, and the randomness for it.
//!
//! The only file that touches a cipher. Material is wiped when it is dropped, is never printed, and leaves this file
//! only for the storage. Every seal has a fresh random nonce of 96 bits.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, Generate, KeyInit, Nonce, Payload};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// The first byte of what is sealed, so that another layout can be told apart one day.
const FORMAT: u8 = 1;

/// How many bytes of a seal come before the ciphertext: the format and the nonce.
const NONCE_BYTES: usize = 12;

/// Most random bytes that are asked for at once: the largest data key.
const RANDOM_BYTES_MAX: usize = 1_024;

/// The cipher or the source of randomness failed, which no request can cause.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// The operating system has none.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// The material fits no cipher, or the text is too long for it.
    #[error("the cipher refuses its input")]
    Refused,
}

/// The secret part of a key version: 16, 24 or 32 bytes. Does not print.
#[derive(Clone)]
pub struct Material(Zeroizing<Vec<u8>>);

impl Material {
    /// New material of so many bytes.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(bytes: usize) -> Result<Self, CipherError> {
        random_bytes(bytes).map(Self)
    }

    /// Material that was derived from other material.
    pub fn of(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// How many bytes there are.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Seals `plaintext`, bound to `associated`: format byte, nonce, ciphertext, tag.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        let nonce = <[u8; NONCE_BYTES]>::try_generate().map_err(|_| CipherError::NoRandomness)?;
        let payload = Payload { msg: plaintext, aad: associated };
        let ciphertext = match self.size() {
            16 => encrypt::<Aes128Gcm>(&self.0, nonce, payload),
            24 => encrypt::<Aes192Gcm>(&self.0, nonce, payload),
            _ => encrypt::<Aes256Gcm>(&self.0, nonce, payload),
        };
        let ciphertext = ciphertext.ok_or(CipherError::Refused)?;
        Ok([&[FORMAT][..], &nonce, &ciphertext].concat())
    }

    /// Opens what [`Self::seal`] made. `None` if it was made otherwise: by other material, for other associated data,
    /// or changed since. Which of these it was cannot be told.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[FORMAT])?.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: ciphertext, aad: associated };
        match self.size() {
            16 => decrypt::<Aes128Gcm>(&self.0, *nonce, payload),
            24 => decrypt::<Aes192Gcm>(&self.0, *nonce, payload),
            _ => decrypt::<Aes256Gcm>(&self.0, *nonce, payload),
        }
    }
}

type Aes192Gcm = AesGcm<Aes192, U12>;

fn encrypt<C>(material: &[u8], nonce: [u8; NONCE_BYTES], payload: Payload<'_, '_>) -> Option<Vec<u8>>
where
    C: KeyInit + Aead + AeadCore<NonceSize = U12>,
{
    C::new_from_slice(material).ok()?.encrypt(&Nonce::<C>::from(nonce), payload).ok()
}

fn decrypt<C>(material: &[u8], nonce: [u8; NONCE_BYTES], payload: Payload<'_, '_>) -> Option<Zeroizing<Vec<u8>>>
where
    C: KeyInit + Aead + AeadCore<NonceSize = U12>,
{
    C::new_from_slice(material).ok()?.decrypt(&Nonce::<C>::from(nonce), payload).ok().map(Zeroizing::new)
}

/// So many random bytes, at most 1,024.
///
/// # Errors
/// There is no randomness, or more is asked for.
pub fn random_bytes(count: usize) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let pool = <[u8; RANDOM_BYTES_MAX]>::try_generate().map_err(|_| CipherError::NoRandomness)?;
    let pool = Zeroizing::new(pool);
    pool.get(..count).map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or(CipherError::Refused)
}

/// So many random lower-case letters and digits, at most 256.
///
/// # Errors
/// There is no randomness, or more is asked for.
pub fn random_name(count: usize) -> Result<String, CipherError> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // Bytes from 252 up would make the first letters likelier than the others. Of 1,024 bytes about 16 are lost.
    let fair = |byte: &u8| usize::from(*byte) < 7 * ALPHABET.len();
    let letter = |byte: u8| ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied().map(char::from);
    let bytes = random_bytes(RANDOM_BYTES_MAX)?;
    let name: String = bytes.iter().copied().filter(fair).filter_map(letter).take(count).collect();
    if name.len() == count { Ok(name) } else { Err(CipherError::NoRandomness) }
}

impl Serialize for Material {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Material {
    /// Says nothing about what it found: it may be material all the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = BASE64.decode(text.as_bytes()).map(Zeroizing::new).ok();
        let fits = bytes.filter(|bytes| matches!(bytes.len(), 16 | 24 | 32));
        fits.map(Self).ok_or_else(|| de::Error::custom("key material is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_material_and_associated_data_only() {
        for bytes in [16, 24, 32] {
            let (material, other) = (Material::generate(bytes).unwrap(), Material::generate(bytes).unwrap());
            let sealed = material.seal(b"context", b"plain").unwrap();
            assert_eq!(sealed.len(), 1 + 12 + 5 + 16);
            assert_eq!(material.open(b"context", &sealed).unwrap().as_slice(), b"plain");
            assert!(material.open(b"another", &sealed).is_none());
            assert!(other.open(b"context", &sealed).is_none());
            assert_ne!(material.seal(b"context", b"plain").unwrap(), sealed);
        }
    }

    #[test]
    fn no_damaged_seal_opens() {
        let material = Material::generate(32).unwrap();
        let sealed = material.seal(b"", b"plain").unwrap();
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(material.open(b"", &damaged).is_none(), "byte {index}");
            assert!(material.open(b"", &sealed[..index]).is_none(), "first {index} bytes");
        }
    }

    #[test]
    fn random_names_have_their_length_and_alphabet() {
        let name = random_name(20).unwrap();
        assert!(name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_ne!(name, random_name(20).unwrap());
        assert!(random_bytes(1_025).is_err());
    }
}
