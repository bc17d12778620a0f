//! Dead letters: webhook events that cannot be applied, kept unchanged until an operator replays or drops them.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{Tx, as_number, in_tx, on_reader, on_writer, with_timeout},
};

/// Why an event cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DeadLetterReason {
    /// It is no event, or it was encrypted with another key.
    Unreadable,
    /// The database refuses its data.
    Data,
}

crate::column::text_column!(DeadLetterReason, "dead_letters", "reason");

/// An event to set aside.
#[derive(Clone)]
pub struct NewDeadLetter {
    /// Of the stream and the position: the same for each attempt.
    pub id: String,
    pub reason: DeadLetterReason,
    /// The entry of the stream.
    pub payload: Vec<u8>,
}

/// A stored dead letter.
#[derive(Clone, sqlx::FromRow)]
pub struct DeadLetter {
    pub id: String,
    pub reason: DeadLetterReason,
    pub payload: Vec<u8>,
    pub created_at: Timestamp,
    pub replay_requested_at: Option<Timestamp>,
}

/// Stores dead letters. One that exists already stays.
pub(crate) async fn write(tx: &mut Tx, letters: &[NewDeadLetter], at: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO dead_letters (id, reason, payload, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    for letter in letters {
        in_tx!(tx, |db| sqlx::query(SQL)
            .bind(&letter.id)
            .bind(<&str>::from(letter.reason))
            .bind(&letter.payload)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
    }
    Ok(())
}

impl Store {
    /// Stores a dead letter and advances the position of the stream past it, in one transaction. Returns false, and changes
    /// nothing, when the position is not `after` any more.
    pub async fn skip_as_dead_letter(
        &self,
        stream: &str,
        after: u64,
        sequence: u64,
        letter: &NewDeadLetter,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE log_positions SET position = $2, entry_id = NULL WHERE stream = $1 AND position = $3";
        let (after, sequence) = (as_number(after), as_number(sequence));
        with_timeout(async {
            let mut tx = self.begin().await?;
            let advanced = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(stream)
                .bind(sequence)
                .bind(after)
                .execute(db)
                .await?
                .rows_affected());
            if advanced == 0 {
                return Ok(false);
            }
            write(&mut tx, std::slice::from_ref(letter), at).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Lists dead letters, the oldest first, after the one with this id.
    pub async fn list_dead_letters(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        const SQL: &str = "SELECT id, reason, payload, created_at, replay_requested_at FROM dead_letters
            WHERE CAST($1 AS TEXT) IS NULL
                OR (created_at, id) > (SELECT d.created_at, d.id FROM dead_letters d WHERE d.id = $1)
            ORDER BY created_at, id LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    pub async fn find_dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        const SQL: &str = "SELECT id, reason, payload, created_at, replay_requested_at FROM dead_letters WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id)
            .fetch_optional(db)
            .await)?)
    }

    /// Requests that a dead letter, or all of them, is appended to the stream again. Returns how many.
    pub async fn request_replay(&self, id: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE dead_letters SET replay_requested_at = $2
            WHERE (CAST($1 AS TEXT) IS NULL OR id = $1) AND replay_requested_at IS NULL";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(at)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Lists dead letters to replay.
    pub async fn list_requested_replays(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        const SQL: &str = "SELECT id, reason, payload, created_at, replay_requested_at FROM dead_letters
            WHERE replay_requested_at IS NOT NULL ORDER BY id LIMIT $1";
        Ok(on_writer!(self, |db| sqlx::query_as(SQL)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Deletes a dead letter. Returns false when there is none.
    pub async fn delete_dead_letter(&self, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM dead_letters WHERE id = $1";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }
}
