//! A request: read once, into one meaning, or refused.
//!
//! The bytes that are judged must be the bytes that KMS will act on. Whatever two parsers could read differently is
//! therefore refused here, before anybody asks who is calling: unusual methods and paths, repeated headers, bodies that
//! are no forms, actions and versions that contradict each other, claims about the connection. What is accepted is
//! exactly what the official clients send.

use http::HeaderMap;

use super::answer::Format;
use super::error::{ErrorCode, KmsError};
use super::operations::{Api, Effect, Operation};
use super::origin::Origin;
use super::params::{CLAIMS, PUBLIC, Params};
use super::scheme::Scheme;

/// A request as it came over the wire, whole.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The request target, unchanged.
    pub target: &'a str,
    /// The headers, repetitions included.
    pub headers: &'a HeaderMap,
    /// The body, without its framing.
    pub body: &'a [u8],
    /// What is known of the connection it came over.
    pub origin: &'a Origin,
}

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// An operation of the table.
    Known(&'static Operation),
    /// An operation that the table does not have: letters and digits, at most 64.
    Unknown(String),
}

impl Call {
    /// The operation's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(operation) => operation.name,
            Self::Unknown(name) => name,
        }
    }

    /// What executing it does; an unknown operation may do anything.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Known(operation) => operation.effect,
            Self::Unknown(_) => Effect::Write,
        }
    }
}

/// A request with its one meaning.
#[derive(Debug, Clone)]
pub struct KmsRequest {
    /// Whose operation it is.
    pub api: Api,
    /// What is called.
    pub call: Call,
    /// The operation's own parameters; public ones such as `Action` and `Timestamp` are not among them.
    pub params: Params,
    /// The region which the client believes to talk to.
    pub region: Option<String>,
    /// In which format it wants the answer.
    pub format: Format,
    /// How it is signed; not verified yet.
    pub scheme: Scheme,
    /// The hash of the document that it means to replace (the HTTP header `If-Match`, RFC 9110 §13.1.1): 64 hexadecimal
    /// digits. KMS has nothing like it.
    pub if_match: Option<Box<str>>,
}

impl KmsRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// A refusal in KMS's own words when the request is malformed, or could be read in more than one way.
    pub fn parse(raw: &RawRequest<'_>) -> Result<Self, KmsError> {
        if !matches!(raw.method, "GET" | "POST") {
            return Err(ErrorCode::UnsupportedHttpMethod.into());
        }
        refuse_ambiguous_headers(raw.headers)?;
        let query = Params::decode(query_of(raw)?)?;
        let form = form_of(raw)?;
        let all = query.clone().merge(form)?;
        all.refuse_look_alikes()?;
        refuse_claims(raw.headers, &all)?;
        let scheme = Scheme::parse(raw.headers, &query, &all, !raw.body.is_empty())?;
        all.refuse_names_of_headers()?;
        let name = action_of(raw.headers, &all, &scheme)?;
        let api = api_of(raw.headers, &all, name)?;
        let call = call_of(api, name)?;
        let region = region_of(&all, &scheme, api)?;
        Ok(Self {
            api,
            call,
            params: all.retaining(|name| !PUBLIC.contains(&name)),
            region,
            format: Format::requested(raw),
            scheme,
            if_match: if_match_of(raw.headers)?,
        })
    }
}

fn if_match_of(headers: &HeaderMap) -> Result<Option<Box<str>>, KmsError> {
    let Some(given) = header(headers, "if-match")? else { return Ok(None) };
    let hash = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(given);
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let why = "it must be the SHA-256 of the policy to be replaced, in 64 lowercase hexadecimal digits";
    if is_hash { Ok(Some(hash.into())) } else { Err(KmsError::invalid_parameter_because("If-Match", why)) }
}

/// The value of a header that may be there once. Space around the value is not part of it.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, KmsError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| refused_header(name))?;
            Ok(Some(value.trim_matches([' ', '\t'])))
        }
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(refused_header(name)),
    }
}

