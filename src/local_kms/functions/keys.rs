//! CreateKey, DescribeKey, ListKeys.

use std::sync::Arc;

use serde_json::Value;

use crate::kms::{Address, AliasName, ErrorCode, KeyId, KmsError, Params, Resource};
use crate::policy::Kind;
use crate::served::policies::Protected;

use super::super::execution::{Execution, internal_failure};
use super::super::key::{Import, Key, KeySpec, KeyState, KeyVersion, NEW_KEY_ROTATION_DAYS, Protection, Usage};
use super::super::parameters::{self, FilterTable, Filters, Page};
use super::super::state::{Account, Record};
use super::key_versions;
use super::policies::{InInstance, store_policy};
use super::{Members, address, list, members, present};

/// The longest description of a key, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 8_192;

/// The origin of keys whose material is made here.
const ORIGIN: &str = "Aliyun_KMS";

/// The origin of keys whose material is imported.
const EXTERNAL: &str = "EXTERNAL";

/// `CreateKey`: a key of the caller's account.
pub fn create_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let (params, account) = (execution.params(), execution.account());
    let key = Arc::new(new_key(execution)?);
    let policy = parameters::policy(params, Kind::Key, key.instance.is_some())?;
    let id = free_id(execution, key.instance.is_some())?;
    execution.write(|draft| {
        if draft.state().account(account).keys.contains_key(&id) {
            return Err(internal_failure("the id of a new key is taken"));
        }
        draft.put(Record::Key(account.to_owned(), id.clone(), key.clone()));
        // Last, and before the key exists: a key must never be without the policy that it was ordered with. If the key
        // fails now, a policy is left for an id that nobody has and nobody will have.
        let Some((policy, instance)) = policy.zip(key.instance.clone()) else { return Ok(()) };
        let of = InInstance { of: Protected { kind: Kind::Key, account, name: id.as_str() }, instance };
        store_policy(execution, draft.state(), &of, &policy)
    })?;
    let metadata = metadata(address(execution, account), &id, &key, Some(""));
    Ok(members([("KeyMetadata", metadata.into())]))
}

/// An id that no key has: ids that are counted may stand in a seed already.
fn free_id(execution: &Execution<'_>, in_instance: bool) -> Result<KeyId, KmsError> {
    let taken = execution.kms.state().account(execution.account()).keys;
    loop {
        let id = execution.kms.ids.key_id(in_instance)?;
        let id = id.ok_or_else(|| internal_failure("a new key id is malformed"))?;
        if !taken.contains_key(&id) {
            return Ok(id);
        }
    }
}

fn new_key(execution: &Execution<'_>) -> Result<Key, KmsError> {
    let (params, ids, now) = (execution.params(), &execution.kms.ids, execution.now);
    let instance = parameters::instance(params)?;
    let spec = spec(params.given("KeySpec"), instance.is_some())?;
    let usage = Usage::parse(params.given("KeyUsage"), spec)
        .map_err(|why| KmsError::invalid_parameter_because("KeyUsage", why))?;
    let import = import(params, spec)?;
    let rotation = key_versions::rotation(execution, NEW_KEY_ROTATION_DAYS)?;
    if rotation.is_some() && (spec.symmetric().is_none() || import.is_some()) {
        let why = "only symmetric keys rotate, and only if their material is made here";
        return Err(KmsError::invalid_parameter_because("EnableAutomaticRotation", why));
    }
    let protection = protection(params)?;
    let primary = if import.is_some() { KeyVersion::awaiting(ids, now) } else { KeyVersion::generate(spec, ids, now)? };
    Ok(Key {
        usage,
        state: if import.is_some() { KeyState::PendingImport } else { KeyState::Enabled },
        import,
        rotation,
        description: parameters::text(params, "Description", DESCRIPTION_CHARS_MAX)?,
        // KMS ignores the level for keys in an instance; what the instance is decides.
        protection: if instance.is_some() { Protection::Software } else { protection },
        instance,
        tags: parameters::tags(params)?,
        ..Key::new(spec, primary, execution.account())
    })
}

fn spec(name: Option<&str>, in_instance: bool) -> Result<KeySpec, KmsError> {
    let Some(name) = name else { return Ok(KeySpec::Aes256) };
    KeySpec::of_new(name, in_instance).map_err(|error| KmsError::invalid_parameter_because("KeySpec", error))
}

/// `Origin`: whether the material is to be imported. That of asymmetric keys cannot be.
fn import(params: &Params, spec: KeySpec) -> Result<Option<Import>, KmsError> {
    match params.given("Origin") {
        None | Some(ORIGIN) => Ok(None),
        Some(EXTERNAL) if spec.symmetric().is_some() => Ok(Some(Import::default())),
        Some(EXTERNAL) => Err(ErrorCode::UnsupportedOrigin.into()),
        Some(_) => Err(KmsError::invalid_parameter_because("Origin", format!("it is {ORIGIN} or {EXTERNAL}"))),
    }
}

fn protection(params: &Params) -> Result<Protection, KmsError> {
    let Some(level) = params.given("ProtectionLevel") else { return Ok(Protection::Software) };
    let wrong = || KmsError::invalid_parameter_because("ProtectionLevel", "it is SOFTWARE or HSM");
    Protection::parse(level).ok_or_else(wrong)
}

