//! A client's own model, asked by whoever holds a call: over whichever transport, on whichever gateway.

use std::time::Duration;

use butt_dial_comms::{
    calls::sampling,
    delivery::listeners::{self, Listener},
};
use serde_json::{Value, json};

use crate::support::{
    EventStream, Gateways, HttpSession, LegacySession, PATIENCE, Transport, World, eventually, hears, in_time, says,
};

const DEADLINE: Duration = Duration::from_secs(8);

/// A client with a model, its stream at the last gateway; the answers go to the first.
struct Client {
    events: EventStream,
    way: Way,
}

enum Way {
    Legacy { endpoint: String, token: String },
    Streamable(HttpSession),
}

impl Client {
    async fn open_legacy(world: &World) -> Self {
        let (first, last) = (world.gateways.only(0), world.gateways.only(world.gateways.count() - 1));
        let token = world.account.token.clone();
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
            way: Way::Legacy { endpoint, token },
        }
    }

    async fn open_streamable(world: &World) -> Self {
        let (first, last) = (world.gateways.only(0), world.gateways.only(world.gateways.count() - 1));
        let can = json!({ "sampling": {} });
        let session = HttpSession::open_with(&first, "/mcp-legacy", &world.account.token, can).await;
        Self {
            events: session.push_stream(&last).await,
            way: Way::Streamable(session),
        }
    }

    async fn answer(&self, gateway: &Gateways, message: &Value) {
        let reply = match &self.way {
            Way::Legacy { endpoint, token } => {
                let request = gateway.post(endpoint, message).bearer_auth(token);
                crate::support::Replying::reply(request).await
            }
            Way::Streamable(session) => session.post(gateway, message).await,
        };
        reply.expect(202);
    }
}

/// The agent's one client with a model, once its stream is registered as initialized.
async fn model(world: &World) -> Listener {
    eventually("the client can be asked", async || {
        let mut models = listeners::find_initialized(world.comms(), &world.account.agent)
            .await
            .unwrap();
        models.retain(Listener::samples);
        (models.len() == 1).then(|| models[0].clone())
    })
    .await
}

/// Asks from the first gateway.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle; a story awaits what it asks, or ends it"
)]
fn ask(world: &World, model: &Listener) -> tokio::task::JoinHandle<Result<String, String>> {
    let (comms, agent, model) = (world.comms().clone(), world.account.agent.clone(), model.clone());
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": "What time is it?" } }],
        "systemPrompt": "You are on a telephone call.", "maxTokens": 300, "metadata": { "turnId": "1" },
    });
    tokio::spawn(async move { sampling::sample(&comms, &agent, &model, params, DEADLINE).await })
}

fn result(id: &Value, content: &Value) -> Value {
    let result = json!({ "role": "assistant", "model": "m", "stopReason": "endTurn", "content": content });
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

async fn is_asked(world: &World, mut client: Client) {
    let first = world.gateways.only(0);
    let model = model(world).await;

    let asked = ask(world, &model);
    let request = client.events.message().await;
    assert_eq!(request["method"], "sampling/createMessage", "{request}");
    assert_eq!(request["params"]["systemPrompt"], "You are on a telephone call.");
    assert_eq!(request["params"]["messages"][0]["content"]["text"], "What time is it?");
    let block = json!({ "type": "text", "text": "Noon." });
    client.answer(&first, &result(&request["id"], &block)).await;
    assert_eq!(in_time("an answer", asked).await.unwrap(), Ok("Noon.".to_owned()));

    // Content may be a list, and an answer may be an error.
    let asked = ask(world, &model);
    let request = client.events.message().await;
    client.answer(&first, &result(&request["id"], &json!([block]))).await;
    assert_eq!(in_time("an answer", asked).await.unwrap(), Ok("Noon.".to_owned()));
    let asked = ask(world, &model);
    let request = client.events.message().await;
    let refusal = json!({ "code": -1, "message": "User rejected sampling request" });
    let refusal = json!({ "jsonrpc": "2.0", "id": request["id"], "error": refusal });
    client.answer(&first, &refusal).await;
    let refused = in_time("a refusal", asked).await.unwrap().unwrap_err();
    assert!(refused.contains("rejected"), "{refused}");

    // What is not wanted any more is withdrawn.
    let asked = ask(world, &model);
    let request = client.events.message().await;
    asked.abort();
    let withdrawn = client.events.message().await;
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], request["id"]);
    // Too late, and nobody minds.
    client.answer(&first, &result(&request["id"], &block)).await;

    // Who hangs up answers nothing, and nobody waits for it.
    let asked = ask(world, &model);
    client.events.message().await;
    let begun = std::time::Instant::now();
    drop(client);
    assert!(in_time("a failure", asked).await.unwrap().is_err());
    assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
}

