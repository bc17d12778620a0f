//! Transcription of voice notes and recordings. An event waits a few seconds for its transcript. A later transcript follows in a
//! second event that completes the first one (`deferred_body.rs`).

use std::time::Duration;

use butt_dial_compliance::seal_words;
use butt_dial_domain::{
    Address, AgentId, Code, Failure, OrgId,
    clock::Timestamp,
    inbound::InboundMessage,
    ports::{
        speech::SpeechError,
        transcription::{Recording, Transcript, Transcription},
    },
};
use butt_dial_identity::Caller;
use butt_dial_language::revocation;
use butt_dial_store::{AuditEntry, ConsentBasis, ConsentMethod, StoreError};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Blobs, Media, blobs};
use crate::{EventContent, inbound::keyword};

/// How long an event waits for its transcript.
const TRANSCRIPT_TIMEOUT: Duration = Duration::from_secs(12);
/// In the data of an event: the number of the recording with a transcript that will follow.
pub(super) const PENDING: &str = "transcriptPending";

/// The result of one attempt.
pub(super) enum Attempt {
    Done(Transcript),
    /// A later attempt may succeed.
    Later,
    /// There is nothing to transcribe, or it can't be transcribed.
    Never,
}

/// A stored recording of an event.
pub(super) struct StoredRecording<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub event: &'a str,
    pub created_at: Timestamp,
    /// The place in the list of attachments.
    pub number: usize,
}

impl Media {
    /// Switches the transcription of recordings for an organization. Fails with `AuthForbidden` without an organization.
    pub async fn set_transcription(&self, caller: &Caller, enabled: bool) -> Result<(), Failure> {
        let org = caller.principal.org.clone().ok_or_else(|| {
            Failure::new(Code::AuthForbidden, "this token belongs to no organization")
                .hint("use a team token of the organization")
        })?;
        let (actor, now) = (caller.principal.token.as_str(), self.clock.now());
        let entry = AuditEntry::new(Some(&org), actor, "transcription.set", org.as_str(), now);
        let change = self.store.change(entry.with_detail(json!({ "enabled": enabled })));
        Ok(change.set_transcription(&org, enabled).await?)
    }

    /// Returns whether recordings can be transcribed.
    pub fn has_transcriber(&self) -> bool {
        self.transcriber.is_some() && self.blobs.is_some()
    }

    /// Makes the first attempt for a stored recording: checks the organization's choice and charges the price.
    pub(super) async fn transcribe(&self, recording: &StoredRecording<'_>) -> Attempt {
        let own = self.carriers.services_of(recording.org).await.transcription;
        let (Some(transcriber), Some(blobs)) = (own.or_else(|| self.transcriber.clone()), &self.blobs) else {
            return Attempt::Never;
        };
        match self.store.find_transcription(recording.org).await {
            Ok(true) => {}
            Ok(false) => return Attempt::Never,
            Err(error) => {
                tracing::warn!(%error, event = recording.event, "transcription postponed: setting not read");
                return Attempt::Later;
            }
        }
        let sound = match self.read_recording(blobs, recording).await {
            Ok(Some(sound)) if sound.bytes.len() <= transcriber.max_bytes() => sound,
            Ok(_) => return Attempt::Never,
            Err(error) => {
                tracing::warn!(
                    error,
                    event = recording.event,
                    "transcription postponed: recording not read"
                );
                return Attempt::Later;
            }
        };
        if let Err(failure) = self.charge(recording.agent, sound.bytes.len()).await {
            tracing::info!(%failure, event = recording.event, "recording not transcribed: limit");
            return Attempt::Never;
        }
        self.request(transcriber.as_ref(), recording, &sound).await
    }

