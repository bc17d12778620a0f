//! Texts that are read into sound files: made by the synthesizer, kept like attachments, given as a link that expires.

use butt_dial_domain::{
    Code, Failure, OrgId, ids,
    ports::speech::{SpeechError, SpeechSynthesis, Utterance},
};

use super::{Blob, Blobs, Meta, blobs, link};
use crate::Comms;

/// The link to the file.
pub async fn make(comms: &Comms, org: &OrgId, utterance: &Utterance) -> Result<String, Failure> {
    let (speech, blobs) = parts(comms)?;
    let length = utterance.text.chars().count();
    let longest = speech.max_characters();
    if utterance.text.trim().is_empty() {
        return Err(Failure::new(Code::MissingFields, "text is required"));
    }
    if length > longest {
        return Err(Failure::new(
            Code::InvalidContent,
            format!("text has {length} characters; {longest} can be read"),
        )
        .detail("maxLength", longest));
    }
    let bytes = speech.synthesize(utterance).await.map_err(refused)?;
    let key = blobs::key(comms.clock.now(), org, &format!("tts_{}", ids::unique()), 0);
    let blob = Blob {
        meta: Meta {
            content_type: utterance.format.content_type().to_owned(),
            filename: Some(format!("speech.{}", utterance.format.as_str())),
        },
        bytes,
    };
    if let Err(error) = blobs.put(&comms.vault, org, &key, &blob).await {
        tracing::warn!(error, "a sound file can't be stored");
        return Err(Failure::unavailable("the sound file can't be stored right now"));
    }
    link::make(comms, org, &key).ok_or_else(|| {
        not_supported("a link to a sound file can't be given: this installation has no public address")
            .remedy("an operator has to set WEBHOOK_BASE_URL")
    })
}

/// Whether `make` can do anything here.
pub fn is_possible(comms: &Comms) -> bool {
    parts(comms).is_ok() && comms.settings.public_url.is_some()
}

fn parts(comms: &Comms) -> Result<(&dyn SpeechSynthesis, &Blobs), Failure> {
    let speech = comms.speech.as_deref().ok_or_else(|| {
        not_supported("no speech synthesizer is set up").remedy("an operator has to set the key of one")
    })?;
    let blobs = comms.blobs.as_ref().ok_or_else(|| {
        not_supported("no storage for sound files is set up").remedy("an operator has to set BLOB_URL")
    })?;
    Ok((speech, blobs))
}

fn not_supported(message: &'static str) -> Failure {
    Failure::new(Code::NotSupported, message)
}

fn refused(error: SpeechError) -> Failure {
    tracing::warn!(%error, "a text could not be read into a sound file");
    match error {
        SpeechError::Overloaded { retry_after_seconds } => Failure::new(
            Code::ProviderRateLimited,
            "the speech synthesizer has too much to do right now",
        )
        .retry_after(retry_after_seconds.unwrap_or(2)),
        SpeechError::Configuration(_) => Failure::new(
            Code::ProviderMisconfigured,
            "the speech synthesizer refuses our account, or the voice",
        )
        .remedy("leave voice out, or have an operator look at the synthesizer's settings"),
        SpeechError::Refused(_) => Failure::new(Code::ProviderRefused, "the speech synthesizer does not take the text")
            .remedy("change the text"),
        SpeechError::Unreachable => Failure::unavailable("the speech synthesizer does not answer right now"),
    }
}
