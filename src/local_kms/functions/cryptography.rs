//! Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext.
//!
//! A ciphertext is bound to its key version and to the encryption context. Why one does not open is never told: that
//! would help whoever forges them.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::kms::{ErrorCode, KmsError, Params, encryption_context};

use super::super::cipher::random_bytes;
use super::super::execution::{Execution, ciphertext};
use super::super::parameters::number;
use super::{Members, members};

/// The longest plaintext, in bytes: 6 KB (Encrypt, "Plaintext").
const PLAINTEXT_BYTES_MAX: usize = 6_144;

/// The longest data key, in bytes.
const DATA_KEY_BYTES_MAX: usize = 1_024;

/// `Encrypt`, with the primary version of the key.
pub fn encrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = &state.key(name)?.usable()?.primary;
    let context = bound_context(execution, "EncryptionContext")?;
    let sealed = version.seal(&context, &plaintext(execution.params())?)?;
    Ok(members([
        ("KeyId", name.name.as_str().into()),
        ("KeyVersionId", version.id.as_str().into()),
        ("CiphertextBlob", sealed.encode().into()),
    ]))
}

/// The encryption context as it is bound to a ciphertext: names sorted, no white space. None and an empty one are the
/// same.
fn bound_context(execution: &Execution<'_>, parameter: &str) -> Result<Vec<u8>, KmsError> {
    let context = encryption_context(execution.params(), parameter)?;
    if context.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(&context).map_err(|_| KmsError::invalid_parameter(parameter))
}

fn plaintext(params: &Params) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let text = params.require("Plaintext")?;
    let wrong = |_| KmsError::invalid_parameter_because("Plaintext", "it is not Base64");
    let plaintext = BASE64.decode(text.as_bytes()).map(Zeroizing::new).map_err(wrong)?;
    if plaintext.len() > PLAINTEXT_BYTES_MAX {
        let why = format!("it has more than {PLAINTEXT_BYTES_MAX} bytes");
        return Err(KmsError::invalid_parameter_because("Plaintext", why));
    }
    Ok(plaintext)
}

/// `Decrypt`, with whichever version of the judged key made the ciphertext.
pub fn decrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (version_id, plaintext) = opened(execution, "EncryptionContext")?;
    Ok(members([
        ("KeyId", execution.key(0)?.name.as_str().into()),
        ("KeyVersionId", version_id.into()),
        ("Plaintext", BASE64.encode(&plaintext).into()),
    ]))
}

/// What is in the ciphertext of the request, which the judged key made, and the version that made it.
fn opened(execution: &Execution<'_>, context: &str) -> Result<(String, Zeroizing<Vec<u8>>), KmsError> {
    let state = execution.kms.state();
    let key = state.key(execution.key(0)?)?.usable()?;
    let ciphertext = ciphertext(execution.params())?;
    // The ciphertext only claims its version. What counts is that it is one of the key that was judged.
    let version = key.version(ciphertext.version_id()).ok_or(ErrorCode::KeyNotFound)?;
    let opened = version.open(&bound_context(execution, context)?, &ciphertext);
    let plaintext = opened.ok_or_else(|| KmsError::invalid_parameter("CiphertextBlob"))?;
    Ok((version.id.clone(), plaintext))
}

/// `ReEncrypt`: the plaintext never leaves. The answer names the key that encrypts now; the documentation leaves open
/// which of the two is meant.
pub fn re_encrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (_, plaintext) = opened(execution, "SourceEncryptionContext")?;
    let name = execution.key(1)?;
    let state = execution.kms.state();
    let version = &state.key(name)?.usable()?.primary;
    let sealed = version.seal(&bound_context(execution, "DestinationEncryptionContext")?, &plaintext)?;
    Ok(members([
        ("KeyId", name.name.as_str().into()),
        ("KeyVersionId", version.id.as_str().into()),
        ("CiphertextBlob", sealed.encode().into()),
    ]))
}

/// `GenerateDataKey`: random bytes, as they are and encrypted.
pub fn generate_data_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (mut answer, data_key) = new_data_key(execution)?;
    answer.insert("Plaintext".to_owned(), BASE64.encode(&data_key).into());
    Ok(answer)
}

/// `GenerateDataKeyWithoutPlaintext`: the same, encrypted only.
pub fn generate_data_key_without_plaintext(execution: &Execution<'_>) -> Result<Members, KmsError> {
    new_data_key(execution).map(|(answer, _)| answer)
}

fn new_data_key(execution: &Execution<'_>) -> Result<(Members, Zeroizing<Vec<u8>>), KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = &state.key(name)?.usable()?.primary;
    let context = bound_context(execution, "EncryptionContext")?;
    let data_key = random_bytes(data_key_bytes(execution.params())?)?;
    let sealed = version.seal(&context, &data_key)?;
    let answer = members([
        ("KeyId", name.name.as_str().into()),
        ("KeyVersionId", version.id.as_str().into()),
        ("CiphertextBlob", sealed.encode().into()),
    ]);
    Ok((answer, data_key))
}

/// `NumberOfBytes` wins over `KeySpec`; without either it is 32.
fn data_key_bytes(params: &Params) -> Result<usize, KmsError> {
    let of_spec = match params.given("KeySpec") {
        None | Some("AES_256") => 32,
        Some("AES_128") => 16,
        Some(_) => return Err(KmsError::invalid_parameter_because("KeySpec", "it is AES_256 or AES_128")),
    };
    Ok(number(params, "NumberOfBytes", 1..=DATA_KEY_BYTES_MAX)?.unwrap_or(of_spec))
}
