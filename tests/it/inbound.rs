//! People write, and the agent reads what they wrote: everything, once, in order, and nobody else's.

use butt_dial_domain::{Channel, subjects};
use butt_dial_providers::{Manner, PersonWrites};
use serde_json::json;

use crate::support::{Account, Transport, Webhook, bodies, eventually, mail_event};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

fn insists(copies: u32) -> Manner {
    Manner {
        copies,
        reversed: false,
    }
}

profiles! {
    async fn what_people_write_waits_for_the_agent_in_order_and_once_whatever_the_carrier_repeats(world: &World) {
        for vendor in ["twilio", "resend"] {
            world.carriers.set_manner(vendor, insists(3));
        }
        let account = &world.account;
        let first = world.texts(ANN, "One").await;
        assert_eq!(first.calls, 3);
        world.texts(BOB, "Two").await;
        let mut on_whatsapp = PersonWrites::new(Channel::Whatsapp, ANN, &account.phone, "Three");
        on_whatsapp.sender_name = Some("Ann Example".into());
        world.taken_in(on_whatsapp).await;
        let mut mail = PersonWrites::new(Channel::Email, "ann@example.com", &account.email, "Four");
        mail.subject = Some("A question".into());
        let mailed = world.taken_in(mail).await;
        world.texts(ANN, "Ünï ✓ \"quoted\" & more").await;

        let agent = world.agent(Transport::StreamableHttp).await;
        let mut taken = agent.take(5).await;
        // A mail's text is fetched afterwards, which may take longer.
        taken.sort_by_key(|event| event["seq"].as_i64());
        assert_eq!(bodies(&taken), ["One", "Two", "Three", "Four", "Ünï ✓ \"quoted\" & more"]);
        let (text, whatsapp, mail) = (&taken[0], &taken[2], &taken[3]);
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
        // What was read is gone, and comes to no other reader.
        world.texts(ANN, "Last").await;
        assert!(world.rest().await.take_until("Last").await.is_empty());
    }
}

profiles! {
    async fn the_answer_to_a_person_who_wrote_goes_out_and_their_window_is_open(world: &World) {
        // Nobody of fiction: without having written, they could not be answered on WhatsApp.
        let person = "+14165550123";
        let agent = world.rest().await;
        let message = crate::support::whatsapp(person, "Hello back");
        assert_eq!(agent.send(message.clone()).await.unwrap_err()["code"], "WHATSAPP_WINDOW_CLOSED");
        let text = PersonWrites::new(Channel::Whatsapp, person, &world.account.phone, "Hello");
        world.taken_in(text).await;
        agent.take(1).await;
        let message = crate::support::with(message, json!({ "idempotencyKey": "again" }));
        let receipt = agent.send(message).await.unwrap();
        assert_eq!(world.arrival(&receipt).await.body, "Hello back");
    }
}

profiles! {
    async fn a_number_that_nobody_has_is_unknown_and_nothing_is_kept(world: &World) {
        for (channel, to) in [
            (Channel::Sms, "+14155550177"),
            (Channel::Whatsapp, "+14155550177"),
            (Channel::Email, "nobody@butt-dial.example"),
        ] {
            let from = if channel == Channel::Email { "ann@example.com" } else { ANN };
            let written = world.write(PersonWrites::new(channel, from, to, "Hello?")).await;
            assert_eq!(written.status, Some(404), "{written:?}");
        }
        world.texts(ANN, "Last").await;
        let agent = world.rest().await;
        assert!(agent.take_until("Last").await.is_empty());
        let unknown = r#"bd_webhook_notices_total{carrier="twilio",result="unknown_number"}"#;
        assert!(world.counted(unknown).await >= 2.0);
        // Bought a moment later, it is known at once.
        let colleague = world.account.colleague(&world.store, &world.gateways, "agent", "+14155550177").await;
        let text = PersonWrites::new(Channel::Sms, ANN, &colleague.phone, "Hello!");
        eventually("the number is known", async || (world.write(text.clone()).await.status == Some(200)).then_some(()))
            .await;
        assert_eq!(bodies(&world.agent_of(&colleague, Transport::Rest).await.take(1).await), ["Hello!"]);
    }
}

