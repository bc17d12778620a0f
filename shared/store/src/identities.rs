//! The addresses of one person that carriers have named together, such as the number and the user id on WhatsApp. Consent,
//! suppressions and windows of one address hold for all: they are written for each, so that sends read one row.

use std::collections::{BTreeMap, BTreeSet};

use butt_dial_domain::{Channel, ChannelId, address::contact_key, clock::Timestamp};

use crate::{
    ConsentBasis, ConsentMethod, StoreError,
    consent_ledger::{self, LedgerRow},
    contact_state::{ConsentStatus, UNREACHABLE},
    engine::{Sql, Tx, in_tx},
    inbound::json,
};

// A row for each address of each person that one of the given addresses belongs to.
const FIND_LINKED: Sql = Sql {
    postgres: "SELECT found.org_id, found.value, linked.value AS linked, linked.contact
        FROM jsonb_array_elements($1::JSONB) AS item (value)
        CROSS JOIN LATERAL (SELECT org_id, value, contact FROM contact_identities i
            WHERE i.org_id = item.value ->> 0 AND i.value = item.value ->> 1) AS found
        CROSS JOIN LATERAL (SELECT value, contact FROM contact_identities i
            WHERE i.org_id = found.org_id AND i.contact = found.contact) AS linked",
    sqlite: "SELECT found.org_id, found.value, linked.value AS linked, linked.contact
        FROM jsonb_each($1) AS item
        JOIN contact_identities found ON found.org_id = item.value ->> 0 AND found.value = item.value ->> 1
        JOIN contact_identities linked ON linked.org_id = found.org_id AND linked.contact = found.contact",
};

// `OFFSET 0`: each address is looked up alone. Otherwise Postgres may read all rows of the organization.
const FIND_CONSENTS: Sql = Sql {
    postgres:
        "SELECT address, channel, status, source, updated_at FROM jsonb_array_elements_text($2::JSONB) AS item (value)
        CROSS JOIN LATERAL (SELECT address, channel, status, source, updated_at FROM consents
            WHERE org_id = $1 AND address = item.value OFFSET 0) AS found
        ORDER BY updated_at, status",
    sqlite: "SELECT address, channel, status, source, updated_at FROM consents
        WHERE org_id = $1 AND address IN (SELECT value FROM json_each($2)) ORDER BY updated_at, status",
};

const COPY_CONSENT: Sql = Sql {
    postgres: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT $1, $3, value, $4, $5, $6 FROM jsonb_array_elements_text($2::JSONB) AS item (value) ORDER BY value
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at",
    sqlite: "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT $1, $3, value, $4, $5, $6 FROM json_each($2) AS item WHERE true ORDER BY value
        ON CONFLICT (org_id, address, channel) DO UPDATE SET
            status = excluded.status, source = excluded.source, updated_at = excluded.updated_at",
};

const COPY_SUPPRESSIONS: Sql = Sql {
    postgres: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT $1, s.channel, item.value, MIN(s.reason), MIN(s.created_at)
        FROM jsonb_array_elements_text($2::JSONB) AS known (value)
        CROSS JOIN LATERAL (SELECT channel, reason, created_at FROM suppressions
            WHERE org_id = $1 AND address = known.value OFFSET 0) AS s
        CROSS JOIN jsonb_array_elements_text($2::JSONB) AS item (value)
        WHERE s.reason <> $3
        GROUP BY s.channel, item.value ORDER BY item.value, s.channel ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT $1, s.channel, item.value, MIN(s.reason), MIN(s.created_at)
        FROM suppressions s, json_each($2) AS item
        WHERE s.org_id = $1 AND s.address IN (SELECT value FROM json_each($2)) AND s.reason <> $3
        GROUP BY s.channel, item.value ORDER BY item.value, s.channel ON CONFLICT DO NOTHING",
};

const COPY_WINDOW: Sql = Sql {
    postgres: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT $1, item.value, w.at FROM jsonb_array_elements_text($2::JSONB) AS item (value),
            (SELECT MAX(last_inbound_at) AS at FROM jsonb_array_elements_text($2::JSONB) AS known (value)
                CROSS JOIN LATERAL (SELECT last_inbound_at FROM inbound_windows
                    WHERE channel_id = $1 AND address = known.value OFFSET 0) AS opened) AS w
        WHERE w.at IS NOT NULL ORDER BY item.value
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
    sqlite: "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT $1, item.value, w.at FROM json_each($2) AS item,
            (SELECT MAX(last_inbound_at) AS at FROM inbound_windows WHERE channel_id = $1
                AND address IN (SELECT value FROM json_each($2))) AS w
        WHERE w.at IS NOT NULL ORDER BY item.value
        ON CONFLICT (channel_id, address) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
        WHERE excluded.last_inbound_at > inbound_windows.last_inbound_at",
};

