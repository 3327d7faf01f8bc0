//! Parameters: decoding them from query and form body, strictly, so that they have one meaning only.
//!
//! A parameter given twice, a name that is encoded, one that differs from a known name only in case: KMS might read it
//! another way than we do, so it is refused. Values keep the bytes the client meant; they may be plaintexts and never
//! reach a log, so this type prints names only. Canonical encoding: the one all signatures use.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ErrorCode;
use super::error::KmsError;

/// Most parameters in one request. The largest batch of tags needs about a hundred.
const PARAMETERS_MAX: usize = 256;

/// Longest name of a parameter, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Decoded parameters in the order of their names.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes one `application/x-www-form-urlencoded` text: a query, or a form body.
    ///
    /// # Errors
    /// Malformed escapes, text that is not UTF-8, names that are empty, encoded, too long or given twice, a raw `;`.
    pub fn decode(encoded: &str) -> Result<Self, KmsError> {
        let mut params = Vec::new();
        for piece in encoded.split('&').filter(|_| !encoded.is_empty()) {
            let (raw_name, raw_value) = piece.split_once('=').ok_or(ErrorCode::ParseRequestParameter)?;
            if !is_name(raw_name) || raw_value.contains(';') || params.len() == PARAMETERS_MAX {
                return Err(ErrorCode::ParseRequestParameter.into());
            }
            let value = decode_value(raw_value).ok_or_else(|| KmsError::invalid_parameter(raw_name))?;
            params.push((raw_name.to_owned(), value));
        }
        params.sort();
        Self(params).without_repetition()
    }

    /// The parameters of query and form body together.
    ///
    /// # Errors
    /// A parameter stands in both, even with equal values: clients disagree about which of them is signed.
    pub fn merge(mut self, other: Self) -> Result<Self, KmsError> {
        if other.0.is_empty() {
            return Ok(self);
        }
        self.0.extend(other.0);
        self.0.sort();
        self.without_repetition()
    }

    fn without_repetition(self) -> Result<Self, KmsError> {
        let repeated = self.0.iter().zip(self.0.iter().skip(1)).find(|((first, _), (second, _))| first == second);
        match repeated {
            Some(((name, _), _)) => Err(KmsError::invalid_parameter_because(name, "it is given more than once")),
            None => Ok(self),
        }
    }

    /// Refuses names which KMS or another server might take for one that they are not: those that differ from a name
    /// KMS knows only in the case of letters, and elements of what is no list (`KeyId.1`).
    ///
    /// # Errors
    /// Names the parameter.
    pub fn refuse_look_alikes(&self) -> Result<(), KmsError> {
        match self.0.iter().find_map(|(name, _)| Some((name, why_taken_for_another(name)?))) {
            Some((name, why)) => Err(KmsError::invalid_parameter_because(name, why)),
            None => Ok(()),
        }
    }

    /// Refuses names of headers in which the API's signatures have what is no parameter.
    ///
    /// # Errors
    /// Names the parameter.
    pub fn refuse_names_of_headers(&self) -> Result<(), KmsError> {
        const BEGIN: [&str; 2] = ["x-acs-", "x-kms-"];
        let is_of_header = |name: &&str| {
            let begins = |with: &str| name.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
            BEGIN.into_iter().any(begins)
        };
        match self.iter().map(|(name, _)| name).find(is_of_header) {
            Some(name) => Err(KmsError::invalid_parameter_because(name, "it is the name of a header")),
            None => Ok(()),
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(candidate, _)| candidate.as_str().cmp(name)).ok()?;
        self.0.get(index).map(|(_, value)| value.as_str())
    }

    /// The value of `name`; an empty one is as good as none.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of `name`, which must be given.
    ///
    /// # Errors
    /// `MissingParameter`, naming it.
    pub fn require(&self, name: &str) -> Result<&str, KmsError> {
        self.given(name).ok_or_else(|| KmsError::missing_parameter(name))
    }

    /// The values of a repeated list, `NAME.1`, `NAME.2`, …
    pub fn list(&self, name: &str) -> Vec<&str> {
        (1..=PARAMETERS_MAX).map_while(|index| self.get(&format!("{name}.{index}"))).collect()
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Only those whose name `keep` accepts.
    #[must_use]
    pub fn retaining(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| keep(name));
        self
    }

    /// Those whose name `keep` accepts, once more.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// `name=value&…` in canonical form: what V1 and V3 sign. Names sort by their bytes.
    pub fn canonical(&self) -> String {
        let mut canonical = String::new();
        for (name, value) in self.iter() {
            if !canonical.is_empty() {
                canonical.push('&');
            }
            canonical.extend(utf8_percent_encode(name, ENCODED));
            canonical.push('=');
            canonical.extend(utf8_percent_encode(value, ENCODED));
        }
        canonical
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Params {
    /// Parameters from names and values; a name given twice keeps its first value.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut params: Vec<_> = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        params.sort_by(|(a, _): &(String, String), (b, _)| a.cmp(b));
        params.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self(params)
    }
}

