//! Telemetry of the process: logs, traces over OTLP, metrics for Prometheus.
//! None of them may contain a body, a token or a full address. Metric labels have few and bounded values.

mod governance;
pub mod log;
mod metrics;
pub mod trace;

use prometheus::Registry;
use tracing_subscriber::{EnvFilter, Layer, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt};

use self::log::JsonLines;
use crate::{Config, config::ConfigError};

pub use log::ProcessFacts;
pub use metrics::HttpMetrics;

/// Levels of libraries that log every request at `info`. Directives of `LOG_LEVEL` follow these, so they take precedence.
const LIBRARY_LEVELS: &str = "rmcp=warn,async_nats=warn,sqlx=warn,hyper=warn,reqwest=warn";
/// Exports the spans of this program's crates, which all begin with `butt_dial`. Spans of libraries would hide them.
const TRACE_FILTER: &str = "warn,butt_dial=debug";

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
}

impl Telemetry {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        trace::register_metrics(&registry)?;
        Ok(Self {
            http: HttpMetrics::register(&registry)?,
            process: metrics::ProcessMetrics::register(&registry)?,
            backends: metrics::BackendMetrics::register(&registry)?,
            streams: metrics::StreamMetrics::register(&registry)?,
            governance: governance::GovernanceMetrics::register(&registry)?,
            pool: metrics::PoolMetrics::register(&registry)?,
            redis_pool: metrics::RedisPoolMetrics::register(&registry)?,
            registry,
        })
    }

    /// Records the number of open and of idle connections of the database pool, and its size.
    pub fn observe_pool(&self, (open, idle): (u32, usize), max: u32) {
        self.pool.observe(open, idle, max);
    }

    /// Records the state of the Redis pool.
    pub fn observe_redis_pool(&self, status: butt_dial_kv::PoolStatus) {
        self.redis_pool.observe(status);
    }
}

/// Installs the process's logger and, when an endpoint is set, the trace exporter. Shut the returned exporter down at the end
/// of the process: it sends the buffered spans.
pub fn install(config: &Config, facts: &ProcessFacts) -> Result<trace::TraceExporter, ConfigError> {
    let directives = format!("{LIBRARY_LEVELS},{}", config.log_level);
    let filter: EnvFilter = directives
        .parse()
        .map_err(|error: tracing_subscriber::filter::ParseError| ConfigError(format!("LOG_LEVEL: {error}")))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if config.log_json {
        let format = JsonLines::new(facts.clone(), config.otlp_endpoint.is_some());
        lines.fmt_fields(JsonFields::new()).event_format(format).boxed()
    } else {
        lines.boxed()
    };
    let (traces, exporter) = match &config.otlp_endpoint {
        Some(endpoint) => {
            let (layer, exporter) = trace::exporter(endpoint, facts.role)?;
            (Some(layer.with_filter(EnvFilter::new(TRACE_FILTER))), exporter)
        }
        None => (None, trace::TraceExporter::default()),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .try_init()
        .map_err(|error| ConfigError(format!("the logger can't be installed: {error}")))?;
    Ok(exporter)
}
