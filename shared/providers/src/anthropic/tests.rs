//! The Anthropic adapter against its simulator, over real HTTP.

use std::time::Duration;

use butt_dial_domain::{
    Clock,
    ports::model::{CompletionChunk, ModelError, Prompt, Speaker, Turn},
};
use butt_dial_testkit::{conformance::model::TestVendor, model_conformance};
use futures::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sse_stream::Sse;

use super::{API_KEY, Client, MODEL, VENDOR, events::Events, simulator, wire::Request};
use crate::{
    completion_stream::EventReader,
    http,
    simulator::{InjectedFault, ModelRequest, RequestEnd},
    tests::{harness::TEST_TIMEOUT, install_tls, model_harness::ModelHarness},
};

model_conformance!(super::open);

async fn open() -> ModelHarness {
    ModelHarness::start(&VENDOR, (529, "overloaded_error")).await
}

fn prompt() -> Prompt {
    let turn = |speaker, text: &str| Turn {
        speaker,
        text: text.to_owned(),
    };
    Prompt {
        system: "Take a message.".to_owned(),
        turns: vec![
            turn(Speaker::Person, "Hello?"),
            turn(Speaker::Model, "Your name?"),
            turn(Speaker::Person, "Ann"),
        ],
        max_tokens: 150,
    }
}

#[test]
fn serializes_minimal_request() {
    let request = serde_json::to_value(Request::new("claude-haiku-4-5", &prompt())).unwrap();
    let expected = json!({
        "model": "claude-haiku-4-5",
        "max_tokens": 150,
        "stream": true,
        "system": [{ "type": "text", "text": "Take a message.", "cache_control": { "type": "ephemeral" } }],
        "messages": [
            { "role": "user", "content": "Hello?" },
            { "role": "assistant", "content": "Your name?" },
            { "role": "user", "content": "Ann" },
        ],
    });
    assert_eq!(request, expected);
}

