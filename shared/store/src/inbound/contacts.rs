//! The effects of a batch on contacts: WhatsApp windows, consent and suppressions.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{
    Address, Channel, address::contact_key, clock::Timestamp, inbound::DeliveryStatus, ports::carrier::RefusalClass,
};

use super::{ContactEffects, InboundRow, StatusTransition, json};
use crate::{
    ConsentBasis, ConsentMethod, StoreError,
    consents::{Consent, Scope, set_consents, spellings},
    contact_state::UNREACHABLE,
    engine::{Sql, Tx, in_tx},
    identities::{self, Identities, Link},
    sends::time_text,
};

/// The source of consent that events give or revoke, in the state.
const WORD: &str = "keyword";

// The sender may have been deleted meanwhile. A scalar subquery, because Postgres may read all rows for `EXISTS`.
const OPEN_WINDOWS: Sql = Sql {
    postgres: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS TIMESTAMPTZ) FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE (SELECT c.id FROM channels c WHERE c.id = value ->> 0) IS NOT NULL ORDER BY 1, 2
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
    sqlite: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM channels WHERE channels.id = value ->> 0) ORDER BY 1, 2
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
};

const SUPPRESS: Sql = Sql {
    postgres: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3 FROM jsonb_array_elements($1::JSONB) AS item (value)
        WHERE (SELECT o.id FROM organizations o WHERE o.id = value ->> 0) IS NOT NULL ORDER BY 1, 3, 2
        ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT value ->> 0, value ->> 1, value ->> 2, $2, $3 FROM jsonb_each($1) AS item
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = value ->> 0) ORDER BY 1, 3, 2
        ON CONFLICT DO NOTHING",
};

/// Applies new inbound events to their contacts: links their addresses, opens windows and records consent.
pub(crate) async fn write(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<(), StoreError> {
    open_windows(tx, events, at).await?;
    let consents = events.iter().flat_map(|event| {
        let consent = |granted, scope| Consent {
            org: event.org.as_str(),
            address: &event.contact,
            channel: event.channel,
            granted,
            scope,
            basis: basis_of(event, scope),
        };
        let all = event.consent.map(|granted| consent(granted, Scope::All));
        let marketing = event
            .effects
            .marketing
            .map(|granted| consent(granted, Scope::Marketing));
        all.into_iter().chain(marketing)
    });
    set_consents(tx, &consents.collect::<Vec<_>>(), WORD, at).await?;
    // After the words of the same batch, so that they hold for all addresses.
    let links: Vec<_> = events.iter().filter_map(|event| link_of(event)).collect();
    if links.is_empty() {
        return Ok(());
    }
    for link in identities::find_new(tx, links).await? {
        link.write(tx, at).await?;
    }
    Ok(())
}

/// Returns how the event gives or revokes consent.
fn basis_of(event: &InboundRow, scope: Scope) -> ConsentBasis<'_> {
    let known = event.evidence.as_ref();
    let method = match scope {
        Scope::All => known.map_or(ConsentMethod::Keyword, |evidence| evidence.method),
        // Vendors have switches for marketing; a person who writes means all messages.
        Scope::Marketing => ConsentMethod::VendorPreference,
    };
    ConsentBasis {
        event: Some(&event.id),
        message: known.and_then(|evidence| evidence.message.as_deref()),
        words: known.and_then(|evidence| evidence.words.as_deref()),
        evidence: known.and_then(|evidence| evidence.detail.as_ref()),
        ..ConsentBasis::new(method, WORD)
    }
}

/// Returns the addresses of the contact that the event names together.
fn link_of(event: &InboundRow) -> Option<Link<'_>> {
    let ContactEffects {
        aliases,
        former_addresses,
        ..
    } = &event.effects;
    if aliases.is_empty() && former_addresses.is_empty() {
        return None;
    }
    let current = std::iter::once(&event.contact).chain(aliases).map(String::as_str);
    let former: Vec<&str> = former_addresses.iter().map(String::as_str).collect();
    Some(Link {
        org: event.org.as_str(),
        addresses: current.filter(|address| !former.contains(address)).collect(),
        former,
        channel_id: event.channel_id.as_ref(),
    })
}

/// Opens WhatsApp's windows, and notes that senders without an address of the channel have written: they may be answered only.
async fn open_windows(tx: &mut Tx, events: &[&InboundRow], at: Timestamp) -> Result<(), StoreError> {
    let needs_window = |event: &InboundRow| {
        event.channel == Channel::Whatsapp || Address::known(event.channel, &event.contact).is_opaque()
    };
    let opening: Vec<_> = events
        .iter()
        .filter(|event| !event.effects.opens_no_window && needs_window(event))
        .filter_map(|event| Some((event.channel_id.as_ref()?.as_str(), *event)))
        .collect();
    if opening.is_empty() {
        return Ok(());
    }
    let contacts = opening.iter();
    let contacts = contacts.map(|(_, event)| (event.org.as_str(), contact_key(&event.contact)));
    let identities = Identities::find(tx, &contacts.collect()).await?;
    // Each window once: one statement cannot write a row twice.
    let mut windows: BTreeMap<(&str, String), Timestamp> = BTreeMap::new();
    for (channel, event) in opening {
        let mut addresses = spellings(&event.contact);
        addresses.extend(identities.addresses(event.org.as_str(), &contact_key(&event.contact)));
        addresses.extend(event.effects.group.clone());
        // A carrier's clock may be ahead.
        let wrote_at = event.effects.wrote_at.unwrap_or(at).min(at);
        for address in addresses {
            let last = windows.entry((channel, address)).or_insert(wrote_at);
            *last = wrote_at.max(*last);
        }
    }
    let rows = windows
        .iter()
        .map(|((channel, address), at)| (channel, address, time_text(*at)));
    let (sql, text) = (tx.sql(OPEN_WINDOWS), json::text(&rows.collect::<Vec<_>>())?);
    in_tx!(tx, |db| sqlx::query(sql).bind(text).execute(db).await?.rows_affected());
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
