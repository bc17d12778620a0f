//! Log lines over OTLP, besides those on stderr: the same fields, with the trace, and with the caller of the request.

use std::time::Duration;

use opentelemetry::{InstrumentationScope, logs::LogRecord};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_otlp::{LogExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{
        LogBatch, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
        log_processor_with_async_runtime::BatchLogProcessor,
    },
    runtime,
};
use url::Url;

use super::{
    log::ProcessFacts,
    otlp::{LOG_FAILURES, client, config_error, count, resource},
};
use crate::config::ConfigError;

pub(super) type LogLayer = OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>;

/// Fields of spans that each line in them gets.
const SPAN_FIELDS: [&str; 4] = ["request", "org", "agent", "message_id"];

/// Exports lines in batches. `shutdown` sends the remaining ones.
pub(super) fn exporter(endpoint: &Url, facts: &ProcessFacts) -> Result<(LogLayer, SdkLoggerProvider), ConfigError> {
    let exporter = LogExporter::builder()
        .with_http()
        .with_http_client(client()?)
        .with_endpoint(endpoint.as_str())
        .build()
        .map_err(|error| config_error(&error))?;
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource(facts.role))
        .with_log_processor(NamesReplica(facts.clone()))
        // The default processor runs the exporter outside the Tokio runtime, which its HTTP client needs.
        .with_log_processor(BatchLogProcessor::builder(CountingExporter(exporter), runtime::Tokio).build())
        .build();
    let layer = OpenTelemetryTracingBridge::builder(&provider)
        .with_tracing_span_attributes(TracingSpanAttributes::allowlist(SPAN_FIELDS))
        .build();
    Ok((layer, provider))
}

/// Adds the replica to each line. It is no attribute of the resource, because it is known after the first lines.
struct NamesReplica(ProcessFacts);

impl std::fmt::Debug for NamesReplica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NamesReplica")
    }
}

impl LogProcessor for NamesReplica {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        if let Some(replica) = self.0.replica() {
            record.add_attribute("replica", replica.to_owned());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Counts and logs failed exports. The library drops the lines silently.
#[derive(Debug)]
struct CountingExporter(LogExporter);

impl opentelemetry_sdk::logs::LogExporter for CountingExporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let lines = batch.iter().count();
        let exported = self.0.export(batch).await;
        if let Err(error) = &exported {
            count(&LOG_FAILURES);
            // On stderr only: the filter of this export leaves out the lines of the exporters.
            tracing::warn!(%error, lines, "log export failed");
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
