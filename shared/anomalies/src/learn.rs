//! Learns usual values: each bucket of five minutes becomes part of the baselines once it is complete. The traffic of an open anomaly or
//! a campaign leaves the baseline as it is.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use butt_dial_domain::{AgentId, Failure, OrgId, clock::Timestamp, keys};
use butt_dial_store::{CallCount, Span};
use chrono::TimeDelta;

use crate::{
    Anomalies,
    baseline::{BUCKET, as_float, bucket_of},
    finding::Detector,
    handle::unavailable,
    traffic::{Subject, Totals, totals},
    usuals::{Metric, rows_of},
};

/// After the end of a bucket, so that sends of its last moments are stored.
const SETTLED: TimeDelta = TimeDelta::seconds(20);
/// The claim of a bucket outlives the time in which it is the newest complete one.
const CLAIM: Duration = Duration::from_secs(900);
/// Rows of one statement.
const ROWS: usize = 500;
const OLD_ROWS: u32 = 500;
/// Baselines without a value for this long are forgotten.
const FORGET: i64 = 60 * 86_400 / BUCKET;
const OPEN: u32 = 1_000;

impl Anomalies {
    /// Adds the newest complete bucket to the baselines, on one process.
    pub(crate) async fn learn(&self, now: Timestamp) -> Result<(), Failure> {
        let bucket = bucket_of(now - SETTLED) - 1;
        let claim = keys::anomaly_bucket(bucket);
        if !self.kv.once(&claim, CLAIM).await.map_err(unavailable)? {
            return Ok(());
        }
        let learned = self.learn_bucket(bucket, now).await;
        if learned.is_err() {
            // The next run repeats it. A saved value counts once.
            self.kv.delete(&claim).await.map_err(unavailable)?;
        }
        learned
    }

    async fn learn_bucket(&self, bucket: i64, now: Timestamp) -> Result<(), Failure> {
        let Some(span) = span_of(bucket) else { return Ok(()) };
        let totals = totals(self.store.sum_traffic(span).await?);
        let calls = self.store.count_calls(span).await?;
        let values = values(&totals, &calls);
        let orgs: HashSet<OrgId> = values.iter().map(|((org, _), ..)| org.clone()).collect();
        let orgs: Vec<OrgId> = orgs.into_iter().collect();
        let usuals = self.usuals(&orgs, bucket).await?;
        let unusual = self.unusual(now).await?;
        let campaigns = self.campaigns(now).await?;
        let mut rows = Vec::new();
        for (subject, metric, value) in values {
            let baseline = usuals.get(&subject, metric);
            let is_unusual = unusual.contains(&subject) || campaigns.cover(&subject);
            let value = match is_unusual && baseline.recent.is_some() {
                true => value.min(baseline.usual(bucket).value),
                false => value,
            };
            rows.extend(rows_of(&subject, metric, &baseline.with(value, bucket), bucket));
        }
        for rows in rows.chunks(ROWS) {
            self.store.save_baselines(rows).await?;
        }
        self.store.delete_old_baselines(bucket - FORGET, OLD_ROWS).await?;
        Ok(())
    }

    /// Returns the subjects of open anomalies about volume. A longer one than `learn_after_hours` becomes usual.
    async fn unusual(&self, now: Timestamp) -> Result<HashSet<Subject>, Failure> {
        let learned_from = now - TimeDelta::hours(self.parameters.reactions.learn_after_hours.into());
        let open = self.store.list_open_anomalies(OPEN).await?;
        let of_volume = open.into_iter().filter(|anomaly| {
            let detector = Detector::parse(&anomaly.detector);
            let is_volume = matches!(
                detector,
                Some(Detector::VolumeSpike | Detector::SpendRate | Detector::CallBurst)
            );
            is_volume && anomaly.first_at > learned_from
        });
        let subjects = of_volume.filter_map(|anomaly| Some((anomaly.org()?, anomaly.agent())));
        Ok(subjects
            .flat_map(|(org, agent)| [(org.clone(), agent), (org, None)])
            .collect())
    }
}

/// Lists the values of a bucket that are not zero.
fn values(totals: &HashMap<Subject, Totals>, calls: &[CallCount]) -> Vec<(Subject, Metric, f64)> {
    let mut all = Vec::new();
    for (subject, total) in totals {
        let of_subject = [
            (Metric::Sent, total.sent),
            (Metric::Failed, total.failed),
            (Metric::Cost, total.cost),
        ];
        let positive = of_subject.into_iter().filter(|(_, value)| *value > 0);
        all.extend(positive.map(|(metric, value)| (subject.clone(), metric, as_float(value))));
    }
    for row in calls {
        let metric = match row.direction.as_str() {
            "inbound" => Metric::InboundCalls,
            _ => Metric::OutboundCalls,
        };
        let subject = (
            OrgId::from(row.org_id.as_str()),
            Some(AgentId::from(row.agent_id.as_str())),
        );
        all.push((subject, metric, as_float(row.calls)));
    }
    all
}

fn span_of(bucket: i64) -> Option<Span> {
    let begin = Timestamp::from_timestamp(bucket * BUCKET, 0)?;
    Some((begin, begin + TimeDelta::seconds(BUCKET)))
}
