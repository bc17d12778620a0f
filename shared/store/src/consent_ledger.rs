//! The consent ledger: each word about the consent of a person, appended in the transaction of the state that it changes. Rows are
//! only added; the state (`consents.rs`) is their fold. Words are encrypted.

use butt_dial_domain::{Channel, OrgId, clock::Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    Store, StoreError,
    column::text_column,
    contact_state::ConsentStatus,
    engine::{Sql, Tx, in_tx, on_list, on_reader},
    inbound::json,
    sends::time_text,
};

/// The ids of entries begin with it.
const PREFIX: &str = "cev_";

/// The effect of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConsentAction {
    Granted,
    Revoked,
    Expired,
}

text_column!(ConsentAction, "consent_events", "action");

/// How consent was given or revoked. The names are stored and part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConsentMethod {
    /// STOP or START as a whole message.
    Keyword,
    /// A revocation in the person's own words.
    FreeText,
    /// A revocation in a call.
    Spoken,
    /// The link of a mail.
    OneClick,
    /// A choice at the vendor, which reports it.
    VendorPreference,
    /// A statement of an agent.
    Statement,
    /// A row of a table.
    Import,
    /// An entry of an administrator.
    Administrator,
    /// The consent of another address of the same person.
    Linked,
}

text_column!(ConsentMethod, "consent_events", "method");

/// How a consent was given or revoked, and the evidence.
#[derive(Clone, Copy, Debug)]
pub struct ConsentBasis<'a> {
    pub method: ConsentMethod,
    /// The source that the state names.
    pub source: &'a str,
    /// The event with the words of the person.
    pub event: Option<&'a str>,
    /// The message that the carrier has refused.
    pub message: Option<&'a str>,
    /// Encrypted, with the id of the event.
    pub words: Option<&'a [u8]>,
    /// A JSON object without words and addresses.
    pub evidence: Option<&'a Value>,
}

impl<'a> ConsentBasis<'a> {
    pub fn new(method: ConsentMethod, source: &'a str) -> Self {
        Self {
            method,
            source,
            event: None,
            message: None,
            words: None,
            evidence: None,
        }
    }

    /// Returns the id of the actor in the ledger.
    pub(crate) fn actor(&self) -> &'static str {
        match self.method {
            ConsentMethod::VendorPreference | ConsentMethod::Linked => "carrier",
            _ => "contact",
        }
    }
}

/// A basis without evidence, by the source that the state names.
impl<'a> From<&'a str> for ConsentBasis<'a> {
    fn from(source: &'a str) -> Self {
        let method = match source {
            "carrier" => ConsentMethod::VendorPreference,
            _ => ConsentMethod::Keyword,
        };
        Self::new(method, source)
    }
}

/// An entry of the ledger.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub struct ConsentEvent {
    pub seq: i64,
    pub id: String,
    /// The key of the person; of an erased person its keyed hash.
    pub contact: String,
    pub channel: String,
    /// `all` or `marketing`.
    pub purpose: String,
    pub action: ConsentAction,
    pub method: ConsentMethod,
    pub kind: Option<String>,
    pub actor: String,
    pub event_id: Option<String>,
    pub message_id: Option<String>,
    /// Encrypted.
    pub words: Option<Vec<u8>>,
    #[sqlx(json)]
    pub evidence: Value,
    pub at: Timestamp,
    pub recorded_at: Timestamp,
}

/// Leaves out the address and the evidence.
impl std::fmt::Debug for ConsentEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsentEvent")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("action", &self.action)
            .field("method", &self.method)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl ConsentEvent {
    /// Returns the channels that the entry holds on.
    pub fn channels(&self) -> Vec<Channel> {
        let channel = Channel::parse(&self.channel);
        match (self.purpose.as_str(), channel) {
            ("marketing", channel) => channel.into_iter().collect(),
            (_, Some(channel)) => channel.consent_group().to_vec(),
            (_, None) => Vec::new(),
        }
    }
}

/// An entry to append.
#[derive(Serialize)]
pub(crate) struct LedgerRow<'a> {
    id: String,
    org_id: &'a str,
    contact: &'a str,
    channel: &'static str,
    purpose: &'static str,
    action: &'static str,
    method: &'static str,
    kind: Option<&'a str>,
    actor: &'a str,
    event_id: Option<&'a str>,
    message_id: Option<&'a str>,
    #[serde(serialize_with = "as_hex")]
    words: Option<&'a [u8]>,
    evidence: Option<&'a Value>,
    at: String,
}

fn as_hex<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => serializer.serialize_str(&hex::encode(bytes)),
        None => serializer.serialize_none(),
    }
}

