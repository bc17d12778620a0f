//! Metrics of the edge and the pools; the product's own stand beside the product.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntGauge, Registry};

#[derive(Clone)]
pub struct HttpMetrics {
    requests: HistogramVec,
}

const SECONDS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl HttpMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "bd_http_request_seconds",
            "Time until the head of the response, by route pattern; a stream counts until it begins.",
        );
        let requests = HistogramVec::new(options.buckets(SECONDS.to_vec()), &["method", "route", "status"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests })
    }

    pub fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        // Methods are whatever a client writes; only the usual ones get a label of their own.
        let method = if matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "HEAD") {
            method
        } else {
            "other"
        };
        let status = format!("{}xx", status / 100);
        self.requests
            .with_label_values(&[method, route, &status])
            .observe(took.as_secs_f64());
    }
}

#[derive(Clone)]
pub struct PoolMetrics {
    open: IntGauge,
    idle: IntGauge,
}

impl PoolMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            open: gauge("bd_database_connections", "Open connections to the database.")?,
            idle: gauge(
                "bd_database_connections_idle",
                "Open connections to the database that nobody uses.",
            )?,
        })
    }

    pub fn observe(&self, open: u32, idle: usize) {
        self.open.set(i64::from(open));
        self.idle.set(i64::try_from(idle).unwrap_or(i64::MAX));
    }
}
