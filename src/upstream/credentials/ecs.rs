//! The RAM role of the machine, as its metadata service gives it (ECS, ECI, and nodes of ACK).
//!
//! A token is fetched first, as the service demands in its security hardening mode. Where it gives none, it is asked
//! without, as the SDKs do, unless that is forbidden. It must never be asked through a proxy.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::answer::credential_of;
use super::http::{Client, Proxies};
use super::{Credential, Surroundings, is_plain};

/// Where it is on every machine.
const ENDPOINT: &str = "http://100.100.100.200";

const TOKENS: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

const TTL_HEADER: &str = "X-aliyun-ecs-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "X-aliyun-ecs-metadata-token";

/// How long a token is of use, in seconds: for the two questions that follow it at once.
const TTL: &str = "60";

const ROLE: &str = "ALIBABA_CLOUD_ECS_METADATA";
const DISABLED: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
const TOKEN_REQUIRED: &str = "ALIBABA_CLOUD_IMDSV1_DISABLED";

/// Fetches the credential of this role, or else of the one that the environment names, or else of the machine's.
///
/// # Errors
/// A fragment: the service is switched off, cannot be asked, or gives no credential.
pub fn fetch(
    role: Option<&str>,
    endpoint: Option<&str>,
    surroundings: &Surroundings<'_>,
    now: Timestamp,
) -> Result<Credential, String> {
    if surroundings.says(DISABLED) {
        return Err(format!("the metadata service is not asked: {DISABLED} is true"));
    }
    let service = Service::new(endpoint.unwrap_or(ENDPOINT), surroundings)?;
    let role = match surroundings.set_or(role, ROLE) {
        Some(role) => role,
        None => service.role()?,
    };
    service.credential(&role, now)
}

struct Service {
    client: Client,
    base: String,
    token: Option<Zeroizing<String>>,
}

impl Service {
    fn new(endpoint: &str, surroundings: &Surroundings<'_>) -> Result<Self, String> {
        let base = endpoint.trim_end_matches('/').to_owned();
        let client = Client::new(&base, "endpoint", Proxies::None, surroundings)?;
        let token = match token(&client, &base) {
            Err(why) if surroundings.says(TOKEN_REQUIRED) => {
                return Err(format!("{why}, and {TOKEN_REQUIRED} is true"));
            }
            token => token.ok(),
        };
        Ok(Self { client, base, token })
    }

    fn get(&self, path: &str) -> Result<super::http::Reply, String> {
        let headers: Vec<(&str, &str)> = self.token.iter().map(|token| (TOKEN_HEADER, token.as_str())).collect();
        self.client.get(&format!("{}{ROLES}{path}", self.base), &headers)
    }

    /// The name of the role that the machine has.
    fn role(&self) -> Result<String, String> {
        let reply = self.get("")?;
        match reply.status {
            200 => Ok(reply.text.trim().to_owned()),
            404 => Err(format!("{} says that this machine has no RAM role (404)", self.client.place)),
            status => Err(format!("{} answered {status} when asked for the RAM role", self.client.place)),
        }
    }

    fn credential(&self, role: &str, now: Timestamp) -> Result<Credential, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if role.is_empty() || !role.chars().all(is_name) || role.chars().all(|c| c == '.') {
            return Err(format!("the name of the RAM role of {} is none", self.client.place));
        }
        let reply = self.get(role)?;
        if reply.status == 404 {
            return Err(format!("{} says that this machine has no RAM role `{role}` (404)", self.client.place));
        }
        credential_of(&reply, &self.client.place, now)
    }
}

