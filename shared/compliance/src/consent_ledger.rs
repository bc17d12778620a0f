//! The consent ledger of an organization, for its administrators: the entries about one contact, and exports.

use butt_dial_domain::{Address, Channel, Clock, Code, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{AuditEntry, ConsentEvent, ERASED_PREFIX, Store};
use butt_dial_vault::Vault;
use chrono::SecondsFormat;
use serde_json::{Value, json};

/// Characters of the words that are kept with an entry.
pub const MAX_WORDS: usize = 500;
/// Entries of a page of an export.
pub const MAX_EXPORT: u32 = 5_000;
/// Columns of an export as a table. An import reads them, too.
pub(crate) const COLUMNS: [&str; 15] = [
    "id",
    "address",
    "channel",
    "purpose",
    "status",
    "kind",
    "at",
    "method",
    "source",
    "evidence",
    "actor",
    "event_id",
    "message_id",
    "words",
    "recorded_at",
];
/// The target of audit entries.
pub(crate) const TARGET: &str = "consent_ledger";
/// Members of the evidence with columns of their own.
const SOURCE: &str = "source";

/// Returns the context that the words of an event are encrypted with.
pub fn words_context(event: &str) -> String {
    format!("{event} words")
}

/// Encrypts words of a person for the ledger, at most [`MAX_WORDS`] characters.
pub fn seal_words(vault: &Vault, org: &OrgId, event: &str, words: &str) -> Vec<u8> {
    let end = words.char_indices().nth(MAX_WORDS).map_or(words.len(), |(at, _)| at);
    vault.encrypt(org, &words_context(event), &words.as_bytes()[..end])
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerFormat {
    JsonLines,
    /// With a head line on the first page.
    Csv,
}

/// An entry with its words.
#[derive(Clone)]
pub struct LedgerEntry {
    pub event: ConsentEvent,
    /// The person's own words.
    pub words: Option<String>,
}

impl LedgerEntry {
    /// Returns the address. `None`: the person is erased.
    pub fn address(&self) -> Option<&str> {
        let contact = self.event.contact.as_str();
        (!contact.starts_with(ERASED_PREFIX)).then_some(contact)
    }

    /// Returns the channels that the entry holds on.
    pub fn channels(&self) -> Vec<Channel> {
        self.event.channels()
    }

    /// Returns the entry as a JSON object.
    pub fn to_json(&self) -> Value {
        let event = &self.event;
        let mut view = json!({
            "id": event.id, "channel": event.channel, "channels": self.channels(), "purpose": event.purpose,
            "status": <&str>::from(event.action), "method": <&str>::from(event.method), "actor": event.actor,
            "at": time(event.at), "recordedAt": time(event.recorded_at), "evidence": event.evidence,
        });
        let optional = [
            ("address", self.address()),
            ("kind", event.kind.as_deref()),
            ("eventId", event.event_id.as_deref()),
            ("messageId", event.message_id.as_deref()),
            ("words", self.words.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                view[name] = json!(value);
            }
        }
        view
    }

    fn columns(&self) -> [String; COLUMNS.len()] {
        let event = &self.event;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let mut evidence = event.evidence.clone();
        let members = evidence.as_object_mut();
        let source = members.and_then(|members| members.remove(SOURCE));
        let has_more = evidence.as_object().is_some_and(|members| !members.is_empty());
        [
            event.id.clone(),
            event.contact.clone(),
            event.channel.clone(),
            event.purpose.clone(),
            <&str>::from(event.action).to_owned(),
            text(event.kind.as_deref()),
            time(event.at),
            <&str>::from(event.method).to_owned(),
            text(source.as_ref().and_then(Value::as_str)),
            if has_more { evidence.to_string() } else { String::new() },
            event.actor.clone(),
            text(event.event_id.as_deref()),
            text(event.message_id.as_deref()),
            text(self.words.as_deref()),
            time(event.recorded_at),
        ]
    }
}

/// A page of an export.
pub struct LedgerPage {
    pub text: String,
    pub entries: usize,
    /// The id of the last entry. `None`: there are none after it.
    pub next: Option<String>,
}

/// The ledger of one installation, by organization. Cheap to clone.
#[derive(Clone)]
pub struct ConsentLedger {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
}

impl ConsentLedger {
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Self {
        Self { store, vault, clock }
    }

    /// Lists the entries about a contact, oldest first, after the entry with an id. Entries from before the person was erased
    /// are found by the keyed hash.
    pub async fn list(
        &self,
        org: &OrgId,
        contact: &Address,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, Failure> {
        let place = self.place(org, after).await?;
        let key = contact.contact_key();
        let erased = format!("{ERASED_PREFIX}{}", self.vault.contact_hash(org, &key));
        let keys = (key.as_str(), erased.as_str());
        let found = self.store.list_consent_events_of(org, keys, place, limit).await?;
        Ok(found.into_iter().map(|event| self.open(org, event)).collect())
    }

    /// Returns the entries of the organization after the entry with an id, oldest first, at most [`MAX_EXPORT`]. `actor` is the id
    /// of a token; the audit log names the part.
    pub async fn export(
        &self,
        org: &OrgId,
        actor: &str,
        format: LedgerFormat,
        after: Option<&str>,
        limit: u32,
    ) -> Result<LedgerPage, Failure> {
        let place = self.place(org, after).await?;
        let limit = limit.clamp(1, MAX_EXPORT);
        // One more shows whether there is a next page.
        let mut found = self.store.list_consent_events(org, place, limit + 1).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| has_more).map(|last| last.id.clone());
        let entries: Vec<LedgerEntry> = found.into_iter().map(|event| self.open(org, event)).collect();
        let text = match format {
            LedgerFormat::JsonLines => entries.iter().map(|entry| format!("{}\n", entry.to_json())).collect(),
            LedgerFormat::Csv => table(&entries, after.is_none()).map_err(|error| {
                tracing::error!(%error, "export of the consent ledger failed");
                Failure::internal()
            })?,
        };
        let entry = AuditEntry::new(Some(org), actor, "consent.export", TARGET, self.clock.now());
        let entry = entry.with_detail(json!({ "after": after, "entries": entries.len() }));
        self.store.append_audit(&entry).await?;
        Ok(LedgerPage {
            text,
            entries: entries.len(),
            next,
        })
    }

    /// Returns the place of the entry with this id; without one, the place before the first entry.
    async fn place(&self, org: &OrgId, id: Option<&str>) -> Result<i64, Failure> {
        let Some(id) = id else { return Ok(0) };
        let found = self.store.find_consent_event_place(org, id).await?;
        found.ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "after is not the id of an entry of the consent ledger",
            )
            .hint("use the id of the last entry that you have read, or leave it out")
        })
    }

    fn open(&self, org: &OrgId, mut event: ConsentEvent) -> LedgerEntry {
        let sealed = event.words.take().zip(event.event_id.as_deref());
        let words = sealed.and_then(|(sealed, id)| {
            let plain = self.vault.decrypt(org, &words_context(id), &sealed);
            let plain =
                plain.inspect_err(|error| tracing::error!(%error, event = id, "words of a consent not decrypted"));
            String::from_utf8(plain.ok()?).ok()
        });
        LedgerEntry { event, words }
    }
}

fn table(entries: &[LedgerEntry], has_head: bool) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if has_head {
        writer.write_record(COLUMNS)?;
    }
    for entry in entries {
        writer.write_record(entry.columns())?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
