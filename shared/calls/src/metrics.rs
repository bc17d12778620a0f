//! Metrics of calls. Labels are bounded: never an id or a number.

use std::time::Duration;

use butt_dial_domain::call::{CallStatus, Direction, HandledBy};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

/// Seconds that a caller waits for a reply: from an immediate one to the time-out of the agent.
const TURN_SECONDS: &[f64] = &[0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0];
/// From 50 microseconds to 10 seconds: the same buckets as for messages.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone)]
pub struct Metrics {
    relay_parts: HistogramVec,
    turns: Histogram,
    active: IntGauge,
    concluded: IntCounterVec,
    barge_ins: IntCounter,
    takeovers: IntCounter,
    ignored_frames: IntCounter,
}

/// How a call ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
enum CallOutcome {
    /// A conversation with an agent, or with the person that the call was transferred to.
    Completed,
    /// The voicemail answered.
    Voicemail,
    NoAnswer,
    Busy,
    Canceled,
    Failed,
}

impl CallOutcome {
    fn of(status: Option<CallStatus>, handled_by: HandledBy) -> Self {
        match (status, handled_by) {
            (Some(CallStatus::NoAnswer), _) => Self::NoAnswer,
            (Some(CallStatus::Busy), _) => Self::Busy,
            (Some(CallStatus::Canceled), _) => Self::Canceled,
            (Some(CallStatus::Failed), _) => Self::Failed,
            (_, HandledBy::Voicemail | HandledBy::Message) => Self::Voicemail,
            (_, HandledBy::Agent | HandledBy::Transfer) => Self::Completed,
        }
    }
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = HistogramOpts::new(
            "bd_call_relay_seconds",
            "The relay's own part of a turn: before the request to the agent, and from its reply to the caller.",
        );
        let relay_parts = HistogramVec::new(opts.buckets(SECONDS.to_vec()), &["part"])?;
        let relay_parts = registered(registry, relay_parts)?;
        for part in ["to_agent", "to_caller"] {
            relay_parts.with_label_values(&[part]);
        }
        let turns = HistogramOpts::new(
            "bd_call_turn_seconds",
            "Time that callers wait for a reply: from their last word to the first word of the reply.",
        );
        let concluded = Opts::new("bd_calls_total", "Ended calls by direction and outcome.");
        let concluded = registered(registry, IntCounterVec::new(concluded, &["direction", "outcome"])?)?;
        for direction in [Direction::Inbound, Direction::Outbound] {
            for outcome in <CallOutcome as strum::VariantArray>::VARIANTS {
                concluded.with_label_values(&[<&str>::from(direction), outcome.into()]);
            }
        }
        Ok(Self {
            relay_parts,
            turns: registered(registry, Histogram::with_opts(turns.buckets(TURN_SECONDS.to_vec()))?)?,
            active: registered(
                registry,
                IntGauge::new("bd_calls_active", "Calls with a conversation on this replica.")?,
            )?,
            concluded,
            barge_ins: registered(
                registry,
                IntCounter::new("bd_call_barge_ins_total", "Replies that a caller interrupted.")?,
            )?,
            takeovers: registered(
                registry,
                IntCounter::new(
                    "bd_call_takeovers_total",
                    "Calls of vanished relays that this replica redirected to another relay.",
                )?,
            )?,
            ignored_frames: registered(
                registry,
                IntCounter::new(
                    "bd_call_frames_ignored_total",
                    "Malformed frames of carriers, which were ignored.",
                )?,
            )?,
        })
    }

    /// Counts a conversation on this replica until the guard is dropped.
    pub fn track_active_call(&self) -> ActiveCall {
        self.active.inc();
        ActiveCall(self.active.clone())
    }

    /// Records the time that a caller waited for a reply.
    pub fn record_turn(&self, waited: Duration) {
        self.turns.observe(waited.as_secs_f64());
    }

    pub fn record_barge_ins(&self, count: u64) {
        self.barge_ins.inc_by(count);
    }

    pub fn record_takeover(&self) {
        self.takeovers.inc();
    }

    /// Counts a frame of a carrier that could not be read.
    pub fn record_ignored_frame(&self) {
        self.ignored_frames.inc();
    }

    pub(crate) fn record_conclusion(&self, direction: Direction, status: Option<CallStatus>, handled_by: HandledBy) {
        let outcome = CallOutcome::of(status, handled_by);
        self.concluded
            .with_label_values(&[<&str>::from(direction), outcome.into()])
            .inc();
    }

    /// `part` is `to_agent` or `to_caller`.
    pub fn record_relay_part(&self, part: &str, took: Duration) {
        self.relay_parts.with_label_values(&[part]).observe(took.as_secs_f64());
    }
}

/// One active call in the metrics.
pub struct ActiveCall(IntGauge);

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_follows_status_then_responder() {
        for (status, handled_by, expected) in [
            (None, HandledBy::Agent, CallOutcome::Completed),
            (Some(CallStatus::Completed), HandledBy::Transfer, CallOutcome::Completed),
            (Some(CallStatus::Completed), HandledBy::Message, CallOutcome::Voicemail),
            (Some(CallStatus::Busy), HandledBy::Agent, CallOutcome::Busy),
            (Some(CallStatus::NoAnswer), HandledBy::Voicemail, CallOutcome::NoAnswer),
            (Some(CallStatus::Failed), HandledBy::Agent, CallOutcome::Failed),
        ] {
            assert_eq!(CallOutcome::of(status, handled_by), expected, "{status:?}");
        }
    }

    #[test]
    fn active_call_ends_with_its_guard() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let call = metrics.track_active_call();
        assert_eq!(metrics.active.get(), 1);
        drop(call);
        assert_eq!(metrics.active.get(), 0);
    }
}