const LINK: Sql = Sql {
    postgres: "INSERT INTO contact_identities (org_id, kind, value, contact, updated_at)
        SELECT $1, CASE WHEN value LIKE '+%' THEN 'phone' ELSE 'user' END, value, $3, $4
        FROM jsonb_array_elements_text($2::JSONB) AS item (value)
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = $1) ORDER BY value
        ON CONFLICT (org_id, value) DO UPDATE SET contact = excluded.contact, updated_at = excluded.updated_at",
    sqlite: "INSERT INTO contact_identities (org_id, kind, value, contact, updated_at)
        SELECT $1, CASE WHEN value LIKE '+%' THEN 'phone' ELSE 'user' END, value, $3, $4
        FROM json_each($2) AS item
        WHERE EXISTS (SELECT 1 FROM organizations WHERE organizations.id = $1) ORDER BY value
        ON CONFLICT (org_id, value) DO UPDATE SET contact = excluded.contact, updated_at = excluded.updated_at",
};

const UNLINK: &str = "DELETE FROM contact_identities WHERE org_id = $1 AND value = $2";

/// An address of an organization's contact, as its key.
pub(crate) type ContactOf<'a> = (&'a str, String);

/// The persons with several known addresses.
#[derive(Default)]
pub(crate) struct Identities(BTreeMap<(String, String), Person>);

#[derive(Clone, Default)]
struct Person {
    contact: String,
    addresses: BTreeSet<String>,
}

#[derive(sqlx::FromRow)]
struct LinkedRow {
    org_id: String,
    value: String,
    linked: String,
    contact: String,
}

#[derive(sqlx::FromRow)]
struct ConsentRow {
    address: String,
    channel: String,
    status: ConsentStatus,
    source: String,
    updated_at: Timestamp,
}

/// Addresses that a carrier named together.
pub(crate) struct Link<'a> {
    pub org: &'a str,
    pub addresses: Vec<&'a str>,
    /// Addresses that the person had before. Their consent is kept, and they are not the person's any more.
    pub former: Vec<&'a str>,
    /// The sender with the windows to copy.
    pub channel_id: Option<&'a ChannelId>,
}

impl Identities {
    /// Reads the other addresses of these contacts, in one statement.
    pub async fn find(tx: &mut Tx, contacts: &BTreeSet<ContactOf<'_>>) -> Result<Self, StoreError> {
        let mut identities = Self::default();
        if contacts.is_empty() {
            return Ok(identities);
        }
        let rows: Vec<&ContactOf<'_>> = contacts.iter().collect();
        let (sql, text) = (tx.sql(FIND_LINKED), json::text(&rows)?);
        let found: Vec<LinkedRow> = in_tx!(tx, |db| sqlx::query_as(sql).bind(text).fetch_all(db).await?);
        for row in found {
            let person = identities.0.entry((row.org_id, row.value)).or_default();
            person.contact = row.contact;
            person.addresses.insert(row.linked);
        }
        Ok(identities)
    }

    /// Returns the name of the person behind the key of an address: the same for all addresses of the person.
    pub fn contact(&self, org: &str, key: &str) -> String {
        let known = self.0.get(&(org.to_owned(), key.to_owned()));
        known.map_or_else(|| key.to_owned(), |person| person.contact.clone())
    }

    /// Returns the other addresses of the person.
    pub fn addresses(&self, org: &str, key: &str) -> impl Iterator<Item = String> {
        let known = self.0.get(&(org.to_owned(), key.to_owned()));
        known.into_iter().flat_map(|person| person.addresses.iter().cloned())
    }

    fn is_linked(&self, org: &str, keys: &BTreeSet<String>) -> bool {
        let mut contacts = keys.iter().map(|key| self.0.get(&(org.to_owned(), key.clone())));
        let first = contacts.next().flatten().map(|person| &person.contact);
        first.is_some() && contacts.all(|other| other.map(|person| &person.contact) == first)
    }
}

/// Returns the links that are not stored yet, in their order.
pub(crate) async fn find_new<'a>(tx: &mut Tx, links: Vec<Link<'a>>) -> Result<Vec<Link<'a>>, StoreError> {
    let mut contacts = BTreeSet::new();
    for link in &links {
        contacts.extend(link.keys().into_iter().map(|key| (link.org, key)));
        contacts.extend(keys(&link.former).into_iter().map(|key| (link.org, key)));
    }
    let identities = Identities::find(tx, &contacts).await?;
    let is_new = |link: &Link<'_>| !link.former.is_empty() || !identities.is_linked(link.org, &link.keys());
    Ok(links.into_iter().filter(is_new).collect())
}

fn keys(addresses: &[&str]) -> BTreeSet<String> {
    addresses.iter().map(|address| contact_key(address)).collect()
}

