//! The way to a KMS elsewhere: what it asks of a request before that may be permitted, and of its answer.
//!
//! A KMS elsewhere finds things by name again, in the account of whoever signs. So a name that stands for something else
//! there than here is refused, or written anew.

use super::Permit;
use super::behind::{Behind, Elsewhere, Signer};
use super::needs::Permission;
use super::rejection::Rejection;
use super::snapshot::Snapshot;
use super::target::{By, Owned, Target};
use super::unresolved::{Hearsay, Unresolved};
use crate::authn::{Caller, Proof};
use crate::kms::{
    AliasName, Api, Call, CiphertextBlob, Effect, ErrorCode, KeyId, KeyRef, KmsError, KmsRequest, RawRequest, Resource,
    Scheme,
};

/// How a permitted request is executed, and what its answer must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Whether it is answered here, whichever KMS is behind.
    pub is_served: bool,
    /// The account in which names without one are found; empty with the embedded KMS.
    pub account: String,
    /// Parameters that are written anew, so that what was judged is what is meant.
    pub replaced: Vec<(&'static str, String)>,
    /// The key that is named without an account, by its own name.
    pub named_here: Option<Owned<KeyId>>,
    /// A parameter that is kept here and does not go on: the policy of something new.
    pub kept: Option<&'static str>,
    /// What its answer must show before anybody sees it.
    pub proof: Option<AnswerProof>,
}

/// What an answer must show: the key that it is about. If that is another one than was judged, it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerProof {
    /// Where the answer names the key, as a JSON pointer.
    pub at: &'static str,
    /// The action that is judged on it.
    pub action: &'static str,
    /// Whether the key's own policy can speak about the action.
    pub in_scope: bool,
    /// The key that was judged, if one was.
    pub judged: Option<Owned<KeyId>>,
    /// Another key that the answer may name instead: the one that ReEncrypt encrypts with.
    pub or: Option<Owned<KeyId>>,
    /// Whether the answer must name a key: nobody else does so for certain.
    pub is_needed: bool,
    /// How the request names the key.
    pub by: By,
    /// The alias by which it does.
    pub alias: Option<Owned<AliasName>>,
}

/// What may bring a policy with it (CreateKey, CreateSecret: `Policy`).
const WITH_POLICY: &[&str] = &["CreateKey", "CreateSecret"];

