//! SEALING: AES-GCM or SM4-GCM under a key's material, and the randomness for it.
//!
//! The only file that touches a cipher. Material is wiped when it is dropped, is never printed, and leaves this file
//! only for the storage. Every seal has a fresh random nonce of 96 bits.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, Generate, KeyInit, Nonce, Payload};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sm4::Sm4;
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

/// What material is for. Its length does not tell: 16 bytes are material for either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES, with 16, 24 or 32 bytes.
    Aes,
    /// SM4, with 16 bytes.
    Sm4,
}

impl Cipher {
    fn takes(self, bytes: usize) -> bool {
        match self {
            Self::Aes => matches!(bytes, 16 | 24 | 32),
            Self::Sm4 => bytes == 16,
        }
    }
}

/// What the stored form of SM4 material begins with. No Base64 does, so none of AES does.
const SM4_STORED: &str = "SM4:";

/// The secret part of a key version: 16, 24 or 32 bytes, and the cipher that they are for. Does not print.
#[derive(Clone)]
pub struct Material {
    cipher: Cipher,
    bytes: Zeroizing<Vec<u8>>,
}

impl Material {
    /// New material of so many bytes, for that cipher.
    ///
    /// # Errors
    /// There is no randomness, or the cipher does not take so many bytes.
    pub fn generate(cipher: Cipher, bytes: usize) -> Result<Self, CipherError> {
        Self::from_bytes(cipher, random_bytes(bytes)?).ok_or(CipherError::Refused)
    }

    /// Material that somebody else made. `None` if the cipher does not take so many bytes.
    pub fn from_bytes(cipher: Cipher, bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        cipher.takes(bytes.len()).then_some(Self { cipher, bytes })
    }

    /// Material for AES that was derived from other material.
    pub fn of(bytes: &[u8; 32]) -> Self {
        Self { cipher: Cipher::Aes, bytes: Zeroizing::new(bytes.to_vec()) }
    }

    /// What it is for.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// How many bytes there are.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Seals `plaintext`, bound to `associated`: format byte, nonce, ciphertext, tag.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        let nonce = <[u8; NONCE_BYTES]>::try_generate().map_err(|_| CipherError::NoRandomness)?;
        let payload = Payload { msg: plaintext, aad: associated };
        let ciphertext = match (self.cipher, self.size()) {
            (Cipher::Sm4, _) => encrypt::<Sm4Gcm>(&self.bytes, nonce, payload),
            (Cipher::Aes, 16) => encrypt::<Aes128Gcm>(&self.bytes, nonce, payload),
            (Cipher::Aes, 24) => encrypt::<Aes192Gcm>(&self.bytes, nonce, payload),
            (Cipher::Aes, _) => encrypt::<Aes256Gcm>(&self.bytes, nonce, payload),
        };
        let ciphertext = ciphertext.ok_or(CipherError::Refused)?;
        Ok([&[FORMAT][..], &nonce, &ciphertext].concat())
    }

    /// Opens what [`Self::seal`] made. `None` if it was made otherwise: by other material, for other associated data,
    /// or changed since. Which of these it was cannot be told.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[FORMAT])?.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: ciphertext, aad: associated };
        match (self.cipher, self.size()) {
            (Cipher::Sm4, _) => decrypt::<Sm4Gcm>(&self.bytes, *nonce, payload),
            (Cipher::Aes, 16) => decrypt::<Aes128Gcm>(&self.bytes, *nonce, payload),
            (Cipher::Aes, 24) => decrypt::<Aes192Gcm>(&self.bytes, *nonce, payload),
            (Cipher::Aes, _) => decrypt::<Aes256Gcm>(&self.bytes, *nonce, payload),
        }
    }
}

type Aes192Gcm = AesGcm<Aes192, U12>;

/// GCM is defined for every cipher with blocks of 128 bits; for SM4 by RFC 8998.
type Sm4Gcm = AesGcm<Sm4, U12>;

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
    if count > RANDOM_BYTES_MAX {
        return Err(CipherError::Refused);
    }
    let mut bytes = Zeroizing::new(vec![0; count]);
    getrandom::fill(&mut bytes).map_err(|_| CipherError::NoRandomness)?;
    Ok(bytes)
}

/// A random text of so many characters of an alphabet, which has 1 to 256. Every character is as likely as every other:
/// bytes that would favour the first ones are thrown away.
///
/// # Errors
/// There is no randomness, or no such alphabet.
pub fn random_text(alphabet: &[char], count: usize) -> Result<Zeroizing<String>, CipherError> {
    if !(1..=256).contains(&alphabet.len()) {
        return Err(CipherError::Refused);
    }
    let fair = 256 - 256 % alphabet.len();
    let mut text = Zeroizing::new(String::with_capacity(4 * count));
    let mut missing = count;
    while missing > 0 {
        for byte in random_bytes(RANDOM_BYTES_MAX)?.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            let Some(character) = alphabet.get(byte % alphabet.len()).filter(|_| missing > 0) else { break };
            text.push(*character);
            missing -= 1;
        }
    }
    Ok(text)
}

impl Serialize for Material {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(BASE64.encode(&self.bytes));
        match self.cipher {
            Cipher::Aes => serializer.serialize_str(&text),
            Cipher::Sm4 => serializer.serialize_str(&Zeroizing::new([SM4_STORED, &text].concat())),
        }
    }
}

