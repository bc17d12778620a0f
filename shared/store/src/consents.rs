//! Consent of people: stored by the key of the person, for every channel that shares the address. STOP cancels what is scheduled.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{Channel, OrgId, address::contact_key, clock::Timestamp};
use serde::Serialize;

use crate::{
    ConsentBasis, Store, StoreError,
    consent_ledger::{self, LedgerRow},
    contact_state::{ConsentStatus, UNREACHABLE},
    engine::{Sql, Tx, in_tx, on_reader},
    identities::Identities,
    inbound::json,
};

const SET_CONSENTS: Sql = Sql {
    postgres: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', $3, $2
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE (SELECT o.id FROM organizations o WHERE o.id = value ->> 'org_id') IS NOT NULL ORDER BY 1, 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = NULL",
    sqlite: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', $3, $2
        FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 'org_id') ORDER BY 1, 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at,
            consent_kind = NULL",
};

// Due at once: the sweep of scheduled sends notifies the agent. Each send is found by an index: by the person, or by the
// recipient of a send that a former release has stored; `|| ''` keeps Postgres from using another index
// completely.
const CANCEL_SENDS: Sql = Sql {
    postgres: "UPDATE scheduled_sends
        SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL, due_at = created_at
        WHERE state || '' = 'scheduled' AND id = ANY (ARRAY(
            SELECT found.id FROM jsonb_array_elements($1::JSONB) AS item (value) CROSS JOIN LATERAL (
                SELECT id FROM scheduled_sends s WHERE s.state = 'scheduled' AND s.org_id = value ->> 'org_id'
                    AND s.contact = value ->> 'address' AND s.channel = value ->> 'channel'
                UNION ALL SELECT id FROM scheduled_sends s WHERE s.state = 'scheduled' AND s.org_id = value ->> 'org_id'
                    AND s.recipient = value ->> 'address' AND s.contact || '' IS NULL AND s.channel = value ->> 'channel'
            ) AS found WHERE value ->> 'status' = 'revoked'))",
    sqlite: "UPDATE scheduled_sends
        SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL, due_at = created_at
        WHERE state = 'scheduled' AND id IN (
            SELECT s.id FROM jsonb_each($1) AS item CROSS JOIN scheduled_sends s ON s.state = 'scheduled'
                AND s.org_id = value ->> 'org_id' AND s.contact = value ->> 'address' AND s.channel = value ->> 'channel'
                WHERE value ->> 'status' = 'revoked'
            UNION ALL SELECT s.id FROM jsonb_each($1) AS item CROSS JOIN scheduled_sends s ON s.state = 'scheduled'
                AND s.org_id = value ->> 'org_id' AND s.recipient = value ->> 'address' AND s.contact IS NULL
                AND s.channel = value ->> 'channel' WHERE value ->> 'status' = 'revoked')",
};

// A contact that grants consent again can be reached again.
const LIFT_UNREACHABLE: Sql = Sql {
    postgres: "DELETE FROM suppressions USING jsonb_array_elements($1::JSONB) AS item (value)
        WHERE reason = $2 AND value ->> 'status' = 'granted' AND suppressions.org_id = value ->> 'org_id'
            AND suppressions.address = value ->> 'address' AND suppressions.channel = value ->> 'channel'",
    sqlite: "DELETE FROM suppressions WHERE reason = $2 AND (org_id, address, channel) IN (
        SELECT value ->> 'org_id', value ->> 'address', value ->> 'channel' FROM jsonb_each($1)
        WHERE value ->> 'status' = 'granted')",
};

/// The word of a person about being contacted.
pub(crate) struct Consent<'a> {
    pub org: &'a str,
    pub address: &'a str,
    pub channel: Channel,
    pub granted: bool,
    pub scope: Scope,
    pub basis: ConsentBasis<'a>,
}

/// The subject of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Everything, on every channel that shares the address.
    All,
    /// Marketing messages on WhatsApp: templates.
    Marketing,
}

/// In the column of the channel: a consent to marketing messages only.
pub(crate) const MARKETING: &str = "marketing";

impl Scope {
    /// Returns the values of the column `channel`.
    fn channels(self, channel: Channel) -> Vec<&'static str> {
        match self {
            Self::All => channel.consent_group().iter().map(|channel| channel.as_str()).collect(),
            Self::Marketing => vec![MARKETING],
        }
    }
}

#[derive(Serialize)]
struct ConsentRow<'a> {
    org_id: &'a str,
    address: String,
    channel: &'static str,
    status: &'static str,
}

