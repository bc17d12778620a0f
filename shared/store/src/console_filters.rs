//! Filters of lists that a person of the console has given a name.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A filter with its name.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConsoleFilter {
    pub name: String,
    /// The query of the page.
    pub query: String,
}

impl Store {
    /// Lists the filters of a person in an organization by name.
    pub async fn list_console_filters(&self, org: &OrgId, user: &str) -> Result<Vec<ConsoleFilter>, StoreError> {
        const SQL: &str = "SELECT name, query FROM console_filters WHERE org_id = $1 AND user_id = $2 ORDER BY name";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(user)
            .fetch_all(db)
            .await)?)
    }

    /// Saves a filter, or replaces the one with its name. Returns false, and saves nothing, when the person has `limit` others.
    pub async fn save_console_filter(
        &self,
        org: &OrgId,
        user: &str,
        filter: &ConsoleFilter,
        limit: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO console_filters (org_id, user_id, name, query, saved_at)
            SELECT $1, $2, $3, $4, $5 WHERE (SELECT COUNT(*) FROM console_filters
                WHERE org_id = $1 AND user_id = $2 AND name <> $3) < $6
            ON CONFLICT (org_id, user_id, name) DO UPDATE SET query = excluded.query, saved_at = excluded.saved_at";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(user)
                .bind(&filter.name)
                .bind(&filter.query)
                .bind(now)
                .bind(i64::from(limit))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Deletes a filter. Returns false when there is none with this name.
    pub async fn delete_console_filter(&self, org: &OrgId, user: &str, name: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM console_filters WHERE org_id = $1 AND user_id = $2 AND name = $3";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(user)
                .bind(name)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
