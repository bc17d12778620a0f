//! A receiver of traces, metrics and log lines over OTLP/HTTP, in place of an operator's collector.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Exports>>);

#[derive(Default)]
struct Exports {
    spans: Vec<Span>,
    lines: Vec<LogRecord>,
    /// Of the latest export.
    metrics: Vec<Metric>,
    services: BTreeSet<String>,
    headers: HeaderMap,
    refuses: bool,
    refused: usize,
}

/// Keeps every received span and line, and the newest metrics.
pub struct OtlpCollector {
    received: Received,
    pub endpoint: String,
}

impl OtlpCollector {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    pub async fn start() -> Self {
        let received = Received::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/v1/traces", post(receive_traces))
            .route("/v1/metrics", post(receive_metrics))
            .route("/v1/logs", post(receive_logs))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { received, endpoint }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap().spans.clone()
    }

    pub fn lines(&self) -> Vec<LogRecord> {
        self.received.0.lock().unwrap().lines.clone()
    }

    /// Returns the metric of this name in the latest export.
    pub fn metric(&self, name: &str) -> Option<Metric> {
        let exports = self.received.0.lock().unwrap();
        exports.metrics.iter().find(|metric| metric.name == name).cloned()
    }

    /// Returns the header of the latest export of metrics.
    pub fn header(&self, name: &str) -> Option<String> {
        let exports = self.received.0.lock().unwrap();
        exports.headers.get(name)?.to_str().ok().map(str::to_owned)
    }

    /// Answers every export with 503 from now on, or not any more.
    pub fn refuse(&self, refuses: bool) {
        self.received.0.lock().unwrap().refuses = refuses;
    }

    /// Returns the number of refused exports.
    pub fn refused(&self) -> usize {
        self.received.0.lock().unwrap().refused
    }

    /// Returns the names of the services that sent something, in alphabetical order.
    pub fn services(&self) -> Vec<String> {
        self.received.0.lock().unwrap().services.iter().cloned().collect()
    }
}

/// Returns the text of an attribute.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

impl Received {
    fn keep(&self, keep: impl FnOnce(&mut Exports)) -> StatusCode {
        let mut exports = self.0.lock().unwrap();
        if exports.refuses {
            exports.refused += 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        keep(&mut exports);
        StatusCode::OK
    }
}

impl Exports {
    fn add_service(&mut self, resource: Option<Resource>) {
        let name = resource.and_then(|resource| attribute(&resource.attributes, "service.name"));
        self.services.extend(name);
    }
}

async fn receive_traces(State(received): State<Received>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).expect("an export of traces");
    received.keep(|exports| {
        for resource in request.resource_spans {
            exports.add_service(resource.resource);
            let scopes = resource.scope_spans.into_iter();
            exports.spans.extend(scopes.flat_map(|scope| scope.spans));
        }
    })
}

async fn receive_metrics(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let request = ExportMetricsServiceRequest::decode(body).expect("an export of metrics");
    received.keep(|exports| {
        exports.headers = headers;
        exports.metrics.clear();
        for resource in request.resource_metrics {
            exports.add_service(resource.resource);
            let scopes = resource.scope_metrics.into_iter();
            exports.metrics.extend(scopes.flat_map(|scope| scope.metrics));
        }
    })
}

async fn receive_logs(State(received): State<Received>, body: Bytes) -> StatusCode {
    let request = ExportLogsServiceRequest::decode(body).expect("an export of log lines");
    received.keep(|exports| {
        for resource in request.resource_logs {
            exports.add_service(resource.resource);
            let scopes = resource.scope_logs.into_iter();
            exports.lines.extend(scopes.flat_map(|scope| scope.log_records));
        }
    })
}
