//! Outcomes with an event for the agent: the row and the log change in one transaction, and never back.

use butt_dial_domain::{MessageId, clock::Timestamp, inbound::DeliveryStatus, message::Status};

use super::{AttemptOutcome, SendResult, SettledSend, postgres, sqlite};
use crate::{
    NewEvent, Store, StoreError,
    engine::{Sql, Tx, in_tx, with_timeout},
    events::{Appended, append_in},
};

/// The state of a message before it is settled.
#[derive(sqlx::FromRow)]
struct Known {
    status: String,
    carrier_id: Option<String>,
    stage_rank: i64,
}

impl Known {
    /// Whether the agent has been told that the carrier has sent the message on, or what became of it.
    fn is_told(&self) -> bool {
        self.stage_rank >= DeliveryStatus::Sent.rank()
    }
}

impl Store {
    /// Stores an outcome like `settle_send`, and appends its event in the same transaction. The event is left out if a receipt
    /// has told a later status. Returns false when the message was settled before, or when a receipt proves meanwhile that the
    /// carrier has a message that the reconciler has not found. Fails with `Conflict` if another message has the carrier id.
    pub async fn settle_and_tell(&self, settled: SettledSend, event: &NewEvent<'_>) -> Result<bool, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let Some(known) = find_known(&mut tx, &settled.id).await? else {
                return Ok(false);
            };
            let is_reconciled = matches!(
                settled.outcome,
                AttemptOutcome::Reconciled | AttemptOutcome::Unconfirmed
            );
            let is_accepted = matches!(settled.result, SendResult::Accepted { .. });
            if is_reconciled && !is_accepted && known.carrier_id.is_some() {
                return Ok(false);
            }
            let is_new = settle(&mut tx, &settled).await?;
            if is_new && !known.is_told() {
                append(&mut tx, event, settled.at).await?;
            }
            tx.commit().await?;
            Ok(is_new)
        })
        .await
    }

    /// Appends the event of a message that is settled with this status, unless a receipt has told a later one.
    pub async fn tell(
        &self,
        message: &MessageId,
        status: Status,
        event: &NewEvent<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let known = find_known(&mut tx, message).await?;
            if known.is_some_and(|known| known.status == status.as_str() && !known.is_told()) {
                append(&mut tx, event, now).await?;
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Reads and locks the message, as receipts do.
async fn find_known(tx: &mut Tx, message: &MessageId) -> Result<Option<Known>, StoreError> {
    const SQL: Sql = Sql {
        postgres: "SELECT status, carrier_id, stage_rank FROM messages WHERE id = $1 FOR NO KEY UPDATE",
        sqlite: "SELECT status, carrier_id, stage_rank FROM messages WHERE id = $1",
    };
    let sql = tx.sql(SQL);
    Ok(in_tx!(tx, |db| sqlx::query_as(sql)
        .bind(message.as_str())
        .fetch_optional(db)
        .await?))
}

async fn append(tx: &mut Tx, event: &NewEvent<'_>, at: Timestamp) -> Result<(), StoreError> {
    match append_in(tx, event, at).await? {
        Appended::New | Appended::Known => Ok(()),
        Appended::Raced => Err(StoreError::Shared("the event was appended meanwhile".into())),
    }
}

async fn settle(tx: &mut Tx, settled: &SettledSend) -> Result<bool, StoreError> {
    let done = match tx {
        Tx::Postgres(tx) => postgres::settle_in(&mut **tx, std::slice::from_ref(settled)).await?,
        Tx::Sqlite(tx) => sqlite::settle(&mut *tx, &[settled]).await?,
    };
    Ok(done.contains(settled.id.as_str()))
}