impl<'a> LedgerRow<'a> {
    /// Builds an entry of the organization about the key of a person. `is_marketing`: only about marketing messages.
    pub fn new(
        (org_id, contact): (&'a str, &'a str),
        (channel, is_marketing): (Channel, bool),
        granted: bool,
        basis: &ConsentBasis<'a>,
        at: Timestamp,
    ) -> Self {
        Self {
            id: format!("{PREFIX}{}", butt_dial_domain::ids::unique()),
            org_id,
            contact,
            channel: channel.as_str(),
            purpose: if is_marketing { "marketing" } else { "all" },
            action: ConsentStatus::from_granted(granted).into(),
            method: basis.method.into(),
            kind: None,
            actor: basis.actor(),
            event_id: basis.event,
            message_id: basis.message,
            words: basis.words,
            evidence: basis.evidence,
            at: time_text(at),
        }
    }

    /// Names the actor, and the kind of the consent.
    pub fn by(self, actor: &'a str, kind: Option<&'a str>) -> Self {
        Self { actor, kind, ..self }
    }

    /// Sets the part of the id after its prefix. A second entry with the same id is not appended.
    pub fn identified(self, reference: &str) -> Self {
        let id = format!("{PREFIX}{reference}");
        Self { id, ..self }
    }
}

// The organization may have been purged meanwhile.
const APPEND: Sql = Sql {
    postgres: "INSERT INTO consent_events (id, org_id, contact, channel, purpose, action, method, kind, actor, event_id, message_id,
            words, evidence, at, recorded_at)
        SELECT value ->> 'id', value ->> 'org_id', value ->> 'contact', value ->> 'channel', value ->> 'purpose', value ->> 'action',
            value ->> 'method', value ->> 'kind', value ->> 'actor', value ->> 'event_id', value ->> 'message_id',
            decode(value ->> 'words', 'hex'),
            CASE jsonb_typeof(value -> 'evidence') WHEN 'object' THEN value -> 'evidence' ELSE '{}' END,
            CAST(value ->> 'at' AS TIMESTAMPTZ), $2
        FROM jsonb_array_elements($1::JSONB) WITH ORDINALITY AS item (value, n)
        WHERE (SELECT o.id FROM organizations o WHERE o.id = value ->> 'org_id') IS NOT NULL ORDER BY n
        ON CONFLICT (id) DO NOTHING",
    sqlite: "INSERT INTO consent_events (id, org_id, contact, channel, purpose, action, method, kind, actor, event_id, message_id,
            words, evidence, at, recorded_at)
        SELECT value ->> 'id', value ->> 'org_id', value ->> 'contact', value ->> 'channel', value ->> 'purpose', value ->> 'action',
            value ->> 'method', value ->> 'kind', value ->> 'actor', value ->> 'event_id', value ->> 'message_id',
            unhex(value ->> 'words'), coalesce(value ->> 'evidence', '{}'), value ->> 'at', $2
        FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM organizations o WHERE o.id = value ->> 'org_id') ORDER BY item.key
        ON CONFLICT (id) DO NOTHING",
};

/// Appends entries in their order. Returns how many were new. It follows the write of the state: the locks of that write give
/// the entries of a person their order.
pub(crate) async fn append(tx: &mut Tx, rows: &[LedgerRow<'_>], recorded_at: Timestamp) -> Result<u64, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let (sql, text) = (tx.sql(APPEND), json::text(rows)?);
    Ok(in_tx!(tx, |db| sqlx::query(sql)
        .bind(&text)
        .bind(recorded_at)
        .execute(db)
        .await?
        .rows_affected()))
}

impl Store {
    /// Lists the entries of an organization about a person, by the person's key and its keyed hash, oldest first, after the place
    /// `after`.
    pub async fn list_consent_events_of(
        &self,
        org: &OrgId,
        (contact, hash): (&str, &str),
        after: i64,
        limit: u32,
    ) -> Result<Vec<ConsentEvent>, StoreError> {
        // `+ 0` keeps Postgres from reading all entries of the organization in their order.
        const SQL: &str = "SELECT seq, id, contact, channel, purpose, action, method, kind, actor, event_id, message_id, words, evidence,
                at, recorded_at
            FROM consent_events WHERE org_id = $1 AND contact IN ($2, $3) AND seq + 0 > $4 ORDER BY seq + 0 LIMIT $5";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(contact)
                .bind(hash)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists the entries of an organization, oldest first, after the place `after`.
    pub async fn list_consent_events(
        &self,
        org: &OrgId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<ConsentEvent>, StoreError> {
        const SQL: &str = "SELECT seq, id, contact, channel, purpose, action, method, kind, actor, event_id, message_id, words, evidence,
                at, recorded_at
            FROM consent_events WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        Ok(on_list!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Finds the place of an entry of the organization.
    pub async fn find_consent_event_place(&self, org: &OrgId, id: &str) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "SELECT seq FROM consent_events WHERE id = $2 AND org_id = $1";
        Ok(on_reader!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(org.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?)
    }
}