pub(super) fn required_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, KmsError> {
    header(headers, name)?.ok_or_else(|| KmsError::missing_parameter(name))
}

fn refused_header(name: &str) -> KmsError {
    KmsError::new(ErrorCode::InvalidParameter, format!("The header \"{name}\" is repeated or not valid."))
}

/// Headers on which a decision or its execution can depend may be there once only; a few may not be there at all.
fn refuse_ambiguous_headers(headers: &HeaderMap) -> Result<(), KmsError> {
    const ONCE: &[&str] = &["authorization", "host", "content-type", "content-length", "date"];
    const NEVER: &[&str] = &["content-encoding", "upgrade"];
    for name in headers.keys().map(http::HeaderName::as_str) {
        let once = ONCE.contains(&name) || name.starts_with("x-acs-") || name.starts_with("x-kms-");
        if once {
            header(headers, name)?;
        }
        // Some servers take `x_acs_action` for `x-acs-action`.
        if NEVER.contains(&name) || name.contains('_') {
            return Err(refused_header(name));
        }
    }
    Ok(())
}

/// The query of a target whose path is `/`. In HTTP-proxy mode the target is absolute; then its authority is the Host.
fn query_of<'a>(raw: &RawRequest<'a>) -> Result<&'a str, KmsError> {
    let not_found = || KmsError::from(ErrorCode::ApiNotFound);
    let absolute = raw.target.strip_prefix("http://").or_else(|| raw.target.strip_prefix("https://"));
    let origin = match absolute {
        None => raw.target,
        Some(rest) => {
            let slash = rest.find('/').ok_or_else(not_found)?;
            let (authority, origin) = rest.split_at(slash);
            if header(raw.headers, "host")? != Some(authority) {
                return Err(refused_header("host"));
            }
            origin
        }
    };
    let query = origin.strip_prefix('/').ok_or_else(not_found)?;
    match query.strip_prefix('?') {
        _ if raw.target.contains('#') => Err(not_found()),
        Some(query) => Ok(query),
        None if query.is_empty() => Ok(query),
        None => Err(not_found()),
    }
}

/// The parameters of a form body. An empty body has none, whatever its content type says.
fn form_of(raw: &RawRequest<'_>) -> Result<Params, KmsError> {
    if raw.body.is_empty() {
        return Ok(Params::default());
    }
    let content_type = header(raw.headers, "content-type")?.unwrap_or_default();
    let body = std::str::from_utf8(raw.body).ok().filter(|_| raw.method == "POST" && is_form(content_type));
    let Some(body) = body else {
        let message = "A request body must be a form: POST with content type application/x-www-form-urlencoded.";
        return Err(KmsError::new(ErrorCode::ParseRequestParameter, message));
    };
    Params::decode(body)
}

fn is_form(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parts.all(|part| part.eq_ignore_ascii_case("charset=utf-8"))
}

/// Nobody may state his own source address, or act for another account.
fn refuse_claims(headers: &HeaderMap, params: &Params) -> Result<(), KmsError> {
    const CLAIM_HEADERS: &[&str] = &["x-acs-proxy-source-ip", "x-acs-proxy-secure-transport"];
    let claim = CLAIMS.iter().find(|name| params.get(name).is_some());
    let claim = claim.or_else(|| CLAIM_HEADERS.iter().find(|name| headers.contains_key(**name)));
    match claim {
        Some(name) => Err(KmsError::invalid_parameter_because(name, "a caller may not state this itself")),
        None => Ok(()),
    }
}

