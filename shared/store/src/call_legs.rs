//! Dialled legs of live calls, which are charged by the minute outside of a conversation.

use butt_dial_domain::{AgentId, CallId, Micros, clock::Timestamp};

use crate::{
    Store, StoreError,
    calls::stored_time,
    engine::{in_tx, on_writer, with_timeout},
};

/// A dialled leg of a call. A call has one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLeg {
    pub call: CallId,
    pub agent: AgentId,
    pub carrier: String,
    /// The carrier's id of the call.
    pub carrier_id: String,
    /// Price of the leg per minute.
    pub leg_price: Micros,
    /// Price of the call itself per minute.
    pub call_price: Micros,
    pub paid_until: Timestamp,
}

#[derive(sqlx::FromRow)]
struct LegRow {
    call_id: String,
    agent_id: String,
    carrier: String,
    carrier_id: String,
    leg_price: i64,
    call_price: i64,
    paid_until: Timestamp,
}

impl From<LegRow> for CallLeg {
    fn from(row: LegRow) -> Self {
        Self {
            call: row.call_id.into(),
            agent: row.agent_id.into(),
            carrier: row.carrier,
            carrier_id: row.carrier_id,
            leg_price: Micros(row.leg_price),
            call_price: Micros(row.call_price),
            paid_until: row.paid_until,
        }
    }
}

impl Store {
    /// Stores a leg, or replaces the call's former one. With `reserved`, this part of the call's
    /// estimate belongs to the leg: it stays when the call itself is settled. Safe to repeat.
    pub async fn open_call_leg(&self, leg: &CallLeg, reserved: Option<Micros>) -> Result<(), StoreError> {
        const OPEN: &str =
            "INSERT INTO call_legs (call_id, agent_id, carrier, carrier_id, leg_price, call_price, paid_until)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        const REPLACE: &str =
            "UPDATE call_legs SET leg_price = $2, call_price = $3, paid_until = $4 WHERE call_id = $1";
        const RESERVE: &str = "UPDATE messages SET legs = legs + $2 WHERE id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let opened = in_tx!(&mut tx, |db| sqlx::query(OPEN)
                .bind(leg.call.as_str())
                .bind(leg.agent.as_str())
                .bind(&leg.carrier)
                .bind(&leg.carrier_id)
                .bind(leg.leg_price.0)
                .bind(leg.call_price.0)
                .bind(stored_time(leg.paid_until))
                .execute(db)
                .await?
                .rows_affected());
            match reserved {
                // A repeated callback finds the leg: it is neither paid anew nor reserved twice.
                Some(reserved) if opened > 0 => in_tx!(&mut tx, |db| sqlx::query(RESERVE)
                    .bind(leg.call.as_str())
                    .bind(reserved.0)
                    .execute(db)
                    .await?
                    .rows_affected()),
                None if opened == 0 => in_tx!(&mut tx, |db| sqlx::query(REPLACE)
                    .bind(leg.call.as_str())
                    .bind(leg.leg_price.0)
                    .bind(leg.call_price.0)
                    .bind(stored_time(leg.paid_until))
                    .execute(db)
                    .await?
                    .rows_affected()),
                _ => 0,
            };
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Lists legs that are not paid beyond `due`, the longest overdue first. Deletes those of calls that have ended.
    pub async fn list_due_call_legs(&self, due: Timestamp, limit: u32) -> Result<Vec<CallLeg>, StoreError> {
        const CLOSE: &str = "DELETE FROM call_legs WHERE paid_until <= $1
            AND EXISTS (SELECT 1 FROM calls WHERE calls.id = call_legs.call_id AND calls.ended_at IS NOT NULL)";
        const LIST: &str =
            "SELECT call_id, agent_id, carrier, carrier_id, leg_price, call_price, paid_until FROM call_legs
            WHERE paid_until <= $1 ORDER BY paid_until, call_id LIMIT $2";
        on_writer!(self, |db| sqlx::query(CLOSE).bind(due).execute(db).await.map(drop))?;
        let rows: Vec<LegRow> = on_writer!(self, |db| sqlx::query_as(LIST)
            .bind(due)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        Ok(rows.into_iter().map(CallLeg::from).collect())
    }

    /// Claims the right to charge a leg up to `until`. Returns false when another process has claimed it, or it is closed.
    pub async fn claim_call_leg(&self, leg: &CallLeg, until: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE call_legs SET paid_until = $3 WHERE call_id = $1 AND paid_until = $2";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(leg.call.as_str())
            .bind(leg.paid_until)
            .bind(stored_time(until))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }

    /// Deletes the leg of a call. Safe to repeat.
    pub async fn close_call_leg(&self, call: &CallId) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM call_legs WHERE call_id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(call.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
