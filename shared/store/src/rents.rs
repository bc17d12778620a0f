//! The rent of bought numbers. The first month is charged with the purchase; each further month is charged once, together with the
//! date until which the number is paid.

use butt_dial_domain::{AgentId, ChannelId, Micros, OrgId, clock::Timestamp, limits::Period};

use crate::{
    Store, StoreError,
    charges::{Account, Charges},
    engine::{Sql, in_tx, on_reader, with_timeout},
};

/// The name of numbers in the usage, next to the channels.
pub const NUMBERS: &str = "numbers";

/// A number with rent that is due.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueRent {
    #[sqlx(try_from = "String")]
    pub id: ChannelId,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    /// `None`: of the pool.
    pub agent_id: Option<String>,
    pub address: String,
    /// Micro-units.
    pub monthly_price: i64,
    pub created_at: Timestamp,
    /// `None`: a former release charged the first month and stored no date.
    pub rent_paid_until: Option<Timestamp>,
}

impl DueRent {
    pub fn agent(&self) -> Option<AgentId> {
        self.agent_id.as_deref().map(AgentId::from)
    }
}

impl Store {
    /// Lists numbers in use with rent that is due, of all organizations, the longest due first.
    pub async fn list_due_rents(&self, now: Timestamp, limit: u32) -> Result<Vec<DueRent>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, address, monthly_price, created_at, rent_paid_until FROM channels
            WHERE monthly_price > 0 AND released_at IS NULL AND coalesce(rent_paid_until, created_at) <= $1
            ORDER BY coalesce(rent_paid_until, created_at) LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Stores that a number is paid until `until`, and charges `price` to `account`: the agent, or the account of the pool. Charges
    /// beyond every budget, because the vendor bills the number too. Returns false, and charges nothing, if another process has
    /// charged it, or if the number is released or belongs to another agent.
    pub async fn charge_rent(
        &self,
        due: &DueRent,
        account: &AgentId,
        price: Micros,
        until: Timestamp,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE channels SET rent_paid_until = $2 WHERE id = $1 AND released_at IS NULL
                AND rent_paid_until IS NOT DISTINCT FROM $3 AND agent_id IS NOT DISTINCT FROM $4",
            sqlite: "UPDATE channels SET rent_paid_until = $2 WHERE id = $1 AND released_at IS NULL
                AND rent_paid_until IS $3 AND agent_id IS $4",
        };
        let day = Period::Day.key(at);
        let account = Account {
            agent: account.as_str(),
            org: due.org_id.as_str(),
            channel: NUMBERS,
            day: &day,
            budget: None,
            task: None,
        };
        with_timeout(async {
            let mut tx = self.begin().await?;
            let sql = tx.sql(SQL);
            let done = in_tx!(&mut tx, |db| sqlx::query(sql)
                .bind(due.id.as_str())
                .bind(until)
                .bind(due.rent_paid_until)
                .bind(due.agent_id.as_deref())
                .execute(db)
                .await?
                .rows_affected());
            if done == 0 {
                return Ok(false);
            }
            if price != Micros::ZERO {
                let mut charges = Charges::default();
                charges.settle(account, price.0);
                charges.write(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}
