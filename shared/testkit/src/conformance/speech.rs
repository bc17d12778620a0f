//! The stories of `ports::speech::SpeechSynthesis`: a text becomes a file of the kind that was asked for, and whatever goes
//! wrong has its own error. `speech_conformance!` makes a test of each.

use std::sync::Arc;

use butt_dial_domain::ports::speech::{AudioFormat, SpeechError, SpeechSynthesis, Utterance};
use bytes::Bytes;

/// What a story needs of the vendor's side: the adapter, and a far end that does as it is told.
pub trait FarEnd: Send + Sync {
    /// Connected, with a deadline that a test can wait for.
    fn speech(&self) -> Arc<dyn SpeechSynthesis>;
    /// The same, with a key that the far end does not know.
    fn with_wrong_credentials(&self) -> Arc<dyn SpeechSynthesis>;
    /// The same, with an endpoint where nobody listens.
    fn unreachable(&self) -> Arc<dyn SpeechSynthesis>;

    /// The next request meets this fault; those after it don't.
    fn misbehave(&self, fault: Fault);
    /// How often it was asked to speak.
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

/// `speech_conformance!(super::open)`, where `async fn open() -> impl FarEnd` gives a far end of its own to every story.
#[macro_export]
macro_rules! speech_conformance {
    ($open:path) => {
        $crate::speech_conformance! { @each $open:
            every_format_is_a_file_of_its_kind
            a_language_may_be_told
            a_rate_limit_tells_when_to_come_again
            a_fault_gives_no_file
            a_text_that_can_not_be_read_is_refused
            a_voice_that_nobody_knows_is_told
            an_unreachable_synthesizer_is_told
            wrong_credentials_are_the_operators_to_mend
            credentials_can_be_checked
        }
    };
    (@each $open:path: $($story:ident)*) => {
        mod speech {
            $(
                #[tokio::test]
                async fn $story() {
                    let far_end = $open().await;
                    $crate::conformance::speech::$story(&far_end).await;
                }
            )*
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

async fn say(far_end: &impl FarEnd, utterance: &Utterance) -> Result<Bytes, SpeechError> {
    far_end.speech().synthesize(utterance).await
}

pub async fn every_format_is_a_file_of_its_kind(far_end: &impl FarEnd) {
    for format in FORMATS {
        let file = say(far_end, &Utterance { format, ..utterance() })
            .await
            .expect("a file");
        let first = &file[..file.len().min(12)];
        let fits = match format {
            AudioFormat::Mp3 => first.starts_with(b"ID3") || (first[0] == 0xff && first[1] & 0xe0 == 0xe0),
            AudioFormat::Ogg => first.starts_with(b"OggS"),
            AudioFormat::Wav => {
                let length = u32::from_le_bytes(file[4..8].try_into().expect("four bytes"));
                assert_eq!(length as usize, file.len() - 8, "the header says how long it is");
                first.starts_with(b"RIFF") && first.ends_with(b"WAVE")
            }
        };
        assert!(fits, "{format:?}: {first:?}");
    }
    assert_eq!(far_end.requests(), FORMATS.len() as u64);
}

pub async fn a_language_may_be_told(far_end: &impl FarEnd) {
    for language in ["de", "pt-BR", "gsw"] {
        let language = Some(language.to_owned());
        say(
            far_end,
            &Utterance {
                language,
                ..utterance()
            },
        )
        .await
        .expect("a file");
    }
}

pub async fn a_rate_limit_tells_when_to_come_again(far_end: &impl FarEnd) {
    far_end.misbehave(Fault::RateLimit { retry_after: 7 });
    let retry_after_seconds = Some(7);
    let answer = say(far_end, &utterance()).await;
    assert_eq!(answer, Err(SpeechError::Overloaded { retry_after_seconds }));
}

pub async fn a_fault_gives_no_file(far_end: &impl FarEnd) {
    let faults = [Fault::ServerError, Fault::Nonsense, Fault::Stall, Fault::Reset];
    for (fault, before) in faults.into_iter().zip(0..) {
        for format in [AudioFormat::Mp3, AudioFormat::Wav] {
            far_end.misbehave(fault);
            let answer = say(far_end, &Utterance { format, ..utterance() }).await;
            assert_eq!(answer, Err(SpeechError::Unreachable), "{fault:?}");
        }
        assert_eq!(
            far_end.requests(),
            2 * (before + 1),
            "{fault:?} is no reason to ask again"
        );
    }
    assert!(say(far_end, &utterance()).await.is_ok());
}

pub async fn a_text_that_can_not_be_read_is_refused(far_end: &impl FarEnd) {
    let most = far_end.speech().max_characters();
    for text in ["x".repeat(most + 1), " ".to_owned()] {
        let answer = say(far_end, &Utterance { text, ..utterance() }).await;
        assert!(matches!(answer, Err(SpeechError::Refused(_))), "{answer:?}");
    }
}

pub async fn a_voice_that_nobody_knows_is_told(far_end: &impl FarEnd) {
    for voice in ["nobody", "../../v1/voices", "a?b=c"] {
        let voice = Some(voice.to_owned());
        let answer = say(far_end, &Utterance { voice, ..utterance() }).await;
        assert!(matches!(answer, Err(SpeechError::Configuration(text)) if text.contains("voice")));
    }
}

pub async fn an_unreachable_synthesizer_is_told(far_end: &impl FarEnd) {
    let answer = far_end.unreachable().synthesize(&utterance()).await;
    assert_eq!(answer, Err(SpeechError::Unreachable));
}

pub async fn wrong_credentials_are_the_operators_to_mend(far_end: &impl FarEnd) {
    let answer = far_end.with_wrong_credentials().synthesize(&utterance()).await;
    assert!(matches!(answer, Err(SpeechError::Configuration(text)) if !text.is_empty()));
}

pub async fn credentials_can_be_checked(far_end: &impl FarEnd) {
    assert_eq!(far_end.speech().check().await, Ok(()));
    for broken in [far_end.with_wrong_credentials(), far_end.unreachable()] {
        let text = broken.check().await.expect_err("a remedy");
        assert!(!text.is_empty());
    }
    assert_eq!(far_end.requests(), 0, "a check asks nothing");
}
