//! The part of a ciphertext that can be read without a key: which key version made it.
//!
//! KMS's ciphertexts begin with the key version's id as 36 ASCII characters, seen in the documentation's own samples
//! of Encrypt. That is a hint, never a proof: whoever acts on it must let the decryption confirm it.

use data_encoding::BASE64;

/// How many bytes a key version id takes at the beginning of a ciphertext.
const VERSION_ID_BYTES: usize = 36;

/// A decoded `CiphertextBlob`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiphertextBlob {
    bytes: Vec<u8>,
}

impl CiphertextBlob {
    /// Whether some reader of Base64 could find the version of a key in this text: one that skips blanks, or takes other
    /// alphabets or missing ends.
    pub fn may_name_a_version(text: &str) -> bool {
        let plain: String = text
            .chars()
            .filter(|it| it.is_ascii_alphanumeric() || "+/-_".contains(*it))
            .map(|it| match it {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        // The last characters may be cut off: a version stands at the beginning.
        let whole = plain.get(..plain.len() / 4 * 4).unwrap_or_default();
        Self::decode(text).is_some() || Self::decode(whole).is_some()
    }

    /// Decodes the parameter's Base64. `None` if it is no Base64 or names no key version.
    pub fn decode(parameter: &str) -> Option<Self> {
        let blob = Self { bytes: BASE64.decode(parameter.as_bytes()).ok()? };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        blob.version_id().bytes().all(legal).then_some(blob).filter(|blob| !blob.version_id().is_empty())
    }

    /// Puts a ciphertext together. `version_id` must have 36 characters, as a UUID has.
    pub fn new(version_id: &str, sealed: &[u8]) -> Self {
        Self { bytes: [version_id.as_bytes(), sealed].concat() }
    }

    /// The parameter's Base64.
    pub fn encode(&self) -> String {
        BASE64.encode(&self.bytes)
    }

    /// The id of the key version which the ciphertext says it was made with; empty if it is too short to say.
    pub fn version_id(&self) -> &str {
        self.bytes.get(..VERSION_ID_BYTES).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// What follows: opaque to all but the key.
    pub fn sealed(&self) -> &[u8] {
        self.bytes.get(VERSION_ID_BYTES..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_names_its_key_version() {
        let id = "86a9efd9-3d16-4894-bd4f-1fc43f3f2abf";
        let blob = CiphertextBlob::decode(&CiphertextBlob::new(id, b"\x01\xff").encode()).unwrap();
        assert_eq!((blob.version_id(), blob.sealed()), (id, &b"\x01\xff"[..]));
    }

    #[test]
    fn what_names_no_key_version_is_no_ciphertext() {
        for text in ["", "!", "AAAA", &BASE64.encode(&[0xff; 60]), &BASE64.encode(b"short")] {
            assert_eq!(CiphertextBlob::decode(text), None, "{text}");
        }
    }
}
