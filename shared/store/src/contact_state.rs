//! The state of a contact that a send depends on: suppressions, consent, the WhatsApp window and the prior request with the
//! same idempotency key. Read in one round trip, which concurrent sends share.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Channel, ChannelId, MessageId, OrgId, clock::Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::types::Json;

use crate::{StoreError, column::text_column, engine::Sql, kept_connection::KeptConnection, postgres::PgDatabase};

/// The consent of a contact on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ConsentStatus {
    Granted,
    Revoked,
}

impl ConsentStatus {
    pub(crate) fn from_granted(granted: bool) -> Self {
        if granted { Self::Granted } else { Self::Revoked }
    }
}

text_column!(ConsentStatus, "consents", "status");

/// The reason of a suppression after a carrier reported that the address cannot be reached.
pub const UNREACHABLE: &str = "unreachable";

/// The key of an erased person begins with it; a keyed hash of the former key follows.
pub const ERASED_PREFIX: &str = "erased:";

/// The state of a contact before a send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactState {
    /// The reason of a suppression, if there is one.
    pub suppression: Option<String>,
    /// `None`: never recorded.
    pub consent: Option<ConsentStatus>,
    /// The kind of consent that an agent has recorded. `None`: the word of the person, or no consent.
    pub consent_kind: Option<String>,
    /// The consent to marketing messages on WhatsApp. `None`: never recorded.
    pub marketing: Option<ConsentStatus>,
    pub last_inbound_at: Option<Timestamp>,
    /// The agent of the same organization that owns the address. It may be the sender itself.
    pub recipient_agent: Option<AgentId>,
    /// The message of the prior request with the same idempotency key.
    pub prior_request: Option<MessageId>,
    /// The agent's newest open conversation with the contact.
    pub conversation: Option<String>,
    /// The person has been told, on this channel, that an AI assistant writes.
    pub is_disclosed: bool,
    /// Until when the agent does not write to the contact, because a program answers there, or a person in place of the agent
    /// (`Store::find_takeover_of`). It may be over.
    pub paused_until: Option<Timestamp>,
}

/// A row of Postgres, or a list of values of SQLite in the order of the fields.
#[derive(sqlx::FromRow, Deserialize)]
struct ContactRow {
    suppression: Option<String>,
    /// The status, and the kind after a colon.
    consent: Option<String>,
    marketing: Option<ConsentStatus>,
    last_inbound_at: Option<Timestamp>,
    recipient_agent: Option<String>,
    prior_request: Option<String>,
    conversation: Option<String>,
    is_disclosed: bool,
    paused_until: Option<Timestamp>,
}

impl TryFrom<ContactRow> for ContactState {
    type Error = StoreError;

    fn try_from(row: ContactRow) -> Result<Self, StoreError> {
        let consent = row.consent.as_deref();
        let (status, kind) = match consent.and_then(|consent| consent.split_once(':')) {
            Some((status, kind)) => (Some(status), Some(kind.to_owned())),
            None => (consent, None),
        };
        let status = status.map(|status| {
            status.parse().map_err(|_| StoreError::Corrupt {
                table: "consents",
                column: "status",
                row: "of a contact".into(),
                value: status.into(),
            })
        });
        Ok(Self {
            suppression: row.suppression,
            consent: status.transpose()?,
            consent_kind: kind,
            marketing: row.marketing,
            last_inbound_at: row.last_inbound_at,
            recipient_agent: row.recipient_agent.map(AgentId::from),
            prior_request: row.prior_request.map(MessageId::from),
            conversation: row.conversation,
            is_disclosed: row.is_disclosed,
            paused_until: row.paused_until,
        })
    }
}

/// The key of a contact state. Concurrent queries share a round trip.
#[derive(Clone, Serialize)]
pub(crate) struct ContactQuery {
    pub org_id: OrgId,
    pub agent_id: AgentId,
    pub channel_id: ChannelId,
    pub channel: Channel,
    pub address: String,
    /// The key of the person (`contact_key`). Rows of former releases have an address instead.
    pub contact: String,
    /// The keyed hash of the person, by which the opt-outs of erased persons are stored.
    #[serde(serialize_with = "as_erased_key")]
    pub erased: [u8; 32],
    pub idempotency_key: String,
}

/// Returns the key of an erased person.
pub(crate) fn erased_key(hash: &[u8; 32]) -> String {
    format!("{ERASED_PREFIX}{}", hex::encode(hash))
}

/// Writes the key of an erased person without allocating: every send has one.
fn as_erased_key<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut digits = [0; 64];
    hex::encode_to_slice(hash, &mut digits).map_err(serde::ser::Error::custom)?;
    let digits = std::str::from_utf8(&digits).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{ERASED_PREFIX}{digits}"))
}

