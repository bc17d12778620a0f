//! Metrics of messages. Labels are bounded: never an id, an address or a text.

use std::time::Duration;

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, core::Collector,
};

/// From 50 microseconds to 10 seconds: covers a rate-limit check as well as a slow carrier.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone)]
pub struct Metrics {
    stages: HistogramVec,
    sends: IntCounterVec,
    carrier_requests: HistogramVec,
    reconciled: IntCounterVec,
    webhook_events: IntCounterVec,
    deliveries: IntCounterVec,
    inbound_batches: Histogram,
    inbound_events: IntCounter,
    inbound_blocked: Gauge,
    log_step_backs: IntCounter,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(registry, HistogramVec::new(opts, labels)?)
        };
        Ok(Self {
            stages: histogram("bd_send_stage_seconds", "Duration of each stage of a send.", &["stage"])?,
            sends: counter("bd_sends_total", "Sends by result.", &["channel", "result"])?,
            carrier_requests: histogram(
                "bd_carrier_request_seconds",
                "Duration of requests to carriers, by outcome.",
                &["carrier", "outcome"],
            )?,
            reconciled: counter(
                "bd_sends_reconciled_total",
                "Sends with an unknown outcome, by the result of reconciliation.",
                &["carrier", "result"],
            )?,
            webhook_events: counter(
                "bd_webhook_notices_total",
                "Webhook events from carriers, by result.",
                &["carrier", "result"],
            )?,
            deliveries: counter(
                "bd_event_deliveries_total",
                "Events delivered to agents, by delivery step.",
                &["rung", "result"],
            )?,
            inbound_batches: {
                let opts = HistogramOpts::new(
                    "bd_inbound_batch_seconds",
                    "Duration of applying a batch of the inbound stream.",
                );
                registered(registry, Histogram::with_opts(opts.buckets(SECONDS.to_vec()))?)?
            },
            inbound_events: registered(
                registry,
                IntCounter::new(
                    "bd_inbound_notices_total",
                    "Webhook events of the inbound stream that were applied.",
                )?,
            )?,
            inbound_blocked: registered(
                registry,
                Gauge::new(
                    "bd_inbound_blocked_seconds",
                    "Time since the first failed attempt to apply the current batch; 0 if batches are applied.",
                )?,
            )?,
            log_step_backs: registered(
                registry,
                IntCounter::new(
                    "bd_inbound_step_backs_total",
                    "Times that the inbound stream had lost entries, and was read again from an earlier one.",
                )?,
            )?,
        })
    }

    pub(crate) fn record_stage(&self, stage: &str, took: Duration) {
        self.stages.with_label_values(&[stage]).observe(took.as_secs_f64());
    }

    pub(crate) fn record_send(&self, channel: &str, result: &str) {
        self.sends.with_label_values(&[channel, result]).inc();
    }

    pub(crate) fn record_carrier_request(&self, carrier: &str, outcome: &str, took: Duration) {
        self.carrier_requests
            .with_label_values(&[carrier, outcome])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn record_reconciled(&self, carrier: &str, result: &str) {
        self.reconciled.with_label_values(&[carrier, result]).inc();
    }

    /// Counts a webhook event. Public because calls count theirs.
    pub fn record_webhook_event(&self, carrier: &str, result: &str) {
        self.webhook_events.with_label_values(&[carrier, result]).inc();
    }

    pub(crate) fn record_delivery(&self, step: &str, result: &str, events: usize) {
        self.deliveries.with_label_values(&[step, result]).inc_by(events as u64);
    }

    /// Sets how long the current batch of the inbound stream has failed.
    pub(crate) fn set_inbound_blocked(&self, time: Duration) {
        self.inbound_blocked.set(time.as_secs_f64());
    }

    pub(crate) fn record_log_step_back(&self) {
        self.log_step_backs.inc();
    }

    pub(crate) fn record_inbound_batch(&self, events: usize, took: Duration) {
        self.inbound_batches.observe(took.as_secs_f64());
        self.inbound_events.inc_by(events as u64);
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
