//! Campaigns that an organization has announced, so that their volume is no anomaly.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Change, Store, StoreError,
    change::on_change,
    engine::{on_reader, on_writer},
};

/// The ids of campaigns begin with it.
pub const CAMPAIGN_PREFIX: &str = "cpn_";

/// An announced campaign.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Campaign {
    pub id: String,
    pub org_id: String,
    /// `None`: all agents of the organization.
    pub agent_id: Option<String>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    /// Messages and calls that are expected.
    pub volume: i64,
    pub note: Option<String>,
    /// The id of the token that announced it.
    pub announced_by: String,
    pub created_at: Timestamp,
}

/// A campaign that takes place, with the messages since its beginning.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CurrentCampaign {
    pub id: String,
    pub org_id: String,
    pub agent_id: Option<String>,
    pub volume: i64,
    pub sent: i64,
    /// Messages until then are stored as a number.
    pub counted_until: Timestamp,
}

impl Store {
    /// Lists the campaigns of an organization that have not ended, newest first.
    pub async fn list_campaigns(&self, org: &OrgId, now: Timestamp, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, starts_at, ends_at, volume, note, announced_by, created_at
            FROM announced_campaigns WHERE org_id = $1 AND ends_at > $2 ORDER BY id DESC LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the campaigns of all organizations that take place, with what was sent before a time. Counts the messages since
    /// `counted_until` only.
    pub async fn list_current_campaigns(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<CurrentCampaign>, StoreError> {
        const SQL: &str =
            "SELECT c.id, c.org_id, c.agent_id, c.volume, c.counted_until, c.sent + (SELECT COUNT(*) FROM messages m
                WHERE m.org_id = c.org_id AND m.created_at >= c.counted_until AND m.created_at < $1
                    AND (c.agent_id IS NULL OR m.agent_id = c.agent_id)) AS sent
            FROM announced_campaigns c WHERE c.ends_at > $1 AND c.starts_at < $1 ORDER BY c.ends_at LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Stores what was sent before a time, unless another process has done so.
    pub async fn advance_campaign(&self, counted: &CurrentCampaign, before: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE announced_campaigns SET sent = $3, counted_until = $4 WHERE id = $1 AND counted_until = $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(&counted.id)
            .bind(counted.counted_until)
            .bind(counted.sent)
            .bind(before)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}

impl Change {
    /// Announces a campaign.
    pub async fn announce_campaign(&self, new: &Campaign) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO announced_campaigns (id, org_id, agent_id, starts_at, ends_at, volume, note, announced_by,
                created_at, sent, counted_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $4)";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(&new.id)
            .bind(&new.org_id)
            .bind(&new.agent_id)
            .bind(new.starts_at)
            .bind(new.ends_at)
            .bind(new.volume)
            .bind(&new.note)
            .bind(&new.announced_by)
            .bind(new.created_at)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Ends a campaign of an organization. Returns whether it had not ended.
    pub async fn end_campaign(&self, org: &OrgId, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE announced_campaigns SET ends_at = $3 WHERE id = $2 AND org_id = $1 AND ends_at > $3";
        let done = on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(id)
            .bind(now)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }
}

impl CurrentCampaign {
    /// Returns whether the campaign covers an agent, or with `None` its organization.
    pub fn covers(&self, org: &OrgId, agent: Option<&AgentId>) -> bool {
        let is_of_agent = match (&self.agent_id, agent) {
            (None, _) | (Some(_), None) => true,
            (Some(announced), Some(agent)) => announced == agent.as_str(),
        };
        self.org_id == org.as_str() && is_of_agent
    }

    /// Returns whether no more than a tenth above the expected volume was sent.
    pub fn is_within_volume(&self) -> bool {
        self.sent <= self.volume + self.volume / 10
    }
}
