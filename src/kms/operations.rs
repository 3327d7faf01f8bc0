//! The table of operations: what each one needs, from which parameters, and what it does.
//!
//! Parsing, authorization, metrics and the embedded KMS read this table, so a new operation is one row here and, in the
//! embedded KMS, one function. Source: KMS "Resource types and actions" and the operations' own pages; actions that
//! those pages do not list follow the general rule `kms:` + operation name.

mod nature;

pub use nature::Class;

/// Whose operation it is. One endpoint serves both, told apart by their versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Key Management Service.
    Kms,
    /// Security Token Service, as far as role sessions need it.
    Sts,
}

/// One operation of an API.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name on the wire; case matters.
    pub name: &'static str,
    /// The permissions it needs.
    pub authorization: Authorization,
    /// What executing it does.
    pub effect: Effect,
}

/// What a caller must be permitted to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing: to be somebody is enough (DescribeRegions).
    Authenticated,
    /// Every one of these.
    Needs(&'static [Need]),
}

/// One permission that an operation needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    /// The action, for example `kms:Encrypt`.
    pub action: &'static str,
    /// Which resource it is checked on.
    pub on: On,
    /// Which kind of resource policy can speak about it.
    pub scope: Scope,
}

/// The resource of a need, and the parameter that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The key that this parameter names: by id, alias or ARN.
    Key(&'static str),
    /// The key that this parameter names, where it is given: otherwise there is no such need.
    KeyIfGiven(&'static str),
    /// The key that one of these parameters names; exactly one of them is given.
    KeyInEither(&'static str, &'static str),
    /// The key that made this ciphertext.
    KeyOfCiphertext(&'static str),
    /// The key that made the ciphertext in the second parameter; where none is known to have made it, the one which the
    /// first parameter names, if it is given.
    KeyOrCiphertext(&'static str, &'static str),
    /// The alias that this parameter names.
    Alias(&'static str),
    /// The key to which this alias points.
    KeyOfAlias(&'static str),
    /// The secret that this parameter names.
    Secret(&'static str),
    /// The key that encrypts this secret, if its owner chose one.
    KeyOfSecret(&'static str),
    /// The same, but not asked of role sessions: with an STS token on the shared gateway KMS authorizes GetSecretValue on
    /// the secret alone ("Alibaba Cloud SDK": shared gateway).
    KeyOfSecretUnlessSession(&'static str),
    /// A key (first parameter) or a secret (second parameter): exactly one of them.
    KeyOrSecret(&'static str, &'static str),
    /// Each of the resources `ResourceId.N` of the kind `ResourceType`; the kind's container where there are none.
    Batch,
    /// All keys, secrets, aliases or certificates of the account, as one: `key`, `secret`, `alias`, `certificate`.
    Container(&'static str),
    /// The RAM role that this parameter names by its ARN. Whether the role trusts the caller is asked beside the policies.
    Role(&'static str),
    /// Something whose ARN is not documented: only a policy for the resource `*` can speak about it.
    Anything,
}

impl On {
    /// The parameters that name it, without the number of those that come numbered.
    pub fn parameters(self) -> Vec<&'static str> {
        match self {
            Self::Key(name)
            | Self::KeyIfGiven(name)
            | Self::KeyOfCiphertext(name)
            | Self::Alias(name)
            | Self::KeyOfAlias(name)
            | Self::Secret(name)
            | Self::KeyOfSecret(name)
            | Self::KeyOfSecretUnlessSession(name)
            | Self::Role(name) => vec![name],
            Self::KeyInEither(one, other) | Self::KeyOrCiphertext(one, other) | Self::KeyOrSecret(one, other) => {
                vec![one, other]
            }
            Self::Batch => vec!["ResourceId"],
            Self::Container(_) | Self::Anything => Vec::new(),
        }
    }
}

/// Which resource policies can speak about an action ("Actions supported in key policies", "… in secret policies").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// RAM policies only.
    Ram,
    /// Also the policy of the key or secret it is checked on.
    ResourcePolicy,
}

/// What executing an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing that lasts.
    Read,
    /// Changes something that lasts.
    Write,
}

use Authorization::{Authenticated, Needs};
use Effect::{Read, Write};
use On::{
    Alias, Anything, Batch, Container, Key, KeyIfGiven, KeyInEither, KeyOfAlias, KeyOfCiphertext, KeyOfSecret,
    KeyOfSecretUnlessSession, KeyOrCiphertext, KeyOrSecret, Role, Secret,
};
use Scope::{Ram, ResourcePolicy};

/// One row per operation: `"Name" Effect: [action on resource, scope] …;`. Actions are given without their prefix
/// `kms:`. A row without needs is for an operation that only asks for authentication.
macro_rules! operations {
    ($($name:literal $effect:ident: $([$action:literal on $on:expr, $scope:ident])*;)*) => {
        &[$(Operation {
            name: $name,
            authorization: authorization!($([$action on $on, $scope])*),
            effect: $effect,
        },)*]
    };
}

macro_rules! authorization {
    () => { Authenticated };
    ($([$action:literal on $on:expr, $scope:ident])+) => {
        Needs(&[$(Need { action: concat!("kms:", $action), on: $on, scope: $scope }),+])
    };
}

/// Every operation that KMS has, in the groups of its documentation.
pub const OPERATIONS: &[Operation] = operations! {
    // Keys
    "CreateKey" Write: ["CreateKey" on Container("key"), Ram];
    "ListKeys" Read: ["ListKeys" on Container("key"), Ram];
    "DescribeKey" Read: ["DescribeKey" on Key("KeyId"), ResourcePolicy];
    "UpdateKeyDescription" Write: ["UpdateKeyDescription" on Key("KeyId"), ResourcePolicy];
    "EnableKey" Write: ["EnableKey" on Key("KeyId"), ResourcePolicy];
    "DisableKey" Write: ["DisableKey" on Key("KeyId"), ResourcePolicy];
    "ScheduleKeyDeletion" Write: ["ScheduleKeyDeletion" on Key("KeyId"), ResourcePolicy];
    "CancelKeyDeletion" Write: ["CancelKeyDeletion" on Key("KeyId"), ResourcePolicy];
    "SetDeletionProtection" Write:
        ["SetDeletionProtection" on KeyInEither("KeyId", "ProtectedResourceArn"), ResourcePolicy];
    "GetParametersForImport" Read: ["GetParametersForImport" on Key("KeyId"), ResourcePolicy];
    "ImportKeyMaterial" Write: ["ImportKeyMaterial" on Key("KeyId"), ResourcePolicy];
    "DeleteKeyMaterial" Write: ["DeleteKeyMaterial" on Key("KeyId"), ResourcePolicy];
    "CreateKeyVersion" Write: ["CreateKeyVersion" on Key("KeyId"), ResourcePolicy];
    "DescribeKeyVersion" Read: ["DescribeKeyVersion" on Key("KeyId"), ResourcePolicy];
    "ListKeyVersions" Read: ["ListKeyVersions" on Key("KeyId"), ResourcePolicy];
    "UpdateRotationPolicy" Write: ["UpdateRotationPolicy" on Key("KeyId"), ResourcePolicy];
    "GetPublicKey" Read: ["GetPublicKey" on Key("KeyId"), ResourcePolicy];
    "SetKeyPolicy" Write: ["SetKeyPolicy" on Key("KeyId"), ResourcePolicy];
    "GetKeyPolicy" Read: ["GetKeyPolicy" on Key("KeyId"), ResourcePolicy];
    // Cryptography
    "Encrypt" Read: ["Encrypt" on Key("KeyId"), ResourcePolicy];
    "Decrypt" Read: ["Decrypt" on KeyOfCiphertext("CiphertextBlob"), ResourcePolicy];
    "ReEncrypt" Read:
        ["ReEncryptFrom" on KeyOrCiphertext("SourceKeyId", "CiphertextBlob"), Ram]
        ["ReEncryptTo" on Key("DestinationKeyId"), Ram];
    "GenerateDataKey" Read: ["GenerateDataKey" on Key("KeyId"), ResourcePolicy];
    "GenerateDataKeyWithoutPlaintext" Read: ["GenerateDataKeyWithoutPlaintext" on Key("KeyId"), Ram];
    "GenerateAndExportDataKey" Read: ["GenerateAndExportDataKey" on Key("KeyId"), ResourcePolicy];
    "ExportDataKey" Read: ["ExportDataKey" on KeyOfCiphertext("CiphertextBlob"), Ram];
    "AsymmetricEncrypt" Read: ["AsymmetricEncrypt" on Key("KeyId"), ResourcePolicy];
    "AsymmetricDecrypt" Read: ["AsymmetricDecrypt" on Key("KeyId"), ResourcePolicy];
    "AsymmetricSign" Read: ["AsymmetricSign" on Key("KeyId"), Ram];
    "AsymmetricVerify" Read: ["AsymmetricVerify" on Key("KeyId"), Ram];
    "GenerateMac" Read: ["GenerateMac" on Key("KeyId"), Ram];
    "VerifyMac" Read: ["VerifyMac" on Key("KeyId"), Ram];
    // Aliases
    "CreateAlias" Write: ["CreateAlias" on Alias("AliasName"), Ram] ["CreateAlias" on Key("KeyId"), ResourcePolicy];
    "UpdateAlias" Write: ["UpdateAlias" on Alias("AliasName"), Ram] ["UpdateAlias" on Key("KeyId"), ResourcePolicy];
    "DeleteAlias" Write:
        ["DeleteAlias" on Alias("AliasName"), Ram]
        ["DeleteAlias" on KeyOfAlias("AliasName"), ResourcePolicy];
    "ListAliases" Read: ["ListAliases" on Container("alias"), Ram];
    "ListAliasesByKeyId" Read: ["ListAliasesByKeyId" on Key("KeyId"), ResourcePolicy];
    // Secrets
    "CreateSecret" Write:
        ["CreateSecret" on Container("secret"), Ram]
        ["GenerateDataKey" on KeyIfGiven("EncryptionKeyId"), ResourcePolicy];
    "ListSecrets" Read: ["ListSecrets" on Container("secret"), Ram];
    "DescribeSecret" Read: ["DescribeSecret" on Secret("SecretName"), ResourcePolicy];
    "GetSecretValue" Read:
        ["GetSecretValue" on Secret("SecretName"), ResourcePolicy]
        ["Decrypt" on KeyOfSecretUnlessSession("SecretName"), ResourcePolicy];
    "PutSecretValue" Write:
        ["PutSecretValue" on Secret("SecretName"), ResourcePolicy]
        ["GenerateDataKey" on KeyOfSecret("SecretName"), ResourcePolicy];
    "UpdateSecret" Write: ["UpdateSecret" on Secret("SecretName"), ResourcePolicy];
    "UpdateSecretVersionStage" Write: ["UpdateSecretVersionStage" on Secret("SecretName"), ResourcePolicy];
    "UpdateSecretRotationPolicy" Write: ["UpdateSecretRotationPolicy" on Secret("SecretName"), ResourcePolicy];
    "DeleteSecret" Write: ["DeleteSecret" on Secret("SecretName"), ResourcePolicy];
    "RestoreSecret" Write: ["RestoreSecret" on Secret("SecretName"), ResourcePolicy];
    "RotateSecret" Write: ["RotateSecret" on Secret("SecretName"), ResourcePolicy];
    "ListSecretVersionIds" Read: ["ListSecretVersionIds" on Secret("SecretName"), ResourcePolicy];
    "SetSecretPolicy" Write: ["SetSecretPolicy" on Secret("SecretName"), Ram];
    "GetSecretPolicy" Read: ["GetSecretPolicy" on Secret("SecretName"), Ram];
    "GetRandomPassword" Read: ["GetRandomPassword" on Anything, Ram];
    "GetManagedDataKey" Read: ["GetManagedDataKey" on Anything, Ram];
    "ListManagedDataKeyVersions" Read: ["ListManagedDataKeyVersions" on Anything, Ram];
    // Tags
    "TagResource" Write: ["TagResource" on KeyOrSecret("KeyId", "SecretName"), ResourcePolicy];
    "UntagResource" Write: ["UntagResource" on KeyOrSecret("KeyId", "SecretName"), ResourcePolicy];
    "ListResourceTags" Read: ["ListResourceTags" on Key("KeyId"), ResourcePolicy];
    "TagResources" Write: ["TagResources" on Batch, Ram];
    "UntagResources" Write: ["UntagResources" on Batch, Ram];
    "ListTagResources" Read: ["ListTagResources" on Batch, ResourcePolicy];
    "DescribeRegions" Read: ;
    // Service, instances, network rules, application access
    "DescribeAccountKmsStatus" Read: ["DescribeAccountKmsStatus" on Anything, Ram];
    "OpenKmsService" Write: ["OpenKmsService" on Anything, Ram];
    "ListKmsInstances" Read: ["ListKmsInstances" on Anything, Ram];
    "ConnectKmsInstance" Write: ["ConnectKmsInstance" on Anything, Ram];
    "GetKmsInstance" Read: ["GetKmsInstance" on Anything, Ram];
    "UpdateKmsInstanceBindVpc" Write: ["UpdateKmsInstanceBindVpc" on Anything, Ram];
    "ReleaseKmsInstance" Write: ["ReleaseKmsInstance" on Anything, Ram];
    "GetDefaultKmsInstance" Read: ["GetDefaultKmsInstance" on Anything, Ram];
    "GetKmsInstanceQuotaInfos" Read: ["GetKmsInstanceQuotaInfos" on Anything, Ram];
    "CreateNetworkRule" Write: ["CreateNetworkRule" on Anything, Ram];
    "DescribeNetworkRule" Read: ["DescribeNetworkRule" on Anything, Ram];
    "ListNetworkRules" Read: ["ListNetworkRules" on Anything, Ram];
    "UpdateNetworkRule" Write: ["UpdateNetworkRule" on Anything, Ram];
    "DeleteNetworkRule" Write: ["DeleteNetworkRule" on Anything, Ram];
    "CreatePolicy" Write: ["CreatePolicy" on Anything, Ram];
    "DescribePolicy" Read: ["DescribePolicy" on Anything, Ram];
    "ListPolicies" Read: ["ListPolicies" on Anything, Ram];
    "UpdatePolicy" Write: ["UpdatePolicy" on Anything, Ram];
    "DeletePolicy" Write: ["DeletePolicy" on Anything, Ram];
    "CreateApplicationAccessPoint" Write: ["CreateApplicationAccessPoint" on Anything, Ram];
    "DescribeApplicationAccessPoint" Read: ["DescribeApplicationAccessPoint" on Anything, Ram];
    "ListApplicationAccessPoints" Read: ["ListApplicationAccessPoints" on Anything, Ram];
    "UpdateApplicationAccessPoint" Write: ["UpdateApplicationAccessPoint" on Anything, Ram];
    "DeleteApplicationAccessPoint" Write: ["DeleteApplicationAccessPoint" on Anything, Ram];
    "CreateClientKey" Write: ["CreateClientKey" on Anything, Ram];
    "GetClientKey" Read: ["GetClientKey" on Anything, Ram];
    "ListClientKeys" Read: ["ListClientKeys" on Anything, Ram];
    "DeleteClientKey" Write: ["DeleteClientKey" on Anything, Ram];
    // Certificates: retired, still in older SDKs
    "CreateCertificate" Write: ["CreateCertificate" on Container("certificate"), Ram];
    "UploadCertificate" Write: ["UploadCertificate" on Container("certificate"), Ram];
    "GetCertificate" Read: ["GetCertificate" on Anything, Ram];
    "DescribeCertificate" Read: ["DescribeCertificate" on Anything, Ram];
    "UpdateCertificateStatus" Write: ["UpdateCertificateStatus" on Anything, Ram];
    "DeleteCertificate" Write: ["DeleteCertificate" on Anything, Ram];
    "CertificatePrivateKeySign" Read: ["CertificatePrivateKeySign" on Anything, Ram];
    "CertificatePublicKeyVerify" Read: ["CertificatePublicKeyVerify" on Anything, Ram];
    "CertificatePublicKeyEncrypt" Read: ["CertificatePublicKeyEncrypt" on Anything, Ram];
    "CertificatePrivateKeyDecrypt" Read: ["CertificatePrivateKeyDecrypt" on Anything, Ram];
};

/// The operations of STS that are served. AssumeRole needs a RAM policy that allows it, and a role that trusts the caller.
pub const STS_OPERATIONS: &[Operation] = &[
    Operation {
        name: "AssumeRole",
        authorization: Needs(&[Need { action: "sts:AssumeRole", on: Role("RoleArn"), scope: Ram }]),
        effect: Read,
    },
    Operation { name: "GetCallerIdentity", authorization: Authenticated, effect: Read },
];

impl Api {
    /// Both of them.
    pub const ALL: &'static [Self] = &[Self::Kms, Self::Sts];

    /// The only version of it that there is.
    pub fn version(self) -> &'static str {
        match self {
            Self::Kms => "2016-01-20",
            Self::Sts => "2015-04-01",
        }
    }

    /// The API that has this operation; what none has is asked of KMS.
    pub fn having(operation: &str) -> Self {
        let has = |api: &&Self| Operation::find(**api, operation).is_some();
        Self::ALL.iter().find(has).copied().unwrap_or(Self::Kms)
    }

    /// Its name in the credential of a V4 signature.
    pub fn product(self) -> &'static str {
        match self {
            Self::Kms => "Kms",
            Self::Sts => "Sts",
        }
    }

    /// Its table.
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Self::Kms => OPERATIONS,
            Self::Sts => STS_OPERATIONS,
        }
    }
}

#[cfg(test)]
mod tests;
