//! What a call of ours costs: as it lasts on, minute after minute under the budgets, and in the end.

use butt_dial_domain::{CallId, MessageId, Micros, clock::Timestamp, limits::Limits};

use crate::{
    Store, StoreError,
    calls::{Call, CallRow},
    charges::{Account, Charges},
    engine::{Tx, in_time, within},
};

// Locked before the accounts are, as everybody does.
const FIND: (&str, &str) = (
    "SELECT org_id, agent_id, channel, day, cost, price FROM messages WHERE id = $1 FOR NO KEY UPDATE",
    "SELECT org_id, agent_id, channel, day, cost, price FROM messages WHERE id = $1",
);

#[derive(sqlx::FromRow)]
struct CostRow {
    org_id: String,
    agent_id: String,
    channel: String,
    day: String,
    /// `None` until it is settled.
    cost: Option<i64>,
    /// The final one.
    price: Option<i64>,
}

impl CostRow {
    async fn find(tx: &mut Tx, message: &MessageId) -> Result<Self, StoreError> {
        let sql = tx.either(FIND.0, FIND.1);
        Ok(within!(tx, |db| sqlx::query_as(sql)
            .bind(message.as_str())
            .fetch_one(db)
            .await?))
    }

    /// All the money of a message is counted in the day on which it was accepted, past midnight too.
    fn account(&self) -> Account<'_> {
        Account {
            agent: &self.agent_id,
            org: &self.org_id,
            channel: &self.channel,
            day: &self.day,
        }
    }
}

impl Store {
    /// The call goes on, and costs that much more. `OverBudget` when that does not fit: then nothing has changed. Nothing
    /// happens once the final cost is known. An error when there is no such message.
    /// Not to be repeated after an error that leaves open whether it was booked: `settle_call` puts it right in the end.
    pub async fn extend_cost(
        &self,
        message: &MessageId,
        by: Micros,
        agent_limits: Limits,
        org_limits: Limits,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // Whoever places the call may not have settled it yet: then more is reserved, and settling adds it to the cost.
        const EXTEND: &str = "UPDATE messages SET extended = extended + $2, cost = cost + $2,
                estimate = CASE WHEN cost IS NULL THEN estimate + $2 ELSE estimate END, updated_at = $3
            WHERE id = $1";
        in_time(async {
            let mut tx = self.begin().await?;
            let row = CostRow::find(&mut tx, message).await?;
            if row.price.is_some() {
                return Ok(());
            }
            within!(&mut tx, |db| sqlx::query(EXTEND)
                .bind(message.as_str())
                .bind(by.0)
                .bind(at)
                .execute(db)
                .await?
                .rows_affected());
            let mut charges = Charges::default();
            match row.cost {
                Some(_) => charges.settle(row.account(), by.0),
                None => charges.hold(row.account(), by.0),
            }
            charges.limit(row.account(), &agent_limits, &org_limits);
            charges.write(&mut tx).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// What the call has cost in the end, in place of all that was believed before; nothing changes where `cost_of` does not
    /// know it. Booked even where it goes beyond a budget: it has been spent. The call is read under the lock of its message,
    /// so of several who settle it the last one has seen everything. Safe to repeat. An error when there is no such message.
    pub async fn settle_call(
        &self,
        call: &CallId,
        cost_of: &(dyn Fn(&Call) -> Option<Micros> + Sync),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const CALL: &str = "SELECT * FROM calls WHERE id = $1";
        // While the message is not settled, settling takes the cost from the price.
        const SETTLE: &str = "UPDATE messages SET price = $2, updated_at = $3,
                cost = CASE WHEN cost IS NULL THEN NULL ELSE CAST($2 AS BIGINT) END
            WHERE id = $1";
        in_time(async {
            let mut tx = self.begin().await?;
            // A call of ours has the id of its message.
            let row = CostRow::find(&mut tx, &MessageId::from(call.as_str())).await?;
            let found: Option<CallRow> = within!(&mut tx, |db| sqlx::query_as(CALL)
                .bind(call.as_str())
                .fetch_optional(db)
                .await?);
            let cost = found.map(Call::try_from).transpose()?.and_then(|call| cost_of(&call));
            let Some(cost) = cost.filter(|cost| row.price != Some(cost.0)) else {
                return Ok(());
            };
            within!(&mut tx, |db| sqlx::query(SETTLE)
                .bind(call.as_str())
                .bind(cost.0)
                .bind(at)
                .execute(db)
                .await?
                .rows_affected());
            if let Some(believed) = row.cost
                && believed != cost.0
            {
                let mut charges = Charges::default();
                charges.settle(row.account(), cost.0 - believed);
                charges.write(&mut tx).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}
