//! The archive of a person: JSON lines in encrypted parts.

use butt_dial_store::{JobAdvance, StoreError, SubjectRow, SubjectTable};
use serde_json::{Value, json};

use super::{
    Subjects,
    walk::{PAGE, Page, Work},
};

/// Returns the context that a part is encrypted with.
pub(super) fn context(job: &str, part: i64) -> String {
    format!("{job} archive {part}")
}

impl Subjects {
    pub(super) async fn archive_rows(&self, work: &mut Work, page: Page) -> Result<(), StoreError> {
        let lines: Vec<Value> = page.rows.iter().map(|row| self.line(work, page.table, row)).collect();
        work.count(lines.len());
        work.place.has_open = false;
        work.close_page();
        self.append(work, &lines).await
    }

    /// Archives what is known of the contact: addresses, suppressions and the consent ledger.
    pub(super) async fn archive_contact(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let mut lines = vec![json!({ "type": "contact", "addresses": work.person.keys })];
        for key in &work.person.keys {
            for (channel, reason) in self.store.list_suppressions_of(&org, key).await? {
                lines.push(json!({ "type": "suppression", "address": key, "channel": channel, "reason": reason }));
            }
            let mut after = 0;
            loop {
                let page = self.store.list_consent_events_of(&org, (key, key), after, PAGE).await?;
                for event in &page {
                    let words = event.words.as_deref().zip(event.event_id.as_deref());
                    let words = words.and_then(|(sealed, id)| {
                        let plain = self
                            .vault
                            .decrypt(&org, &butt_dial_compliance::words_context(id), sealed)
                            .ok()?;
                        String::from_utf8(plain).ok()
                    });
                    lines.push(json!({
                        "type": "consent", "id": event.id, "address": event.contact, "channel": event.channel,
                        "purpose": event.purpose, "status": <&str>::from(event.action), "method": <&str>::from(event.method),
                        "kind": event.kind, "actor": event.actor, "at": event.at.to_rfc3339(), "words": words,
                        "evidence": event.evidence, "eventId": event.event_id, "messageId": event.message_id,
                    }));
                }
                match page.last().filter(|_| page.len() == PAGE as usize) {
                    Some(last) => after = last.seq,
                    None => break,
                }
            }
        }
        work.count(lines.len());
        work.finish_step();
        self.append(work, &lines).await
    }

    async fn append(&self, work: &mut Work, lines: &[Value]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return self.advance(work).await;
        }
        let part = work.place.part;
        work.place.part += 1;
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let org = work.job.org();
        let sealed = self.vault.encrypt(&org, &context(&work.job.id, part), text.as_bytes());
        let written = Self::written(work);
        let advance: JobAdvance<'_> = self.advance_of(work, &written);
        self.store.append_subject_archive((&org, part), &sealed, &advance).await
    }

    fn line(&self, work: &Work, table: SubjectTable, row: &SubjectRow) -> Value {
        let content = row.content.as_deref().map(|sealed| {
            let plain = self.vault.decrypt(&work.job.org(), &row.id, sealed);
            match plain {
                Ok(plain) => serde_json::from_slice(&plain)
                    .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&plain).into_owned())),
                Err(error) => {
                    tracing::error!(%error, job = work.job.id, "content of an archive not decrypted");
                    json!({ "unreadable": true })
                }
            }
        });
        let data = row
            .data
            .as_deref()
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
        let address = row.address.as_deref().filter(|_| table != SubjectTable::Refusals);
        let line = json!({
            "type": <&str>::from(table), "id": row.id, "address": address, "channel": row.channel,
            "kind": row.kind, "status": row.status, "vendor": row.vendor, "vendorId": row.vendor_id,
            "ownAddress": row.own_address, "at": row.at.to_rfc3339(), "data": data, "content": content,
        });
        match line {
            Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => other,
        }
    }
}
