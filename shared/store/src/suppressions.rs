//! The do-not-contact list of an organization: read in pages, changed in batches.

use butt_dial_domain::{OrgId, clock::Timestamp};
use serde::Serialize;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    change::{Change, on_change},
    contact_state::erased_key,
    engine::{Sql, on_reader},
};

/// An entry of the list. `channel` is `*` for all channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct SuppressionEntry {
    /// The key of a person (`contact_key`).
    pub address: String,
    pub channel: String,
    pub reason: String,
    pub created_at: Timestamp,
}

#[derive(Serialize)]
struct NewRow<'a> {
    address: &'a str,
    channel: &'a str,
    reason: &'a str,
}

const ADD: Sql = Sql {
    postgres: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT $1, channel, address, reason, $3 FROM jsonb_to_recordset($2) AS i (channel TEXT, address TEXT, reason TEXT)
        ORDER BY address, channel
        ON CONFLICT (org_id, address, channel) DO UPDATE SET reason = excluded.reason",
    sqlite: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT $1, value ->> 'channel', value ->> 'address', value ->> 'reason', $3 FROM jsonb_each($2)
        WHERE true ORDER BY value ->> 'address', value ->> 'channel'
        ON CONFLICT (org_id, address, channel) DO UPDATE SET reason = excluded.reason",
};

impl Store {
    /// Lists the do-not-contact list in the order of addresses, after an address and channel.
    pub async fn list_suppressions(
        &self,
        org: &OrgId,
        (address, channel): (&str, &str),
        limit: u32,
    ) -> Result<Vec<SuppressionEntry>, StoreError> {
        const SQL: &str = "SELECT address, channel, reason, created_at FROM suppressions
            WHERE org_id = $1 AND (address, channel) > ($2, $3) ORDER BY address, channel LIMIT $4";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(address)
                .bind(channel)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists the entries of a person, by the person's key: channel and reason.
    pub async fn list_suppressions_of(&self, org: &OrgId, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str =
            "SELECT channel, reason FROM suppressions WHERE org_id = $1 AND address = $2 ORDER BY channel";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL).bind(org.as_str()).bind(key).fetch_all(db).await
        })?)
    }
}

impl Change {
    /// Adds entries; replaces the reasons of existing ones. No entry may be in the batch twice.
    pub async fn add_suppressions(
        &self,
        org: &OrgId,
        entries: &[(String, &str, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = entries.iter().map(|(address, channel, reason)| NewRow {
            address,
            channel,
            reason,
        });
        let rows = Json(rows.collect::<Vec<_>>());
        let sql = self.store.sql(ADD);
        on_change!(self, |db| {
            sqlx::query(sql)
                .bind(org.as_str())
                .bind(&rows)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Removes an entry, also of a person who is erased. Returns false if there was none.
    pub async fn remove_suppression(&self, org: &OrgId, address: &str, channel: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM suppressions WHERE org_id = $1 AND address IN ($2, $4) AND channel = $3";
        let erased = erased_key(&self.store.contact_digest(org, address)?);
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(address)
                .bind(channel)
                .bind(&erased)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
