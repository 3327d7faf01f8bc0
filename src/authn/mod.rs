//! WHO IS CALLING: from a request and its connection to a proven caller.
//!
//! Identity is proven, never claimed: by a signature with a key that the [`Directory`] has, or with the temporary key of a
//! role session whose token we made; by a client certificate; by the user id of the process at the other end of a Unix
//! socket. Who proves two identities must prove the same one twice. It decides nothing about permissions, keeps no state
//! but the [`ReplayMemory`], and reads no clock.

mod certificate;
mod directory;
mod replay;
mod rsa;
mod session;
mod signature;
mod unidentified;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

pub use certificate::read_certificate;
pub use directory::{
    AccessKey, Attachment, Directory, KeyMaterial, Member, Role, SESSION_SECONDS_DEFAULT, SESSION_SECONDS_MAX,
    SESSION_SECONDS_MIN, SecretSource, is_session_name,
};
pub use replay::{NotTaken, Once, Remembered, ReplayMemory};
pub use rsa::RsaPublicKey;
pub use session::{SESSION_NONCE_BYTES, Session, SessionCredentials, SessionKey};
pub use signature::{AcsParts, AcsRequest, FORM, Signer, acs_signature, payload_hash, rpc_signature};
pub use unidentified::Unidentified;

use crate::kms::{Algorithm, KmsRequest, Origin, RawRequest, Version, is_foreign};
use crate::policy::{Identity, Principal};

/// How far a request's time may be from ours, either way ("Specified time stamp or date value is expired": 15 minutes).
pub const CLOCK_WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// By what callers are known.
#[derive(Clone, Copy)]
pub struct Authority<'s> {
    /// Who there is.
    pub directory: &'s Directory,
    /// What the tokens of role sessions are made with; `None` if there are no sessions.
    pub sessions: Option<&'s SessionKey>,
    /// The operator's choices.
    pub rules: &'s IdentityRules,
}

/// The operator's choices about what proves an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRules {
    /// The algorithms of signatures that are taken.
    pub algorithms: Vec<Algorithm>,
    /// Whether signatures are left to the KMS behind us: the AccessKey ID alone says who calls. Only for a KMS that
    /// verifies them.
    pub trust_upstream: bool,
}

impl Default for IdentityRules {
    fn default() -> Self {
        Self { algorithms: Algorithm::ALL.to_vec(), trust_upstream: false }
    }
}

/// A caller whose identity is proven.
#[derive(Clone)]
pub struct Caller<'a> {
    /// Who it is.
    pub principal: Cow<'a, Principal>,
    /// Where it stands in the directory, to find its policies. For a session this is its role.
    pub member: usize,
    /// How it was proven.
    pub proof: Proof,
    /// The text of the policy that narrows its session.
    pub session_policy: Option<String>,
    /// What makes its request another one than all others, if it is signed.
    pub once: Option<Once>,
}

/// How an identity was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A V1 signature.
    SignatureV1,
    /// A V3 signature.
    SignatureV3,
    /// A V4 signature.
    SignatureV4,
    /// A signature with a client key.
    ClientKey,
    /// A client certificate.
    Certificate,
    /// The user id of the process at the other end of a Unix socket.
    UnixPeer,
    /// Nothing here: the KMS behind us verifies the signature.
    Upstream,
}

impl Proof {
    /// The word for it in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignatureV1 => "signature_v1",
            Self::SignatureV3 => "signature_v3",
            Self::SignatureV4 => "signature_v4",
            Self::ClientKey => "client_key",
            Self::Certificate => "certificate",
            Self::UnixPeer => "unix_peer",
            Self::Upstream => "upstream",
        }
    }

    fn of(algorithm: Algorithm) -> Self {
        match algorithm.version() {
            Version::V1 => Self::SignatureV1,
            Version::V3 => Self::SignatureV3,
            Version::V4 => Self::SignatureV4,
            Version::ClientKey => Self::ClientKey,
        }
    }
}

/// Finds out who sent `request`.
///
/// # Errors
/// The first reason why its identity is not proven. The time is checked before the signature, so that an old request
/// costs nothing.
pub fn identify<'a>(
    authority: &Authority<'a>,
    raw: &RawRequest<'_>,
    request: &'a KmsRequest,
    now: Timestamp,
) -> Result<Caller<'a>, Unidentified> {
    let by_connection = by_connection(authority.directory, raw.origin, now)?;
    let Some(algorithm) = request.scheme.algorithm() else {
        return match by_connection {
            // The connection is the proxy's, or a browser's that was lured here.
            Some(_) if is_foreign(raw.headers) => Err(Unidentified::Foreign),
            Some(caller) => Ok(caller),
            None => Err(Unidentified::Unsigned),
        };
    };
    let (by_signature, begun_by) = by_signature(authority, raw, request, algorithm, now)?;
    match by_connection {
        Some(other) if !agree(&other, &by_signature, begun_by.as_deref()) => Err(Unidentified::TwoIdentities),
        _ => Ok(by_signature),
    }
}

/// Whether the connection may be that of who signed: the same one; for a session, its role or whoever began it. Of a
/// session that was handed out by us nobody is known to have begun it.
fn agree(connection: &Caller<'_>, signature: &Caller<'_>, begun_by: Option<&str>) -> bool {
    connection.member == signature.member
        || begun_by.is_some_and(|arn| arn.is_empty() || arn == connection.principal.role_arn())
}

