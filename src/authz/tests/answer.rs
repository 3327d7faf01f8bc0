//! Answers that are judged: whatever the index says, whatever a ciphertext claims and whatever is answered, only what is of
//! a key that the caller may use is released.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::authz::{AnswerProof, Behind, By, Elsewhere, Open, Signer, Unresolved, With, authorize_explained};
use crate::kms::AnsweredKey;

/// The keys of the world: whose each is, and whether alice may decrypt with it.
const KEYS: [(&str, &str, bool); 4] = [("k1", "1", true), ("k2", "1", false), ("k3", "2", true), ("k4", "2", false)];

/// A snapshot in front of a KMS elsewhere, in which alice may decrypt with `k1` of her account and `k3` of the other.
fn house() -> House {
    let mut house = House::new().ram("alice", &[allow("Decrypt", "key/k1"), partner_key("k3")]).rules(|rules| {
        rules.behind = elsewhere(signed_by(Some("1")));
    });
    let granted = policy(Kind::Key, "accounts/2/keys/k3.json", &[grant("Allow", "1:user/alice", "Decrypt")]);
    house.policies().keys.entry("2".to_owned()).or_default().insert("k3".to_owned(), granted);
    house.0.index = ResourceIndex::of_hearsay();
    house
}

fn elsewhere(signer: Signer) -> Behind {
    let names = vec!["kms.example".to_owned()];
    let unknown_operations = vec!["ListPolicies".to_owned()];
    Behind::Elsewhere(Arc::new(Elsewhere {
        names,
        signer,
        serves_policies: true,
        mirrors_policies: false,
        unknown_operations,
    }))
}

/// Signed by us, with a key of this account.
fn signed_by(account: Option<&str>) -> Signer {
    Signer::Us { with: With::OwnKey(account.map(str::to_owned)), callers: BTreeMap::new() }
}

fn partner_key(id: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"kms:Decrypt","Resource":"acs:kms:cn-hangzhou:2:key/{id}"}}"#)
}

/// What became of a Decrypt: refused before it was sent, or the answer released or not.
#[derive(Debug, PartialEq)]
enum Came {
    NotSent,
    Released,
    Withheld,
}

fn decrypt(house: &House, version: &str, answered: &AnsweredKey) -> Came {
    let target = signed("alice", "Decrypt", &[("CiphertextBlob", &ciphertext(version))]);
    let headers = HeaderMap::new();
    let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin: Origin::unknown() };
    let now = NOW.parse().unwrap();
    let judgement = authorize(&house.0, &raw, now);
    let Ok(permit) = judgement.verdict else { return Came::NotSent };
    let mut trail = judgement.trail;
    match judge_answer(&house.0, &raw, &permit, answered, now, &mut trail) {
        Ok(_) => Came::Released,
        Err(_) => Came::Withheld,
    }
}

fn answered() -> impl Strategy<Value = (AnsweredKey, Option<usize>)> {
    let by_id = (0..KEYS.len()).prop_map(|at| (AnsweredKey::Named(KEYS[at].0.to_owned()), Some(at)));
    let by_arn = (0..KEYS.len(), prop_oneof![Just("1"), Just("2"), Just("3")]).prop_map(|(at, account)| {
        let arn = format!("acs:kms:cn-hangzhou:{account}:key/{}", KEYS[at].0);
        (AnsweredKey::Named(arn), (KEYS[at].1 == account).then_some(at))
    });
    let odd = prop_oneof![
        Just(AnsweredKey::Absent),
        Just(AnsweredKey::Unreadable),
        Just(AnsweredKey::Named(String::new())),
        Just(AnsweredKey::Named("alias/k1".to_owned())),
        Just(AnsweredKey::Named("acs:kms:cn-hangzhou:1:secret/k1".to_owned())),
    ];
    prop_oneof![by_id, by_arn, odd.prop_map(|odd| (odd, None))]
}

