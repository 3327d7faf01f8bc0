//! Asking an endpoint: bounded in time and size, without following redirects.
//!
//! Must never tell more of an address than its scheme, host and port: the rest may hold a token. Must never ask through
//! a proxy what is on this machine or beside it: the proxy would get the credential.

use std::net::IpAddr;
use std::time::Duration;

use ureq::http::Uri;
use zeroize::Zeroizing;

use super::{BYTES_MAX, Surroundings};

/// Asks one endpoint.
pub struct Client {
    agent: ureq::Agent,
    /// What is told of it: scheme, host and port.
    pub place: String,
}

/// What was answered.
pub struct Reply {
    /// The status of the answer.
    pub status: u16,
    /// Its text.
    pub text: Zeroizing<String>,
}

/// Whether the proxy that the environment names may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proxies {
    /// Never: the endpoint is close.
    None,
    /// For `https`, where it sees no more than the name of the host.
    ForTls,
}

impl Client {
    /// Asks what is at this address.
    ///
    /// # Errors
    /// A fragment: it is none. `what` says whose address it is.
    pub fn new(address: &str, what: &str, proxies: Proxies, surroundings: &Surroundings<'_>) -> Result<Self, String> {
        let uri: Option<Uri> = address.parse().ok();
        let place = uri.as_ref().and_then(place_of);
        let place = place.ok_or_else(|| format!("{what} is no address such as http://127.0.0.1:8080/path"))?;
        Ok(Self { agent: agent(surroundings.patience, proxies, &place), place })
    }

    /// # Errors
    /// A fragment: there is no answer.
    pub fn get(&self, address: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
        let request =
            headers.iter().fold(self.agent.get(address), |request, (name, value)| request.header(*name, *value));
        self.reply(request.call())
    }

    /// # Errors
    /// A fragment: there is no answer.
    pub fn put(&self, address: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
        let request =
            headers.iter().fold(self.agent.put(address), |request, (name, value)| request.header(*name, *value));
        self.reply(request.send_empty())
    }

    /// # Errors
    /// A fragment: there is no answer.
    pub fn post(&self, address: &str, form: &[(&str, &str)]) -> Result<Reply, String> {
        self.reply(self.agent.post(address).send_form(form.iter().copied()))
    }

    fn reply(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, String> {
        let mut response = response.map_err(|error| self.told(&error))?;
        let bytes = response.body_mut().with_config().limit(BYTES_MAX).read_to_vec();
        let bytes = Zeroizing::new(bytes.map_err(|error| self.told(&error))?);
        let text = std::str::from_utf8(&bytes).map_err(|_| format!("{} answered with what is no text", self.place))?;
        Ok(Reply { status: response.status().as_u16(), text: Zeroizing::new(text.to_owned()) })
    }

    /// What went wrong. Only what quotes nothing of what was sent or answered is told in the words of the library: what
    /// the system says, and what TLS says.
    fn told(&self, error: &ureq::Error) -> String {
        let place = &self.place;
        match error {
            ureq::Error::Timeout(_) => format!("{place} does not answer in time"),
            ureq::Error::HostNotFound => format!("{place} is not known by name"),
            ureq::Error::BodyExceedsLimit(_) => format!("{place} answered with more than {BYTES_MAX} bytes"),
            ureq::Error::Io(error) => format!("{place} cannot be asked: {error}"),
            ureq::Error::Rustls(error) => format!("{place} cannot be asked: {error}"),
            ureq::Error::ConnectProxyFailed(_) => format!("{place} cannot be asked through the proxy"),
            _ => format!("{place} cannot be asked, or does not speak HTTP"),
        }
    }
}

fn agent(patience: Duration, proxies: Proxies, place: &str) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(patience.saturating_mul(2)))
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_send_request(Some(patience))
        .timeout_send_body(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(patience));
    // By default ureq takes the proxy that the environment names.
    if proxies == Proxies::None || !place.starts_with("https://") {
        config = config.proxy(None);
    }
    config.build().into()
}

/// Scheme, host and port of an address of the web. One that holds a password is none.
fn place_of(uri: &Uri) -> Option<String> {
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    Some(format!("{scheme}://{authority}"))
}

/// Whether what is sent to this place stays secret on the way: it is encrypted, or stays on this machine.
pub fn is_secret_on_the_way(place: &str) -> bool {
    let Ok(uri) = place.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    uri.scheme_str() == Some("https") || is_here
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Env, Fake};
    use super::*;

    #[test]
    fn only_scheme_host_and_port_are_told() {
        for (address, expected) in [
            ("http://127.0.0.1:1/a/TOKEN?b=TOKEN", Some("http://127.0.0.1:1")),
            ("https://sts.aliyuncs.com", Some("https://sts.aliyuncs.com")),
            ("http://[::1]:80/", Some("http://[::1]:80")),
            ("http://me:TOKEN@host/", None),
            ("ftp://host/", None),
            ("host:80", None),
            ("/a", None),
            ("", None),
        ] {
            let uri: Option<Uri> = address.parse().ok();
            assert_eq!(uri.as_ref().and_then(place_of).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn tokens_go_encrypted_or_to_this_machine() {
        for (place, expected) in [
            ("https://sts.aliyuncs.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("http://sts.aliyuncs.com", false),
            ("", false),
        ] {
            assert_eq!(is_secret_on_the_way(place), expected, "{place}");
        }
    }

    #[test]
    fn redirects_are_not_followed() {
        let fake = Fake::start([Answer::Raw("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n".into())]);
        let reply = Env::of(&[])
            .within(|surroundings| {
                Client::new(&fake.url("/a"), "a", Proxies::None, surroundings)?.get(&fake.url("/a"), &[])
            })
            .unwrap();
        assert_eq!((reply.status, fake.requests().len()), (302, 1));
    }

    /// Runs the tests of the close endpoints again, where the environment names a proxy that nobody is at.
    #[test]
    fn proxies_are_not_asked() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        for name in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        let output = command.env_remove("NO_PROXY").env_remove("no_proxy").arg("asked_directly").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("3 passed; 0 failed"), "{told}");
    }
}