/// Who is at the other end of the connection, if that alone proves somebody.
fn by_connection<'a>(
    directory: &'a Directory,
    origin: &Origin,
    now: Timestamp,
) -> Result<Option<Caller<'a>>, Unidentified> {
    let certified = match &origin.certificate {
        Some(certificate) if now >= certificate.expires => return Err(Unidentified::CertificateExpired),
        Some(certificate) => {
            let holder = directory.holder_of(certificate).map_err(|_| Unidentified::TwoIdentities)?;
            holder.map(|holder| (holder, Proof::Certificate))
        }
        None => None,
    };
    let known = certified.or_else(|| Some((directory.unix_user(origin.uid?)?, Proof::UnixPeer)));
    Ok(known.map(|(holder, proof)| Caller {
        principal: Cow::Borrowed(&holder.principal),
        member: holder.member,
        proof,
        session_policy: None,
        once: None,
    }))
}

fn by_signature<'a>(
    authority: &Authority<'a>,
    raw: &RawRequest<'_>,
    request: &'a KmsRequest,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<(Caller<'a>, Option<String>), Unidentified> {
    let scheme = &request.scheme;
    if !authority.rules.algorithms.contains(&algorithm) {
        return Err(Unidentified::AlgorithmNotAccepted(algorithm));
    }
    let access_key_id = scheme.access_key_id().unwrap_or_default();
    let holder = match scheme.security_token() {
        None => Holder::of_access_key(authority.directory, access_key_id)?,
        Some(token) => Holder::of_session(authority, access_key_id, token, now)?,
    };
    let signed = check_time(scheme.timestamp(), now)?;
    let verified_upstream = authority.rules.trust_upstream;
    if !verified_upstream {
        signature::verify(scheme, raw, &holder.key)?;
    }
    // Whoever verifies it remembers it, too: here anybody could fill the memory in the name of others.
    let once = (!verified_upstream).then(|| Once {
        holder: holder.principal.role_arn(),
        access_key_id: access_key_id.to_owned(),
        nonce: scheme.once().to_owned(),
        signed,
    });
    let caller = Caller {
        principal: holder.principal,
        member: holder.member,
        proof: if verified_upstream { Proof::Upstream } else { Proof::of(algorithm) },
        session_policy: holder.session_policy,
        once,
    };
    Ok((caller, holder.begun_by))
}

/// Who an access key belongs to, and what verifies its signatures.
struct Holder<'a> {
    principal: Cow<'a, Principal>,
    member: usize,
    key: Cow<'a, KeyMaterial>,
    session_policy: Option<String>,
    /// Of a session, the ARN of who began it; empty if we did.
    begun_by: Option<String>,
}

impl<'a> Holder<'a> {
    fn of_access_key(directory: &'a Directory, id: &str) -> Result<Self, Unidentified> {
        let Some((_, access_key)) = directory.access_key(id) else {
            let is_session = id.starts_with("STS.");
            return Err(if is_session { Unidentified::TokenMissing } else { Unidentified::UnknownAccessKey });
        };
        if !access_key.active {
            return Err(Unidentified::InactiveAccessKey);
        }
        let member = directory.member(access_key.member).ok_or(Unidentified::UnknownAccessKey)?;
        Ok(Self {
            principal: Cow::Borrowed(&member.principal),
            member: access_key.member,
            key: Cow::Borrowed(&access_key.key),
            session_policy: None,
            begun_by: None,
        })
    }

    fn of_session(authority: &Authority<'a>, id: &str, token: &str, now: Timestamp) -> Result<Self, Unidentified> {
        if authority.directory.access_key(id).is_some() {
            return Err(Unidentified::TokenMismatch);
        }
        let sessions = authority.sessions.ok_or(Unidentified::TokenMalformed)?;
        let (session, credentials) = sessions.open(token).map_err(|_| Unidentified::TokenMalformed)?;
        if credentials.access_key_id != id {
            return Err(Unidentified::TokenMismatch);
        }
        if now >= session.expires {
            return Err(Unidentified::TokenExpired);
        }
        let (member, _) = authority.directory.role(&session.account, &session.role).ok_or(Unidentified::RoleIsGone)?;
        let identity = Identity::Session { role: session.role.into(), session: session.name.into() };
        Ok(Self {
            principal: Cow::Owned(Principal { account: session.account.into(), identity }),
            member,
            key: Cow::Owned(KeyMaterial::Secret(credentials.secret)),
            session_policy: session.policy,
            begun_by: Some(session.begun_by),
        })
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`, with milliseconds where `@alicloud/kms-sdk` sends them.
fn check_time(timestamp: &str, now: Timestamp) -> Result<Timestamp, Unidentified> {
    if timestamp.is_empty() {
        return Err(Unidentified::TimestampMissing);
    }
    let legal = has_form(timestamp, "dddd-dd-ddTdd:dd:ddZ") || has_form(timestamp, "dddd-dd-ddTdd:dd:dd.dddZ");
    // A leap second is none that SDKs write.
    let legal = legal && timestamp.get(17..19) != Some("60");
    let time: Timestamp = timestamp.parse().ok().filter(|_| legal).ok_or(Unidentified::TimestampMalformed)?;
    if now.duration_since(time).abs() > CLOCK_WINDOW { Err(Unidentified::TimestampExpired) } else { Ok(time) }
}

/// Whether a text has the characters of a form, in which `d` is any digit.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests;
