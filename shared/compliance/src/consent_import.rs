//! The import of consents as a table, with their evidence. Rows are written in batches while the table is read; a row that is not valid
//! is named with its line and column, and the others are written.

use std::{collections::BTreeMap, io::Read};

use butt_dial_domain::{Address, Channel, Code, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{AuditEntry, ConsentMethod, ImportedConsent};
use serde_json::{Map, Value, json};

use crate::{
    ConsentLedger,
    consent_ledger::{COLUMNS, TARGET},
    consents::CONSENT_KINDS,
};

/// Rows of one transaction.
const BATCH: usize = 500;
/// Errors of an import that are returned; all are counted.
const MAX_ERRORS: usize = 100;
/// Characters of the source and of the evidence.
const MAX_TEXT: usize = 500;
const REQUIRED: [&str; 3] = ["address", "status", "at"];

/// A consent to record, as its caller gives it.
#[derive(Clone, Debug, Default)]
pub struct NewLedgerEntry {
    pub address: String,
    /// `None`: by the address.
    pub channel: Option<String>,
    /// `None`: of all messages and calls.
    pub purpose: Option<String>,
    pub status: String,
    pub kind: Option<String>,
    /// In RFC 3339.
    pub at: String,
    /// How the person has consented.
    pub source: Option<String>,
    /// The place of the proof, such as the address of a document.
    pub evidence: Option<String>,
}

/// A row that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConsent {
    /// From 1; in a list of entries its number.
    pub line: u64,
    pub column: &'static str,
    pub reason: String,
}

/// How far an import is.
#[derive(Clone, Debug, Default)]
pub struct ConsentImport {
    pub read: u64,
    /// New in the ledger. A row that is there already is not counted.
    pub recorded: u64,
    /// Rows of the state that have changed, for each channel.
    pub changed: u64,
    pub invalid: u64,
    /// The first invalid rows.
    pub errors: Vec<InvalidConsent>,
}

type Refused = (&'static str, String);

impl ConsentLedger {
    /// Records entries of an administrator. `actor` is the id of a token.
    pub async fn record(&self, org: &OrgId, actor: &str, entries: &[NewLedgerEntry]) -> Result<ConsentImport, Failure> {
        self.require_organization(org).await?;
        let mut import = ConsentImport::default();
        let mut valid = Vec::new();
        for (entry, line) in entries.iter().zip(1..) {
            import.read += 1;
            match self.check(org, entry, ConsentMethod::Administrator) {
                Ok(row) => valid.push(row),
                Err(refused) => import.note(line, refused),
            }
        }
        for batch in valid.chunks(BATCH) {
            self.write(org, actor, batch, &mut import).await?;
        }
        Ok(import)
    }

    /// Imports a table with the columns address, status and at, and optionally channel, purpose, kind, source and evidence, in any
    /// order. Reports after each batch. An interrupted import is repeated from its beginning: known rows are not recorded twice.
    pub async fn import(
        &self,
        org: &OrgId,
        actor: &str,
        table: impl Read + Send,
        mut report: impl FnMut(&ConsentImport) + Send,
    ) -> Result<ConsentImport, Failure> {
        self.require_organization(org).await?;
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(table);
        let columns = read_head(&mut reader)?;
        let mut import = ConsentImport::default();
        let (mut batch, mut record) = (Vec::with_capacity(BATCH), csv::ByteRecord::new());
        loop {
            let has_row = reader.read_byte_record(&mut record).map_err(unreadable)?;
            if has_row {
                import.read += 1;
                let line = record.position().map_or(0, csv::Position::line);
                let row = read_row(&columns, &record);
                match row.and_then(|row| self.check(org, &row, ConsentMethod::Import)) {
                    Ok(row) => batch.push(row),
                    Err(refused) => import.note(line, refused),
                }
            }
            if batch.len() == BATCH || (!has_row && !batch.is_empty()) {
                self.write(org, actor, &batch, &mut import).await?;
                batch.clear();
                report(&import);
            }
            if !has_row {
                return Ok(import);
            }
        }
    }

    async fn require_organization(&self, org: &OrgId) -> Result<(), Failure> {
        match self.store.find_organization(org).await? {
            Some(_) => Ok(()),
            None => Err(Failure::new(Code::NotFound, "there is no organization with this id")
                .hint("`butt-dial bootstrap --json` prints the id of the first one")),
        }
    }

    async fn write(
        &self,
        org: &OrgId,
        actor: &str,
        rows: &[ImportedConsent],
        import: &mut ConsentImport,
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        let entry = AuditEntry::new(Some(org), actor, "consent.import", TARGET, now);
        let change = self.store.change(entry.with_detail(json!({ "rows": rows.len() })));
        let done = change.import_consents(org, rows, now).await?;
        import.recorded += done.appended;
        import.changed += done.changed;
        Ok(())
    }

    /// Checks an entry, and completes it.
    fn check(&self, org: &OrgId, entry: &NewLedgerEntry, method: ConsentMethod) -> Result<ImportedConsent, Refused> {
        let is_marketing = match entry.purpose.as_deref() {
            None | Some("all") => false,
            Some("marketing") => true,
            Some(_) => return Err(("purpose", "the purpose is all or marketing".into())),
        };
        let channel = match entry.channel.as_deref() {
            Some(text) => Channel::parse(text).ok_or_else(|| {
                (
                    "channel",
                    "the channel is one of sms, whatsapp, email, line, voice".into(),
                )
            })?,
            None if is_marketing => Channel::Whatsapp,
            None if entry.address.contains('@') => Channel::Email,
            None => Channel::Sms,
        };
        if is_marketing && channel != Channel::Whatsapp {
            return Err(("purpose", "a consent to marketing alone is one of whatsapp".into()));
        }
        let address = Address::parse(channel, &entry.address).map_err(|error| ("address", error.to_string()))?;
        let granted = match entry.status.as_str() {
            "granted" => true,
            "revoked" => false,
            _ => return Err(("status", "the status is granted or revoked".into())),
        };
        let kind = entry.kind.clone();
        if kind.as_deref().is_some_and(|kind| !CONSENT_KINDS.contains(&kind)) {
            return Err(("kind", format!("the kind is one of {}", CONSENT_KINDS.join(", "))));
        }
        let at = entry.at.parse::<Timestamp>();
        let at = at.map_err(|_| ("at", "the time has the form 2026-01-31T09:30:00Z".to_owned()))?;
        if at > self.clock.now() {
            return Err(("at", "the time is in the future".into()));
        }
        let mut evidence = Map::new();
        for (name, text) in [("source", &entry.source), ("evidence", &entry.evidence)] {
            let Some(text) = text else { continue };
            if text.chars().count() > MAX_TEXT {
                return Err((name, format!("it has at most {MAX_TEXT} characters")));
            }
            evidence.insert(name.into(), json!(text));
        }
        if granted && !evidence.contains_key("source") {
            return Err((
                "source",
                "a granted consent needs a source: how the person has consented".into(),
            ));
        }
        let evidence = Value::Object(evidence);
        let reference = match method {
            ConsentMethod::Administrator => butt_dial_domain::ids::unique(),
            // Keyed, because the ids of entries outlive the addresses of erased persons.
            _ => {
                let row = json!([address.contact_key(), channel, is_marketing, granted, at, evidence]);
                self.vault.request_hash(org, &row.to_string())
            }
        };
        Ok(ImportedConsent {
            reference,
            address: address.as_str().to_owned(),
            channel,
            is_marketing,
            granted,
            kind,
            method,
            evidence,
            at,
        })
    }
}

impl ConsentImport {
    fn note(&mut self, line: u64, (column, reason): Refused) {
        self.invalid += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(InvalidConsent { line, column, reason });
        }
    }
}

