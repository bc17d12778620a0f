//! Arguments as callers write them: other spellings, `null`, whole numbers with a fraction, unknown names.

use butt_dial_operations as operations;
use serde_json::{Value, json};

use crate::support::{RequestExt as _, Transport, email, sms, with};

const ANN: &str = "+14155550123";
const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

fn error_code(refusal: &Value) -> &str {
    refusal["code"].as_str().unwrap_or_default()
}

profiles! {
    async fn any_spelling_of_the_key_sends_once(cluster: &Cluster) {
        for transport in [Transport::StreamableHttp, Transport::Rest] {
            let agent = cluster.agent(transport).await;
            for name in ["idempotency_key", "idempotencykey", "IdempotencyKey"] {
                let message = json!({ "to": ANN, "channel": "sms", "body": "Once", (name): format!("{transport:?}-{name}") });
                let first = agent.send(message.clone()).await.unwrap();
                let again = agent.send(message).await.unwrap();
                assert_eq!((&again["messageId"], &again["replayed"]), (&first["messageId"], &json!(true)), "{name}");
            }
        }
        assert_eq!(cluster.carriers.requests_total("twilio"), 6);
    }
}

profiles! {
    async fn key_of_header_and_body_must_agree(cluster: &Cluster) {
        let post = async |headers: &[&str], body: Value| {
            let request = cluster.gateways.post("/api/v1/send-message", &body).bearer_auth(&cluster.account.token);
            headers.iter().fold(request, |request, key| request.header("idempotency-key", *key)).reply().await
        };
        let message = json!({ "to": ANN, "channel": "sms", "body": "Once" });
        let with_key = |key: &str| with(message.clone(), json!({ "idempotencyKey": key }));
        let first = post(&["A"], message.clone()).await.expect(200);
        for (headers, body) in [
            (&["A"][..], with_key("A")),
            (&[], with_key("A")),
            (&["\"A\""], message.clone()),
            (&["A", "A"], message.clone()),
            (&["A"], with(message.clone(), json!({ "idempotencyKey": null }))),
        ] {
            let again = post(headers, body.clone()).await.expect(200);
            assert_eq!(again["messageId"], first["messageId"], "{headers:?} {body}");
        }
        for (headers, body) in [
            (&["A"][..], with_key("B")),
            (&["A"], with_key("")),
            (&["A", "B"], message.clone()),
            (&["A"], with(message.clone(), json!({ "idempotencyKey": 5 }))),
            (&[], with(message.clone(), json!({ "idempotencyKey": {} }))),
        ] {
            let refused = post(headers, body.clone()).await.expect(400);
            assert_eq!(error_code(&refused), "INVALID_ARGUMENT", "{headers:?} {body}");
        }
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn null_is_absent_for_every_optional_argument(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let optional = ["media", "retry", "templateVariables", "fallbackChannels", "subject", "scheduledAt", "threadId"];
        for name in optional {
            let sent = agent.send(with(sms(ANN, name), json!({ "idempotencyKey": name, (name): null }))).await;
            assert_eq!(sent.unwrap()["status"], "accepted", "{name}");
        }
        let mcp = cluster.agent(Transport::StreamableHttp).await;
        mcp.call("comms_list_calls", json!({ "live": null, "limit": null })).await.unwrap();
    }
}

profiles! {
    async fn unknown_arguments_are_refused_or_named(cluster: &Cluster) {
        for transport in [Transport::StreamableHttp, Transport::Rest] {
            let agent = cluster.agent(transport).await;
            let refused = agent.call("comms_get_waiting_messages", json!({ "limt": 5 })).await.unwrap_err();
            assert_eq!((error_code(&refused), &refused["remediation"]), ("INVALID_ARGUMENT", &json!("did you mean limit?")));
            let refused = agent.call("comms_get_waiting_messages", json!({ "colour": "red" })).await.unwrap_err();
            assert_eq!((error_code(&refused), &refused["fields"]), ("INVALID_ARGUMENT", &json!(["colour"])), "{refused}");
            let sent = agent.send(with(sms(ANN, "Hi"), json!({ "colour": "red", "idempotencyKey": format!("{transport:?}") }))).await;
            assert_eq!(sent.unwrap()["ignoredArguments"], json!(["colour"]));
            let typing_error = agent.send(with(sms(ANN, "Hi"), json!({ "idempotencyKeys": "a" }))).await.unwrap_err();
            assert_eq!(typing_error["remediation"], "did you mean idempotencyKey?");
        }
    }
}

profiles! {
    async fn arguments_of_urls_have_their_types_in_any_spelling(cluster: &Cluster) {
        let get = async |path: &str| cluster.gateways.get(path).bearer_auth(&cluster.account.token).reply().await;
        for path in [
            "/api/v1/calls?limit=5.0",
            "/api/v1/calls?LIMIT=5&Live=true",
            "/api/v1/waiting-messages?limit=5.0",
            "/api/v1/calls?limit=5&live=false",
        ] {
            get(path).await.expect(200);
        }
        for path in ["/api/v1/calls?limit=5.5", "/api/v1/calls?limit=NaN", "/api/v1/calls?live=5"] {
            let refused = get(path).await.expect(400);
            assert_eq!(error_code(&refused), "INVALID_ARGUMENT", "{path}");
        }
    }
}

profiles! {
    async fn absent_channel_is_advised(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let sent = agent.send(json!({ "to": ANN, "templateId": TEMPLATE, "idempotencyKey": "a" })).await.unwrap();
        assert_eq!(sent["channel"], "whatsapp");
        assert!(sent["advisories"].to_string().contains("channel was absent"), "{sent}");
        let named = agent.send(with(email("ann@example.com", "Hi"), json!({ "idempotencyKey": "b" }))).await.unwrap();
        assert_eq!(named["advisories"], Value::Null);
    }
}

profiles! {
    async fn unknown_voice_is_an_invalid_argument(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let refused = agent.call("comms_generate_tts", json!({ "text": "Hello", "voice": "no such voice" })).await.unwrap_err();
        assert_eq!(error_code(&refused), "INVALID_ARGUMENT", "{refused}");
    }
}

#[test]
fn tool_schemas_are_portable() {
    for definition in operations::all().iter().filter(|definition| definition.hints.is_some()) {
        let schema = Value::Object(definition.tool_schema.clone());
        let text = schema.to_string();
        for phrase in ["\"null\"", "uint", "int32", "int64", "double", "$ref", "$defs", "oneOf"] {
            assert!(!text.contains(phrase), "{}: {phrase} in {text}", definition.name);
        }
        assert_eq!(schema["type"], "object", "{}", definition.name);
    }
}
