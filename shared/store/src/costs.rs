//! The cost of an outbound call: extended minute by minute within the budgets, and settled at its end.

use butt_dial_domain::{CallId, MessageId, Micros, clock::Timestamp, limits::Limits};

use crate::{
    Store, StoreError,
    call_row::{Call, CallRow},
    charges::{Account, Caps, Charges},
    engine::{Sql, Tx, in_tx, on_reader, with_timeout},
};

// The message is locked before the accounts, in the lock order of all writers.
const FIND: Sql = Sql {
    postgres: "SELECT org_id, agent_id, channel, day, cost, price, legs, budget_id, budget_cap,
            budget_day_cap, task_id, (SELECT max_spend FROM limits l
                WHERE l.scope = 'task:' || messages.org_id || '/' || messages.task_id) AS task_cap FROM messages WHERE id = $1 FOR NO KEY UPDATE",
    sqlite: "SELECT org_id, agent_id, channel, day, cost, price, legs, budget_id, budget_cap,
            budget_day_cap, task_id, (SELECT max_spend FROM limits l
                WHERE l.scope = 'task:' || messages.org_id || '/' || messages.task_id) AS task_cap FROM messages WHERE id = $1",
};

/// The payers of a message besides the agent and its organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Payer {
    pub budget_id: Option<String>,
    pub task_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct CostRow {
    org_id: String,
    agent_id: String,
    channel: String,
    day: String,
    /// `None` until it is settled.
    cost: Option<i64>,
    /// The final cost; `None` until it is known.
    price: Option<i64>,
    /// The part of the cost that dialled legs took.
    legs: i64,
    budget_id: Option<String>,
    budget_cap: Option<i64>,
    budget_day_cap: Option<i64>,
    task_id: Option<String>,
    task_cap: Option<i64>,
}

impl CostRow {
    async fn find(tx: &mut Tx, message: &MessageId) -> Result<Self, StoreError> {
        let sql = tx.sql(FIND);
        Ok(in_tx!(tx, |db| sqlx::query_as(sql)
            .bind(message.as_str())
            .fetch_one(db)
            .await?))
    }

    /// Returns the account. A message is charged to the day on which it was accepted, also after midnight.
    fn account(&self) -> Account<'_> {
        Account {
            agent: &self.agent_id,
            org: &self.org_id,
            channel: &self.channel,
            day: &self.day,
            budget: self.budget_id.as_deref(),
            task: self.task_id.as_deref(),
        }
    }
}

impl Store {
    /// Adds `by` to the cost of a running call. `legs` is the part of it that a dialled leg takes, which the
    /// final price of the call does not include. Fails with `OverBudget`, and changes nothing, when the budget is exceeded.
    /// Changes nothing once the final cost is known. Fails when there is no such message.
    /// Must not be repeated after an error that leaves the commit uncertain; `settle_call` corrects the sum at the end.
    pub async fn extend_cost(
        &self,
        message: &MessageId,
        by: Micros,
        legs: Micros,
        agent_limits: Limits,
        org_limits: Limits,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // While the message is not settled, the amount is reserved; settling adds it to the cost.
        const EXTEND: &str = "UPDATE messages SET extended = extended + $2, cost = cost + $2,
                estimate = CASE WHEN cost IS NULL THEN estimate + $2 ELSE estimate END, legs = legs + $4, updated_at = $3
            WHERE id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let row = CostRow::find(&mut tx, message).await?;
            if row.price.is_some() {
                return Ok(());
            }
            in_tx!(&mut tx, |db| sqlx::query(EXTEND)
                .bind(message.as_str())
                .bind(by.0)
                .bind(at)
                .bind(legs.0)
                .execute(db)
                .await?
                .rows_affected());
            let mut charges = Charges::default();
            match row.cost {
                Some(_) => charges.settle(row.account(), by.0),
                None => charges.hold(row.account(), by.0),
            }
            let caps = Caps {
                agent: agent_limits,
                org: org_limits,
                token: (row.budget_cap.map(Micros), row.budget_day_cap.map(Micros)),
                task: row.task_cap.map(Micros),
            };
            charges.limit(row.account(), &caps);
            charges.write(&mut tx).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Returns the budget of the restricted token and the task that pay for a message. `None`: there is no such message.
    pub async fn find_payer(&self, message: &MessageId) -> Result<Option<Payer>, StoreError> {
        const SQL: &str = "SELECT budget_id, task_id FROM messages WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(message.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Replaces the cost of a call by its final cost and the cost of its dialled legs; changes nothing when `cost_of` returns `None`. Charges beyond a budget
    /// too: the money is spent. Reads the call under the lock of its message, so that the last of several callers has seen all
    /// reports. Safe to repeat. Fails when there is no such message.
    pub async fn settle_call(
        &self,
        call: &CallId,
        cost_of: &(dyn Fn(&Call) -> Option<Micros> + Sync),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const CALL: &str = "SELECT id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, answered_by,
                handled_by, created_at, answered_at, ended_at, duration_seconds, turns, latency, cost, error_code, end_reason,
                recording_id, recording_url, recording_seconds, content, updated_at
            FROM calls WHERE id = $1";
        // While the message is not settled, settling takes its cost from the price.
        const SETTLE: &str = "UPDATE messages SET price = $2, updated_at = $3,
                cost = CASE WHEN cost IS NULL THEN NULL ELSE CAST($2 AS BIGINT) END
            WHERE id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            // An outbound call has the id of its message.
            let row = CostRow::find(&mut tx, &MessageId::from(call.as_str())).await?;
            let found: Option<CallRow> = in_tx!(&mut tx, |db| sqlx::query_as(CALL)
                .bind(call.as_str())
                .fetch_optional(db)
                .await?);
            let cost = found.map(Call::try_from).transpose()?.and_then(|call| cost_of(&call));
            let cost = cost.map(|cost| Micros(cost.0.saturating_add(row.legs)));
            let Some(cost) = cost.filter(|cost| row.price != Some(cost.0)) else {
                return Ok(());
            };
            in_tx!(&mut tx, |db| sqlx::query(SETTLE)
                .bind(call.as_str())
                .bind(cost.0)
                .bind(at)
                .execute(db)
                .await?
                .rows_affected());
            if let Some(previous) = row.cost
                && previous != cost.0
            {
                let mut charges = Charges::default();
                charges.settle(row.account(), cost.0 - previous);
                charges.write(&mut tx).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}
