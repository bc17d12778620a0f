//! Senders that are no telephone numbers, and messages that are no text: the agent receives each, and answers where possible.

use serde_json::{Value, json};

use crate::support::{Webhook, bodies, eventually, sms, whatsapp, with};

const ID: &str = "US.13491208655302741918";

/// Returns the parts of an event with this type.
fn part<'a>(event: &'a Value, kind: &str) -> &'a Value {
    let parts = event["parts"].as_array().expect("parts");
    let found = parts.iter().find(|part| part["type"] == kind);
    found.unwrap_or_else(|| panic!("{kind}: {event}"))
}

profiles! {
    async fn receives_and_answers_short_codes_and_names(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for from in ["68849", "ACMEBANK", "Acme Rest", "222", "+999123456789", ""] {
            let webhook = Webhook::message(cluster, "sms", &[("From", from), ("Body", "Your code")]);
            assert_eq!(webhook.post(cluster).await.status, 200, "{from}");
        }
        let events = agent.expect_events(6).await;
        let from: Vec<&str> = events.iter().map(|event| event["from"].as_str().unwrap()).collect();
        assert_eq!(from, ["68849", "ACMEBANK", "Acme Rest", "222", "+999123456789", "anonymous"]);
        let can_reply = events.iter().map(|event| event["canReply"] != false);
        assert_eq!(can_reply.collect::<Vec<_>>(), [true, false, false, true, true, false]);

        for known in ["68849", "222", "+999123456789"] {
            let receipt = agent.send(sms(known, "Thanks")).await.unwrap();
            assert_eq!(cluster.expect_arrival(&receipt).await.to, known);
        }
        for other in ["68850", "ACMEBANK", "anonymous", "4155550123", "+999123456780"] {
            let refused = agent.send(sms(other, "Hello")).await.unwrap_err();
            assert_eq!(refused["code"], "INVALID_RECIPIENT", "{other}");
        }
        // It can opt out, too.
        let stop = Webhook::message(cluster, "sms", &[("From", "68849"), ("Body", "STOP")]);
        assert_eq!(stop.post(cluster).await.status, 200);
        agent.expect_events(1).await;
        let refused = agent.send(sms("68849", "Hello")).await.unwrap_err();
        assert_eq!(refused["code"], "CONTACT_OPTED_OUT");
    }
}

profiles! {
    async fn receives_and_answers_whatsapp_users_without_number(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let (first, second) = (format!("whatsapp:{ID}"), format!("whatsapp:{ID}9"));
        let refused = agent.send(whatsapp(ID, "Hello")).await.unwrap_err();
        assert_eq!(refused["code"], "WHATSAPP_WINDOW_CLOSED");
        for fields in [
            [("From", first.as_str()), ("ExternalUserId", first.as_str()), ("Body", "One")],
            [("From", "whatsapp:"), ("ExternalUserId", second.as_str()), ("Body", "Two")],
        ] {
            assert_eq!(Webhook::message(cluster, "whatsapp", &fields).post(cluster).await.status, 200);
        }
        let events = agent.expect_events(2).await;
        assert_eq!(bodies(&events), ["One", "Two"]);
        for (event, id) in events.iter().zip([ID.to_owned(), format!("{ID}9")]) {
            assert_eq!((&event["from"], &event["userId"]), (&json!(id), &json!(id)));
            let receipt = agent.send(whatsapp(event["replyTo"].as_str().unwrap(), "Hello")).await.unwrap();
            assert_eq!(cluster.expect_arrival(&receipt).await.to, id);
        }
    }
}

profiles! {
    async fn number_and_user_id_of_one_person_share_consent(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let (number, id) = ("+14165550201", format!("whatsapp:{ID}"));
        let from = format!("whatsapp:{number}");
        let write = async |fields: &[(&str, &str)]| {
            assert_eq!(Webhook::message(cluster, "whatsapp", fields).post(cluster).await.status, 200);
            agent.expect_events(1).await.remove(0)
        };
        let template = |to: &str| {
            let message = whatsapp(to, "");
            with(message, json!({ "templateId": "HX00000000000000000000000000000001" }))
        };
        // STOP of the number before both are known together.
        write(&[("From", from.as_str()), ("Body", "STOP")]).await;
        agent.send(template(ID)).await.unwrap();
        let both = write(&[("From", from.as_str()), ("ExternalUserId", id.as_str()), ("Body", "Hello")]).await;
        assert_eq!((&both["from"], &both["userId"]), (&json!(number), &json!(ID)));
        for to in [number, ID] {
            assert_eq!(agent.send(template(to)).await.unwrap_err()["code"], "CONTACT_OPTED_OUT", "{to}");
        }
        // START of the id holds for the number, also on SMS, and the window is open for both.
        write(&[("From", id.as_str()), ("Body", "START")]).await;
        for to in [number, ID] {
            agent.send(whatsapp(to, "Welcome back")).await.unwrap();
        }
        agent.send(sms(number, "Welcome back")).await.unwrap();
        write(&[("From", id.as_str()), ("Body", "STOP")]).await;
        assert_eq!(agent.send(sms(number, "Buy!")).await.unwrap_err()["code"], "CONTACT_OPTED_OUT");
    }
}

