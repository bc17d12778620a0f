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
    /// Tells this claim from a later one of the same holder, too.
    pub held_until: Timestamp,
}

// Whoever claims knows of a poke by that: the mark goes, so that the next one can be seen.
macro_rules! claimed {
    ($until:literal) => {
        concat!(
            "held_until = ",
            $until,
            ", failures = CASE WHEN failures < 0 THEN 0 ELSE failures END"
        )
    };
}

macro_rules! a_claim {
    () => {
        " RETURNING deliveries.agent_id, generation, failures, held_until"
    };
}

macro_rules! is_claims {
    () => {
        " WHERE agent_id = $1 AND holder = $2 AND held_until = $3"
    };
}

impl DeliveryClaim {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent.as_str())
    }
}

impl Store {
    /// Something happened that may let the agent's events through: it came back, or has a new callback. True when it has
    /// events that wait. The -1 marks it for whoever finds out at this moment that the old callback fails: what is new makes
    /// up for no failure, a poke does.
    pub async fn schedule_delivery_now(&self, agent: &AgentId, now: Timestamp) -> Result<bool, StoreError> {
        // Also when nothing waits: what comes next shall not wait for an old callback's time.
        const SQL: &str = "UPDATE deliveries SET due_at = $2, generation = generation + 1, failures = -1
            WHERE agent_id = $1
            RETURNING EXISTS (SELECT 1 FROM events e WHERE e.agent_id = deliveries.agent_id AND e.state = 'waiting')";
        let waiting: Option<bool> = writing!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(agent.as_str())
                .bind(now)
                .fetch_optional(db)
                .await
        })?;
        Ok(waiting.unwrap_or(false))
    }

    /// Claims one agent's delivery if it is due and nobody holds it, not even this holder.
    pub async fn claim_free_delivery(
        &self,
        agent: &AgentId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        const SQL: &str = concat!(
            "UPDATE deliveries SET holder = $2, ",
            claimed!("$4"),
            " WHERE agent_id = $1 AND due_at <= $3 AND (held_until IS NULL OR held_until < $3)",
            a_claim!()
        );
        Ok(writing!(self, |db| {
            sqlx::query_as(SQL)
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
        macro_rules! due {
            ($lock:literal) => {
                concat!(
                    "SELECT agent_id FROM deliveries WHERE due_at <= $3 AND (held_until IS NULL OR held_until < $3)
                    ORDER BY due_at LIMIT $2",
                    $lock
                )
            };
        }
        const POSTGRES: &str = concat!(
            "WITH due AS MATERIALIZED (",
            due!(" FOR UPDATE SKIP LOCKED"),
            ") UPDATE deliveries SET holder = $1, ",
            claimed!("$4"),
            " FROM due WHERE deliveries.agent_id = due.agent_id",
            a_claim!()
        );
        const SQLITE: &str = concat!(
            "UPDATE deliveries SET holder = $1, ",
            claimed!("$4"),
            " WHERE agent_id IN (",
            due!(""),
            ")",
            a_claim!()
        );
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

    /// Prolongs a claim; false when it was lost, to a later claim of the same holder too.
    pub async fn renew_delivery(
        &self,
        claim: &mut DeliveryClaim,
        holder: &str,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = concat!("UPDATE deliveries SET held_until = $4", is_claims!());
        let done = writing!(self, |db| {
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

    /// Claims again what could not be finished because something happened: due or not, as clocks differ. `None`: it was lost.
    pub async fn reclaim_delivery(
        &self,
        claim: &DeliveryClaim,
        holder: &str,
        until: Timestamp,
    ) -> Result<Option<DeliveryClaim>, StoreError> {
        const SQL: &str = concat!("UPDATE deliveries SET ", claimed!("$4"), is_claims!(), a_claim!());
        Ok(writing!(self, |db| {
            sqlx::query_as(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .bind(until)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Gives a claim back as it was: somebody else goes on at once. False when it was lost.
    pub async fn release_delivery(&self, claim: &DeliveryClaim, holder: &str) -> Result<bool, StoreError> {
        const SQL: &str = concat!("UPDATE deliveries SET holder = NULL, held_until = NULL", is_claims!());
        let done = writing!(self, |db| {
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

    /// Gives a claim back, and says when the ladder is climbed next. False when something has happened since it was claimed:
    /// then the claim stays, and there is more to do. But a callback that fails (`failures` above 0) is left alone until
    /// `due_at` whatever came meanwhile, unless the delivery was poked.
    ///
    /// `looked_at`: when the climber looked for events. What somebody else held then, and has not confirmed since, may not
    /// arrive there: without another `due_at` it is looked for again when it is free. `None`: they could have gone nowhere.
    pub async fn finish_delivery(
        &self,
        claim: &DeliveryClaim,
        holder: &str,
        due_at: Option<Timestamp>,
        failures: i64,
        looked_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        // The events are read only if they matter: CASE sees to that.
        const SQL: &str = concat!(
            "UPDATE deliveries SET holder = NULL, held_until = NULL, failures = $5,
                due_at = CASE WHEN $6 IS NULL OR $4 IS NOT NULL THEN $4 ELSE (SELECT MIN(CASE WHEN e.held_until >= $6
                    THEN e.held_until ELSE e.retry_at END) FROM events e WHERE e.agent_id = $1 AND e.state = 'waiting'
                    AND NOT e.is_quiet AND (e.held_until >= $6 OR e.retry_at > $6)) END",
            is_claims!(),
            " AND (generation = $7 OR ($5 > 0 AND failures >= 0))"
        );
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(&claim.agent)
                .bind(holder)
                .bind(claim.held_until)
                .bind(due_at)
                .bind(failures)
                .bind(looked_at)
                .bind(claim.generation)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
