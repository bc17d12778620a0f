//! Sampling: the relay requests replies from a client's own model, over every transport and any gateway.

use std::time::Duration;

use butt_dial_calls::sampling;
use butt_dial_messaging::delivery::Listener;
use serde_json::{Value, json};

use crate::support::{
    Cluster, EventStream, Gateways, HttpSession, LegacySession, Transport, WAIT_TIMEOUT, eventually, hears,
    next_frame_of, says, send_frame, start_conversation, within_timeout,
};

const DEADLINE: Duration = Duration::from_secs(8);

/// A client with a model. Its stream is at the last gateway; its answers go to the first.
struct Client {
    events: EventStream,
    channel: AnswerChannel,
}

enum AnswerChannel {
    Legacy { endpoint: String, token: String },
    Streamable(HttpSession),
}

impl Client {
    async fn open_legacy(cluster: &Cluster) -> Self {
        let (first, last) = (
            cluster.gateways.only(0),
            cluster.gateways.only(cluster.gateways.count() - 1),
        );
        let token = cluster.account.token.clone();
        let mut session = LegacySession::open(&last, &token).await;
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": { "sampling": {} },
            "clientInfo": { "name": "by-hand", "version": "1" },
        });
        let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        session.post(&first, &initialize).await.expect(202);
        session.events.message().await;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        session.post(&first, &initialized).await.expect(202);
        let endpoint = session.endpoint;
        Self {
            events: session.events,
            channel: AnswerChannel::Legacy { endpoint, token },
        }
    }

    async fn open_streamable(cluster: &Cluster) -> Self {
        let (first, last) = (
            cluster.gateways.only(0),
            cluster.gateways.only(cluster.gateways.count() - 1),
        );
        let can = json!({ "sampling": {} });
        let session = HttpSession::open_with(&first, "/mcp-legacy", &cluster.account.token, can).await;
        Self {
            events: session.push_stream(&last).await,
            channel: AnswerChannel::Streamable(session),
        }
    }

    async fn answer(&self, gateway: &Gateways, message: &Value) {
        let reply = match &self.channel {
            AnswerChannel::Legacy { endpoint, token } => {
                let request = gateway.post(endpoint, message).bearer_auth(token);
                crate::support::RequestExt::reply(request).await
            }
            AnswerChannel::Streamable(session) => session.post(gateway, message).await,
        };
        reply.expect(202);
    }
}

/// Waits for the agent's only client with a model, once its stream is initialized.
async fn find_model(cluster: &Cluster) -> Listener {
    eventually("the client can be sampled", async || {
        let mut models = cluster
            .delivery()
            .find_initialized_listeners(&cluster.account.agent)
            .await
            .unwrap();
        models.retain(Listener::samples);
        (models.len() == 1).then(|| models[0].clone())
    })
    .await
}

/// Requests a sample from the first gateway.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle; each test awaits or aborts the task"
)]
fn request_sample(cluster: &Cluster, model: &Listener) -> tokio::task::JoinHandle<Result<String, String>> {
    let (calls, agent, model) = (cluster.calls().clone(), cluster.account.agent.clone(), model.clone());
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": "What time is it?" } }],
        "systemPrompt": "You are on a telephone call.", "maxTokens": 300, "metadata": { "turnId": "1" },
    });
    tokio::spawn(async move { sampling::sample(&calls, &agent, &model, params, DEADLINE).await })
}

fn result(id: &Value, content: &Value) -> Value {
    let result = json!({ "role": "assistant", "model": "m", "stopReason": "endTurn", "content": content });
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

async fn expect_sampling(cluster: &Cluster, mut client: Client) {
    let first = cluster.gateways.only(0);
    let model = find_model(cluster).await;

    let pending = request_sample(cluster, &model);
    let request = client.events.message().await;
    assert_eq!(request["method"], "sampling/createMessage", "{request}");
    assert_eq!(request["params"]["systemPrompt"], "You are on a telephone call.");
    assert_eq!(request["params"]["messages"][0]["content"]["text"], "What time is it?");
    let block = json!({ "type": "text", "text": "Noon." });
    client.answer(&first, &result(&request["id"], &block)).await;
    assert_eq!(
        within_timeout("an answer", pending).await.unwrap(),
        Ok("Noon.".to_owned())
    );

    // Content may be a list, and a response may be an error.
    let pending = request_sample(cluster, &model);
    let request = client.events.message().await;
    client.answer(&first, &result(&request["id"], &json!([block]))).await;
    assert_eq!(
        within_timeout("an answer", pending).await.unwrap(),
        Ok("Noon.".to_owned())
    );
    let pending = request_sample(cluster, &model);
    let request = client.events.message().await;
    let refusal = json!({ "code": -1, "message": "User rejected sampling request" });
    let refusal = json!({ "jsonrpc": "2.0", "id": request["id"], "error": refusal });
    client.answer(&first, &refusal).await;
    let refused = within_timeout("a refusal", pending).await.unwrap().unwrap_err();
    assert!(refused.contains("rejected"), "{refused}");

    // An aborted request is cancelled at the client.
    let pending = request_sample(cluster, &model);
    let request = client.events.message().await;
    pending.abort();
    let cancelled = client.events.message().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], request["id"]);
    // A late response is ignored.
    client.answer(&first, &result(&request["id"], &block)).await;

    // A closed stream fails the request at once.
    let pending = request_sample(cluster, &model);
    client.events.message().await;
    let started = std::time::Instant::now();
    drop(client);
    assert!(within_timeout("a failure", pending).await.unwrap().is_err());
    assert!(started.elapsed() < DEADLINE / 2, "{:?}", started.elapsed());
}

