//! Operations on the messages that the vendors accepted: storing, changing, finding and waiting.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast;

use super::{mailbox::pick, message::SimulatedMessage, state::SimulatorState};

impl SimulatorState {
    /// Returns the newest messages of all vendors, oldest first.
    pub fn messages(&self) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(None, usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// Returns the messages to one person on all channels, oldest first.
    pub fn messages_to(&self, address: &str) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(Some(address), usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// Returns at most `limit` messages of all vendors, newest first; with `to`, only those to this recipient.
    pub fn newest(&self, to: Option<&str>, limit: usize) -> Vec<Arc<SimulatedMessage>> {
        let mut all: Vec<Arc<SimulatedMessage>> = Vec::new();
        for vendor in self.lock().vendors.values() {
            match to {
                Some(to) => all.extend(vendor.mailbox.newest_first_to(to).take(limit).cloned()),
                None => all.extend(vendor.mailbox.newest_first().take(limit).cloned()),
            }
        }
        all.sort_unstable_by_key(|message| std::cmp::Reverse(message.sequence));
        all.truncate(limit);
        all
    }

    /// Waits for the first message that matches: an existing one, a new one, or one that matches after a change.
    pub async fn wait_for(
        &self,
        matches: impl Fn(&SimulatedMessage) -> bool,
        timeout: Duration,
    ) -> Option<SimulatedMessage> {
        let mut changes = self.changes();
        let search = async {
            loop {
                let here = self.newest(None, usize::MAX);
                if let Some(found) = here.iter().rev().find(|message| matches(message)) {
                    return Some(found.clone());
                }
                loop {
                    match changes.recv().await {
                        Ok(message) if matches(&message) => return Some(message),
                        Ok(_) => {}
                        // Some changes were missed, so check all messages again.
                        Err(broadcast::error::RecvError::Lagged(_)) => break,
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            }
        };
        let found = tokio::time::timeout(timeout, search).await.ok().flatten()?;
        Some(SimulatedMessage::clone(&found))
    }

    /// Stores a message that the vendor accepts.
    pub(crate) fn accept(&self, mut message: SimulatedMessage) -> Arc<SimulatedMessage> {
        let message = {
            let mut state = self.lock();
            state.sequence += 1;
            message.sequence = state.sequence;
            let message = Arc::new(message);
            let vendor = state.vendors.entry(message.vendor).or_default();
            vendor.mailbox.push(message.clone());
            message
        };
        self.publish_new(&message);
        message
    }

    pub(crate) fn set_status(
        &self,
        vendor: &str,
        carrier_id: &str,
        status: &'static str,
        error_code: Option<u32>,
    ) -> Option<Arc<SimulatedMessage>> {
        let now = self.now();
        let message = {
            let mut state = self.lock();
            let vendor = state.vendors.get_mut(vendor)?;
            vendor.mailbox.update(carrier_id, |message| {
                message.status = status;
                message.error_code = error_code;
                message.updated_at = now;
            })?
        };
        self.publish_change(&message);
        Some(message)
    }

    /// Removes text, recipient and media of a message, which gets this status.
    pub(crate) fn redact(&self, vendor: &str, carrier_id: &str, status: &'static str) {
        let mut state = self.lock();
        if let Some(vendor) = state.vendors.get_mut(vendor) {
            vendor.mailbox.update(carrier_id, |message| {
                message.status = status;
                message.body.clear();
                message.to.clear();
                message.media.clear();
            });
        }
    }

    /// Notes the deletion of a call or a recording. Returns false if it is deleted already.
    pub(crate) fn note_deletion(&self, id: &str) -> bool {
        self.lock().deleted.insert(id.to_owned())
    }

    /// Returns whether the product has deleted this call or recording.
    pub fn is_deleted(&self, id: &str) -> bool {
        self.lock().deleted.contains(id)
    }

    pub(crate) fn find(&self, vendor: &str, carrier_id: &str) -> Option<Arc<SimulatedMessage>> {
        let state = self.lock();
        state.vendors.get(vendor)?.mailbox.find(carrier_id).cloned()
    }

    /// Returns at most `limit` messages of one vendor that match, newest first.
    pub(crate) fn select(
        &self,
        vendor: &str,
        to: Option<&str>,
        limit: usize,
        fits: impl Fn(&SimulatedMessage) -> bool,
    ) -> Vec<Arc<SimulatedMessage>> {
        let state = self.lock();
        let Some(vendor) = state.vendors.get(vendor) else {
            return Vec::new();
        };
        match to {
            Some(to) => pick(vendor.mailbox.newest_first_to(to), limit, fits),
            None => pick(vendor.mailbox.newest_first(), limit, fits),
        }
    }
}
