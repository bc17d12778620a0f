//! Delivery receipts in any order and any number: each status is reported once.

use std::time::Duration;

use butt_dial_providers::WebhookBehavior;
use serde_json::{Value, json};

use crate::support::{Account, Agent, Cluster, Transport, Webhook, email, message_sid, sms};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

/// Returns the statuses of this message's events, in order.
fn statuses<'a>(events: &'a [Value], receipt: &Value) -> Vec<&'a str> {
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
    async fn reports_sent_and_delivered_receipts(cluster: &Cluster) {
        cluster.carriers.set_delivery_delay(Duration::ZERO);
        let agent = cluster.rest().await;
        for message in [sms(ANN, "Hello"), email("ann@example.com", "Hello")] {
            let receipt = agent.send(message).await.unwrap();
            assert_eq!(receipt["status"], "accepted");
            let events = agent.expect_events(2).await;
            assert_eq!(statuses(&events, &receipt), ["sent", "delivered"]);
            assert_eq!((&events[0]["channel"], &events[0]["to"]), (&receipt["channel"], &receipt["to"]));
        }
        cluster.texts(BOB, "Last").await;
        assert!(agent.poll_until("Last").await.is_empty());
    }
}

profiles! {
    async fn reordered_receipts_never_move_status_backwards(cluster: &Cluster) {
        cluster.carriers.set_delivery_delay(Duration::ZERO);
        for vendor in ["twilio", "resend"] {
            cluster.carriers.set_webhook_behavior(vendor, WebhookBehavior { copies: 3, reversed: true });
        }
        let agent = cluster.agent(Transport::Sse).await;
        for message in [sms(ANN, "Hello"), email("ann@example.com", "Hello")] {
            let receipt = agent.send(message).await.unwrap();
            assert_eq!(statuses(&agent.expect_events(1).await, &receipt), ["delivered"]);
        }
        // Handmade receipts in every wrong order.
        let receipt = agent.send(sms(ANN, "Again")).await.unwrap();
        let post = async |status: &str| {
            let webhook = Webhook::status(cluster, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(webhook.post(cluster).await.status, 200, "{status}");
        };
        for status in ["sent", "queued", "sent", "read", "delivered", "undelivered", "failed", "sending", "read"] {
            post(status).await;
        }
        cluster.texts(BOB, "Last").await;
        let events = agent.poll_until("Last").await;
        let reported = statuses(&events, &receipt);
        let ranks: Vec<_> = reported.iter().map(|status| ["sent", "delivered", "read"].iter().position(|s| s == status)).collect();
        assert!(ranks.iter().all(Option::is_some), "{events:?}");
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "forward only, each once: {events:?}");
        assert_eq!(reported.last(), Some(&"read"), "{events:?}");
    }
}

profiles! {
    async fn failed_message_is_not_charged(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let (kept, failed) = (agent.send(sms(ANN, "One")).await.unwrap(), agent.send(sms(ANN, "Two")).await.unwrap());
        assert!((cost_today(&agent).await - 2.0 * 0.0083).abs() < 1e-9);
        for (receipt, status) in [(&failed, "failed"), (&kept, "undelivered"), (&failed, "failed")] {
            let webhook = Webhook::status(cluster, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(webhook.post(cluster).await.status, 200);
        }
        let events = agent.expect_events(2).await;
        for receipt in [&failed, &kept] {
            assert_eq!(statuses(&events, receipt), ["failed"]);
        }
        assert!(events[0]["providerCode"] == "30008" && events[0]["code"].is_string(), "{}", events[0]);
        // A message lost by the network is still charged.
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
    async fn ignores_receipts_for_foreign_messages(cluster: &Cluster) {
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let (ours, theirs) = (cluster.rest().await, cluster.agent_of(&other, Transport::Rest).await);
        let mine = ours.send(sms(ANN, "Mine")).await.unwrap();
        let foreign = theirs.send(sms(ANN, "Theirs")).await.unwrap();
        let before = theirs.status_of(foreign["messageId"].as_str().unwrap()).await.unwrap();
        for (message, carrier_id) in [
            // The other tenant's message id with an own carrier id, or an unknown one.
            (&foreign["messageId"], &mine["providerMessageId"]),
            (&foreign["messageId"], &json!(message_sid())),
            // An unknown message id, and the other tenant's carrier id.
            (&json!("msg_0"), &json!(message_sid())),
            (&mine["messageId"], &foreign["providerMessageId"]),
        ] {
            for status in ["failed", "delivered"] {
                let webhook = Webhook::status(cluster, message, carrier_id, status);
                assert_eq!(webhook.post(cluster).await.status, 200, "carriers always get 200");
            }
        }
        cluster.texts(BOB, "Last").await;
        assert!(ours.poll_until("Last").await.is_empty());
        assert!(theirs.poll_messages().await.is_empty());
        assert_eq!(theirs.status_of(foreign["messageId"].as_str().unwrap()).await.unwrap(), before);
        for (agent, receipt) in [(&ours, &mine), (&theirs, &foreign)] {
            assert!((cost_today(agent).await - 0.0083).abs() < 1e-9);
            let genuine = Webhook::status(cluster, &receipt["messageId"], &receipt["providerMessageId"], "delivered");
            assert_eq!(genuine.post(cluster).await.status, 200);
            assert_eq!(statuses(&agent.expect_events(1).await, receipt), ["delivered"]);
        }
    }
}

/// The carrier's answer was lost; its receipt says that the message was delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipt_confirms_ambiguous_send_servers() {
    use butt_dial_providers::simulator::InjectedFault;
    let settings = [("CARRIER_TIMEOUT_SECONDS", "1"), ("RECONCILE_AFTER_SECONDS", "600,600")];
    let cluster = Cluster::servers(&settings).await;
    let agent = cluster.rest().await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::TimeoutAfterAccept, 1);
    let receipt = agent.send(sms(ANN, "Did it arrive?")).await.unwrap();
    assert_eq!(receipt["status"], "pending", "{receipt}");
    let accepted = cluster.wait_for_acceptance(ANN).await;
    let webhook = Webhook::status(
        &cluster,
        &receipt["messageId"],
        &json!(accepted.carrier_id),
        "delivered",
    );
    assert_eq!(webhook.post(&cluster).await.status, 200);
    let outcome = cluster
        .wait_for_outcome(&agent, receipt["messageId"].as_str().unwrap())
        .await;
    assert_eq!(
        (&outcome["status"], &outcome["providerMessageId"]),
        (&json!("delivered"), &json!(accepted.carrier_id))
    );
    assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    cluster.shut_down().await;
}
