//! What is in a secret: checked when it comes in, sealed while it is kept, opened for who may read it.
//!
//! Sealed data is bound to account, name and version, so that a record put in another's place does not open. Data
//! never prints.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::kms::{KmsError, Params, SecretName};

use super::cipher::CipherError;
use super::key::KeyVersion;
use super::moment::Moment;
use super::secret::{DataType, SecretVersion};

/// The longest secret data, in bytes (CreateSecret, "SecretData").
const DATA_BYTES_MAX: usize = 30_720;

/// The longest version id or stage, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// A version that somebody wants to put into a secret. INVARIANT: id and data are as KMS documents them.
pub struct SecretValue<'a> {
    /// Its id.
    pub version_id: &'a str,
    /// Its data; a binary one is Base64.
    pub data: &'a str,
    /// What the data is.
    pub data_type: DataType,
}

impl<'a> SecretValue<'a> {
    /// Reads `VersionId`, `SecretData` and `SecretDataType`.
    ///
    /// # Errors
    /// One is missing, too long, or not what it should be.
    pub fn read(params: &'a Params) -> Result<Self, KmsError> {
        let (version_id, data) = (params.require("VersionId")?, params.require("SecretData")?);
        let data_type = params.given("SecretDataType").map_or(Some(DataType::Text), DataType::parse);
        let wrong_type = || KmsError::invalid_parameter_because("SecretDataType", "it is text or binary");
        let value = Self { version_id, data, data_type: data_type.ok_or_else(wrong_type)? };
        check_version_id(version_id).map_err(|why| KmsError::invalid_parameter_because("VersionId", why))?;
        check_data(data).map_err(|why| KmsError::invalid_parameter_because("SecretData", why))?;
        let is_base64 = || BASE64.decode(data.as_bytes()).map(Zeroizing::new).is_ok();
        if value.data_type == DataType::Binary && !is_base64() {
            return Err(KmsError::invalid_parameter_because("SecretData", "it is not Base64, as binary data is"));
        }
        Ok(value)
    }

    /// The version, sealed.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seal(
        &self,
        sealer: &KeyVersion,
        account: &str,
        name: &SecretName,
        stages: Vec<String>,
        now: Moment,
    ) -> Result<SecretVersion, CipherError> {
        let Self { version_id, data, data_type } = *self;
        let sealed = sealer.seal(&bound_to(account, name, version_id), data.as_bytes())?;
        Ok(SecretVersion { id: version_id.to_owned(), created: now, stages, data_type, sealed })
    }
}

/// Whether a version may have this id.
///
/// # Errors
/// Says what an id is like.
pub fn check_version_id(id: &str) -> Result<(), &'static str> {
    if (1..=NAME_CHARS_MAX).contains(&id.chars().count()) { Ok(()) } else { Err("it has 1 to 64 characters") }
}

/// Whether this may be secret data.
///
/// # Errors
/// Says what data is like.
pub fn check_data(data: &str) -> Result<(), &'static str> {
    if (1..=DATA_BYTES_MAX).contains(&data.len()) { Ok(()) } else { Err("it has 1 to 30720 bytes") }
}

/// The data of a version; `None` if it was sealed for another secret or version, or by another key.
pub fn open(
    sealer: &KeyVersion,
    account: &str,
    name: &SecretName,
    version: &SecretVersion,
) -> Option<Zeroizing<String>> {
    let bytes = sealer.open(&bound_to(account, name, &version.id), &version.sealed)?;
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// The version, sealed by `new` instead of `old`; `None` if `old` did not seal it.
///
/// # Errors
/// There is no randomness.
pub fn resealed(
    version: &SecretVersion,
    old: &KeyVersion,
    new: &KeyVersion,
    account: &str,
    name: &SecretName,
) -> Result<Option<SecretVersion>, CipherError> {
    let Some(data) = open(old, account, name, version) else { return Ok(None) };
    let sealed = new.seal(&bound_to(account, name, &version.id), data.as_bytes())?;
    Ok(Some(SecretVersion { sealed, ..version.clone() }))
}

/// A JSON array is never an encryption context, so nobody who may only use the key can have Decrypt open secret data.
fn bound_to(account: &str, name: &SecretName, version_id: &str) -> Vec<u8> {
    serde_json::json!([account, name.as_str(), version_id]).to_string().into_bytes()
}
