//! One idempotency key is one message: at once, again later, after a crash, on whichever gateway.

use butt_dial_providers::simulator::Misbehaviour;
use futures::{StreamExt as _, future::join_all};
use serde_json::{Value, json};

use crate::support::{Agent, Fleet, Replying as _, Transport, World, email, eventually, sms, with};

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

/// Lets the first program hand a message to the carrier, which keeps it waiting, and kills it. Returns the message's id.
async fn kill_in_mid_send(
    fleet: &mut Fleet,
    vendor: &'static str,
    misbehaviour: Misbehaviour,
    message: &Value,
) -> String {
    let before = fleet.carriers.requests_total(vendor);
    fleet.carriers.misbehave(vendor, misbehaviour, 1);
    let doomed = Agent::connect_rest(&fleet.gateways.only(0), &fleet.account.token);
    let asked = eventually("the carrier is asked", async || {
        (fleet.carriers.requests_total(vendor) > before).then_some(())
    });
    tokio::select! {
        answer = doomed.try_send(message.clone()) => panic!("answered too early: {answer:?}"),
        () = asked => {}
    }
    let id = fleet.message_of_key(&fleet.account.agent, key_of(message)).await;
    fleet.kill(0).await;
    id
}

fn key_of(message: &Value) -> &str {
    message["idempotencyKey"].as_str().unwrap()
}

/// What a retry with the same key must show after a crash: never a second message, and the truth in the end.
async fn retry_tells_the_truth(fleet: &Fleet, id: &str, message: &Value, truth: &str) -> Value {
    let agent = fleet.rest().await;
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["messageId"], &retried["status"]),
        (&json!(id), &json!("pending"))
    );
    fleet.sender_is_overdue(id).await;
    let outcome = fleet.outcome(&agent, id).await;
    assert_eq!(outcome["status"], truth);
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!((&retried["messageId"], &retried["status"]), (&json!(id), &json!(truth)));
    let waiting = agent.waiting().await;
    let told: Vec<_> = waiting.iter().filter(|event| event["messageId"] == id).collect();
    assert_eq!(told.len(), 1, "{waiting:?}");
    assert_eq!(told[0]["status"], truth);
    outcome
}

const SLOW: Misbehaviour = Misbehaviour::Slow { delay_ms: 5_000 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_carrier_took_it_the_message_is_accepted_once_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    let id = kill_in_mid_send(&mut fleet, "twilio", SLOW, &message).await;
    let taken = fleet.taken(ANN).await;
    let outcome = retry_tells_the_truth(&fleet, &id, &message, "accepted").await;
    assert_eq!(outcome["providerMessageId"], taken.carrier_id);
    assert_eq!(fleet.carriers.accepted_total("twilio"), 1);
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_carrier_took_it_the_message_is_unconfirmed_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Perhaps");
    let id = kill_in_mid_send(&mut fleet, "twilio", Misbehaviour::StallBeforeAccept, &message).await;
    let outcome = retry_tells_the_truth(&fleet, &id, &message, "unconfirmed").await;
    assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

/// Resend sends once for one key, so a mail that was not taken is sent after all, and one that was is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_send_an_email_goes_out_once_in_the_end_servers() {
    for misbehaviour in [SLOW, Misbehaviour::StallBeforeAccept] {
        let mut fleet = Fleet::gateways(2, &[]).await;
        let message = email("ann@example.com", "Only once");
        let id = kill_in_mid_send(&mut fleet, "resend", misbehaviour, &message).await;
        let outcome = retry_tells_the_truth(&fleet, &id, &message, "accepted").await;
        assert_eq!(
            outcome["providerMessageId"],
            fleet.taken("ann@example.com").await.carrier_id
        );
        assert_eq!(fleet.carriers.accepted_total("resend"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_a_laptop_nothing_that_was_accepted_is_lost() {
    let mut fleet = Fleet::laptop(&[]).await;
    let before = sms("+14155550125", "Before");
    let sent = fleet.rest().await.send(before.clone()).await.unwrap();
    let message = sms(ANN, "Only once");
    let id = kill_in_mid_send(&mut fleet, "twilio", SLOW, &message).await;
    fleet.start_one().await;
    let again = fleet.rest().await.send(before).await.unwrap();
    assert_eq!(
        (&again["messageId"], &again["replayed"]),
        (&sent["messageId"], &json!(true))
    );
    retry_tells_the_truth(&fleet, &id, &message, "accepted").await;
    assert_eq!(fleet.carriers.accepted_total("twilio"), 2);
}

/// Many sends at every stage of their way when the gateway dies: whoever asks again learns the truth about each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_amid_many_sends_every_message_ends_once_and_truthfully_servers() {
    let mut fleet = Fleet::gateways(2, &[("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")]).await;
    let messages: Vec<Value> = (0..60).map(|n| sms(&format!("+141555502{n:02}"), "Once")).collect();
    fleet
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 60 }, 60);
    let doomed = Agent::connect_rest(&fleet.gateways.only(0), &fleet.account.token);
    let mut programs = std::mem::take(&mut fleet.programs);
    let sends = futures::stream::iter(&messages)
        .map(|message| doomed.try_send(message.clone()))
        .buffered(8);
    let (answers, ()) = tokio::join!(sends.collect::<Vec<_>>(), async {
        eventually("half of them are under way", async || {
            (fleet.carriers.requests_total("twilio") >= 30).then_some(())
        })
        .await;
        programs.remove(0).kill().await;
    });
    let answered = answers.iter().flatten().count();
    assert!((1..60).contains(&answered), "it died in the middle: {answered}");

    fleet.gateways.replace(vec![programs[0].base_url.clone()]);
    let agent = fleet.rest().await;
    let receipts = join_all(messages.iter().map(|message| agent.send(message.clone()))).await;
    let receipts: Vec<Value> = receipts.into_iter().map(Result::unwrap).collect();
    let id = |receipt: &Value| receipt["messageId"].as_str().unwrap().to_owned();
    let pending = || receipts.iter().filter(|receipt| receipt["status"] == "pending");
    join_all(pending().map(async |receipt| fleet.sender_is_overdue(&id(receipt)).await)).await;
    for ((message, answer), receipt) in messages.iter().zip(&answers).zip(&receipts) {
        let receipt = fleet.outcome(&agent, &id(receipt)).await;
        if let Some(answer) = answer {
            assert_eq!(answer["messageId"], receipt["messageId"], "an answer once given stands");
        }
        let taken = fleet.carriers.messages_to(message["to"].as_str().unwrap());
        match receipt["status"].as_str().unwrap() {
            "accepted" => {
                assert_eq!(taken.len(), 1, "{receipt}");
                assert_eq!(receipt["providerMessageId"], taken[0].carrier_id);
            }
            // Written down, and the gateway died before the request left.
            "unconfirmed" => assert!(answer.is_none() && taken.is_empty(), "{receipt}"),
            other => panic!("{other}: {receipt}"),
        }
    }
}
