//! Fallback after a failed receipt: the carrier accepted a message and reports its failure later. The next channel is
//! tried once, and no message without a fallback is sent again.

use std::time::Duration;

use butt_dial_domain::{Channel, message::Status};
use butt_dial_store::MessageFilter;
use serde_json::{Value, json};

use crate::support::{ProcessCluster, SeededRng, Service, TestContext, Webhook, sms, whatsapp, with};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const ARRIVAL: Duration = Duration::from_secs(10);

/// Time until the other dispatcher has read the log of a killed one and sent its messages.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

async fn post_receipt(cluster: &TestContext, receipt: &Value, status: &str, code: &str) {
    let (message, carrier_id) = (&receipt["messageId"], &receipt["providerMessageId"]);
    let webhook = Webhook::status_with_code(cluster, message, carrier_id, (status, code));
    assert_eq!(webhook.post(cluster).await.status, 200, "{status} {code}");
}

profiles! {
    async fn failed_receipt_triggers_fallback_channel_once(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for (number, code) in ["63016", "30003", "30006", "30999"].into_iter().enumerate() {
            let person = format!("+1415555012{number}");
            cluster.open_whatsapp_window(&person).await;
            let message = with(
                whatsapp(&person, "Are you there?"),
                json!({ "fallbackChannels": ["email", "sms"], "idempotencyKey": code }),
            );
            let first = agent.send(message.clone()).await.unwrap();
            assert_eq!((&first["status"], &first["channel"]), (&json!("accepted"), &json!("whatsapp")));
            // The failure is reported repeatedly, with both status words.
            for status in ["sent", "undelivered", "undelivered", "failed", "undelivered"] {
                post_receipt(cluster, &first, status, code).await;
            }
            let second = cluster.carriers.wait_for(
                |message| message.to == person && message.channel == Channel::Sms,
                ARRIVAL,
            ).await;
            assert_eq!(second.expect("the next channel is tried").body, "Are you there?");
            let events = agent.expect_events(3).await;
            let statuses: Vec<_> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
            assert_eq!(statuses, ["sent", "failed", "accepted"], "{events:?}");
            assert_eq!((&events[1]["messageId"], &events[1]["providerCode"]), (&first["messageId"], &json!(code)));
            assert_eq!(events[1]["fallingBackTo"], "sms");
            assert!(events[2]["messageId"].is_string(), "{events:?}");
            assert_eq!(events[1]["fallbackMessageId"], events[2]["messageId"]);
            // A repeated request returns the final message.
            let again = agent.send(message).await.unwrap();
            assert_eq!((&again["channel"], &again["replayed"]), (&json!("sms"), &json!(true)), "{again}");
            assert_eq!(again["messageId"], events[2]["messageId"]);
            assert_eq!(cluster.carriers.messages_to(&person).len(), 2);
        }
        cluster.texts(BOB, "Last").await;
        assert!(agent.poll_until("Last").await.is_empty());
    }
}

profiles! {
    async fn no_fallback_for_delivered_or_single_channel_message(cluster: &Cluster) {
        let agent = cluster.rest().await;
        cluster.open_whatsapp_window(ANN).await;
        let delivered = with(whatsapp(ANN, "One"), json!({ "fallbackChannels": ["sms"] }));
        let delivered = agent.send(delivered).await.unwrap();
        post_receipt(cluster, &delivered, "delivered", "").await;
        post_receipt(cluster, &delivered, "undelivered", "30003").await;
        let alone = agent.send(whatsapp(ANN, "Two")).await.unwrap();
        post_receipt(cluster, &alone, "undelivered", "30003").await;
        cluster.texts(BOB, "Last").await;
        let events = agent.poll_until("Last").await;
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!((&events[1]["status"], &events[1]["code"]), (&json!("failed"), &json!("PROVIDER_RATE_LIMITED")));
        assert!(events[1].get("fallingBackTo").is_none(), "{}", events[1]);
        let remediation = events[1]["remediation"].as_str().unwrap();
        assert!(remediation.contains("new idempotencyKey") && !remediation.contains("same"), "{remediation}");
        assert_eq!(cluster.carriers.accepted_total("twilio"), 2);
    }
}

