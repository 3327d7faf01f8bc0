//! GenerateMac, VerifyMac: message authentication codes.

use std::sync::Arc;

use data_encoding::BASE64;

use crate::authz::Owned;
use crate::kms::{ErrorCode, KeyId, KmsError};

use super::super::execution::Execution;
use super::super::key::{Key, KeySpec, KeyVersion, Purpose};
use super::super::mac::MacAlgorithm;
use super::super::parameters::{bytes, named};
use super::{Members, members};

/// The longest message, in bytes. KMS documents no limit; a request has one.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// More bytes than any code has.
const CODE_BYTES_MAX: usize = 128;

/// `GenerateMac`.
pub fn generate_mac(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (name, key) = wanted(execution)?;
    let message = bytes(execution.params(), "Message", MESSAGE_BYTES_MAX)?;
    let code = key.primary.mac()?.make(&message);
    Ok(members([
        ("KeyId", name.name.as_str().into()),
        ("Algorithm", execution.params().require("Algorithm")?.into()),
        ("Mac", BASE64.encode(&code).into()),
    ]))
}

/// `VerifyMac`: whether the code is that of the message. A wrong one is an answer, not an error.
pub fn verify_mac(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (name, key) = wanted(execution)?;
    let message = bytes(execution.params(), "Message", MESSAGE_BYTES_MAX)?;
    let code = bytes(execution.params(), "Mac", CODE_BYTES_MAX)?;
    // An earlier version may have made it.
    let is_its = |version: &KeyVersion| version.mac().is_ok_and(|key| key.verify(&message, &code));
    Ok(members([
        ("KeyId", name.name.as_str().into()),
        ("Algorithm", execution.params().require("Algorithm")?.into()),
        ("Value", key.versions().any(is_its).into()),
    ]))
}

/// The judged key, if it makes codes with the algorithm that is asked for.
fn wanted<'a>(execution: &Execution<'a>) -> Result<(&'a Owned<KeyId>, Arc<Key>), KmsError> {
    const KNOWN: &str = "HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512 or HMAC_SM3";
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let key = state.key(name)?.clone();
    key.fit_for(Purpose::Cryptography)?;
    let KeySpec::Mac(algorithm) = key.spec else { return Err(ErrorCode::RejectedUnsupportedOperation.into()) };
    if named(execution.params(), "Algorithm", MacAlgorithm::parse, KNOWN)? != algorithm {
        let why = format!("keys of this spec are for {}", algorithm.as_str());
        return Err(KmsError::invalid_parameter_because("Algorithm", why));
    }
    Ok((name, key))
}