/// Prints names only: values may be plaintexts.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a name could be taken for another one, if it could.
fn why_taken_for_another(name: &str) -> Option<&'static str> {
    let (base, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_element = rest.starts_with(|first: char| first.is_ascii_digit());
    let known = known_names().find(|known| known.eq_ignore_ascii_case(base))?;
    match *known == base {
        false => Some("names of parameters are case-sensitive"),
        true if is_element && !LISTS.contains(known) => Some("it is an element of what is no list"),
        true => None,
    }
}

/// A name as it must stand on the wire: nothing in it is encoded, so all parsers agree about it.
fn is_name(raw: &str) -> bool {
    raw.starts_with(|first: char| first.is_ascii_alphabetic())
        && raw.len() <= NAME_BYTES_MAX
        && !raw.ends_with('.')
        && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// `+` is a space, `%XX` a byte; the result must be UTF-8 without NUL.
fn decode_value(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|value| !value.contains('\0'))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What a switch says, if it says anything: Python's clients send `True` and `False`, all others `true` and `false`.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}

/// Canonical percent-encoding: `A-Za-z0-9-_.~` stay, every other byte becomes `%XX` in upper case.
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// All but `A-Za-z0-9-_.~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Parameters that belong to the request as such, not to an operation.
pub const PUBLIC: &[&str] = &[
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureType",
    "SignatureNonce",
    "Timestamp",
    "SecurityToken",
    "STSToken",
    "BearerToken",
    "RegionId",
];

/// Parameters of older RPC products with which a caller speaks for another account, or claims properties of its own
/// connection. Nobody may claim them here.
pub const CLAIMS: &[&str] =
    &["OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount", "SourceIp", "SecureTransport"];

/// Parameters of KMS operations that carry a decision or its subject.
const OPERATION_PARAMETERS: &[&str] = &[
    "KeyId",
    "KeyVersionId",
    "CiphertextBlob",
    "Plaintext",
    "EncryptionContext",
    "SourceKeyId",
    "SourceKeyVersionId",
    "SourceEncryptionAlgorithm",
    "SourceEncryptionContext",
    "DestinationKeyId",
    "DestinationEncryptionContext",
    "AliasName",
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "ExternalId",
    "SecretName",
    "SecretData",
    "SecretDataType",
    "SecretType",
    "VersionId",
    "VersionStage",
    "VersionStages",
    "MoveToVersion",
    "RemoveFromVersion",
    "EncryptionKeyId",
    "DKMSInstanceId",
    "Policy",
    "PolicyName",
    "ProtectedResourceArn",
    "ResourceId",
    "ResourceType",
    "Tags",
    "TagKeys",
    "Description",
    "KeySpec",
    "KeyUsage",
    "Origin",
    "ProtectionLevel",
    "NumberOfBytes",
    "PageNumber",
    "PageSize",
    "Filters",
    "PendingWindowInDays",
    "Algorithm",
    "Digest",
    "Value",
    "PublicKeyBlob",
    "WrappingKeySpec",
    "WrappingAlgorithm",
    "DryRun",
    "Recipient",
    "ForceDeleteWithoutRecovery",
    "RecoveryWindowInDays",
    "EnableAutomaticRotation",
    "RotationInterval",
    "ExtendedConfig",
    "FetchTags",
    "FetchExtendedConfig",
    "IncludeDeprecated",
    "CertificateId",
    "KmsInstanceId",
    "EncryptedKeyMaterial",
    "ImportToken",
    "KeyMaterialExpireUnix",
    "EnableDeletionProtection",
    "Name",
    "NextToken",
];

/// Those of them that are lists, `NAME.1`, `NAME.2`, …
const LISTS: &[&str] = &["ResourceId"];

fn known_names() -> impl Iterator<Item = &'static &'static str> {
    PUBLIC.iter().chain(CLAIMS).chain(OPERATION_PARAMETERS)
}

/// Whether every parameter that the operations table names is known here.
#[cfg(test)]
fn unknown_parameters_of(operation: &super::Operation) -> Vec<&'static str> {
    let super::Authorization::Needs(needs) = operation.authorization else { return Vec::new() };
    let named = needs.iter().flat_map(|need| need.on.parameters());
    named.filter(|name| !OPERATION_PARAMETERS.contains(name)).collect()
}

#[cfg(test)]
mod tests;
