//! Old rows of organizations with holds on persons. They are read in pages, each from the last row of the page before, so that the rows
//! of held persons never stop the others; a page deletes those that are about no held person.

use std::time::Duration;

use butt_dial_domain::clock::Timestamp;
use sqlx::types::Json;

use crate::{
    Store, StoreError, SubjectScope,
    engine::{Sql, on_reader, on_writer},
    person_holds::{ExpiringRow, PersonHolds},
    timed_rows::TimedRows,
};

/// Rows of one page.
const BATCH: i64 = 500;
/// Between two pages, so that others get the rows and the disk.
const PAUSE: Duration = Duration::from_millis(10);

/// A row or a column that expires.
#[derive(Clone, Copy)]
pub(crate) enum ExpiringColumn {
    /// The row.
    Calls,
    CallContents,
    EventContents,
    /// Contents of delivered events, by the time of the delivery.
    DeliveredContents,
    /// The sends that follow failed messages.
    Fallbacks,
}

impl ExpiringColumn {
    /// Lists rows of the organization `$1` that are older than `$2`, after the row with the time `$3` and the id `$4`.
    fn list(self) -> &'static str {
        match self {
            Self::Calls => {
                "SELECT c.id, c.org_id, c.remote_number AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, c.created_at AS at
                    FROM calls c
                    WHERE c.org_id = $1
                    AND c.created_at < $2 AND c.created_at >= $3 AND (c.created_at > $3 OR c.id > $4) ORDER BY c.created_at, c.id LIMIT $5"
            }
            Self::CallContents => {
                "SELECT c.id, c.org_id, c.remote_number AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, c.created_at AS at
                    FROM calls c
                    WHERE c.content IS NOT NULL AND c.org_id = $1
                    AND c.created_at < $2 AND c.created_at >= $3 AND (c.created_at > $3 OR c.id > $4) ORDER BY c.created_at, c.id LIMIT $5"
            }
            Self::EventContents => {
                "SELECT e.id, a.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, e.created_at AS at
                    FROM events e JOIN agents a ON a.id = e.agent_id
                    WHERE e.content IS NOT NULL AND a.org_id = $1
                    AND e.created_at < $2 AND e.created_at >= $3 AND (e.created_at > $3 OR e.id > $4) ORDER BY e.created_at, e.id LIMIT $5"
            }
            Self::DeliveredContents => {
                "SELECT e.id, a.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, e.delivered_at AS at
                    FROM events e JOIN agents a ON a.id = e.agent_id
                    WHERE e.content IS NOT NULL AND e.state = 'delivered' AND a.org_id = $1
                    AND e.delivered_at < $2 AND e.delivered_at >= $3 AND (e.delivered_at > $3 OR e.id > $4) ORDER BY e.delivered_at, e.id LIMIT $5"
            }
            Self::Fallbacks => {
                "SELECT m.id, m.org_id, m.recipient AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, m.created_at AS at
                    FROM messages m
                    WHERE m.fallback IS NOT NULL AND m.org_id = $1
                    AND m.created_at < $2 AND m.created_at >= $3 AND (m.created_at > $3 OR m.id > $4) ORDER BY m.created_at, m.id LIMIT $5"
            }
        }
    }

    /// Deletes what expires of the rows with the ids `$1`, unless a hold is in force that is not in `$2`.
    fn expire(self) -> Sql {
        match self {
            Self::Calls => Sql {
                postgres: "DELETE FROM calls WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM calls WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::CallContents => Sql {
                postgres: "UPDATE calls SET content = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE calls SET content = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::EventContents => Sql {
                postgres: "UPDATE events SET content = NULL, ready_at = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE events SET content = NULL, ready_at = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::DeliveredContents => Sql {
                postgres: "UPDATE events SET content = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE events SET content = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Fallbacks => Sql {
                postgres: "UPDATE messages SET fallback = NULL WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "UPDATE messages SET fallback = NULL WHERE id IN (SELECT value FROM json_each($1))
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
        }
    }
}

