//! Who climbs the ladder of delivery for which agent. One at a time: that keeps an agent's events in order.

use butt_dial_domain::{AgentId, clock::Timestamp};

use crate::{Store, StoreError, engine::writing};

/// The right to deliver to one agent, until it runs out.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryClaim {
    #[sqlx(rename = "agent_id")]
    agent: String,
    /// What had happened when it was claimed.
    pub generation: i64,
    /// Of the callback, in a row.
    pub failures: i64,
}

impl DeliveryClaim {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent.as_str())
    }
}

impl Store {
    /// Something happened that may let the agent's events through: it came back, or has a new callback. True when it has
    /// events that wait.
    pub async fn poke_delivery(&self, agent: &AgentId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE deliveries SET due_at = $2, generation = generation + 1, failures = 0
            WHERE agent_id = $1 AND EXISTS (SELECT 1 FROM events WHERE agent_id = $1 AND state = 'waiting')";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Claims one agent's delivery if it is due and nobody else holds it: to go on with what this holder has a right to.
    pub async fn claim_delivery(
        &self,
        agent: &AgentId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        const SQL: &str = "UPDATE deliveries SET holder = $2, held_until = $4
            WHERE agent_id = $1 AND due_at <= $3 AND (held_until IS NULL OR held_until < $3 OR holder = $2)
            RETURNING agent_id, generation, failures";
        self.claim(SQL, agent, holder, now, until).await
    }

    /// Claims one agent's delivery if it is due and nobody holds it, not even this holder.
    pub async fn claim_free_delivery(
        &self,
        agent: &AgentId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        const SQL: &str = "UPDATE deliveries SET holder = $2, held_until = $4
            WHERE agent_id = $1 AND due_at <= $3 AND (held_until IS NULL OR held_until < $3)
            RETURNING agent_id, generation, failures";
        self.claim(SQL, agent, holder, now, until).await
    }

    async fn claim(
        &self,
        sql: &'static str,
        agent: &AgentId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        Ok(writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(agent.as_str())
                .bind(holder)
                .bind(now)
                .bind(until)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Claims what is due and held by nobody, the longest due first.
    pub async fn claim_due_deliveries(
        &self,
        holder: &str,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<DeliveryClaim>, StoreError> {
        const POSTGRES: &str = "WITH due AS MATERIALIZED (
                SELECT agent_id FROM deliveries WHERE due_at <= $3 AND (held_until IS NULL OR held_until < $3)
                ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE deliveries SET holder = $1, held_until = $4 FROM due WHERE deliveries.agent_id = due.agent_id
            RETURNING deliveries.agent_id, generation, failures";
        const SQLITE: &str = "UPDATE deliveries SET holder = $1, held_until = $4 WHERE agent_id IN (
                SELECT agent_id FROM deliveries WHERE due_at <= $3 AND (held_until IS NULL OR held_until < $3)
                ORDER BY due_at LIMIT $2)
            RETURNING agent_id, generation, failures";
        let sql = self.either(POSTGRES, SQLITE);
        Ok(writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(holder)
                .bind(i64::from(limit))
                .bind(now)
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// Prolongs a claim; false when it was lost.
    pub async fn renew_delivery(&self, agent: &AgentId, holder: &str, until: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE deliveries SET held_until = $3 WHERE agent_id = $1 AND holder = $2";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(holder)
                .bind(until)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Gives a claim back, and says when the ladder is climbed next. False when something has happened since it was claimed:
    /// then the claim stays, and there is more to do.
    pub async fn finish_delivery(
        &self,
        claim: &DeliveryClaim,
        holder: &str,
        due_at: Option<Timestamp>,
        failures: i64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE deliveries SET holder = NULL, held_until = NULL, due_at = $4, failures = $5
            WHERE agent_id = $1 AND holder = $2 AND generation = $3";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.generation)
                .bind(due_at)
                .bind(failures)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
