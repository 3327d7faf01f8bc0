//! The facts about a request that conditions can look at, taken from the request, the caller and the operator's rules.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use super::snapshot::{Rules, Snapshot};
use super::target::Target;
use crate::kms::{KmsError, KmsRequest, Params, RawRequest, encryption_context, tags};
use crate::policy::{Context, Principal};

/// The facts about one request. Tags of resources are not among them; each permission has its own.
pub(super) struct Facts {
    source_ip: Option<IpAddr>,
    source_vpc: Option<String>,
    secure_transport: bool,
    now: Timestamp,
    principal_arn: String,
    algorithm: Option<String>,
    encryption_context: Vec<(String, String)>,
    /// What ReEncrypt encrypts with.
    destination_context: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
}

/// Where the encryption algorithm of an operation comes from (KMS "Condition keys", `kms:EncryptionAlgorithm`).
enum Algorithm {
    Symmetric,
    Parameter(&'static str),
}

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("Encrypt", Algorithm::Symmetric),
    ("Decrypt", Algorithm::Symmetric),
    ("GenerateDataKey", Algorithm::Symmetric),
    ("GenerateDataKeyWithoutPlaintext", Algorithm::Symmetric),
    ("GenerateAndExportDataKey", Algorithm::Symmetric),
    ("ExportDataKey", Algorithm::Symmetric),
    ("ReEncrypt", Algorithm::Parameter("SourceEncryptionAlgorithm")),
    ("AsymmetricEncrypt", Algorithm::Parameter("Algorithm")),
    ("AsymmetricDecrypt", Algorithm::Parameter("Algorithm")),
];

/// Where a proxy says for whom it speaks.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The name that conditions give to every symmetric algorithm.
const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";

impl Facts {
    /// Takes the facts from a request.
    ///
    /// # Errors
    /// A parameter that conditions can look at is malformed: it could not be judged.
    pub fn new(
        rules: &Rules,
        raw: &RawRequest<'_>,
        request: &KmsRequest,
        caller: &Principal,
        now: Timestamp,
    ) -> Result<Self, KmsError> {
        let operation = request.call.name();
        let context = encryption_context(&request.params, context_parameter(operation))?;
        let has_destination = operation == "ReEncrypt";
        let destination = has_destination.then(|| encryption_context(&request.params, DESTINATION_CONTEXT));
        let destination = destination.transpose()?.unwrap_or_default();
        Ok(Self {
            source_ip: client_address(rules, raw)?,
            source_vpc: rules.source_vpc.clone(),
            secure_transport: raw.origin.secure,
            now,
            principal_arn: caller.role_arn(),
            algorithm: algorithm(operation, &request.params),
            encryption_context: pairs(context),
            destination_context: pairs(destination),
            request_tags: tags(&request.params)?,
        })
    }

    /// What conditions can look at when this permission is judged. `looked_at` is set when one looks at tags that nobody
    /// knows.
    pub fn context<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        action: &str,
        target: &Target,
        looked_at: &'a Cell<bool>,
    ) -> Context<'a> {
        let known_tags = snapshot.index.tags(target);
        let resource_tags = known_tags.unwrap_or_default();
        // The other half of ReEncrypt: what it encrypts with, and that is symmetric.
        let (algorithm, encryption_context) = match action {
            "kms:ReEncryptTo" => (Some(SYMMETRIC), &self.destination_context),
            _ => (self.algorithm.as_deref(), &self.encryption_context),
        };
        Context {
            source_ip: self.source_ip,
            current_time: Some(self.now),
            secure_transport: Some(self.secure_transport),
            // Callers with an AccessKey did not log on, so there is no second factor to speak of.
            mfa_present: None,
            principal_arn: Some(&self.principal_arn),
            source_vpc: self.source_vpc.as_deref(),
            vpc_source_ip: self.source_ip.filter(|_| self.source_vpc.is_some()),
            encryption_algorithm: algorithm,
            encryption_context,
            key_tags: if matches!(target, Target::Key(_)) { resource_tags } else { &[] },
            request_tags: &self.request_tags,
            resource_tags,
            tags_unknown: known_tags.is_none().then_some(looked_at),
        }
    }
}

/// What ReEncrypt encrypts with, besides what it decrypts with.
const DESTINATION_CONTEXT: &str = "DestinationEncryptionContext";

