//! THE OPERATOR'S PORT: metrics, health and readiness, apart from the API.
//!
//! Reads only, and shows names and numbers, never a request. A browser that was lured here by a name of somebody else's
//! gets nothing, because the Host must be this port's own.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use crate::proxy::Drain;
use crate::store::{Status, Store};
use crate::telemetry::Telemetry;

/// The admin port's application.
pub struct Admin {
    store: Arc<Store>,
    telemetry: Telemetry,
    drain: Arc<Drain>,
    address: SocketAddr,
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
    pub fn new(store: Arc<Store>, telemetry: Telemetry, drain: Arc<Drain>, address: SocketAddr) -> Self {
        Self { store, telemetry, drain, address }
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
        let port = self.address.port();
        let names = [
            self.address.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ];
        !self.address.ip().is_loopback() || names.iter().any(|name| name == host)
    }

    fn metrics(&self) -> Page {
        let body = self.telemetry.metrics.render(&self.store.status());
        Page { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    fn health(&self) -> Page {
        Page::text(200, "ok\n")
    }

    /// 200 while requests are taken, also when a file cannot be used: then the last good version is in force, and the
    /// answer says which file and why.
    fn readiness(&self) -> Page {
        let ready = !self.drain.is_ending();
        let body = readiness(ready, &self.store.status());
        Page { status: if ready { 200 } else { 503 }, content_type: "application/json", body }
    }
}

fn readiness(ready: bool, status: &Status) -> Vec<u8> {
    let problems: Vec<String> = status.problems.iter().map(ToString::to_string).collect();
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
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let mut page = self.page(head.method.as_str(), head.uri.path(), host);
        let builder = Response::builder()
            .status(page.status)
            .header("content-type", page.content_type)
            .header("content-length", page.body.len())
            .header("cache-control", "no-store")
            .header("x-content-type-options", "nosniff");
        if head.method == "HEAD" {
            page.body.clear();
        }
        builder.body(page.body).unwrap_or_default()
    }
}
