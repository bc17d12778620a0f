//! Metrics of operations. Labels are bounded: names of operations and error codes.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// From 500 microseconds to the longest wait for an event.
const SECONDS: &[f64] = &[0.000_5, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];
/// The name of the metric of operations that clients call.
pub const OF_CLIENTS: &str = "bd_operation_seconds";
/// The name of the metric of operations that the pages of the console call. A process may serve both.
pub const OF_CONSOLE: &str = "bd_console_operation_seconds";
/// The label of a successful operation.
const OK: &str = "ok";

/// How a caller reached an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Interface {
    Mcp,
    Rest,
    /// A page of the console.
    Console,
}

#[derive(Clone)]
pub struct Metrics {
    operations: HistogramVec,
}

impl Metrics {
    pub fn register(registry: &Registry, name: &str) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            name,
            "Duration of operations by interface (mcp, rest, console) and result (ok, or the error code).",
        );
        let labels = ["operation", "interface", "result"];
        let operations = HistogramVec::new(options.buckets(SECONDS.to_vec()), &labels)?;
        registry.register(Box::new(operations.clone()))?;
        Ok(Self { operations })
    }

    /// Records a finished operation. `failure` is its error code.
    pub fn record(&self, operation: &str, interface: Interface, failure: Option<&str>, took: Duration) {
        self.operations
            .with_label_values(&[operation, interface.into(), failure.unwrap_or(OK)])
            .observe(took.as_secs_f64());
    }
}