fn token(client: &Client, base: &str) -> Result<Zeroizing<String>, String> {
    let reply = client.put(&format!("{base}{TOKENS}"), &[(TTL_HEADER, TTL)])?;
    let text = reply.text.trim();
    match reply.status {
        200 if !text.is_empty() && is_plain(text) => Ok(Zeroizing::new(text.to_owned())),
        status => Err(format!("{} gives no token (it answered {status})", client.place)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Env, Fake, GOOD, parts};
    use super::super::fetch as fetch_from;
    use super::*;
    use crate::settings::CredentialSource;

    fn ask(role: Option<&str>, fake: &Fake, variables: &[(&str, &str)]) -> Result<Credential, String> {
        let source = CredentialSource::EcsRamRole { role: role.map(str::to_owned), endpoint: Some(fake.url("/")) };
        Env::of(variables).waiting_for(fake).within(|surroundings| fetch_from(&source, surroundings, Env::NOW))
    }

    fn good() -> Answer {
        Answer::Text(200, GOOD.into())
    }

    fn text(status: u16, text: &str) -> Answer {
        Answer::Text(status, text.into())
    }

    /// First lines, and what the headers say that matter.
    fn outline(fake: &Fake) -> Vec<String> {
        let short = |request: &String| {
            let lower = request.to_ascii_lowercase();
            let value =
                |name: &str| lower.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
            let line = request.lines().next().unwrap().replace(" HTTP/1.1", "");
            let headers = [value(&TTL_HEADER.to_ascii_lowercase()), value(&TOKEN_HEADER.to_ascii_lowercase())];
            [Some(line)].into_iter().chain(headers).flatten().collect::<Vec<_>>().join(" ")
        };
        fake.requests().iter().map(short).collect()
    }

    #[test]
    fn a_role_is_asked_directly() {
        let put = "PUT /latest/api/token 60";
        let learn = "GET /latest/meta-data/ram/security-credentials/";
        for (role, variable, answers, expected) in [
            (Some("r"), "", vec![text(200, "tok"), good()], vec![put.to_owned(), format!("{learn}r tok")]),
            (Some("r"), "s", vec![text(200, "tok"), good()], vec![put.to_owned(), format!("{learn}r tok")]),
            (None, "s", vec![text(200, "tok\n"), good()], vec![put.to_owned(), format!("{learn}s tok")]),
            (
                None,
                "",
                vec![text(200, "tok"), text(200, "t-1._\n"), good()],
                vec![put.to_owned(), format!("{learn} tok"), format!("{learn}t-1._ tok")],
            ),
            (Some("r"), "", vec![text(404, "no"), good()], vec![put.to_owned(), format!("{learn}r")]),
            (Some("r"), "", vec![text(405, ""), good()], vec![put.to_owned(), format!("{learn}r")]),
            (Some("r"), "", vec![text(500, ""), good()], vec![put.to_owned(), format!("{learn}r")]),
            (Some("r"), "", vec![text(200, "two lines\nof text"), good()], vec![put.to_owned(), format!("{learn}r")]),
            (Some("r"), "", vec![Answer::Silence, good()], vec![put.to_owned(), format!("{learn}r")]),
        ] {
            let fake = Fake::start(answers);
            assert_eq!(parts(&ask(role, &fake, &[(ROLE, variable)]).unwrap()), Fake::given());
            assert_eq!(outline(&fake), expected);
        }
    }

    #[test]
    fn without_a_token_nothing_is_asked_where_that_is_forbidden() {
        for answer in [text(404, ""), text(200, ""), Answer::Silence] {
            let fake = Fake::start([answer, good()]);
            let why = ask(Some("r"), &fake, &[(TOKEN_REQUIRED, "TRUE")]).unwrap_err();
            assert!(why.contains(", and ALIBABA_CLOUD_IMDSV1_DISABLED is true"), "{why}");
            assert_eq!(fake.requests().len(), 1);
        }
    }

    #[test]
    fn a_service_that_is_switched_off_is_not_asked() {
        let fake = Fake::start([good()]);
        let why = ask(Some("r"), &fake, &[(DISABLED, "true")]).unwrap_err();
        assert!(why.contains("ALIBABA_CLOUD_ECS_METADATA_DISABLED is true"), "{why}");
        assert_eq!(fake.requests().len(), 0);
    }

    #[test]
    fn failures_tell_the_place_and_no_token() {
        for (role, answer, expected) in [
            (None, text(404, ""), "says that this machine has no RAM role (404)"),
            (None, text(403, ""), "answered 403 when asked for the RAM role"),
            (None, text(200, ""), "the name of the RAM role of"),
            (None, text(200, "../secret"), "the name of the RAM role of"),
            (None, text(200, ".."), "the name of the RAM role of"),
            (Some("r"), text(404, ""), "says that this machine has no RAM role `r` (404)"),
            (Some("r"), text(500, "TOKEN"), "answered 500"),
            (Some("r"), text(200, "TOKEN"), "is not the JSON that is expected"),
            (Some("r"), text(200, &GOOD.replace("Success", "Failed")), "refused (Failed)"),
            (Some("r"), text(200, &GOOD.replace("AccessKeyId", "Id")), "has no AccessKeyId"),
            (Some("r"), text(200, &GOOD.replace("2026-", "2025-")), "has expired"),
            (Some("r"), text(200, &"x".repeat(70_000)), "more than 65536 bytes"),
            (Some("r"), Answer::Silence, "does not answer in time"),
        ] {
            let fake = Fake::start([text(200, "TOKEN"), answer]);
            let why = ask(role, &fake, &[]).unwrap_err();
            assert!(why.contains(expected) && why.contains(&fake.url("")) && !why.contains("TOKEN"), "{why}");
        }
        let closed = Fake::start([]);
        assert!(ask(Some("r"), &closed, &[]).unwrap_err().contains("cannot be asked: Connection refused"));
    }
}
