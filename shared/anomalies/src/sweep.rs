//! The sweep: finds anomalies, keeps one row per cause while it lasts, raises and resolves its alert, and lets the program react once.

use std::time::Duration;

use butt_dial_alerts::Cause;
use butt_dial_domain::{Failure, clock::Timestamp, keys};
use butt_dial_store::{Anomaly, NewAnomaly, Reaction};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    Anomalies,
    collect::{Findings, Found},
    finding::Detector,
    handle::{SYSTEM, unavailable},
};

/// Anomalies that are stored in one run. A storm of causes fills no disk.
const MAX_FOUND: usize = 500;
const OPEN: u32 = 1_000;

impl Anomalies {
    /// Looks for anomalies, on one process per interval. Returns how many are open.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        // Shorter than the interval, so that the same process may be the next one.
        let claim = self.interval.mul_f32(0.9).max(Duration::from_millis(1));
        if !self.kv.once(keys::ANOMALIES, claim).await.map_err(unavailable)? {
            return Ok(0);
        }
        self.observe().await
    }

    /// Looks for anomalies. Several processes may do so at the same time: they write the same rows. Returns how many are open.
    pub async fn observe(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let mut found = Findings::default();
        // A part that fails does not keep the others.
        let looked = [
            ("traffic", self.find_in_traffic(now, &mut found).await),
            ("people", self.find_among_people(now, &mut found).await),
            ("signals", self.find_signals(now, &mut found).await),
            ("guesses", self.find_guesses(now, &mut found).await),
        ];
        let mut failure = None;
        for (part, looked) in looked {
            if let Err(error) = looked {
                tracing::warn!(%error, part, "anomalies not looked for");
                failure = Some(error);
            }
        }
        self.note(&found, now).await?;
        // No anomaly ends while a part is blind.
        let open = self.follow(now, failure.is_none()).await?;
        self.learn(now).await?;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(open),
        }
    }

    /// Counts the open anomalies of all organizations, by detector. Detectors without one are in the list, too.
    pub async fn count_open(&self) -> Result<Vec<(Detector, i64)>, Failure> {
        let counted = self.store.count_open_anomalies().await?;
        let count = |detector: Detector| {
            let found = counted.iter().find(|(name, _)| name == detector.name());
            found.map_or(0, |(_, count)| *count)
        };
        Ok(Detector::ALL
            .iter()
            .map(|detector| (*detector, count(*detector)))
            .collect())
    }

    async fn note(&self, found: &Findings, now: Timestamp) -> Result<(), Failure> {
        if found.0.len() > MAX_FOUND {
            tracing::warn!(found = found.0.len(), "more anomalies than are stored");
        }
        for Found {
            detector,
            org,
            agent,
            subject,
            finding,
        } in found.0.iter().take(MAX_FOUND)
        {
            let new = NewAnomaly {
                org: org.as_ref(),
                agent: agent.as_ref(),
                detector: detector.name(),
                subject,
                severity: finding.severity,
                // An anomaly without an agent can't be reacted to.
                reaction: agent.as_ref().map_or(Reaction::Alert, |_| finding.reaction),
                explanation: &finding.explanation,
                numbers: &finding.numbers,
            };
            self.store.note_anomaly(&new, now).await?;
        }
        Ok(())
    }

    /// Raises alerts, reacts, and ends what is over. Each step is written before the next one, and a process that dies leaves the rest
    /// to the next run.
    async fn follow(&self, now: Timestamp, may_end: bool) -> Result<usize, Failure> {
        let quiet = TimeDelta::minutes(self.parameters.reactions.quiet_minutes.into());
        let mut open = 0;
        for anomaly in self.store.list_open_anomalies(OPEN).await? {
            if may_end && anomaly.last_at < now - quiet {
                self.resolve_alert(&anomaly, SYSTEM).await?;
                if self.store.end_anomaly(&anomaly.id, now - quiet, now).await? {
                    tracing::info!(anomaly = anomaly.id, detector = anomaly.detector, "anomaly ended");
                    continue;
                }
            }
            open += 1;
            if anomaly.alerted_at.is_none() && anomaly.dismissed_at.is_none() {
                self.raise(&anomaly, now).await?;
            }
            self.react(&anomaly, now).await?;
        }
        Ok(open)
    }

    async fn raise(&self, anomaly: &Anomaly, now: Timestamp) -> Result<(), Failure> {
        let Some(detector) = Detector::parse(&anomaly.detector) else {
            // Another release has found it.
            return Ok(());
        };
        tracing::warn!(
            anomaly = anomaly.id,
            detector = anomaly.detector,
            org = anomaly.org_id,
            reaction = <&str>::from(anomaly.reaction),
            "anomaly found"
        );
        let cause = Cause {
            org: anomaly.org(),
            kind: detector.alert_kind(),
            fingerprint: anomaly.subject.clone(),
            severity: anomaly.severity,
            title: detector.title().into(),
            evidence: json!({
                "anomaly": anomaly.id, "agent": anomaly.agent().map(|agent| agent.host_id().to_owned()),
                "explanation": anomaly.explanation, "numbers": anomaly.numbers, "reaction": anomaly.reaction,
            }),
        };
        self.alerts.raise(&cause).await?;
        Ok(self.store.note_anomaly_alert(&anomaly.id, now).await?)
    }
}