impl Link<'_> {
    fn keys(&self) -> BTreeSet<String> {
        keys(&self.addresses)
    }

    /// Links the addresses, and copies consent, suppressions and windows between them.
    pub(crate) async fn write(&self, tx: &mut Tx, at: Timestamp) -> Result<(), StoreError> {
        let former = keys(&self.former);
        let mut all: BTreeSet<String> = self.keys();
        all.extend(former.iter().cloned());
        // Read again: an earlier link of the batch may have changed it.
        let contacts = all.iter().map(|key| (self.org, key.clone())).collect();
        let identities = Identities::find(tx, &contacts).await?;
        let named = all.clone();
        for key in &named {
            all.extend(identities.addresses(self.org, key));
        }
        let known = named
            .iter()
            .find_map(|key| identities.0.get(&(self.org.to_owned(), key.clone())));
        let known = known.map(|person| person.contact.clone());
        // Not a former address: it may become the first one of another person.
        let contact = known
            .into_iter()
            .chain(self.keys())
            .find(|contact| !former.contains(contact));
        let Some(contact) = contact else {
            return Ok(());
        };
        let everyone = json::text(&all.iter().collect::<Vec<_>>())?;
        let sql = tx.sql(LINK);
        in_tx!(tx, |db| sqlx::query(sql)
            .bind(self.org)
            .bind(&everyone)
            .bind(&contact)
            .bind(at)
            .execute(db)
            .await?
            .rows_affected());
        copy_consents(tx, self.org, &all, at).await?;
        let sql = tx.sql(COPY_SUPPRESSIONS);
        in_tx!(tx, |db| sqlx::query(sql)
            .bind(self.org)
            .bind(&everyone)
            .bind(UNREACHABLE)
            .execute(db)
            .await?
            .rows_affected());
        if let Some(channel) = self.channel_id {
            let sql = tx.sql(COPY_WINDOW);
            in_tx!(tx, |db| sqlx::query(sql)
                .bind(channel.as_str())
                .bind(&everyone)
                .execute(db)
                .await?
                .rows_affected());
        }
        for key in &former {
            in_tx!(tx, |db| sqlx::query(UNLINK)
                .bind(self.org)
                .bind(key)
                .execute(db)
                .await?
                .rows_affected());
        }
        Ok(())
    }
}

/// Copies the last consent on each channel to all addresses. Addresses with another one get it in the ledger, too.
async fn copy_consents(tx: &mut Tx, org: &str, all: &BTreeSet<String>, at: Timestamp) -> Result<(), StoreError> {
    let everyone = json::text(&all.iter().collect::<Vec<_>>())?;
    let sql = tx.sql(FIND_CONSENTS);
    let found: Vec<ConsentRow> = in_tx!(tx, |db| {
        sqlx::query_as(sql).bind(org).bind(&everyone).fetch_all(db).await?
    });
    // The last one of each channel replaces the others.
    let last: BTreeMap<&str, &ConsentRow> = found.iter().map(|row| (row.channel.as_str(), row)).collect();
    let sql = tx.sql(COPY_CONSENT);
    for (channel, row) in last {
        let status: &'static str = row.status.into();
        in_tx!(tx, |db| sqlx::query(sql)
            .bind(org)
            .bind(&everyone)
            .bind(channel)
            .bind(status)
            .bind(&row.source)
            .bind(row.updated_at)
            .execute(db)
            .await?
            .rows_affected());
    }
    let entries = linked_entries(org, all, &found);
    consent_ledger::append(tx, &entries, at).await?;
    Ok(())
}

/// Returns the entries of the addresses that the copies change: one for the channels that share an address.
fn linked_entries<'a>(org: &'a str, all: &'a BTreeSet<String>, found: &'a [ConsentRow]) -> Vec<LedgerRow<'a>> {
    // By the first of the channels that share an address; `None`: marketing messages. The last row of each counts.
    let mut last: BTreeMap<Option<Channel>, &ConsentRow> = BTreeMap::new();
    let mut known: BTreeMap<(Option<Channel>, &str), &ConsentRow> = BTreeMap::new();
    for row in found {
        let channel = Channel::parse(&row.channel);
        let group = channel.and_then(|channel| channel.consent_group().first().copied());
        last.insert(group, row);
        known.insert((group, &row.address), row);
    }
    let mut entries = Vec::new();
    for (group, row) in last {
        let differs = |address: &&String| {
            let own = known.get(&(group, address.as_str()));
            own.is_none_or(|own| (own.status, own.updated_at) != (row.status, row.updated_at))
        };
        let basis = ConsentBasis::new(ConsentMethod::Linked, &row.source);
        let place = (group.unwrap_or(Channel::Whatsapp), group.is_none());
        let granted = row.status == ConsentStatus::Granted;
        entries.extend(
            (all.iter().filter(differs))
                .map(|address| LedgerRow::new((org, address), place, granted, &basis, row.updated_at)),
        );
    }
    entries
}
