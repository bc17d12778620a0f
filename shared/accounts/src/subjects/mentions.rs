//! The erasure of a person from texts about something else: grants and labels of tokens, alerts, ids of tasks.

use butt_dial_domain::{Grants, ids};
use butt_dial_store::{AlertTexts, AuditEntry, StoreError, TokenTexts};
use serde_json::json;

use super::{
    Subjects,
    walk::{PAGE, Work},
};
use crate::audit::SYSTEM;

impl Subjects {
    /// Removes the person from the recipients that tokens are granted, and from labels. A token with no recipients left
    /// reaches no person.
    pub(super) async fn erase_grants(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let page = self.store.list_token_texts(&org, &work.place.after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        move_behind(work, page.last().map(|token| token.id.as_str()), is_last);
        let changed: Vec<TokenTexts> = page
            .into_iter()
            .filter_map(|token| {
                let stored: Option<Grants> = token.grants.as_deref().and_then(|text| serde_json::from_str(text).ok());
                let grants = stored.and_then(|grants| grants.without_recipients(|entry| work.person.has(entry)));
                let label = token.label.as_deref().and_then(|label| work.person.scrub(label));
                (grants.is_some() || label.is_some()).then(|| TokenTexts {
                    // Consist of strings and numbers, so serialization cannot fail.
                    grants: grants.map(|grants| json!(grants).to_string()),
                    label,
                    id: token.id,
                })
            })
            .collect();
        work.progress_of("grants", changed.len());
        if changed.is_empty() {
            return self.advance(work).await;
        }
        let written = Self::written(work);
        let advance = self.advance_of(work, &written);
        let tokens: Vec<&str> = changed.iter().map(|token| token.id.as_str()).collect();
        let entry = AuditEntry::new(Some(&org), SYSTEM, "subject.erase_grants", &work.job.id, advance.now);
        let change = self.store.change(entry.with_detail(json!({ "tokens": tokens })));
        change.replace_token_texts(&org, &changed, &advance).await
    }

    /// Removes the person from alerts.
    pub(super) async fn erase_alerts(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let page = self.store.list_alert_texts(&org, &work.place.after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        move_behind(work, page.last().map(|alert| alert.id.as_str()), is_last);
        let changed: Vec<AlertTexts> = page
            .into_iter()
            .filter_map(|mut alert| {
                let title = work.person.scrub(&alert.title);
                let is_named = work.person.scrub_value(&mut alert.evidence) || title.is_some();
                alert.title = title.unwrap_or(alert.title);
                is_named.then_some(alert)
            })
            .collect();
        work.progress_of("alerts", changed.len());
        let written = Self::written(work);
        let advance = self.advance_of(work, &written);
        self.store.replace_alert_texts(&changed, &advance).await
    }

    /// Renames a task with an id that names the person. Its cost and its budget stay.
    pub(super) async fn erase_tasks(&self, work: &mut Work) -> Result<(), StoreError> {
        let org = work.job.org();
        let after = Some(work.place.after.clone()).filter(|after| !after.is_empty());
        let page = self.store.list_tasks(&org, after.as_deref(), PAGE).await?;
        let named = page.iter().find(|task| work.person.scrub(&task.task).is_some());
        let Some(named) = named else {
            let is_last = page.len() < PAGE as usize;
            move_behind(work, page.last().map(|task| task.task.as_str()), is_last);
            return self.advance(work).await;
        };
        // One of a page at a time: the renamed one is no more found.
        work.progress_of("tasks", 1);
        let written = Self::written(work);
        let advance = self.advance_of(work, &written);
        let renamed = format!("erased-{}", ids::unique());
        let entry = AuditEntry::new(Some(&org), SYSTEM, "subject.erase_task", &work.job.id, advance.now);
        let change = self.store.change(entry.with_detail(json!({ "task": renamed })));
        change.rename_task(&org, (&named.task, &renamed), &advance).await
    }
}

fn move_behind(work: &mut Work, last: Option<&str>, is_last: bool) {
    match last.filter(|_| !is_last) {
        Some(last) => work.place.after = last.to_owned(),
        None => work.finish_step(),
    }
}
