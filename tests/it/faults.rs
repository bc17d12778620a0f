//! Carriers that misbehave. Whatever they do, a message is sent once, and the agent is told the truth: at once where it
//! is known, afterwards where it is not.

use butt_dial_providers::simulator::Misbehaviour;
use serde_json::{Value, json};

use crate::support::{Stage, Transport, World, code, email, sms};

const ANN: &str = "+14155550123";
const MAIL: &str = "ann@example.com";

/// Sends each message into a fault that leaves its outcome open, and waits until it is found out. The agent must be
/// told of each outcome once, and a repeat must show the same.
async fn send_in_doubt(stage: &Stage, vendor: &'static str, sends: Vec<(Misbehaviour, Value)>) -> Vec<Value> {
    let agent = stage.agent(Transport::StreamableHttp).await;
    let mut ids = Vec::new();
    for (fault, message) in &sends {
        stage.carriers.misbehave(vendor, fault.clone(), 1);
        let receipt = agent.send(message.clone()).await.unwrap();
        assert_eq!(receipt["status"], "pending", "{receipt}");
        ids.push(receipt["messageId"].as_str().unwrap().to_owned());
    }
    let mut outcomes = Vec::new();
    for (id, (_, message)) in ids.iter().zip(&sends) {
        let outcome = stage.outcome(&agent, id).await;
        let again = agent.send(message.clone()).await.unwrap();
        assert_eq!(
            (&again["messageId"], &again["status"]),
            (&json!(id), &outcome["status"])
        );
        outcomes.push(outcome);
    }
    let mut told = agent.waiting().await;
    told.extend(agent.waiting().await);
    for (id, outcome) in ids.iter().zip(&outcomes) {
        let events: Vec<_> = told.iter().filter(|event| event["messageId"] == json!(id)).collect();
        assert_eq!(events.len(), 1, "{told:?}");
        assert_eq!(
            (&events[0]["type"], &events[0]["status"]),
            (&json!("status"), &outcome["status"])
        );
    }
    assert_eq!(told.len(), ids.len(), "{told:?}");
    outcomes
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn what_the_carrier_took_without_saying_so_is_found_in_its_list(world: &World) {
        let faults = [
            (Misbehaviour::TimeoutAfterAccept, "+14155550131"),
            (Misbehaviour::ServerErrorAfterAccept, "+14155550132"),
            (Misbehaviour::ResetAfterAccept, "+14155550133"),
        ];
        let sends = faults
            .iter()
            .map(|(fault, to)| (fault.clone(), sms(to, "Did it arrive?")));
        let outcomes = send_in_doubt(world, "twilio", sends.collect()).await;
        for ((_, to), outcome) in faults.iter().zip(outcomes) {
            assert_eq!(outcome["status"], "accepted");
            assert_eq!(outcome["providerMessageId"], world.taken(to).await.carrier_id);
        }
        assert_eq!(world.carriers.requests_total("twilio"), 3);
        assert_eq!(world.carriers.accepted_total("twilio"), 3);
    }
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn what_the_carrier_never_took_ends_as_unconfirmed(world: &World) {
        let faults = [
            Misbehaviour::StallBeforeAccept,
            Misbehaviour::ServerError,
            Misbehaviour::Nonsense,
        ];
        let sends = faults.into_iter().map(|fault| (fault, sms(ANN, "Did it arrive?")));
        for outcome in send_in_doubt(world, "twilio", sends.collect()).await {
            assert_eq!(outcome["status"], "unconfirmed");
            assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
        }
        assert_eq!(world.carriers.requests_total("twilio"), 3);
        assert_eq!(world.carriers.accepted_total("twilio"), 0);
    }
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn an_email_in_doubt_is_asked_for_again_under_its_key_and_goes_out_once(world: &World) {
        let faults = [
            (Misbehaviour::TimeoutAfterAccept, "ann@example.com"),
            (Misbehaviour::ServerErrorAfterAccept, "bob@example.com"),
            (Misbehaviour::StallBeforeAccept, "cat@example.com"),
            (Misbehaviour::ServerError, "dan@example.com"),
        ];
        let agent = world.rest().await;
        for (fault, to) in faults {
            world.carriers.misbehave("resend", fault, 1);
            let message = email(to, "Did it arrive?");
            let receipt = agent.send(message.clone()).await.unwrap();
            assert_eq!(receipt["status"], "pending", "{receipt}");
            let outcome = world.outcome(&agent, receipt["messageId"].as_str().unwrap()).await;
            assert_eq!(outcome["status"], "accepted");
            assert_eq!(agent.send(message).await.unwrap()["messageId"], receipt["messageId"]);
            assert_eq!(world.carriers.messages_to(to).len(), 1);
            assert_eq!(outcome["providerMessageId"], world.taken(to).await.carrier_id);
        }
        assert_eq!(agent.waiting().await.len(), 4);
    }
}

/// Two messages of the same words to the same person, both in doubt, and the carrier took one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_equal_messages_in_doubt_never_claim_the_same_carrier_message_servers() {
    let world = World::servers(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    world.carriers.misbehave("twilio", Misbehaviour::TimeoutAfterAccept, 1);
    world.carriers.misbehave("twilio", Misbehaviour::StallBeforeAccept, 1);
    let agent = world.rest().await;
    let (one, two) = tokio::join!(agent.send(sms(ANN, "Same words")), agent.send(sms(ANN, "Same words")));
    let mut outcomes = Vec::new();
    for receipt in [one.unwrap(), two.unwrap()] {
        let outcome = world.outcome(&agent, receipt["messageId"].as_str().unwrap()).await;
        outcomes.push(outcome["status"].as_str().unwrap().to_owned());
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["accepted", "unconfirmed"]);
    world.end().await;
}

