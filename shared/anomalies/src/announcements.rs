//! Campaigns that organizations announce, so that their volume is no anomaly.

use butt_dial_domain::{Code, Failure, Scope, clock::Timestamp, ids};
use butt_dial_identity::{Caller, find_visible_id};
use butt_dial_store::{AuditEntry, CAMPAIGN_PREFIX, Campaign};
use chrono::TimeDelta;
use serde_json::json;

use crate::Anomalies;

/// The longest campaign. A longer one is usual traffic, which the baselines learn.
const LONGEST: TimeDelta = TimeDelta::days(31);
const MAX_VOLUME: i64 = 100_000_000;
const MAX_NOTE: usize = butt_dial_domain::bounds::REASON;
/// Campaigns of an organization that have not ended.
const MAX_OPEN: u32 = 20;

/// A campaign to announce.
pub struct Announcement<'a> {
    /// The host's id of an agent. `None`: all agents.
    pub agent: Option<&'a str>,
    /// `None`: now.
    pub from: Option<Timestamp>,
    pub until: Timestamp,
    /// Messages and calls that are expected.
    pub volume: i64,
    pub note: Option<&'a str>,
}

impl Anomalies {
    /// Announces a campaign of the caller's organization: until more than a tenth above its volume is sent, detectors of volume do not
    /// fire.
    pub async fn announce(&self, caller: &Caller, new: &Announcement<'_>) -> Result<Campaign, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, now) = (caller.org()?, self.clock.now());
        let starts_at = new.from.unwrap_or(now).max(now);
        if new.until <= starts_at || new.until - starts_at > LONGEST {
            return Err(invalid("until", "until is after from, and at most 31 days later"));
        }
        if !(1..=MAX_VOLUME).contains(&new.volume) {
            return Err(invalid(
                "volume",
                format!("volume is 1 to {MAX_VOLUME} messages and calls"),
            ));
        }
        if new.note.is_some_and(|note| note.chars().count() > MAX_NOTE) {
            return Err(invalid("note", format!("note has at most {MAX_NOTE} characters")));
        }
        if self.store.list_campaigns(org, now, MAX_OPEN).await?.len() >= MAX_OPEN as usize {
            let message = format!(
                "your organization has {MAX_OPEN} announced campaigns that have not ended, as many as it may have"
            );
            return Err(Failure::new(Code::Conflict, message).hint("end one of them"));
        }
        let agent = match new.agent {
            Some(agent) => Some(find_visible_id(&self.store, caller, agent).await?),
            None => None,
        };
        let campaign = Campaign {
            id: format!("{CAMPAIGN_PREFIX}{}", ids::unique()),
            org_id: org.to_string(),
            agent_id: agent.map(|agent| agent.to_string()),
            starts_at,
            ends_at: new.until,
            volume: new.volume,
            note: new.note.map(str::to_owned),
            announced_by: caller.principal.token.to_string(),
            created_at: now,
        };
        let entry = AuditEntry::new(
            Some(org),
            &campaign.announced_by,
            "campaign.announce",
            &campaign.id,
            now,
        );
        let detail = json!({
            "agent": campaign.agent_id, "from": campaign.starts_at, "until": campaign.ends_at, "volume": campaign.volume,
        });
        let change = self.store.change(entry.with_detail(detail));
        change.announce_campaign(&campaign).await?;
        Ok(campaign)
    }

    /// Lists the campaigns of the caller's organization that have not ended, newest first.
    pub async fn list_campaigns(&self, caller: &Caller) -> Result<Vec<Campaign>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        Ok(self.store.list_campaigns(org, self.clock.now(), MAX_OPEN).await?)
    }

    /// Ends a campaign of the caller's organization.
    pub async fn end_campaign(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, now) = (caller.org()?, self.clock.now());
        let entry = AuditEntry::new(Some(org), caller.principal.token.as_str(), "campaign.end", id, now);
        match self.store.change(entry).end_campaign(org, id, now).await? {
            true => Ok(()),
            false => Err(Failure::new(
                Code::NotFound,
                "there is no such campaign that has not ended",
            )),
        }
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message.into()).detail("fields", json!([field]))
}
