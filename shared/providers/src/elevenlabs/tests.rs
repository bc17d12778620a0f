//! The ElevenLabs adapter against its simulator, over real HTTP.

use butt_dial_domain::ports::speech::{AudioFormat, SpeechError, Utterance};
use butt_dial_testkit::{conformance::speech::TestVendor, speech_conformance};
use serde_json::json;

use super::{API_KEY, Client, MODEL, VENDOR, VOICE, simulator, wire::Request};
use crate::{
    http,
    simulator::InjectedFault,
    tests::{
        install_tls,
        speech_harness::{SpeechHarness, utterance},
    },
};

speech_conformance!(super::open);

async fn open() -> SpeechHarness {
    SpeechHarness::start(&VENDOR).await
}

#[test]
fn sends_language_code_to_supporting_models_only() {
    let mut german = utterance(AudioFormat::Mp3);
    german.language = Some("de-AT".to_owned());
    let request = |model| serde_json::to_value(Request::new(model, &german)).unwrap();
    let text = &german.text;
    assert_eq!(
        request("eleven_flash_v2_5"),
        json!({ "text": text, "model_id": "eleven_flash_v2_5", "language_code": "de" })
    );
    assert_eq!(
        request("eleven_multilingual_v2"),
        json!({ "text": text, "model_id": "eleven_multilingual_v2" })
    );
}

#[tokio::test]
async fn synthesizes_longest_text_with_each_model() {
    let harness = open().await;
    for model in ["eleven_flash_v2_5", "eleven_multilingual_v2", "eleven_v3"] {
        let speech = harness.connect(&harness.credentials().with(MODEL, model));
        let longest = Utterance {
            text: "x".repeat(speech.max_characters()),
            language: Some("en".to_owned()),
            ..utterance(AudioFormat::Ogg)
        };
        assert!(speech.synthesize(&longest).await.is_ok(), "{model}");
    }
    let unknown = harness.connect(&harness.credentials().with(MODEL, "eleven_none"));
    let answer = unknown.synthesize(&utterance(AudioFormat::Mp3)).await;
    assert!(matches!(answer, Err(SpeechError::Configuration(text)) if text.contains(MODEL)));
}

#[tokio::test]
async fn accepts_text_to_speech_only_key() {
    let harness = open().await;
    let credentials = harness.credentials().with(API_KEY, simulator::SPEAKING_KEY);
    let speech = harness.connect(&credentials);
    assert_eq!(speech.check().await, Ok(()));
    assert!(speech.synthesize(&utterance(AudioFormat::Mp3)).await.is_ok());
    let nobody = harness.connect(&harness.credentials().with(VOICE, "nobody"));
    assert!(nobody.check().await.unwrap_err().contains(VOICE));
}

#[tokio::test]
async fn maps_errors() {
    let harness = open().await;
    let overloaded = SpeechError::Overloaded {
        retry_after_seconds: None,
    };
    for (status, code, expected) in [
        (
            400,
            "max_character_limit_exceeded",
            SpeechError::Refused("max_character_limit_exceeded".into()),
        ),
        (422, "odd", SpeechError::Refused("odd".into())),
        (429, "system_busy", overloaded),
        (500, "internal", SpeechError::Unreachable),
    ] {
        let code = code.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        let answer = harness.speech().synthesize(&utterance(AudioFormat::Mp3)).await;
        assert_eq!(answer, Err(expected), "{status}");
    }
    for (status, code, hint) in [
        (401, "quota_exceeded", "credits"),
        (401, "missing_permissions", API_KEY),
        (400, "voice_not_found", VOICE),
    ] {
        let code = code.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        let answer = harness.speech().synthesize(&utterance(AudioFormat::Mp3)).await;
        assert!(
            matches!(&answer, Err(SpeechError::Configuration(text)) if text.contains(hint)),
            "{answer:?}"
        );
    }
}

#[test]
fn rejects_invalid_settings_without_request() {
    install_tls();
    let http = http::client().unwrap();
    let good = VENDOR.simulated_credentials("https://x.test");
    for (env, value) in [(API_KEY, "a\nb"), (VOICE, "../x")] {
        assert!(Client::new(&good.clone().with(env, value), http.clone()).is_err());
    }
    assert!(Client::new(&good, http).is_ok());
}
