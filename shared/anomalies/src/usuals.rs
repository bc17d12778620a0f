//! The baselines of organizations and agents, as they are stored.

use std::collections::HashMap;

use butt_dial_domain::{AgentId, Failure, OrgId};
use butt_dial_store::{BaselineRow, PEAK, RECENT};

use crate::{
    Anomalies,
    baseline::{Average, Baseline, Usual, hour_of_week},
    traffic::Subject,
};

/// A number with a baseline. Its name is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    Sent,
    Failed,
    Cost,
    InboundCalls,
    OutboundCalls,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Cost => "cost",
            Self::InboundCalls => "inbound_calls",
            Self::OutboundCalls => "outbound_calls",
        }
    }
}

/// The baselines of some organizations and their agents, for one bucket.
pub(crate) struct Usuals {
    pub bucket: i64,
    rows: HashMap<(String, String, String), Baseline>,
}

impl Usuals {
    /// Returns the baseline of a subject.
    pub fn get(&self, (org, agent): &Subject, metric: Metric) -> Baseline {
        let agent = agent.as_ref().map_or("", AgentId::as_str);
        let key = (org.to_string(), agent.to_owned(), metric.name().to_owned());
        self.rows.get(&key).copied().unwrap_or_default()
    }
}

impl Usuals {
    /// Returns what is usual for a subject.
    pub fn of(&self, subject: &Subject, metric: Metric) -> Usual {
        self.get(subject, metric).usual(self.bucket)
    }
}

impl Anomalies {
    /// Reads the baselines of organizations and their agents.
    pub(crate) async fn usuals(&self, orgs: &[OrgId], bucket: i64) -> Result<Usuals, Failure> {
        let mut rows: HashMap<_, Baseline> = HashMap::new();
        if !orgs.is_empty() {
            for row in self.store.list_baselines(orgs, hour_of_week(bucket)).await? {
                let average = Some(Average {
                    mean: row.mean,
                    samples: row.samples,
                    bucket: row.bucket,
                });
                let baseline = rows.entry((row.org_id, row.agent_id, row.metric)).or_default();
                match row.slot {
                    RECENT => baseline.recent = average,
                    PEAK => baseline.peak = average,
                    _ => baseline.weekly = average,
                }
            }
        }
        Ok(Usuals { bucket, rows })
    }
}

/// Returns the rows of a baseline.
pub(crate) fn rows_of(
    (org, agent): &Subject,
    metric: Metric,
    baseline: &Baseline,
    bucket: i64,
) -> impl Iterator<Item = BaselineRow> {
    let averages = [
        (RECENT, baseline.recent),
        (PEAK, baseline.peak),
        (hour_of_week(bucket), baseline.weekly),
    ];
    let (org, agent) = (org.to_string(), agent.as_ref().map_or("", AgentId::as_str).to_owned());
    averages.into_iter().filter_map(move |(slot, average)| {
        average.map(|average| BaselineRow {
            org_id: org.clone(),
            agent_id: agent.clone(),
            metric: metric.name().into(),
            slot,
            mean: average.mean,
            samples: average.samples,
            bucket: average.bucket,
        })
    })
}
