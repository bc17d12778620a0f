//! Text to speech: synthesizes texts into sound files, which are stored like attachments.

use butt_dial_domain::{
    Channel, Code, Failure, ids,
    ports::speech::{SpeechError, SpeechSynthesis, Utterance},
};
use butt_dial_identity::Caller;

use super::{Blob, BlobMeta, Blobs, Media, blobs};

impl Media {
    /// Synthesizes a text into a sound file, and returns a link to it. Takes an action of the agent and charges the price of
    /// the text before the synthesizer is asked. Fails with `NotSupported` if no synthesizer, storage or public address is
    /// configured.
    pub async fn synthesize(&self, caller: &Caller, utterance: &Utterance) -> Result<String, Failure> {
        let profile = caller.agent()?;
        let org = &profile.agent.org_id;
        let own = self.carriers.services_of(org).await.speech;
        let speech = own.or_else(|| self.speech.clone());
        let (speech, blobs) = self.speech_backends(speech.as_deref())?;
        let length = utterance.text.chars().count();
        let max = speech.max_characters();
        if utterance.text.trim().is_empty() {
            return Err(Failure::new(Code::MissingFields, "text is required"));
        }
        if length > max {
            let message = format!("text has {length} characters; the maximum is {max}");
            return Err(Failure::new(Code::InvalidContent, message).detail("maxLength", max));
        }
        self.billing
            .charge_service(
                profile,
                caller.token_budget(),
                Channel::Voice,
                self.billing.prices().speech(length),
            )
            .await?;
        let bytes = speech
            .synthesize(utterance)
            .await
            .map_err(|error| synthesis_error(error, utterance.voice.is_some()))?;
        let key = blobs::key(self.clock.now(), org, &format!("tts_{}", ids::unique()), 0);
        let blob = Blob {
            meta: BlobMeta {
                content_type: utterance.format.content_type().to_owned(),
                filename: Some(format!("speech.{}", utterance.format.as_str())),
            },
            bytes,
        };
        if let Err(error) = blobs.put(&self.vault, org, &key, &blob).await {
            tracing::warn!(error, "speech file not stored");
            return Err(Failure::unavailable("the sound file can't be stored right now"));
        }
        self.create_link(org, &key).ok_or_else(|| {
            not_supported("a link to a sound file can't be created: this installation has no public address")
                .hint("an operator has to set WEBHOOK_BASE_URL")
        })
    }

    /// Returns whether a synthesizer is configured, with or without storage for its files.
    pub fn has_synthesizer(&self) -> bool {
        self.speech.is_some()
    }

    /// Returns whether `synthesize` is configured.
    pub fn can_synthesize(&self) -> bool {
        self.speech_backends(self.speech.as_deref()).is_ok() && self.public_urls.base().is_some()
    }

    fn speech_backends<'a>(
        &'a self,
        speech: Option<&'a dyn SpeechSynthesis>,
    ) -> Result<(&'a dyn SpeechSynthesis, &'a Blobs), Failure> {
        let speech = speech.ok_or_else(|| {
            not_supported("no speech synthesizer is set up").hint("an operator has to set the key of one")
        })?;
        let blobs = self.blobs.as_ref().ok_or_else(|| {
            not_supported("no storage for sound files is set up").hint("an operator has to set BLOB_URL")
        })?;
        Ok((speech, blobs))
    }
}

fn not_supported(message: &'static str) -> Failure {
    Failure::new(Code::NotSupported, message)
}

/// `has_voice`: the caller has chosen the voice, which is then the likely reason of a refusal.
fn synthesis_error(error: SpeechError, has_voice: bool) -> Failure {
    tracing::warn!(%error, "speech synthesis failed");
    match error {
        SpeechError::Overloaded { retry_after_seconds } => Failure::new(
            Code::ProviderRateLimited,
            "the speech synthesizer is overloaded right now",
        )
        .retry_after(retry_after_seconds.unwrap_or(2)),
        SpeechError::Configuration(_) if has_voice => {
            Failure::new(Code::InvalidArgument, "the speech synthesizer refused the voice")
                .hint("omit voice, or name one that the synthesizer has")
        }
        SpeechError::Configuration(_) => Failure::new(
            Code::ProviderMisconfigured,
            "the speech synthesizer refused our account",
        )
        .hint("an operator has to check the synthesizer's settings"),
        SpeechError::Refused(_) => {
            Failure::new(Code::ProviderRefused, "the speech synthesizer refused the text").hint("change the text")
        }
        SpeechError::Unreachable => Failure::unavailable("the speech synthesizer does not answer right now"),
    }
}
