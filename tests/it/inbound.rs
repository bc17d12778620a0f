//! Inbound messages: the agent gets all of its messages, once and in order, and no messages of other agents.

use butt_dial_domain::{Channel, subjects};
use butt_dial_providers::{PersonMessage, WebhookBehavior};
use serde_json::json;

use crate::support::{Account, Transport, Webhook, bodies, eventually, mail_event, setup};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

fn with_copies(copies: u32) -> WebhookBehavior {
    WebhookBehavior {
        copies,
        reversed: false,
    }
}

profiles! {
    async fn waiting_for_some_kinds_leaves_other_events(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.texts(ANN, "Hello").await;
        let wait = async |cursor: Option<&serde_json::Value>| {
            let mut arguments = json!({ "types": ["message.status"], "timeoutMs": 0 });
            if let Some(cursor) = cursor {
                arguments["cursor"] = cursor.clone();
            }
            agent.call("comms_wait_events", arguments).await.unwrap()
        };
        eventually("the text is in the log", async || {
            let log = agent.call("comms_list_events", json!({})).await.ok()?;
            (log["events"].as_array()?.len() == 1).then_some(())
        })
        .await;
        let cursor = wait(None).await["cursor"].clone();
        wait(Some(&cursor)).await;
        assert_eq!(bodies(&agent.expect_events(1).await), ["Hello"]);
    }
}

profiles! {
    async fn queues_inbound_in_order_without_duplicates(cluster: &Cluster) {
        for vendor in ["twilio", "resend"] {
            cluster.carriers.set_webhook_behavior(vendor, with_copies(3));
        }
        let account = &cluster.account;
        let first = cluster.texts(ANN, "One").await;
        assert_eq!(first.calls, 3);
        cluster.texts(BOB, "Two").await;
        let mut on_whatsapp = PersonMessage::new(Channel::Whatsapp, ANN, &account.phone, "Three");
        on_whatsapp.sender_name = Some("Ann Example".into());
        cluster.deliver_accepted(on_whatsapp).await;
        let mut mail = PersonMessage::new(Channel::Email, "ann@example.com", &account.email, "Four");
        mail.subject = Some("A question".into());
        let mailed = cluster.deliver_accepted(mail).await;
        cluster.texts(ANN, "Ünï ✓ \"quoted\" & more").await;

        let agent = cluster.agent(Transport::StreamableHttp).await;
        let mut events = agent.expect_events(5).await;
        // The body of a mail is fetched afterwards, which may take longer.
        events.sort_by_key(|event| event["seq"].as_i64());
        assert_eq!(bodies(&events), ["One", "Two", "Three", "Four", "Ünï ✓ \"quoted\" & more"]);
        let (text, whatsapp, mail) = (&events[0], &events[2], &events[3]);
        for (event, channel, from, to) in [
            (text, "sms", ANN, &account.phone),
            (whatsapp, "whatsapp", ANN, &account.phone),
            (mail, "email", "ann@example.com", &account.email),
        ] {
            assert_eq!(event["type"], "message", "{event}");
            assert_eq!((&event["channel"], &event["from"]), (&json!(channel), &json!(from)));
            assert_eq!((&event["to"], &event["replyTo"]), (&json!(to), &json!(from)));
            assert_eq!(event["messageId"], event["id"]);
            assert_eq!(event["reason"], "agent_offline");
            assert!(event["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{event}");
        }
        assert_eq!(text["providerMessageId"], json!(first.carrier_id));
        assert_eq!(whatsapp["senderName"], "Ann Example");
        assert_eq!((&mail["subject"], &mail["providerMessageId"]), (&json!("A question"), &json!(mailed.carrier_id)));
        // A read message is acknowledged and reaches no other reader.
        cluster.texts(ANN, "Last").await;
        assert!(cluster.rest().await.poll_until("Last").await.is_empty());
    }
}

profiles! {
    async fn inbound_message_opens_whatsapp_window(cluster: &Cluster) {
        // A number outside the fictional range: without an inbound message, WhatsApp requires a template.
        let person = "+14165550123";
        let agent = cluster.rest().await;
        let message = crate::support::whatsapp(person, "Hello back");
        assert_eq!(agent.send(message.clone()).await.unwrap_err()["code"], "WHATSAPP_WINDOW_CLOSED");
        let text = PersonMessage::new(Channel::Whatsapp, person, &cluster.account.phone, "Hello");
        cluster.deliver_accepted(text).await;
        agent.expect_events(1).await;
        let message = crate::support::with(message, json!({ "idempotencyKey": "again" }));
        let receipt = agent.send(message).await.unwrap();
        assert_eq!(cluster.expect_arrival(&receipt).await.body, "Hello back");
    }
}

profiles! {
    async fn rejects_unknown_recipient_until_it_is_assigned(cluster: &Cluster) {
        for (channel, to) in [
            (Channel::Sms, "+14155550177"),
            (Channel::Whatsapp, "+14155550177"),
            (Channel::Email, "unknown@butt-dial.example"),
        ] {
            let from = if channel == Channel::Email { "ann@example.com" } else { ANN };
            let written = cluster.deliver(PersonMessage::new(channel, from, to, "Hello?")).await;
            assert_eq!(written.status, Some(404), "{written:?}");
        }
        cluster.texts(ANN, "Last").await;
        let agent = cluster.rest().await;
        assert!(agent.poll_until("Last").await.is_empty());
        let unknown = r#"bd_webhook_notices_total{carrier="twilio",result="unknown_number"}"#;
        assert!(cluster.metric_total(unknown).await >= 2.0);
        // A newly assigned number is accepted at once.
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550177").await;
        let text = PersonMessage::new(Channel::Sms, ANN, &colleague.phone, "Hello!");
        eventually("the number is known", async || (cluster.deliver(text.clone()).await.status == Some(200)).then_some(()))
            .await;
        assert_eq!(bodies(&cluster.agent_of(&colleague, Transport::Rest).await.expect_events(1).await), ["Hello!"]);
    }
}

profiles! {
    async fn agent_webhook_paths_reach_only_their_agent(cluster: &Cluster) {
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101").await;
        let (mine, theirs) = (&cluster.account, &colleague);
        let path = |agent: &Account, kind: &str| format!("/webhooks/{}/{kind}", agent.agent);
        let text = |path: &str, to: &str| Webhook::text(cluster, path, ANN, to, "Hello");
        let post = async |webhook: Webhook| webhook.post(cluster).await.status;
        assert_eq!(post(text(&path(mine, "sms"), &mine.phone)).await, 200);
        assert_eq!(post(text(&path(theirs, "sms"), &theirs.phone)).await, 200);
        assert_eq!(post(text(&path(mine, "sms"), &theirs.phone)).await, 404);
        assert_eq!(post(text(&path(theirs, "sms"), &mine.phone)).await, 404);
        assert_eq!(post(text("/webhooks/agt_0/sms", &mine.phone)).await, 404);
        assert_eq!(post(text(&path(mine, "pigeon"), &mine.phone)).await, 404);
        let mut mail = Webhook::resend(cluster, &mail_event(&theirs.email), 0);
        mail.path = path(mine, "email");
        assert_eq!(post(mail).await, 404);
        // Unsigned requests do not reveal which agents exist.
        assert_eq!(post(text(&path(mine, "sms"), &mine.phone).unsigned()).await, 401);
        assert_eq!(post(text("/webhooks/agt_0/sms", &mine.phone).unsigned()).await, 401);
        cluster.texts(BOB, "Last").await;
        assert_eq!(bodies(&cluster.rest().await.poll_until("Last").await), ["Hello"]);
        let theirs = cluster.agent_of(theirs, Transport::Rest).await;
        assert_eq!(bodies(&theirs.expect_events(1).await), ["Hello"]);
    }
}

profiles! {
    async fn keeps_inbound_and_opt_outs_within_tenant(cluster: &Cluster) {
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        cluster.texts(ANN, "For the first").await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Sms, ANN, &other.phone, "For the other")).await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Sms, ANN, &other.phone, "Stop")).await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Sms, BOB, &other.phone, "Last for the other")).await;
        cluster.texts(ANN, "Last for the first").await;
        let theirs = cluster.agent_of(&other, Transport::Rest).await;
        assert_eq!(bodies(&theirs.poll_until("Last for the other").await), ["For the other", "Stop"]);
        let ours = cluster.rest().await;
        assert_eq!(bodies(&ours.poll_until("Last for the first").await), ["For the first"]);
        // An opt-out from the other tenant does not affect this one; only the carrier's own list must be cleared.
        cluster.carriers.opt_in(ANN);
        assert_eq!(ours.send(crate::support::sms(ANN, "Hello")).await.unwrap()["status"], "accepted");
        let refused = theirs.send(crate::support::sms(ANN, "Hello")).await.unwrap_err();
        assert_eq!(refused["code"], "CONTACT_OPTED_OUT");
        assert!(theirs.poll_messages().await.is_empty() && ours.poll_messages().await.is_empty());
    }
}

