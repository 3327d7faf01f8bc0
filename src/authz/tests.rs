//! Tables for `authorize` itself: signed requests against handmade snapshots, from the wire to the verdict.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::authn::{Directory, rpc_signature};
use crate::kms::{AliasName, CiphertextBlob, KeyId, Params, SecretName, percent_encode};
use crate::policy::{AccountPrincipal, Identity, Kind, Policy};

const NOW: &str = "2026-01-02T03:04:05Z";

/// Account 1 owns keys and secrets; account 2 is a partner. Everybody's secret is `secret of NAME`.
const IDENTITIES: &str = "
    [accounts.1]
    root_access_keys = [{ id = 'root', secret = 'secret of root' }]
    [accounts.1.users.alice]
    access_keys = [{ id = 'alice', secret = 'secret of alice' }]
    [accounts.2.users.carol]
    access_keys = [{ id = 'carol', secret = 'secret of carol' }]
";

/// Key versions of `k1` and `k2`, as ciphertexts name them.
const VERSION_OF_K1: &str = "11111111-1111-1111-1111-111111111111";
const VERSION_OF_K2: &str = "22222222-2222-2222-2222-222222222222";
const VERSION_OF_NOBODY: &str = "99999999-9999-9999-9999-999999999999";

/// A snapshot that is built up statement by statement. `alias/orders` points to `k1`; the secret `db` is encrypted by
/// `k2`, the secret `plain` by no key of its owner's.
struct House(Snapshot);

impl House {
    fn new() -> Self {
        let directory = Directory::parse(IDENTITIES, &|_| Err("no secret is elsewhere".to_owned())).ok().unwrap();
        let members = directory.members().iter().map(|_| Box::default()).collect();
        let mut index = ResourceIndex::default();
        index.set_alias("1", &AliasName::parse("alias/orders").unwrap(), key_id("k1"));
        index.add_version(VERSION_OF_K1, "1", key_id("k1"));
        index.add_version(VERSION_OF_K2, "1", key_id("k2"));
        index.add_secret("1", &SecretName::parse("db").unwrap(), Some(key_id("k2")));
        index.add_secret("1", &SecretName::parse("plain").unwrap(), None);
        Self(Snapshot {
            generation: 7,
            directory: Arc::new(directory),
            policies: Arc::new(PolicyTable { members, ..PolicyTable::default() }),
            index,
            rules: Arc::new(Rules { region: "cn-hangzhou".to_owned(), ..Rules::default() }),
        })
    }

    fn policies(&mut self) -> &mut PolicyTable {
        Arc::get_mut(&mut self.0.policies).unwrap()
    }

    /// Attaches a RAM policy with these statements.
    fn ram(mut self, who: &str, statements: &[String]) -> Self {
        let member = self.0.directory.access_key(who).unwrap().1.member;
        self.policies().members[member] = Box::new([policy(Kind::Ram, &format!("ram/{who}.json"), statements)]);
        self
    }

    /// Gives a key of account 1 a policy.
    fn key(mut self, id: &str, statements: &[String]) -> Self {
        let policy = policy(Kind::Key, &format!("keys/{id}.json"), statements);
        self.policies().keys.entry("1".to_owned()).or_default().insert(id.to_owned(), policy);
        self
    }

    /// Gives a secret of account 1 a policy.
    fn secret(mut self, name: &str, statements: &[String]) -> Self {
        let policy = policy(Kind::Secret, &format!("secrets/{name}.json"), statements);
        self.policies().secrets.entry("1".to_owned()).or_default().insert(name.to_owned(), policy);
        self
    }

    fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::get_mut(&mut self.0.rules).unwrap());
        self
    }

    fn judge(&self, who: &str, operation: &str, params: &[(&str, &str)]) -> Judgement {
        let target = signed(who, operation, params);
        let headers = HeaderMap::new();
        let raw =
            RawRequest { method: "POST", target: &target, headers: &headers, body: b"", peer: None, secure: false };
        authorize(&self.0, &raw, NOW.parse().unwrap())
    }

    /// The verdict in one word: `allow`, the reason of a denial, or the code of another refusal.
    fn answer(&self, who: &str, operation: &str, params: &[(&str, &str)]) -> &'static str {
        match self.judge(who, operation, params).verdict {
            Ok(_) => "allow",
            Err(Rejection::Denied(denial)) => denial.reason,
            Err(rejection) => rejection.error().code.as_str(),
        }
    }

    /// What is needed: action and resource, without `kms:` and without the address where it is the usual one.
    fn needed(&self, who: &str, operation: &str, params: &[(&str, &str)]) -> Vec<String> {
        let permissions = self.judge(who, operation, params).trail.permissions;
        let short = |(action, resource): (String, String)| {
            format!("{} {}", action.replace("kms:", ""), resource.replace("acs:kms:cn-hangzhou:1:", ""))
        };
        permissions.into_iter().map(short).collect()
    }

    fn denial(&self, who: &str, operation: &str, params: &[(&str, &str)]) -> Denial {
        match self.judge(who, operation, params).verdict {
            Err(Rejection::Denied(denial)) => *denial,
            other => panic!("{other:?}"),
        }
    }
}

/// With an STS token, KMS authorizes GetSecretValue on the secret alone.
#[test]
fn sessions_read_secrets_without_decrypt() {
    let house = House::new();
    let target = signed("alice", "GetSecretValue", &[("SecretName", "db")]);
    let headers = HeaderMap::new();
    let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", peer: None, secure: false };
    let request = KmsRequest::parse(&raw).unwrap();
    let actions = |identity| {
        let caller = Principal { account: "1".into(), identity };
        let needed = needs::permissions(&house.0, &request, &caller).unwrap();
        needed.into_iter().map(|permission| permission.action).collect::<Vec<_>>()
    };
    let session = Identity::Session { role: "app".into(), session: "s1".into() };
    assert_eq!(actions(session), ["kms:GetSecretValue"]);
    assert_eq!(actions(Identity::User("alice".into())), ["kms:GetSecretValue", "kms:Decrypt"]);
}

/// The target of a V1 request signed with `secret of WHO`.
fn signed(who: &str, operation: &str, params: &[(&str, &str)]) -> String {
    let public = [
        ("Action", operation),
        ("Version", "2016-01-20"),
        ("AccessKeyId", who),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", NOW),
    ];
    let all: Params = public.iter().chain(params).copied().collect();
    let signature = rpc_signature(&format!("secret of {who}").into(), "POST", &all);
    format!("/?{}&Signature={}", all.canonical(), percent_encode(&signature))
}

fn key_id(id: &str) -> KeyId {
    KeyId::parse(id).unwrap()
}