/// `DescribeKey`.
pub fn describe_key(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let name = execution.key(0)?;
    let state = execution.kms.state();
    let key = state.key(name)?;
    let mut metadata = metadata(address(execution, &name.account), &name.name, key, None);
    let protection = if key.protected.is_some() { "Enabled" } else { "Disabled" };
    metadata.insert("DeletionProtection".to_owned(), protection.into());
    let description = key.protected.as_deref().unwrap_or_default();
    metadata.insert("DeletionProtectionDescription".to_owned(), description.into());
    Ok(members([("KeyMetadata", metadata.into())]))
}

/// What both CreateKey and DescribeKey say about a key. There are no dates of a next rotation where there is none; the
/// date of deletion is empty in CreateKey's answer and missing in DescribeKey's.
fn metadata(address: Address<'_>, id: &KeyId, key: &Key, delete_date: Option<&str>) -> Members {
    let text = |text: &str| Some(Value::from(text));
    let deletion = key.deletion.map(|moment| moment.to_string());
    let expires = key.import.as_ref().and_then(|import| import.expires).map(|moment| moment.to_string());
    // It goes on when the key is enabled again.
    let rotates = if key.state == KeyState::Enabled { "Enabled" } else { "Suspended" };
    let rotation = key.rotation.as_ref();
    present([
        ("Arn", text(&Resource::key(address, id).arn)),
        ("AutomaticRotation", text(rotation.map_or("Disabled", |_| rotates))),
        ("CreationDate", text(&key.created.to_string())),
        ("Creator", text(&key.creator)),
        ("DKMSInstanceId", key.instance.as_deref().and_then(text)),
        ("DeleteDate", deletion.as_deref().or(delete_date).and_then(text)),
        ("Description", text(&key.description)),
        ("KeyId", text(id.as_str())),
        ("KeySpec", text(key.spec.as_str())),
        ("KeyState", text(&key.state.to_string())),
        ("KeyUsage", text(key.usage.as_str())),
        ("LastRotationDate", text(&key.primary.created.to_string())),
        ("MaterialExpireTime", text(&expires.unwrap_or_default())),
        ("NextRotationDate", rotation.and_then(|it| text(&it.next.to_string()))),
        ("Origin", text(key.import.as_ref().map_or(ORIGIN, |_| EXTERNAL))),
        ("PrimaryKeyVersion", text(&key.primary.id)),
        ("ProtectionLevel", text(key.protection.as_str())),
        ("RotationInterval", rotation.and_then(|it| text(&format!("{}s", it.interval)))),
    ])
}

/// A key with its id and the account that owns it, as lists show and filter it.
struct Listed {
    id: KeyId,
    key: Arc<Key>,
    owned: Account,
}

/// What keys can be filtered by (ListKeys, "Filters", which spells `keyId` so). All keys here were created by users.
const FILTERS: FilterTable<Listed> = &[
    ("KeyState", |listed, value| listed.key.state.to_string() == value),
    ("keyId", |listed, value| listed.id.as_str() == value),
    ("AliasName", |listed, value| {
        AliasName::parse(value).is_some_and(|alias| listed.owned.aliases.get(&alias) == Some(&listed.id))
    }),
    ("TagKey", |listed, value| listed.key.tags.iter().any(|tag| tag.key == value)),
    ("TagValue", |listed, value| listed.key.tags.iter().any(|tag| tag.value == value)),
    ("Creator", |listed, value| listed.key.creator == value),
    ("KeySpec", |listed, value| listed.key.spec.as_str() == value),
    ("KeyUsage", |listed, value| listed.key.usage.as_str() == value),
    ("ProtectionLevel", |listed, value| listed.key.protection.as_str() == value),
    ("CreatorType", |_, value| value == "User"),
    ("DKMSInstanceId", |listed, value| listed.key.instance.as_deref() == Some(value)),
];

/// `ListKeys`: the keys of the caller's account, the oldest first.
pub fn list_keys(execution: &Execution<'_>) -> Result<Members, KmsError> {
    let page = Page::read(execution.params(), 1..=100)?;
    let filters = Filters::read(execution.params(), FILTERS)?;
    let owned = execution.kms.state().account(execution.account());
    let listed = |(id, key): (&KeyId, &Arc<Key>)| Listed { id: id.clone(), key: key.clone(), owned: owned.clone() };
    let mut keys: Vec<Listed> = owned.keys.iter().map(listed).filter(|listed| filters.pass(listed)).collect();
    keys.sort_by(|a, b| (a.key.created, &a.id).cmp(&(b.key.created, &b.id)));
    let total = keys.len();
    let address = address(execution, execution.account());
    let entry = |listed: &Listed| -> Value {
        let arn = Resource::key(address, &listed.id).arn;
        members([("KeyId", listed.id.as_str().into()), ("KeyArn", arn.into())]).into()
    };
    let entries = page.of(keys).iter().map(entry).collect();
    Ok(page_members("Keys", list("Key", entries), total, page))
}

/// The members of an answer that is one page of a list.
pub fn page_members(name: &str, entries: Value, total: usize, page: Page) -> Members {
    members([
        (name, entries),
        ("TotalCount", total.into()),
        ("PageNumber", page.number.into()),
        ("PageSize", page.size.into()),
    ])
}