impl<'a> ConsentRow<'a> {
    /// Returns the rows of the last consent of each person: one for each channel that shares the address, by the person's keys
    /// and by the address as it was spelled.
    fn last_of(consents: &[Consent<'a>], identities: &Identities) -> Vec<Self> {
        let mut people: BTreeMap<_, (bool, Vec<&'static str>, BTreeSet<String>)> = BTreeMap::new();
        for consent in consents {
            let (org, key) = (consent.org, contact_key(consent.address));
            let channels = consent.scope.channels(consent.channel);
            let person = (org, identities.contact(org, &key), channels.first().copied());
            let (granted, _, addresses) = people
                .entry(person)
                .or_insert_with(|| (consent.granted, channels, BTreeSet::new()));
            *granted = consent.granted;
            addresses.extend(spellings(consent.address));
            addresses.extend(identities.addresses(org, &key));
        }
        let mut rows = Vec::new();
        for ((org_id, ..), (granted, channels, addresses)) in people {
            for address in addresses {
                rows.extend(channels.iter().map(|channel| Self {
                    org_id,
                    address: address.clone(),
                    channel,
                    status: ConsentStatus::from_granted(granted).into(),
                }));
            }
        }
        rows
    }
}

/// The keys of one person: of the address that was named, and of the addresses that carriers have linked with it.
pub(crate) fn keys_of(org: &str, address: &str, identities: &Identities) -> BTreeSet<String> {
    let key = contact_key(address);
    let linked = identities.addresses(org, &key).collect::<Vec<_>>();
    linked.into_iter().chain([key]).collect()
}

/// Records consents in their order, in the ledger and in the state: each holds on every channel that shares the address. A
/// revocation cancels what is scheduled; a grant lifts suppressions of unreachable addresses.
pub(crate) async fn set_consents(
    tx: &mut Tx,
    consents: &[Consent<'_>],
    source: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    if consents.is_empty() {
        return Ok(());
    }
    let contacts = consents
        .iter()
        .map(|consent| (consent.org, contact_key(consent.address)));
    let identities = Identities::find(tx, &contacts.collect()).await?;
    let rows = ConsentRow::last_of(consents, &identities);
    let text = json::text(&rows)?;
    let sql = tx.sql(SET_CONSENTS);
    in_tx!(tx, |db| sqlx::query(sql)
        .bind(&text)
        .bind(at)
        .bind(source)
        .execute(db)
        .await?
        .rows_affected());
    let sql = tx.sql(CANCEL_SENDS);
    in_tx!(tx, |db| sqlx::query(sql).bind(&text).execute(db).await?.rows_affected());
    let sql = tx.sql(LIFT_UNREACHABLE);
    in_tx!(tx, |db| sqlx::query(sql)
        .bind(&text)
        .bind(UNREACHABLE)
        .execute(db)
        .await?
        .rows_affected());
    let keys: Vec<_> = consents
        .iter()
        .map(|consent| keys_of(consent.org, consent.address, &identities))
        .collect();
    let entries = consents.iter().zip(&keys).flat_map(|(consent, keys)| {
        let place = (consent.channel, consent.scope == Scope::Marketing);
        keys.iter().enumerate().map(move |(n, key)| {
            let entry = LedgerRow::new((consent.org, key), place, consent.granted, &consent.basis, at);
            match consent.basis.event {
                // An event that is applied again is in the ledger already.
                Some(event) => entry.identified(&format!("{event}_{:?}_{n}", consent.scope)),
                None => entry,
            }
        })
    });
    consent_ledger::append(tx, &entries.collect::<Vec<_>>(), at).await?;
    Ok(())
}

impl Store {
    /// Returns whether a person's consent on a channel was given or revoked after this time. Words that are read late do not replace it.
    pub async fn has_newer_consent(
        &self,
        org: &OrgId,
        channel: Channel,
        address: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM consents
            WHERE org_id = $1 AND address = $2 AND channel = $3 AND updated_at > $4)";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .bind(contact_key(address))
            .bind(channel.as_str())
            .bind(at)
            .fetch_one(db)
            .await)?)
    }
}

/// Cancels what is scheduled to these addresses, on these channels.
pub(crate) async fn cancel_sends(
    tx: &mut Tx,
    org: &str,
    addresses: &BTreeSet<String>,
    channels: &[&'static str],
) -> Result<(), StoreError> {
    let row = |address: &String, channel: &'static str| ConsentRow {
        org_id: org,
        address: address.clone(),
        channel,
        status: ConsentStatus::Revoked.into(),
    };
    let rows = addresses
        .iter()
        .flat_map(|address| channels.iter().map(move |channel| row(address, channel)));
    let text = json::text(&rows.collect::<Vec<_>>())?;
    let sql = tx.sql(CANCEL_SENDS);
    in_tx!(tx, |db| sqlx::query(sql).bind(&text).execute(db).await?.rows_affected());
    Ok(())
}

/// Returns the addresses that rows about a person are written for: the person's key, and the address as it was spelled, by
/// which processes of the former release find the row.
pub(crate) fn spellings(address: &str) -> BTreeSet<String> {
    BTreeSet::from([contact_key(address), address.to_owned()])
}
