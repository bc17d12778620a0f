//! The conformance suite of `ports::transcription::Transcription`: a recording becomes a text, and every failure has its
//! error. `transcription_conformance!` makes a test of each story.

use std::sync::Arc;

use butt_dial_domain::ports::{
    speech::SpeechError,
    transcription::{Recording, Transcript, Transcription},
};

use super::speech::Fault;

/// The adapter under test, connected to a simulated vendor with fault injection. The vendor understands recordings that
/// consist of a text after their first bytes.
pub trait TestVendor: Send + Sync {
    /// Returns the adapter, with a deadline short enough for a test.
    fn transcription(&self) -> Arc<dyn Transcription>;
    /// Returns the adapter with a key that the vendor does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn Transcription>;
    /// Returns the adapter with an endpoint without a server.
    fn unreachable(&self) -> Arc<dyn Transcription>;
    /// Returns a recording in which this is said.
    fn recording(&self, said: &str) -> Recording;

    /// Injects a fault into the next request only.
    fn fail_next(&self, fault: Fault);
    /// Returns the number of requests.
    fn requests(&self) -> u64;
}

/// `transcription_conformance!(super::open)`, where `async fn open() -> impl TestVendor` starts a separate vendor for every
/// story.
#[macro_export]
macro_rules! transcription_conformance {
    ($open:path) => {
        mod transcription {
            $crate::conforms! {
                #[tokio::test]
                [transcription], vendor = $open() => &vendor;
                returns_what_was_said
                names_given_and_detected_language
                returns_retry_after_on_rate_limit
                maps_faults_to_unreachable
                refuses_what_is_no_recording
                reports_unreachable_transcriber
                maps_wrong_credentials_to_configuration
                checks_credentials
            }
        }
    };
}

const SAID: &str = "Your table is booked, see you at eight. é";

async fn transcribe(vendor: &impl TestVendor) -> Result<Transcript, SpeechError> {
    vendor.transcription().transcribe(&vendor.recording(SAID)).await
}

pub async fn returns_what_was_said(vendor: &impl TestVendor) {
    for said in [SAID, ""] {
        let transcript = vendor.transcription().transcribe(&vendor.recording(said)).await;
        assert_eq!(transcript.expect("a transcript").text, said);
    }
    assert_eq!(vendor.requests(), 2);
}

pub async fn names_given_and_detected_language(vendor: &impl TestVendor) {
    for language in ["de", "pt-BR", "gsw"] {
        let recording = Recording {
            language: Some(language.to_owned()),
            ..vendor.recording(SAID)
        };
        let transcript = vendor
            .transcription()
            .transcribe(&recording)
            .await
            .expect("a transcript");
        assert_eq!(transcript.language.as_deref(), Some(language));
    }
    let detected = transcribe(vendor).await.expect("a transcript").language;
    assert!(detected.is_none_or(|language| language.len() >= 2));
}

pub async fn returns_retry_after_on_rate_limit(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::RateLimit { retry_after: 7 });
    let retry_after_seconds = Some(7);
    assert_eq!(
        transcribe(vendor).await,
        Err(SpeechError::Overloaded { retry_after_seconds })
    );
}

pub async fn maps_faults_to_unreachable(vendor: &impl TestVendor) {
    let faults = [Fault::ServerError, Fault::Nonsense, Fault::Stall, Fault::Reset];
    for (fault, before) in faults.into_iter().zip(0..) {
        vendor.fail_next(fault);
        assert_eq!(transcribe(vendor).await, Err(SpeechError::Unreachable), "{fault:?}");
        assert_eq!(vendor.requests(), before + 1, "{fault:?} must not cause a retry");
    }
    assert!(transcribe(vendor).await.is_ok());
}

pub async fn refuses_what_is_no_recording(vendor: &impl TestVendor) {
    let none = Recording {
        bytes: Vec::new().into(),
        ..vendor.recording(SAID)
    };
    let large = Recording {
        bytes: vec![0; vendor.transcription().max_bytes() + 1].into(),
        ..vendor.recording(SAID)
    };
    let noise = Recording {
        bytes: b"<html>".to_vec().into(),
        ..vendor.recording(SAID)
    };
    for (wrong, requests) in [(none, 0), (large, 0), (noise, 1)] {
        let answer = vendor.transcription().transcribe(&wrong).await;
        assert!(matches!(answer, Err(SpeechError::Refused(_))), "{answer:?}");
        assert_eq!(vendor.requests(), requests);
    }
}

pub async fn reports_unreachable_transcriber(vendor: &impl TestVendor) {
    let answer = vendor.unreachable().transcribe(&vendor.recording(SAID)).await;
    assert_eq!(answer, Err(SpeechError::Unreachable));
}

pub async fn maps_wrong_credentials_to_configuration(vendor: &impl TestVendor) {
    let answer = vendor
        .with_wrong_credentials()
        .transcribe(&vendor.recording(SAID))
        .await;
    assert!(matches!(answer, Err(SpeechError::Configuration(text)) if !text.is_empty()));
}

pub async fn checks_credentials(vendor: &impl TestVendor) {
    assert_eq!(vendor.transcription().check().await, Ok(()));
    for broken in [vendor.with_wrong_credentials(), vendor.unreachable()] {
        assert!(!broken.check().await.expect_err("an error").is_empty());
    }
    assert_eq!(vendor.requests(), 0, "a check transcribes nothing");
}
