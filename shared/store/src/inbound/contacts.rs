//! The effects of a batch on contacts: WhatsApp windows, consent and suppressions.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{
    Channel, address::contact_key, clock::Timestamp, inbound::DeliveryStatus, ports::carrier::RefusalClass,
};
use serde::Serialize;

use super::{InboundRow, StatusTransition, json};
use crate::{
    StoreError,
    contact_state::ConsentStatus,
    contacts::{UNREACHABLE, spellings},
    engine::{Sql, Tx, in_tx},
};

// `EXISTS`: the sender may have been deleted meanwhile.
const OPEN_WINDOWS: Sql = Sql {
    postgres: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT value ->> 0, value ->> 1, $2 FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE EXISTS (SELECT 1 FROM channels WHERE channels.id = value ->> 0) ORDER BY 1, 2
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
    sqlite: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT value ->> 0, value ->> 1, $2 FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM channels WHERE channels.id = value ->> 0) ORDER BY 1, 2
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
};

const SET_CONSENTS: Sql = Sql {
    postgres: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', $3, $2
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 'org_id') ORDER BY 1, 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at",
    sqlite: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', $3, $2
        FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 'org_id') ORDER BY 1, 3, 2
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at",
};

// Due at once: the sweep of scheduled sends notifies the agent.
const CANCEL_SENDS: Sql = Sql {
    postgres: "UPDATE scheduled_sends
        SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL, due_at = created_at
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE value ->> 'status' = 'revoked' AND scheduled_sends.org_id = value ->> 'org_id'
            AND coalesce(scheduled_sends.contact, scheduled_sends.recipient) = value ->> 'address'
            AND scheduled_sends.channel = value ->> 'channel' AND state = 'scheduled'",
    sqlite: "UPDATE scheduled_sends
        SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL, due_at = created_at
        FROM jsonb_each($1) AS item
        WHERE value ->> 'status' = 'revoked' AND scheduled_sends.org_id = value ->> 'org_id'
            AND coalesce(scheduled_sends.contact, scheduled_sends.recipient) = value ->> 'address'
            AND scheduled_sends.channel = value ->> 'channel' AND state = 'scheduled'",
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

const SUPPRESS: Sql = Sql {
    postgres: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3 FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 0) ORDER BY 1, 3, 2
        ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3 FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 0) ORDER BY 1, 3, 2
        ON CONFLICT DO NOTHING",
};

/// Applies new inbound events to their contacts: opens windows and records consent.
pub(crate) async fn write(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<(), StoreError> {
    // Each window once: one statement cannot write a row twice. Only WhatsApp has windows.
    let windows: BTreeSet<(&str, String)> = events
        .iter()
        .filter(|event| event.channel == Channel::Whatsapp)
        .filter_map(|event| Some((event.channel_id.as_ref()?.as_str(), event)))
        .flat_map(|(channel, event)| {
            spellings(&event.contact)
                .into_iter()
                .map(move |address| (channel, address))
        })
        .collect();
    if !windows.is_empty() {
        let rows: Vec<_> = windows.into_iter().collect();
        let (sql, text) = (tx.sql(OPEN_WINDOWS), json::text(&rows)?);
        in_tx!(tx, |db| sqlx::query(sql)
            .bind(text)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
    }
    let consents: Vec<_> = events
        .iter()
        .filter_map(|event| {
            Some(Consent {
                org: event.org.as_str(),
                address: &event.contact,
                channel: event.channel,
                granted: event.consent?,
            })
        })
        .collect();
    set_consents(tx, &consents, "keyword", at).await
}

/// Records consents in their order: each holds on every channel that shares the address. A revocation cancels what is
/// scheduled; a grant lifts suppressions of unreachable addresses.
pub(crate) async fn set_consents(
    tx: &mut Tx,
    consents: &[Consent<'_>],
    source: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let rows = ConsentRow::last_of(consents);
    if rows.is_empty() {
        return Ok(());
    }
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
    Ok(())
}

/// Suppresses addresses that a carrier reported as unreachable for good.
pub(crate) async fn suppress_unreachable(
    tx: &mut Tx,
    transitions: &[StatusTransition],
    at: Timestamp,
) -> Result<(), StoreError> {
    let is_permanent = |transition: &&StatusTransition| {
        transition.receipt.failure == Some(RefusalClass::Recipient)
            && matches!(transition.stage, DeliveryStatus::Undelivered | DeliveryStatus::Failed)
    };
    let rows: BTreeSet<_> = transitions
        .iter()
        .filter(is_permanent)
        .map(|transition| {
            (
                transition.org.as_str(),
                transition.channel.as_str(),
                contact_key(&transition.recipient),
            )
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().collect();
    let (sql, text) = (tx.sql(SUPPRESS), json::text(&rows)?);
    in_tx!(tx, |db| sqlx::query(sql)
        .bind(text)
        .bind(UNREACHABLE)
        .bind(at)
        .execute(db)
        .await?
        .rows_affected());
    Ok(())
}

/// What a person said about being contacted.
pub(crate) struct Consent<'a> {
    pub org: &'a str,
    pub address: &'a str,
    pub channel: Channel,
    pub granted: bool,
}

#[derive(Serialize)]
struct ConsentRow<'a> {
    org_id: &'a str,
    address: String,
    channel: &'static str,
    status: &'static str,
}

impl<'a> ConsentRow<'a> {
    /// Returns the rows of the last consent of each person: one for each channel that shares the address, by the person's key
    /// and by the address as it was spelled.
    fn last_of(consents: &[Consent<'a>]) -> Vec<Self> {
        let mut people: BTreeMap<_, (bool, &[Channel], BTreeSet<String>)> = BTreeMap::new();
        for consent in consents {
            let channels = consent.channel.consent_group();
            let person = (consent.org, contact_key(consent.address), channels.first());
            let (granted, _, addresses) = people
                .entry(person)
                .or_insert_with(|| (consent.granted, channels, BTreeSet::new()));
            *granted = consent.granted;
            addresses.extend(spellings(consent.address));
        }
        let mut rows = Vec::new();
        for ((org_id, ..), (granted, channels, addresses)) in people {
            for address in addresses {
                rows.extend(channels.iter().map(|channel| Self {
                    org_id,
                    address: address.clone(),
                    channel: channel.as_str(),
                    status: ConsentStatus::from_granted(granted).into(),
                }));
            }
        }
        rows
    }
}