proptest! {
    /// For any index: versions that are attributed to any key, true or not; and owners, as far as they are heard of.
    #[test]
    fn nothing_is_released_of_a_key_that_the_caller_may_not_use(
        versions in prop::collection::vec((0..3_usize, 0..KEYS.len()), 0..4),
        owners in prop::collection::vec(0..KEYS.len(), 0..4),
        claimed in 0..3_usize,
        (answer, truth) in answered(),
    ) {
        const VERSIONS: [&str; 3] = [VERSION_OF_K1, VERSION_OF_K2, VERSION_OF_NOBODY];
        let mut house = house();
        for (version, key) in versions {
            let (id, account, _) = KEYS[key];
            house.0.index.add_version(VERSIONS[version], account, key_id(id));
        }
        for owner in owners {
            let (id, account, _) = KEYS[owner];
            house.0.index.set_owner(key_id(id), account);
        }
        let came = decrypt(&house, VERSIONS[claimed], &answer);
        let may = truth.is_some_and(|at| KEYS[at].2);
        prop_assert!(came != Came::Released || may, "{answer:?} of a key that may not be used: {came:?}");
    }
}

#[test]
fn what_is_known_is_released_and_what_is_not_is_asked() {
    let mut house = house();
    let named = |text: &str| AnsweredKey::Named(text.to_owned());
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("k1")), Came::Withheld, "nobody knows whose it is");
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("acs:kms:cn-hangzhou:1:key/k1")), Came::Released);
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("acs:kms:cn-beijing:1:key/k1")), Came::Withheld);
    assert_eq!(
        decrypt(&house, VERSION_OF_K1, &named("k3")),
        Came::Withheld,
        "who has a policy for it need not have it"
    );
    house.0.index.set_owner(key_id("k1"), "1");
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("k1")), Came::Released);
    assert_eq!(decrypt(&house, VERSION_OF_K1, &AnsweredKey::Absent), Came::Withheld);
    house.0.index.add_version(VERSION_OF_K1, "1", key_id("k2"));
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("k1")), Came::Released, "whose k2 is nobody knows");
    house.0.index.set_owner(key_id("k2"), "1");
    assert_eq!(decrypt(&house, VERSION_OF_K1, &named("k1")), Came::NotSent, "by hearsay it is another key's");
}

/// How a ciphertext was made that claims nothing.
const OF_A_PUBLIC_KEY: &[(&str, &str)] = &[
    ("SourceKeyId", "alias/known"),
    ("SourceKeyVersionId", "v"),
    ("SourceEncryptionAlgorithm", "RSAES_OAEP_SHA_256"),
    ("DestinationKeyId", "k1"),
];

/// Several keys at once, of which one is named by an alias.
const BY_ALIAS: &[(&str, &str)] = &[("ResourceType", "key"), ("ResourceId.1", "alias/known"), ("Tag.1.Key", "a")];

/// How a request goes on its way, in words.
fn way_of(verdict: &Result<Permit, Rejection>) -> String {
    match verdict {
        Ok(permit) if permit.route().is_served => "served".to_owned(),
        Ok(permit) => {
            let route = permit.route();
            let proof = route.proof.as_ref().map(|proof: &AnswerProof| match (proof.is_needed, proof.by) {
                (false, _) => "checked",
                (true, By::Ciphertext | By::Alias) => "proven",
                (true, _) => "?",
            });
            let replaced = route.replaced.iter().map(|(name, value)| format!(" {name}={value}"));
            let kept = route.kept.iter().map(|name| format!(" without {name}"));
            format!("{}{}", proof.unwrap_or("free"), replaced.chain(kept).collect::<String>())
        }
        Err(Rejection::Unresolved(unknown)) => match &unknown.what {
            Unresolved::Alias(alias) => format!("ask {}", alias.name),
            other => format!("ask {}", other.reason()),
        },
        Err(rejection) => rejection.error().code.as_str().to_owned(),
    }
}

/// How a request of alice's goes on its way, and what is asked first. She may do everything, and some names are known.
fn way(signer: Signer, operation: &str, params: &[(&str, &str)]) -> String {
    let mut house = house().ram("alice", &[ram("Allow", "*", "*")]).rules(|rules| rules.behind = elsewhere(signer));
    let index = &mut house.0.index;
    index.set_alias("1", &AliasName::parse("alias/known").unwrap(), key_id("k1"));
    index.add_secret("1", &SecretName::parse("heard").unwrap(), None);
    index.set_owner(key_id("k1"), "1");
    index.add_version(VERSION_OF_K1, "1", key_id("k1"));
    let judgement = house.judge("alice", operation, params);
    let first = judgement.hearsay.iter().map(|heard| match (&heard.what, heard.is_named) {
        (Unresolved::Alias(alias), true) => format!(", {} asked", alias.name),
        (what, is_named) => format!(", {} asked{}", what.reason(), if is_named { " ?" } else { " or refused" }),
    });
    way_of(&judgement.verdict) + &first.collect::<String>()
}

