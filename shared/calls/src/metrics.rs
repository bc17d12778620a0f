//! Metrics of calls. Labels are bounded: never an id or a number.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// From 50 microseconds to 10 seconds: the same buckets as for messages.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone)]
pub struct Metrics {
    relay_parts: HistogramVec,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = HistogramOpts::new(
            "bd_call_relay_seconds",
            "The relay's own part of a turn: before the request to the agent, and from its reply to the caller.",
        );
        let relay_parts = HistogramVec::new(opts.buckets(SECONDS.to_vec()), &["part"])?;
        registry.register(Box::new(relay_parts.clone()))?;
        Ok(Self { relay_parts })
    }

    /// `part` is `to_agent` or `to_caller`.
    pub fn record_relay_part(&self, part: &str, took: Duration) {
        self.relay_parts.with_label_values(&[part]).observe(took.as_secs_f64());
    }
}
