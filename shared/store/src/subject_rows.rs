//! The rows of an organization in which a person can occur, in pages: of an agent, of a sender or of the organization. The caller compares
//! the addresses, because one person has several spellings.

use butt_dial_domain::{OrgId, clock::Timestamp};
use sqlx::FromRow;

use crate::{Store, StoreError, engine::on_reader};

/// A table in which a person can occur.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum SubjectTable {
    ScheduledSends,
    Messages,
    Events,
    Calls,
    Conversations,
    Bridges,
    Filters,
    Subscriptions,
    Windows,
    Refusals,
}

/// The rows that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectScope {
    /// Of each agent.
    Agent,
    /// Of each sender.
    Sender,
    Organization,
}

/// A row of any of the tables.
#[derive(Clone, FromRow)]
pub struct SubjectRow {
    /// Of the row in its page.
    pub place: String,
    pub id: String,
    /// The other party. A refusal has a keyed hash.
    pub address: Option<String>,
    pub channel: Option<String>,
    pub kind: Option<String>,
    pub status: Option<String>,
    pub vendor: Option<String>,
    /// The id at the vendor.
    pub vendor_id: Option<String>,
    /// The organization's own address.
    pub own_address: Option<String>,
    /// JSON, or another text.
    pub data: Option<String>,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
    pub at: Timestamp,
    /// Another process works on it.
    pub is_open: bool,
}

impl SubjectTable {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn scope(self) -> SubjectScope {
        match self {
            Self::Windows => SubjectScope::Sender,
            Self::Refusals => SubjectScope::Organization,
            _ => SubjectScope::Agent,
        }
    }

