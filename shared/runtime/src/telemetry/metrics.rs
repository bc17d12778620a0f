//! Metrics of the HTTP edge and of the connection pools. Metrics of the product are in its own crates.

use std::time::Duration;

use butt_dial_kv::PoolStatus;
use prometheus::{HistogramOpts, HistogramVec, IntGauge, Registry};

/// Durations of HTTP requests.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: HistogramVec,
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
        Ok(Self { requests })
    }

    /// Records one response. `route` is the route pattern, because labels must be bounded.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        // A client may send any method; only the common ones become a label value.
        let method = if matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "HEAD") {
            method
        } else {
            "other"
        };
        let status = format!("{}xx", status / 100);
        self.requests
            .with_label_values(&[method, route, &status])
            .observe(elapsed.as_secs_f64());
    }
}

/// Connections of the database pool.
#[derive(Clone)]
pub struct PoolMetrics {
    open: IntGauge,
    idle: IntGauge,
}

impl PoolMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| register_gauge(registry, name, help);
        Ok(Self {
            open: gauge("bd_database_connections", "Open connections to the database.")?,
            idle: gauge(
                "bd_database_connections_idle",
                "Open connections to the database that are not in use.",
            )?,
        })
    }

    pub fn observe(&self, open: u32, idle: usize) {
        self.open.set(i64::from(open));
        self.idle.set(i64::try_from(idle).unwrap_or(i64::MAX));
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

fn register_gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
