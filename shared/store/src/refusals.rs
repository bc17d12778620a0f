//! Messages that compliance has refused, so that they can be listed and explained.

use butt_dial_domain::{AgentId, Channel, Code, OrgId, SendPurpose, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_list, on_writer},
};

/// The ids of refusals begin with it.
pub const REFUSAL_PREFIX: &str = "rfs_";

/// A refused message. It holds neither a body nor a whole address.
#[derive(Clone, Debug)]
pub struct NewRefusal<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub channel: Channel,
    /// Masked.
    pub recipient: &'a str,
    /// Hex of a keyed hash of the key of the person.
    pub contact_hash: &'a str,
    pub purpose: SendPurpose,
    pub rule: &'a str,
    pub code: Code,
    /// JSON: the decision with its facts.
    pub ruling: &'a str,
}

/// A stored refusal.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Refusal {
    pub id: String,
    pub agent_id: String,
    pub channel: String,
    pub recipient: String,
    pub send_purpose: String,
    pub rule: String,
    pub code: String,
    pub ruling: String,
    pub created_at: Timestamp,
}

/// Which refusals are listed.
#[derive(Clone, Debug, Default)]
pub struct RefusalFilter<'a> {
    pub agent: Option<&'a AgentId>,
    pub rule: Option<&'a str>,
    /// The id of the last refusal of the previous page.
    pub before: Option<&'a str>,
}

/// The rows that have decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Messages and calls.
    Messages,
    Refusals,
}

/// A message with its decision, for the replay of history.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredRuling {
    pub id: String,
    pub org_id: String,
    /// JSON. `None`: sent by a former release.
    pub ruling: Option<String>,
}

impl Store {
    /// Stores a refusal. Returns its id.
    pub async fn add_refusal(&self, refusal: &NewRefusal<'_>, now: Timestamp) -> Result<String, StoreError> {
        const SQL: &str = "INSERT INTO refusals
                (id, org_id, agent_id, channel, recipient, contact_hash, send_purpose, rule, code, ruling, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let id = format!("{REFUSAL_PREFIX}{}", butt_dial_domain::ids::unique());
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&id)
                .bind(refusal.org.as_str())
                .bind(refusal.agent.as_str())
                .bind(refusal.channel.as_str())
                .bind(refusal.recipient)
                .bind(refusal.contact_hash)
                .bind(refusal.purpose.as_str())
                .bind(refusal.rule)
                .bind(refusal.code.as_str())
                .bind(refusal.ruling)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(id)
    }

    /// Lists refusals of an organization, newest first.
    pub async fn list_refusals(
        &self,
        org: &OrgId,
        filter: &RefusalFilter<'_>,
        limit: u32,
    ) -> Result<Vec<Refusal>, StoreError> {
        const SQL: &str = "SELECT id, agent_id, channel, recipient, send_purpose, rule, code, ruling, created_at
            FROM refusals WHERE org_id = $1 AND ($2 IS NULL OR agent_id = $2) AND ($3 IS NULL OR rule = $3)
                AND id < $4
            ORDER BY id DESC LIMIT $5";
        Ok(on_list!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(filter.agent.map(AgentId::as_str))
                .bind(filter.rule)
                // Sorts after every id.
                .bind(filter.before.unwrap_or("rfs`"))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists decisions of all organizations after the id `after` and before `end`, oldest first.
    pub async fn list_rulings(
        &self,
        of: Decided,
        (after, end): (&str, &str),
        limit: u32,
    ) -> Result<Vec<StoredRuling>, StoreError> {
        let sql = match of {
            Decided::Messages => {
                "SELECT id, org_id, ruling FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
            }
            Decided::Refusals => {
                "SELECT id, org_id, ruling FROM refusals WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
            }
        };
        Ok(on_list!(self, |db| {
            sqlx::query_as(sql)
                .bind(after)
                .bind(end)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }
}
