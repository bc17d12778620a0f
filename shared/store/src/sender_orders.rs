//! Orders of senders. Each step is stored before it is taken, so that another process can finish or undo it after the first one
//! died.

use butt_dial_domain::{AgentId, OrgId, ProviderAccountId, SenderOrderId, clock::Timestamp};

use crate::{
    ServiceCharge, Store, StoreError,
    column::text_column,
    engine::{Sql, in_tx, on_reader, on_writer, with_timeout},
};

/// The next step of an order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum OrderStep {
    /// No request has been made to the vendor.
    Search,
    /// The purchase may have been made.
    Buy,
    /// The number is owned; its webhooks may not be set.
    Configure,
    /// The webhooks are set; the sender is not stored yet.
    Activate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OrderState {
    Running,
    /// A step failed for good; what was done is undone.
    Undoing,
    Done,
    Failed,
    /// It could not be undone; an operator has to.
    Stuck,
}

text_column!(OrderStep, "sender_orders", "step");
text_column!(OrderState, "sender_orders", "state");

/// A stored order.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SenderOrder {
    #[sqlx(try_from = "String")]
    pub id: SenderOrderId,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub agent_id: Option<String>,
    pub account_id: Option<String>,
    /// JSON, as its creator wrote it.
    pub request: String,
    pub step: OrderStep,
    pub state: OrderState,
    pub address: Option<String>,
    /// The vendor's id of the number.
    pub number_id: Option<String>,
    pub failure: Option<String>,
    pub attempts: i64,
    pub created_at: Timestamp,
}

impl SenderOrder {
    pub fn agent(&self) -> Option<AgentId> {
        self.agent_id.as_deref().map(AgentId::from)
    }

    pub fn account(&self) -> Option<ProviderAccountId> {
        self.account_id.as_deref().map(ProviderAccountId::from)
    }
}

impl Store {
    /// Stores an order that its creator works on until `lease_until`, and its price. Fails with `OverBudget`, and stores nothing,
    /// when a budget is exceeded.
    pub async fn create_sender_order(
        &self,
        order: &SenderOrder,
        lease_until: Timestamp,
        price: Option<ServiceCharge<'_>>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sender_orders (id, org_id, agent_id, account_id, request, step, state, address,
                lease_until, attempts, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $10)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(order.id.as_str())
                .bind(order.org_id.as_str())
                .bind(order.agent_id.as_deref())
                .bind(order.account_id.as_deref())
                .bind(&order.request)
                .bind(<&str>::from(order.step))
                .bind(<&str>::from(order.state))
                .bind(order.address.as_deref())
                .bind(lease_until)
                .bind(order.created_at)
                .execute(db)
                .await
                .map(drop))?;
            if let Some(price) = price {
                price.write(&mut tx).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Stores the progress of an order, and that its holder works on it until `lease_until`. Returns false if it has ended, or
    /// if another process has taken it over: `attempts` is then another one. A refund is written with the progress, or not at all.
    pub async fn update_sender_order(
        &self,
        order: &SenderOrder,
        lease_until: Timestamp,
        now: Timestamp,
        refund: Option<ServiceCharge<'_>>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE sender_orders SET step = $2, state = $3, address = $4, number_id = $5, failure = $6,
                lease_until = $7, updated_at = $8
            WHERE id = $1 AND attempts = $9 AND state IN ('running', 'undoing')";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let done = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(order.id.as_str())
                .bind(<&str>::from(order.step))
                .bind(<&str>::from(order.state))
                .bind(order.address.as_deref())
                .bind(order.number_id.as_deref())
                .bind(order.failure.as_deref())
                .bind(lease_until)
                .bind(now)
                .bind(order.attempts)
                .execute(db)
                .await?
                .rows_affected());
            if let (1, Some(refund)) = (done, refund) {
                refund.write(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(done == 1)
        })
        .await
    }

    /// Claims orders that their holders have left.
    pub async fn claim_sender_orders(
        &self,
        limit: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<SenderOrder>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE sender_orders SET lease_until = $2, attempts = attempts + 1, updated_at = $1
                WHERE id IN (SELECT id FROM sender_orders WHERE state IN ('running', 'undoing') AND lease_until <= $1
                    ORDER BY lease_until LIMIT $3 FOR UPDATE SKIP LOCKED)
                RETURNING id, org_id, agent_id, account_id, request, step, state, address, number_id, failure, attempts,
                    created_at",
            sqlite: "UPDATE sender_orders SET lease_until = $2, attempts = attempts + 1, updated_at = $1
                WHERE id IN (SELECT id FROM sender_orders WHERE state IN ('running', 'undoing') AND lease_until <= $1
                    ORDER BY lease_until LIMIT $3)
                RETURNING id, org_id, agent_id, account_id, request, step, state, address, number_id, failure, attempts,
                    created_at",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| sqlx::query_as(sql)
            .bind(now)
            .bind(lease_until)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the orders of all organizations that could not be undone, oldest first.
    pub async fn list_stuck_orders(&self, limit: u32) -> Result<Vec<SenderOrder>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, account_id, request, step, state, address, number_id, failure,
                attempts, created_at FROM sender_orders WHERE state = 'stuck' ORDER BY updated_at, id LIMIT $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Makes an order that could not be undone due again. Returns its organization, or `None` if there is no such order.
    pub async fn retry_stuck_order(&self, id: &SenderOrderId, now: Timestamp) -> Result<Option<OrgId>, StoreError> {
        const SQL: &str = "UPDATE sender_orders SET state = 'undoing', attempts = 0, lease_until = $2, updated_at = $2
            WHERE id = $1 AND state = 'stuck' RETURNING org_id";
        let org: Option<String> = on_writer!(self, |db| sqlx::query_scalar(SQL)
            .bind(id.as_str())
            .bind(now)
            .fetch_optional(db)
            .await)?;
        Ok(org.map(OrgId::from))
    }

    /// Finds an order of the organization.
    pub async fn find_sender_order(&self, org: &OrgId, id: &SenderOrderId) -> Result<Option<SenderOrder>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, account_id, request, step, state, address, number_id, failure,
                attempts, created_at FROM sender_orders WHERE org_id = $1 AND id = $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?)
    }
}