// Returns a row per query, in the order of the queries. On the channels of one number, the latest word of the person counts.
// SQLite returns all in one row: each row of a statement can wake its caller, which costs more than the row.
const FIND: Sql = Sql {
    postgres: "SELECT
            (SELECT reason FROM suppressions s WHERE s.org_id = i.org_id AND s.address IN (i.address, i.contact, i.erased)
                AND s.channel IN ('*', i.channel) ORDER BY s.channel LIMIT 1) AS suppression,
            (SELECT status || coalesce(':' || consent_kind, '') FROM consents c WHERE c.org_id = i.org_id AND c.address IN (i.address, i.contact, i.erased)
                AND (c.channel = i.channel OR (i.channel IN ('sms', 'whatsapp', 'voice')
                    AND c.channel IN ('sms', 'whatsapp', 'voice')))
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) AS consent,
            (SELECT status FROM consents c WHERE i.channel = 'whatsapp' AND c.org_id = i.org_id
                AND c.address IN (i.address, i.contact, i.erased) AND c.channel = 'marketing'
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) AS marketing,
            GREATEST((SELECT last_inbound_at FROM inbound_windows w WHERE w.channel_id = i.channel_id AND w.address = i.address),
                (SELECT last_inbound_at FROM inbound_windows w WHERE w.channel_id = i.channel_id
                    AND w.address = i.contact)) AS last_inbound_at,
            (SELECT k.agent_id FROM channels k WHERE k.channel = i.channel AND k.address = i.address
                AND k.org_id = i.org_id AND k.released_at IS NULL) AS recipient_agent,
            (SELECT id FROM messages m WHERE m.agent_id = i.agent_id AND m.idempotency_key = i.key) AS prior_request,
            (SELECT MAX(conversation_id || '') FROM conversation_contacts o WHERE o.agent_id = i.agent_id
                AND o.contact = i.contact) AS conversation,
            EXISTS (SELECT 1 FROM ai_disclosures d WHERE d.org_id = i.org_id AND d.channel = i.channel
                AND d.contact = i.contact) AS is_disclosed,
            (SELECT p.until_at FROM contact_pauses p WHERE p.agent_id = i.agent_id AND p.contact = i.contact) AS paused_until
        FROM ROWS FROM (jsonb_to_recordset($1) AS (org_id TEXT, address TEXT, channel TEXT, channel_id TEXT, agent_id TEXT,
            contact TEXT, erased TEXT, idempotency_key TEXT)) WITH ORDINALITY
            AS i (org_id, address, channel, channel_id, agent_id, contact, erased, key, n)
        ORDER BY i.n",
    sqlite: "WITH item AS MATERIALIZED (
            SELECT key AS n, value ->> 'org_id' AS org_id, value ->> 'address' AS address, value ->> 'channel' AS channel,
                value ->> 'channel_id' AS channel_id, value ->> 'agent_id' AS agent_id, value ->> 'contact' AS contact,
                value ->> 'erased' AS erased, value ->> 'idempotency_key' AS key
            FROM jsonb_each($1)
        ), contact AS (SELECT i.n,
            (SELECT reason FROM suppressions s WHERE s.org_id = i.org_id AND s.address IN (i.address, i.contact, i.erased)
                AND s.channel IN ('*', i.channel) ORDER BY s.channel LIMIT 1) AS suppression,
            (SELECT status || coalesce(':' || consent_kind, '') FROM consents c WHERE c.org_id = i.org_id
                AND c.address IN (i.address, i.contact, i.erased)
                AND (c.channel = i.channel OR (i.channel IN ('sms', 'whatsapp', 'voice')
                    AND c.channel IN ('sms', 'whatsapp', 'voice')))
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) AS consent,
            (SELECT status FROM consents c WHERE i.channel = 'whatsapp' AND c.org_id = i.org_id
                AND c.address IN (i.address, i.contact, i.erased) AND c.channel = 'marketing'
                ORDER BY c.updated_at DESC, c.status DESC LIMIT 1) AS marketing,
            (SELECT MAX(last_inbound_at) FROM inbound_windows w WHERE w.channel_id = i.channel_id
                AND w.address IN (i.address, i.contact)) AS last_inbound_at,
            (SELECT k.agent_id FROM channels k WHERE k.channel = i.channel AND k.address = i.address
                AND k.org_id = i.org_id AND k.released_at IS NULL) AS recipient_agent,
            (SELECT id FROM messages m WHERE m.agent_id = i.agent_id AND m.idempotency_key = i.key) AS prior_request,
            (SELECT MAX(conversation_id) FROM conversation_contacts o WHERE o.agent_id = i.agent_id
                AND o.contact = i.contact) AS conversation,
            EXISTS (SELECT 1 FROM ai_disclosures d WHERE d.org_id = i.org_id AND d.channel = i.channel
                AND d.contact = i.contact) AS is_disclosed,
            (SELECT p.until_at FROM contact_pauses p WHERE p.agent_id = i.agent_id AND p.contact = i.contact) AS paused_until
        FROM item AS i
        ) SELECT json_group_array(json_array(suppression, consent, marketing, last_inbound_at, recipient_agent, prior_request,
            conversation, json(iif(is_disclosed, 'true', 'false')), paused_until) ORDER BY n) FROM contact",
};

pub(crate) async fn find_in_postgres(
    db: PgDatabase,
    queries: Arc<[ContactQuery]>,
) -> Result<Vec<ContactState>, StoreError> {
    let rows: Vec<ContactRow> = sqlx::query_as(FIND.postgres)
        .bind(Json(&*queries))
        .fetch_all(&db)
        .await?;
    rows.into_iter().map(ContactState::try_from).collect()
}

pub(crate) async fn find_in_sqlite(
    db: Arc<KeptConnection>,
    queries: Arc<[ContactQuery]>,
) -> Result<Vec<ContactState>, StoreError> {
    let find = async |mut db| {
        let Json(rows): Json<Vec<ContactRow>> = sqlx::query_scalar(FIND.sqlite)
            .bind(Json(&*queries))
            .fetch_one(&mut db)
            .await?;
        Ok((rows, db))
    };
    db.run(find).await?.into_iter().map(ContactState::try_from).collect()
}
