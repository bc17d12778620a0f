//! A web server for tests that records each request as the gateway would see it.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
};
use butt_dial_domain::{Clock, ports::webhook::WebhookRequest};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::harness::TEST_TIMEOUT;

pub struct WebhookReceiver {
    pub base_url: String,
    requests: mpsc::UnboundedReceiver<WebhookRequest>,
    status: Arc<AtomicU16>,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Listener {
    base_url: String,
    requests: mpsc::UnboundedSender<WebhookRequest>,
    status: Arc<AtomicU16>,
}

impl WebhookReceiver {
    pub async fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", socket.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let listener = Listener {
            base_url: base_url.clone(),
            requests: sender,
            status: status.clone(),
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let router = axum::Router::new().fallback(record).with_state(listener);
            axum::serve(socket, router).await.unwrap();
        });
        Self {
            base_url,
            requests,
            status,
            _server: server,
        }
    }

    /// Sets the response status.
    pub fn respond_with(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Returns the next webhook, or waits for it.
    pub async fn next(&mut self) -> WebhookRequest {
        let request = tokio::time::timeout(TEST_TIMEOUT, self.requests.recv()).await;
        request.expect("a webhook").expect("the server runs")
    }

    /// Returns whether all received webhooks were taken.
    pub fn is_empty(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

async fn record(State(listener): State<Listener>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let request = WebhookRequest {
        method: parts.method,
        url: format!("{}{}", listener.base_url, parts.uri),
        headers: parts.headers,
        body,
        received_at: Clock::System.now(),
    };
    // The test may have dropped its end.
    let _ = listener.requests.send(request);
    StatusCode::from_u16(listener.status.load(Ordering::Relaxed)).unwrap()
}
