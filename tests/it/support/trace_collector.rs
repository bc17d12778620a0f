//! A receiver of traces over OTLP/HTTP, in place of an operator's collector.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message as _;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<Span>>>);

/// Keeps every received span.
pub struct TraceCollector {
    received: Received,
    pub endpoint: String,
}

impl TraceCollector {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    pub async fn start() -> Self {
        let received = Received::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { received, endpoint }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap().clone()
    }
}

async fn receive(State(received): State<Received>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).expect("an export of traces");
    let resources = request.resource_spans.into_iter();
    let spans = resources
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans);
    received.0.lock().unwrap().extend(spans);
    Vec::new()
}