/// The parameter that the operation acts on, and no other: a context that KMS does not read may say anything.
fn context_parameter(operation: &str) -> &'static str {
    if operation == "ReEncrypt" { "SourceEncryptionContext" } else { "EncryptionContext" }
}

fn pairs(map: BTreeMap<String, String>) -> Vec<(String, String)> {
    map.into_iter().collect()
}

fn algorithm(operation: &str, params: &Params) -> Option<String> {
    let (_, source) = ALGORITHMS.iter().find(|(name, _)| *name == operation)?;
    match source {
        Algorithm::Symmetric => Some(SYMMETRIC.to_owned()),
        Algorithm::Parameter(name) => match params.given(name) {
            Some(algorithm) => Some(algorithm.to_owned()),
            // Without one, ReEncrypt's ciphertext is symmetric.
            None => (operation == "ReEncrypt").then(|| SYMMETRIC.to_owned()),
        },
    }
}

/// Headers in which proxies write who their client is. None but `X-Forwarded-For` is ever read.
const CLAIMS: &[&str] = &[
    FORWARDED_FOR,
    "forwarded",
    "x-forwarded-client-cert",
    "x-real-ip",
    "x-client-cert",
    "x-client-ip",
    "x-remote-user",
    "x-ssl-client-cert",
    "x-ssl-client-dn",
    "x-keyward-caller",
];

/// The claims of identity and origin in this request that are not believed.
pub(super) fn ignored_headers(rules: &Rules, raw: &RawRequest<'_>) -> Vec<&'static str> {
    let peer = raw.origin.address.map(|peer| peer.to_canonical());
    let is_trusted = peer.is_some_and(|peer| rules.trusts_proxy(&peer));
    let believed = |name: &str| is_trusted && name == FORWARDED_FOR;
    CLAIMS.iter().copied().filter(|name| raw.headers.contains_key(*name) && !believed(name)).collect()
}

/// The client's address. What `X-Forwarded-For` says counts only when a trusted proxy says it: the last address in it
/// that is no trusted proxy itself. What stands before that address the client may have written, and is not read.
///
/// # Errors
/// `InvalidParameter`: a trusted proxy says something unreadable. A client without an address could slip past a Deny.
fn client_address(rules: &Rules, raw: &RawRequest<'_>) -> Result<Option<IpAddr>, KmsError> {
    let Some(peer) = raw.origin.address else { return Ok(None) };
    let mut client = peer.to_canonical();
    let values = raw.headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    while rules.trusts_proxy(&client) {
        let Some(hop) = hops.next() else { break };
        client = address_of(hop).ok_or_else(|| {
            KmsError::invalid_parameter_because(FORWARDED_FOR, "a trusted proxy wrote what is no IP address")
        })?;
    }
    Ok(Some(client))
}

/// An address, which some proxies write with its port.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let address = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use crate::kms::Origin;

    use super::*;

    #[test]
    fn only_trusted_proxies_may_say_who_their_client_is() {
        let rules = Rules { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["203.0.113.9"][..], Some("192.0.2.1")),
            ("192.0.2.1", &["nonsense"], Some("192.0.2.1")),
            ("10.0.0.1", &["é, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["é", "nonsense, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["203.0.113.9:4711"], Some("203.0.113.9")),
            ("10.0.0.1", &["[2001:db8::9]:4711"], Some("2001:db8::9")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("::ffff:10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            ("10.0.0.1", &["198.51.100.7", "203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["nonsense"], None),
            ("10.0.0.1", &["203.0.113.9, "], None),
            ("10.0.0.1", &["203.0.113.9, é"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let raw = RawRequest {
                method: "POST",
                target: "/",
                headers: &headers,
                body: b"",
                origin: &Origin { address: peer.parse().ok(), ..Origin::default() },
            };
            let found = client_address(&rules, &raw).map(|address| address.unwrap().to_string());
            assert_eq!(found.ok().as_deref(), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn algorithms_are_those_of_the_operation() {
        let params: Params = [("Algorithm", "RSAES_OAEP_SHA_256")].into_iter().collect();
        for (operation, expected) in [
            ("Encrypt", Some("SYMMETRIC_DEFAULT")),
            ("AsymmetricEncrypt", Some("RSAES_OAEP_SHA_256")),
            ("ReEncrypt", Some("SYMMETRIC_DEFAULT")),
            ("AsymmetricSign", None),
            ("DescribeKey", None),
        ] {
            assert_eq!(algorithm(operation, &params).as_deref(), expected, "{operation}");
        }
    }
}
