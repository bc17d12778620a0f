//! Consent that agents record. It is the consent that sends read, but it never overrules the word of the person: a
//! revocation that did not come from an agent stays, whatever runs at the same time.

use std::collections::BTreeSet;

use butt_dial_domain::{AgentId, Channel, OrgId, address::contact_key, clock::Timestamp};
use serde_json::Value;

use crate::{
    ConsentBasis, ConsentMethod, Store, StoreError,
    consent_ledger::{self, LedgerRow},
    consents::{self, keys_of, spellings},
    contact_state::{ConsentStatus, erased_key},
    engine::{Sql, in_tx, on_reader, with_timeout},
    identities::Identities,
    inbound::json,
};

/// The source of consent that an agent has recorded.
pub const RECORDED_BY_AGENT: &str = "agent";

/// A statement of an agent about the consent of a person.
#[derive(Clone, Debug)]
pub struct ConsentRecord<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// The id of the token.
    pub actor: &'a str,
    pub channel: Channel,
    pub address: &'a str,
    pub granted: bool,
    /// `express`, `implied` or `transactional`.
    pub kind: Option<&'a str>,
    /// How the person has consented, in the agent's words.
    pub source: Option<&'a str>,
    pub notes: Option<&'a str>,
}

impl ConsentRecord<'_> {
    fn evidence(&self) -> Value {
        let facts = [
            ("agentId", Some(self.agent.as_str())),
            ("source", self.source),
            ("notes", self.notes),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        Value::Object(known.collect())
    }
}

/// The consent in force.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConsentInForce {
    pub status: ConsentStatus,
    /// `agent`: recorded by an agent. Everything else is the word of the person or of a carrier.
    pub source: String,
    pub updated_at: Timestamp,
}

impl ConsentInForce {
    /// Returns whether the person has opted out, so that no agent can undo it.
    pub fn is_opt_out_of_person(&self) -> bool {
        self.status == ConsentStatus::Revoked && self.source != RECORDED_BY_AGENT
    }
}

/// The last entry of an agent about a contact.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RecordedConsent {
    pub action: String,
    pub kind: Option<String>,
    pub source: Option<String>,
    pub at: Timestamp,
}

// Does not touch a revocation that an agent did not write. An agent's word does not count as newer than it.
const WRITE: Sql = Sql {
    postgres: "INSERT INTO consents (org_id, channel, address, status, source, updated_at, consent_kind)
        SELECT $1, c.value, a.value, $4, 'agent', $5, $6
        FROM jsonb_array_elements_text($2::JSONB) AS c (value) CROSS JOIN jsonb_array_elements_text($3::JSONB) AS a (value)
        ORDER BY a.value, c.value
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = excluded.consent_kind
        WHERE consents.status = 'granted' OR consents.source = 'agent'",
    sqlite: "INSERT INTO consents (org_id, channel, address, status, source, updated_at, consent_kind)
        SELECT $1, c.value, a.value, $4, 'agent', $5, $6 FROM json_each($2) AS c CROSS JOIN json_each($3) AS a
        WHERE true ORDER BY a.value, c.value
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = excluded.consent_kind
        WHERE consents.status = 'granted' OR consents.source = 'agent'",
};

const FIND: Sql = Sql {
    postgres: "SELECT status, source, updated_at FROM consents
        WHERE org_id = $1 AND address IN ($2, $3, $5) AND channel IN (SELECT jsonb_array_elements_text($4::JSONB))
        ORDER BY updated_at DESC, status DESC, source DESC LIMIT 1",
    sqlite: "SELECT status, source, updated_at FROM consents
        WHERE org_id = $1 AND address IN ($2, $3, $5) AND channel IN (SELECT value FROM json_each($4))
        ORDER BY updated_at DESC, status DESC, source DESC LIMIT 1",
};

// The word of a person who is erased.
const ERASED_OPT_OUTS: &str = "SELECT COUNT(*) FROM consents
    WHERE org_id = $1 AND address = $2 AND channel = $3 AND status = 'revoked' AND source <> 'agent'";

