//! Messages that leave later, on another channel, after a refusal, or not at all by a carrier: one pipeline for all of them.

use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::simulator::Misbehaviour;
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use crate::support::{World, eventually, sms, whatsapp, with};

const ANN: &str = "+14155550123";
/// Nobody who is kept for fiction, so this person's WhatsApp window is shut.
const CARL: &str = "+14165550160";
const COLLEAGUE: &str = "+14155550101";

fn in_seconds(seconds: i64) -> Value {
    let at = Clock::System.now() + TimeDelta::seconds(seconds);
    json!(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Waits until the message has this status.
async fn has_status(world: &World, message: &Value, status: &str) -> Value {
    let agent = world.rest().await;
    let id = message.as_str().expect("an id").to_owned();
    eventually(&format!("the message is {status}"), async || {
        let told = agent.status_of(&id).await.ok()?;
        (told["status"] == status).then_some(told)
    })
    .await
}

profiles! {
    async fn a_scheduled_message_leaves_when_it_is_due_and_once(world: &World) {
        let agent = world.rest().await;
        let later = with(sms(ANN, "Reminder"), json!({ "scheduledAt": in_seconds(2), "idempotencyKey": "reminder" }));
        let receipt = agent.send(later.clone()).await.unwrap();
        assert_eq!((&receipt["status"], &receipt["scheduledAt"]), (&json!("scheduled"), &later["scheduledAt"]));
        assert_eq!(world.carriers.requests_total("twilio"), 0);
        let again = agent.send(later).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        let told = agent.status_of(receipt["messageId"].as_str().unwrap()).await.unwrap();
        assert_eq!(told["status"], "scheduled");

        let told = has_status(world, &receipt["messageId"], "delivered").await;
        assert_eq!(told["messageId"], receipt["messageId"], "it has kept its id");
        assert_eq!(world.taken(ANN).await.body, "Reminder");
        assert_eq!(world.carriers.accepted_total("twilio"), 1);
        let other = with(sms(ANN, "Something else"), json!({ "scheduledAt": in_seconds(60), "idempotencyKey": "reminder" }));
        assert_eq!(agent.send(other).await.unwrap_err()["code"], "IDEMPOTENCY_CONFLICT");
    }
}

profiles! {
    async fn stop_cancels_what_was_to_be_sent_later(world: &World) {
        let agent = world.rest().await;
        let later = with(sms(ANN, "Buy!"), json!({ "scheduledAt": in_seconds(3) }));
        let to_ann = agent.send(later).await.unwrap();
        let to_carl = agent.send(with(sms(CARL, "Hello"), json!({ "scheduledAt": in_seconds(3) }))).await.unwrap();
        world.texts(ANN, "STOP").await;
        let told = has_status(world, &to_ann["messageId"], "failed").await;
        assert_eq!(told["code"], "CONTACT_OPTED_OUT");
        // By then hers would have been sent too.
        has_status(world, &to_carl["messageId"], "delivered").await;
        assert_eq!(world.carriers.accepted_total("twilio"), 1);
    }
}

profiles! {
    async fn what_a_carrier_refuses_for_now_is_tried_again_when_asked_for(world: &World) {
        let agent = world.rest().await;
        let refusal = Misbehaviour::RateLimit { retry_after: Some(1) };
        world.carriers.misbehave("twilio", refusal.clone(), 1);
        let refused = agent.send(sms(ANN, "Now")).await.unwrap_err();
        assert_eq!(refused["code"], "PROVIDER_RATE_LIMITED", "without being asked, the caller is told");

        world.carriers.misbehave("twilio", refusal, 1);
        let patient = with(sms(ANN, "Soon"), json!({ "retry": true, "idempotencyKey": "soon" }));
        let receipt = agent.send(patient).await.unwrap();
        assert_eq!(receipt["status"], "scheduled", "{receipt}");
        assert_eq!(world.taken(ANN).await.body, "Soon");
        has_status(world, &receipt["messageId"], "delivered").await;
        assert_eq!(world.carriers.accepted_total("twilio"), 1);
    }
}

profiles! {
    async fn another_channel_is_tried_when_the_first_cannot_reach_the_person(world: &World) {
        let agent = world.rest().await;
        let message = with(
            whatsapp(CARL, "Are you there?"),
            json!({ "fallbackChannels": ["email", "sms"], "idempotencyKey": "fall back" }),
        );
        let receipt = agent.send(message.clone()).await.unwrap();
        // A number is no e-mail address, so that one is passed over.
        assert_eq!((&receipt["channel"], &receipt["insteadOf"]), (&json!("sms"), &json!("whatsapp")), "{receipt}");
        assert_eq!(world.arrival(&receipt).await.channel, Channel::Sms);
        let again = agent.send(message).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        assert_eq!(world.carriers.accepted_total("twilio"), 1);

        // The first channel was only busy for a moment; by now it would work, and must not be used all the same.
        world.carriers.misbehave("twilio", Misbehaviour::RateLimit { retry_after: None }, 1);
        let busy = with(sms(ANN, "Busy?"), json!({ "fallbackChannels": ["whatsapp"], "idempotencyKey": "busy" }));
        let receipt = agent.send(busy.clone()).await.unwrap();
        assert_eq!(receipt["channel"], "whatsapp");
        let again = agent.send(busy).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        assert_eq!(world.carriers.accepted_total("twilio"), 2);

        world.texts(CARL, "STOP").await;
        agent.take_until("STOP").await;
        let wish = with(sms(CARL, "Please"), json!({ "fallbackChannels": ["whatsapp"] }));
        assert_eq!(agent.send(wish).await.unwrap_err()["code"], "CONTACT_OPTED_OUT", "no way around a wish");
    }
}

profiles! {
    async fn agents_of_one_organization_need_no_carrier(world: &World) {
        let colleague = world.account.colleague(&world.store, &world.gateways, "agent", COLLEAGUE).await;
        let (agent, other) = (world.rest().await, world.agent_of(&colleague, crate::support::Transport::Rest).await);
        for (to, body) in [(COLLEAGUE, "By number"), (colleague.agent.as_str(), "By id")] {
            let receipt = agent.send(sms(to, body)).await.unwrap();
            assert_eq!((&receipt["status"], &receipt["provider"]), (&json!("accepted"), &json!("inside")));
            assert_eq!((&receipt["to"], &receipt["cost"]), (&json!(COLLEAGUE), &json!(0.0)));
        }
        let events = other.take(2).await;
        assert_eq!((&events[0]["body"], &events[1]["body"]), (&json!("By number"), &json!("By id")));
        assert_eq!(events[0]["from"], world.account.phone.as_str());
        assert_eq!(world.carriers.requests_total("twilio"), 0);
    }
}

profiles! {
    async fn a_blocked_channel_sends_nothing_within_a_second(world: &World) {
        let agent = world.rest().await;
        let set = |blocked: bool| json!({ "channel": "sms", "direction": "outbound", "blocked": blocked });
        agent.call("comms_set_channel_block", set(true)).await.unwrap();
        eventually("sending is blocked", async || {
            let refused = agent.send(sms(ANN, "Hello")).await.err()?;
            (refused["code"] == "CHANNEL_UNAVAILABLE").then_some(())
        })
        .await;
        let asked = world.carriers.requests_total("twilio");
        agent.send(sms(ANN, "Hello")).await.unwrap_err();
        assert_eq!(world.carriers.requests_total("twilio"), asked);
        agent.call("comms_set_channel_block", set(false)).await.unwrap();
        eventually("sending is open again", async || agent.send(sms(ANN, "Hello")).await.ok()).await;
    }
}