impl<'de> Deserialize<'de> for Material {
    /// Says nothing about what it found: it may be material all the same.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let (cipher, text) = match text.strip_prefix(SM4_STORED) {
            Some(text) => (Cipher::Sm4, text),
            None => (Cipher::Aes, text.as_str()),
        };
        let bytes = BASE64.decode(text.as_bytes()).map(Zeroizing::new).ok();
        let fits = bytes.and_then(|bytes| Self::from_bytes(cipher, bytes));
        fits.ok_or_else(|| de::Error::custom("key material is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_material_and_associated_data_only() {
        for bytes in [16, 24, 32] {
            let (material, other) =
                (Material::generate(Cipher::Aes, bytes).unwrap(), Material::generate(Cipher::Aes, bytes).unwrap());
            let sealed = material.seal(b"context", b"plain").unwrap();
            assert_eq!(sealed.len(), 1 + 12 + 5 + 16);
            assert_eq!(material.open(b"context", &sealed).unwrap().as_slice(), b"plain");
            assert!(material.open(b"another", &sealed).is_none());
            assert!(other.open(b"context", &sealed).is_none());
            assert_ne!(material.seal(b"context", b"plain").unwrap(), sealed);
        }
    }

    #[test]
    fn sm4_seals_as_rfc_8998_has_it() {
        let hex = |text: &str| data_encoding::HEXUPPER.decode(text.as_bytes()).unwrap();
        let key = hex("0123456789ABCDEFFEDCBA9876543210");
        let associated = hex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
        let plaintext = hex(concat!(
            "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD",
            "EEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA",
        ));
        let sealed = hex(concat!(
            "01",
            "00001234567800000000ABCD",
            "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735",
            "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D",
            "83DE3541E4C2B58177E065A9BF7B62EC",
        ));
        let material = Material::from_bytes(Cipher::Sm4, Zeroizing::new(key.clone())).unwrap();
        assert_eq!(material.open(&associated, &sealed).unwrap().as_slice(), plaintext);
        let sealed = material.seal(&associated, &plaintext).unwrap();
        assert_eq!(material.open(&associated, &sealed).unwrap().as_slice(), plaintext);
        let aes = Material::from_bytes(Cipher::Aes, Zeroizing::new(key)).unwrap();
        assert!(aes.open(&associated, &sealed).is_none());
    }

    #[test]
    fn material_is_stored_with_its_cipher_and_that_of_aes_as_it_always_was() {
        let of = |cipher, bytes: usize| Material::from_bytes(cipher, Zeroizing::new(vec![7; bytes]));
        for (cipher, bytes, stored) in [
            (Cipher::Aes, 16, "BwcHBwcHBwcHBwcHBwcHBw=="),
            (Cipher::Aes, 24, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"),
            (Cipher::Aes, 32, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="),
            (Cipher::Sm4, 16, "SM4:BwcHBwcHBwcHBwcHBwcHBw=="),
        ] {
            assert_eq!(serde_json::to_value(of(cipher, bytes).unwrap()).unwrap(), stored);
            let read: Material = serde_json::from_value(stored.into()).unwrap();
            assert_eq!((read.cipher, read.size()), (cipher, bytes));
        }
        for (cipher, bytes) in [(Cipher::Aes, 15), (Cipher::Aes, 0), (Cipher::Sm4, 24), (Cipher::Sm4, 32)] {
            assert!(of(cipher, bytes).is_none() && Material::generate(cipher, bytes).is_err());
        }
        for damaged in ["SM4:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", "SM4:", "sm4:BwcHBwcHBwcHBwcHBwcHBw==", "BwcH", "?"] {
            assert!(serde_json::from_value::<Material>(damaged.into()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn no_damaged_seal_opens() {
        let material = Material::generate(Cipher::Aes, 32).unwrap();
        let sealed = material.seal(b"", b"plain").unwrap();
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(material.open(b"", &damaged).is_none(), "byte {index}");
            assert!(material.open(b"", &sealed[..index]).is_none(), "first {index} bytes");
        }
    }

    #[test]
    fn random_texts_have_their_length_and_all_of_their_alphabet() {
        for alphabet in ["ab", "äöü", "abcdefghijklmnopqrstuvwxyz0123456789", "x"] {
            let characters: Vec<char> = alphabet.chars().collect();
            let text = random_text(&characters, 2_000).unwrap();
            assert_eq!(text.chars().count(), 2_000);
            assert!(characters.iter().all(|c| text.contains(*c)) && text.chars().all(|c| alphabet.contains(c)));
        }
        let letters: Vec<char> = ('a'..='z').collect();
        assert_ne!(random_text(&letters, 20).unwrap(), random_text(&letters, 20).unwrap());
        assert!(random_text(&[], 1).is_err());
        let many: Vec<char> = (0..257).filter_map(char::from_u32).collect();
        assert!(random_text(&many, 1).is_err());
    }

    #[test]
    fn random_bytes_are_as_many_as_are_asked_for() {
        for count in [0, 1, 32, 1_024] {
            assert_eq!(random_bytes(count).unwrap().len(), count);
        }
        assert_ne!(random_bytes(32).unwrap(), random_bytes(32).unwrap());
        assert!(random_bytes(1_025).is_err());
    }
}
