//! Metrics of the process, the HTTP edge, the backends and their connection pools. Metrics of the product are in its own crates.

use std::time::Duration;

use axum::http::StatusCode;
use butt_dial_domain::ports::bus::StreamCopies;
use butt_dial_kv::PoolStatus;
use butt_dial_store::{PoolStatus as DatabasePool, ReplicaStatus};
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{Counter, Gauge, HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use crate::backend::Backend;

/// The commit of the build, if the build names it (`BUILD_REVISION`).
const REVISION: &str = match option_env!("BUILD_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Durations of HTTP requests.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: HistogramVec,
    in_flight: IntGauge,
}

/// Histogram bounds in seconds.
const BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl HttpMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "bd_http_request_seconds",
            "Time until the head of the response, by route pattern; a stream counts until it starts.",
        );
        let requests = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["method", "route", "status"])?;
        registry.register(Box::new(requests.clone()))?;
        let in_flight = register_gauge(
            registry,
            "bd_http_in_flight",
            "Requests without a response head yet, without health checks and scrapes.",
        )?;
        Ok(Self { requests, in_flight })
    }

    /// Counts a request until the guard is dropped.
    pub fn track_request(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// Records one response. `route` is the route pattern, because labels must be bounded.
    pub fn observe(&self, method: &str, route: &str, status: &StatusCode, elapsed: Duration) {
        // A client may send any method; only the common ones become a label value.
        let method = if matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "HEAD") {
            method
        } else {
            "other"
        };
        self.requests
            .with_label_values(&[method, route, status.as_str()])
            .observe(elapsed.as_secs_f64());
    }
}

/// A unit of a gauge, from its creation to its drop.
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Facts about the process: its build, and whether its carriers are simulated.
#[derive(Clone)]
pub struct ProcessMetrics {
    build: IntGaugeVec,
    simulated: IntGauge,
}

impl ProcessMetrics {
    /// Also registers the standard `process_*` metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        #[cfg(target_os = "linux")]
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let options = Opts::new("bd_build_info", "Always 1. The labels tell what runs in this process.");
        let build = IntGaugeVec::new(options, &["version", "revision", "role"])?;
        registry.register(Box::new(build.clone()))?;
        let help = "1 if the carriers are simulated, so that no message reaches a person.";
        Ok(Self {
            build,
            simulated: register_gauge(registry, "bd_simulated", help)?,
        })
    }

    pub fn set_role(&self, role: &str) {
        self.build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION, role])
            .set(1);
    }

    pub fn set_simulated(&self, simulated: bool) {
        self.simulated.set(simulated.into());
    }
}

/// The results of the last probes of the backends.
#[derive(Clone)]
pub struct BackendMetrics {
    up: IntGaugeVec,
}

impl BackendMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "bd_backend_up",
            "1 if the last probe of the backend succeeded (database, bus, kv).",
        );
        let up = IntGaugeVec::new(options, &["backend"])?;
        registry.register(Box::new(up.clone()))?;
        for backend in Backend::ALL {
            up.with_label_values(&[backend.name()]).set(1);
        }
        Ok(Self { up })
    }

    pub fn observe(&self, backend: Backend, ok: bool) {
        self.up.with_label_values(&[backend.name()]).set(ok.into());
    }
}

/// The copies of the durable streams, as the last probe of the bus found them.
#[derive(Clone)]
pub struct StreamMetrics {
    current: IntGaugeVec,
    wanted: IntGaugeVec,
}

impl StreamMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["stream"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            current: gauge(
                "bd_stream_replicas",
                "Servers that store the stream and are up to date.",
            )?,
            wanted: gauge(
                "bd_stream_replicas_wanted",
                "Servers that should store the stream, by NATS_REPLICAS.",
            )?,
        })
    }

    pub fn observe(&self, copies: &StreamCopies) {
        let count = |value| i64::try_from(value).unwrap_or(i64::MAX);
        let label = [copies.stream];
        self.current.with_label_values(&label).set(count(copies.current));
        self.wanted.with_label_values(&label).set(count(copies.wanted));
    }
}

/// Connections of the database pool.
#[derive(Clone)]
pub struct PoolMetrics {
    open: IntGauge,
    idle: IntGauge,
    max: IntGauge,
    waiting: IntGauge,
    waits: IntCounter,
    waited: Counter,
}

impl PoolMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| register_gauge(registry, name, help);
        let help = "Waits of statements and transactions for a connection to Postgres that have ended.";
        let waits = IntCounter::new("bd_database_acquires_total", help)?;
        registry.register(Box::new(waits.clone()))?;
        let help = "Time that statements and transactions have waited for a connection to Postgres.";
        let waited = Counter::new("bd_database_wait_seconds_total", help)?;
        registry.register(Box::new(waited.clone()))?;
        Ok(Self {
            open: gauge("bd_database_connections", "Open connections to the database.")?,
            idle: gauge(
                "bd_database_connections_idle",
                "Open connections to the database that are not in use.",
            )?,
            max: gauge(
                "bd_database_connections_max",
                "Connections to the database that this process may open.",
            )?,
            waiting: gauge(
                "bd_database_waiting",
                "Statements and transactions that wait for a connection to Postgres.",
            )?,
            waits,
            waited,
        })
    }

    pub fn observe(&self, status: DatabasePool, max: u32) {
        self.open.set(i64::from(status.open));
        self.max.set(i64::from(max));
        self.idle.set(i64::try_from(status.idle).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(status.waiting).unwrap_or(i64::MAX));
        self.waits.inc_by(status.waits.saturating_sub(self.waits.get()));
        self.waited
            .inc_by((status.waited.as_secs_f64() - self.waited.get()).max(0.0));
    }
}

/// Connections of the Redis pool.
#[derive(Clone)]
pub struct RedisPoolMetrics {
    connections: IntGauge,
    available: IntGauge,
    waiting: IntGauge,
}

impl RedisPoolMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| register_gauge(registry, name, help);
        Ok(Self {
            connections: gauge("bd_redis_pool_connections", "Open connections to Redis.")?,
            available: gauge(
                "bd_redis_pool_available",
                "Open connections to Redis that a command can use at once.",
            )?,
            waiting: gauge("bd_redis_pool_waiting", "Commands that wait for a connection to Redis.")?,
        })
    }

    pub fn observe(&self, status: PoolStatus) {
        let count = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.connections.set(count(status.connections));
        self.available.set(count(status.available));
        self.waiting.set(count(status.waiting));
    }
}

/// The replica for lists. Registered only where there is one.
#[derive(Clone)]
pub struct ReplicaMetrics {
    is_used: IntGauge,
    lag: Gauge,
    fallbacks: IntCounter,
}

impl ReplicaMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "1 if lists are read from the replica of the database, 0 if the primary answers.";
        let is_used = register_gauge(registry, "bd_replica_used", help)?;
        let help = "Age of the data of the replica. NaN: unknown, because a server does not answer.";
        let lag = Gauge::new("bd_replica_lag_seconds", help)?;
        registry.register(Box::new(lag.clone()))?;
        let help = "Lists that failed on the replica and were read from the primary.";
        let fallbacks = IntCounter::new("bd_replica_fallbacks_total", help)?;
        registry.register(Box::new(fallbacks.clone()))?;
        Ok(Self {
            is_used,
            lag,
            fallbacks,
        })
    }

    pub fn observe(&self, status: ReplicaStatus) {
        self.is_used.set(status.is_used.into());
        self.lag.set(status.lag.unwrap_or(f64::NAN));
        self.fallbacks
            .inc_by(status.fallbacks.saturating_sub(self.fallbacks.get()));
    }
}

fn register_gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