profiles! {
    async fn the_paths_of_the_original_lead_to_the_agent_they_name_and_to_no_other(world: &World) {
        let colleague = world.account.colleague(&world.store, &world.gateways, "agent", "+14155550101").await;
        let (mine, theirs) = (&world.account, &colleague);
        let path = |agent: &Account, kind: &str| format!("/webhooks/{}/{kind}", agent.agent);
        let text = |path: &str, to: &str| Webhook::text(world, path, ANN, to, "Hello");
        let post = async |webhook: Webhook| webhook.post(world).await.status;
        assert_eq!(post(text(&path(mine, "sms"), &mine.phone)).await, 200);
        assert_eq!(post(text(&path(theirs, "sms"), &theirs.phone)).await, 200);
        assert_eq!(post(text(&path(mine, "sms"), &theirs.phone)).await, 404);
        assert_eq!(post(text(&path(theirs, "sms"), &mine.phone)).await, 404);
        assert_eq!(post(text("/webhooks/agt_0/sms", &mine.phone)).await, 404);
        assert_eq!(post(text(&path(mine, "pigeon"), &mine.phone)).await, 404);
        let mut mail = Webhook::resend(&mail_event(&theirs.email), 0);
        mail.path = path(mine, "email");
        assert_eq!(post(mail).await, 404);
        // Nobody learns by asking which agents there are.
        assert_eq!(post(text(&path(mine, "sms"), &mine.phone).unsigned()).await, 401);
        assert_eq!(post(text("/webhooks/agt_0/sms", &mine.phone).unsigned()).await, 401);
        world.texts(BOB, "Last").await;
        assert_eq!(bodies(&world.rest().await.take_until("Last").await), ["Hello"]);
        let theirs = world.agent_of(theirs, Transport::Rest).await;
        assert_eq!(bodies(&theirs.take(1).await), ["Hello"]);
    }
}

profiles! {
    async fn another_tenant_hears_of_nothing(world: &World) {
        let other = Account::found(&world.store, &world.gateways, "Other", "+14155550190").await;
        world.texts(ANN, "For the first").await;
        world.taken_in(PersonWrites::new(Channel::Sms, ANN, &other.phone, "For the other")).await;
        world.taken_in(PersonWrites::new(Channel::Sms, ANN, &other.phone, "Stop")).await;
        world.taken_in(PersonWrites::new(Channel::Sms, BOB, &other.phone, "Last for the other")).await;
        world.texts(ANN, "Last for the first").await;
        let theirs = world.agent_of(&other, Transport::Rest).await;
        assert_eq!(bodies(&theirs.take_until("Last for the other").await), ["For the other", "Stop"]);
        let ours = world.rest().await;
        assert_eq!(bodies(&ours.take_until("Last for the first").await), ["For the first"]);
        // Who wants nothing more from the other still hears from us; only their carrier's list has to forget it.
        world.carriers.opt_in(ANN);
        assert_eq!(ours.send(crate::support::sms(ANN, "Hello")).await.unwrap()["status"], "accepted");
        let refused = theirs.send(crate::support::sms(ANN, "Hello")).await.unwrap_err();
        assert_eq!(refused["code"], "CONTACT_OPTED_OUT");
        assert!(theirs.waiting().await.is_empty() && ours.waiting().await.is_empty());
    }
}

profiles! {
    async fn a_blocked_channel_is_acknowledged_and_dropped_within_a_second(world: &World) {
        let blocks = async |blocked: bool| {
            let agent = &world.account.agent;
            let done = world.store.set_channel_block(agent, Channel::Sms, Some(blocked), None).await;
            assert!(done.unwrap());
            let change = format!("sms {}", world.account.phone);
            let told = world.comms().bus.publish(subjects::ROUTE_CHANGED, Default::default(), change.into()).await;
            told.unwrap();
        };
        let dropped = r#"bd_webhook_notices_total{carrier="twilio",result="blocked"}"#;
        let agent = world.rest().await;
        world.texts(ANN, "Before").await;
        assert_eq!(bodies(&agent.take(1).await), ["Before"]);
        let begun = std::time::Instant::now();
        blocks(true).await;
        eventually("the block is in force", async || {
            world.texts(ANN, "Meanwhile").await;
            (world.counted(dropped).await > 0.0).then_some(())
        })
        .await;
        assert!(begun.elapsed().as_millis() < 1_000, "{:?}", begun.elapsed());
        world.texts(ANN, "Dropped").await;
        // The other channels go on.
        world.taken_in(PersonWrites::new(Channel::Whatsapp, ANN, &world.account.phone, "On WhatsApp")).await;
        let taken = agent.take_until("On WhatsApp").await;
        assert!(!bodies(&taken).contains(&"Dropped"), "{taken:?}");
        let begun = std::time::Instant::now();
        blocks(false).await;
        eventually("the block is gone", async || {
            let before = world.counted(dropped).await;
            world.texts(ANN, "After").await;
            (world.counted(dropped).await == before).then_some(())
        })
        .await;
        assert!(begun.elapsed().as_millis() < 1_000, "{:?}", begun.elapsed());
        agent.take(1).await;
    }
}
