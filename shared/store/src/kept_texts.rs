//! Texts that an organization has chosen to keep for its people, beyond the moment when a message is settled or its agent has it. They are
//! copies in columns of their messages and events, encrypted as those are, and end with the row, after the organization's days, or
//! with the erasure of the person.

use butt_dial_domain::{OrgId, clock::Timestamp};
use chrono::TimeDelta;
use sqlx::types::Json;

use crate::{
    Change, Store, StoreError,
    change::on_change,
    engine::{Sql, on_reader, on_writer},
    person_holds::ExpiringRow,
};

/// Rows of one statement.
const BATCH: i64 = 500;

/// A table with kept texts.
#[derive(Clone, Copy)]
enum KeptTable {
    Messages,
    Events,
}

#[derive(sqlx::FromRow)]
struct KeptRow {
    id: String,
    created_at: Timestamp,
    days: Option<i64>,
    /// The organization has a hold, on itself or on a person.
    is_held: bool,
    org_id: Option<String>,
    address: Option<String>,
    data: Option<String>,
}

impl KeptRow {
    fn expiring(self) -> Option<ExpiringRow> {
        Some(ExpiringRow {
            id: self.id,
            org_id: self.org_id?,
            address: self.address,
            data: self.data,
            hash: None,
            at: self.created_at,
            seq: 0,
        })
    }
}

impl KeptTable {
    const ALL: [Self; 2] = [Self::Messages, Self::Events];

    fn list(self) -> &'static str {
        match self {
            Self::Messages => {
                "SELECT m.id, m.created_at, (SELECT o.keep_texts_days FROM organizations o WHERE o.id = m.org_id) AS days,
                    EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = m.org_id) AS is_held, m.org_id,
                    m.recipient AS address, CAST(NULL AS TEXT) AS data
                FROM messages m WHERE m.kept IS NOT NULL AND m.created_at >= $1 AND (m.created_at > $1 OR m.id > $2)
                ORDER BY m.created_at, m.id LIMIT $3"
            }
            Self::Events => {
                "SELECT id, created_at, (SELECT o.keep_texts_days FROM organizations o WHERE o.id = org_id) AS days,
                    EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = kept_events.org_id) AS is_held, org_id, contact AS address,
                    CAST(data AS TEXT) AS data
                FROM (SELECT e.id, e.created_at, e.contact, e.data, (SELECT a.org_id FROM agents a WHERE a.id = e.agent_id) AS org_id
                    FROM events e WHERE e.kept IS NOT NULL AND e.created_at >= $1 AND (e.created_at > $1 OR e.id > $2)
                    ORDER BY e.created_at, e.id LIMIT $3) AS kept_events
                ORDER BY created_at, id"
            }
        }
    }

    fn purge(self) -> Sql {
        match self {
            Self::Messages => Sql {
                postgres: "UPDATE messages SET kept = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE messages SET kept = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Events => Sql {
                postgres: "UPDATE events SET kept = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE events SET kept = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
        }
    }
}

impl Store {
    /// Returns for how many days an organization keeps texts. 0: it keeps none.
    pub async fn find_text_retention(&self, org: &OrgId) -> Result<u32, StoreError> {
        const SQL: &str = "SELECT keep_texts_days FROM organizations WHERE id = $1";
        let days: Option<Option<i64>> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .fetch_optional(db)
            .await)?;
        Ok(days.flatten().and_then(|days| u32::try_from(days).ok()).unwrap_or(0))
    }

    /// Deletes the texts that are older than the days of their organization, in one pass from the oldest. Returns how many.
    pub async fn purge_kept_texts(&self, now: Timestamp) -> Result<u64, StoreError> {
        let holds = self.list_person_holds().await?;
        let mut purged = 0;
        for table in KeptTable::ALL {
            let (mut at, mut id) = (Timestamp::UNIX_EPOCH, String::new());
            loop {
                let page: Vec<KeptRow> = on_reader!(self, |db| sqlx::query_as(table.list())
                    .bind(at)
                    .bind(&id)
                    .bind(BATCH)
                    .fetch_all(db)
                    .await)?;
                let Some(last) = page.last() else { break };
                (at, id) = (last.created_at, last.id.clone());
                let is_over = |row: &KeptRow| {
                    let days = TimeDelta::try_days(row.days.unwrap_or(0)).unwrap_or_default();
                    row.created_at + days <= now
                };
                let (held, over): (Vec<_>, Vec<_>) = page.into_iter().filter(is_over).partition(|row| row.is_held);
                let held: Vec<ExpiringRow> = held.into_iter().filter_map(KeptRow::expiring).collect();
                let mut over: Vec<String> = over.into_iter().map(|row| row.id).collect();
                over.extend(self.find_free(&holds, &held).await?);
                if !over.is_empty() {
                    let sql = self.sql(table.purge());
                    purged += on_writer!(self, |db| sqlx::query(sql)
                        .bind(Json(&over))
                        .bind(holds.known())
                        .execute(db)
                        .await
                        .map(|done| done.rows_affected()))?;
                }
            }
        }
        Ok(purged)
    }
}

impl Change {
    /// Sets for how many days an organization keeps texts. 0: none any more.
    pub async fn set_text_retention(&self, org: &OrgId, days: u32) -> Result<(), StoreError> {
        const ORGANIZATION: &str = "UPDATE organizations SET keep_texts_days = $2 WHERE id = $1";
        const AGENTS: &str = "UPDATE agents SET keeps_texts = $2 WHERE org_id = $1 AND keeps_texts <> $2";
        on_change!(self, |db| {
            let done = sqlx::query(ORGANIZATION)
                .bind(org.as_str())
                .bind(i64::from(days))
                .execute(&mut *db)
                .await?;
            sqlx::query(AGENTS)
                .bind(org.as_str())
                .bind(days > 0)
                .execute(&mut *db)
                .await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })?;
        Ok(())
    }
}
