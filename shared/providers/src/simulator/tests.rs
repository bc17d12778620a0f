//! The simulator, from the side of an HTTP client.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use butt_dial_domain::Channel;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use url::form_urlencoded;

use super::{InjectedFault, SimulatedMessage, Simulator};
use crate::{
    Secret,
    twilio::{
        VENDOR,
        webhook::{self, Payload},
    },
};

const WAIT: Duration = Duration::from_secs(10);

async fn start() -> Simulator {
    crate::tests::install_tls();
    Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

fn twilio() -> (&'static str, &'static str) {
    (VENDOR.simulated_settings[0].1, VENDOR.simulated_settings[1].1)
}

fn messages_url(simulator: &Simulator) -> String {
    format!(
        "{}/twilio/2010-04-01/Accounts/{}/Messages.json",
        simulator.base_url(),
        twilio().0
    )
}

fn text(body: &str) -> Vec<(&'static str, String)> {
    vec![
        ("To", "+14155550123".to_owned()),
        ("From", "+14155550100".to_owned()),
        ("Body", body.to_owned()),
    ]
}

async fn send(simulator: &Simulator, form: &[(&str, String)]) -> reqwest::Result<reqwest::Response> {
    let (account, token) = twilio();
    let request = crate::http::client().unwrap().post(messages_url(simulator));
    request.basic_auth(account, Some(token)).form(form).send().await
}

/// Sends a text over a raw socket and reads until the peer closes it.
async fn send_raw(simulator: &Simulator) -> (std::io::Result<usize>, Vec<u8>) {
    let base = simulator.base_url();
    let host = base.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(host).await.unwrap();
    let credentials = {
        use base64::Engine;
        let (account, token) = twilio();
        base64::engine::general_purpose::STANDARD.encode(format!("{account}:{token}"))
    };
    let body = "To=%2B14155550123&From=%2B14155550100&Body=hello";
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nContent-Length: {}\r\n\r\n{body}",
        messages_url(simulator).strip_prefix(&base).unwrap(),
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    (socket.read_to_end(&mut read).await, read)
}

#[tokio::test]
async fn reset_fault_resets_the_connection() {
    let simulator = start().await;
    simulator
        .state()
        .inject_fault("twilio", InjectedFault::ResetAfterAccept, 1);
    let (end, read) = send_raw(&simulator).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(read.is_empty(), "not a byte of an answer");
    assert_eq!(simulator.state().accepted_total("twilio"), 1);
}

#[tokio::test]
async fn stop_ends_held_requests_and_frees_port() {
    let simulator = start().await;
    simulator
        .state()
        .inject_fault("twilio", InjectedFault::TimeoutAfterAccept, 1);
    let addr: SocketAddr = simulator.base_url().trim_start_matches("http://").parse().unwrap();
    let state = simulator.state().clone();
    let mut accepted = state.subscribe();
    let mut held = JoinSet::new();
    held.spawn({
        let (url, (account, token)) = (messages_url(&simulator), twilio());
        async move {
            let request = crate::http::client()
                .unwrap()
                .post(url)
                .basic_auth(account, Some(token));
            request.form(&text("hello")).send().await
        }
    });
    tokio::time::timeout(WAIT, accepted.recv()).await.unwrap().unwrap();
    tokio::time::timeout(WAIT, simulator.stop()).await.unwrap();
    assert!(held.join_next().await.unwrap().unwrap().is_err());
    drop(TcpListener::bind(addr).await.unwrap());
    assert_eq!(state.messages().len(), 1, "what was received can still be read");
}

#[tokio::test]
async fn rejects_non_loopback_address() {
    let refused = Simulator::start(SocketAddr::from(([0, 0, 0, 0], 0))).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn wait_for_sees_existing_new_and_changed_messages() {
    let simulator = start().await;
    let state = simulator.state().clone();
    state.set_delivery_delay(Duration::ZERO);
    let is = |body: &'static str| move |message: &SimulatedMessage| message.body == body;
    assert_eq!(state.wait_for(is("one"), Duration::ZERO).await, None);
    let form = text("one");
    let (seen, sent) = tokio::join!(state.wait_for(is("one"), WAIT), send(&simulator, &form));
    assert_eq!(sent.unwrap().status(), 201);
    assert_eq!(seen.unwrap().to, "+14155550123");
    assert!(state.wait_for(is("one"), WAIT).await.is_some());
    assert!(
        state
            .wait_for(|message| message.status == "delivered", WAIT)
            .await
            .is_some()
    );
    assert_eq!(state.messages_to("+14155550123").len(), 1);
    assert!(state.messages_to("+14155550124").is_empty());
}

type OutgoingWebhook = (HeaderMap, Bytes);

/// Starts a web server that forwards each POST.
async fn listener() -> (String, mpsc::UnboundedReceiver<OutgoingWebhook>, JoinSet<()>) {
    async fn take(State(callbacks): State<mpsc::UnboundedSender<OutgoingWebhook>>, headers: HeaderMap, body: Bytes) {
        callbacks.send((headers, body)).unwrap();
    }
    let (sender, callbacks) = mpsc::unbounded_channel();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/status?mid=msg_1", socket.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let router = Router::new().route("/status", post(take)).with_state(sender);
        axum::serve(socket, router).await.unwrap();
    });
    (url, callbacks, server)
}

