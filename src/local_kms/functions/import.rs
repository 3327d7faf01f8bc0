//! GetParametersForImport, ImportKeyMaterial, DeleteKeyMaterial: keys whose material comes from outside.
//!
//! The private half of the key that material is encrypted with on its way is in the import token, sealed for the key
//! that is imported to, so nothing has to be kept between the two requests.

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::authz::Owned;
use crate::kms::{CiphertextBlob, ErrorCode, KeyId, KmsError, Params};

use super::super::asymmetric::{PrivateKey, WrappingAlgorithm};
use super::super::execution::{Execution, internal_failure};
use super::super::key::{Key, Purpose};
use super::super::moment::{DAY_SECONDS, Moment};
use super::super::parameters::{bytes, named};
use super::data_keys::wrapping_key_spec;
use super::{Members, members};

/// The longest encrypted material, in bytes. RSA with 2,048 bits makes 256.
const WRAPPED_BYTES_MAX: usize = 1_024;

/// What is in an import token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// What unwraps the material.
    pair: PrivateKey,
    /// How it was wrapped.
    algorithm: String,
    /// Until when the token can be used.
    expires: Moment,
}

/// `GetParametersForImport`. The token can be used for a day.
pub fn get_parameters_for_import(execution: &Execution<'_>) -> Result<Members, KmsError> {
    const ALGORITHMS: &str = "RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256 or SM2PKE";
    let name = execution.key(0)?;
    let state = execution.kms.state();
    external(state.key(name)?)?;
    let spec = wrapping_key_spec(execution.params())?;
    let algorithm = named(execution.params(), "WrappingAlgorithm", WrappingAlgorithm::parse, ALGORITHMS)?;
    if !algorithm.serves(spec) {
        let why = format!("it does not go with {}", spec.as_str());
        return Err(KmsError::invalid_parameter_because("WrappingAlgorithm", why));
    }
    let pair = PrivateKey::generate(spec).map_err(internal_failure)?;
    let public_key = pair.public_key_der().map_err(internal_failure)?;
    let expires = execution.now.plus(DAY_SECONDS);
    let token = Token { pair, algorithm: algorithm.as_str().to_owned(), expires };
    let token = serde_json::to_vec(&token).map(Zeroizing::new).map_err(internal_failure)?;
    let token = state.default_key.seal(&bound_to(name), &token)?;
    Ok(members([
        ("KeyId", name.name.as_str().into()),
        ("PublicKey", BASE64.encode(&public_key).into()),
        ("ImportToken", token.encode().into()),
        ("TokenExpireTime", expires.to_string().into()),
    ]))
}

/// `ImportKeyMaterial`: the first material of a key is the only one that it ever has.
pub fn import_key_material(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let name = execution.key(0)?;
    let wrapped = bytes(params, "EncryptedKeyMaterial", WRAPPED_BYTES_MAX)?;
    let expires = expires(params, execution.now)?;
    execution.write(|draft| {
        let state = draft.state();
        let key = external(state.key(name)?)?.fit_for(Purpose::Schedule)?;
        let blob = CiphertextBlob::decode(params.require("ImportToken")?);
        let opened = blob.and_then(|blob| state.default_key.open(&bound_to(name), &blob));
        let token = opened.and_then(|token| serde_json::from_slice::<Token>(&token).ok());
        let token = token.ok_or(ErrorCode::InvalidImportToken)?;
        if token.expires <= execution.now {
            return Err(ErrorCode::ExpiredImportToken.into());
        }
        let algorithm = WrappingAlgorithm::parse(&token.algorithm).ok_or(ErrorCode::InvalidImportToken)?;
        let (_, count) = key.spec.symmetric().ok_or(ErrorCode::UnsupportedOrigin)?;
        let material = token.pair.unwrap(algorithm, &wrapped, count).ok_or(ErrorCode::InvalidKeyMaterial)?;
        let key = key.imported(material, expires)?;
        draft.put_key(name, key);
        Ok(Members::new())
    })
}

/// `DeleteKeyMaterial`: the key waits for the same material again.
pub fn delete_key_material(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    execution.write(|draft| {
        let key = external(draft.state().key(name)?)?.without_material();
        draft.put_key(name, key);
        Ok(Members::new())
    })
}

/// The key, if its material comes from outside.
fn external(key: &Key) -> Result<&Key, KmsError> {
    if key.import.is_some() { Ok(key) } else { Err(ErrorCode::UnsupportedOrigin.into()) }
}

/// `KeyMaterialExpireUnix`: seconds since 1970; 0 for never.
fn expires(params: &Params, now: Moment) -> Result<Option<Moment>, KmsError> {
    let wrong = || {
        let why = "it is a time that is still to come, in seconds since 1970, or 0 for never";
        KmsError::invalid_parameter_because("KeyMaterialExpireUnix", why)
    };
    let seconds: i64 = params.require("KeyMaterialExpireUnix")?.parse().map_err(|_| wrong())?;
    if seconds == 0 {
        return Ok(None);
    }
    let moment = Timestamp::from_second(seconds).map(Moment).map_err(|_| wrong())?;
    if moment > now { Ok(Some(moment)) } else { Err(wrong()) }
}

/// A JSON array is never an encryption context, and this one is none that seals a secret.
fn bound_to(name: &Owned<KeyId>) -> Vec<u8> {
    serde_json::json!(["import", name.account, name.name.as_str()]).to_string().into_bytes()
}