fn policy(kind: Kind, name: &str, statements: &[String]) -> Arc<Policy> {
    let text = format!(r#"{{"Version":"1","Statement":[{}]}}"#, statements.join(","));
    Arc::new(parse_policy(kind, name, &text).unwrap())
}

/// A RAM statement. `resource` is `*`, or stands below the usual address: `key/k1`.
fn ram(effect: &str, action: &str, resource: &str) -> String {
    let arn = if resource == "*" { "*".to_owned() } else { format!("acs:kms:cn-hangzhou:1:{resource}") };
    format!(r#"{{"Effect":"{effect}","Action":"kms:{action}","Resource":"{arn}"}}"#)
}

fn allow(action: &str, resource: &str) -> String {
    ram("Allow", action, resource)
}

/// A statement of a key or secret policy.
fn grant(effect: &str, who: &str, action: &str) -> String {
    let principal = format!(r#"{{"RAM":"acs:ram::{who}"}}"#);
    format!(
        r#"{{"Sid":"{effect}It","Effect":"{effect}","Principal":{principal},"Action":"kms:{action}","Resource":"*"}}"#
    )
}

fn ciphertext(version: &str) -> String {
    CiphertextBlob::new(version, b"sealed").encode()
}

const HELLO: (&str, &str) = ("Plaintext", "aGVsbG8gd29ybGQ=");

#[test]
fn a_key_is_the_same_by_id_alias_and_arn() {
    let one = House::new().ram("alice", &[allow("Encrypt", "key/k1")]);
    let other = House::new().ram("alice", &[allow("Encrypt", "key/k2"), allow("Encrypt", "alias/*")]);
    for name in ["k1", "alias/orders", "acs:kms:cn-hangzhou:1:key/k1", "acs:kms:cn-hangzhou:1:alias/orders"] {
        let params = [("KeyId", name), HELLO];
        assert_eq!(one.needed("alice", "Encrypt", &params), ["Encrypt key/k1"], "{name}");
        assert_eq!(one.answer("alice", "Encrypt", &params), "allow", "{name}");
        assert_eq!(other.answer("alice", "Encrypt", &params), "implicit_deny", "{name}");
        let permit = one.judge("alice", "Encrypt", &params).verdict.unwrap();
        let address = Owned { region: "cn-hangzhou".to_owned(), account: "1".to_owned(), name: key_id("k1") };
        assert_eq!(permit.targets(), [Target::Key(address)], "{name}");
        assert_eq!(
            (permit.request().call.name(), permit.caller().to_string().as_str()),
            ("Encrypt", "acs:ram::1:user/alice")
        );
    }
}

#[test]
fn an_alias_that_points_nowhere_is_judged_by_its_own_name() {
    let params = [("KeyId", "alias/nothing"), HELLO];
    for (resource, answer) in [("key/*", "implicit_deny"), ("alias/nothing", "allow"), ("*", "allow")] {
        let house = House::new().ram("alice", &[allow("Encrypt", resource)]);
        assert_eq!(house.answer("alice", "Encrypt", &params), answer, "{resource}");
    }
}

#[test]
fn a_bare_name_means_the_callers_own_account() {
    let house = House::new().key("k1", &[grant("Allow", "2:user/carol", "Encrypt")]);
    for (name, needed) in [
        ("k1", "Encrypt acs:kms:cn-hangzhou:2:key/k1"),
        ("alias/orders", "Encrypt acs:kms:cn-hangzhou:2:alias/orders"),
        ("acs:kms:cn-hangzhou:1:key/k1", "Encrypt key/k1"),
    ] {
        assert_eq!(house.needed("carol", "Encrypt", &[("KeyId", name)]), [needed]);
    }
    assert_eq!(house.answer("carol", "Encrypt", &[("KeyId", "k1")]), "implicit_deny");
}

#[test]
fn another_accounts_key_needs_both_halves() {
    let (ram_half, key_half) = ([allow("Encrypt", "key/k1")], [grant("Allow", "2:user/carol", "Encrypt")]);
    let params = [("KeyId", "acs:kms:cn-hangzhou:1:key/k1"), HELLO];
    let neither = House::new();
    assert_eq!(neither.answer("carol", "Encrypt", &params), "implicit_deny");
    let one = House::new().ram("carol", &ram_half);
    assert_eq!(one.answer("carol", "Encrypt", &params), "cross_account_resource_policy_missing");
    let other = House::new().key("k1", &key_half);
    assert_eq!(other.answer("carol", "Encrypt", &params), "cross_account_ram_policy_missing");
    let both = House::new().ram("carol", &ram_half).key("k1", &key_half);
    assert_eq!(both.answer("carol", "Encrypt", &params), "allow");
    assert_eq!(both.answer("carol", "Decrypt", &[("CiphertextBlob", &ciphertext(VERSION_OF_K1))]), "implicit_deny");
}

#[test]
fn an_explicit_deny_in_the_key_policy_beats_ram() {
    let params = [("KeyId", "k1"), HELLO];
    let house = House::new().ram("alice", &[allow("*", "*")]);
    assert_eq!(house.answer("alice", "Encrypt", &params), "allow");
    let house = house.key("k1", &[grant("Allow", "1:*", "*"), grant("Deny", "1:user/alice", "Encrypt")]);
    let denial = house.denial("alice", "Encrypt", &params);
    assert_eq!(
        (denial.reason, denial.statement.as_deref()),
        ("explicit_deny", Some("keys/k1.json statement 2 (DenyIt)"))
    );
    assert_eq!(house.answer("root", "Encrypt", &params), "allow", "the owning account keeps the key");
}

#[test]
fn what_the_account_as_principal_means_is_the_operators_choice() {
    let params = [("KeyId", "k1"), HELLO];
    let house = House::new().key("k1", &[grant("Allow", "1:*", "*")]);
    assert_eq!(house.answer("alice", "Encrypt", &params), "implicit_deny");
    let house = house.rules(|rules| rules.account_principal = AccountPrincipal::Literal);
    assert_eq!(house.answer("alice", "Encrypt", &params), "allow");
}

/// A key policy speaks only about actions in its scope; AsymmetricSign is none of them.
#[test]
fn a_key_policy_cannot_grant_what_is_out_of_its_scope() {
    let house = House::new().key("k1", &[grant("Allow", "1:user/alice", "*")]);
    assert_eq!(house.answer("alice", "Encrypt", &[("KeyId", "k1"), HELLO]), "allow");
    assert_eq!(house.answer("alice", "AsymmetricSign", &[("KeyId", "k1")]), "implicit_deny");
}

#[test]
fn decrypt_is_judged_on_the_key_that_made_the_ciphertext() {
    let on_k1 = House::new().ram("alice", &[allow("Decrypt", "key/k1")]);
    let on_keys = House::new().ram("alice", &[allow("Decrypt", "key/*")]);
    let on_all = House::new().ram("alice", &[allow("Decrypt", "*")]);
    for (blob, needed, answers) in [
        (ciphertext(VERSION_OF_K1), "Decrypt key/k1", ["allow", "allow", "allow"]),
        (ciphertext(VERSION_OF_K2), "Decrypt key/k2", ["implicit_deny", "allow", "allow"]),
        (ciphertext(VERSION_OF_NOBODY), "Decrypt *", ["implicit_deny", "implicit_deny", "allow"]),
        ("no Base64!".to_owned(), "Decrypt *", ["implicit_deny", "implicit_deny", "allow"]),
    ] {
        // A key that the caller names beside the ciphertext changes nothing.
        let params = [("CiphertextBlob", blob.as_str()), ("KeyId", "k1")];
        assert_eq!(on_k1.needed("alice", "Decrypt", &params), [needed]);
        let houses = [&on_k1, &on_keys, &on_all];
        assert_eq!(houses.map(|house| house.answer("alice", "Decrypt", &params)), answers, "{needed}");
    }
    assert_eq!(on_all.answer("alice", "Decrypt", &[("KeyId", "k1")]), "MissingParameter");
}

/// Operation, parameters, what is needed; each of the needs is necessary, and all together suffice.
#[test]
fn every_permission_that_is_needed_must_be_granted() {
    let (of_k1, of_nobody) = (ciphertext(VERSION_OF_K1), ciphertext(VERSION_OF_NOBODY));
    let new_alias = ("AliasName", "alias/new");
    for (operation, params, needed) in [
        ("CreateAlias", vec![new_alias, ("KeyId", "k1")], vec!["CreateAlias alias/new", "CreateAlias key/k1"]),
        ("UpdateAlias", vec![new_alias, ("KeyId", "k2")], vec!["UpdateAlias alias/new", "UpdateAlias key/k2"]),
        ("DeleteAlias", vec![("AliasName", "alias/orders")], vec!["DeleteAlias alias/orders", "DeleteAlias key/k1"]),
        ("DeleteAlias", vec![new_alias], vec!["DeleteAlias alias/new"]),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_k1), ("DestinationKeyId", "k2")],
            vec!["ReEncryptFrom key/k1", "ReEncryptTo key/k2"],
        ),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_nobody), ("SourceKeyId", "k2"), ("DestinationKeyId", "alias/orders")],
            vec!["ReEncryptFrom key/k2", "ReEncryptTo key/k1"],
        ),
        (
            "ReEncrypt",
            vec![("CiphertextBlob", &of_k1), ("SourceKeyId", "k2"), ("DestinationKeyId", "k2")],
            vec!["ReEncryptFrom key/k1", "ReEncryptTo key/k2"],
        ),
        ("GetSecretValue", vec![("SecretName", "db")], vec!["GetSecretValue secret/db", "Decrypt key/k2"]),
        (
            "GetSecretValue",
            vec![("SecretName", "acs:kms:cn-hangzhou:1:secret/db")],
            vec!["GetSecretValue secret/db", "Decrypt key/k2"],
        ),
        ("GetSecretValue", vec![("SecretName", "plain")], vec!["GetSecretValue secret/plain"]),
        ("PutSecretValue", vec![("SecretName", "db")], vec!["PutSecretValue secret/db", "GenerateDataKey key/k2"]),
        (
            "CreateSecret",
            vec![("SecretName", "new"), ("EncryptionKeyId", "alias/orders")],
            vec!["CreateSecret secret", "GenerateDataKey key/k1"],
        ),
        ("CreateSecret", vec![("SecretName", "new")], vec!["CreateSecret secret"]),
        ("TagResource", vec![("KeyId", "k1")], vec!["TagResource key/k1"]),
        ("TagResource", vec![("SecretName", "db")], vec!["TagResource secret/db"]),
        (
            "SetDeletionProtection",
            vec![("ProtectedResourceArn", "acs:kms:cn-hangzhou:1:key/k1")],
            vec!["SetDeletionProtection key/k1"],
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.2", "k2")],
            vec!["TagResources key/k1", "TagResources key/k2"],
        ),
        (
            "TagResources",
            vec![("ResourceType", "secret"), ("ResourceId.1", "db"), ("ResourceId.2", "plain")],
            vec!["TagResources secret/db", "TagResources secret/plain"],
        ),
        ("ListTagResources", vec![("ResourceType", "key")], vec!["ListTagResources key"]),
        ("ListKeys", vec![], vec!["ListKeys key"]),
    ] {
        let grants: Vec<String> =
            needed.iter().map(|need| need.split_once(' ').unwrap()).map(|(a, r)| allow(a, r)).collect();
        let house = House::new().ram("alice", &grants);
        assert_eq!(house.needed("alice", operation, &params), needed, "{operation}");
        assert_eq!(house.answer("alice", operation, &params), "allow", "{operation} {needed:?}");
        for missing in 0..grants.len() {
            let mut fewer = grants.clone();
            fewer[missing] = allow("Nothing", "*");
            let house = House::new().ram("alice", &fewer);
            let answer = house.answer("alice", operation, &params);
            assert_eq!(answer, "implicit_deny", "{operation} without {}", needed[missing]);
        }
    }
}

