//! Encrypt, Decrypt, ReEncrypt.
//!
//! A ciphertext of a symmetric key is bound to its key version and to the encryption context. Why one does not open is
//! never told: that would help whoever forges them.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::authz::Owned;
use crate::kms::{ErrorCode, KeyId, KmsError, encryption_context};

use super::super::execution::{Execution, ciphertext};
use super::super::key::KeyVersion;
use super::super::parameters::bytes;
use super::{Members, asymmetric, members};

/// The longest plaintext, in bytes: 6 KB (Encrypt, "Plaintext").
const PLAINTEXT_BYTES_MAX: usize = 6_144;

/// `Encrypt`, with the primary version of the key.
pub fn encrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = state.key(name)?.sealing()?;
    let context = bound_context(execution, "EncryptionContext")?;
    let sealed = version.seal(&context, &bytes(execution.params(), "Plaintext", PLAINTEXT_BYTES_MAX)?)?;
    Ok(made_by(name, version, [("CiphertextBlob", sealed.encode())]))
}

/// The members of an answer: the key and its version that did it, and what came out.
pub fn made_by<const N: usize>(
    name: &Owned<KeyId>,
    version: &KeyVersion,
    results: [(&'static str, String); N],
) -> Members {
    let mut answer = members([("KeyId", name.name.as_str().into()), ("KeyVersionId", version.id.as_str().into())]);
    answer.extend(results.map(|(name, value)| (name.to_owned(), value.into())));
    answer
}

/// The encryption context as it is bound to a ciphertext: names sorted, no white space. None and an empty one are the
/// same.
pub fn bound_context(execution: &Execution<'_>, parameter: &str) -> Result<Vec<u8>, KmsError> {
    let context = encryption_context(execution.params(), parameter)?;
    if context.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::to_vec(&context).map_err(|_| KmsError::invalid_parameter(parameter))
}

/// `Decrypt`, with whichever version of the judged key made the ciphertext.
pub fn decrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (version, plaintext) = opened(execution, "EncryptionContext")?;
    Ok(made_by(execution.key(0)?, &version, [("Plaintext", BASE64.encode(&plaintext))]))
}

/// What is in the ciphertext of the request, which the judged key made, and the version that made it.
pub fn opened(execution: &Execution<'_>, context: &str) -> Result<(KeyVersion, Zeroizing<Vec<u8>>), KmsError> {
    let state = execution.kms.state();
    let key = state.key(execution.key(0)?)?;
    key.sealing()?;
    let ciphertext = ciphertext(execution.params())?;
    // The ciphertext only claims its version. What counts is that it is one of the key that was judged.
    let version = key.version(ciphertext.version_id()).ok_or(ErrorCode::KeyNotFound)?;
    let opened = version.open(&bound_context(execution, context)?, &ciphertext);
    let plaintext = opened.ok_or_else(|| KmsError::invalid_parameter("CiphertextBlob"))?;
    Ok((version.clone(), plaintext))
}

/// What a ciphertext of an asymmetric key needs, all three (ReEncrypt, "SourceKeyId" and the following).
const SOURCE: [&str; 3] = ["SourceKeyId", "SourceKeyVersionId", "SourceEncryptionAlgorithm"];

/// `ReEncrypt`: the plaintext never leaves. A ciphertext of an asymmetric key is told by the version or algorithm that it
/// needs. The answer names the key that encrypts now; the documentation leaves open which of the two is meant.
pub fn re_encrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let [source, version, algorithm] = SOURCE;
    let params = execution.params();
    let plaintext = if [version, algorithm].iter().any(|name| params.given(name).is_some()) {
        params.require(source)?;
        asymmetric::decrypted(execution, version, algorithm)?.1
    } else {
        opened(execution, "SourceEncryptionContext")?.1
    };
    let name = execution.key(1)?;
    let state = execution.kms.state();
    let version = state.key(name)?.sealing()?;
    let sealed = version.seal(&bound_context(execution, "DestinationEncryptionContext")?, &plaintext)?;
    Ok(made_by(name, version, [("CiphertextBlob", sealed.encode())]))
}