profiles! {
    async fn a_clients_model_is_asked_over_the_legacy_transport(world: &World) {
        is_asked(world, Client::open_legacy(world).await).await;
    }
}

profiles! {
    async fn a_clients_model_is_asked_over_streamable_http(world: &World) {
        is_asked(world, Client::open_streamable(world).await).await;
    }
}

profiles! {
    async fn a_client_that_comes_back_in_the_middle_of_a_call_is_asked_again(world: &World) {
        let first = world.gateways.only(0);
        let mut client = Client::open_streamable(world).await;
        model(world).await;
        world.carriers.set_pace(0.1);
        let call = world.carriers.dial("+14155550123", &world.account.phone).await.unwrap();
        let hears = async |text: &str| {
            let heard = call.wait_for_speech(|heard| heard.contains(text), PATIENCE).await;
            assert!(heard.is_some(), "{text:?} was not heard: {:#?}", call.transcript());
        };
        hears("AI assistant").await;
        assert!(call.wait_for_quiet(PATIENCE).await);
        call.say("What time is it?").await;
        let request = client.events.message().await;
        let block = json!({ "type": "text", "text": "Noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears("Noon.").await;
        assert!(call.wait_for_quiet(PATIENCE).await);

        let Client { events, way } = client;
        drop(events);
        eventually("its stream is gone", async || {
            let open = listeners::find_initialized(world.comms(), &world.account.agent).await.unwrap();
            open.is_empty().then_some(())
        })
        .await;
        call.say("And now?").await;
        // The caller is kept company meanwhile.
        assert!(call.wait_for_quiet(PATIENCE).await);
        let Way::Streamable(session) = &way else { unreachable!("it was opened so") };
        let events = session.push_stream(&first).await;
        let mut client = Client { events, way };
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        let block = json!({ "type": "text", "text": "Still noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears("Still noon.").await;
        assert!(!call.heard_text().contains("message"), "the machine took the call: {}", call.heard_text());
        call.hang_up().await;
    }
}

profiles! {
    async fn who_looks_for_events_now_and_then_does_not_disturb_a_client_that_thinks(world: &World) {
        let first = world.gateways.only(0);
        let mut client = Client::open_streamable(world).await;
        model(world).await;
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.set_pace(0.1);
        let call = world.carriers.dial("+14155550123", &world.account.phone).await.unwrap();
        hears(&call, "AI assistant").await;
        says(&call, "What time is it?").await;
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        // It says each time that it is there, and does not want a turn.
        for _ in 0..3 {
            let poll = json!({ "types": ["call.incoming"], "timeoutMs": 300 });
            agent.call("comms_wait_events", poll).await.unwrap();
        }
        let block = json!({ "type": "text", "text": "Noon." });
        client.answer(&first, &result(&request["id"], &block)).await;
        hears(&call, "Noon.").await;

        // Who takes the turn has it, and the client need not go on.
        says(&call, "And now?").await;
        let request = client.events.message().await;
        assert_eq!(request["method"], "sampling/createMessage", "{request}");
        let turn = agent.anybody().await;
        assert_eq!(turn["text"], "And now?");
        let withdrawn = client.events.message().await;
        assert_eq!(withdrawn["method"], "notifications/cancelled", "{withdrawn}");
        assert_eq!(withdrawn["params"]["requestId"], request["id"]);
        agent.answers(&turn, "Still noon.").await.unwrap();
        hears(&call, "Still noon.").await;
        call.hang_up().await;
    }
}