/// Where a batch or a choice could leave something unjudged, it is refused.
#[test]
fn what_a_request_acts_on_must_be_clear() {
    let house = House::new().ram("alice", &[allow("*", "*")]);
    for (operation, params, answer) in [
        ("Encrypt", vec![], "MissingParameter"),
        ("Encrypt", vec![("KeyId", "")], "MissingParameter"),
        ("Encrypt", vec![("KeyId", "key/*")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-hangzhou:1:secret/db")], "InvalidParameter"),
        ("GetSecretValue", vec![("SecretName", "d?")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-beijing:1:key/k1")], "InvalidParameter"),
        ("Encrypt", vec![("KeyId", "acs:kms:cn-beijing:1:alias/orders")], "InvalidParameter"),
        ("GetSecretValue", vec![("SecretName", "acs:kms:cn-beijing:1:secret/db")], "InvalidParameter"),
        ("CreateAlias", vec![("AliasName", "orders"), ("KeyId", "k1")], "InvalidParameter"),
        ("TagResource", vec![], "MissingParameter"),
        ("TagResource", vec![("KeyId", "k1"), ("SecretName", "db")], "InvalidParameter"),
        ("TagResources", vec![("ResourceId.1", "k1")], "MissingParameter"),
        ("TagResources", vec![("ResourceType", "KEY"), ("ResourceId.1", "k1")], "InvalidParameter"),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.3", "k2")],
            "InvalidParameter",
        ),
        ("TagResources", vec![("ResourceType", "key"), ("ResourceId.2", "k1")], "InvalidParameter"),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.02", "k2")],
            "InvalidParameter",
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId", "k2")],
            "InvalidParameter",
        ),
        (
            "TagResources",
            vec![("ResourceType", "key"), ("ResourceId.1", "k1"), ("ResourceId.2", "d?")],
            "InvalidParameter",
        ),
    ] {
        assert_eq!(house.answer("alice", operation, &params), answer, "{operation} {params:?}");
    }
}

#[test]
fn an_unknown_operation_needs_a_grant_on_everything() {
    let params = [("KeyId", "k1")];
    for (grants, key_grants, answer) in [
        (vec![allow("BrandNewThing", "*")], vec![], "allow"),
        (vec![allow("*", "*")], vec![], "allow"),
        (vec![allow("BrandNewThing", "key/k1"), allow("BrandNewThing", "key/*")], vec![], "implicit_deny"),
        (vec![allow("Encrypt", "*")], vec![grant("Allow", "1:user/alice", "*")], "implicit_deny"),
        (vec![allow("*", "*"), ram("Deny", "BrandNew*", "*")], vec![], "explicit_deny"),
    ] {
        let mut house = House::new().ram("alice", &grants);
        if !key_grants.is_empty() {
            house = house.key("k1", &key_grants);
        }
        assert_eq!(house.needed("alice", "BrandNewThing", &params), ["BrandNewThing *"]);
        assert_eq!(house.answer("alice", "BrandNewThing", &params), answer, "{grants:?}");
    }
}

#[test]
fn to_list_regions_it_is_enough_to_be_somebody() {
    let house = House::new();
    assert_eq!(house.answer("alice", "DescribeRegions", &[]), "allow");
    assert_eq!(house.answer("mallory", "DescribeRegions", &[]), "InvalidAccessKeyId.NotFound");
    let target = signed("alice", "DescribeRegions", &[]).replace("AccessKeyId=alice", "AccessKeyId=root");
    let raw = RawRequest {
        method: "POST",
        target: &target,
        headers: &HeaderMap::new(),
        body: b"",
        peer: None,
        secure: false,
    };
    let judgement = authorize(&house.0, &raw, NOW.parse().unwrap());
    assert_eq!(judgement.trail.reason, Some("signature_mismatch"));
    assert_eq!((judgement.trail.caller, judgement.trail.access_key_id.as_deref()), (None, Some("root")));
}

#[test]
fn a_request_for_another_region_is_refused() {
    let house = House::new().ram("alice", &[allow("*", "*")]);
    for (region, answer) in [("cn-hangzhou", "allow"), ("cn-beijing", "InvalidParameter"), ("", "InvalidParameter")] {
        assert_eq!(house.answer("alice", "ListKeys", &[("RegionId", region)]), answer, "{region}");
    }
}

#[test]
fn the_status_is_the_documented_one_unless_the_operator_chose_another() {
    let (key, secret) = (("KeyId", "k1"), ("SecretName", "db"));
    for (operation, params, status) in [
        ("SetKeyPolicy", [key], 400),
        ("GetKeyPolicy", [key], 400),
        ("SetSecretPolicy", [secret], 400),
        ("GetSecretPolicy", [secret], 400),
        ("Encrypt", [key], 403),
        ("GetSecretValue", [secret], 403),
        ("BrandNewThing", [key], 403),
    ] {
        let error = House::new().denial("alice", operation, &params).error;
        assert_eq!((error.code.as_str(), error.status), ("Forbidden.NoPermission", status), "{operation}");
        let house = House::new().rules(|rules| rules.no_permission_status = Some(401));
        assert_eq!(house.denial("alice", operation, &params).error.status, 401, "{operation}");
    }
}

#[test]
fn a_refusal_explains_itself_only_where_it_may() {
    let params = [("KeyId", "k1"), HELLO];
    let house = House::new().key("k1", &[grant("Deny", "1:user/alice", "*")]);
    let silent = house.denial("alice", "Encrypt", &params).error;
    assert_eq!((silent.message.as_str(), silent.detail), ("This operation is forbidden by permission system.", None));
    let house = house.rules(|rules| rules.explain_denials = true);
    let detail = house.denial("alice", "Encrypt", &params).error.detail.unwrap();
    for (member, value) in [
        ("AuthAction", "kms:Encrypt"),
        ("AuthResource", "acs:kms:cn-hangzhou:1:key/k1"),
        ("AuthPrincipalDisplayName", "alice"),
        ("NoPermissionType", "ExplicitDeny"),
        ("PolicyType", "ResourcePolicy"),
        ("Policy", "keys/k1.json statement 1 (DenyIt)"),
    ] {
        assert_eq!(detail[member], value, "{member}");
    }
    let implicit = house.denial("alice", "Encrypt", &[("KeyId", "k2")]).error.detail.unwrap();
    let reason = "No policy allows kms:Encrypt on acs:kms:cn-hangzhou:1:key/k2 by acs:ram::1:user/alice.";
    assert_eq!((&implicit["Reason"], &implicit["NoPermissionType"]), (&reason.into(), &"ImplicitDeny".into()));
}

#[test]
fn the_trail_tells_who_what_and_why_and_no_value() {
    let house = House::new().ram("alice", &[allow("GetSecretValue", "secret/*")]);
    let refused = house.judge("alice", "GetSecretValue", &[("SecretName", "db"), ("VersionId", "hush-hush")]).trail;
    let house = house.secret("db", &[grant("Allow", "1:user/alice", "GetSecretValue")]);
    let house = house.key("k2", &[grant("Allow", "1:user/alice", "Decrypt"), grant("Deny", "1:user/alice", "Encrypt")]);
    let allowed = house.judge("alice", "GetSecretValue", &[("SecretName", "db"), ("VersionId", "hush-hush")]).trail;
    let denied = house.judge("alice", "Encrypt", &[("KeyId", "k2"), ("Plaintext", "hush-hush")]).trail;
    for (trail, outcome, reason, statements) in [
        (&refused, "deny", Some("implicit_deny"), vec![]),
        (&allowed, "allow", None, vec!["secrets/db.json statement 1 (AllowIt)", "keys/k2.json statement 1 (AllowIt)"]),
        (&denied, "deny", Some("explicit_deny"), vec!["keys/k2.json statement 2 (DenyIt)"]),
    ] {
        assert_eq!((trail.outcome.as_str(), trail.reason), (outcome, reason));
        assert_eq!(trail.statements, statements);
        assert_eq!((trail.generation, trail.proof, trail.operation_is_known), (7, Some("signature_v1"), true));
        assert_eq!(trail.access_key_id.as_deref(), Some("alice"));
        assert_eq!(trail.caller.as_deref(), Some("acs:ram::1:user/alice"));
        assert!(!format!("{trail:?}").contains("hush"), "{trail:?}");
    }
    assert_eq!(allowed.operation.as_deref(), Some("GetSecretValue"));
    let pair = |action: &str, resource: &str| (action.to_owned(), format!("acs:kms:cn-hangzhou:1:{resource}"));
    assert_eq!(allowed.permissions, [pair("kms:GetSecretValue", "secret/db"), pair("kms:Decrypt", "key/k2")]);
}

/// Pieces that are right on their own, among bytes that are not.
fn any_piece() -> impl Strategy<Value = String> {
    let right = signed("root", "Encrypt", &[("KeyId", "k1"), HELLO]);
    let right: Vec<String> = right.trim_start_matches("/?").split('&').map(str::to_owned).collect();
    let signature_missing: Vec<String> = right.into_iter().filter(|piece| !piece.starts_with("Signature=")).collect();
    prop_oneof![
        4 => prop::sample::select(signature_missing),
        1 => prop::sample::select(vec!["Signature=c2lnbg%3D%3D", "SecurityToken=t", "STSToken=t", "Action=DescribeRegions"]).prop_map(str::to_owned),
        1 => "[A-Za-z.]{0,8}=[ -~]{0,12}",
        1 => "\\PC{0,12}",
    ]
}

fn any_header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let known = vec![
        "authorization",
        "x-acs-action",
        "x-acs-date",
        "x-acs-version",
        "x-acs-content-sha256",
        "host",
        "content-type",
    ];
    let name = prop_oneof![prop::sample::select(known).prop_map(str::to_owned), "[a-z_-]{1,12}"];
    let value = prop_oneof![
        prop::sample::select(vec![
            "ACS3-HMAC-SHA256 Credential=root,SignedHeaders=host,Signature=00",
            "ACS3-HMAC-SHA256 Credential=root,SignedHeaders=,Signature=",
            "application/x-www-form-urlencoded",
            "DescribeRegions",
            NOW,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    (name, value)
}

fn any_method() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(vec!["GET", "POST"]).prop_map(str::to_owned), "\\PC{0,8}"]
}

fn any_target() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(any_piece(), 0..12).prop_map(|pieces| pieces.join("&"));
    prop_oneof![
        3 => pieces.prop_map(|query| format!("/?{query}")),
        1 => "\\PC{0,40}",
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let form = prop::collection::vec(any_piece(), 0..12).prop_map(|pieces| pieces.join("&").into_bytes());
    prop_oneof![Just(Vec::new()), form, prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    /// Whoever knows no secret gets nothing, not even a panic; and what was answered once is answered again.
    #[test]
    fn no_bytes_without_a_secret_are_permitted(
        method in any_method(),
        target in any_target(),
        headers in prop::collection::vec(any_header(), 0..6),
        body in any_body(),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        let house = House::new().rules(|rules| rules.explain_denials = true);
        let raw = RawRequest { method: &method, target: &target, headers: &map, body: &body, peer: None, secure: false };
        let judge = || authorize(&house.0, &raw, NOW.parse().unwrap());
        let (first, second) = (judge(), judge());
        prop_assert!(first.verdict.is_err());
        prop_assert_eq!(first.trail.outcome, Outcome::Reject);
        prop_assert_eq!(format!("{:?} {:?}", first.trail, first.verdict), format!("{:?} {:?}", second.trail, second.verdict));
    }

    /// A signature covers every byte: one that is changed on the way changes a permit into a refusal.
    #[test]
    fn a_signed_request_that_is_changed_is_not_permitted(at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let house = House::new();
        let right = signed("root", "Encrypt", &[("KeyId", "k1"), HELLO]);
        let mut bytes = right.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        let raw = RawRequest { method: "POST", target: &changed, headers: &HeaderMap::new(), body: b"", peer: None, secure: false };
        let verdict = authorize(&house.0, &raw, NOW.parse().unwrap()).verdict;
        // The hex digits of an escape mean the same in either case.
        prop_assert_eq!(verdict.is_ok(), changed.eq_ignore_ascii_case(&right) && decoded(&changed) == decoded(&right));
    }
}

fn decoded(target: &str) -> Params {
    Params::decode(target.trim_start_matches("/?")).unwrap_or_default()
}