/// What each request needs to know, and how it goes on its way.
#[test]
fn every_way_to_name_a_key_has_its_way_to_be_certain() {
    let blob = ciphertext(VERSION_OF_NOBODY);
    const IMPLIED: &str = "free, unknown_alias asked or refused";
    const OF_SECRET: &str = "free, unknown_key_of_secret asked or refused";
    for (operation, params, re_signed, passed) in [
        ("Encrypt", &[("KeyId", "k1"), HELLO][..], "checked", "checked"),
        ("Encrypt", &[("KeyId", "alias/known"), HELLO], "proven", "proven"),
        ("Encrypt", &[("KeyId", "alias/other"), HELLO], "proven", "proven"),
        ("Decrypt", &[("CiphertextBlob", &blob)], "proven", "proven"),
        ("ExportDataKey", &[("CiphertextBlob", &blob)], "proven", "proven"),
        (
            "ReEncrypt",
            &[("CiphertextBlob", &blob), ("DestinationKeyId", "k1")],
            "ask unknown_ciphertext",
            "ask unknown_ciphertext",
        ),
        ("Encrypt", &[("KeyId", "K1"), HELLO], "Forbidden.KeyNotFound", "Forbidden.KeyNotFound"),
        ("EnableKey", &[("KeyId", "k1")], "free", "free"),
        ("EnableKey", &[("KeyId", "alias/known")], "Unsupported.Alias", "Unsupported.Alias"),
        ("DeleteKeyMaterial", &[("KeyId", "alias/known")], "free KeyId=k1, alias/known asked", "UnsupportedOperation"),
        ("DeleteKeyMaterial", &[("KeyId", "alias/other")], "ask alias/other", "ask alias/other"),
        ("ListKeyVersions", &[("KeyId", "alias/known")], "free KeyId=k1, alias/known asked", "UnsupportedOperation"),
        ("DescribeKey", &[("KeyId", "alias/other")], "proven", "proven"),
        ("DeleteAlias", &[("AliasName", "alias/other")], "ask alias/other", "ask alias/other"),
        ("DeleteAlias", &[("AliasName", "alias/known")], IMPLIED, IMPLIED),
        ("PutSecretValue", &[("SecretName", "heard")], OF_SECRET, OF_SECRET),
        ("GetSecretValue", &[("SecretName", "heard")], "free", "free"),
        ("GetSecretValue", &[("SecretName", "db")], "ask unknown_key_of_secret", "ask unknown_key_of_secret"),
        ("CreateKey", &[], "free", "free"),
        ("CreateKey", &[("Policy", "{}")], "free without Policy", "UnsupportedOperation"),
        ("CreateSecret", &[("SecretName", "s"), ("Policy", "{}")], "UnsupportedOperation", "UnsupportedOperation"),
        ("TagResource", &[("CertificateId", "c"), ("Tags", "[]")], "free", "free"),
        (
            "TagResource",
            &[("CertificateId", "c"), ("KeyId", "k1"), ("Tags", "[]")],
            "InvalidParameter",
            "InvalidParameter",
        ),
        ("SetDeletionProtection", &[("KmsInstanceId", "i")], "free", "free"),
        ("NobodyKnows", &[], "InvalidApi.NotFound", "InvalidApi.NotFound"),
        ("ListPolicies", &[], "free", "free"),
        ("GetKeyPolicy", &[("KeyId", "k1")], "served", "served"),
        ("TagResources", BY_ALIAS, "UnsupportedOperation", "UnsupportedOperation"),
    ] {
        assert_eq!(way(signed_by(Some("1")), operation, params), re_signed, "{operation} {params:?}");
        assert_eq!(way(Signer::Client, operation, params), passed, "{operation} {params:?}, passed through");
    }
    let nobody = || signed_by(None);
    assert_eq!(way(nobody(), "Encrypt", &[("KeyId", "k1"), HELLO]), "UnsupportedOperation", "nobody signs");
    let other = || signed_by(Some("2"));
    assert_eq!(way(other(), "Encrypt", &[("KeyId", "k1"), HELLO]), "UnsupportedOperation", "another account's k1");
    let arn = "acs:kms:cn-hangzhou:1:key/k1";
    assert_eq!(way(other(), "Encrypt", &[("KeyId", arn), HELLO]), "checked");
    assert_eq!(way(other(), "CreateKey", &[]), "UnsupportedOperation", "it would be made there");
}

