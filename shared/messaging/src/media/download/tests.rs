//! Attachments as a web server on this machine gives them, or does not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, header};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinSet};

use super::*;

const LIMITS: DownloadLimits = DownloadLimits {
    bytes: 1_000,
    timeout: Duration::from_secs(20),
};
const KEY: &str = "Bearer the key to the carrier";

/// The requests: the path, and whether the carrier's key was sent.
type Calls = Arc<Mutex<Vec<(String, bool)>>>;

struct Server {
    address: SocketAddr,
    calls: Calls,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Calls::default();
        let routes = Router::new()
            .route("/bytes/{count}", get(bytes))
            .route("/stream/{count}", get(stream))
            .route("/status/{status}", get(status))
            .route("/redirects/{count}", get(redirects))
            .route("/to/{*target}", get(redirect))
            .route("/nowhere", get(StatusCode::FOUND))
            .route("/stalls", get(stalls))
            .layer(axum::middleware::map_request_with_state(calls.clone(), note));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            calls,
            _tasks: tasks,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn take_calls(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn note(State(calls): State<Calls>, request: Request) -> Request {
    let has_key = request.headers().get(header::AUTHORIZATION) == Some(&HeaderValue::from_static(KEY));
    let path = request.uri().path().to_owned();
    calls.lock().unwrap().push((path, has_key));
    request
}

/// With a length.
async fn bytes(Path(count): Path<usize>) -> Response {
    ([(header::CONTENT_TYPE, "image/png")], vec![b'x'; count]).into_response()
}

/// Without a length and without a type.
async fn stream(Path(count): Path<usize>) -> Body {
    let pieces = (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"x")));
    Body::from_stream(futures::stream::iter(pieces))
}

async fn status(Path(status): Path<u16>) -> Response {
    (StatusCode::from_u16(status).unwrap(), "x".repeat(2_000)).into_response()
}

/// As many, then the content.
async fn redirects(Path(count): Path<usize>) -> Response {
    let next = match count {
        0 => "/bytes/3".to_owned(),
        more => format!("/redirects/{}", more - 1),
    };
    (StatusCode::FOUND, [(header::LOCATION, next)]).into_response()
}

async fn redirect(Path(target): Path<String>) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
}

/// Sends one byte and then stalls.
async fn stalls() -> Body {
    let start = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
    Body::from_stream(start.chain(futures::stream::pending()))
}

/// As the carriers' client is made.
fn carrier_http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.no_proxy().build().unwrap()
}

async fn fetch_with(
    egress: &Egress,
    url: String,
    is_carrier: bool,
    limits: DownloadLimits,
) -> Result<Fetched, FetchError> {
    let request = MediaRequest {
        url,
        headers: HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(KEY))]),
        is_carrier,
    };
    download(&carrier_http(), egress, request, limits).await
}

/// From the carrier, who sends us on wherever it likes.
async fn fetch(url: String) -> Result<Fetched, FetchError> {
    fetch_with(&Egress::new(true), url, true, LIMITS).await
}

fn too_large() -> Result<Fetched, FetchError> {
    Err(FetchError::Permanent("too large"))
}

#[tokio::test]
async fn downloads_content_up_to_the_limit() {
    let server = Server::start().await;
    for count in [0, 1, 1_000] {
        let bytes = Bytes::from(vec![b'x'; count]);
        let fetched = fetch(server.url(&format!("/bytes/{count}"))).await.unwrap();
        assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
        assert_eq!(fetched.bytes, bytes);
        let fetched = fetch(server.url(&format!("/stream/{count}"))).await.unwrap();
        assert_eq!(fetched.content_type, None);
        assert_eq!(fetched.bytes, bytes);
    }
    assert_eq!(fetch(server.url("/bytes/1001")).await, too_large());
    assert_eq!(
        fetch(server.url("/stream/1001")).await,
        too_large(),
        "a length nobody told"
    );
    assert!(server.take_calls().iter().all(|(_, has_key)| *has_key));
}

