//! The do-not-contact list of an organization: listed, imported and exported by its administrators.

use std::collections::BTreeMap;

use butt_dial_domain::{Address, Channel, Clock, Code, Failure, OrgId};
use butt_dial_store::{AuditEntry, Store, SuppressionEntry};
use serde_json::json;

/// Characters of a reason.
const MAX_REASON: usize = 200;
const DEFAULT_REASON: &str = "requested";
/// Entries of one statement.
const BATCH: usize = 500;
/// Errors of an import that are returned; all are counted.
const MAX_ERRORS: usize = 50;
/// In the column of the channel: all channels.
const ALL: &str = "*";
/// The target of audit entries.
const TARGET: &str = "do_not_contact";
/// Rows of a page of an export.
const EXPORT_PAGE: u32 = 1_000;

/// An entry to add, as its caller gives it.
#[derive(Clone, Debug)]
pub struct NewEntry {
    pub address: String,
    /// `None`: all channels.
    pub channel: Option<String>,
    pub reason: Option<String>,
}

/// A row of an import that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRow {
    /// From 1.
    pub row: usize,
    pub reason: String,
}

/// The result of an import.
#[derive(Clone, Debug, Default)]
pub struct Import {
    pub added: usize,
    pub invalid: usize,
    /// The first invalid rows.
    pub errors: Vec<InvalidRow>,
}

/// The list of one installation, by organization. Cheap to clone.
#[derive(Clone)]
pub struct DoNotContact {
    store: Store,
    clock: Clock,
}

impl DoNotContact {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Lists entries in the order of their addresses, after an address and channel.
    pub async fn list(&self, org: &OrgId, after: (&str, &str), limit: u32) -> Result<Vec<SuppressionEntry>, Failure> {
        Ok(self.store.list_suppressions(org, after, limit).await?)
    }

    /// Adds valid entries, and returns which are not valid. Sends obey an entry from the moment that it is written. `actor` is the id
    /// of a token. Fails with `NotFound` if there is no such organization.
    pub async fn add(&self, org: &OrgId, actor: &str, entries: &[NewEntry]) -> Result<Import, Failure> {
        if self.store.find_organization(org).await?.is_none() {
            return Err(Failure::new(Code::NotFound, "there is no organization with this id")
                .hint("`butt-dial bootstrap --json` prints the id of the first one"));
        }
        let (mut import, mut valid) = (Import::default(), BTreeMap::new());
        for (index, entry) in entries.iter().enumerate() {
            match check(entry) {
                Ok((key, reason)) => drop(valid.insert(key, reason)),
                Err(reason) => import.note(index + 1, reason),
            }
        }
        let rows: Vec<_> = valid
            .into_iter()
            .map(|((address, channel), reason)| (address, channel, reason))
            .collect();
        let now = self.clock.now();
        for batch in rows.chunks(BATCH) {
            let entry = AuditEntry::new(Some(org), actor, "do_not_contact.add", TARGET, now);
            let change = self.store.change(entry.with_detail(json!({ "added": batch.len() })));
            change.add_suppressions(org, batch, now).await?;
            import.added += batch.len();
        }
        Ok(import)
    }

