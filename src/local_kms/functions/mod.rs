//! What each operation does: one function per operation, found by its name in one table.
//!
//! A function reads its parameters, looks at the state or drafts a change, and returns the members of the answer as
//! the operation's page documents them. It never asks whether the request is allowed.

mod aliases;
mod asymmetric;
mod cryptography;
mod data_keys;
mod import;
mod key_life;
mod key_versions;
mod keys;
mod macs;
mod policies;
mod regions;
mod secret_life;
mod secret_values;
mod secrets;
mod service;
mod tags;

use serde_json::Value;

pub use crate::served::Members;

use crate::kms::{Address, ErrorCode, KmsError};
use crate::served;

use super::execution::Execution;
use super::key::Tag;

/// What an operation does.
pub type Function = fn(&Execution<'_>) -> Result<Members, KmsError>;

/// Every operation that the embedded KMS has, and the two of STS. No name is in both.
pub const FUNCTIONS: &[(&str, Function)] = &[
    ("CreateKey", keys::create_key),
    ("DescribeKey", keys::describe_key),
    ("ListKeys", keys::list_keys),
    ("UpdateKeyDescription", key_life::update_key_description),
    ("EnableKey", key_life::enable_key),
    ("DisableKey", key_life::disable_key),
    ("ScheduleKeyDeletion", key_life::schedule_key_deletion),
    ("CancelKeyDeletion", key_life::cancel_key_deletion),
    ("SetDeletionProtection", key_life::set_deletion_protection),
    ("GetParametersForImport", import::get_parameters_for_import),
    ("ImportKeyMaterial", import::import_key_material),
    ("DeleteKeyMaterial", import::delete_key_material),
    ("CreateKeyVersion", key_versions::create_key_version),
    ("DescribeKeyVersion", key_versions::describe_key_version),
    ("ListKeyVersions", key_versions::list_key_versions),
    ("UpdateRotationPolicy", key_versions::update_rotation_policy),
    ("Encrypt", cryptography::encrypt),
    ("Decrypt", cryptography::decrypt),
    ("ReEncrypt", cryptography::re_encrypt),
    ("GenerateDataKey", data_keys::generate_data_key),
    ("GenerateDataKeyWithoutPlaintext", data_keys::generate_data_key_without_plaintext),
    ("GenerateAndExportDataKey", data_keys::generate_and_export_data_key),
    ("ExportDataKey", data_keys::export_data_key),
    ("AsymmetricEncrypt", asymmetric::asymmetric_encrypt),
    ("AsymmetricDecrypt", asymmetric::asymmetric_decrypt),
    ("AsymmetricSign", asymmetric::asymmetric_sign),
    ("AsymmetricVerify", asymmetric::asymmetric_verify),
    ("GetPublicKey", asymmetric::get_public_key),
    ("GenerateMac", macs::generate_mac),
    ("VerifyMac", macs::verify_mac),
    ("CreateAlias", aliases::create_alias),
    ("UpdateAlias", aliases::update_alias),
    ("DeleteAlias", aliases::delete_alias),
    ("ListAliases", aliases::list_aliases),
    ("ListAliasesByKeyId", aliases::list_aliases_by_key_id),
    ("CreateSecret", secrets::create_secret),
    ("PutSecretValue", secret_values::put_secret_value),
    ("GetSecretValue", secret_values::get_secret_value),
    ("DescribeSecret", secrets::describe_secret),
    ("ListSecrets", secrets::list_secrets),
    ("SetKeyPolicy", policies::set_key_policy),
    ("GetKeyPolicy", policies::get_key_policy),
    ("SetSecretPolicy", policies::set_secret_policy),
    ("GetSecretPolicy", policies::get_secret_policy),
    ("UpdateSecret", secret_life::update_secret),
    ("UpdateSecretVersionStage", secret_life::update_secret_version_stage),
    ("ListSecretVersionIds", secret_life::list_secret_version_ids),
    ("DeleteSecret", secret_life::delete_secret),
    ("RestoreSecret", secret_life::restore_secret),
    ("RotateSecret", secret_life::rotate_secret),
    ("UpdateSecretRotationPolicy", secret_life::update_secret_rotation_policy),
    ("TagResource", tags::tag_resource),
    ("UntagResource", tags::untag_resource),
    ("ListResourceTags", tags::list_resource_tags),
    ("TagResources", tags::tag_resources),
    ("UntagResources", tags::untag_resources),
    ("ListTagResources", tags::list_tag_resources),
    ("DescribeRegions", regions::describe_regions),
    ("DescribeAccountKmsStatus", service::describe_account_kms_status),
    ("ListKmsInstances", service::list_kms_instances),
    ("GetRandomPassword", service::get_random_password),
    ("AssumeRole", |execution| served::assume_role(&execution.asked())),
    ("GetCallerIdentity", |execution| served::get_caller_identity(&execution.asked())),
];

/// The operations that may make an asymmetric key, or compute with the private half of one.
pub const HEAVY: &[&str] = &[
    "CreateKey",
    "CreateKeyVersion",
    "GetParametersForImport",
    "ImportKeyMaterial",
    "AsymmetricDecrypt",
    "AsymmetricSign",
    "AsymmetricVerify",
    "ReEncrypt",
];

/// The function of an operation.
///
/// # Errors
/// 400 `UnsupportedOperation`, naming the operation: KMS has it, the embedded KMS does not.
pub fn find(operation: &str) -> Result<Function, KmsError> {
    let found = FUNCTIONS.iter().find(|(name, _)| *name == operation).map(|(_, function)| *function);
    found.ok_or_else(|| {
        let message = format!("This action is not supported: the embedded KMS has no {operation}.");
        KmsError::new(ErrorCode::UnsupportedOperation, message)
    })
}

/// Members in their order.
fn members<const N: usize>(members: [(&str, Value); N]) -> Members {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Those members that are there, in their order.
fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Members {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A list as KMS writes it: inside an object whose one member names the elements.
fn list(element: &str, elements: Vec<Value>) -> Value {
    members([(element, elements.into())]).into()
}

fn tag_list(tags: &[Tag]) -> Value {
    let tag =
        |tag: &Tag| members([("TagKey", tag.key.as_str().into()), ("TagValue", tag.value.as_str().into())]).into();
    list("Tag", tags.iter().map(tag).collect())
}

/// Where the things of `account` are.
fn address<'a>(execution: &Execution<'a>, account: &'a str) -> Address<'a> {
    Address { region: &execution.kms.region, account }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::{Api, OPERATIONS, Operation};

    /// What only makes sense in the cloud: instances and their networks, the credentials that KMS issues for them,
    /// certificates, and data keys that KMS manages.
    const NOT_SERVED: &[&str] = &[
        "GetManagedDataKey",
        "ListManagedDataKeyVersions",
        "OpenKmsService",
        "ConnectKmsInstance",
        "GetKmsInstance",
        "UpdateKmsInstanceBindVpc",
        "ReleaseKmsInstance",
        "GetDefaultKmsInstance",
        "GetKmsInstanceQuotaInfos",
        "CreateNetworkRule",
        "DescribeNetworkRule",
        "ListNetworkRules",
        "UpdateNetworkRule",
        "DeleteNetworkRule",
        "CreatePolicy",
        "DescribePolicy",
        "ListPolicies",
        "UpdatePolicy",
        "DeletePolicy",
        "CreateApplicationAccessPoint",
        "DescribeApplicationAccessPoint",
        "ListApplicationAccessPoints",
        "UpdateApplicationAccessPoint",
        "DeleteApplicationAccessPoint",
        "CreateClientKey",
        "GetClientKey",
        "ListClientKeys",
        "DeleteClientKey",
        "CreateCertificate",
        "UploadCertificate",
        "GetCertificate",
        "DescribeCertificate",
        "UpdateCertificateStatus",
        "DeleteCertificate",
        "CertificatePrivateKeySign",
        "CertificatePublicKeyVerify",
        "CertificatePublicKeyEncrypt",
        "CertificatePrivateKeyDecrypt",
    ];

    #[test]
    fn every_operation_of_kms_is_served_or_refused_by_its_name() {
        let refused = |operation: &Operation| {
            let error = find(operation.name).err()?;
            assert_eq!(error.code, ErrorCode::UnsupportedOperation);
            assert!(error.message.contains(operation.name), "{}", error.message);
            Some(operation.name)
        };
        let refused: Vec<&str> = OPERATIONS.iter().filter_map(refused).collect();
        assert_eq!(refused, NOT_SERVED);
    }

    #[test]
    fn every_function_is_of_an_operation_and_each_has_one() {
        let mut names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        assert!(names.iter().all(|name| Operation::find(Api::having(name), name).is_some()), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
        assert!(HEAVY.iter().all(|name| names.contains(name)));
    }
}
