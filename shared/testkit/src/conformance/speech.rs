//! The conformance suite of `ports::speech::SpeechSynthesis`: a text becomes a file in the requested format, and every
//! failure has its error. `speech_conformance!` makes a test of each story.

use std::sync::Arc;

use butt_dial_domain::ports::speech::{AudioFormat, SpeechError, SpeechSynthesis, Utterance};
use bytes::Bytes;

/// The adapter under test, connected to a simulated vendor with fault injection.
pub trait TestVendor: Send + Sync {
    /// Returns the adapter, with a deadline short enough for a test.
    fn speech(&self) -> Arc<dyn SpeechSynthesis>;
    /// Returns the adapter with a key that the vendor does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn SpeechSynthesis>;
    /// Returns the adapter with an endpoint without a server.
    fn unreachable(&self) -> Arc<dyn SpeechSynthesis>;

    /// Injects a fault into the next request only.
    fn fail_next(&self, fault: Fault);
    /// Returns the number of synthesis requests.
    fn requests(&self) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    RateLimit { retry_after: u64 },
    ServerError,
    Nonsense,
    Stall,
    Reset,
}

/// `speech_conformance!(super::open)`, where `async fn open() -> impl TestVendor` starts a separate vendor for every
/// story.
#[macro_export]
macro_rules! speech_conformance {
    ($open:path) => {
        mod speech {
            $crate::conforms! {
                #[tokio::test]
                [speech], vendor = $open() => &vendor;
                returns_file_in_each_format
                accepts_language
                returns_retry_after_on_rate_limit
                maps_faults_to_unreachable
                refuses_unspeakable_text
                reports_unknown_voice
                reports_unreachable_synthesizer
                maps_wrong_credentials_to_configuration
                checks_credentials
            }
        }
    };
}

const FORMATS: [AudioFormat; 3] = [AudioFormat::Mp3, AudioFormat::Ogg, AudioFormat::Wav];

fn utterance() -> Utterance {
    Utterance {
        text: "Your table is booked, see you at eight. é 👍".to_owned(),
        voice: None,
        language: None,
        format: AudioFormat::Mp3,
    }
}

async fn synthesize(vendor: &impl TestVendor, utterance: &Utterance) -> Result<Bytes, SpeechError> {
    vendor.speech().synthesize(utterance).await
}

pub async fn returns_file_in_each_format(vendor: &impl TestVendor) {
    for format in FORMATS {
        let file = synthesize(vendor, &Utterance { format, ..utterance() })
            .await
            .expect("a file");
        let first = &file[..file.len().min(12)];
        let fits = match format {
            AudioFormat::Mp3 => first.starts_with(b"ID3") || (first[0] == 0xff && first[1] & 0xe0 == 0xe0),
            AudioFormat::Ogg => first.starts_with(b"OggS"),
            AudioFormat::Wav => {
                let length = u32::from_le_bytes(file[4..8].try_into().expect("four bytes"));
                assert_eq!(length as usize, file.len() - 8, "the header has the length of the file");
                first.starts_with(b"RIFF") && first.ends_with(b"WAVE")
            }
        };
        assert!(fits, "{format:?}: {first:?}");
    }
    assert_eq!(vendor.requests(), FORMATS.len() as u64);
}

pub async fn accepts_language(vendor: &impl TestVendor) {
    for language in ["de", "pt-BR", "gsw"] {
        let language = Some(language.to_owned());
        synthesize(
            vendor,
            &Utterance {
                language,
                ..utterance()
            },
        )
        .await
        .expect("a file");
    }
}

pub async fn returns_retry_after_on_rate_limit(vendor: &impl TestVendor) {
    vendor.fail_next(Fault::RateLimit { retry_after: 7 });
    let retry_after_seconds = Some(7);
    let answer = synthesize(vendor, &utterance()).await;
    assert_eq!(answer, Err(SpeechError::Overloaded { retry_after_seconds }));
}

pub async fn maps_faults_to_unreachable(vendor: &impl TestVendor) {
    let faults = [Fault::ServerError, Fault::Nonsense, Fault::Stall, Fault::Reset];
    for (fault, before) in faults.into_iter().zip(0..) {
        for format in [AudioFormat::Mp3, AudioFormat::Wav] {
            vendor.fail_next(fault);
            let answer = synthesize(vendor, &Utterance { format, ..utterance() }).await;
            assert_eq!(answer, Err(SpeechError::Unreachable), "{fault:?}");
        }
        assert_eq!(vendor.requests(), 2 * (before + 1), "{fault:?} must not cause a retry");
    }
    assert!(synthesize(vendor, &utterance()).await.is_ok());
}

pub async fn refuses_unspeakable_text(vendor: &impl TestVendor) {
    let max = vendor.speech().max_characters();
    for text in ["x".repeat(max + 1), " ".to_owned()] {
        let answer = synthesize(vendor, &Utterance { text, ..utterance() }).await;
        assert!(matches!(answer, Err(SpeechError::Refused(_))), "{answer:?}");
    }
}

pub async fn reports_unknown_voice(vendor: &impl TestVendor) {
    for voice in ["unknown", "../../v1/voices", "a?b=c"] {
        let voice = Some(voice.to_owned());
        let answer = synthesize(vendor, &Utterance { voice, ..utterance() }).await;
        assert!(matches!(answer, Err(SpeechError::Configuration(text)) if text.contains("voice")));
    }
}

pub async fn reports_unreachable_synthesizer(vendor: &impl TestVendor) {
    let answer = vendor.unreachable().synthesize(&utterance()).await;
    assert_eq!(answer, Err(SpeechError::Unreachable));
}

pub async fn maps_wrong_credentials_to_configuration(vendor: &impl TestVendor) {
    let answer = vendor.with_wrong_credentials().synthesize(&utterance()).await;
    assert!(matches!(answer, Err(SpeechError::Configuration(text)) if !text.is_empty()));
}

pub async fn checks_credentials(vendor: &impl TestVendor) {
    assert_eq!(vendor.speech().check().await, Ok(()));
    for broken in [vendor.with_wrong_credentials(), vendor.unreachable()] {
        let text = broken.check().await.expect_err("an error");
        assert!(!text.is_empty());
    }
    assert_eq!(vendor.requests(), 0, "a check synthesizes nothing");
}