#[tokio::test]
async fn sends_signed_status_callbacks_in_order() {
    let simulator = start().await;
    let delay = Duration::from_millis(100);
    simulator.state().set_delivery_delay(delay);
    let (url, mut callbacks, _server) = listener().await;
    let mut form = text("hello");
    form.push(("StatusCallback", url.clone()));
    let before = tokio::time::Instant::now();
    let created: Value = send(&simulator, &form).await.unwrap().json().await.unwrap();
    assert_eq!(created["status"], "queued");
    for status in ["queued", "sent", "delivered"] {
        let (headers, body) = tokio::time::timeout(WAIT, callbacks.recv()).await.unwrap().unwrap();
        assert!(before.elapsed() >= delay, "the answer comes first");
        let fields: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        let field = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(field("MessageStatus"), Some(status));
        assert_eq!(field("MessageSid"), created["sid"].as_str());
        let signature = headers[webhook::HEADER].to_str().unwrap();
        let tokens = [Secret::new(twilio().1)];
        assert!(webhook::verify(&tokens, &url, Payload::Form(&fields), signature));
    }
}

#[tokio::test]
async fn twilio_resources_match_the_api_reference() {
    let simulator = start().await;
    // The status must not change during the test.
    simulator.state().set_delivery_delay(Duration::from_secs(3_600));
    let (account, token) = twilio();
    let http = crate::http::client().unwrap();
    let get = |path: &str, token: &str| {
        let url = format!("{}/twilio/2010-04-01/Accounts/{account}{path}", simulator.base_url());
        http.get(url).basic_auth(account, Some(token.to_owned())).send()
    };
    let refused = get(".json", "wrong").await.unwrap();
    assert_eq!(refused.status(), 401);
    let refused: Value = refused.json().await.unwrap();
    let more = "https://www.twilio.com/docs/errors/20003";
    let expected = json!({ "code": 20003, "message": "Authenticate", "more_info": more, "status": 401 });
    assert_eq!(refused, expected);

    let created: Value = send(&simulator, &text("hello")).await.unwrap().json().await.unwrap();
    for (field, value) in [
        ("num_segments", json!("1")),
        ("num_media", json!("0")),
        ("price", Value::Null),
        ("direction", json!("outbound-api")),
        ("api_version", json!("2010-04-01")),
        ("date_sent", Value::Null),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    let sid = created["sid"].as_str().unwrap();
    let read: Value = get(&format!("/Messages/{sid}.json"), token)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(read, created);
    for missing in ["/Messages/SM1.json", "/Queues.json"] {
        assert_eq!(get(missing, token).await.unwrap().status(), 404, "{missing}");
    }

    for body in ["two", "three"] {
        send(&simulator, &text(body)).await.unwrap();
    }
    let first: Value = get("/Messages.json?PageSize=2&To=%2B14155550123", token)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(first["messages"][0]["body"], "three", "newest first");
    assert_eq!(first["messages"].as_array().unwrap().len(), 2);
    let next = first["next_page_uri"].as_str().unwrap();
    let next = next.strip_prefix(&format!("/2010-04-01/Accounts/{account}")).unwrap();
    let second: Value = get(next, token).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&second["messages"][0], &second["next_page_uri"]),
        (&created, &Value::Null)
    );
    assert_eq!(second["page"], 1);
    assert_eq!(
        get("/Messages.json?DateSent=yesterday", token).await.unwrap().status(),
        400
    );
}