profiles! {
    async fn choices_and_captions_are_no_keywords(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let from = ("From", "whatsapp:+14155550123");
        for fields in [
            &[from, ("Body", "Cancel"), ("MessageType", "button"), ("ButtonText", "Cancel"), ("ButtonPayload", "c_7")][..],
            &[from, ("Body", "End"), ("MessageType", "button"), ("ButtonText", "End")],
            &[from, ("MessageType", "interactive"), ("ListId", "prio-low"), ("ListTitle", "Baja")],
            &[from, ("Body", "Info"), ("MessageType", "button"), ("ButtonText", "Info")],
        ] {
            assert_eq!(Webhook::message(cluster, "whatsapp", fields).post(cluster).await.status, 200);
            let event = agent.expect_events(1).await.remove(0);
            assert!(event.get("keyword").is_none(), "{event}");
            part(&event, "choice");
        }
        agent.send(whatsapp("+14155550123", "Done")).await.unwrap();
    }
}

profiles! {
    async fn events_have_parts_and_readable_text(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let from = ("From", "whatsapp:+14155550123");
        let flow = r#"{"nfm_reply":{"response_json":"{\"seats\":\"4\"}"}}"#;
        let write = async |fields: &[(&str, &str)]| {
            assert_eq!(Webhook::message(cluster, "whatsapp", fields).post(cluster).await.status, 200);
            agent.expect_events(1).await.remove(0)
        };
        let event = write(&[from, ("Body", "hello")]).await;
        assert_eq!(event["parts"], json!([{ "type": "text", "text": "hello" }]));
        let event = write(&[from, ("ButtonText", "Yes please"), ("ButtonPayload", "CONFIRM_42")]).await;
        assert_eq!((&event["body"], &part(&event, "choice")["payload"]), (&json!("Yes please"), &json!("CONFIRM_42")));
        let event = write(&[from, ("Latitude", "52.52"), ("Longitude", "13.4"), ("Address", "Alexanderplatz")]).await;
        assert_eq!(event["body"], "[location 52.52, 13.4: Alexanderplatz]");
        assert_eq!(part(&event, "location")["latitude"], 52.52);
        let event = write(&[from, ("InteractiveData", flow)]).await;
        assert_eq!(part(&event, "flowReply")["data"], json!({ "seats": "4" }));
        let event = write(&[from, ("MessageType", "reaction"), ("Body", "👍"), ("OriginalRepliedMessageSid", "SM888")]).await;
        assert_eq!((&event["isReaction"], &event["inReplyTo"]), (&json!(true), &json!("SM888")));
        let event = write(&[from, ("MessageType", "unsupported")]).await;
        assert_eq!(part(&event, "unsupported")["rawType"], "unsupported");
    }
}

/// A short code and a name may send, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_from_short_code() {
    let cluster = crate::support::Cluster::embedded(&[]).await;
    let colleague = cluster
        .account
        .add_colleague(&cluster.store, &cluster.gateways, "agent", "68849");
    let colleague = colleague.await;
    let agent = cluster.agent_of(&colleague, crate::support::Transport::Rest).await;
    eventually("the short code is known", async || {
        let webhook = Webhook::text(&cluster, "/webhooks/twilio/sms", "+14155550123", "68849", "Hello");
        (webhook.post(&cluster).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(agent.expect_events(1).await[0]["to"], "68849");
    let receipt = agent.send(sms("+14155550123", "Hello back")).await.unwrap();
    assert_eq!(cluster.expect_arrival(&receipt).await.from, "68849");
    cluster.shut_down().await;
}
