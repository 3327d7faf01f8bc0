//! KMS's error codes with their statuses and messages, and the error that a client reads.
//!
//! Sources: KMS "Responses" and the operations' own pages; gateway codes from the error lists of other RPC products.
//! Clients decide on `Code`, so a code is spelt exactly as it is documented.

use serde_json::{Map, Value};

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $status:literal, $message:literal;)*) => {
        /// An error code of KMS or its gateway.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $code, "`, status ", $status, ".")] $variant,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status it is answered with.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The documented message.
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

error_codes! {
    MissingParameter = "MissingParameter", 400, "The parameter needed but no provided.";
    InvalidParameter = "InvalidParameter", 400, "The specified parameter is not valid.";
    ParseRequestParameter = "ParseRequestParameterException", 400,
        "Server parse parameters exception. Please check your input params.";
    IncompleteSignature = "IncompleteSignature", 400,
        "The request signature does not conform to Alibaba Cloud standards.";
    SignatureDoesNotMatch = "SignatureDoesNotMatch", 400,
        "Specified signature is not matched with our calculation. server string to sign is:";
    InvalidSignatureMethod = "InvalidSignatureMethod", 400, "Specified signature method is not valid.";
    IllegalTimestamp = "IllegalTimestamp", 400,
        "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied.";
    InvalidTimeStampFormat = "InvalidTimeStamp.Format", 400,
        "Specified time stamp or date value is not well formatted.";
    InvalidTimeStampExpired = "InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired.";
    SignatureNonceUsed = "SignatureNonceUsed", 400, "Specified signature nonce was used already.";
    MissingSecurityToken = "MissingSecurityToken", 400, "SecurityToken is mandatory for this action.";
    InvalidSecurityTokenExpired = "InvalidSecurityToken.Expired", 400, "Specified SecurityToken is expired.";
    InvalidSecurityTokenMalformed = "InvalidSecurityToken.Malformed", 400, "Specified SecurityToken is malformed.";
    InvalidSecurityTokenMismatch = "InvalidSecurityToken.MismatchWithAccessKey", 400,
        "Specified SecurityToken mismatch with the AccessKey.";
    InvalidRoleArn = "InvalidParameter.RoleArn", 400, "The parameter RoleArn is wrongly formed.";
    InvalidRoleSessionName = "InvalidParameter.RoleSessionName", 400, "The parameter RoleSessionName is wrongly formed.";
    InvalidDurationSeconds = "InvalidParameter.DurationSeconds", 400,
        "The Min/Max value of DurationSeconds is 15min/1hr.";
    InvalidPolicyGrammar = "InvalidParameter.PolicyGrammar", 400,
        "The parameter Policy has not passed grammar check.";
    InvalidPolicySize = "InvalidParameter.PolicySize", 400, "The size of the parameter Policy is too large.";
    InvalidExternalId = "InvalidParameter.ExternalId", 400, "The parameter ExternalId is wrongly formed.";
    StsNoPermission = "NoPermission", 403,
        "You are not authorized to do this action. You should be authorized by RAM.";
    RoleNotExist = "EntityNotExist.Role", 404, "The specified Role not exists .";
    NoSuchVersion = "NoSuchVersion", 400, "The specified version does not exist.";
    RejectedLimitExceeded = "Rejected.LimitExceeded", 400,
        "The request was rejected because user create resource limit was exceeded.";
    ShareQuotaExceedLimit = "Rejected.ShareQuotaExceedLimit", 400, "Instance Share Quota Exceed Limit.";
    AliasAlreadyExists = "AliasAlreadyExists", 400, "AliasName Already Exists.";
    UnsupportedAlias = "Unsupported.Alias", 400, "Alias is not valid for this api.";
    UnsupportedOrigin = "Unsupported.Origin", 400, "This key origin is not valid for this api.";
    UnsupportedOperation = "UnsupportedOperation", 400, "This action is not supported.";
    RejectedUnsupportedOperation = "Rejected.UnsupportedOperation", 400, "Unsupported operation.";
    DryRunOperation = "DryRunOperationError", 400,
        "The request would have succeeded, and was not executed because DryRun is true.";
    Validation = "ValidationError", 400, "The request is not valid, and was not executed because DryRun is true.";
    AccessDenied = "AccessDeniedError", 400, "The request is not permitted, and DryRun is true.";
    InvalidKeyMaterial = "InvalidKeyMaterial", 400, "key material is invalid.";
    InvalidImportToken = "InvalidImportToken", 400, "import token is invalid.";
    ExpiredImportToken = "ExpiredImportToken", 400, "import token is expired.";
    KeyPolicyUnSupported = "Forbidden.KeyPolicyUnSupported", 400,
        "The specified key does not support key policy.";
    AccessKeyNotEnabled = "Forbidden.AccessKey", 403, "This AccessKey is not enabled.";
    NoPermission = "Forbidden.NoPermission", 403, "This operation is forbidden by permission system.";
    UnsupportedHttpMethod = "UnsupportedHTTPMethod", 403, "This http method is not supported.";
    InvalidAccessKeyId = "InvalidAccessKeyId.NotFound", 404,
        "The Access Key ID provided does not exist in our records.";
    ApiNotFound = "InvalidApi.NotFound", 404, "Specified api is not found,please check your url and method.";
    KeyNotFound = "Forbidden.KeyNotFound", 404, "The specified Key is not found.";
    KeyVersionNotFound = "Forbidden.KeyVersionNotFound", 404, "The specified Key version is not found.";
    AliasNotFound = "Forbidden.AliasNotFound", 404, "The specified Alias is not found.";
    ResourceNotFound = "Forbidden.ResourceNotFound", 404, "Resource not found.";
    RequestTimeout = "RequestTimeout", 408, "The request was not received completely in time.";
    Disabled = "Rejected.Disabled", 409, "The request was rejected because the key state is Disabled.";
    PendingDeletion = "Rejected.PendingDeletion", 409,
        "The request was rejected because the key state is PendingDeletion.";
    PendingImport = "Rejected.PendingImport", 409,
        "The request was rejected because the key state is PendingImport.";
    StateModifiedFailed = "Rejected.StateModifiedFailed", 409, "Keystate modified failed.";
    ResourceInDeleteWindow = "Rejected.ResourceInDeleteWindow", 409, "The secret is planned to be deleted.";
    ResourceExist = "Rejected.ResourceExist", 409, "The resource already exists.";
    PolicyConflict = "Rejected.PolicyConflict", 409,
        "The policy was changed by somebody else meanwhile; read it again before setting it.";
    RequestTooLarge = "RequestTooLarge", 413, "The request body is larger than this endpoint accepts.";
    RequestTargetTooLong = "RequestTargetTooLong", 414,
        "The parameters in the URL are longer than this endpoint accepts; send them in a form body.";
    Throttling = "Rejected.Throttling", 429, "QPS Limit Exceeded";
    InternalFailure = "InternalFailure", 500, "Internal Failure.";
    ServiceUnavailableTemporary = "ServiceUnavailableTemporary", 503, "Service Unavailable Temporary.";
}

/// What a client is told when its request does not succeed. Holds nothing that the client may not read.
#[derive(Debug, Clone, PartialEq)]
pub struct KmsError {
    /// The code, which also gives the default status and message.
    pub code: ErrorCode,
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// `AccessDeniedDetail`, where refusals are explained.
    pub detail: Option<Map<String, Value>>,
}

impl KmsError {
    /// The error `code` with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), detail: None }
    }

    /// The error `code` with its documented message and, in brackets, why.
    pub fn because(code: ErrorCode, why: impl std::fmt::Display) -> Self {
        Self::new(code, format!("{} ({why})", code.message()))
    }

    /// 400 `InvalidParameter` that names the parameter.
    pub fn invalid_parameter(name: &str) -> Self {
        Self::new(ErrorCode::InvalidParameter, format!("The specified parameter \"{name}\" is not valid."))
    }

    /// 400 `InvalidParameter` that names the parameter and says what would be right.
    pub fn invalid_parameter_because(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidParameter, format!("The specified parameter \"{name}\" is not valid: {why}."))
    }

    /// 400 `MissingParameter` that names the parameter.
    pub fn missing_parameter(name: &str) -> Self {
        Self::new(ErrorCode::MissingParameter, format!("The parameter \"{name}\" is needed but not provided."))
    }
}

impl From<ErrorCode> for KmsError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.iter().all(|code| (400..600).contains(&code.status()) && !code.message().is_empty()));
    }

    /// The classic Python SDK takes the part behind the colon and fails without one.
    #[test]
    fn the_signature_message_has_a_colon() {
        assert!(ErrorCode::SignatureDoesNotMatch.message().contains(':'));
    }
}
