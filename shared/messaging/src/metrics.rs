//! Metrics of messages. Labels are bounded: never an id, an address or a text.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use butt_dial_domain::{Channel, Micros, message::Status};
use butt_dial_store::{BacklogKind, SendResult};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};
use strum::VariantArray;

/// Carriers have many error codes, of which a process sees few. Further ones are counted as `other`.
const MAX_CARRIER_CODES: usize = 50;

/// From 50 microseconds to 10 seconds: covers a rate-limit check as well as a slow carrier.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The kinds of `bd_money_micros_total`.
const RESERVED: &str = "reserved";
const SETTLED: &str = "settled";
const RELEASED: &str = "released";

#[derive(Clone)]
pub struct Metrics {
    stages: HistogramVec,
    sends: IntCounterVec,
    carrier_requests: HistogramVec,
    carrier_errors: IntCounterVec,
    carrier_codes: Arc<Mutex<HashSet<String>>>,
    money: IntCounterVec,
    backlogs: IntGaugeVec,
    backlog_ages: GaugeVec,
    reconciled: IntCounterVec,
    webhook_events: IntCounterVec,
    deliveries: IntCounterVec,
    inbound_batches: Histogram,
    inbound_events: IntCounter,
    inbound_blocked: Gauge,
    /// How long the current batch of each partition has failed.
    blocked_partitions: Arc<Mutex<BTreeMap<String, Duration>>>,
    inbound_unread: IntGaugeVec,
    partitions_held: IntGauge,
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
        let metrics = Self {
            stages: histogram("bd_send_stage_seconds", "Duration of each stage of a send.", &["stage"])?,
            sends: counter("bd_sends_total", "Sends by result.", &["channel", "result"])?,
            carrier_requests: histogram(
                "bd_carrier_request_seconds",
                "Duration of requests to carriers, by outcome.",
                &["carrier", "outcome"],
            )?,
            carrier_errors: counter(
                "bd_carrier_errors_total",
                "Refusals of carriers by the carrier's error code.",
                &["carrier", "code"],
            )?,
            carrier_codes: Arc::default(),
            money: counter(
                "bd_money_micros_total",
                "Micro-dollars of sends: reserved at acceptance, then settled as spent or released.",
                &["kind"],
            )?,
            backlogs: {
                let help =
                    "Work of the installation that waits, at most 10000 of each kind; measured by every dispatcher.";
                registered(registry, IntGaugeVec::new(Opts::new("bd_backlog", help), &["kind"])?)?
            },
            backlog_ages: {
                let help = "Time since the oldest waiting work became due; 0 without any.";
                let opts = Opts::new("bd_backlog_oldest_seconds", help);
                registered(registry, GaugeVec::new(opts, &["kind"])?)?
            },
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
                    "Time since the first failed attempt to apply the current batch, the longest of all partitions; 0 if batches \
                     are applied.",
                )?,
            )?,
            blocked_partitions: Arc::default(),
            inbound_unread: {
                let opts = Opts::new(
                    "bd_inbound_unread",
                    "Entries of a partition of the inbound stream that are not applied yet, reported by the process that reads it.",
                );
                registered(registry, IntGaugeVec::new(opts, &["partition"])?)?
            },
            partitions_held: registered(
                registry,
                IntGauge::new(
                    "bd_inbound_partitions_held",
                    "Partitions of the inbound stream that this process reads.",
                )?,
            )?,
            log_step_backs: registered(
                registry,
                IntCounter::new(
                    "bd_inbound_step_backs_total",
                    "Times that the inbound stream had lost entries, and was read again from an earlier one.",
                )?,
            )?,
        };
        metrics.create_series();
        Ok(metrics)
    }

    /// Creates the series that alerts compare with zero, so that they exist before their first event.
    fn create_series(&self) {
        for channel in Channel::ALL {
            for result in ["accepted", "pending"] {
                self.sends.with_label_values(&[channel.as_str(), result]);
            }
        }
        for kind in [RESERVED, SETTLED, RELEASED] {
            self.money.with_label_values(&[kind]);
        }
        for kind in BacklogKind::VARIANTS {
            self.set_backlog(*kind, 0, Duration::ZERO);
        }
        for result in [Status::Accepted, Status::Failed, Status::Unconfirmed] {
            self.reconciled.with_label_values(&["any", result.as_str()]);
        }
        for result in ["delivered", "unconfirmed", "truncated"] {
            self.deliveries.with_label_values(&["live", result]);
        }
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

    /// Counts a refusal by the carrier's code. Codes are short: anything else is not a code.
    pub(crate) fn record_carrier_error(&self, carrier: &str, code: Option<&str>) {
        let code = code.unwrap_or("none");
        let is_code = code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_known = is_code && {
            let mut codes = self.carrier_codes.lock().unwrap_or_else(PoisonError::into_inner);
            codes.contains(code) || (codes.len() < MAX_CARRIER_CODES && codes.insert(code.to_owned()))
        };
        let code = if is_known { code } else { "other" };
        self.carrier_errors.with_label_values(&[carrier, code]).inc();
    }

    pub(crate) fn record_reserved(&self, estimate: Micros) {
        self.record_money(RESERVED, estimate.0);
    }

    /// Counts what became of a reservation.
    pub(crate) fn record_settled(&self, result: &SendResult, estimate: Micros) {
        match result {
            SendResult::Accepted { cost, .. } => {
                self.record_money(SETTLED, *cost);
                self.record_money(RELEASED, estimate.0 - cost);
            }
            SendResult::Failed { .. } => self.record_money(RELEASED, estimate.0),
            SendResult::Unconfirmed => self.record_money(SETTLED, estimate.0),
            SendResult::Unknown { .. } => {}
        }
    }

    fn record_money(&self, kind: &str, micros: i64) {
        // A message that costs more than its estimate releases nothing.
        let micros = u64::try_from(micros).unwrap_or(0);
        self.money.with_label_values(&[kind]).inc_by(micros);
    }

    pub(crate) fn set_backlog(&self, kind: BacklogKind, count: i64, age: Duration) {
        let kind: &str = kind.into();
        self.backlogs.with_label_values(&[kind]).set(count);
        self.backlog_ages.with_label_values(&[kind]).set(age.as_secs_f64());
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

    /// Sets how long the current batch of a partition has failed.
    pub(crate) fn set_inbound_blocked(&self, partition: &str, time: Duration) {
        let mut blocked = self.blocked_partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if time.is_zero() {
            if blocked.remove(partition).is_none() {
                return;
            }
        } else {
            blocked.insert(partition.to_owned(), time);
        }
        let longest = blocked.values().max().copied().unwrap_or_default();
        self.inbound_blocked.set(longest.as_secs_f64());
    }

    pub(crate) fn set_inbound_unread(&self, partition: &str, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.inbound_unread.with_label_values(&[partition]).set(count);
    }

    pub(crate) fn set_partitions_held(&self, count: usize) {
        self.partitions_held.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Forgets a partition that another process reads now.
    pub(crate) fn forget_partition(&self, partition: &str) {
        self.set_inbound_blocked(partition, Duration::ZERO);
        // Fails when nothing was reported.
        drop(self.inbound_unread.remove_label_values(&[partition]));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::register(&Registry::new()).unwrap()
    }

    #[test]
    fn carrier_codes_are_bounded() {
        let metrics = metrics();
        let count = |code: &str| metrics.carrier_errors.with_label_values(&["twilio", code]).get();
        metrics.record_carrier_error("twilio", Some("21610"));
        metrics.record_carrier_error("twilio", None);
        metrics.record_carrier_error("twilio", Some("the number +14155550123 is invalid"));
        assert_eq!((count("21610"), count("none"), count("other")), (1, 1, 1));
        for code in 0..100 {
            metrics.record_carrier_error("twilio", Some(&format!("E{code}")));
        }
        metrics.record_carrier_error("twilio", Some("21610"));
        assert_eq!(count("21610"), 2);
        assert_eq!(count("other"), 1 + 100 - (MAX_CARRIER_CODES as u64 - 2));
    }

    #[test]
    fn reserved_money_is_settled_or_released() {
        let metrics = metrics();
        let money = |kind: &str| metrics.money.with_label_values(&[kind]).get();
        let estimate = Micros(8_000);
        for _ in 0..3 {
            metrics.record_reserved(estimate);
        }
        let accepted = SendResult::Accepted {
            carrier_id: String::new(),
            carrier_status: String::new(),
            segments: None,
            cost: 7_500,
        };
        metrics.record_settled(&accepted, estimate);
        metrics.record_settled(&SendResult::Unconfirmed, estimate);
        let failed = SendResult::Failed {
            failure: "",
            frees_key: false,
        };
        metrics.record_settled(&failed, estimate);
        assert_eq!(money(RESERVED), money(SETTLED) + money(RELEASED));
        assert_eq!(money(SETTLED), 15_500);
    }
}
