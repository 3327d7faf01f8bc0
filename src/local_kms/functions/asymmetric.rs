//! AsymmetricEncrypt, AsymmetricDecrypt, AsymmetricSign, AsymmetricVerify, GetPublicKey.
//!
//! An asymmetric key has no primary version: each request names the version that it means.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::authz::Owned;
use crate::kms::{KeyId, KmsError};

use super::super::asymmetric::{DIGEST_BYTES, EncryptionAlgorithm, PairError, SignatureAlgorithm};
use super::super::execution::{Execution, internal_failure};
use super::super::key::{KeyVersion, Usage};
use super::super::parameters::{bytes, named};
use super::Members;
use super::cryptography::made_by;
use super::key_versions::wanted;

/// More bytes than any ciphertext has. KMS documents 6,144; those of SM2 in ASN.1 can be 15 longer.
const CIPHERTEXT_BYTES_MAX: usize = 6_400;

/// More bytes than any algorithm encrypts; each has its own limit.
const PLAINTEXT_BYTES_MAX: usize = 6_144;

/// More bytes than any signature has.
const SIGNATURE_BYTES_MAX: usize = 1_024;

const ENCRYPTION: &str = "RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1 or SM2PKE";
const SIGNATURE: &str = "RSA_PSS_SHA_256, RSA_PKCS1_SHA_256, ECDSA_SHA_256 or SM2DSA";

/// `AsymmetricEncrypt`.
pub fn asymmetric_encrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (name, version) = version(execution, Usage::EncryptDecrypt, "KeyVersionId")?;
    let pair = version.pair()?;
    let algorithm = named(execution.params(), "Algorithm", EncryptionAlgorithm::parse, ENCRYPTION)?;
    let plaintext = bytes(execution.params(), "Plaintext", PLAINTEXT_BYTES_MAX)?;
    let ciphertext = pair.encrypt(algorithm, &plaintext).map_err(told)?;
    Ok(made_by(name, &version, [("CiphertextBlob", BASE64.encode(&ciphertext))]))
}

/// `AsymmetricDecrypt`.
pub fn asymmetric_decrypt(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (version, plaintext) = decrypted(execution, "KeyVersionId", "Algorithm")?;
    Ok(made_by(execution.key(0)?, &version, [("Plaintext", BASE64.encode(&plaintext))]))
}

/// What the version of the judged key that one parameter names decrypts with the algorithm that another one names.
///
/// # Errors
/// Why a ciphertext does not decrypt is not told.
pub fn decrypted(
    execution: &Execution<'_>,
    version_parameter: &str,
    algorithm_parameter: &str,
) -> Result<(KeyVersion, Zeroizing<Vec<u8>>), KmsError> {
    let (_, version) = version(execution, Usage::EncryptDecrypt, version_parameter)?;
    let pair = version.pair()?;
    let algorithm = named(execution.params(), algorithm_parameter, EncryptionAlgorithm::parse, ENCRYPTION)?;
    if !algorithm.serves(pair.spec()) {
        return Err(KmsError::invalid_parameter_because(algorithm_parameter, PairError::WrongAlgorithm));
    }
    let ciphertext = bytes(execution.params(), "CiphertextBlob", CIPHERTEXT_BYTES_MAX)?;
    let plaintext = pair.decrypt(algorithm, &ciphertext);
    let plaintext = plaintext.ok_or_else(|| KmsError::invalid_parameter("CiphertextBlob"))?;
    Ok((version, plaintext))
}

/// `AsymmetricSign`: signs a digest. Signatures of elliptic curves are in ASN.1 DER.
pub fn asymmetric_sign(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (name, version) = version(execution, Usage::SignVerify, "KeyVersionId")?;
    let algorithm = named(execution.params(), "Algorithm", SignatureAlgorithm::parse, SIGNATURE)?;
    let digest = bytes(execution.params(), "Digest", DIGEST_BYTES)?;
    let signature = version.pair()?.sign(algorithm, &digest).map_err(told)?;
    Ok(made_by(name, &version, [("Value", BASE64.encode(&signature))]))
}

/// `AsymmetricVerify`: whether the signature is one of this key version. A wrong one is an answer, not an error.
pub fn asymmetric_verify(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (name, version) = version(execution, Usage::SignVerify, "KeyVersionId")?;
    let algorithm = named(execution.params(), "Algorithm", SignatureAlgorithm::parse, SIGNATURE)?;
    let digest = bytes(execution.params(), "Digest", DIGEST_BYTES)?;
    let signature = bytes(execution.params(), "Value", SIGNATURE_BYTES_MAX)?;
    let is_its = version.pair()?.verify(algorithm, &digest, &signature).map_err(told)?;
    let mut answer = made_by(name, &version, []);
    answer.insert("Value".to_owned(), is_its.into());
    Ok(answer)
}

/// `GetPublicKey`, in PEM. Whatever the state of the key is: a signature can be verified anyway.
pub fn get_public_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = wanted(execution, state.key(name)?)?;
    let pem = version.pair()?.public_key_pem().map_err(told)?;
    Ok(made_by(name, version, [("PublicKey", pem)]))
}

/// The judged key, and its version that this parameter names, if it is for this.
fn version<'a>(
    execution: &Execution<'a>,
    usage: Usage,
    parameter: &str,
) -> Result<(&'a Owned<KeyId>, KeyVersion), KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = state.key(name)?.pair(usage, execution.params().require(parameter)?)?;
    Ok((name, version.clone()))
}

/// What is told about what a key cannot do.
fn told(error: PairError) -> KmsError {
    let parameter = match error {
        PairError::WrongAlgorithm => "Algorithm",
        PairError::PlaintextLength => "Plaintext",
        PairError::DigestLength => "Digest",
        PairError::WrongPublicKey | PairError::Failed => return internal_failure(error),
    };
    KmsError::invalid_parameter_because(parameter, error)
}