/// Headers of one connection, and of proxies on the way. A signature over them cannot go on: they are not the same there.
const OF_THE_WAY: &[&str] = &[
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

fn is_of_the_way(header: &str) -> bool {
    OF_THE_WAY.contains(&header) || header.starts_with("proxy-") || header.starts_with("x-forwarded-")
}

/// A client that means another endpoint of Alibaba Cloud's would be answered about other keys than it means. A signature
/// that goes on as it came has to be for the name that KMS has, and for nothing that ends here.
pub(super) fn check_host(snapshot: &Snapshot, raw: &RawRequest<'_>, request: &KmsRequest) -> Result<(), KmsError> {
    let Behind::Elsewhere(elsewhere) = &snapshot.rules.behind else { return Ok(()) };
    let host = raw.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let without_port =
        |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_owned();
    let name = without_port(&host);
    let is_known = elsewhere.names.iter().any(|known| without_port(known) == name);
    // A name is the same at any port; an address is somebody else's.
    let is_ours = elsewhere.names.contains(&host) || (is_known && name.parse::<std::net::IpAddr>().is_err());
    let here = || elsewhere.names.first().cloned().unwrap_or_default();
    if !is_known && name.ends_with(".aliyuncs.com") && request.api == Api::Kms {
        return Err(KmsError::invalid_parameter_because("Host", format!("this endpoint stands for {}", here())));
    }
    let goes_on = elsewhere.signer == Signer::Client && !elsewhere.serves(request);
    let Scheme::Acs(signature) = &request.scheme else { return Ok(()) };
    let mut signed = signature.signed_headers.split(';').filter(|_| goes_on);
    let why = match signed.find(|header| (*header == "host" && !is_ours) || is_of_the_way(header)) {
        None => return Ok(()),
        Some("host") => format!("its signature is for {host} and is passed on, so it must be for {}", here()),
        Some(other) => format!("its signature is passed on, and so must not cover {other}"),
    };
    Err(KmsError::because(ErrorCode::IncompleteSignature, why))
}

/// How a request is executed that is permitted by `needed`.
///
/// # Errors
/// It would be executed on something else than what was judged, or nobody knows on what.
pub(super) fn route(
    snapshot: &Snapshot,
    caller: &Caller<'_>,
    request: &KmsRequest,
    needed: &[Permission],
) -> Result<Route, Rejection> {
    let Behind::Elsewhere(elsewhere) = &snapshot.rules.behind else { return Ok(Route::default()) };
    if elsewhere.serves(request) {
        // What we answer ourselves nobody else verifies.
        return match caller.proof {
            Proof::Upstream => Err(refused("signatures are left to KMS, and KMS does not answer this")),
            _ => Ok(Route { is_served: true, ..Route::default() }),
        };
    }
    if elsewhere.signer == Signer::Client && request.scheme == Scheme::Unsigned {
        return Err(refused("requests are passed on with their own signature, and this one has none"));
    }
    let Some(account) = elsewhere.account_for(&caller.principal, request, &snapshot.directory) else {
        return Err(refused(
            "nobody signs for this caller: it has no access key here, and Keyward's sessions mean nothing to KMS",
        ));
    };
    if let Call::Unknown(name) = &request.call
        && !elsewhere.unknown_operations.contains(name)
    {
        return Err(KmsError::from(ErrorCode::ApiNotFound).into());
    }
    let mut route = Route { account: account.to_owned(), kept: kept(elsewhere, request)?, ..Route::default() };
    for permission in needed {
        if account != &*caller.principal.account && !permission.names_account {
            let why = "it is executed in another account than the caller's, so everything must be named by its ARN";
            return Err(refused(why));
        }
        follow(elsewhere, request, permission, &mut route)?;
    }
    Ok(route)
}

/// The policy of something new is kept here, where policies are: KMS might have it speak about us.
fn kept(elsewhere: &Elsewhere, request: &KmsRequest) -> Result<Option<&'static str>, Rejection> {
    let is_kept = elsewhere.keeps_policies() && WITH_POLICY.contains(&request.call.name());
    match request.params.given("Policy").filter(|_| is_kept) {
        // Everybody knows its name, and it would be there before its policy is in force.
        Some(_) if request.call.name() == "CreateSecret" => {
            Err(refused("policies are kept here; create the secret without one, and set it with SetSecretPolicy"))
        }
        Some(_) if elsewhere.mirrors_policies => Ok(None),
        Some(_) if elsewhere.signer == Signer::Client => {
            Err(refused("policies are kept here, and a signed request cannot go on without its own; set it afterwards"))
        }
        Some(_) => Ok(Some("Policy")),
        None => Ok(None),
    }
}

/// Whether something that was heard of has to be asked before a permitted request is executed: its answer would show it too
/// late, or not at all. Whatever only reads a secret is judged by what was heard.
pub(super) fn has_to_be_asked(permit: &Permit, heard: &Hearsay) -> bool {
    match &heard.what {
        Unresolved::Alias(alias) => permit.route.proof.as_ref().and_then(|proof| proof.alias.as_ref()) != Some(alias),
        _ => permit.request.call.effect() == Effect::Write,
    }
}

/// What is not known about a permission, and has to be before it is judged; `None` where the answer will show it.
pub(super) fn unresolved(snapshot: &Snapshot, request: &KmsRequest, permission: &Permission) -> Option<Unresolved> {
    if snapshot.rules.behind == Behind::Embedded {
        return None;
    }
    // ReEncrypt hands on what it decrypts: its two keys must be known before.
    let names_its_key = answered_at(&request.call).is_some() && request.call.name() != "ReEncrypt";
    let is_shown = names_its_key && permission.parameter.is_some();
    match &permission.target {
        // Refused, whatever it stands for.
        Target::UnknownAlias(_) if permission.by == By::Alias && !takes_alias(&request.call) => None,
        Target::UnknownCiphertext if !is_shown => Some(Unresolved::Ciphertext),
        Target::UnknownAlias(alias) if !is_shown => Some(Unresolved::Alias(alias.clone())),
        Target::UnknownKeyOfSecret(secret) => Some(Unresolved::KeyOfSecret(secret.clone())),
        _ => None,
    }
}

/// Whether only the answer will show what a permission is about.
pub(super) fn is_judged_later(snapshot: &Snapshot, permission: &Permission) -> bool {
    let is_unknown = matches!(permission.target, Target::UnknownAlias(_) | Target::UnknownCiphertext);
    is_unknown && snapshot.rules.behind != Behind::Embedded
}