profiles! {
    async fn suppresses_address_reported_unreachable(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let receipt = agent.send(sms(ANN, "Hello?")).await.unwrap();
        post_receipt(cluster, &receipt, "undelivered", "30005").await;
        let event = &agent.expect_events(1).await[0];
        assert_eq!((&event["status"], &event["code"]), (&json!("failed"), &json!("INVALID_RECIPIENT")));
        let requests_before = cluster.carriers.requests_total("twilio");
        let refused = agent.send(sms(ANN, "Hello again?")).await.unwrap_err();
        assert_eq!((&refused["code"], &refused["rule"]), (&json!("INVALID_RECIPIENT"), &json!("do-not-contact")));
        assert_eq!(cluster.carriers.requests_total("twilio"), requests_before, "no carrier request");
        // The person did not opt out: another channel or another person is allowed.
        cluster.open_whatsapp_window(ANN).await;
        let other = agent.send(with(sms(ANN, "On WhatsApp"), json!({ "fallbackChannels": ["whatsapp"] }))).await.unwrap();
        assert_eq!(other["channel"], "whatsapp");
        agent.send(sms(BOB, "Hello")).await.unwrap();
        cluster.texts(ANN, "START").await;
        agent.poll_until("START").await;
        assert_eq!(agent.send(sms(ANN, "Welcome back")).await.unwrap()["status"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_ups_send_once_after_dispatcher_kills_chaos_servers() {
    let mut rng = SeededRng::new();
    let unlimited = [
        ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
        ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
    ];
    let mut cluster = ProcessCluster::replicated(&unlimited).await;
    let context = cluster.context();
    let agent = context.rest().await;
    let mut sent = Vec::new();
    for number in 0..12 {
        let person = format!("+141655502{number:02}");
        context.open_whatsapp_window(&person).await;
        let message = with(
            whatsapp(&person, "Are you there?"),
            json!({ "fallbackChannels": ["sms"] }),
        );
        sent.push((person, agent.send(message).await.unwrap()));
    }
    let help_senders: Vec<String> = (0..sent.len()).map(|number| format!("+141655503{number:02}")).collect();
    let kills = [rng.below(6), 6 + rng.below(6)];
    for (number, ((_, receipt), help_sender)) in sent.iter().zip(&help_senders).enumerate() {
        context.texts(help_sender, "HELP").await;
        post_receipt(&context, receipt, "undelivered", "63016").await;
        if kills.contains(&number) {
            println!("after {number} failures: kill -9 of a dispatcher");
            cluster.kill_service(Service::Dispatcher, rng.below(2)).await;
            context.expire_dispatcher_claims().await;
            cluster.start(Service::Dispatcher).await;
        }
        post_receipt(&context, receipt, "failed", "63016").await;
    }
    let sms_to = |person: &str| {
        let to = context.carriers.messages_to(person);
        to.into_iter().filter(|message| message.channel == Channel::Sms).count()
    };
    let recipients: Vec<&String> = sent.iter().map(|(person, _)| person).chain(&help_senders).collect();
    let mut interrupted = Vec::new();
    for person in &recipients {
        let arrived = context
            .carriers
            .wait_for(
                |message| &&message.to == person && message.channel == Channel::Sms,
                TAKEOVER_TIMEOUT,
            )
            .await;
        if arrived.is_none() {
            // The dispatcher was killed between its message and the request: the message may have been sent, and is not sent again.
            let found = context
                .store
                .list_messages(&context.account.org, &sms_of(person), None, 10)
                .await;
            let statuses: Vec<Status> = found.unwrap().messages.iter().map(|message| message.status).collect();
            let is_open = |status: &Status| matches!(status, Status::Sending | Status::Unknown | Status::Unconfirmed);
            assert!(statuses.iter().any(is_open), "no follow-up for {person}: {statuses:?}");
            interrupted.push(person.as_str());
        }
    }
    assert!(interrupted.len() <= kills.len(), "{interrupted:?}");
    // All messages have been processed by now; a duplicate would have arrived.
    context.texts(BOB, "Last").await;
    agent.poll_until("Last").await;
    for person in recipients {
        let expected = usize::from(!interrupted.contains(&person.as_str()));
        assert_eq!(sms_to(person), expected, "{person}");
    }
}

/// The texts to a person.
fn sms_of(person: &str) -> MessageFilter<'_> {
    MessageFilter {
        contact: Some(person),
        channel: Some("sms"),
        ..MessageFilter::default()
    }
}
