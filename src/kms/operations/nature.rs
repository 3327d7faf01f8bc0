//! What operations are like, beside what they need: which kind of work, whether they may be tried or repeated, and where
//! their answers name the key.

use super::{Api, Effect, Operation};

/// What kind of work an operation is, as KMS counts requests against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Encrypting, decrypting, signing, data keys.
    Cryptography,
    /// Reading what is in a secret.
    SecretValues,
    /// Everything else.
    Management,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cryptography, Self::SecretValues, Self::Management];

    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cryptography => "cryptography",
            Self::SecretValues => "secret_values",
            Self::Management => "management",
        }
    }

    /// The name of the setting that limits it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Cryptography => "cryptography_per_second",
            Self::SecretValues => "secret_values_per_second",
            Self::Management => "management_per_second",
        }
    }
}

impl Operation {
    /// The operation of that name; case matters.
    pub fn find(api: Api, name: &str) -> Option<&'static Self> {
        api.operations().iter().find(|operation| operation.name == name)
    }

    /// What kind of work it is.
    pub fn class(&self) -> Class {
        const CRYPTOGRAPHY: &[&str] = &[
            "Encrypt",
            "Decrypt",
            "ReEncrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateAndExportDataKey",
            "ExportDataKey",
            "AsymmetricEncrypt",
            "AsymmetricDecrypt",
            "AsymmetricSign",
            "AsymmetricVerify",
            "GenerateMac",
            "VerifyMac",
        ];
        match self.name {
            "GetSecretValue" => Class::SecretValues,
            name if CRYPTOGRAPHY.contains(&name) => Class::Cryptography,
            _ => Class::Management,
        }
    }

    /// Where its answer names the key that it was about, as a JSON pointer; `None` if it does not. Only of operations that
    /// change nothing (the operations' own pages: response parameters).
    pub fn names_key_at(&self) -> Option<&'static str> {
        const AT_KEY_ID: &[&str] = &[
            "Encrypt",
            "Decrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateAndExportDataKey",
            "ExportDataKey",
            "AsymmetricEncrypt",
            "AsymmetricDecrypt",
            "AsymmetricSign",
            "AsymmetricVerify",
            "GenerateMac",
            "VerifyMac",
            "GetPublicKey",
        ];
        match self.name {
            "DescribeKey" => Some("/KeyMetadata/KeyId"),
            "DescribeKeyVersion" => Some("/KeyVersion/KeyId"),
            name if AT_KEY_ID.contains(&name) => Some("/KeyId"),
            _ => None,
        }
    }

    /// Whether its `KeyId` may be an alias. Most operations that change a key take its id or ARN only (the operations' pages:
    /// `Unsupported.Alias`).
    pub fn takes_alias(&self) -> bool {
        const BY_ID_ONLY: &[&str] = &[
            "EnableKey",
            "DisableKey",
            "UpdateKeyDescription",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
            "SetDeletionProtection",
            "CreateKeyVersion",
            "UpdateRotationPolicy",
            "SetKeyPolicy",
            "GetKeyPolicy",
            "CreateAlias",
            "UpdateAlias",
        ];
        !BY_ID_ONLY.contains(&self.name)
    }

    /// Whether executing it twice is the same as once, for whoever asks and for KMS: a lost answer may be asked for again.
    pub fn is_repeatable(&self) -> bool {
        const CHANGE_NOTHING: &[&str] = &[
            "Decrypt",
            "AsymmetricDecrypt",
            "AsymmetricVerify",
            "VerifyMac",
            "GetPublicKey",
            "GetKeyPolicy",
            "GetSecretPolicy",
            "GetSecretValue",
        ];
        let is_told = self.name.starts_with("Describe") || self.name.starts_with("List");
        self.effect == Effect::Read && (is_told || CHANGE_NOTHING.contains(&self.name))
    }

    /// Whether a request can ask what would happen instead of having it done (the operations' pages: "DryRun"). None of
    /// these changes anything.
    pub fn has_dry_run(&self) -> bool {
        const HAVE: &[&str] = &[
            "Encrypt",
            "Decrypt",
            "ReEncrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateAndExportDataKey",
            "ExportDataKey",
            "AsymmetricEncrypt",
            "AsymmetricDecrypt",
            "AsymmetricSign",
            "AsymmetricVerify",
            "GetPublicKey",
            "GenerateMac",
            "VerifyMac",
            "GetSecretValue",
        ];
        HAVE.contains(&self.name)
    }
}
