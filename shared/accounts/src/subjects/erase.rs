//! The erasure of a person: rows of tables, stored attachments, dead letters and what is known of the contact.

use butt_dial_domain::OrgId;
use butt_dial_messaging::{inbound::envelope::addresses_of, media::Blobs};
use butt_dial_store::{ErasedRow, StoreError, SubjectRow, SubjectTable, VendorResource};
use serde_json::{Map, Value, json};

use super::{
    Subjects,
    walk::{PAGE, Page, Work},
};

/// Members of an event that name no person and hold no words.
const KEPT: [&str; 13] = [
    "type",
    "channel",
    "status",
    "timestamp",
    "messageId",
    "callId",
    "direction",
    "callStatus",
    "durationSeconds",
    "handledBy",
    "provider",
    "keyword",
    "code",
];
/// The carrier of messages between agents.
const INTERNAL: &str = "internal";
/// Addresses with consents or suppressions of a page.
const SPELLINGS: u32 = 5_000;
const MESSAGE: &str = "message";
const CALL: &str = "call";
const RECORDING: &str = "recording";

impl Subjects {
    pub(super) async fn erase_rows(&self, work: &mut Work, page: Page) -> Result<(), StoreError> {
        let org = work.job.org();
        let (open, rows): (Vec<_>, Vec<_>) = page.rows.into_iter().partition(|row| row.is_open);
        work.place.has_open |= !open.is_empty();
        work.count(rows.len());
        work.close_page();
        if rows.is_empty() {
            return self.advance(work).await;
        }
        if page.table == SubjectTable::Events
            && let Some(blobs) = &self.blobs
        {
            // Before the rows, which name them. A repetition finds none.
            delete_blobs(blobs, &org, &rows).await?;
        }
        let resources: Vec<VendorResource> = rows.iter().flat_map(|row| resources_of(page.table, row)).collect();
        let erased = work.person.erased();
        let rows: Vec<ErasedRow> = rows
            .into_iter()
            .map(|row| ErasedRow {
                data: replacement(page.table, &row, |text| work.person.has(text), &erased),
                address: row.address,
                id: row.id,
            })
            .collect();
        let written = Self::written(work);
        let advance = self.advance_of(work, &written);
        self.store
            .erase_subject_rows((&org, page.table), &rows, &resources, &erased, &advance)
            .await
    }

    pub(super) async fn erase_dead_letters(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let after = Some(work.place.after.clone()).filter(|after| !after.is_empty());
        let letters = self.store.list_dead_letters(after.as_deref(), PAGE).await?;
        let is_last = letters.len() < PAGE as usize;
        // A letter that is deleted can't be the place of the next page.
        let kept = |id: &str, ids: &[String]| !ids.iter().any(|known| known == id);
        let ids: Vec<String> = letters
            .iter()
            .filter(|letter| {
                let found = addresses_of(&self.vault, &org, &letter.payload);
                found.iter().any(|address| work.person.has(address))
            })
            .map(|letter| letter.id.clone())
            .collect();
        if let Some(last) = letters.iter().rev().find(|letter| kept(&letter.id, &ids)) {
            work.place.after.clone_from(&last.id);
        }
        work.count(ids.len());
        if is_last {
            work.finish_step();
        }
        let written = Self::written(work);
        self.store
            .erase_subject_dead_letters(&ids, &self.advance_of(work, &written))
            .await
    }

    /// Erases other spellings in pages, and the keys with the last page.
    pub(super) async fn erase_contact(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let page = self
            .store
            .list_contact_spellings(&org, &work.place.after, SPELLINGS)
            .await?;
        let spellings: Vec<_> = page
            .iter()
            .filter_map(|address| work.person.erased_spelling(address))
            .collect();
        let (mut keys, mut hashes) = (Vec::new(), Vec::new());
        match page.last().filter(|_| page.len() == SPELLINGS as usize) {
            Some(last) => work.place.after.clone_from(last),
            None => {
                (keys, hashes) = (work.person.erased_keys(), work.person.hashes.clone());
                work.finish_step();
            }
        }
        work.progress_of("contact", keys.len() + spellings.len());
        let written = Self::written(work);
        let advance = self.advance_of(work, &written);
        self.store
            .erase_subject_contact(&org, &keys, &spellings, &hashes, &advance)
            .await
    }
}

async fn delete_blobs(blobs: &Blobs, org: &OrgId, rows: &[SubjectRow]) -> Result<(), StoreError> {
    for row in rows {
        let deleted = blobs.purge_event(row.at, org, &row.id).await;
        deleted.map_err(|error| {
            tracing::warn!(error, %org, "attachments of an erased person not deleted; the job repeats it");
            StoreError::Config("the storage of attachments does not answer".into())
        })?;
    }
    Ok(())
}

/// Returns the resources at vendors that a row names.
fn resources_of(table: SubjectTable, row: &SubjectRow) -> Vec<VendorResource> {
    let resource = |kind: &str, id: &str| {
        Some(VendorResource {
            vendor: row.vendor.clone().filter(|vendor| vendor != INTERNAL)?,
            resource: id.to_owned(),
            kind: kind.to_owned(),
            channel: row.channel.clone().unwrap_or_default(),
            own_address: row.own_address.clone()?,
        })
    };
    let id = row.vendor_id.as_deref().filter(|id| !id.is_empty());
    let kind = match (table, row.channel.as_deref()) {
        (SubjectTable::Calls, _) | (SubjectTable::Messages, Some("voice")) => CALL,
        (SubjectTable::Messages | SubjectTable::Events, _) => MESSAGE,
        _ => return Vec::new(),
    };
    let recording = row.data.as_deref().filter(|_| table == SubjectTable::Calls);
    id.and_then(|id| resource(kind, id))
        .into_iter()
        .chain(recording.and_then(|id| resource(RECORDING, id)))
        .collect()
}

/// Returns what replaces the data of a row.
fn replacement(table: SubjectTable, row: &SubjectRow, is_person: impl Fn(&str) -> bool, erased: &str) -> Option<Value> {
    let data: Value = row.data.as_deref().and_then(|text| serde_json::from_str(text).ok())?;
    match (table, data) {
        (SubjectTable::Events, Value::Object(members)) => {
            let kept = members.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
            let mut kept: Map<String, Value> = kept.collect();
            kept.insert("erased".into(), json!(true));
            Some(Value::Object(kept))
        }
        // An empty list stands for all contacts.
        (SubjectTable::Subscriptions, Value::Array(contacts)) => {
            let replaced = contacts.into_iter().map(|contact| match contact.as_str() {
                Some(text) if is_person(text) => json!(erased),
                _ => contact,
            });
            Some(Value::Array(replaced.collect()))
        }
        _ => None,
    }
}