impl Store {
    /// Deletes the rows between two ids that are about no held person. Returns how many.
    pub(crate) async fn delete_free_timed(
        &self,
        rows: TimedRows,
        (after, last): (&str, &str),
        before: Timestamp,
        holds: &PersonHolds,
    ) -> Result<u64, StoreError> {
        let statements = rows.list_of_holders().zip(rows.delete_listed());
        let Some((list, delete)) = statements.filter(|_| holds.organizations().next().is_some()) else {
            return Ok(0);
        };
        let page: Vec<ExpiringRow> = on_reader!(self, |db| sqlx::query_as(list)
            .bind(after)
            .bind(last)
            .bind(before)
            .fetch_all(db)
            .await)?;
        let free = self.find_free(holds, &page).await?;
        if free.is_empty() {
            return Ok(0);
        }
        let sql = self.sql(delete);
        Ok(on_writer!(self, |db| sqlx::query(sql)
            .bind(Json(&free))
            .bind(holds.known())
            .bind(before)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Deletes the old events that are about no held person. Returns how many.
    pub(crate) async fn delete_free_events(&self, before: Timestamp, holds: &PersonHolds) -> Result<u64, StoreError> {
        // The oldest events have the lowest numbers.
        const LIST: &str = "SELECT e.id, a.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data,
                CAST(NULL AS TEXT) AS hash, e.created_at AS at, e.seq
            FROM events e JOIN agents a ON a.id = e.agent_id
            WHERE e.agent_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3";
        const DELETE: Sql = Sql {
            postgres: "DELETE FROM events WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)))
                AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                    AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
            sqlite: "DELETE FROM events WHERE id IN (SELECT value FROM json_each($1))
                AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id
                    AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
        };
        let mut deleted = 0;
        for org in holds.organizations() {
            let mut agent = String::new();
            while let Some(next) = self.find_next_scope(org, SubjectScope::Agent, &agent).await? {
                agent = next;
                let mut after = 0;
                loop {
                    let mut page: Vec<ExpiringRow> = on_reader!(self, |db| sqlx::query_as(LIST)
                        .bind(&agent)
                        .bind(after)
                        .bind(BATCH)
                        .fetch_all(db)
                        .await)?;
                    page.retain(|row| row.at < before);
                    deleted += self.expire_rows(DELETE, &page, holds).await?;
                    match page.last().filter(|_| page.len() == BATCH as usize) {
                        Some(last) => after = last.seq,
                        None => break,
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(deleted)
    }

    /// Deletes what is older than `before` and about no held person. Returns how many.
    pub(crate) async fn expire_free(
        &self,
        column: ExpiringColumn,
        before: Timestamp,
        holds: &PersonHolds,
    ) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for org in holds.organizations() {
            let (mut at, mut id) = (Timestamp::UNIX_EPOCH, String::new());
            loop {
                let page: Vec<ExpiringRow> = on_reader!(self, |db| sqlx::query_as(column.list())
                    .bind(org.as_str())
                    .bind(before)
                    .bind(at)
                    .bind(&id)
                    .bind(BATCH)
                    .fetch_all(db)
                    .await)?;
                deleted += self.expire_rows(column.expire(), &page, holds).await?;
                match page.last().filter(|_| page.len() == BATCH as usize) {
                    Some(last) => (at, id) = (last.at, last.id.clone()),
                    None => break,
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(deleted)
    }

    /// Expires those of the rows that are about no held person. Returns how many.
    async fn expire_rows(&self, sql: Sql, page: &[ExpiringRow], holds: &PersonHolds) -> Result<u64, StoreError> {
        let free = self.find_free(holds, page).await?;
        if free.is_empty() {
            return Ok(0);
        }
        let sql = self.sql(sql);
        Ok(on_writer!(self, |db| sqlx::query(sql)
            .bind(Json(&free))
            .bind(holds.known())
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }
}