profiles! {
    async fn samples_client_model_over_sse(cluster: &Cluster) {
        expect_sampling(cluster, Client::open_legacy(cluster).await).await;
    }
}

profiles! {
    async fn samples_client_model_over_streamable_http(cluster: &Cluster) {
        expect_sampling(cluster, Client::open_streamable(cluster).await).await;
    }
}

profiles! {
    async fn samples_again_after_client_reconnects(cluster: &Cluster) {
        let first = cluster.gateways.only(0);
        let mut client = Client::open_streamable(cluster).await;
        find_model(cluster).await;
        cluster.carriers.set_pace(0.1);
        let call = cluster.carriers.dial("+14155550123", &cluster.account.phone).await.unwrap();
        let hears = async |text: &str| {
            let heard = call.wait_for_speech(|heard| heard.contains(text), WAIT_TIMEOUT).await;
            assert!(heard.is_some(), "no {text:?} in the speech: {:#?}", call.transcript());
        };
        hears("AI assistant").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        call.say("What time is it?").await;
        let request = client.events.message().await;
        let block = json!({ "type": "text", "text": "Noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears("Noon.").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);

        let Client { events, channel } = client;
        drop(events);
        eventually("the stream is closed", async || {
            let open = cluster.delivery().find_initialized_listeners(&cluster.account.agent).await.unwrap();
            open.is_empty().then_some(())
        })
        .await;
        call.say("And now?").await;
        // The caller hears fillers meanwhile.
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        let AnswerChannel::Streamable(session) = &channel else { unreachable!("opened above") };
        let events = session.push_stream(&first).await;
        let mut client = Client { events, channel };
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        let block = json!({ "type": "text", "text": "Still noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears("Still noon.").await;
        assert!(!call.heard_text().contains("message"), "voicemail took the call: {}", call.heard_text());
        call.hang_up().await;
    }
}

profiles! {
    async fn event_polling_does_not_cancel_client_sampling(cluster: &Cluster) {
        let first = cluster.gateways.only(0);
        let mut client = Client::open_streamable(cluster).await;
        find_model(cluster).await;
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.set_pace(0.1);
        let call = cluster.carriers.dial("+14155550123", &cluster.account.phone).await.unwrap();
        hears(&call, "AI assistant").await;
        says(&call, "What time is it?").await;
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        // Each poll registers the client, but does not claim the turn.
        for _ in 0..3 {
            let poll = json!({ "types": ["call.incoming"], "timeoutMs": 300 });
            agent.call("comms_wait_events", poll).await.unwrap();
        }
        let block = json!({ "type": "text", "text": "Noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears(&call, "Noon.").await;

        // An agent that claims the turn cancels the sampling request.
        says(&call, "And now?").await;
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        let turn = agent.attend_any().await;
        assert_eq!(turn["text"], "And now?");
        let cancelled = client.events.message().await;
        assert_eq!(cancelled["method"], "notifications/cancelled", "{cancelled}");
        assert_eq!(cancelled["params"]["requestId"], request["id"]);
        agent.reply_to_turn(&turn, "Still noon.").await.unwrap();
        hears(&call, "Still noon.").await;
        call.hang_up().await;
    }
}

profiles! {
    async fn sampled_answer_is_spoken_without_markup_and_bounded(cluster: &Cluster) {
        let mut client = Client::open_streamable(cluster).await;
        find_model(cluster).await;
        let gateway = cluster.gateways.only(0);
        let mut socket = start_conversation(cluster).await;
        for (answer, expected) in [
            ("**Sure!** See [our page](https://example.com/a) 😀".to_owned(), "Sure! See our page"),
            ("<think>They want a table.</think>Hello there.".to_owned(), "Hello there."),
            ("This is a sentence. ".repeat(850), "This is a sentence."),
        ] {
            send_frame(&mut socket, json!({ "type": "prompt", "voicePrompt": format!("Tell me {}", answer.len()) })).await;
            let request = loop {
                let message = client.events.message().await;
                if message["method"] == "sampling/createMessage" {
                    break message;
                }
            };
            client.answer(&gateway, &result(&request["id"], &json!({ "type": "text", "text": answer }))).await;
            let mut spoken = String::new();
            loop {
                let frame = next_frame_of(&mut socket, "text").await;
                // Not a filler.
                if frame["preemptible"] == true {
                    continue;
                }
                let token = frame["token"].as_str().unwrap();
                assert!(!token.is_empty() && token.chars().count() <= 4_000);
                spoken.push_str(token);
                if frame["last"] == true {
                    break;
                }
            }
            assert!(spoken.starts_with(expected) && spoken.len() <= 4_000, "{spoken}");
            assert!(answer.len() > 1_000 || spoken == expected, "{spoken}");
        }
    }
}