/// Reads the head line: which column is where.
fn read_head<R: Read>(reader: &mut csv::Reader<R>) -> Result<BTreeMap<&'static str, usize>, Failure> {
    let head = reader.byte_headers().map_err(unreadable)?;
    let mut columns = BTreeMap::new();
    for (index, name) in head.iter().enumerate() {
        let name = String::from_utf8_lossy(name)
            .trim_start_matches('\u{feff}')
            .to_ascii_lowercase();
        let known = COLUMNS.iter().find(|known| **known == name).ok_or_else(|| {
            Failure::new(Code::InvalidArgument, format!("the table has an unknown column {name:?}"))
                .hint("the first line names the columns: address, status, at, and optionally channel, purpose, kind, source, evidence")
        })?;
        columns.insert(*known, index);
    }
    match REQUIRED.iter().find(|name| !columns.contains_key(**name)) {
        None => Ok(columns),
        Some(name) => Err(Failure::new(
            Code::InvalidArgument,
            format!("the table has no column {name}; its first line names the columns"),
        )
        .hint("the columns address, status and at are required")),
    }
}

fn read_row(columns: &BTreeMap<&'static str, usize>, record: &csv::ByteRecord) -> Result<NewLedgerEntry, Refused> {
    let text = |name: &'static str| -> Result<Option<String>, Refused> {
        let field = columns.get(name).and_then(|index| record.get(*index));
        let Some(field) = field.filter(|field| !field.is_empty()) else {
            return Ok(None);
        };
        match std::str::from_utf8(field) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err((name, "the text is not UTF-8".into())),
        }
    };
    Ok(NewLedgerEntry {
        address: text("address")?.unwrap_or_default(),
        channel: text("channel")?,
        purpose: text("purpose")?,
        status: text("status")?.unwrap_or_default(),
        kind: text("kind")?,
        at: text("at")?.unwrap_or_default(),
        source: text("source")?,
        evidence: text("evidence")?,
    })
}

fn unreadable(error: csv::Error) -> Failure {
    Failure::new(Code::InvalidArgument, format!("the table can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(table: &str) -> Result<BTreeMap<&'static str, usize>, Failure> {
        read_head(&mut csv::ReaderBuilder::new().from_reader(table.as_bytes()))
    }

    #[test]
    fn reads_columns_in_any_order() {
        let columns = head("\u{feff}at,Status,address\n").unwrap();
        assert_eq!((columns["at"], columns["status"], columns["address"]), (0, 1, 2));
        let record = csv::ByteRecord::from(vec!["2026-01-31T09:30:00Z", "granted", "+14155550123"]);
        let row = read_row(&columns, &record).unwrap();
        assert_eq!(
            (row.address.as_str(), row.status.as_str(), row.source),
            ("+14155550123", "granted", None)
        );
        let broken = csv::ByteRecord::from(vec![&b"x"[..], b"granted", b"\xff"]);
        assert_eq!(read_row(&columns, &broken).unwrap_err().0, "address");
    }

    #[test]
    fn refuses_tables_without_known_columns() {
        assert!(head("address,status\n").unwrap_err().message.contains("no column at"));
        assert!(
            head("address,status,at,colour\n")
                .unwrap_err()
                .message
                .contains("unknown column")
        );
        assert!(head("").is_err());
    }
}