#[tokio::test]
async fn control_routes_list_messages_and_inject_faults() {
    let simulator = start().await;
    let base = simulator.base_url();
    let http = crate::http::client().unwrap();
    let post = |path: &str, body: Value| http.post(format!("{base}{path}")).json(&body).send();
    let fault = json!({ "vendor": "twilio", "kind": "rate_limit", "retry_after": 3, "times": 2 });
    assert_eq!(post("/misbehave", fault).await.unwrap().status(), 204);
    let limited = send(&simulator, &text("hello")).await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"3".parse().unwrap())
    );
    assert_eq!(
        post("/behave", json!({ "vendor": "twilio" })).await.unwrap().status(),
        204
    );
    assert_eq!(send(&simulator, &text("<b>bold</b>")).await.unwrap().status(), 201);

    for invalid in [
        json!({ "vendor": "acme", "kind": "slow", "delay_ms": 1 }),
        json!({ "vendor": "twilio", "kind": "odd" }),
    ] {
        assert!(post("/misbehave", invalid).await.unwrap().status().is_client_error());
    }
    assert_eq!(
        post("/opt-out", json!({ "number": "+14155550123" }))
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(send(&simulator, &text("hello")).await.unwrap().status(), 400);

    let get = |path: &str| http.get(format!("{base}{path}")).send();
    let totals: Value = get("/totals").await.unwrap().json().await.unwrap();
    for vendor in crate::VENDORS {
        let id = vendor.manifest.id;
        let (accepted, requests) = if id == "twilio" { (1, 3) } else { (0, 0) };
        let expected = json!({ "accepted": accepted, "requests": requests });
        assert_eq!(totals[id], expected, "{id}");
    }
    let messages: Value = get("/messages?to=%2B14155550123&limit=5")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let [message] = messages["messages"].as_array().unwrap().as_slice() else {
        panic!("{messages}")
    };
    assert_eq!(
        (&message["body"], &message["channel"]),
        (&json!("<b>bold</b>"), &json!(Channel::Sms))
    );

    let page = get("/").await.unwrap();
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    let page = page.text().await.unwrap();
    assert!(page.contains("&lt;b&gt;bold&lt;/b&gt;") && page.contains("+14155550123"));
}

#[tokio::test]
async fn control_routes_send_inbound_messages() {
    let simulator = start().await;
    let mut receiver = crate::tests::webhook_receiver::WebhookReceiver::open().await;
    let base = simulator.base_url();
    let http = crate::http::client().unwrap();
    let post = |path: &str, body: Value| http.post(format!("{base}{path}")).json(&body).send();
    let draft = json!({ "channel": "sms", "from": "+1 415 555 0123", "to": "+14155550100", "body": "<i>hi</i>", "media": ["picture"] });
    let early = post("/person-writes", draft.clone()).await.unwrap();
    assert_eq!(early.status(), 400);
    assert!(early.text().await.unwrap().contains("call-back-to"));

    let invalid_url = post("/call-back-to", json!({ "base_url": "invalid_recipient" }))
        .await
        .unwrap();
    assert_eq!(invalid_url.status(), 400);
    let here = json!({ "base_url": format!("{}/", receiver.base_url) });
    assert_eq!(post("/call-back-to", here).await.unwrap().status(), 204);
    let twice = json!({ "vendor": "twilio", "copies": 2 });
    assert_eq!(post("/manner", twice).await.unwrap().status(), 204);
    assert_eq!(
        post("/manner", json!({ "vendor": "acme" })).await.unwrap().status(),
        404
    );

    let events = http.get(format!("{base}/events")).send();
    let mut events = events.await.unwrap();
    let sent: Value = post("/person-writes", draft).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&sent["vendor"], &sent["status"], &sent["calls"]),
        (&json!("twilio"), &json!(200), &json!(2))
    );
    let request = receiver.next().await;
    assert!(String::from_utf8_lossy(&request.body).contains(sent["carrier_id"].as_str().unwrap()));
    let event = tokio::time::timeout(WAIT, events.chunk()).await.unwrap().unwrap();
    assert_eq!(event.unwrap(), "data: new\n\n");
    let page = http.get(format!("{base}/conversations")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(
        page.contains("&lt;i&gt;hi&lt;/i&gt;") && page.contains("theirs"),
        "{page}"
    );

    for invalid in [
        json!({}),
        json!({ "channel": "sms", "from": "x", "to": "y", "color": "red" }),
    ] {
        assert!(
            post("/person-writes", invalid)
                .await
                .unwrap()
                .status()
                .is_client_error()
        );
    }
}

#[tokio::test]
async fn page_receives_event_for_new_message() {
    let simulator = start().await;
    let http = crate::http::client().unwrap();
    let mut events = http
        .get(format!("{}/events", simulator.base_url()))
        .send()
        .await
        .unwrap();
    send(&simulator, &text("hello")).await.unwrap();
    let event = tokio::time::timeout(WAIT, events.chunk())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(event, "data: new\n\n");
    tokio::time::timeout(WAIT, simulator.stop()).await.unwrap();
}
