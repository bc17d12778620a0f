//! The parts that the exporters of traces, metrics and logs share: the description of this process, the client, and the counts of
//! failed exports.

use std::{fmt::Display, sync::LazyLock};

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use prometheus::{IntCounter, Registry};

use crate::config::ConfigError;

/// Batches of one signal that the collector did not take. Statics, because the exporters belong to the process like its logger,
/// and are installed before there is a registry of metrics.
pub(super) type Failures = LazyLock<Option<IntCounter>>;

pub(super) static TRACE_FAILURES: Failures = LazyLock::new(|| {
    let help = "Batches of spans that the trace collector did not take.";
    IntCounter::new("bd_trace_export_failures_total", help).ok()
});

pub(super) static LOG_FAILURES: Failures = LazyLock::new(|| {
    let help = "Batches of log lines that the collector did not take over OTLP.";
    IntCounter::new("bd_log_export_failures_total", help).ok()
});

pub(super) static METRIC_FAILURES: Failures = LazyLock::new(|| {
    let help = "Exports of metrics that the collector did not take over OTLP.";
    IntCounter::new("bd_metric_export_failures_total", help).ok()
});

pub(super) fn count(failures: &Failures) {
    if let Some(failures) = &**failures {
        failures.inc();
    }
}

pub(super) fn register_metrics(registry: &Registry) -> Result<(), prometheus::Error> {
    for failures in [&TRACE_FAILURES, &LOG_FAILURES, &METRIC_FAILURES] {
        if let Some(failures) = &**failures {
            registry.register(Box::new(failures.clone()))?;
        }
    }
    Ok(())
}

/// Describes this process. The standard variables take precedence.
pub(super) fn resource(role: &str) -> Resource {
    let builder = Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name(format!("butt-dial-{role}")),
    };
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    builder
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", format!("{host}-{}", std::process::id())),
        ])
        .build()
}

/// Makes the client of one exporter. The collector is part of the installation, so no proxy applies.
pub(super) fn client() -> Result<reqwest::Client, ConfigError> {
    let client = reqwest::Client::builder().no_proxy().build();
    client.map_err(|error| config_error(&error))
}

pub(super) fn config_error(error: &dyn Display) -> ConfigError {
    ConfigError(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))
}
