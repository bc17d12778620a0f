//! The OpenAI adapters against their simulator, over real HTTP.

use butt_dial_domain::ports::{
    model::{CompletionChunk, FinishReason, ModelError, Prompt, Speaker, Turn},
    speech::{AudioFormat, SpeechError},
};
use butt_dial_testkit::{
    conformance::{model::TestVendor as _, speech::TestVendor as _},
    model_conformance, speech_conformance, transcription_conformance,
};
use serde_json::{Value, json};
use sse_stream::Sse;

use super::{
    API_KEY, Client, DEFAULT_ENDPOINT, MODEL, SPEECH_MODEL, VENDOR,
    chunks::Chunks,
    simulator,
    wire::{Limit, Request},
};
use crate::{
    completion_stream::EventReader,
    http,
    simulator::InjectedFault,
    tests::{
        harness::DEADLINE,
        install_tls,
        model_harness::ModelHarness,
        speech_harness::{SpeechHarness, utterance},
        transcription_harness::TranscriptionHarness,
    },
};

model_conformance!(super::open_model);
speech_conformance!(super::open_speech);
transcription_conformance!(super::open_transcription);

async fn open_model() -> ModelHarness {
    ModelHarness::start(&VENDOR, (503, "overloaded")).await
}

async fn open_transcription() -> TranscriptionHarness {
    TranscriptionHarness::start(&VENDOR).await
}

async fn open_speech() -> SpeechHarness {
    SpeechHarness::start(&VENDOR).await
}

fn prompt() -> Prompt {
    let said = Turn {
        speaker: Speaker::Person,
        text: "Hello?".to_owned(),
    };
    Prompt {
        system: "Take a message.".to_owned(),
        turns: vec![said],
        max_tokens: 150,
    }
}

#[test]
fn limits_completion_with_the_services_field() {
    let prompt = prompt();
    let messages = json!([
        { "role": "system", "content": "Take a message." },
        { "role": "user", "content": "Hello?" },
    ]);
    for (endpoint, field) in [
        (DEFAULT_ENDPOINT, "max_completion_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://api.groq.com/openai/v1", "max_tokens"),
    ] {
        let request = Request::new("m", Limit::at(endpoint), &prompt);
        let expected = json!({ "model": "m", "stream": true, "messages": messages, field: 150 });
        assert_eq!(serde_json::to_value(request).unwrap(), expected, "{endpoint}");
    }
}

#[tokio::test]
async fn simulator_rejects_invalid_requests() {
    let harness = open_model().await;
    let chat = json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": "Hi" }] });
    let url = format!("{}/chat/completions", harness.credentials().endpoint);
    let post = async |field: &str, value: Value| {
        let mut body = chat.clone();
        body[field] = value;
        let request = harness.http().post(&url).bearer_auth(simulator::API_KEY).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("max_completion_tokens", json!(9)).await, 200);
    assert_eq!(post("model", json!("gpt-none")).await, 404);
    for (field, value) in [
        ("temperature", json!(0.2)),
        ("odd", json!(1)),
        ("max_tokens", json!(0)),
        ("messages", json!([])),
        ("messages", json!([{ "role": "person", "content": "Hi" }])),
    ] {
        assert_eq!(post(field, value.clone()).await, 400, "{field}: {value}");
    }
}

#[tokio::test]
async fn maps_errors() {
    let harness = open_model().await;
    let overloaded = ModelError::Overloaded {
        retry_after_seconds: None,
    };
    for (status, code, expected) in [
        (400, "context_length_exceeded", ModelError::Refused("400".into())),
        (429, "rate_limit_exceeded", overloaded.clone()),
        (503, "slow_down", overloaded),
        (500, "server_error", ModelError::Broken),
        (504, "timeout", ModelError::Stalled),
    ] {
        let code = code.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        assert_eq!(
            harness.model().complete(&prompt()).await.err(),
            Some(expected),
            "{status}"
        );
    }
    for (status, code, hint) in [
        (401, "invalid_api_key", API_KEY),
        (403, "unsupported_country_region_territory", API_KEY),
        (404, "model_not_found", MODEL),
        (429, "insufficient_quota", "pay"),
    ] {
        let code = code.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        let error = harness.model().complete(&prompt()).await.err();
        assert!(
            matches!(&error, Some(ModelError::Configuration(text)) if text.contains(hint)),
            "{error:?}"
        );
    }
}

#[test]
fn reads_chunks_of_compatible_services() {
    let read = |chunks: &mut Chunks, data: &str| chunks.read(&Sse::default().data(data));
    let text = |text: &str| Ok(Some(CompletionChunk::Text(text.to_owned())));
    let last = r#"{"choices":[{"delta":{"content":"bye"},"finish_reason":"length"}]}"#;
    let mut chunks = Chunks::default();
    assert!(read(&mut chunks, r#"{"choices":[],"usage":{"total_tokens":1}}"#) == Ok(None));
    assert!(read(&mut chunks, last) == text("bye"), "words and reason at once");
    assert!(read(&mut chunks, "[DONE]") == Ok(Some(CompletionChunk::End(FinishReason::TooLong))));

    let mut silent = Chunks::default();
    assert!(read(&mut silent, last) == text("bye"));
    assert_eq!(silent.ended(), Some(FinishReason::TooLong), "nothing comes after");

    let mut broken = Chunks::default();
    assert!(
        read(&mut broken, "[DONE]") == Err(ModelError::Broken),
        "nobody said why"
    );
    let error = r#"{"error":{"message":"x","type":"server_error","code":500}}"#;
    assert!(read(&mut broken, error) == Err(ModelError::Broken));
}

#[tokio::test]
async fn settings_select_model_and_speech() {
    install_tls();
    let http = http::client().unwrap();
    let with = |pairs: &[(&'static str, &str)]| {
        let credentials = crate::Credentials::new("https://x.test");
        let all = pairs
            .iter()
            .fold(credentials, |all, (env, value)| all.with(env, *value));
        let connected = (VENDOR.connect)(&all, &http, DEADLINE).unwrap();
        (connected.model.is_some(), connected.speech.is_some())
    };
    let key = (API_KEY, "sk-1");
    assert_eq!(with(&[key]), (false, true));
    assert_eq!(with(&[key, (MODEL, "gpt-4o-mini")]), (true, true));
    assert_eq!(with(&[key, (MODEL, "llama"), (SPEECH_MODEL, "none")]), (true, false));
    let bad = VENDOR.simulated_credentials("https://x.test").with(API_KEY, "a\nb");
    assert!(Client::new(&bad, http.clone()).is_err());

    let harness = open_speech().await;
    let unknown = harness.connect(&harness.credentials().with(SPEECH_MODEL, "tts-none"));
    assert!(unknown.check().await.unwrap_err().contains(SPEECH_MODEL));
    let answer = unknown.synthesize(&utterance(AudioFormat::Mp3)).await;
    assert!(matches!(answer, Err(SpeechError::Configuration(text)) if text.contains(SPEECH_MODEL)));
    assert!(harness.speech().check().await.is_ok());
}
