//! Traces: propagation of the W3C trace context over HTTP and over the bus, and export over OTLP.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{Status, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    runtime,
    trace::{SdkTracerProvider, SpanData, Tracer, span_processor_with_async_runtime::BatchSpanProcessor},
};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use url::Url;

use super::otlp::{TRACE_FAILURES, client, config_error, count, resource};
use crate::config::ConfigError;

pub(super) type TraceLayer<S> = OpenTelemetryLayer<S, Tracer>;

/// Counts and logs failed exports. The library drops the spans silently.
#[derive(Debug)]
struct CountingExporter(SpanExporter);

impl opentelemetry_sdk::trace::SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.0.export(batch).await;
        if let Err(error) = &exported {
            count(&TRACE_FAILURES);
            tracing::warn!(%error, spans, "trace export failed");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Exports spans in batches. `shutdown` sends the remaining ones.
pub(super) fn exporter<S>(endpoint: &Url, role: &str) -> Result<(TraceLayer<S>, SdkTracerProvider), ConfigError>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client()?)
        .with_endpoint(endpoint.as_str())
        .build()
        .map_err(|error| config_error(&error))?;
    let provider = SdkTracerProvider::builder()
        // The default processor runs the exporter outside the Tokio runtime, which its HTTP client needs.
        .with_span_processor(BatchSpanProcessor::builder(CountingExporter(exporter), runtime::Tokio).build())
        .with_resource(resource(role))
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("butt-dial"));
    Ok((layer, provider))
}

/// Makes `span` a child of the sender's span, if the headers contain a `traceparent`.
pub fn set_remote_parent<'a>(span: &Span, header: impl Fn(&str) -> Option<&'a str>) {
    struct Headers<'a>(BTreeMap<&'static str, &'a str>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).copied()
        }
        fn keys(&self) -> Vec<&str> {
            Vec::new()
        }
    }
    if header("traceparent").is_some() {
        let present = ["traceparent", "tracestate"]
            .into_iter()
            .filter_map(|name| Some((name, header(name)?)));
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(present.collect()));
        // Fails only when no exporter is installed.
        drop(span.set_parent(context));
    }
}

/// Sets the status of a response in the trace. It is no field of the span, because the logger formats all fields again when one
/// is recorded.
pub fn set_status(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
}

/// Returns the headers that propagate the trace of the current span to another process.
pub fn headers() -> BTreeMap<String, String> {
    struct Headers(BTreeMap<String, String>);
    impl Injector for Headers {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() {
                self.0.insert(key.to_owned(), value);
            }
        }
    }
    let mut headers = Headers(BTreeMap::new());
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut headers);
    headers.0
}
