//! What a process tells of itself: JSON logs, traces over OTLP, metrics for Prometheus.
//! None of them may hold a body, a token, or a whole address; metric labels are few and bounded.

mod metrics;
pub mod trace;

use prometheus::Registry;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{Config, config::ConfigError};

pub use metrics::HttpMetrics;

/// Libraries that tell of every request at `info`. What the operator names comes after them, and wins.
const QUIET: &str = "rmcp=warn,async_nats=warn,sqlx=warn,hyper=warn,reqwest=warn";
/// Spans of these crates make up a trace; those of libraries would only drown it.
const TRACED: &str =
    "warn,butt_dial_comms=debug,butt_dial_gateway=debug,butt_dial_runtime=debug,butt_dial_providers=debug";

/// Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    pub registry: Registry,
    pub http: HttpMetrics,
    pool: metrics::PoolMetrics,
}

impl Telemetry {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            http: HttpMetrics::register(&registry)?,
            pool: metrics::PoolMetrics::register(&registry)?,
            registry,
        })
    }

    /// Takes the size of the database pool and how many of its connections are idle.
    pub fn observe_pool(&self, (open, idle): (u32, usize)) {
        self.pool.observe(open, idle);
    }
}

/// Installs the process's log and, where an endpoint is set, its traces. Keep the answer until the end: it sends what is left.
pub fn install(config: &Config) -> Result<trace::Exporting, ConfigError> {
    let wrong = |error: String| ConfigError(format!("LOG_LEVEL: {error}"));
    let directives = format!("{QUIET},{}", config.log_level);
    let filter: EnvFilter = directives
        .parse()
        .map_err(|e: tracing_subscriber::filter::ParseError| wrong(e.to_string()))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if config.log_json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        lines.boxed()
    };
    let (traces, exporting) = match &config.otlp_endpoint {
        Some(endpoint) => {
            let (layer, exporting) = trace::exporter(endpoint)?;
            (Some(layer.with_filter(EnvFilter::new(TRACED))), exporting)
        }
        None => (None, trace::Exporting::default()),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces)
        .try_init()
        .map_err(|error| ConfigError(format!("the log can't be installed: {error}")))?;
    Ok(exporting)
}
