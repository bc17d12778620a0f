//! What became of a message after the carrier took it: told in any order and any number of times, known once.

use std::time::Duration;

use butt_dial_providers::Manner;
use serde_json::{Value, json};

use crate::support::{Account, Agent, Transport, Webhook, World, email, sid, sms};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

/// The events about this message, in their order.
fn told<'a>(events: &'a [Value], receipt: &Value) -> Vec<&'a str> {
    let about = events.iter().filter(|event| event["messageId"] == receipt["messageId"]);
    about
        .map(|event| {
            assert_eq!(event["type"], "status", "{event}");
            assert!(event.get("body").is_none(), "{event}");
            event["status"].as_str().unwrap()
        })
        .collect()
}

async fn cost_today(agent: &Agent) -> f64 {
    let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
    usage["currentUsage"]["spendToday"].as_f64().unwrap()
}

profiles! {
    async fn the_agent_is_told_that_a_message_was_sent_and_delivered(world: &World) {
        world.carriers.set_delivery_delay(Duration::ZERO);
        let agent = world.rest().await;
        for message in [sms(ANN, "Hello"), email("ann@example.com", "Hello")] {
            let receipt = agent.send(message).await.unwrap();
            assert_eq!(receipt["status"], "accepted");
            let events = agent.take(2).await;
            assert_eq!(told(&events, &receipt), ["sent", "delivered"]);
            assert_eq!((&events[0]["channel"], &events[0]["to"]), (&receipt["channel"], &receipt["to"]));
        }
        world.texts(BOB, "Last").await;
        assert!(agent.take_until("Last").await.is_empty());
    }
}

profiles! {
    async fn receipts_that_come_backwards_and_again_and_again_never_turn_a_message_back(world: &World) {
        world.carriers.set_delivery_delay(Duration::ZERO);
        for vendor in ["twilio", "resend"] {
            world.carriers.set_manner(vendor, Manner { copies: 3, reversed: true });
        }
        let agent = world.agent(Transport::Sse).await;
        for message in [sms(ANN, "Hello"), email("ann@example.com", "Hello")] {
            let receipt = agent.send(message).await.unwrap();
            assert_eq!(told(&agent.take(1).await, &receipt), ["delivered"]);
        }
        // By hand once more, in every wrong order.
        let receipt = agent.send(sms(ANN, "Again")).await.unwrap();
        let post = async |status: &str| {
            let told = Webhook::status(world, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(told.post(world).await.status, 200, "{status}");
        };
        for status in ["sent", "queued", "sent", "read", "delivered", "undelivered", "failed", "sending", "read"] {
            post(status).await;
        }
        world.texts(BOB, "Last").await;
        let events = agent.take_until("Last").await;
        let stages = told(&events, &receipt);
        let ranks: Vec<_> = stages.iter().map(|stage| ["sent", "delivered", "read"].iter().position(|s| s == stage)).collect();
        assert!(ranks.iter().all(Option::is_some), "{events:?}");
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "only forwards, and each once: {events:?}");
        assert_eq!(stages.last(), Some(&"read"), "{events:?}");
    }
}

profiles! {
    async fn a_message_that_was_never_sent_on_costs_nothing(world: &World) {
        let agent = world.rest().await;
        let (kept, failed) = (agent.send(sms(ANN, "One")).await.unwrap(), agent.send(sms(ANN, "Two")).await.unwrap());
        assert!((cost_today(&agent).await - 2.0 * 0.0083).abs() < 1e-9);
        for (receipt, status) in [(&failed, "failed"), (&kept, "undelivered"), (&failed, "failed")] {
            let told = Webhook::status(world, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(told.post(world).await.status, 200);
        }
        let events = agent.take(2).await;
        for receipt in [&failed, &kept] {
            assert_eq!(told(&events, receipt), ["failed"]);
        }
        assert!(events[0]["providerCode"] == "30008" && events[0]["code"].is_string(), "{}", events[0]);
        // What the network lost was paid for.
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        let close = |amount: &Value| (amount.as_f64().unwrap() - 0.0083).abs() < 1e-9;
        assert!(close(&usage["currentUsage"]["spendToday"]), "{usage}");
        assert!(close(&usage["currentUsage"]["spendMonth"]), "{usage}");
        assert!(close(&usage["costsByChannel"]["sms"]), "{usage}");
        let status = agent.status_of(failed["messageId"].as_str().unwrap()).await.unwrap();
        assert_eq!(status["cost"], 0.0, "{status}");
    }
}

profiles! {
    async fn a_receipt_proves_nothing_about_somebody_elses_message(world: &World) {
        let other = Account::found(&world.store, &world.gateways, "Other", "+14155550190").await;
        let (ours, theirs) = (world.rest().await, world.agent_of(&other, Transport::Rest).await);
        let mine = ours.send(sms(ANN, "Mine")).await.unwrap();
        let foreign = theirs.send(sms(ANN, "Theirs")).await.unwrap();
        let before = theirs.status_of(foreign["messageId"].as_str().unwrap()).await.unwrap();
        for (message, carrier_id) in [
            // The other's id with an id of ours, or of nobody.
            (&foreign["messageId"], &mine["providerMessageId"]),
            (&foreign["messageId"], &json!(sid())),
            // And nobody's id with the other's message.
            (&json!("msg_0"), &json!(sid())),
            (&mine["messageId"], &foreign["providerMessageId"]),
        ] {
            for status in ["failed", "delivered"] {
                let told = Webhook::status(world, message, carrier_id, status);
                assert_eq!(told.post(world).await.status, 200, "carriers are not argued with");
            }
        }
        world.texts(BOB, "Last").await;
        assert!(ours.take_until("Last").await.is_empty());
        assert!(theirs.waiting().await.is_empty());
        assert_eq!(theirs.status_of(foreign["messageId"].as_str().unwrap()).await.unwrap(), before);
        for (agent, receipt) in [(&ours, &mine), (&theirs, &foreign)] {
            assert!((cost_today(agent).await - 0.0083).abs() < 1e-9);
            let told_truly = Webhook::status(world, &receipt["messageId"], &receipt["providerMessageId"], "delivered");
            assert_eq!(told_truly.post(world).await.status, 200);
            assert_eq!(told(&agent.take(1).await, receipt), ["delivered"]);
        }
    }
}

/// The carrier took the message and never said so; then it tells that it was delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_settles_what_was_in_doubt_servers() {
    use butt_dial_providers::simulator::Misbehaviour;
    let settings = [("CARRIER_TIMEOUT_SECONDS", "1"), ("RECONCILE_AFTER_SECONDS", "600,600")];
    let world = World::servers(&settings).await;
    let agent = world.rest().await;
    world.carriers.misbehave("twilio", Misbehaviour::TimeoutAfterAccept, 1);
    let receipt = agent.send(sms(ANN, "Did it arrive?")).await.unwrap();
    assert_eq!(receipt["status"], "pending", "{receipt}");
    let taken = world.taken(ANN).await;
    let told = Webhook::status(&world, &receipt["messageId"], &json!(taken.carrier_id), "delivered");
    assert_eq!(told.post(&world).await.status, 200);
    let outcome = world.outcome(&agent, receipt["messageId"].as_str().unwrap()).await;
    assert_eq!(
        (&outcome["status"], &outcome["providerMessageId"]),
        (&json!("delivered"), &json!(taken.carrier_id))
    );
    assert_eq!(world.carriers.accepted_total("twilio"), 1);
    world.end().await;
}
