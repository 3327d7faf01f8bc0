//! Tables for `authorize` itself: signed requests against handmade snapshots, from the wire to the verdict.

mod answer;
mod hostile;
mod needs;

use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::authn::{Directory, rpc_signature};
use crate::kms::{AliasName, CiphertextBlob, KeyId, Origin, Params, SecretName, percent_encode};
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
            version: Version { generation: 7, hash: "test".into() },
            validity: Validity::default(),
            directory: Arc::new(directory),
            sessions: None,
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
        Arc::make_mut(&mut self.policies().members)[member] =
            Box::new([policy(Kind::Ram, &format!("ram/{who}.json"), statements)]);
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
            RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: Origin::unknown() };
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

/// A context that the operation does not read must not stand in for the one that it does.
#[test]
fn policies_see_the_encryption_context_that_the_operation_uses() {
    let statement = |effect: &str| {
        let condition = r#""StringEquals":{"kms:EncryptionContext:Department":"orders"}"#;
        format!(r#"{{"Effect":"{effect}","Action":"kms:*","Resource":"*","Condition":{{{condition}}}}}"#)
    };
    let granted = House::new().ram("alice", &[statement("Allow")]);
    let denied = House::new().ram("alice", &[allow("*", "*"), statement("Deny")]);
    let (orders, hr) = (r#"{"Department":"orders"}"#, r#"{"Department":"hr"}"#);
    for (used, decoy, on_granted, on_denied) in [
        (orders, None, "allow", "explicit_deny"),
        (hr, None, "implicit_deny", "allow"),
        (hr, Some(orders), "implicit_deny", "allow"),
        (orders, Some(hr), "allow", "explicit_deny"),
        (orders, Some(""), "allow", "explicit_deny"),
    ] {
        let blob = ciphertext(VERSION_OF_K1);
        let mut params = vec![("CiphertextBlob", blob.as_str()), ("EncryptionContext", used)];
        params.extend(decoy.map(|decoy| ("SourceEncryptionContext", decoy)));
        let answers = [&granted, &denied].map(|house| house.answer("alice", "Decrypt", &params));
        assert_eq!(answers, [on_granted, on_denied], "{used} {decoy:?}");
    }
}

/// ReEncrypt decrypts with one context and encrypts with another: each half is judged by its own.
#[test]
fn each_half_of_re_encrypt_is_judged_by_its_own_context() {
    let condition = r#""Condition":{"StringEquals":{"kms:EncryptionContext:tenant":"a"}}"#;
    let conditional = |effect: &str, action: &str| {
        format!(r#"{{"Effect":"{effect}","Action":"kms:{action}","Resource":"*",{condition}}}"#)
    };
    let to = House::new().ram("alice", &[allow("ReEncryptFrom", "*"), conditional("Allow", "ReEncryptTo")]);
    let from = House::new().ram("alice", &[allow("ReEncryptTo", "*"), conditional("Allow", "ReEncryptFrom")]);
    let not_to = House::new().ram("alice", &[allow("*", "*"), conditional("Deny", "ReEncryptTo")]);
    let (a, b) = (r#"{"tenant":"a"}"#, r#"{"tenant":"b"}"#);
    for (source, destination, expected) in [
        (a, a, ["allow", "allow", "explicit_deny"]),
        (a, b, ["implicit_deny", "allow", "allow"]),
        (b, a, ["allow", "implicit_deny", "explicit_deny"]),
        (b, b, ["implicit_deny", "implicit_deny", "allow"]),
    ] {
        let blob = ciphertext(VERSION_OF_K1);
        let params = [
            ("CiphertextBlob", blob.as_str()),
            ("DestinationKeyId", "k1"),
            ("SourceEncryptionContext", source),
            ("DestinationEncryptionContext", destination),
        ];
        let answers = [&to, &from, &not_to].map(|house| house.answer("alice", "ReEncrypt", &params));
        assert_eq!(answers, expected, "{source} {destination}");
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
        assert_eq!(house.needed("alice", "BrandNewThing", &params), ["BrandNewThing *", "BrandNewThing key/k1"]);
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
        origin: Origin::unknown(),
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
fn a_dry_run_that_is_refused_has_a_code_of_its_own() {
    for (operation, dry_run, expected) in [
        ("Encrypt", "true", "400 AccessDeniedError"),
        ("Encrypt", "True", "400 AccessDeniedError"),
        ("Encrypt", "false", "403 Forbidden.NoPermission"),
        ("DisableKey", "true", "403 Forbidden.NoPermission"),
        ("BrandNewThing", "true", "403 Forbidden.NoPermission"),
    ] {
        let error = House::new().denial("alice", operation, &[("KeyId", "k1"), ("DryRun", dry_run)]).error;
        assert_eq!(format!("{} {}", error.status, error.code.as_str()), expected, "{operation} {dry_run}");
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
        assert_eq!((trail.version.generation, trail.proof, trail.operation_is_known), (7, Some("signature_v1"), true));
        assert_eq!(trail.access_key_id.as_deref(), Some("alice"));
        assert_eq!(trail.caller.as_deref(), Some("acs:ram::1:user/alice"));
        assert!(!format!("{trail:?}").contains("hush"), "{trail:?}");
    }
    assert_eq!(allowed.operation.as_deref(), Some("GetSecretValue"));
    let pair = |action: &str, resource: &str| (action.to_owned(), format!("acs:kms:cn-hangzhou:1:{resource}"));
    assert_eq!(allowed.permissions, [pair("kms:GetSecretValue", "secret/db"), pair("kms:Decrypt", "key/k2")]);
}
