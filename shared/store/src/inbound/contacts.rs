//! The effects of a batch on contacts: WhatsApp windows, consent and suppressions.

use std::collections::BTreeSet;

use butt_dial_domain::{
    Channel, address::contact_key, clock::Timestamp, inbound::DeliveryStatus, ports::carrier::RefusalClass,
};

use super::{InboundRow, StatusTransition, json};
use crate::{
    StoreError,
    consents::{Consent, UNREACHABLE, set_consents, spellings},
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
