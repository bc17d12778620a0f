//! Consents that administrators record, with their evidence: in the ledger, and in the state unless a later word is known. The word
//! of a person after the imported time is not overruled.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{Channel, OrgId, address::contact_key, clock::Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Change, ConsentBasis, ConsentMethod, StoreError,
    consent_ledger::{self, LedgerRow},
    consents::{self, MARKETING, keys_of, spellings},
    contact_state::ConsentStatus,
    engine::{Sql, in_tx, with_timeout},
    identities::Identities,
    inbound::json,
    sends::time_text,
};

/// A consent to record.
#[derive(Clone, Debug)]
pub struct ImportedConsent {
    /// Identifies the row: a repeated import does not append it again.
    pub reference: String,
    /// Normalized.
    pub address: String,
    pub channel: Channel,
    /// Only of marketing messages on WhatsApp.
    pub is_marketing: bool,
    pub granted: bool,
    /// `express`, `implied` or `transactional`.
    pub kind: Option<String>,
    /// `Import` or `Administrator`.
    pub method: ConsentMethod,
    /// A JSON object without addresses.
    pub evidence: Value,
    /// When the person has consented.
    pub at: Timestamp,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportedConsents {
    /// New entries of the ledger, those of linked addresses included.
    pub appended: u64,
    /// Rows of the state that have changed: one for each channel and spelling of an address.
    pub changed: u64,
}

// A later word stays. At the same time, a revocation counts.
const WRITE: Sql = Sql {
    postgres: "INSERT INTO consents (org_id, channel, address, status, source, updated_at, consent_kind)
        SELECT $1, value ->> 'channel', value ->> 'address', value ->> 'status', value ->> 'source',
            CAST(value ->> 'at' AS TIMESTAMPTZ), value ->> 'kind'
        FROM jsonb_array_elements($2::JSONB) AS item (value) ORDER BY 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = excluded.consent_kind
        WHERE consents.updated_at < excluded.updated_at
            OR (consents.updated_at = excluded.updated_at AND consents.status = 'granted' AND excluded.status = 'revoked')
        RETURNING address, channel, status",
    sqlite: "INSERT INTO consents (org_id, channel, address, status, source, updated_at, consent_kind)
        SELECT $1, value ->> 'channel', value ->> 'address', value ->> 'status', value ->> 'source', value ->> 'at',
            value ->> 'kind'
        FROM jsonb_each($2) AS item WHERE true ORDER BY 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = excluded.consent_kind
        WHERE consents.updated_at < excluded.updated_at
            OR (consents.updated_at = excluded.updated_at AND consents.status = 'granted' AND excluded.status = 'revoked')
        RETURNING address, channel, status",
};

#[derive(Serialize)]
struct StateRow<'a> {
    address: &'a str,
    channel: &'static str,
    status: &'static str,
    source: &'static str,
    at: String,
    kind: Option<&'a str>,
}

#[derive(sqlx::FromRow)]
struct Written {
    address: String,
    channel: String,
    status: ConsentStatus,
}

impl ImportedConsent {
    fn channels(&self) -> Vec<&'static str> {
        match self.is_marketing {
            true => vec![MARKETING],
            false => (self.channel.consent_group().iter())
                .map(|channel| channel.as_str())
                .collect(),
        }
    }

    fn state<'a>(&'a self, address: &'a str, channel: &'static str) -> StateRow<'a> {
        StateRow {
            address,
            channel,
            status: ConsentStatus::from_granted(self.granted).into(),
            source: self.method.into(),
            at: time_text(self.at),
            kind: self.kind.as_deref(),
        }
    }
}

impl Change {
    /// Records consents, each at its time. A revocation that is in force then cancels what is scheduled. Writes no entry of the audit
    /// log when all of them are recorded already.
    pub async fn import_consents(
        &self,
        org: &OrgId,
        imported: &[ImportedConsent],
        now: Timestamp,
    ) -> Result<ImportedConsents, StoreError> {
        let people = imported.iter().map(|row| (org.as_str(), contact_key(&row.address)));
        let people: BTreeSet<_> = people.collect();
        with_timeout(async {
            let mut tx = self.begin().await?;
            let identities = Identities::find(&mut tx, &people).await?;
            let keys: Vec<BTreeSet<String>> = imported
                .iter()
                .map(|row| keys_of(org.as_str(), &row.address, &identities))
                .collect();
            let addresses: Vec<BTreeSet<String>> = imported
                .iter()
                .zip(&keys)
                .map(|(row, keys)| {
                    spellings(&row.address)
                        .into_iter()
                        .chain(keys.iter().cloned())
                        .collect()
                })
                .collect();
            // One statement cannot write a row twice.
            let mut last: BTreeMap<(&str, &'static str), &ImportedConsent> = BTreeMap::new();
            for (row, addresses) in imported.iter().zip(&addresses) {
                for (address, channel) in addresses
                    .iter()
                    .flat_map(|address| row.channels().into_iter().map(move |channel| (address, channel)))
                {
                    let known = last.entry((address, channel)).or_insert(row);
                    if (row.at, !row.granted) > (known.at, !known.granted) {
                        *known = row;
                    }
                }
            }
            let rows = last.iter().map(|((address, channel), row)| row.state(address, channel));
            let text = json::text(&rows.collect::<Vec<_>>())?;
            let sql = tx.sql(WRITE);
            let written: Vec<Written> = in_tx!(&mut tx, |db| {
                sqlx::query_as(sql).bind(org.as_str()).bind(&text).fetch_all(db).await?
            });
            for channel in Channel::ALL {
                let revoked = |row: &&Written| row.status == ConsentStatus::Revoked && row.channel == channel.as_str();
                let addresses: BTreeSet<String> =
                    written.iter().filter(revoked).map(|row| row.address.clone()).collect();
                if !addresses.is_empty() {
                    consents::cancel_sends(&mut tx, org.as_str(), &addresses, &[channel.as_str()]).await?;
                }
            }
            let actor = self.entry.actor.as_str();
            let entries = imported.iter().zip(&keys).flat_map(|(row, keys)| {
                let basis = ConsentBasis {
                    evidence: Some(&row.evidence),
                    ..ConsentBasis::new(row.method, row.method.into())
                };
                keys.iter().enumerate().map(move |(n, key)| {
                    let place = (row.channel, row.is_marketing);
                    let reference = format!("{}_{n}", row.reference);
                    LedgerRow::new((org.as_str(), key), place, row.granted, &basis, row.at)
                        .by(actor, row.kind.as_deref())
                        .identified(&reference)
                })
            });
            let appended = consent_ledger::append(&mut tx, &entries.collect::<Vec<_>>(), now).await?;
            let done = ImportedConsents {
                appended,
                changed: u64::try_from(written.len()).unwrap_or(u64::MAX),
            };
            if done != ImportedConsents::default() {
                self.commit_with(tx, |entry| {
                    entry.note("appended", appended);
                    entry.note("changed", done.changed);
                })
                .await?;
            }
            Ok(done)
        })
        .await
    }
}
