//! Account notices: webhooks about an organization's account, until its host has received them. They are claimed before they
//! are sent, so that dispatchers share them.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, Tx, in_tx, on_reader, on_writer, with_timeout},
};

/// The state of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NoticeState {
    Waiting,
    Delivered,
    /// All attempts have failed.
    Dead,
}

text_column!(NoticeState, "account_notices", "state");

/// A notice to store.
pub struct NewNotice<'a> {
    pub id: &'a str,
    pub org: &'a OrgId,
    pub kind: &'a str,
    pub url: &'a str,
    /// JSON without secrets.
    pub body: &'a str,
    /// Encrypted.
    pub token: Option<&'a [u8]>,
}

/// A stored notice.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Notice {
    pub id: String,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub kind: String,
    pub url: String,
    pub body: String,
    pub token: Option<Vec<u8>>,
    pub state: NoticeState,
    /// Attempts, with the one that is being made.
    pub tries: i64,
    pub failure: Option<String>,
    pub created_at: Timestamp,
}

/// Stores a notice that is due now, as part of a transaction.
pub(crate) async fn insert_in(tx: &mut Tx, new: &NewNotice<'_>, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO account_notices (id, org_id, kind, url, body, token, state, due_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7, $7)";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(new.id)
        .bind(new.org.as_str())
        .bind(new.kind)
        .bind(new.url)
        .bind(new.body)
        .bind(new.token)
        .bind(now)
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

impl Store {
    /// Stores a notice that is due now.
    pub async fn create_notice(&self, new: &NewNotice<'_>, now: Timestamp) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            insert_in(&mut tx, new, now).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Claims due notices until `until`. If this process dies, another one claims them after that.
    pub async fn claim_notices(&self, limit: u32, now: Timestamp, until: Timestamp) -> Result<Vec<Notice>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (SELECT id FROM account_notices WHERE due_at <= $2
                    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
                UPDATE account_notices AS n SET due_at = $3, tries = n.tries + 1 FROM due WHERE n.id = due.id
                RETURNING n.id, n.org_id, n.kind, n.url, n.body, n.token, n.state, n.tries, n.failure, n.created_at",
            sqlite: "UPDATE account_notices SET due_at = $3, tries = tries + 1 WHERE id IN
                    (SELECT id FROM account_notices WHERE due_at <= $2 ORDER BY due_at LIMIT $1)
                RETURNING id, org_id, kind, url, body, token, state, tries, failure, created_at",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| sqlx::query_as(sql)
            .bind(i64::from(limit))
            .bind(now)
            .bind(until)
            .fetch_all(db)
            .await)?)
    }

    /// Marks a notice as delivered, and deletes its token.
    pub async fn settle_notice(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE account_notices SET state = 'delivered', token = NULL, due_at = NULL, failure = NULL,
            delivered_at = $2 WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Records a failed attempt: the notice is due again at `retry_at`, or it is dead and its token is deleted.
    pub async fn fail_notice(&self, id: &str, failure: &str, retry_at: Option<Timestamp>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE account_notices SET failure = $2, due_at = $3,
                state = CASE WHEN $3 IS NULL THEN 'dead' ELSE state END,
                token = CASE WHEN $3 IS NULL THEN NULL ELSE token END
            WHERE id = $1 AND state = 'waiting'";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(failure)
            .bind(retry_at)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists notices in a state without their tokens, newest first.
    pub async fn list_notices(&self, state: NoticeState, limit: u32) -> Result<Vec<Notice>, StoreError> {
        const SQL: &str = "SELECT id, org_id, kind, url, body, NULL AS token, state, tries, failure, created_at
            FROM account_notices WHERE state = $1 ORDER BY created_at DESC, id DESC LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(<&str>::from(state))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Deletes notices that were delivered before this time. Returns how many. At most 1,000.
    pub async fn delete_delivered_notices(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM account_notices WHERE id IN (SELECT id FROM account_notices
            WHERE state = 'delivered' AND created_at < $1 ORDER BY created_at LIMIT 1000)";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(before)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }
}
