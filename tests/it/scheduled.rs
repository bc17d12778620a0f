//! Scheduled sends, retries, fallback channels, and messages between agents: one pipeline for all of them.

use butt_dial_domain::{Channel, Clock, MessageId};
use butt_dial_providers::simulator::InjectedFault;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Cluster, RequestExt, eventually, sms, whatsapp, with};

const ANN: &str = "+14155550123";
/// A number outside the fictional range, so its WhatsApp window is closed.
const CARL: &str = "+14165550160";
const COLLEAGUE: &str = "+14155550101";

fn in_seconds(seconds: i64) -> Value {
    let at = Clock::System.now() + TimeDelta::seconds(seconds);
    json!(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Waits until the message has this status.
async fn wait_for_status(cluster: &Cluster, message: &Value, status: &str) -> Value {
    let agent = cluster.rest().await;
    let id = message.as_str().expect("an id").to_owned();
    eventually(&format!("the message is {status}"), async || {
        let status_now = agent.status_of(&id).await.ok()?;
        (status_now["status"] == status).then_some(status_now)
    })
    .await
}

profiles! {
    async fn sends_scheduled_message_once_when_due(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = with(sms(ANN, "Reminder"), json!({ "scheduledAt": in_seconds(2), "idempotencyKey": "reminder" }));
        let receipt = agent.send(later.clone()).await.unwrap();
        assert_eq!((&receipt["status"], &receipt["scheduledAt"]), (&json!("scheduled"), &later["scheduledAt"]));
        assert_eq!(cluster.carriers.requests_total("twilio"), 0);
        let again = agent.send(later).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        let status = agent.status_of(receipt["messageId"].as_str().unwrap()).await.unwrap();
        assert_eq!(status["status"], "scheduled");

        let status = wait_for_status(cluster, &receipt["messageId"], "accepted").await;
        assert_eq!(status["messageId"], receipt["messageId"], "the id is unchanged");
        assert_eq!(cluster.wait_for_acceptance(ANN).await.body, "Reminder");
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
        let other = with(sms(ANN, "Something else"), json!({ "scheduledAt": in_seconds(60), "idempotencyKey": "reminder" }));
        assert_eq!(agent.send(other).await.unwrap_err()["code"], "IDEMPOTENCY_CONFLICT");
    }
}

profiles! {
    async fn stop_cancels_scheduled_message(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = with(sms(ANN, "Buy!"), json!({ "scheduledAt": in_seconds(3) }));
        let to_ann = agent.send(later).await.unwrap();
        let to_carl = agent.send(with(sms(CARL, "Hello"), json!({ "scheduledAt": in_seconds(3) }))).await.unwrap();
        cluster.texts(ANN, "STOP").await;
        let status = wait_for_status(cluster, &to_ann["messageId"], "failed").await;
        assert_eq!(status["code"], "CONTACT_OPTED_OUT");
        // Both were due at the same time.
        wait_for_status(cluster, &to_carl["messageId"], "accepted").await;
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    }
}

profiles! {
    async fn lists_and_cancels_scheduled_messages(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let mut ids = Vec::new();
        for (seconds, text) in [(4, "First"), (60, "Second")] {
            let later = with(sms(ANN, text), json!({ "scheduledAt": in_seconds(seconds), "idempotencyKey": text }));
            ids.push(agent.send(later).await.unwrap()["messageId"].clone());
        }
        let list = async || agent.call("comms_list_scheduled_messages", json!({})).await.unwrap();
        let listed = list().await;
        assert_eq!((&listed["messages"][0]["messageId"], &listed["messages"][1]["messageId"]), (&ids[0], &ids[1]));
        let cancel = async |id: &Value| agent.call("comms_cancel_scheduled_message", json!({ "messageId": id })).await;
        assert_eq!(cancel(&ids[0]).await.unwrap()["status"], "cancelled");
        assert_eq!(list().await["count"], 1);
        assert_eq!(cancel(&ids[0]).await.unwrap_err()["code"], "NOT_CANCELLABLE");
        assert_eq!(cancel(&json!("msg_unknown")).await.unwrap_err()["code"], "MESSAGE_NOT_FOUND");
        let status = agent.status_of(ids[0].as_str().unwrap()).await.unwrap();
        assert_eq!((&status["status"], &status["code"]), (&json!("failed"), &json!("CANCELLED")));
        // Its time passes: the second one is made due, and leaves alone.
        let second = MessageId::from(ids[1].as_str().unwrap());
        cluster.store.reschedule_send(&second, Clock::System.now() + TimeDelta::seconds(5)).await.unwrap();
        wait_for_status(cluster, &ids[1], "accepted").await;
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
        assert_eq!(cancel(&ids[1]).await.unwrap_err()["code"], "NOT_CANCELLABLE");
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_DAY", "2")];
    async fn scheduling_obeys_limits_and_money(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = |text: &str| with(sms(ANN, text), json!({ "scheduledAt": in_seconds(1) }));
        let first = agent.send(later("One")).await.unwrap();
        agent.send(later("Two")).await.unwrap();
        let refused = agent.send(later("Three")).await.unwrap_err();
        assert_eq!(crate::support::error_code(&refused), "RATE_LIMITED");
        // An action that was counted when it was scheduled is not counted again.
        wait_for_status(cluster, &first["messageId"], "accepted").await;
        let limits = json!({ "agentId": cluster.account.agent, "limits": { "maxActionsPerDay": null, "maxSpendPerDay": 0 } });
        let request = cluster.gateways.post("/api/v1/client-limits", &limits).bearer_auth(&cluster.account.team_token);
        request.reply().await.expect(200);
        eventually("the budget is in force", async || {
            (agent.send(later("Four")).await.err()?["code"] == "SPEND_LIMIT").then_some(())
        })
        .await;
    }
}

profiles! {
    with [("SCHEDULED_PER_AGENT", "2")];
    async fn refuses_more_scheduled_messages_than_allowed(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = || with(sms(ANN, "Later"), json!({ "scheduledAt": in_seconds(60) }));
        agent.send(later()).await.unwrap();
        agent.send(later()).await.unwrap();
        let refused = agent.send(later()).await.unwrap_err();
        assert_eq!(crate::support::error_code(&refused), "RATE_LIMITED");
        assert_eq!(refused["limit"]["scheduledMessages"], 2);
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none")];
    async fn one_key_is_one_message_with_fallbacks_too(cluster: &Cluster) {
        let agent = cluster.rest().await;
        cluster.open_whatsapp_window(ANN).await;
        for round in 0..8 {
            cluster.carriers.inject_fault("twilio", InjectedFault::RateLimit { retry_after: None }, 1);
            let fields = json!({ "fallbackChannels": ["whatsapp"], "idempotencyKey": format!("key {round}") });
            let message = with(sms(ANN, "Once"), fields);
            let repeats = (0..6).map(|_| agent.send(message.clone()));
            let receipts = futures::future::join_all(repeats).await;
            let first = receipts[0].as_ref().unwrap();
            for receipt in &receipts {
                assert_eq!(receipt.as_ref().unwrap()["messageId"], first["messageId"]);
            }
            assert_eq!(cluster.carriers.accepted_total("twilio"), round + 1);
        }
    }
}

profiles! {
    async fn key_of_maximum_length_has_fallbacks(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let fields = json!({ "fallbackChannels": ["sms"], "idempotencyKey": "k".repeat(255) });
        let message = with(whatsapp(CARL, "Are you there?"), fields);
        let receipt = agent.send(message.clone()).await.unwrap();
        assert_eq!(receipt["channel"], "sms");
        let again = agent.send(message).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    }
}

profiles! {
    async fn failed_chain_frees_its_key(cluster: &Cluster) {
        let agent = cluster.rest().await;
        cluster.open_whatsapp_window(ANN).await;
        cluster.carriers.inject_fault("twilio", InjectedFault::RateLimit { retry_after: None }, 2);
        let message = with(sms(ANN, "Once"), json!({ "fallbackChannels": ["whatsapp"], "idempotencyKey": "k" }));
        assert_eq!(agent.send(message.clone()).await.unwrap_err()["code"], "PROVIDER_RATE_LIMITED");
        let receipt = agent.send(message).await.unwrap();
        assert_eq!((&receipt["channel"], &receipt["status"]), (&json!("sms"), &json!("accepted")), "it begins again");
    }
}

profiles! {
    async fn retries_later_when_retry_is_requested(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let refusal = InjectedFault::RateLimit { retry_after: Some(1) };
        cluster.carriers.inject_fault("twilio", refusal.clone(), 1);
        let refused = agent.send(sms(ANN, "Now")).await.unwrap_err();
        assert_eq!(refused["code"], "PROVIDER_RATE_LIMITED", "without `retry`, the caller gets the error");

        cluster.carriers.inject_fault("twilio", refusal, 1);
        let retrying = with(sms(ANN, "Soon"), json!({ "retry": true, "idempotencyKey": "soon" }));
        let receipt = agent.send(retrying).await.unwrap();
        assert_eq!(receipt["status"], "scheduled", "{receipt}");
        let due_at: DateTime<Utc> = receipt["scheduledAt"].as_str().unwrap().parse().unwrap();
        let delay = due_at - Clock::System.now();
        assert!(delay > TimeDelta::seconds(5) && delay <= TimeDelta::seconds(10), "{delay}");
        let id = MessageId::from(receipt["messageId"].as_str().unwrap());
        cluster.store.reschedule_send(&id, Clock::System.now()).await.unwrap();
        wait_for_status(cluster, &receipt["messageId"], "accepted").await;
        assert_eq!(cluster.wait_for_acceptance(ANN).await.body, "Soon");
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    }
}

profiles! {
    async fn falls_back_to_next_channel_at_once(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let message = with(
            whatsapp(CARL, "Are you there?"),
            json!({ "fallbackChannels": ["email", "sms"], "idempotencyKey": "fall back" }),
        );
        let receipt = agent.send(message.clone()).await.unwrap();
        // A phone number is no email address, so that channel is skipped.
        assert_eq!((&receipt["channel"], &receipt["insteadOf"]), (&json!("sms"), &json!("whatsapp")), "{receipt}");
        assert_eq!(cluster.expect_arrival(&receipt).await.channel, Channel::Sms);
        let again = agent.send(message).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        assert_eq!(cluster.carriers.accepted_total("twilio"), 1);

        // The first channel failed temporarily; a repeat must not use it although it works again.
        cluster.carriers.inject_fault("twilio", InjectedFault::RateLimit { retry_after: None }, 1);
        cluster.open_whatsapp_window(ANN).await;
        let busy = with(sms(ANN, "Busy?"), json!({ "fallbackChannels": ["whatsapp"], "idempotencyKey": "busy" }));
        let receipt = agent.send(busy.clone()).await.unwrap();
        assert_eq!(receipt["channel"], "whatsapp");
        let again = agent.send(busy).await.unwrap();
        assert_eq!((&again["messageId"], &again["replayed"]), (&receipt["messageId"], &json!(true)));
        assert_eq!(cluster.carriers.accepted_total("twilio"), 2);

        cluster.texts(CARL, "STOP").await;
        agent.poll_until("STOP").await;
        let opted_out = with(sms(CARL, "Please"), json!({ "fallbackChannels": ["whatsapp"] }));
        assert_eq!(agent.send(opted_out).await.unwrap_err()["code"], "CONTACT_OPTED_OUT", "a fallback must not bypass an opt-out");
    }
}

profiles! {
    async fn delivers_between_agents_without_carrier(cluster: &Cluster) {
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", COLLEAGUE).await;
        let (agent, other) = (cluster.rest().await, cluster.agent_of(&colleague, crate::support::Transport::Rest).await);
        for (to, body) in [(COLLEAGUE, "By number"), (colleague.agent.as_str(), "By id")] {
            let receipt = agent.send(sms(to, body)).await.unwrap();
            assert_eq!((&receipt["status"], &receipt["provider"]), (&json!("accepted"), &json!("inside")));
            assert_eq!((&receipt["to"], &receipt["cost"]), (&json!(COLLEAGUE), &json!(0.0)));
        }
        let events = other.expect_events(2).await;
        assert_eq!((&events[0]["body"], &events[1]["body"]), (&json!("By number"), &json!("By id")));
        assert_eq!(events[0]["from"], cluster.account.phone.as_str());
        assert_eq!(cluster.carriers.requests_total("twilio"), 0);
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none")];
    async fn channel_block_stops_sending_on_all_gateways(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let set = |blocked: bool| json!({ "channel": "sms", "direction": "outbound", "blocked": blocked });
        agent.call("comms_set_channel_block", set(true)).await.unwrap();
        eventually("sending is blocked", async || {
            // Two sends, because requests go to each gateway in turn.
            for _ in 0..2 {
                let refused = agent.send(sms(ANN, "Hello")).await.err()?;
                assert_eq!(refused["code"], "CHANNEL_UNAVAILABLE");
            }
            Some(())
        })
        .await;
        let requests_before = cluster.carriers.requests_total("twilio");
        agent.send(sms(ANN, "Hello")).await.unwrap_err();
        assert_eq!(cluster.carriers.requests_total("twilio"), requests_before);
        agent.call("comms_set_channel_block", set(false)).await.unwrap();
        eventually("sending is open again", async || agent.send(sms(ANN, "Hello")).await.ok()).await;
    }
}
