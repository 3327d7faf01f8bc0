//! THE WIRE LANGUAGE of KMS (API version 2016-01-20) and of the two STS operations that role sessions need: requests in,
//! answers out.
//!
//! [`KmsRequest::parse`] turns an HTTP request into one meaning or refuses it; [`OPERATIONS`] says what every operation
//! needs; [`Answer`] is written as JSON or XML. Proxy and embedded KMS share this room, so they cannot disagree. It
//! judges nothing, verifies no signature and does no I/O.

mod answer;
mod answered;
mod ciphertext;
mod error;
mod names;
mod operations;
mod origin;
mod params;
mod request;
mod scheme;
mod structured;

pub use answer::{Answer, Format};
pub use answered::{AnsweredKey, answered_key, is_about_signature, is_plain_error, is_throttling, public_members};
pub use ciphertext::CiphertextBlob;
pub use error::{ErrorCode, KmsError};
pub use names::{
    Address, AliasName, KeyId, KeyRef, Resource, SecretName, SecretRef, is_account_id, is_ram_name, is_region_id,
    parse_role_arn, role_arn,
};
pub use operations::{Api, Authorization, Class, Effect, Need, OPERATIONS, On, Operation, STS_OPERATIONS, Scope};
pub use origin::{ClientCertificate, Origin, is_foreign};
pub use params::{Params, percent_encode, truth};
pub use request::{Call, KmsRequest, RawRequest};
pub use scheme::{
    AcsSignature, Algorithm, ClientKeySignature, CredentialScope, Hash, KeyKind, RpcSignature, Scheme, Version,
};
pub use structured::{TAGS_MAX, encryption_context, tags};
