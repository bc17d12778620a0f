//! What new events say of the people that wrote: their windows open, and their consent is given or taken back.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{Channel, clock::Timestamp, inbound::DeliveryStatus, ports::carrier::RefusalClass};
use serde::Serialize;

use super::{
    InboundRow, StatusTransition,
    json::{self, statement},
};
use crate::{
    StoreError,
    contacts::UNREACHABLE,
    engine::{Tx, within},
};

// A sender that was given up meanwhile has no windows.
const WINDOWS: (&str, &str) = statement!(
    "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
    SELECT value ->> 0, value ->> 1, $2 FROM",
    rows,
    "WHERE EXISTS (SELECT 1 FROM channels WHERE channels.id = value ->> 0) ORDER BY 1, 2
    ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
    WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at"
);

const CONSENTS: (&str, &str) = statement!(
    "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
    SELECT value ->> 'org_id', value ->> 'channel', value ->> 'address', value ->> 'status', 'keyword', $2 FROM",
    rows,
    "WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 'org_id') ORDER BY 1, 3, 2
    ON CONFLICT (org_id, address, channel) DO UPDATE SET
        status = excluded.status, source = excluded.source, updated_at = excluded.updated_at"
);

const CANCEL: (&str, &str) = statement!(
    // Due at once: whoever sends what is due tells the agent.
    "UPDATE scheduled_sends SET state = 'cancelled', failure = 'CONTACT_OPTED_OUT', request = NULL, due_at = created_at FROM",
    rows,
    "WHERE value ->> 'status' = 'revoked' AND scheduled_sends.org_id = value ->> 'org_id'
        AND scheduled_sends.recipient = value ->> 'address' AND scheduled_sends.channel = value ->> 'channel'
        AND state = 'scheduled'"
);

// A person who wants messages again is there to get them.
const BACK: (&str, &str) = (
    "DELETE FROM suppressions USING jsonb_array_elements($1::JSONB) AS item (value)
    WHERE reason = $2 AND value ->> 'status' = 'granted' AND suppressions.org_id = value ->> 'org_id'
        AND suppressions.address = value ->> 'address' AND suppressions.channel = value ->> 'channel'",
    "DELETE FROM suppressions WHERE reason = $2 AND (org_id, address, channel) IN (
        SELECT value ->> 'org_id', value ->> 'address', value ->> 'channel' FROM jsonb_each($1)
        WHERE value ->> 'status' = 'granted')",
);

const SUPPRESS: (&str, &str) = statement!(
    "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3 FROM",
    rows,
    "WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 0) ORDER BY 1, 3, 2
    ON CONFLICT DO NOTHING"
);

pub(crate) async fn write(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<(), StoreError> {
    // Each window once: one statement can't write a row twice. Only WhatsApp has windows.
    let windows: BTreeSet<(&str, &str)> = events
        .iter()
        .filter(|event| event.channel == Channel::Whatsapp)
        .filter_map(|event| Some((event.channel_id.as_ref()?.as_str(), event.contact.as_str())))
        .collect();
    if !windows.is_empty() {
        let rows: Vec<_> = windows.into_iter().collect();
        let (sql, text) = (tx.either(WINDOWS.0, WINDOWS.1), json::text(&rows)?);
        within!(tx, |db| sqlx::query(sql)
            .bind(text)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
    }
    let consents = ConsentRow::of(events);
    if !consents.is_empty() {
        let text = json::text(&consents)?;
        let sql = tx.either(CONSENTS.0, CONSENTS.1);
        within!(tx, |db| sqlx::query(sql)
            .bind(&text)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
        let sql = tx.either(CANCEL.0, CANCEL.1);
        within!(tx, |db| sqlx::query(sql).bind(&text).execute(db).await?.rows_affected());
        let sql = tx.either(BACK.0, BACK.1);
        within!(tx, |db| sqlx::query(sql)
            .bind(&text)
            .bind(UNREACHABLE)
            .execute(db)
            .await?
            .rows_affected());
    }
    Ok(())
}

/// Addresses that, as a carrier says, nothing will ever reach on this channel.
pub(crate) async fn suppress_unreachable(
    tx: &mut Tx,
    moved: &[StatusTransition],
    at: Timestamp,
) -> Result<(), StoreError> {
    let is_for_good = |moved: &&StatusTransition| {
        moved.receipt.failure == Some(RefusalClass::Recipient)
            && matches!(moved.stage, DeliveryStatus::Undelivered | DeliveryStatus::Failed)
    };
    let rows: BTreeSet<_> = moved
        .iter()
        .filter(is_for_good)
        .map(|moved| (moved.org.as_str(), moved.channel.as_str(), moved.recipient.as_str()))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().collect();
    let (sql, text) = (tx.either(SUPPRESS.0, SUPPRESS.1), json::text(&rows)?);
    within!(tx, |db| sqlx::query(sql)
        .bind(text)
        .bind(UNREACHABLE)
        .bind(at)
        .execute(db)
        .await?
        .rows_affected());
    Ok(())
}

#[derive(Serialize)]
struct ConsentRow<'a> {
    org_id: &'a str,
    address: &'a str,
    channel: &'static str,
    status: &'static str,
}

impl<'a> ConsentRow<'a> {
    /// The last word of each contact counts.
    fn of(events: &[&'a InboundRow]) -> Vec<Self> {
        let mut words = BTreeMap::new();
        for event in events {
            if let Some(granted) = event.consent {
                words.insert(
                    (event.org.as_str(), event.contact.as_str(), event.channel.as_str()),
                    granted,
                );
            }
        }
        let row = |((org_id, address, channel), granted)| Self {
            org_id,
            address,
            channel,
            status: if granted { "granted" } else { "revoked" },
        };
        words.into_iter().map(row).collect()
    }
}
