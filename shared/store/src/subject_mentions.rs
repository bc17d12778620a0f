//! Texts in which an administrator or a host can have named a person: grants and labels of tokens, alerts, ids of tasks. The caller
//! finds the addresses; a page of new texts and the place of the job are written together.

use butt_dial_domain::OrgId;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::{
    Change, JobAdvance, Store, StoreError,
    charges::task_scope,
    engine::{Sql, in_tx, on_reader, with_timeout},
    inbound::json,
};

/// The texts of a token.
#[derive(Clone, FromRow, Serialize)]
pub struct TokenTexts {
    pub id: String,
    /// JSON. `None` leaves them as they are.
    pub grants: Option<String>,
    /// `None` leaves it as it is.
    pub label: Option<String>,
}

/// The texts of an alert.
#[derive(Clone, Serialize)]
pub struct AlertTexts {
    pub id: String,
    pub title: String,
    pub evidence: Value,
}

impl Store {
    /// Lists the tokens of an organization with grants or a label, after an id.
    pub async fn list_token_texts(&self, org: &OrgId, after: &str, limit: u32) -> Result<Vec<TokenTexts>, StoreError> {
        const SQL: &str = "SELECT id, grants, label FROM tokens
            WHERE org_id = $1 AND id > $2 AND (grants IS NOT NULL OR label IS NOT NULL) ORDER BY id LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the alerts of an organization after an id.
    pub async fn list_alert_texts(&self, org: &OrgId, after: &str, limit: u32) -> Result<Vec<AlertTexts>, StoreError> {
        const SQL: &str = "SELECT id, title, evidence FROM alerts
            WHERE coalesce(org_id, 'installation') = $1 AND id > $2 ORDER BY id LIMIT $3";
        let found: Vec<(String, String, sqlx::types::Json<Value>)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        let texts = |(id, title, evidence): (String, String, sqlx::types::Json<Value>)| AlertTexts {
            id,
            title,
            evidence: evidence.0,
        };
        Ok(found.into_iter().map(texts).collect())
    }

    /// Replaces the texts of alerts, and writes the place of the job.
    pub async fn replace_alert_texts(&self, alerts: &[AlertTexts], advance: &JobAdvance<'_>) -> Result<(), StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE alerts AS a SET title = value ->> 'title', evidence = value -> 'evidence'
                FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE a.id = value ->> 'id'",
            sqlite: "UPDATE alerts SET title = item.value ->> 'title', evidence = item.value -> 'evidence'
                FROM json_each($1) AS item WHERE alerts.id = item.value ->> 'id'",
        };
        let rows = json::text(alerts)?;
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            let sql = tx.sql(SQL);
            in_tx!(&mut tx, |db| sqlx::query(sql)
                .bind(&rows)
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(())
        })
        .await
    }
}

impl Change {
    /// Replaces grants and labels of tokens, and writes the place of the job.
    pub async fn replace_token_texts(
        &self,
        org: &OrgId,
        tokens: &[TokenTexts],
        advance: &JobAdvance<'_>,
    ) -> Result<(), StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE tokens AS t SET grants = coalesce(value ->> 'grants', t.grants),
                    label = coalesce(value ->> 'label', t.label)
                FROM jsonb_array_elements($2::JSONB) AS item (value) WHERE t.id = value ->> 'id' AND t.org_id = $1",
            sqlite: "UPDATE tokens SET grants = coalesce(item.value ->> 'grants', grants),
                    label = coalesce(item.value ->> 'label', label)
                FROM json_each($2) AS item WHERE tokens.id = item.value ->> 'id' AND tokens.org_id = $1",
        };
        let rows = json::text(tokens)?;
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            let sql = tx.sql(SQL);
            in_tx!(&mut tx, |db| sqlx::query(sql)
                .bind(org.as_str())
                .bind(&rows)
                .execute(db)
                .await?
                .rows_affected());
            self.commit(tx).await
        })
        .await
    }

    /// Renames a task with its messages, its cost and its budget, and writes the place of the job. An id that names a person has
    /// few messages, so one transaction renames them.
    pub async fn rename_task(
        &self,
        org: &OrgId,
        (task, renamed): (&str, &str),
        advance: &JobAdvance<'_>,
    ) -> Result<(), StoreError> {
        const MESSAGES: &str = "UPDATE messages SET task_id = $3 WHERE org_id = $1 AND task_id = $2";
        const SPEND: &str = "UPDATE spend SET scope = $3 WHERE task_org_id = $1 AND scope = $2";
        const LIMIT: &str = "UPDATE limits SET scope = $2 WHERE scope = $1";
        let scopes = (task_scope(org.as_str(), task), task_scope(org.as_str(), renamed));
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            in_tx!(&mut tx, |db| {
                let messages = sqlx::query(MESSAGES).bind(org.as_str()).bind(task).bind(renamed);
                messages.execute(&mut *db).await?;
                let spend = sqlx::query(SPEND).bind(org.as_str()).bind(&scopes.0).bind(&scopes.1);
                spend.execute(&mut *db).await?;
                let limit = sqlx::query(LIMIT).bind(&scopes.0).bind(&scopes.1);
                limit.execute(&mut *db).await?;
            });
            self.commit(tx).await
        })
        .await
    }
}
