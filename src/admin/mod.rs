//! THE OPERATOR'S PORT: metrics, health and readiness, apart from the API; and, at a door of its own, credentials for a
//! workload.
//!
//! The port reads only, and shows names and numbers, never a request. A browser that was lured here by a name of somebody else's
//! gets nothing, because the Host must be this port's own.

mod credentials;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

pub use credentials::Vending;

use crate::listen::Tls;
use crate::proxy::Drain;
use crate::store::{Status, Store};
use crate::telemetry::{Telemetry, TlsReport};

/// The admin port's application.
pub struct Admin {
    store: Arc<Store>,
    telemetry: Telemetry,
    drain: Arc<Drain>,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// A page: its status, content type and text.
struct Page {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

type Render = fn(&Admin) -> Page;

/// What is served where.
const PAGES: &[(&str, Render)] =
    &[("/metrics", Admin::metrics), ("/healthz", Admin::health), ("/readyz", Admin::readiness)];

impl Admin {
    /// An application for the port at `address`.
    pub fn new(
        store: Arc<Store>,
        telemetry: Telemetry,
        drain: Arc<Drain>,
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        Self { store, telemetry, drain, address, tls }
    }

    fn page(&self, method: &str, path: &str, host: &str) -> Page {
        if !self.is_ours(host) {
            return Page::text(421, "this port answers to its own address only\n");
        }
        match PAGES.iter().find(|(known, _)| *known == path) {
            Some((_, page)) if matches!(method, "GET" | "HEAD") => page(self),
            Some(_) => Page::text(405, "only GET is served here\n"),
            None => Page::text(404, "/metrics, /healthz and /readyz are here\n"),
        }
    }

    /// A port that listens beyond loopback may have any name in its network.
    fn is_ours(&self, host: &str) -> bool {
        !self.address.ip().is_loopback() || is_own_address(host, self.address)
    }

    fn tls_status(&self) -> Option<Arc<TlsReport>> {
        self.tls.as_ref().map(|tls| tls.status())
    }

    fn metrics(&self) -> Page {
        let body = self.telemetry.metrics.render(&self.store.status(), self.tls_status().as_deref());
        Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    fn health(&self) -> Page {
        Page::text(200, "ok\n")
    }

    /// 200 while requests are taken, also when a file cannot be used: then the last good version is in force, and the
    /// answer says which file and why.
    fn readiness(&self) -> Page {
        let ready = !self.drain.is_ending();
        let body = readiness(ready, &self.store.status(), self.tls_status().as_deref());
        Page { status: if ready { 200 } else { 503 }, content_type: "application/json", body }
    }
}

/// Whether a request is addressed to this very port, by any name that a loopback address has. Some SDKs leave the port
/// away.
fn is_own_address(host: &str, address: SocketAddr) -> bool {
    let name = host.strip_suffix(&format!(":{}", address.port())).unwrap_or(host);
    name == address.ip().to_string() || ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

fn readiness(ready: bool, status: &Status, tls: Option<&TlsReport>) -> Vec<u8> {
    let of_tls = tls.into_iter().flat_map(|tls| &tls.problems);
    let problems: Vec<String> = status.problems.iter().chain(of_tls).map(ToString::to_string).collect();
    let warnings: Vec<String> = status.warnings.iter().map(|finding| format!("warning{finding}")).collect();
    let detail = json!({
        "ready": ready,
        "generation": status.generation,
        "in_force_since": status.since.map(|since| since.to_string()),
        "policies": { "key": status.key_policies, "secret": status.secret_policies, "ram": status.ram_policies },
        "callers": status.callers,
        "problems": problems,
        "warnings": warnings,
    });
    format!("{detail:#}\n").into_bytes()
}

impl Page {
    fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.as_bytes().to_vec() }
    }

    fn into_response(self, with_body: bool) -> Response<Vec<u8>> {
        let builder = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("content-length", self.body.len())
            .header("cache-control", "no-store")
            .header("x-content-type-options", "nosniff");
        builder.body(if with_body { self.body } else { Vec::new() }).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "credentials begin when they are handed out")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let page = self.page(head.method.as_str(), head.uri.path(), host);
        page.into_response(head.method != "HEAD")
    }
}