    /// Returns the place before the first row.
    pub fn start(self) -> &'static str {
        match self {
            Self::Events => "0",
            _ => "",
        }
    }

    fn list(self) -> &'static str {
        match self {
            Self::ScheduledSends => {
                "SELECT idempotency_key AS place, id, recipient AS address, channel, CAST('scheduled' AS TEXT) AS kind,
                    state AS status, CAST(NULL AS TEXT) AS vendor, CAST(NULL AS TEXT) AS vendor_id,
                    CAST(NULL AS TEXT) AS own_address, CAST(NULL AS TEXT) AS data, request AS content, created_at AS at,
                    claimed_until IS NOT NULL AND state = 'scheduled' AS is_open
                FROM scheduled_sends WHERE agent_id = $1 AND idempotency_key > $2 ORDER BY idempotency_key LIMIT $3"
            }
            Self::Messages => {
                "SELECT idempotency_key AS place, id, recipient AS address, channel, CAST('message' AS TEXT) AS kind,
                    status, carrier AS vendor, carrier_id AS vendor_id, sender AS own_address,
                    CAST(NULL AS TEXT) AS data, coalesce(content, kept) AS content, created_at AS at,
                    check_at IS NOT NULL AS is_open
                FROM messages WHERE agent_id = $1 AND idempotency_key > $2 ORDER BY idempotency_key LIMIT $3"
            }
            Self::Events => {
                "SELECT CAST(seq AS TEXT) AS place, id, contact AS address, channel, type AS kind, state AS status,
                    data ->> 'provider' AS vendor, data ->> 'providerMessageId' AS vendor_id, data ->> 'to' AS own_address,
                    CAST(data AS TEXT) AS data, coalesce(content, kept) AS content, created_at AS at, ready_at IS NOT NULL AS is_open
                FROM events WHERE agent_id = $1 AND seq > CAST($2 AS BIGINT) ORDER BY seq LIMIT $3"
            }
            Self::Calls => {
                "SELECT id AS place, id, remote_number AS address, CAST('voice' AS TEXT) AS channel, direction AS kind, status,
                    carrier AS vendor, carrier_id AS vendor_id, local_number AS own_address, recording_id AS data, content,
                    created_at AS at, ended_at IS NULL AS is_open
                FROM calls WHERE agent_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Self::Conversations => {
                "SELECT id AS place, id, CAST(NULL AS TEXT) AS address, channel, CAST('session' AS TEXT) AS kind, status,
                    CAST(NULL AS TEXT) AS vendor, CAST(NULL AS TEXT) AS vendor_id, CAST(NULL AS TEXT) AS own_address,
                    CAST(NULL AS TEXT) AS data, details AS content, created_at AS at, FALSE AS is_open
                FROM conversations WHERE agent_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Self::Bridges => {
                "SELECT id AS place, id, destination AS address, CAST('voice' AS TEXT) AS channel, CAST('bridge' AS TEXT) AS kind,
                    label AS status, CAST(NULL AS TEXT) AS vendor, CAST(NULL AS TEXT) AS vendor_id, local_number AS own_address,
                    from_number AS data, NULL AS content, created_at AS at, FALSE AS is_open
                FROM call_bridges WHERE agent_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Self::Filters => {
                "SELECT id AS place, id, pattern AS address, CAST(NULL AS TEXT) AS channel, kind, action AS status,
                    CAST(NULL AS TEXT) AS vendor, CAST(NULL AS TEXT) AS vendor_id, CAST(NULL AS TEXT) AS own_address,
                    tag AS data, NULL AS content, created_at AS at, FALSE AS is_open
                FROM inbound_filters WHERE agent_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Self::Subscriptions => {
                "SELECT agent_id AS place, agent_id AS id, CAST(NULL AS TEXT) AS address, CAST(NULL AS TEXT) AS channel,
                    CAST('subscription' AS TEXT) AS kind, CAST(NULL AS TEXT) AS status, CAST(NULL AS TEXT) AS vendor,
                    CAST(NULL AS TEXT) AS vendor_id, CAST(NULL AS TEXT) AS own_address, CAST(contacts AS TEXT) AS data,
                    NULL AS content, created_at AS at, FALSE AS is_open
                FROM inbound_subscriptions WHERE agent_id = $1 AND agent_id > $2 ORDER BY agent_id LIMIT $3"
            }
            Self::Windows => {
                "SELECT address AS place, channel_id AS id, address, CAST(NULL AS TEXT) AS channel,
                    CAST('window' AS TEXT) AS kind, CAST(NULL AS TEXT) AS status, CAST(NULL AS TEXT) AS vendor,
                    CAST(NULL AS TEXT) AS vendor_id, CAST(NULL AS TEXT) AS own_address, CAST(NULL AS TEXT) AS data,
                    NULL AS content, last_inbound_at AS at, FALSE AS is_open
                FROM inbound_windows WHERE channel_id = $1 AND address > $2 ORDER BY address LIMIT $3"
            }
            Self::Refusals => {
                "SELECT id AS place, id, contact_hash AS address, channel, rule AS kind, code AS status,
                    CAST(NULL AS TEXT) AS vendor, CAST(NULL AS TEXT) AS vendor_id, CAST(NULL AS TEXT) AS own_address,
                    ruling AS data, NULL AS content, created_at AS at, FALSE AS is_open
                FROM refusals WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3"
            }
        }
    }
}

impl SubjectScope {
    fn next(self) -> &'static str {
        match self {
            Self::Agent => "SELECT MIN(id) FROM agents WHERE org_id = $1 AND id > $2",
            Self::Sender => "SELECT MIN(id) FROM channels WHERE org_id = $1 AND id > $2",
            Self::Organization => "SELECT MIN(id) FROM organizations WHERE id = $1 AND id > $2",
        }
    }
}

impl Store {
    /// Finds the next agent, sender or organization after an id. `None`: there is none.
    pub async fn find_next_scope(
        &self,
        org: &OrgId,
        scope: SubjectScope,
        after: &str,
    ) -> Result<Option<String>, StoreError> {
        Ok(on_reader!(self, |db| sqlx::query_scalar(scope.next())
            .bind(org.as_str())
            .bind(after)
            .fetch_one(db)
            .await)?)
    }

    /// Lists the rows of a table in a scope after a place.
    pub async fn list_subject_rows(
        &self,
        table: SubjectTable,
        scope: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SubjectRow>, StoreError> {
        Ok(on_reader!(self, |db| sqlx::query_as(table.list())
            .bind(scope)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the addresses with consents or suppressions of an organization, after an address.
    pub async fn list_contact_spellings(
        &self,
        org: &OrgId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        const SQL: &str =
            "SELECT address FROM (SELECT DISTINCT address FROM consents WHERE org_id = $1 AND address > $2
                ORDER BY address LIMIT $3) AS with_consent
            UNION SELECT address FROM (SELECT DISTINCT address FROM suppressions WHERE org_id = $1 AND address > $2
                ORDER BY address LIMIT $3) AS suppressed
            ORDER BY 1 LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the keys of all addresses of a person that carriers have named together, without the given one.
    pub async fn list_linked_addresses(&self, org: &OrgId, key: &str) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT linked.value FROM contact_identities found
            JOIN contact_identities linked ON linked.org_id = found.org_id AND linked.contact = found.contact
            WHERE found.org_id = $1 AND found.value = $2 AND linked.value <> $2 ORDER BY linked.value";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .bind(key)
            .fetch_all(db)
            .await)?)
    }
}
