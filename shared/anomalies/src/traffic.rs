//! Sums of traffic by organization and agent, and the campaigns that explain it.

use std::collections::HashMap;

use butt_dial_domain::{AgentId, Channel, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{CurrentCampaign, Span, Traffic};
use chrono::TimeDelta;

use crate::Anomalies;

/// Campaigns at the same time, over all organizations.
const CAMPAIGNS: u32 = 1_000;
/// Messages of this time are counted again and again. Then their number is stored, so that a large campaign costs no more.
const COUNTED_AFTER: TimeDelta = TimeDelta::minutes(5);

/// An organization, or one of its agents.
pub(crate) type Subject = (OrgId, Option<AgentId>);

/// Sums of traffic by subject: of each agent, and of its organization.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Without calls.
    pub sent: i64,
    pub failed: i64,
    /// Micro-units.
    pub cost: i64,
}

pub(crate) fn totals(traffic: Vec<Traffic>) -> HashMap<Subject, Totals> {
    let mut all: HashMap<Subject, Totals> = HashMap::new();
    for row in traffic {
        let (org, agent) = (OrgId::from(row.org_id), AgentId::from(row.agent_id));
        for subject in [(org.clone(), Some(agent)), (org, None)] {
            let total = all.entry(subject).or_default();
            if row.channel != Channel::Voice.as_str() {
                total.sent += row.sent;
                total.failed += row.failed;
            }
            total.cost += row.cost;
        }
    }
    all
}

/// The campaigns that take place within their volume.
pub(crate) struct Campaigns(Vec<CurrentCampaign>);

impl Campaigns {
    pub fn cover(&self, (org, agent): &Subject) -> bool {
        self.0.iter().any(|campaign| campaign.covers(org, agent.as_ref()))
    }
}

impl Anomalies {
    pub(crate) async fn campaigns(&self, now: Timestamp) -> Result<Campaigns, Failure> {
        let (_, before) = until(now, TimeDelta::zero());
        let mut all = self.store.list_current_campaigns(before, CAMPAIGNS).await?;
        for campaign in all.iter().filter(|one| before - one.counted_until > COUNTED_AFTER) {
            self.store.advance_campaign(campaign, before).await?;
        }
        all.retain(CurrentCampaign::is_within_volume);
        Ok(Campaigns(all))
    }
}

/// Returns the time before now, with what happens now.
pub(crate) fn until(now: Timestamp, before: TimeDelta) -> Span {
    (now - before, now + TimeDelta::milliseconds(1))
}
