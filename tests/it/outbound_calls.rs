//! Outbound calls up to the carrier: requested once, and stored before the carrier sees them.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use butt_dial_domain::{CallId, Channel, Clock, call::Purpose};
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{Cluster, Transport, error_code, setup, within_timeout};

/// A carrier that accepts or rejects calls.
struct TestCarrier {
    base_url: String,
    /// The received forms.
    forms: mpsc::UnboundedReceiver<String>,
    status: Arc<AtomicU16>,
}

type CarrierState = (mpsc::UnboundedSender<String>, Arc<AtomicU16>);

impl TestCarrier {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, forms) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(201));
        let router = Router::new().fallback(accept).with_state((sender, status.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            base_url,
            forms,
            status,
        }
    }

    /// Returns the fields of the next request.
    async fn next_form(&mut self) -> Vec<(String, String)> {
        let form = within_timeout("a call", self.forms.recv()).await.unwrap();
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }
}

async fn accept(State((forms, status)): State<CarrierState>, form: String) -> Response {
    forms.send(form).unwrap();
    let status = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap();
    let call = match status.is_success() {
        true => json!({ "sid": format!("CA{}", "0".repeat(32)), "status": "queued", "price": null }),
        false => json!({ "code": 21_211, "message": "The 'To' number is not a valid phone number.", "status": 400 }),
    };
    (status, Json(call)).into_response()
}

async fn cluster(carrier: &TestCarrier) -> Cluster {
    let cluster = Cluster::servers(&[("TWILIO_API_URL", &carrier.base_url)]).await;
    let account = &cluster.account;
    let assigned = cluster
        .store
        .change(setup())
        .assign_channel(
            &account.org,
            &account.agent,
            Channel::Voice,
            &account.phone,
            Clock::System.now(),
        )
        .await;
    assigned.unwrap();
    cluster
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let found = form.iter().find(|(key, _)| key == name);
    found
        .map(|(_, value)| value.as_str())
        .unwrap_or_else(|| panic!("no {name} in {form:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_call_once_before_carrier_answers_servers() {
    let mut carrier = TestCarrier::open().await;
    let cluster = cluster(&carrier).await;
    let agent = cluster.agent(Transport::StreamableHttp).await;
    let arguments = json!({
        "to": "+14155550123", "greeting": "It is about the flowers.", "systemPrompt": "Sell flowers.", "language": "en-GB",
        "timeLimitSeconds": 120, "idempotencyKey": "flowers", "orchestrator": "x",
    });
    let created = agent.call("comms_make_call", arguments.clone()).await.unwrap();
    let form = carrier.next_form().await;
    let id = created["callId"].as_str().unwrap();
    assert!(
        field(&form, "Url").contains(&format!("/voice/answer?call={id}#")),
        "{form:?}"
    );
    assert_eq!(
        (&created["status"], &created["sessionId"]),
        (&json!("queued"), &created["callId"]),
        "{created}"
    );
    let advisories = created["advisories"].to_string();
    assert!(
        advisories.contains("orchestrator") && advisories.contains("us-ai-call-consent"),
        "{advisories}"
    );
    let stored = cluster.calls().find_state(&CallId::from(id)).await.unwrap().unwrap();
    assert_eq!(stored.info.plan.greeting.as_deref(), Some("It is about the flowers."));
    assert_eq!(
        (stored.info.language.as_str(), stored.info.local.as_str()),
        ("en-GB", cluster.account.phone.as_str())
    );

    let again = agent.call("comms_make_call", arguments).await.unwrap();
    assert_eq!(
        (&again["callId"], &again["replayed"]),
        (&created["callId"], &json!(true)),
        "{again}"
    );
    for name in [id, created["callSid"].as_str().unwrap()] {
        let record = agent.call("comms_get_call", json!({ "callSid": name })).await.unwrap();
        assert_eq!(
            (&record["callId"], &record["to"]),
            (&created["callId"], &json!("+14155550123")),
            "{record}"
        );
    }
    let live = agent.call("comms_list_calls", json!({ "live": true })).await.unwrap();
    assert_eq!(live["calls"][0]["callId"], created["callId"], "{live}");
    let early = agent.call("comms_say", json!({ "callId": id, "text": "Hello?" })).await;
    assert_eq!(error_code(&early.unwrap_err()), "CALL_RINGING");
    let to_a_voicemail = json!({ "to": "+14155550124", "text": "Your flowers are here." });
    let voice_message = agent.call("comms_send_voice_message", to_a_voicemail).await.unwrap();
    assert_eq!(
        field(&carrier.next_form().await, "MachineDetection"),
        "DetectMessageEnd"
    );
    let id = CallId::from(voice_message["callId"].as_str().unwrap());
    let stored = cluster.calls().find_state(&id).await.unwrap().unwrap();
    let is_message =
        matches!(&stored.info.plan.purpose, Purpose::Message { text, .. } if text == "Your flowers are here.");
    assert!(is_message);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discards_call_rejected_by_carrier_servers() {
    let mut carrier = TestCarrier::open().await;
    let cluster = cluster(&carrier).await;
    let agent = cluster.agent(Transport::Rest).await;
    carrier.status.store(400, Ordering::Relaxed);
    let refused = agent
        .call("comms_make_call", json!({ "to": "+14155550123" }))
        .await
        .unwrap_err();
    let form = carrier.next_form().await;
    let url = url::Url::parse(field(&form, "Url")).unwrap();
    let id = url.query().unwrap().strip_prefix("call=").unwrap();
    assert!(refused["code"].is_string(), "{refused}");
    assert!(cluster.calls().find_state(&CallId::from(id)).await.unwrap().is_none());
    for wrong in [
        json!({ "to": "flowers" }),
        json!({ "to": "+14155550123", "greeting": "x".repeat(1_601) }),
        json!({ "to": "+14155550123", "systemPrompt": "x".repeat(20_001) }),
    ] {
        let refused = agent.call("comms_make_call", wrong).await.unwrap_err();
        assert!(error_code(&refused).starts_with("INVALID_"), "{refused}");
    }
    assert!(carrier.forms.try_recv().is_err(), "no further request");
    cluster.shut_down().await;
}
