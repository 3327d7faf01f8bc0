//! CreateSecret, DescribeSecret, ListSecrets: generic secrets.

use std::sync::Arc;

use serde_json::Value;

use crate::kms::{ErrorCode, KeyId, KmsError, Params, Resource, SecretName, SecretRef};
use crate::policy::Kind;
use crate::served::policies::Protected;

use super::super::execution::Execution;
use super::super::key::{Key, Purpose};
use super::super::parameters::{self, FilterTable, Filters, Page};
use super::super::secret::{self, CURRENT, RESERVED_NAME_PREFIX, Secret, TYPE};
use super::super::secret_value::SecretValue;
use super::super::state::{Record, State};
use super::keys::page_members;
use super::policies::{InInstance, store_policy};
use super::secret_life::no_rotation;
use super::{Members, address, list, present, tag_list};

/// Types that KMS has and the embedded KMS does not: it cannot change a password elsewhere.
const TYPES_NOT_SERVED: &[&str] = &["Rds", "Redis", "RAMCredentials", "ECS", "PolarDB"];

/// The longest description of a secret, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 8_192;

/// The longest `ExtendedConfig`, in characters.
pub const EXTENDED_CONFIG_CHARS_MAX: usize = 1_024;

/// `CreateSecret`: a secret of the caller's account, with its first version.
pub fn create_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (params, account) = (execution.params(), execution.account());
    let name = new_name(params)?;
    check_type(params)?;
    if parameters::switch(params, "EnableAutomaticRotation")? {
        // A secret that is said to rotate and does not would be worse than a refusal.
        return Err(no_rotation());
    }
    execution.write(|draft| {
        let key = encryption_key(execution, draft.state())?;
        let secret = new_secret(execution, draft.state(), &name, key)?;
        let policy = parameters::policy(params, Kind::Secret, secret.instance.is_some())?;
        let instance = secret.instance.clone();
        if let Some(existing) = draft.state().account(account).secrets.get(&name) {
            existing.usable()?;
            return Err(ErrorCode::ResourceExist.into());
        }
        let answer = created(execution, &name, &secret)?;
        draft.put(Record::Secret(account.to_owned(), name.clone(), Arc::new(secret)));
        // Last, and before the secret exists: a secret must never be without the policy that it was ordered with. If
        // the secret fails now, the policy waits for the caller's next attempt.
        if let Some((policy, instance)) = policy.zip(instance) {
            let of = InInstance { of: Protected { kind: Kind::Secret, account, name: name.as_str() }, instance };
            store_policy(execution, draft.state(), &of, &policy)?;
        }
        Ok(answer)
    })
}

fn new_secret(
    execution: &Execution<'_>,
    state: &State,
    name: &SecretName,
    key: Option<(&KeyId, &Key)>,
) -> Result<Secret, KmsError> {
    let (params, now) = (execution.params(), execution.now);
    let value = SecretValue::read(params)?;
    let asked = parameters::instance(params)?;
    let instance = secret::instance(asked.as_deref(), key.map(|(_, key)| key.instance.as_deref()));
    let sealer = key.map_or(&*state.default_key, |(_, key)| &key.primary);
    let extended_config = parameters::text(params, "ExtendedConfig", EXTENDED_CONFIG_CHARS_MAX)?;
    Ok(Secret {
        description: parameters::text(params, "Description", DESCRIPTION_CHARS_MAX)?,
        instance: instance.ok_or_else(|| {
            let why = "a secret is encrypted by a key of its own KMS instance";
            KmsError::invalid_parameter_because("EncryptionKeyId", why)
        })?,
        key: key.map(|(id, _)| id.clone()),
        created: now,
        updated: now,
        deletion: None,
        tags: parameters::tags(params)?,
        extended_config: (!extended_config.is_empty()).then_some(extended_config),
        versions: vec![value.seal(sealer, execution.account(), name, vec![CURRENT.to_owned()], now)?],
    })
}

/// A new secret is named without an ARN: nobody creates one in another account.
fn new_name(params: &Params) -> Result<SecretName, KmsError> {
    let text = params.require("SecretName")?;
    match SecretRef::parse(text) {
        Some((None, name)) if !text.starts_with(RESERVED_NAME_PREFIX) => Ok(name),
        _ => Err(KmsError::invalid_parameter("SecretName")),
    }
}

fn check_type(params: &Params) -> Result<(), KmsError> {
    match params.given("SecretType") {
        None | Some(TYPE) => Ok(()),
        Some(known) if TYPES_NOT_SERVED.contains(&known) => {
            let message = format!("This action is not supported: the embedded KMS has no secrets of type {known}.");
            Err(KmsError::new(ErrorCode::UnsupportedOperation, message))
        }
        Some(_) => Err(KmsError::invalid_parameter("SecretType")),
    }
}

