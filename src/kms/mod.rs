//! THE WIRE LANGUAGE of KMS, API version 2016-01-20: requests in, answers out.
//!
//! [`KmsRequest::parse`] turns an HTTP request into one meaning or refuses it; [`OPERATIONS`] says what every operation
//! needs; [`Answer`] is written as JSON or XML. Proxy and embedded KMS share this room, so they cannot disagree. It
//! judges nothing, verifies no signature and does no I/O.

mod answer;
mod ciphertext;
mod error;
mod names;
mod operations;
mod params;
mod request;
mod scheme;
mod structured;

pub use answer::{Answer, Format};
pub use ciphertext::CiphertextBlob;
pub use error::{ErrorCode, KmsError};
pub use names::{Address, AliasName, KeyId, KeyRef, Resource, SecretName, SecretRef, is_account_id, is_region_id};
pub use operations::{Authorization, Effect, Need, OPERATIONS, On, Operation, Scope};
pub use params::{Params, percent_encode};
pub use request::{Call, KmsRequest, RawRequest};
pub use scheme::{AcsSignature, RpcSignature, SCHEMES_V3, Scheme};
pub use structured::{encryption_context, tags};

/// The only version of the KMS API.
pub const API_VERSION: &str = "2016-01-20";