/// In V1 the signed parameter `Action` counts, and the header, where there is one, may differ in the case of its first
/// letter (as `@alicloud/pop-core` sends it). Everywhere else the header counts, and a parameter must be equal; what is
/// not signed at all may say it in one of the two.
fn action_of<'a>(headers: &'a HeaderMap, params: &'a Params, scheme: &Scheme) -> Result<&'a str, KmsError> {
    let contradiction = || KmsError::invalid_parameter_because("Action", "it contradicts the header x-acs-action");
    let (parameter, from_header) = (params.get("Action"), header(headers, "x-acs-action")?);
    match scheme {
        Scheme::Rpc(_) => {
            let action = parameter.ok_or_else(|| KmsError::missing_parameter("Action"))?;
            if from_header.is_some_and(|header| !same_but_for_first_case(header, action)) {
                return Err(contradiction());
            }
            Ok(action)
        }
        Scheme::Acs(_) | Scheme::ClientKey(_) | Scheme::Unsigned => {
            if from_header.is_some() && parameter.is_some_and(|parameter| Some(parameter) != from_header) {
                return Err(contradiction());
            }
            let unsigned = parameter.filter(|_| *scheme == Scheme::Unsigned);
            from_header.or(unsigned).ok_or_else(|| KmsError::missing_parameter("x-acs-action"))
        }
    }
}

/// Every copy of the version must be the same one, and one must be there. An operation of another API's table is not
/// found in this one's.
fn api_of(headers: &HeaderMap, params: &Params, action: &str) -> Result<Api, KmsError> {
    let copies = [params.get("Version"), header(headers, "x-acs-version")?];
    let mut copies = copies.into_iter().flatten();
    let Some(version) = copies.next() else { return Err(KmsError::missing_parameter("Version")) };
    if copies.any(|copy| copy != version) {
        return Err(ErrorCode::NoSuchVersion.into());
    }
    let api = Api::ALL.iter().copied().find(|api| api.version() == version);
    let api = api.ok_or(ErrorCode::NoSuchVersion)?;
    let is_of_another = |other: &&Api| **other != api && Operation::find(**other, action).is_some();
    match Api::ALL.iter().find(is_of_another) {
        Some(_) if Operation::find(api, action).is_none() => Err(ErrorCode::NoSuchVersion.into()),
        _ => Ok(api),
    }
}

fn call_of(api: Api, name: &str) -> Result<Call, KmsError> {
    if let Some(operation) = Operation::find(api, name) {
        return Ok(Call::Known(operation));
    }
    // A known name in another case may be that operation to KMS; judged as unknown it would escape its key's policy.
    let looks_known = api.operations().iter().any(|operation| operation.name.eq_ignore_ascii_case(name));
    let legal = !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if api != Api::Kms || looks_known || !legal {
        return Err(ErrorCode::ApiNotFound.into());
    }
    Ok(Call::Unknown(name.to_owned()))
}

/// Whether a V4 signature states no region. Go's client takes the region from the name of the endpoint: where that is not
/// one of Alibaba Cloud's it writes `center`, or whatever stands between two dots, a port included.
fn is_unknown(region: &str) -> bool {
    region == "center" || region.contains(':')
}

/// The region that the client states; a V4 signature states one too, and the product.
fn region_of(params: &Params, scheme: &Scheme, api: Api) -> Result<Option<String>, KmsError> {
    let stated = params.get("RegionId");
    let Scheme::Acs(signature) = scheme else { return Ok(stated.map(str::to_owned)) };
    let Some(scope) = &signature.credential_scope else { return Ok(stated.map(str::to_owned)) };
    if scope.product != api.product() {
        return Err(KmsError::because(ErrorCode::IncompleteSignature, "it is made for another product"));
    }
    if is_unknown(&scope.region) {
        return Ok(stated.map(str::to_owned));
    }
    if stated.is_some_and(|stated| stated != scope.region) {
        return Err(KmsError::invalid_parameter_because("RegionId", "the signature is made for another region"));
    }
    Ok(Some(scope.region.clone()))
}

fn same_but_for_first_case(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    one.len() == other.len()
        && one.iter().zip(other).enumerate().all(|(index, (a, b))| a == b || (index == 0 && a.eq_ignore_ascii_case(b)))
}

#[cfg(test)]
mod tests;
