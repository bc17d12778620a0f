//! Telemetry of the process: logs on stderr, metrics for Prometheus, and traces, metrics and logs over OTLP.
//! None of them may contain a body, a token or a full address. Metric labels have few and bounded values.

mod governance;
pub mod log;
mod metrics;
mod otlp;
mod otlp_logs;
mod otlp_metrics;
pub mod trace;

use std::sync::{Arc, OnceLock};

use opentelemetry_sdk::{error::OTelSdkResult, logs::SdkLoggerProvider, trace::SdkTracerProvider};
use prometheus::Registry;
use tracing_subscriber::{EnvFilter, Layer, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt};

use self::log::JsonLines;
use crate::{Config, config::ConfigError};

pub use log::ProcessFacts;
pub use metrics::HttpMetrics;
pub use otlp_metrics::MetricExporter;

/// Levels of libraries that log every request at `info`. Directives of `LOG_LEVEL` follow these, so they take precedence.
const LIBRARY_LEVELS: &str = "rmcp=warn,async_nats=warn,sqlx=warn,hyper=warn,reqwest=warn";
/// Exports the spans of this program's crates, which all begin with `butt_dial`. Spans of libraries would hide them.
const TRACE_FILTER: &str = "warn,butt_dial=debug";
/// Lines that are not exported over OTLP, because exports cause them.
const LINES_OF_EXPORTS: &str = "butt_dial_runtime::telemetry=off,opentelemetry=off,hyper=off,reqwest=off";

/// The metrics registry and the metrics of the edge. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    pub registry: Registry,
    pub http: HttpMetrics,
    pub process: metrics::ProcessMetrics,
    pub backends: metrics::BackendMetrics,
    pub streams: metrics::StreamMetrics,
    pub governance: governance::GovernanceMetrics,
    pool: metrics::PoolMetrics,
    redis_pool: metrics::RedisPoolMetrics,
    replica: Arc<OnceLock<metrics::ReplicaMetrics>>,
}

impl Telemetry {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        otlp::register_metrics(&registry)?;
        Ok(Self {
            http: HttpMetrics::register(&registry)?,
            process: metrics::ProcessMetrics::register(&registry)?,
            backends: metrics::BackendMetrics::register(&registry)?,
            streams: metrics::StreamMetrics::register(&registry)?,
            governance: governance::GovernanceMetrics::register(&registry)?,
            pool: metrics::PoolMetrics::register(&registry)?,
            redis_pool: metrics::RedisPoolMetrics::register(&registry)?,
            replica: Arc::default(),
            registry,
        })
    }

    /// Registers the metrics of the replica for lists.
    pub fn expect_replica(&self) -> Result<(), prometheus::Error> {
        let metrics = metrics::ReplicaMetrics::register(&self.registry)?;
        self.replica.get_or_init(|| metrics);
        Ok(())
    }

    /// Records the state of the replica for lists.
    pub fn observe_replica(&self, status: butt_dial_store::ReplicaStatus) {
        if let Some(metrics) = self.replica.get() {
            metrics.observe(status);
        }
    }

    /// Records the state of the database pool, and its size.
    pub fn observe_pool(&self, status: butt_dial_store::PoolStatus, max: u32) {
        self.pool.observe(status, max);
    }

    /// Records the state of the Redis pool.
    pub fn observe_redis_pool(&self, status: butt_dial_kv::PoolStatus) {
        self.redis_pool.observe(status);
    }
}

/// The exporters of spans and lines, which send them in batches.
#[derive(Default)]
pub struct Exporters {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Exporters {
    /// Blocks until the remaining spans and lines are sent or dropped.
    pub fn shutdown(self) {
        let report = |signal, done: OTelSdkResult| {
            if let Err(error) = done {
                tracing::warn!(%error, signal, "export at shutdown failed");
            }
        };
        if let Some(traces) = self.traces {
            report("traces", traces.shutdown());
        }
        if let Some(logs) = self.logs {
            report("logs", logs.shutdown());
        }
    }
}

/// Installs the process's logger and, when a collector is set, the exporters. Shut the returned ones down at the end of the process:
/// they send what is buffered.
pub fn install(config: &Config, facts: &ProcessFacts) -> Result<Exporters, ConfigError> {
    let mut exporters = Exporters::default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if config.log_json {
        let format = JsonLines::new(facts.clone(), config.otlp.traces.is_some());
        lines.fmt_fields(JsonFields::new()).event_format(format).boxed()
    } else {
        lines.boxed()
    };
    let filter = filter(&format!("{LIBRARY_LEVELS},{}", config.log_level))?;
    let traces = match &config.otlp.traces {
        Some(endpoint) => {
            let (layer, provider) = trace::exporter(endpoint, facts.role)?;
            exporters.traces = Some(provider);
            Some(layer.with_filter(EnvFilter::new(TRACE_FILTER)))
        }
        None => None,
    };
    let logs = match &config.otlp.logs {
        Some(endpoint) => {
            let (layer, provider) = otlp_logs::exporter(endpoint, facts)?;
            exporters.logs = Some(provider);
            let filter = self::filter(&format!("{LIBRARY_LEVELS},{},{LINES_OF_EXPORTS}", config.log_level))?;
            Some(layer.with_filter(filter))
        }
        None => None,
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .with(logs)
        .try_init()
        .map_err(|error| ConfigError(format!("the logger can't be installed: {error}")))?;
    Ok(exporters)
}

fn filter(directives: &str) -> Result<EnvFilter, ConfigError> {
    directives
        .parse()
        .map_err(|error: tracing_subscriber::filter::ParseError| ConfigError(format!("LOG_LEVEL: {error}")))
}
