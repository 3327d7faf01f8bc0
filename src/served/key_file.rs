//! Files that hold one key of ours: 64 hexadecimal digits, for their owner only.

use std::path::Path;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::store;

/// The key in a file.
pub type Secret = Zeroizing<[u8; 32]>;

/// A new key, which is in no file.
///
/// # Errors
/// A sentence: there is no randomness.
pub fn generate() -> Result<Secret, String> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|_| "the operating system gives no random bytes".to_owned())?;
    Ok(key)
}

/// The key in the file at `path`, which is made where it is missing.
///
/// # Errors
/// A fragment: the file cannot be used, or there is no randomness.
pub fn read_or_make(path: &Path) -> Result<Secret, String> {
    let make = || generate().map(|bytes| HEXLOWER.encode(&*bytes));
    parse(&store::read_or_make(path, make)?)
}

/// The key in the file at `path`.
///
/// # Errors
/// A fragment: the file is not there or cannot be used.
pub fn read(path: &Path) -> Result<Secret, String> {
    parse(&store::read_private(path)?)
}

fn parse(text: &str) -> Result<Secret, String> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().map(Zeroizing::new);
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    bytes.map(Zeroizing::new).ok_or_else(|| "is no key; a key has 64 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_64_hexadecimal_digits() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(parse(&digits).unwrap()[..3], [0x01, 0x23, 0x45]);
        for text in [
            digits.trim_start_matches('0'),
            &format!("{digits}00"),
            &digits.replace('a', "g"),
            &digits.replace('a', "A"),
            "",
        ] {
            assert!(parse(text).unwrap_err().starts_with("is no key"), "{text}");
        }
    }
}