profiles! {
    async fn a_carrier_that_is_too_busy_is_asked_again_by_the_agent_with_the_same_key(world: &World) {
        for (vendor, message) in [("twilio", sms(ANN, "Busy?")), ("resend", email(MAIL, "Busy?"))] {
            world
                .carriers
                .misbehave(vendor, Misbehaviour::RateLimit { retry_after: Some(7) }, 1);
            let agent = world.agent(Transport::Sse).await;
            let refused = agent.send(message.clone()).await.unwrap_err();
            assert_eq!(refused["code"], "PROVIDER_RATE_LIMITED");
            assert_eq!(
                (&refused["retryable"], &refused["retryAfterSeconds"]),
                (&json!(true), &json!(7))
            );
            let sent = agent.send(message).await.unwrap();
            assert_eq!(sent["status"], "accepted");
            assert_ne!(sent["messageId"], refused["failedMessageId"]);
            assert_eq!(world.carriers.accepted_total(vendor), 1);
            let failed = agent
                .status_of(refused["failedMessageId"].as_str().unwrap())
                .await
                .unwrap();
            assert_eq!(
                (&failed["status"], &failed["code"]),
                (&json!("failed"), &json!("PROVIDER_RATE_LIMITED"))
            );
        }
    }
}

profiles! {
    async fn a_refusal_of_the_message_itself_is_final_and_costs_nothing(world: &World) {
        let agent = world.rest().await;
        let refusals = [(400, "21211", "INVALID_RECIPIENT"), (400, "21617", "PROVIDER_REFUSED")];
        for (status, carrier_code, expected) in refusals {
            let fault = Misbehaviour::Refuse {
                status,
                code: carrier_code.into(),
            };
            world.carriers.misbehave("twilio", fault, 1);
            let message = sms(ANN, "No?");
            let asked = world.carriers.requests_total("twilio");
            for _ in 0..2 {
                let refused = agent.send(message.clone()).await.unwrap_err();
                assert_eq!(code(&refused), expected);
                assert_eq!(refused["retryable"], false);
            }
            assert_eq!(
                world.carriers.requests_total("twilio"),
                asked + 1,
                "the repeat gets the first answer"
            );
        }
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(
            (&usage["totalActions"], &usage["currentUsage"]["spendToday"]),
            (&json!(0), &json!(0.0))
        );
    }
}

profiles! {
    async fn a_refusal_of_our_account_is_for_the_operator_and_the_key_stays_free(world: &World) {
        let agent = world.rest().await;
        let fault = Misbehaviour::Refuse {
            status: 401,
            code: "20003".into(),
        };
        world.carriers.misbehave("twilio", fault, 1);
        let message = sms(ANN, "No?");
        let refused = agent.send(message.clone()).await.unwrap_err();
        assert_eq!(code(&refused), "PROVIDER_MISCONFIGURED");
        assert!(refused["remediation"].as_str().unwrap().contains("doctor"));
        assert_eq!(agent.send(message).await.unwrap()["status"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_cannot_be_reached_is_said_so_and_the_key_stays_free_servers() {
    let (world, road) = World::behind_a_road_to_the_carriers(&[]).await;
    let agent = world.rest().await;
    road.refuse().await;
    road.cut().await;
    for message in [sms(ANN, "Hello"), email(MAIL, "Hello")] {
        let refused = agent.send(message).await.unwrap_err();
        assert_eq!(
            (code(&refused), &refused["retryable"]),
            ("SERVICE_UNAVAILABLE", &json!(true))
        );
    }
    let message = sms(ANN, "Hello again");
    agent.send(message.clone()).await.unwrap_err();
    road.heal().await;
    assert_eq!(agent.send(message).await.unwrap()["status"], "accepted");
    assert_eq!(world.carriers.accepted_total("twilio"), 1);
    world.end().await;
}

/// The reconciler asks until the carrier answers: silence is no reason to call a message unconfirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_is_silent_for_long_is_asked_until_it_answers_servers() {
    let (world, road) = World::behind_a_road_to_the_carriers(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    let agent = world.rest().await;
    world.carriers.misbehave("twilio", Misbehaviour::TimeoutAfterAccept, 1);
    let (receipt, ()) = tokio::join!(agent.send(sms(ANN, "Patience")), async {
        world.taken(ANN).await;
        road.refuse().await;
        road.cut().await;
    });
    let receipt = receipt.unwrap();
    let id = receipt["messageId"].as_str().unwrap();
    // More looks than RECONCILE_AFTER_SECONDS allows a carrier that answers.
    for _ in 0..5 {
        world.sender_is_overdue(id).await;
        world.was_looked_at(id).await;
        assert_eq!(agent.status_of(id).await.unwrap()["status"], "pending");
    }
    road.heal().await;
    world.sender_is_overdue(id).await;
    assert_eq!(world.outcome(&agent, id).await["status"], "accepted");
    world.end().await;
}