profiles! {
    async fn acknowledges_and_drops_blocked_channel(cluster: &Cluster) {
        let set_block = async |blocked: bool| {
            let agent = &cluster.account.agent;
            let done = cluster.store.change(setup()).set_channel_block(agent, Channel::Sms, Some(blocked), None).await;
            assert!(done.unwrap());
            let change = format!("sms {}", cluster.account.phone);
            let published = cluster.bus().publish(subjects::ROUTE_CHANGED, Default::default(), change.into()).await;
            published.unwrap();
        };
        let dropped = r#"bd_webhook_notices_total{carrier="twilio",result="blocked"}"#;
        let agent = cluster.rest().await;
        cluster.texts(ANN, "Before").await;
        assert_eq!(bodies(&agent.expect_events(1).await), ["Before"]);
        let started = std::time::Instant::now();
        set_block(true).await;
        eventually("the block is in force", async || {
            cluster.texts(ANN, "Meanwhile").await;
            (cluster.metric_total(dropped).await > 0.0).then_some(())
        })
        .await;
        assert!(started.elapsed().as_millis() < 1_000, "{:?}", started.elapsed());
        cluster.texts(ANN, "Dropped").await;
        // Other channels stay open.
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, ANN, &cluster.account.phone, "On WhatsApp")).await;
        let events = agent.poll_until("On WhatsApp").await;
        assert!(!bodies(&events).contains(&"Dropped"), "{events:?}");
        let started = std::time::Instant::now();
        set_block(false).await;
        eventually("the block is lifted", async || {
            let before = cluster.metric_total(dropped).await;
            cluster.texts(ANN, "After").await;
            (cluster.metric_total(dropped).await == before).then_some(())
        })
        .await;
        assert!(started.elapsed().as_millis() < 1_000, "{:?}", started.elapsed());
        agent.expect_events(1).await;
    }
}