    /// Makes a further attempt, which was charged with the first one.
    pub(super) async fn transcribe_again(&self, recording: &StoredRecording<'_>) -> Attempt {
        let own = self.carriers.services_of(recording.org).await.transcription;
        let (Some(transcriber), Some(blobs)) = (own.or_else(|| self.transcriber.clone()), &self.blobs) else {
            return Attempt::Never;
        };
        match self.read_recording(blobs, recording).await {
            Ok(Some(sound)) => self.request(transcriber.as_ref(), recording, &sound).await,
            Ok(None) => Attempt::Never,
            Err(_) => Attempt::Later,
        }
    }

    async fn read_recording(
        &self,
        blobs: &Blobs,
        recording: &StoredRecording<'_>,
    ) -> Result<Option<Recording>, String> {
        let key = blobs::key(recording.created_at, recording.org, recording.event, recording.number);
        let found = blobs.find(&self.vault, recording.org, &key).await?;
        Ok(found.map(|open| Recording {
            bytes: open.bytes.clone(),
            content_type: open.meta.content_type.clone(),
            language: None,
        }))
    }

    async fn charge(&self, agent: &AgentId, bytes: usize) -> Result<(), Failure> {
        let profile = self.store.find_profile(agent).await?.ok_or_else(Failure::internal)?;
        self.billing
            .charge_transcription(&profile, self.billing.prices().transcription(bytes))
            .await
    }

    async fn request(
        &self,
        transcriber: &dyn Transcription,
        recording: &StoredRecording<'_>,
        sound: &Recording,
    ) -> Attempt {
        let answer = timeout(TRANSCRIPT_TIMEOUT, transcriber.transcribe(sound)).await;
        match answer.unwrap_or(Err(SpeechError::Unreachable)) {
            Ok(transcript) => Attempt::Done(transcript),
            Err(error @ (SpeechError::Overloaded { .. } | SpeechError::Unreachable)) => {
                tracing::warn!(%error, event = recording.event, "transcript late");
                Attempt::Later
            }
            Err(error) => {
                tracing::warn!(%error, event = recording.event, "recording not transcribed");
                Attempt::Never
            }
        }
    }
}

/// Returns the place of the first stored recording of a message without a transcript.
pub(super) fn find_recording(content: &EventContent) -> Option<usize> {
    let message = &content.message;
    let recordings = message.attachments.iter().zip(&content.links).enumerate();
    let mut stored = recordings.filter(|(_, (attachment, link))| attachment.is_voice && link.error.is_none());
    stored
        .next()
        .map(|(number, _)| number)
        .filter(|_| message.transcript.is_none())
}

/// Adds a transcript to a message, its language to the data of the event, and a revocation in its words to the consent ledger. A single
/// word such as "stop" is no revocation: it can be meant for another person.
pub(super) async fn add_transcript(
    media: &Media,
    (org, event, written_at): (&OrgId, &str, Timestamp),
    data: &mut Value,
    message: &mut InboundMessage,
    transcript: Transcript,
) -> Result<(), StoreError> {
    // The recording of a call was heard by the call itself.
    let found = revocation(&transcript.text).filter(|_| message.call_recording.is_none());
    if let Some(data) = data.as_object_mut() {
        if let Some(language) = &transcript.language {
            data.insert("voiceLanguage".into(), json!(language));
        }
        if let Some(revocation) = found {
            data.insert("revocation".into(), keyword::view(revocation));
        }
    }
    let is_known = Address::parse(message.channel, &message.from).is_ok();
    let (store, channel, from) = (&media.store, message.channel, &message.from);
    if is_known
        && keyword::consent(None, found) == Some(false)
        && !store.has_newer_consent(org, channel, from, written_at).await?
    {
        let said = seal_words(&media.vault, org, event, &transcript.text);
        let detail = json!({ "sender": message.to, "carrierMessageId": message.carrier_id });
        let basis = ConsentBasis {
            event: Some(event),
            words: Some(&said),
            evidence: Some(&detail),
            ..ConsentBasis::new(ConsentMethod::Spoken, "keyword")
        };
        store
            .record_consent(org, channel, from, false, basis, written_at)
            .await?;
    }
    message.transcript = Some(transcript.text);
    Ok(())
}
