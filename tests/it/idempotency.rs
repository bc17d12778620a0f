//! One idempotency key is one message: at once, again later, on whichever gateway.

use butt_dial_providers::simulator::Misbehaviour;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Agent, Replying as _, Transport, World, email, sms, with};

const ANN: &str = "+14155550123";

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn many_requests_with_one_key_at_once_are_one_message(world: &World) {
        let message = sms(ANN, "Once");
        let rest = world.rest().await;
        let mcp = world.agent(Transport::StreamableHttp).await;
        let sse = world.agent(Transport::Sse).await;
        let agents: [&Agent; 3] = [&rest, &mcp, &sse];
        let sends = (0..32).map(|turn| agents[turn % 3].send(message.clone()));
        let receipts: Vec<Value> = join_all(sends).await.into_iter().map(Result::unwrap).collect();
        let id = &receipts[0]["messageId"];
        assert!(
            receipts.iter().all(|receipt| receipt["messageId"] == *id),
            "{receipts:?}"
        );
        assert!(
            receipts.iter().all(|receipt| receipt["status"] == "accepted"),
            "{receipts:?}"
        );
        assert_eq!(receipts.iter().filter(|receipt| receipt["replayed"] != true).count(), 1);
        assert_eq!(world.carriers.requests_total("twilio"), 1);
        let usage = rest.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 1);
    }
}

profiles! {
    async fn the_same_request_again_gets_the_first_answer(world: &World) {
        let agent = world.rest().await;
        let message = email("ann@example.com", "Once");
        let first = agent.send(message.clone()).await.unwrap();
        let again = agent.send(message).await.unwrap();
        assert_eq!(again["replayed"], true);
        for field in ["messageId", "providerMessageId", "status", "cost", "from", "to"] {
            assert_eq!(again[field], first[field], "{field}");
        }
        assert_eq!(world.carriers.requests_total("resend"), 1);
    }
}

profiles! {
    async fn the_same_key_for_another_message_is_a_conflict(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let message = sms(ANN, "One");
        let first = agent.send(message.clone()).await.unwrap();
        for change in [
            json!({ "body": "Two" }),
            json!({ "to": "+14155550124" }),
            json!({ "media": ["https://a.example/b.png"] }),
        ] {
            let refused = agent.send(with(message.clone(), change)).await.unwrap_err();
            assert_eq!(refused["code"], "IDEMPOTENCY_CONFLICT");
            assert_eq!(refused["retryable"], false);
        }
        assert_eq!(agent.send(message).await.unwrap()["messageId"], first["messageId"]);
        assert_eq!(world.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn the_header_of_rest_is_the_key_where_the_body_has_none(world: &World) {
        let body = json!({ "to": ANN, "channel": "sms", "body": "Once" });
        let mut ids = Vec::new();
        for _ in 0..3 {
            let request = world
                .gateways
                .post("/api/v1/send-message", &body)
                .bearer_auth(&world.account.token);
            ids.push(request.header("Idempotency-Key", "abc").reply().await.expect(200)["messageId"].clone());
        }
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(world.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn two_agents_may_use_the_same_key(world: &World) {
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550101")
            .await;
        let (one, other) = (world.rest().await, world.agent_of(&colleague, Transport::Rest).await);
        let message = sms(ANN, "Same key");
        let (first, second) = (
            one.send(message.clone()).await.unwrap(),
            other.send(message).await.unwrap(),
        );
        assert_ne!(first["messageId"], second["messageId"]);
        assert_eq!(world.carriers.accepted_total("twilio"), 2);
    }
}

/// A repeat while the first request is still at the carrier waits for its outcome.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_on_the_other_gateway_waits_for_the_first_one_servers() {
    let world = World::servers(&[]).await;
    let agent = world.rest().await;
    let message = sms(ANN, "Slowly");
    world
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 1_000 }, 1);
    let (first, again) = tokio::join!(agent.send(message.clone()), async {
        world.taken(ANN).await;
        agent.send(message.clone()).await
    });
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(
        (&first["status"], &again["status"]),
        (&json!("accepted"), &json!("accepted"))
    );
    assert_eq!(first["messageId"], again["messageId"]);
    assert_eq!(world.carriers.requests_total("twilio"), 1);
    world.end().await;
}
