//! Calls that agents make, as far as to the carrier: asked for once, and expected before the carrier hears of them.

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
use butt_dial_comms::calls::state;
use butt_dial_domain::{CallId, Channel, Clock, call::Purpose};
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{Transport, World, code, in_time};

/// Takes calls, or refuses them.
struct Switchboard {
    base_url: String,
    /// The forms that came.
    forms: mpsc::UnboundedReceiver<String>,
    status: Arc<AtomicU16>,
}

type Desk = (mpsc::UnboundedSender<String>, Arc<AtomicU16>);

impl Switchboard {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no lifecycle; the server ends with the test's runtime"
    )]
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, forms) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(201));
        let router = Router::new().fallback(take).with_state((sender, status.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            base_url,
            forms,
            status,
        }
    }

    /// What the carrier was asked, by its names.
    async fn asked(&mut self) -> Vec<(String, String)> {
        let form = in_time("a call", self.forms.recv()).await.unwrap();
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }
}

async fn take(State((forms, status)): State<Desk>, form: String) -> Response {
    forms.send(form).unwrap();
    let status = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap();
    let call = match status.is_success() {
        true => json!({ "sid": format!("CA{}", "0".repeat(32)), "status": "queued", "price": null }),
        false => json!({ "code": 21_211, "message": "The 'To' number is not a valid phone number.", "status": 400 }),
    };
    (status, Json(call)).into_response()
}

async fn world(carrier: &Switchboard) -> World {
    let world = World::servers(&[("TWILIO_API_URL", &carrier.base_url)]).await;
    let account = &world.account;
    let assigned = world.store.assign_channel(
        &account.org,
        &account.agent,
        Channel::Voice,
        &account.phone,
        Clock::System.now(),
    );
    assigned.await.unwrap();
    world
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let found = form.iter().find(|(key, _)| key == name);
    found
        .map(|(_, value)| value.as_str())
        .unwrap_or_else(|| panic!("no {name} in {form:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_made_once_and_known_before_it_is_answered_servers() {
    let mut carrier = Switchboard::open().await;
    let world = world(&carrier).await;
    let agent = world.agent(Transport::StreamableHttp).await;
    let wanted = json!({
        "to": "+14155550123", "greeting": "It is about the flowers.", "systemPrompt": "Sell flowers.", "language": "en-GB",
        "timeLimitSeconds": 120, "idempotencyKey": "flowers", "orchestrator": "x",
    });
    let made = agent.call("comms_make_call", wanted.clone()).await.unwrap();
    let form = carrier.asked().await;
    let id = made["callId"].as_str().unwrap();
    assert!(
        field(&form, "Url").contains(&format!("/voice/answer?call={id}#")),
        "{form:?}"
    );
    assert_eq!(
        (&made["status"], &made["sessionId"]),
        (&json!("queued"), &made["callId"]),
        "{made}"
    );
    assert_eq!(made["advisories"].as_array().map(Vec::len), Some(1));
    let known = state::find(world.comms(), &CallId::from(id)).await.unwrap().unwrap();
    assert_eq!(known.facts.plan.greeting.as_deref(), Some("It is about the flowers."));
    assert_eq!(
        (known.facts.language.as_str(), known.facts.local.as_str()),
        ("en-GB", world.account.phone.as_str())
    );

    let again = agent.call("comms_make_call", wanted).await.unwrap();
    assert_eq!(
        (&again["callId"], &again["replayed"]),
        (&made["callId"], &json!(true)),
        "{again}"
    );
    for name in [id, made["callSid"].as_str().unwrap()] {
        let seen = agent.call("comms_get_call", json!({ "callSid": name })).await.unwrap();
        assert_eq!(
            (&seen["callId"], &seen["to"]),
            (&made["callId"], &json!("+14155550123")),
            "{seen}"
        );
    }
    let live = agent.call("comms_list_calls", json!({ "live": true })).await.unwrap();
    assert_eq!(live["calls"][0]["callId"], made["callId"], "{live}");
    let early = agent.call("comms_say", json!({ "callId": id, "text": "Hello?" })).await;
    assert_eq!(code(&early.unwrap_err()), "SERVICE_UNAVAILABLE");
    let to_a_voicemail = json!({ "to": "+14155550124", "text": "Your flowers are here." });
    let left = agent.call("comms_send_voice_message", to_a_voicemail).await.unwrap();
    assert_eq!(field(&carrier.asked().await, "MachineDetection"), "DetectMessageEnd");
    let left = CallId::from(left["callId"].as_str().unwrap());
    let left = state::find(world.comms(), &left).await.unwrap().unwrap();
    let words = matches!(&left.facts.plan.purpose, Purpose::Message { text, .. } if text == "Your flowers are here.");
    assert!(words);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_carrier_refuses_is_none_servers() {
    let mut carrier = Switchboard::open().await;
    let world = world(&carrier).await;
    let agent = world.agent(Transport::Rest).await;
    carrier.status.store(400, Ordering::Relaxed);
    let refused = agent
        .call("comms_make_call", json!({ "to": "+14155550123" }))
        .await
        .unwrap_err();
    let form = carrier.asked().await;
    let url = url::Url::parse(field(&form, "Url")).unwrap();
    let id = url.query().unwrap().strip_prefix("call=").unwrap();
    assert!(refused["code"].is_string(), "{refused}");
    assert!(state::find(world.comms(), &CallId::from(id)).await.unwrap().is_none());
    for wrong in [
        json!({ "to": "flowers" }),
        json!({ "to": "+14155550123", "greeting": "x".repeat(1_601) }),
        json!({ "to": "+14155550123", "systemPrompt": "x".repeat(20_001) }),
    ] {
        let refused = agent.call("comms_make_call", wrong).await.unwrap_err();
        assert!(code(&refused).starts_with("INVALID_"), "{refused}");
    }
    assert!(carrier.forms.try_recv().is_err(), "nothing else was asked");
    world.end().await;
}