const APPEND: &str = "INSERT INTO consent_records
        (id, org_id, agent_id, actor, channel, contact, action, kind, source, notes, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

impl Store {
    /// Records what an agent says about a person's consent, on every channel that shares the address. Returns false, and records
    /// nothing, when it would grant what the person has revoked. A revocation also cancels what is scheduled.
    pub async fn record_agent_consent(&self, record: &ConsentRecord<'_>, now: Timestamp) -> Result<bool, StoreError> {
        let contact = contact_key(record.address);
        let channels: Vec<&'static str> = record
            .channel
            .consent_group()
            .iter()
            .map(|channel| channel.as_str())
            .collect();
        let channels_text = json::text(&channels)?;
        let status: &'static str = ConsentStatus::from_granted(record.granted).into();
        with_timeout(async {
            let mut tx = self.begin().await?;
            let contacts = BTreeSet::from([(record.org.as_str(), contact.clone())]);
            let identities = Identities::find(&mut tx, &contacts).await?;
            let mut addresses = spellings(record.address);
            addresses.extend(identities.addresses(record.org.as_str(), &contact));
            if record.granted {
                let erased = erased_key(&self.contact_digest(record.org, &contact)?);
                let opt_outs: i64 = in_tx!(&mut tx, |db| sqlx::query_scalar(ERASED_OPT_OUTS)
                    .bind(record.org.as_str())
                    .bind(&erased)
                    .bind(record.channel.as_str())
                    .fetch_one(db)
                    .await?);
                if opt_outs > 0 {
                    return Ok(false);
                }
            }
            let addresses_text = json::text(&addresses.iter().collect::<Vec<_>>())?;
            let sql = tx.sql(WRITE);
            let written = in_tx!(&mut tx, |db| sqlx::query(sql)
                .bind(record.org.as_str())
                .bind(&channels_text)
                .bind(&addresses_text)
                .bind(status)
                .bind(now)
                .bind(record.kind)
                .execute(db)
                .await?
                .rows_affected());
            let expected = channels.len().saturating_mul(addresses.len());
            let is_overruled = usize::try_from(written).unwrap_or(usize::MAX) < expected;
            if is_overruled && record.granted {
                // Dropping the transaction rolls it back.
                return Ok(false);
            }
            if !record.granted {
                consents::cancel_sends(&mut tx, record.org.as_str(), &addresses, &channels).await?;
            }
            let id = format!("cns_{}", butt_dial_domain::ids::unique());
            in_tx!(&mut tx, |db| sqlx::query(APPEND)
                .bind(&id)
                .bind(record.org.as_str())
                .bind(record.agent.as_str())
                .bind(record.actor)
                .bind(record.channel.as_str())
                .bind(&contact)
                .bind(status)
                .bind(record.kind)
                .bind(record.source)
                .bind(record.notes)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            let evidence = record.evidence();
            let basis = ConsentBasis {
                evidence: Some(&evidence),
                ..ConsentBasis::new(ConsentMethod::Statement, RECORDED_BY_AGENT)
            };
            let keys = keys_of(record.org.as_str(), record.address, &identities);
            let entries = keys.iter().map(|key| {
                let person = (record.org.as_str(), key.as_str());
                LedgerRow::new(person, (record.channel, false), record.granted, &basis, now)
                    .by(record.actor, record.kind)
            });
            consent_ledger::append(&mut tx, &entries.collect::<Vec<_>>(), now).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Finds the consent that sends to this address on this channel obey. `None`: never recorded.
    pub async fn find_consent(
        &self,
        org: &OrgId,
        channel: Channel,
        address: &str,
    ) -> Result<Option<ConsentInForce>, StoreError> {
        let channels: Vec<&str> = channel.consent_group().iter().map(|channel| channel.as_str()).collect();
        let channels = json::text(&channels)?;
        let (sql, contact) = (self.sql(FIND), contact_key(address));
        let erased = erased_key(&self.contact_digest(org, &contact)?);
        Ok(on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(org.as_str())
                .bind(&contact)
                .bind(address)
                .bind(&channels)
                .bind(&erased)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Finds the last entry of the organization's agents about a contact.
    pub async fn find_recorded_consent(
        &self,
        org: &OrgId,
        address: &str,
    ) -> Result<Option<RecordedConsent>, StoreError> {
        const SQL: &str = "SELECT action, kind, source, at FROM consent_records
            WHERE org_id = $1 AND contact = $2 ORDER BY id DESC LIMIT 1";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(contact_key(address))
                .fetch_optional(db)
                .await
        })?)
    }
}