/// The key at `EncryptionKeyId`, as it was judged. A secret and its key are of one account.
fn encryption_key<'a>(execution: &Execution<'a>, state: &'a State) -> Result<Option<(&'a KeyId, &'a Key)>, KmsError> {
    if !execution.has_target(1) {
        return Ok(None);
    }
    let name = execution.key(1)?;
    let key = state.key(name)?;
    key.fit_for(Purpose::Cryptography)?;
    if key.spec.symmetric().is_none() {
        return Err(KmsError::invalid_parameter_because("EncryptionKeyId", "a secret is encrypted by a symmetric key"));
    }
    if name.account != execution.account() {
        let why = "a secret is encrypted by a key of its own account";
        return Err(KmsError::invalid_parameter_because("EncryptionKeyId", why));
    }
    Ok(Some((&name.name, key)))
}

fn created(execution: &Execution<'_>, name: &SecretName, secret: &Secret) -> Result<Members, KmsError> {
    let arn = Resource::secret(address(execution, execution.account()), name).arn;
    Ok(present([
        ("Arn", Some(arn.into())),
        ("SecretName", Some(name.as_str().into())),
        ("VersionId", Some(execution.params().require("VersionId")?.into())),
        ("SecretType", Some(TYPE.into())),
        ("DKMSInstanceId", secret.instance.as_deref().map(Value::from)),
    ]))
}

/// `DescribeSecret`: everything but the data. When it will be deleted is there only if it will be; members about rotation
/// are for managed secrets only (DescribeSecret, "AutomaticRotation").
pub fn describe_secret(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.secret(0)?;
    let fetch_tags = parameters::switch(execution.params(), "FetchTags")?;
    let state = execution.kms.state();
    let secret = state.secret(name)?;
    let text = |text: &str| Some(Value::from(text));
    Ok(present([
        ("Arn", text(&Resource::secret(address(execution, &name.account), &name.name).arn)),
        ("SecretName", text(name.name.as_str())),
        ("SecretType", text(TYPE)),
        ("Description", text(&secret.description)),
        ("EncryptionKeyId", secret.key.as_ref().and_then(|key| text(key.as_str()))),
        ("CreateTime", text(&secret.created.to_string())),
        ("UpdateTime", text(&secret.updated.to_string())),
        ("PlannedDeleteTime", secret.deletion.and_then(|moment| text(&moment.to_string()))),
        ("DKMSInstanceId", secret.instance.as_deref().and_then(text)),
        ("ExtendedConfig", secret.extended_config.as_deref().and_then(text)),
        ("Tags", fetch_tags.then(|| tag_list(&secret.tags))),
    ]))
}

/// `ListSecrets`: those of the caller's account, the oldest first.
pub fn list_secrets(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let params = execution.params();
    let page = Page::read(params, 1..=100)?;
    let filters = Filters::read(params, FILTERS)?;
    let fetch_tags = parameters::switch(params, "FetchTags")?;
    let account = execution.kms.state().account(execution.account());
    let entries = account.secrets.iter().map(|(name, secret)| Listed { name: name.clone(), secret: secret.clone() });
    let mut found: Vec<_> = entries.filter(|listed| filters.pass(listed)).collect();
    found.sort_by(|a, b| (a.secret.created, &a.name).cmp(&(b.secret.created, &b.name)));
    let total = found.len();
    let entries = page.of(found).iter().map(|listed| listed.entry(fetch_tags)).collect();
    Ok(page_members("SecretList", list("Secret", entries), total, page))
}

/// A secret with its name, as lists show and filter it.
struct Listed {
    name: SecretName,
    secret: Arc<Secret>,
}

impl Listed {
    fn entry(&self, fetch_tags: bool) -> Value {
        present([
            ("SecretName", Some(self.name.as_str().into())),
            ("SecretType", Some(TYPE.into())),
            ("CreateTime", Some(self.secret.created.to_string().into())),
            ("UpdateTime", Some(self.secret.updated.to_string().into())),
            ("PlannedDeleteTime", self.secret.deletion.map(|moment| moment.to_string().into())),
            ("Tags", fetch_tags.then(|| tag_list(&self.secret.tags))),
        ])
        .into()
    }
}

/// What secrets can be filtered by (ListSecrets, "Filters"). Names and descriptions match from their beginning; a whole
/// one is the longest beginning.
const FILTERS: FilterTable<Listed> = &[
    ("SecretName", |listed, value| listed.name.as_str().starts_with(value)),
    ("Description", |listed, value| listed.secret.description.starts_with(value)),
    ("TagKey", |listed, value| listed.secret.tags.iter().any(|tag| tag.key == value)),
    ("TagValue", |listed, value| listed.secret.tags.iter().any(|tag| tag.value == value)),
    ("DKMSInstanceId", |listed, value| listed.secret.instance.as_deref() == Some(value)),
    ("SecretType", |_, value| value == TYPE),
];
