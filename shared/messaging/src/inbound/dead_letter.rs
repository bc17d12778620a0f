//! Dead letters: webhook events that cannot be applied, unchanged, so that an operator can append them to the stream again.

use butt_dial_domain::{
    Code, Failure,
    clock::Timestamp,
    ports::bus::{Headers, LogEntry},
};
use butt_dial_store::{DeadLetter, DeadLetterReason, NewDeadLetter};

use super::{
    Inbound, STREAM,
    envelope::{Envelope, SealedEvent, digest},
};

const MAX_PAGE: u32 = butt_dial_domain::bounds::DEAD_LETTERS;
/// Replays of one sweep.
const BATCH: u32 = 64;

/// The part of a dead letter that an operator may see: never a message text or an address.
pub struct DeadLetterView {
    pub id: String,
    pub reason: DeadLetterReason,
    pub created_at: Timestamp,
    pub is_replay_requested: bool,
    /// In bytes.
    pub size: usize,
    /// Absent if the entry is no event.
    pub event: Option<EventView>,
}

/// The readable part of an event.
pub struct EventView {
    pub id: String,
    pub carrier: String,
    /// `message`, `receipt` or `call`.
    pub kind: &'static str,
    pub org: Option<String>,
    pub agent: Option<String>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            size: letter.payload.len(),
            event: serde_json::from_slice::<Envelope>(&letter.payload)
                .ok()
                .map(EventView::from),
            id: letter.id,
            reason: letter.reason,
            created_at: letter.created_at,
            is_replay_requested: letter.replay_requested_at.is_some(),
        }
    }
}

impl From<Envelope> for EventView {
    fn from(envelope: Envelope) -> Self {
        let (kind, owner) = match envelope.event {
            SealedEvent::Message { org, agent, .. } => ("message", Some((org, agent))),
            SealedEvent::Receipt { .. } => ("receipt", None),
            SealedEvent::Call(call) => ("call", Some((call.org, call.agent))),
        };
        let (org, agent) = owner.unzip();
        Self {
            id: envelope.id,
            carrier: envelope.carrier,
            kind,
            org: org.map(|org| org.into_string()),
            agent: agent.map(|agent| agent.into_string()),
        }
    }
}

/// Makes the dead letter of an entry.
pub(super) fn dead_letter(entry: &LogEntry, reason: DeadLetterReason) -> NewDeadLetter {
    // A stream that lost its last entries gives their numbers to new ones.
    let hash = digest(&[&String::from_utf8_lossy(&entry.message.payload)]);
    NewDeadLetter {
        id: format!(
            "{}-{}-{}",
            STREAM.name,
            entry.sequence,
            hash.get(..8).unwrap_or_default()
        ),
        reason,
        payload: entry.message.payload.to_vec(),
    }
}

impl Inbound {
    /// Lists dead letters, the oldest first, after the one with this id. `limit` is clamped to 1 to 100.
    pub async fn list_dead_letters(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetterView>, Failure> {
        let letters = self.store.list_dead_letters(after, limit.clamp(1, MAX_PAGE)).await?;
        Ok(letters.into_iter().map(DeadLetterView::from).collect())
    }

    pub async fn get_dead_letter(&self, id: &str) -> Result<DeadLetterView, Failure> {
        let found = self.store.find_dead_letter(id).await?;
        found.map(DeadLetterView::from).ok_or_else(unknown)
    }

    /// Requests that a dead letter is appended to the stream again; without an id, all of them. A dispatcher does it within
    /// seconds. Returns how many were requested.
    pub async fn request_replay(&self, id: Option<&str>) -> Result<u64, Failure> {
        if let Some(id) = id {
            self.get_dead_letter(id).await?;
        }
        Ok(self.store.request_replay(id, self.clock.now()).await?)
    }

    /// Deletes a dead letter for good.
    pub async fn drop_dead_letter(&self, id: &str) -> Result<(), Failure> {
        match self.store.delete_dead_letter(id).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// Appends requested dead letters to the stream again, and deletes them. Returns how many. A crash in between repeats the
    /// append; the event is recognized by its id.
    pub async fn replay_dead_letters(&self) -> Result<usize, Failure> {
        let letters = self.store.list_requested_replays(BATCH).await?;
        let count = letters.len();
        for letter in letters {
            let requested_at = letter.replay_requested_at.unwrap_or_default();
            let id = format!("replay-{}-{}", letter.id, requested_at.timestamp_micros());
            let envelope = serde_json::from_slice::<Envelope>(&letter.payload).ok();
            let key = envelope.as_ref().map_or(letter.id.as_str(), Envelope::partition_key);
            let subject = self.partitions.subject_of(key);
            let appended = self.bus.append(&subject, &id, Headers::new(), letter.payload.into());
            if let Err(error) = appended.await {
                tracing::warn!(%error, dead_letter = letter.id, "dead letter not replayed; the next sweep tries again");
                continue;
            }
            self.store.delete_dead_letter(&letter.id).await?;
            tracing::info!(dead_letter = letter.id, "dead letter replayed");
        }
        Ok(count)
    }
}

fn unknown() -> Failure {
    Failure::new(Code::NotFound, "there is no dead letter with this id").hint("list the dead letters to find it")
}
