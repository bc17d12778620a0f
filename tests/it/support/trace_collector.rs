//! A receiver of traces over OTLP/HTTP, in place of an operator's collector.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Exports>>);

#[derive(Default)]
struct Exports {
    spans: Vec<Span>,
    services: BTreeSet<String>,
}

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
        self.received.0.lock().unwrap().spans.clone()
    }

    /// Returns the names of the services that sent spans, in alphabetical order.
    pub fn services(&self) -> Vec<String> {
        self.received.0.lock().unwrap().services.iter().cloned().collect()
    }
}

async fn receive(State(received): State<Received>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).expect("an export of traces");
    let mut exports = received.0.lock().unwrap();
    for resource in request.resource_spans {
        exports.services.extend(resource.resource.and_then(service_name));
        let scopes = resource.scope_spans.into_iter();
        exports.spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    Vec::new()
}

fn service_name(resource: Resource) -> Option<String> {
    let mut attributes = resource.attributes.into_iter();
    let name = attributes.find(|attribute| attribute.key == "service.name")?;
    match name.value?.value? {
        Value::StringValue(name) => Some(name),
        _ => None,
    }
}