/// Posts this body with the adapter's headers.
async fn post(harness: &ModelHarness, body: &Value) -> (StatusCode, Value) {
    let url = format!("{}/v1/messages", harness.credentials().endpoint);
    let request = harness.http().post(url).json(body);
    let request = request.header("x-api-key", simulator::API_KEY);
    let answer = request.header("anthropic-version", "2023-06-01").send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn simulator_rejects_invalid_requests() {
    let harness = open().await;
    let good =
        json!({ "model": "claude-haiku-4-5", "max_tokens": 90, "messages": [{ "role": "user", "content": "Hi" }] });
    let (status, answer) = post(&harness, &good).await;
    assert_eq!(
        (status, &answer["stop_reason"]),
        (StatusCode::OK, &json!("end_turn")),
        "{answer}"
    );
    for (field, value, status, kind) in [
        ("temperature", json!(0.2), 400, "invalid_request_error"),
        ("top_k", json!(1), 400, "invalid_request_error"),
        ("odd", json!(1), 400, "invalid_request_error"),
        ("max_tokens", json!(0), 400, "invalid_request_error"),
        ("messages", json!([]), 400, "invalid_request_error"),
        (
            "messages",
            json!([{ "role": "assistant", "content": "Hi" }]),
            400,
            "invalid_request_error",
        ),
        (
            "messages",
            json!([{ "role": "user", "content": "" }]),
            400,
            "invalid_request_error",
        ),
        (
            "system",
            json!([{ "type": "text", "text": "" }]),
            400,
            "invalid_request_error",
        ),
        ("model", json!("gpt-4o"), 404, "not_found_error"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let (got, answer) = post(&harness, &bad).await;
        assert_eq!(
            (got.as_u16(), &answer["error"]["type"]),
            (status, &json!(kind)),
            "{bad}"
        );
        assert!(answer["request_id"].is_string());
    }
}

#[tokio::test]
async fn maps_errors() {
    let harness = open().await;
    let overloaded = ModelError::Overloaded {
        retry_after_seconds: None,
    };
    for (status, kind, expected) in [
        (
            400,
            "invalid_request_error",
            ModelError::Refused("invalid_request_error".into()),
        ),
        (
            413,
            "request_too_large",
            ModelError::Refused("request_too_large".into()),
        ),
        (429, "rate_limit_error", overloaded.clone()),
        (529, "overloaded_error", overloaded),
        (500, "api_error", ModelError::Broken),
        (504, "timeout_error", ModelError::Stalled),
        (302, "odd", ModelError::Broken),
    ] {
        let code = kind.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        assert_eq!(
            harness.model().complete(&prompt()).await.err(),
            Some(expected),
            "{status}"
        );
    }
    for (status, kind, hint) in [
        (401, "authentication_error", API_KEY),
        (402, "billing_error", "pay"),
        (403, "permission_error", API_KEY),
        (404, "not_found_error", MODEL),
    ] {
        let code = kind.to_owned();
        harness.inject_fault(InjectedFault::Refuse { status, code });
        let error = harness.model().complete(&prompt()).await.err();
        assert!(
            matches!(&error, Some(ModelError::Configuration(text)) if text.contains(hint)),
            "{error:?}"
        );
    }
    // A response of a proxy, without an error type.
    harness.inject_fault(InjectedFault::ServerError);
    let error = harness.model().complete(&prompt()).await.err();
    assert!(matches!(error, Some(ModelError::Overloaded { .. })));
}

#[tokio::test]
async fn reports_unknown_model() {
    let harness = open().await;
    let model = harness.connect(&harness.credentials().with(MODEL, "claude-none"));
    assert!(model.check().await.unwrap_err().contains(MODEL));
    let error = model.complete(&prompt()).await.err();
    assert!(matches!(error, Some(ModelError::Configuration(text)) if text.contains(MODEL)));
}

#[tokio::test]
async fn dropped_stream_cancels_request_at_once() {
    let harness = open().await;
    harness.inject_fault(InjectedFault::StallMidStream);
    let mut answer = harness.model().complete(&prompt()).await.unwrap();
    assert!(matches!(answer.next().await, Some(Ok(CompletionChunk::Text(_)))));
    let dropped = Clock::System.now();
    drop(answer);
    let ended = |request: &ModelRequest| request.ended.is_some();
    let request = harness
        .state()
        .wait_for_model_request(ended, TEST_TIMEOUT)
        .await
        .unwrap();
    let Some(RequestEnd::Cancelled(at)) = request.ended else {
        panic!("{request:?}")
    };
    assert!(request.first_piece_at.is_some_and(|first| first >= request.started_at));
    // Takes milliseconds; the limit allows for a busy machine.
    let took = (at - dropped).to_std().unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn reads_documented_stream_events() {
    let read = |events: &mut Events, data: &str| events.read(&Sse::default().data(data));
    let text = |text: &str| Ok(Some(CompletionChunk::Text(text.to_owned())));
    let mut events = Events::default();
    let events = &mut events;
    assert!(read(events, r#"{"type":"ping"}"#) == Ok(None));
    assert!(
        read(events, r#"{"type":"vote","of":1}"#) == Ok(None),
        "unknown events are passed over"
    );
    let thinking = r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}"#;
    assert!(read(events, thinking) == Ok(None));
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" a"}}"#;
    assert!(read(events, delta) == text(" a"));
    assert!(
        read(events, r#"{"type":"message_stop"}"#) == Err(ModelError::Broken),
        "nobody said why"
    );
    assert!(read(events, "{") == Err(ModelError::Broken));
}

#[test]
fn rejects_invalid_settings_without_request() {
    install_tls();
    let http = http::client().unwrap();
    let good = VENDOR.simulated_credentials("https://x.test");
    for (env, value) in [(API_KEY, "a\nb"), (MODEL, "../x")] {
        assert!(Client::new(&good.clone().with(env, value), http.clone()).is_err());
    }
    assert!(!format!("{good:?}").contains(simulator::API_KEY));
    assert!(Client::new(&good, http).is_ok());
}
