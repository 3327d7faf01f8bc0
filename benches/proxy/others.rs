//! What Keyward is compared with: a bare HTTP server, and pingora's own proxy in two ways.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::apps::http_app::ServeHttp;
use pingora::http::RequestHeader;
use pingora::prelude::{HttpPeer, Opt, Result, Server as PingoraServer};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;

fn pingora_server() -> PingoraServer {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let conf = ServerConf { threads, ..ServerConf::default() };
    let mut server = PingoraServer::new_with_opt_and_conf(Opt::default(), conf);
    server.bootstrap();
    server
}

/// The one answer to everything, with as many bytes as one to Encrypt or Decrypt has.
const ANSWER: &str = concat!(
    r#"{"KeyId":"key-exampleorders01","KeyVersionId":"00000000-0000-4000-8000-000000000000","RequestId":"#,
    r#""11111111-1111-4111-8111-111111111111","Plaintext":"aGVsbG8gd29ybGQgPz5+","CiphertextBlob":""#,
    "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB",
    "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB",
    r#""}"#
);

/// An HTTP server that reads a request whole and sends its answer.
pub fn upstream(address: &str) {
    struct Fixed;

    #[async_trait]
    impl ServeHttp for Fixed {
        async fn response(&self, session: &mut ServerSession) -> http::Response<Vec<u8>> {
            while session.read_request_body().await.is_ok_and(|piece| piece.is_some()) {}
            let response = http::Response::builder().header("content-type", "application/json");
            response.header("content-length", ANSWER.len()).body(ANSWER.into()).unwrap()
        }
    }

    let mut server = pingora_server();
    let mut service = Service::new("upstream".to_owned(), Fixed);
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever();
}

/// pingora's own proxy with nothing in it: bytes go on as they come.
pub fn pass_through(address: &str, upstream: &str) {
    struct PassThrough(HttpPeer);

    #[async_trait]
    impl ProxyHttp for PassThrough {
        type CTX = ();

        fn new_ctx(&self) {}

        async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
            Ok(Box::new(self.0.clone()))
        }
    }

    run_proxy(address, PassThrough(peer(upstream)));
}

/// pingora's own proxy as somebody must use it who judges a request before it goes on: the body is read whole, and then
/// replayed.
pub fn whole_body(address: &str, upstream: &str) {
    struct WholeBody(HttpPeer);

    /// pingora replays no more than it keeps itself.
    const REPLAYED: usize = 64 * 1024;

    #[async_trait]
    impl ProxyHttp for WholeBody {
        type CTX = Bytes;

        fn new_ctx(&self) -> Bytes {
            Bytes::new()
        }

        async fn request_filter(&self, session: &mut Session, body: &mut Bytes) -> Result<bool> {
            session.as_mut().enable_retry_buffering();
            let mut read = BytesMut::new();
            while let Some(piece) = session.as_mut().read_request_body().await? {
                read.extend_from_slice(&piece);
                assert!(read.len() <= REPLAYED);
            }
            *body = read.freeze();
            Ok(false)
        }

        async fn request_body_filter(
            &self,
            _: &mut Session,
            piece: &mut Option<Bytes>,
            _: bool,
            body: &mut Bytes,
        ) -> Result<()> {
            *piece = Some(body.clone());
            Ok(())
        }

        async fn upstream_request_filter(
            &self,
            _: &mut Session,
            head: &mut RequestHeader,
            body: &mut Bytes,
        ) -> Result<()> {
            head.remove_header("transfer-encoding");
            head.insert_header("content-length", body.len().to_string())
        }

        async fn upstream_peer(&self, _: &mut Session, _: &mut Bytes) -> Result<Box<HttpPeer>> {
            Ok(Box::new(self.0.clone()))
        }
    }

    run_proxy(address, WholeBody(peer(upstream)));
}

fn peer(upstream: &str) -> HttpPeer {
    HttpPeer::new(upstream, false, String::new())
}

fn run_proxy<P: ProxyHttp + Send + Sync + 'static>(address: &str, proxy: P)
where
    P::CTX: Send + Sync,
{
    let mut server = pingora_server();
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(address);
    server.add_service(service);
    server.run_forever();
}