/// What one permission asks of the way.
fn follow(
    elsewhere: &Elsewhere,
    request: &KmsRequest,
    permission: &Permission,
    route: &mut Route,
) -> Result<(), Rejection> {
    let judged = match &permission.target {
        Target::Key(key) => Some(key.clone()),
        Target::UnknownAlias(_) | Target::UnknownCiphertext => None,
        _ => return Ok(()),
    };
    let by = permission.by;
    if let Some(key) = judged.as_ref().filter(|_| by == By::Name) {
        // No id of KMS's has such a letter, and KMS might take it for another one's.
        if key.name.as_str().bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(KmsError::from(ErrorCode::KeyNotFound).into());
        }
        if !permission.names_account && permission.parameter.is_some() && matches!(request.call, Call::Known(_)) {
            route.named_here = Some(key.clone());
        }
    }
    let re_encrypts = request.call.name() == "ReEncrypt";
    if let (Some(at), None) = (answered_at(&request.call), &route.proof) {
        if re_encrypts {
            check_source(elsewhere, request, by, judged.as_ref(), route)?;
        }
        let (action, in_scope, is_needed) = (permission.action_name, permission.in_scope, by != By::Name);
        let alias = permission.alias.clone().filter(|_| !re_encrypts);
        route.proof =
            Some(AnswerProof { at, action, in_scope, judged: judged.clone(), or: None, is_needed, by, alias });
        if !re_encrypts {
            return Ok(());
        }
    } else if let Some(proof) = route.proof.as_mut().filter(|proof| proof.by == By::Ciphertext) {
        // Its answer names one of two keys, and the documentation is not clear about which. The first one is certain.
        proof.or.clone_from(&judged);
    }
    if by == By::Alias {
        if !takes_alias(&request.call) {
            return Err(KmsError::from(ErrorCode::UnsupportedAlias).into());
        }
        let key = judged.as_ref().ok_or_else(|| refused("nobody knows which key the alias points to"))?;
        match (permission.parameter, &elsewhere.signer) {
            (Some(parameter), Signer::Us { .. }) => {
                route.replaced.push((parameter, named_in(&route.account, key)));
            }
            _ => return Err(refused("an alias may point elsewhere by the time KMS reads it; name the key by its id")),
        }
    }
    Ok(())
}

/// KMS might decrypt with the key that is named beside a ciphertext, or with the one that the ciphertext names: they have to
/// be the same, or the ciphertext one of a public key, for which KMS is told all three (ReEncrypt, "SourceKeyId").
fn check_source(
    elsewhere: &Elsewhere,
    request: &KmsRequest,
    by: By,
    judged: Option<&Owned<KeyId>>,
    route: &mut Route,
) -> Result<(), Rejection> {
    const SOURCE: [&str; 3] = ["SourceKeyId", "SourceKeyVersionId", "SourceEncryptionAlgorithm"];
    if by != By::Ciphertext {
        // However it is written: who reads Base64 less strictly finds a key in it that nobody judged.
        let text = request.params.given("CiphertextBlob").unwrap_or_default();
        if CiphertextBlob::may_name_a_version(text) {
            let why = "nobody knows which key made it, and no public key did";
            return Err(KmsError::invalid_parameter_because("CiphertextBlob", why).into());
        }
        let missing = SOURCE.into_iter().find(|name| request.params.given(name).is_none());
        return missing.map_or(Ok(()), |name| Err(KmsError::missing_parameter(name).into()));
    }
    let (Some(named), Some(judged)) = (request.params.given("SourceKeyId"), judged) else { return Ok(()) };
    match (KeyRef::parse(named), &elsewhere.signer) {
        (Some((address, KeyRef::Id(id))), _)
            if id == judged.name && address.is_none_or(|address| address.account == judged.account) =>
        {
            Ok(())
        }
        (Some((_, KeyRef::Alias(_))), Signer::Us { .. }) => {
            route.replaced.push(("SourceKeyId", named_in(&route.account, judged)));
            Ok(())
        }
        _ => Err(KmsError::invalid_parameter_because("SourceKeyId", "another key made the ciphertext").into()),
    }
}

fn takes_alias(call: &Call) -> bool {
    matches!(call, Call::Known(operation) if operation.takes_alias())
}

/// Where the answer of a call names its key, if the call changes nothing: otherwise it would be too late to look.
fn answered_at(call: &Call) -> Option<&'static str> {
    match call {
        Call::Known(operation) if operation.name == "ReEncrypt" => Some("/KeyId"),
        Call::Known(operation) if operation.effect == Effect::Read => operation.names_key_at(),
        _ => None,
    }
}

/// A key as KMS is told of it: by its id in its own account, by its ARN elsewhere.
fn named_in(account: &str, key: &Owned<KeyId>) -> String {
    if key.account == account { key.name.to_string() } else { Resource::key(key.address(), &key.name).arn }
}

fn refused(why: &str) -> Rejection {
    Rejection::Malformed(KmsError::because(ErrorCode::UnsupportedOperation, why))
}
