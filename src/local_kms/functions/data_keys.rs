//! GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateAndExportDataKey, ExportDataKey.
//!
//! A data key is random bytes. It is given out encrypted by the key, and besides as it is, not at all, or encrypted for
//! the owner of a public key that the caller brings.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::kms::{KmsError, Params};

use super::super::asymmetric::{EncryptionAlgorithm, PairError, PairSpec, wrap};
use super::super::cipher::random_bytes;
use super::super::execution::{Execution, internal_failure};
use super::super::parameters::{self, named, number};
use super::Members;
use super::cryptography::{bound_context, made_by, opened};

/// The longest data key, in bytes.
const DATA_KEY_BYTES_MAX: usize = 1_024;

/// The longest public key that a data key can be exported for, in bytes. One of RSA with 2,048 bits has 294.
const PUBLIC_KEY_BYTES_MAX: usize = 1_024;

/// `GenerateDataKey`: as it is, and encrypted.
pub fn generate_data_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (mut answer, data_key) = new_data_key(execution)?;
    answer.insert("Plaintext".to_owned(), BASE64.encode(&data_key).into());
    Ok(answer)
}

/// `GenerateDataKeyWithoutPlaintext`: encrypted only.
pub fn generate_data_key_without_plaintext(execution: &Execution<'_>) -> Result<Members, KmsError> {
    new_data_key(execution).map(|(answer, _)| answer)
}

/// `GenerateAndExportDataKey`: encrypted by the key, and for the owner of the public key.
pub fn generate_and_export_data_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (mut answer, data_key) = new_data_key(execution)?;
    answer.insert("ExportedDataKey".to_owned(), exported(execution.params(), &data_key)?.into());
    Ok(answer)
}

/// `ExportDataKey`: what the key encrypted, encrypted for the owner of the public key.
pub fn export_data_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (version, data_key) = opened(execution, "EncryptionContext")?;
    let exported = exported(execution.params(), &data_key)?;
    Ok(made_by(execution.key(0)?, &version, [("ExportedDataKey", exported)]))
}

fn new_data_key(execution: &Execution<'_>) -> Result<(Members, Zeroizing<Vec<u8>>), KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let version = state.key(name)?.sealing()?;
    let context = bound_context(execution, "EncryptionContext")?;
    let data_key = random_bytes(data_key_bytes(execution.params())?)?;
    let sealed = version.seal(&context, &data_key)?;
    Ok((made_by(name, version, [("CiphertextBlob", sealed.encode())]), data_key))
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

/// The data key, encrypted as `PublicKeyBlob`, `WrappingKeySpec` and `WrappingAlgorithm` ask, in Base64.
fn exported(params: &Params, data_key: &[u8]) -> Result<String, KmsError> {
    let public_key = parameters::bytes(params, "PublicKeyBlob", PUBLIC_KEY_BYTES_MAX)?;
    let spec = wrapping_key_spec(params)?;
    let algorithm = named(
        params,
        "WrappingAlgorithm",
        EncryptionAlgorithm::parse,
        "RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1 or SM2PKE",
    )?;
    let wrapped = wrap(spec, &public_key, algorithm, data_key).map_err(|error| match error {
        PairError::WrongAlgorithm => KmsError::invalid_parameter_because("WrappingAlgorithm", error),
        PairError::PlaintextLength => {
            KmsError::invalid_parameter_because("WrappingAlgorithm", "the data key is too long for it")
        }
        PairError::WrongPublicKey => KmsError::invalid_parameter_because("PublicKeyBlob", error),
        PairError::DigestLength | PairError::Failed => internal_failure(error),
    })?;
    Ok(BASE64.encode(&wrapped))
}

/// `WrappingKeySpec`: of the key that a data key or imported material is encrypted with on its way.
pub fn wrapping_key_spec(params: &Params) -> Result<PairSpec, KmsError> {
    let offered = |spec: &PairSpec| matches!(spec, PairSpec::Rsa2048 | PairSpec::EcSm2);
    named(params, "WrappingKeySpec", |name| PairSpec::parse(name).filter(offered), "RSA_2048 or EC_SM2")
}
