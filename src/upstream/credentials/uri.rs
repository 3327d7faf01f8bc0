//! Credentials from an address that hands them out, such as the one in `ALIBABA_CLOUD_CREDENTIALS_URI`.
//!
//! The address may hold a token, so it must never be told whole. It must never be asked for through a proxy.

use jiff::Timestamp;

use super::answer::credential_of;
use super::http::{Client, Proxies};
use super::{Credential, Surroundings};

const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

/// Fetches from this address, or else from the one in the environment.
///
/// # Errors
/// A fragment: no address is known, or it gives no credential.
pub fn fetch(uri: Option<&str>, surroundings: &Surroundings<'_>, now: Timestamp) -> Result<Credential, String> {
    let address = surroundings.set_or(uri, URI);
    let address = address.ok_or_else(|| format!("no address of credentials: set uri, or the variable {URI}"))?;
    let what = if uri.is_some() { "uri" } else { URI };
    let client = Client::new(&address, what, Proxies::None, surroundings)?;
    credential_of(&client.get(&address, &[])?, &client.place, now)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Env, Fake, GOOD, parts};
    use super::super::fetch as fetch_from;
    use super::*;
    use crate::settings::CredentialSource;

    fn ask(uri: Option<String>, env: &Env) -> Result<Credential, String> {
        env.within(|surroundings| fetch_from(&CredentialSource::Uri { uri }, surroundings, Env::NOW))
    }

    #[test]
    fn a_uri_is_asked_directly() {
        for by_variable in [false, true] {
            let fake = Fake::start([Answer::Text(200, GOOD.into())]);
            let url = fake.url("/credentials/TOKEN?a=b");
            let (uri, env) = match by_variable {
                true => (None, Env::of(&[(URI, &url)])),
                false => (Some(url), Env::of(&[(URI, "http://127.0.0.1:1/")])),
            };
            assert_eq!(parts(&ask(uri, &env).unwrap()), Fake::given());
            let [request] = &fake.requests()[..] else { panic!() };
            assert!(request.starts_with("GET /credentials/TOKEN?a=b HTTP/1.1\r\n"), "{request}");
            assert!(request.to_ascii_lowercase().contains(&format!("host: {}\r\n", fake.address)), "{request}");
            assert!(request.ends_with("\r\n\r\n"));
        }
    }

    #[test]
    fn failures_tell_the_place_and_no_token() {
        for (answer, expected) in [
            (Answer::Text(404, "no".into()), " answered 404"),
            (Answer::Text(500, "{}".into()), " answered 500"),
            (Answer::Text(200, "TOKEN".into()), " is not the JSON that is expected"),
            (Answer::Text(200, GOOD.replace("Success", "Fail")), " refused (Fail)"),
            (Answer::Text(200, GOOD.replace("SecurityToken", "Other")), " has no SecurityToken"),
            (Answer::Text(200, GOOD.replace("2026-", "2025-")), "has expired, at 2025-"),
            (Answer::Text(200, "x".repeat(64 * 1024 + 1)), " answered with more than 65536 bytes"),
            (Answer::Bytes(200, vec![0xff]), " answered with what is no text"),
            (Answer::Raw("TOKEN\r\n\r\n".into()), " does not speak HTTP"),
            (Answer::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nTOKEN".into()), " cannot be asked"),
            (Answer::Silence, " does not answer in time"),
            (Answer::Stall("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nTOKEN".into()), " does not answer in time"),
        ] {
            let fake = Fake::start([answer]);
            let why = ask(Some(fake.url("/TOKEN")), &Env::of(&[]).waiting_for(&fake)).unwrap_err();
            assert!(why.contains(expected) && why.contains(&fake.url("")) && !why.contains("TOKEN"), "{why}");
        }
    }

    #[test]
    fn an_address_is_needed() {
        assert!(
            ask(None, &Env::of(&[])).unwrap_err().contains("set uri, or the variable ALIBABA_CLOUD_CREDENTIALS_URI")
        );
        assert!(
            ask(None, &Env::of(&[(URI, "TOKEN")]))
                .unwrap_err()
                .starts_with("ALIBABA_CLOUD_CREDENTIALS_URI is no address")
        );
        assert!(ask(Some("http://me:TOKEN@a/".into()), &Env::of(&[])).unwrap_err().starts_with("uri is no address"));
        let closed = Fake::start([]);
        assert!(
            ask(Some(closed.url("/TOKEN")), &Env::of(&[])).unwrap_err().contains("cannot be asked: Connection refused")
        );
    }
}