#[tokio::test]
async fn classifies_error_statuses() {
    let server = Server::start().await;
    for status in [400, 401, 403, 404, 410, 451] {
        let refused = fetch(server.url(&format!("/status/{status}"))).await;
        assert!(
            matches!(refused, Err(FetchError::Permanent(_))),
            "{status}: {refused:?}"
        );
    }
    for status in [202, 204, 206, 408, 425, 429, 500, 502, 503, 504] {
        let refused = fetch(server.url(&format!("/status/{status}"))).await;
        assert!(
            matches!(refused, Err(FetchError::Temporary(_))),
            "{status}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn follows_three_redirects() {
    let server = Server::start().await;
    let fetched = fetch(server.url("/redirects/2")).await.unwrap();
    assert_eq!(fetched.bytes.as_ref(), b"xxx");
    let calls = server.take_calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(
        calls.iter().filter(|(_, has_key)| *has_key).count(),
        1,
        "the first only"
    );
    assert_eq!(
        fetch(server.url("/redirects/3")).await,
        Err(FetchError::Permanent("too many redirects"))
    );
    assert_eq!(server.take_calls().len(), 4);
    assert_eq!(
        fetch(server.url("/nowhere")).await,
        Err(FetchError::Permanent("leads nowhere"))
    );
}

#[tokio::test]
async fn sends_credentials_to_the_carrier_only() {
    let (carrier, storage) = (Server::start().await, Server::start().await);
    let onward = carrier.url(&format!("/to/{}", storage.url("/bytes/5")));
    assert_eq!(fetch(onward).await.unwrap().bytes.len(), 5);
    assert!(carrier.take_calls().iter().all(|(_, has_key)| *has_key));
    assert_eq!(storage.take_calls(), [("/bytes/5".to_owned(), false)]);

    let there_and_back = format!("/to/{}", storage.url(&format!("/to/{}", carrier.url("/bytes/5"))));
    assert_eq!(fetch(carrier.url(&there_and_back)).await.unwrap().bytes.len(), 5);
    assert_eq!(carrier.take_calls().pop(), Some(("/bytes/5".to_owned(), false)));
}

#[tokio::test]
async fn refuses_private_addresses() {
    let (carrier, inside) = (Server::start().await, Server::start().await);
    let guarded = Egress::new(false);
    let forbidden = Err(FetchError::Permanent("an address that is not allowed"));
    let direct = fetch_with(&guarded, inside.url("/bytes/5"), false, LIMITS).await;
    assert_eq!(direct, forbidden);
    let onward = carrier.url(&format!("/to/{}", inside.url("/bytes/5")));
    assert_eq!(fetch_with(&guarded, onward, true, LIMITS).await, forbidden);
    for elsewhere in ["file:///etc/passwd", "https://169.254.169.254/latest/meta-data"] {
        let onward = carrier.url(&format!("/to/{elsewhere}"));
        assert_eq!(
            fetch_with(&guarded, onward, true, LIMITS).await,
            forbidden,
            "{elsewhere}"
        );
    }
    // The carrier itself may have a private address, set by the operator.
    let own = fetch_with(&guarded, carrier.url("/redirects/0"), true, LIMITS).await;
    assert_eq!(own.unwrap().bytes.len(), 3);
    assert!(inside.take_calls().is_empty());
}

#[tokio::test]
async fn gives_up_on_stalled_download() {
    let server = Server::start().await;
    let limits = DownloadLimits {
        timeout: Duration::from_millis(300),
        ..LIMITS
    };
    let start = Instant::now();
    let stalled = fetch_with(&Egress::new(true), server.url("/stalls"), true, limits).await;
    assert_eq!(stalled, Err(FetchError::Temporary("took too long")));
    // The kernel accepts connections, and no process answers them.
    let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", unresponsive.local_addr().unwrap());
    let stalled = fetch_with(&Egress::new(true), url, true, limits).await;
    assert_eq!(stalled, Err(FetchError::Temporary("took too long")));
    assert!(start.elapsed() < LIMITS.timeout);
}

#[tokio::test]
async fn treats_broken_connection_as_temporary() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4];
        socket.read_exact(&mut request).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
        tokio::io::AsyncWriteExt::write_all(&mut socket, half).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
    });
    assert_eq!(fetch(url.clone()).await, Err(FetchError::Temporary("broke off")));
    tasks.join_all().await;
    assert_eq!(fetch(url).await, Err(FetchError::Temporary("does not answer")));
    assert_eq!(
        fetch("not a URL".to_owned()).await,
        Err(FetchError::Permanent("no URL"))
    );
}