/// What decrypts is what was judged, whatever is named beside it.
#[test]
fn the_source_of_a_re_encryption_is_certain() {
    let (blob, of_k1) = (ciphertext(VERSION_OF_NOBODY), ciphertext(VERSION_OF_K1));
    let loose = format!("{} \n", of_k1.trim_end_matches('='));
    for (operation, params, re_signed, passed) in [
        (
            "ReEncrypt",
            &[("CiphertextBlob", &*of_k1), ("DestinationKeyId", "alias/known")][..],
            "proven DestinationKeyId=k1, alias/known asked",
            "UnsupportedOperation",
        ),
        (
            "ReEncrypt",
            &[("CiphertextBlob", &*of_k1), ("DestinationKeyId", "k1"), ("SourceKeyId", "k2")],
            "InvalidParameter",
            "InvalidParameter",
        ),
        (
            "ReEncrypt",
            &[("CiphertextBlob", &*of_k1), ("DestinationKeyId", "k1"), ("SourceKeyId", "alias/other")],
            "proven SourceKeyId=k1",
            "InvalidParameter",
        ),
        (
            "ReEncrypt",
            &[("CiphertextBlob", "AAAA"), ("DestinationKeyId", "k1"), ("SourceKeyId", "k2")],
            "MissingParameter",
            "MissingParameter",
        ),
        (
            "ReEncrypt",
            &[OF_A_PUBLIC_KEY, &[("CiphertextBlob", &*blob)]].concat(),
            "InvalidParameter",
            "InvalidParameter",
        ),
        (
            "ReEncrypt",
            &[OF_A_PUBLIC_KEY, &[("CiphertextBlob", &*loose)]].concat(),
            "InvalidParameter",
            "InvalidParameter",
        ),
        (
            "ReEncrypt",
            &[OF_A_PUBLIC_KEY, &[("CiphertextBlob", "AAAA")]].concat(),
            "proven SourceKeyId=k1, alias/known asked",
            "UnsupportedOperation",
        ),
    ] {
        assert_eq!(way(signed_by(Some("1")), operation, params), re_signed, "{params:?}");
        assert_eq!(way(Signer::Client, operation, params), passed, "{params:?}, passed through");
    }
}

/// Tags that nobody knows are asked for where a policy looks at them, and nowhere else.
#[test]
fn unknown_tags_decide_nothing() {
    let condition = r#""Condition":{"StringEquals":{"kms:tag/team":["x"]}}"#;
    let by_tag = |effect: &str| format!(r#"{{"Effect":"{effect}","Action":"kms:*","Resource":"*",{condition}}}"#);
    for (statements, expected) in [
        (vec![allow("Encrypt", "*")], "allow"),
        (vec![by_tag("Allow")], "unknown_tags"),
        (vec![by_tag("Allow"), allow("Encrypt", "*")], "allow"),
        (vec![by_tag("Deny"), allow("Encrypt", "*")], "unknown_tags"),
        (vec![by_tag("Deny")], "unknown_tags"),
        (vec![ram("Deny", "*", "*")], "explicit_deny"),
    ] {
        let house = house().ram("alice", &statements);
        let came = match house.judge("alice", "Encrypt", &[("KeyId", "k2"), HELLO]).verdict {
            Ok(_) => "allow",
            Err(rejection) => rejection.reason(),
        };
        assert_eq!(came, expected, "{statements:?}");
        let target = signed("alice", "Encrypt", &[("KeyId", "k2"), HELLO]);
        let headers = HeaderMap::new();
        let origin = Origin::unknown();
        let raw = RawRequest { method: "POST", target: &target, headers: &headers, body: b"", origin };
        let (_, open) = authorize_explained(&house.0, &raw, NOW.parse().unwrap(), |_, _, open| open);
        let rests_on_tags = matches!(&open[..], [Some(Open { what: Unresolved::Tags(_), is_shown: false })]);
        assert_eq!(rests_on_tags, expected == "unknown_tags", "explained: {statements:?} {open:?}");
        assert!(rests_on_tags || open == [None], "{open:?}");
    }
}
