//! Probes from elsewhere: whether it lives, and whether it takes requests. One word, and nothing about policies or callers, so
//! that the door may be open to a network.

use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::{Page, unready};
use crate::proxy::{Behind, Drain};
use crate::store::Store;

/// The application of the health port.
pub struct Health {
    store: Arc<Store>,
    drain: Arc<Drain>,
    behind: Behind,
}

impl Health {
    /// Tells of this store, whether serving ends, and whether what is behind can be used at all.
    pub fn new(store: Arc<Store>, drain: Arc<Drain>, behind: Behind) -> Self {
        Self { store, drain, behind }
    }

    fn page(&self, method: &str, path: &str) -> Page {
        match path {
            _ if !matches!(method, "GET" | "HEAD") => Page::text(405, "only GET is served here\n"),
            "/healthz" => Page::text(200, "ok\n"),
            "/readyz" => match unready(&self.store, &self.drain, &self.behind) {
                None => Page::text(200, "ready\n"),
                Some(_) => Page::text(503, "not ready\n"),
            },
            _ => Page::text(404, "/healthz and /readyz are here\n"),
        }
    }
}

#[async_trait]
impl ServeHttp for Health {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        self.page(head.method.as_str(), head.uri.path()).into_response(head.method != "HEAD")
    }
}