    /// Adds the rows of a table with the columns address, channel and reason; only the first is required. A head row is optional.
    pub async fn import_csv(&self, org: &OrgId, actor: &str, text: &str) -> Result<Import, Failure> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut entries = Vec::new();
        for record in reader.records() {
            let record = record
                .map_err(|error| Failure::new(Code::InvalidArgument, format!("the table is not CSV: {error}")))?;
            let column = |index: usize| record.get(index).filter(|text| !text.is_empty()).map(str::to_owned);
            if entries.is_empty() && record.get(0).is_some_and(|first| first.eq_ignore_ascii_case("address")) {
                continue;
            }
            entries.push(NewEntry {
                address: column(0).unwrap_or_default(),
                channel: column(1).filter(|channel| channel != ALL),
                reason: column(2),
            });
        }
        self.add(org, actor, &entries).await
    }

    /// Returns the whole list as a table with the columns address, channel, reason and created_at.
    pub async fn export_csv(&self, org: &OrgId) -> Result<String, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let fail = |error: csv::Error| {
            tracing::error!(%error, "export of the do-not-contact list failed");
            Failure::internal()
        };
        writer
            .write_record(["address", "channel", "reason", "created_at"])
            .map_err(fail)?;
        let mut after = (String::new(), String::new());
        loop {
            let page = self.list(org, (&after.0, &after.1), EXPORT_PAGE).await?;
            for entry in &page {
                let at = entry.created_at.to_rfc3339();
                writer
                    .write_record([&entry.address, &entry.channel, &entry.reason, &at])
                    .map_err(fail)?;
            }
            match page.last() {
                Some(last) if page.len() == EXPORT_PAGE as usize => {
                    after = (last.address.clone(), last.channel.clone())
                }
                _ => break,
            }
        }
        let bytes = writer.into_inner().map_err(|_| Failure::internal())?;
        String::from_utf8(bytes).map_err(|_| Failure::internal())
    }

    /// Removes an entry. Fails with `NotFound` if there is none.
    pub async fn remove(&self, org: &OrgId, actor: &str, address: &str, channel: Option<&str>) -> Result<(), Failure> {
        let entry = NewEntry {
            address: address.to_owned(),
            channel: channel.map(str::to_owned),
            reason: None,
        };
        let ((address, channel), _) = check(&entry).map_err(|reason| Failure::new(Code::InvalidArgument, reason))?;
        let entry = AuditEntry::new(Some(org), actor, "do_not_contact.remove", TARGET, self.clock.now());
        let change = self.store.change(entry.with_detail(json!({ "channel": channel })));
        if !change.remove_suppression(org, &address, channel).await? {
            return Err(
                Failure::new(Code::NotFound, "the do-not-contact list has no such entry")
                    .hint("an entry for all channels has no channel; list the entries"),
            );
        }
        Ok(())
    }
}

impl Import {
    fn note(&mut self, row: usize, reason: String) {
        self.invalid += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(InvalidRow { row, reason });
        }
    }
}

type Key = (String, &'static str);

/// Returns the key of an entry and its reason.
fn check(entry: &NewEntry) -> Result<(Key, String), String> {
    let channel = match entry.channel.as_deref() {
        None => None,
        Some(text) => {
            let parsed = Channel::parse(text).ok_or("the channel is one of sms, whatsapp, email, line, voice");
            Some(parsed.map_err(str::to_owned)?)
        }
    };
    let by_address = match entry.address.contains('@') {
        true => Channel::Email,
        false => Channel::Sms,
    };
    let address = Address::parse(channel.unwrap_or(by_address), &entry.address)
        .map_err(|_| "the address is not valid: give a number with its country code, or a mail address".to_owned())?;
    let reason = entry.reason.clone().unwrap_or_else(|| DEFAULT_REASON.to_owned());
    // A carrier cannot reach such an address; a person has not asked for it.
    if reason == butt_dial_store::UNREACHABLE
        || reason.chars().count() > MAX_REASON
        || reason.chars().any(char::is_control)
    {
        return Err(format!(
            "the reason is one line of at most {MAX_REASON} characters, and not {:?}",
            butt_dial_store::UNREACHABLE
        ));
    }
    Ok(((address.contact_key(), channel.map_or(ALL, Channel::as_str)), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(address: &str, channel: Option<&str>, reason: Option<&str>) -> NewEntry {
        NewEntry {
            address: address.to_owned(),
            channel: channel.map(str::to_owned),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn finds_key_and_channel_of_entries() {
        let key = |given: NewEntry| check(&given).map(|(key, _)| key);
        assert_eq!(
            key(entry("+1 (415) 555-0101", None, None)),
            Ok(("+14155550101".to_owned(), "*"))
        );
        assert_eq!(
            key(entry("Ann+x@Example.com", None, None)),
            Ok(("ann@example.com".to_owned(), "*"))
        );
        assert_eq!(
            key(entry("+14155550101", Some("SMS"), None)),
            Ok(("+14155550101".to_owned(), "sms"))
        );
    }

    #[test]
    fn refuses_invalid_entries() {
        for invalid in [
            entry("", None, None),
            entry("4155550101", None, None),
            entry("+14155550101", Some("fax"), None),
            entry("+14155550101", None, Some("a\nb")),
            entry("+14155550101", None, Some("unreachable")),
            entry("+14155550101", None, Some(&"x".repeat(201))),
        ] {
            assert!(check(&invalid).is_err(), "{invalid:?}");
        }
    }
}
