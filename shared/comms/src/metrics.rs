//! What the product counts. Labels are few and bounded: never an id, an address or a text.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

#[derive(Clone)]
pub struct Metrics {
    stages: HistogramVec,
    sends: IntCounterVec,
    carrier: HistogramVec,
    refusals: IntCounterVec,
    verdicts: IntCounterVec,
    reconciled: IntCounterVec,
    auth: IntCounterVec,
    webhooks: IntCounterVec,
    deliveries: IntCounterVec,
    inbound: Histogram,
    inbound_notices: IntCounter,
    call_parts: HistogramVec,
}

/// From 50 microseconds to 10 seconds: a rate-limit check and a slow carrier both fall inside.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(Self {
            stages: histogram(
                "bd_send_stage_seconds",
                "Time spent in each stage of a send.",
                &["stage"],
            )?,
            sends: counter(
                "bd_sends_total",
                "Sends by what the caller was answered.",
                &["channel", "result"],
            )?,
            carrier: histogram(
                "bd_carrier_request_seconds",
                "Time of requests to carriers, by outcome.",
                &["carrier", "outcome"],
            )?,
            refusals: counter(
                "bd_limit_refusals_total",
                "Sends refused by a limit.",
                &["scope", "limit"],
            )?,
            verdicts: counter(
                "bd_compliance_verdicts_total",
                "Verdicts of the compliance stage.",
                &["verdict", "rule"],
            )?,
            reconciled: counter(
                "bd_sends_reconciled_total",
                "Sends with an unknown outcome, by what was found out.",
                &["carrier", "result"],
            )?,
            auth: counter(
                "bd_auth_failures_total",
                "Requests that the auth guard refused.",
                &["code"],
            )?,
            webhooks: counter(
                "bd_webhook_notices_total",
                "What carriers told, by what became of it.",
                &["carrier", "result"],
            )?,
            deliveries: counter(
                "bd_event_deliveries_total",
                "Events handed to agents, by rung of the ladder.",
                &["rung", "result"],
            )?,
            call_parts: histogram(
                "bd_call_relay_seconds",
                "The relay's own share of a turn: until the agent is asked, and from its answer to the caller.",
                &["part"],
            )?,
            inbound: {
                let opts = HistogramOpts::new(
                    "bd_inbound_batch_seconds",
                    "Time to write down what was read from the inbound stream.",
                );
                let histogram = Histogram::with_opts(opts.buckets(SECONDS.to_vec()))?;
                registry.register(Box::new(histogram.clone()))?;
                histogram
            },
            inbound_notices: {
                let counter = IntCounter::new(
                    "bd_inbound_notices_total",
                    "Notices read from the inbound stream and written down.",
                )?;
                registry.register(Box::new(counter.clone()))?;
                counter
            },
        })
    }

    pub fn stage(&self, stage: &str, took: Duration) {
        self.stages.with_label_values(&[stage]).observe(took.as_secs_f64());
    }

    pub fn send(&self, channel: &str, result: &str) {
        self.sends.with_label_values(&[channel, result]).inc();
    }

    pub fn carrier(&self, carrier: &str, outcome: &str, took: Duration) {
        self.carrier
            .with_label_values(&[carrier, outcome])
            .observe(took.as_secs_f64());
    }

    pub fn refusal(&self, scope: &str, limit: &str) {
        self.refusals.with_label_values(&[scope, limit]).inc();
    }

    pub fn verdict(&self, verdict: &str, rule: &str) {
        self.verdicts.with_label_values(&[verdict, rule]).inc();
    }

    pub fn reconciled(&self, carrier: &str, result: &str) {
        self.reconciled.with_label_values(&[carrier, result]).inc();
    }

    pub fn webhook(&self, carrier: &str, result: &str) {
        self.webhooks.with_label_values(&[carrier, result]).inc();
    }

    pub fn delivery(&self, rung: &str, result: &str, events: usize) {
        self.deliveries.with_label_values(&[rung, result]).inc_by(events as u64);
    }

    pub fn inbound_batch(&self, notices: usize, took: Duration) {
        self.inbound.observe(took.as_secs_f64());
        self.inbound_notices.inc_by(notices as u64);
    }

    pub fn call_part(&self, part: &str, took: Duration) {
        self.call_parts.with_label_values(&[part]).observe(took.as_secs_f64());
    }

    pub fn auth_failure(&self, code: &str) {
        self.auth.with_label_values(&[code]).inc();
    }
}
