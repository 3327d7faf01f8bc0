//! THE OPERATOR'S PORT: metrics, health, readiness and the state of policies, apart from the API; and, at a door of its own,
//! credentials for a workload.
//!
//! The port shows names and numbers and, of policies that wait for approval, what would change; never a request. All that
//! can be done here is to have the files read again, and to approve a changed set that waits. A browser that was lured here by a name of somebody else's gets
//! nothing, because the Host must be this port's own.

mod credentials;
mod health;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Map, Value};

pub use credentials::Vending;
pub use health::Health;

use crate::listen::Tls;
use crate::proxy::{Behind, Drain};
use crate::store::{Reloader, Store};
use crate::telemetry::{PolicyReport, Telemetry, TlsReport};

/// The admin port's application.
pub struct Admin {
    store: Arc<Store>,
    telemetry: Telemetry,
    drain: Arc<Drain>,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    reloader: Reloader,
    behind: Behind,
}

/// A page: its status, content type and text.
struct Page {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

/// A page for a query.
type Render = fn(&Admin, &str) -> Page;

/// What is served where.
const PAGES: &[(&str, Render)] = &[
    ("/metrics", Admin::metrics),
    ("/healthz", Admin::health),
    ("/readyz", Admin::readiness),
    ("/status", Admin::status),
];

/// Where files are read again.
const RELOAD: &str = "/-/reload";

/// Headers that browsers send, and nobody else who has business here.
const OF_BROWSERS: [&str; 3] = ["origin", "sec-fetch-site", "sec-fetch-mode"];

impl Admin {
    /// An application for the port at `address`.
    pub fn new(
        store: Arc<Store>,
        telemetry: Telemetry,
        drain: Arc<Drain>,
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
        reloader: Reloader,
        behind: Behind,
    ) -> Self {
        Self { store, telemetry, drain, address, tls, reloader, behind }
    }

    fn page(&self, method: &str, (path, query): (&str, &str), host: &str) -> Page {
        if !self.is_ours(host) {
            return Page::text(421, "this port answers to its own address only\n");
        }
        match PAGES.iter().find(|(known, _)| *known == path) {
            Some((_, page)) if matches!(method, "GET" | "HEAD") => page(self, query),
            Some(_) => Page::text(405, "only GET is served here\n"),
            None if path == RELOAD => Page::text(405, "only POST is served here\n"),
            None => Page::text(404, "/metrics, /healthz, /readyz, /status and, with POST, /-/reload are here\n"),
        }
    }

    /// A port that listens beyond loopback may have any name in its network.
    fn is_ours(&self, host: &str) -> bool {
        !self.address.ip().is_loopback() || is_own_address(host, self.address)
    }

    fn tls_status(&self) -> Option<Arc<TlsReport>> {
        self.tls.as_ref().map(|tls| tls.status())
    }

    fn metrics(&self, _: &str) -> Page {
        if let Behind::Elsewhere(upstream) = &self.behind {
            upstream.measure();
        }
        let (status, watching) = (self.store.status(), self.store.watching());
        let generations_alive = self.store.generations_alive();
        let report = PolicyReport { status: &status, watching, generations_alive };
        let body = self.telemetry.metrics.render(&report, self.tls_status().as_deref());
        Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    fn health(&self, _: &str) -> Page {
        Page::text(200, "ok\n")
    }

    /// 200 while requests are taken, also when a file cannot be used: then the last good version is in force, and the
    /// answer says which file and why.
    fn readiness(&self, _: &str) -> Page {
        let unready = self.unready();
        let mut detail = status::readiness(unready, &self.store, self.tls_status().as_deref());
        if let Behind::Elsewhere(upstream) = &self.behind {
            status::add_upstream(&mut detail, upstream);
        }
        Page::json(if unready.is_some() { 503 } else { 200 }, detail)
    }

    /// Everything about policies; with `?files`, every file in force.
    fn status(&self, query: &str) -> Page {
        Page::json(200, self.everything(query == "files"))
    }

    fn everything(&self, with_files: bool) -> Map<String, Value> {
        let mut members = status::everything(self.unready(), &self.store, self.tls_status().as_deref(), with_files);
        if let Behind::Elsewhere(upstream) = &self.behind {
            status::add_upstream(&mut members, upstream);
        }
        members
    }

    /// Why no requests are taken, in one word; `None` if they are.
    fn unready(&self) -> Option<&'static str> {
        unready(&self.store, &self.drain, &self.behind)
    }

    /// Has everything read again, and tells what came of it: 200 if all of it can be used, 422 if not, or if it waits for
    /// approval. `approve=HASH` approves.
    async fn reload(&self, query: &str) -> Page {
        let approved = match query.split_once('=') {
            None if query.is_empty() => None,
            Some(("approve", hash)) => Some(hash.to_owned()),
            _ => return Page::text(400, "the only parameter is approve=HASH\n"),
        };
        if let Behind::Elsewhere(upstream) = &self.behind {
            upstream.refresh_credentials();
        }
        let reloader = self.reloader.clone();
        let looked = tokio::task::spawn_blocking(move || reloader.reload(approved)).await;
        if !looked.unwrap_or(false) {
            return Page::text(
                503,
                "nobody read the files within 15 seconds, or Keyward is ending; ask /status, or again\n",
            );
        }
        let told = self.everything(false);
        let is_well = told.get("well") == Some(&Value::Bool(true));
        Page::json(if is_well { 200 } else { 422 }, told)
    }
}

/// Whether a request is addressed to this very port, by any name that a loopback address has. Some SDKs leave the port
/// away.
fn is_own_address(host: &str, address: SocketAddr) -> bool {
    let name = host.strip_suffix(&format!(":{}", address.port())).unwrap_or(host);
    name == address.ip().to_string() || ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

impl Page {
    fn json(status: u16, members: Map<String, Value>) -> Self {
        let body = format!("{:#}\n", Value::Object(members)).into_bytes();
        Self { status, content_type: "application/json", body }
    }

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

/// Why no requests are taken, in one word; `None` if they are.
fn unready(store: &Store, drain: &Drain, behind: &Behind) -> Option<&'static str> {
    if drain.is_ending() {
        return Some("ending");
    }
    if let Err(why) = store.current().validity.check(now()) {
        return Some(why.reason());
    }
    match behind {
        Behind::Elsewhere(upstream) if upstream.waits_for_credentials() => Some("no_credentials"),
        _ => None,
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
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let is_reload = head.method == "POST" && path == RELOAD && self.is_ours(host);
        let page = match is_reload {
            true if OF_BROWSERS.iter().any(|name| head.headers.contains_key(*name)) => {
                Page::text(403, "this is not for browsers\n")
            }
            true => self.reload(query).await,
            false => self.page(head.method.as_str(), (path, query), host),
        };
        page.into_response(head.method != "HEAD")
    }
}
