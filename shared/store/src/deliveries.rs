//! Claims on delivery to an agent. One worker per agent at a time: that keeps the agent's events in order.

use butt_dial_domain::{AgentId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{Sql, on_writer},
};

/// The exclusive right to deliver to one agent, until `held_until`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryClaim {
    #[sqlx(rename = "agent_id")]
    agent: String,
    /// The number of changes (new events, connects, new callbacks) at the time of the claim.
    pub generation: i64,
    /// Consecutive failures of the callback.
    pub failures: i64,
    /// The end of the claim. Distinguishes it from other claims of the same holder.
    pub held_until: Timestamp,
}

impl DeliveryClaim {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent.as_str())
    }
}

impl Store {
    /// Makes the agent's delivery due now, because the agent connected or has a new callback. Returns whether events wait.
    /// Sets `failures` to -1: a worker with a failing request to the old callback must not postpone this
    /// delivery (`finish_delivery`). New events alone do not override a failing callback.
    pub async fn schedule_delivery_now(&self, agent: &AgentId, now: Timestamp) -> Result<bool, StoreError> {
        // Without waiting events too: the next event must not wait for the retry time of an old callback.
        const SQL: &str = "UPDATE deliveries SET due_at = $2, generation = generation + 1, failures = -1
            WHERE agent_id = $1
            RETURNING EXISTS (SELECT 1 FROM events e WHERE e.agent_id = deliveries.agent_id AND e.state = 'waiting')";
        let waiting: Option<bool> = on_writer!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(agent.as_str())
                .bind(now)
                .fetch_optional(db)
                .await
        })?;
        Ok(waiting.unwrap_or(false))
    }

    /// Claims one agent's delivery if it is due and not claimed, not even by this holder.
    pub async fn claim_free_delivery(
        &self,
        agent: &AgentId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        // A claim consumes the mark that `schedule_delivery_now` sets, so that the next one can be detected.
        const SQL: &str = "UPDATE deliveries SET holder = $2, held_until = $4,
                failures = CASE WHEN failures < 0 THEN 0 ELSE failures END
            WHERE agent_id = $1 AND due_at <= $3 AND (held_until IS NULL OR held_until < $3)
            RETURNING deliveries.agent_id, generation, failures, held_until";
        Ok(on_writer!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(holder)
                .bind(now)
                .bind(until)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Claims due deliveries that are not claimed, the longest due first.
    pub async fn claim_due_deliveries(
        &self,
        holder: &str,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<DeliveryClaim>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (
                    SELECT agent_id FROM deliveries WHERE due_at <= $3 AND (held_until IS NULL OR held_until < $3)
                    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE deliveries SET holder = $1, held_until = $4,
                    failures = CASE WHEN failures < 0 THEN 0 ELSE failures END
                FROM due WHERE deliveries.agent_id = due.agent_id
                RETURNING deliveries.agent_id, generation, failures, held_until",
            sqlite: "UPDATE deliveries SET holder = $1, held_until = $4,
                    failures = CASE WHEN failures < 0 THEN 0 ELSE failures END
                WHERE agent_id IN (
                    SELECT agent_id FROM deliveries WHERE due_at <= $3 AND (held_until IS NULL OR held_until < $3)
                    ORDER BY due_at LIMIT $2)
                RETURNING deliveries.agent_id, generation, failures, held_until",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| {
            sqlx::query_as(sql)
                .bind(holder)
                .bind(i64::from(limit))
                .bind(now)
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// Extends a claim. Returns false when it was lost, also to a later claim of the same holder.
    pub async fn renew_delivery(
        &self,
        claim: &mut DeliveryClaim,
        holder: &str,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE deliveries SET held_until = $4 WHERE agent_id = $1 AND holder = $2 AND held_until = $3";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .bind(until)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        if done > 0 {
            claim.held_until = until;
        }
        Ok(done > 0)
    }

    /// Renews a claim that `finish_delivery` rejected, and reads its new generation. The delivery need not be due, because
    /// clocks differ. `None`: the claim was lost.
    pub async fn reclaim_delivery(
        &self,
        claim: &DeliveryClaim,
        holder: &str,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        const SQL: &str = "UPDATE deliveries SET held_until = $4,
                failures = CASE WHEN failures < 0 THEN 0 ELSE failures END
            WHERE agent_id = $1 AND holder = $2 AND held_until = $3
            RETURNING deliveries.agent_id, generation, failures, held_until";
        Ok(on_writer!(self, |db| {
            sqlx::query_as(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .bind(until)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Releases a claim without changing when the delivery is due: another worker continues at once. Returns false when the
    /// claim was lost.
    pub async fn release_delivery(&self, claim: &DeliveryClaim, holder: &str) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE deliveries SET holder = NULL, held_until = NULL
            WHERE agent_id = $1 AND holder = $2 AND held_until = $3";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Releases a claim and sets when the delivery is due next. Returns false when the generation has changed since the claim:
    /// the claim stays, and there is more to deliver. While the callback fails (`failures` above 0), new events do not count
    /// as a change and the delivery waits until `due_at`; `schedule_delivery_now` does.
    ///
    /// `polled_at`: when the worker looked for events. An event that had another lease then may not have been delivered, so
    /// without a `due_at` the delivery becomes due at the end of that lease. `None`: no event could have been delivered.
    pub async fn finish_delivery(
        &self,
        claim: &DeliveryClaim,
        holder: &str,
        due_at: Option<Timestamp>,
        failures: i64,
        polled_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        // CASE keeps the events from being read where they do not matter.
        const SQL: &str = "UPDATE deliveries SET holder = NULL, held_until = NULL, failures = $5,
                due_at = CASE WHEN $6 IS NULL OR $4 IS NOT NULL THEN $4 ELSE (SELECT MIN(CASE WHEN e.held_until >= $6
                    THEN e.held_until ELSE e.retry_at END) FROM events e WHERE e.agent_id = $1 AND e.state = 'waiting'
                    AND NOT e.is_quiet AND (e.held_until >= $6 OR e.retry_at > $6)) END
            WHERE agent_id = $1 AND holder = $2 AND held_until = $3
                AND (generation = $7 OR ($5 > 0 AND failures >= 0))";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .bind(due_at)
                .bind(failures)
                .bind(polled_at)
                .bind(claim.generation)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
