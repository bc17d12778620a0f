//! An agent sends, and it arrives as it was sent: over every transport, on every channel.

use butt_dial_domain::Channel;
use serde_json::json;

use crate::support::{Transport, email, sms, whatsapp, with};

const ANN: &str = "+14155550123";

profiles! {
    async fn a_message_arrives_as_it_was_sent_over_every_transport(world: &World) {
        world.person_writes(ANN).await;
        for transport in Transport::ALL {
            let agent = world.agent(transport).await;
            let body = format!("Your table is booked.\nSee you there — {transport:?} 🙂");
            for (message, channel, from) in [
                (sms(ANN, &body), Channel::Sms, &world.account.phone),
                (whatsapp(ANN, &body), Channel::Whatsapp, &world.account.phone),
                (email("ann@example.com", &body), Channel::Email, &world.account.email),
            ] {
                let receipt = agent.send(message.clone()).await.unwrap();
                assert_eq!(receipt["status"], "accepted");
                assert_eq!(receipt["channel"], message["channel"]);
                assert_eq!(receipt["from"], from.as_str());
                let arrived = world.arrival(&receipt).await;
                assert_eq!((arrived.channel, &arrived.from), (channel, from));
                assert_eq!(arrived.to, message["to"].as_str().unwrap());
                assert_eq!(arrived.body, body);
            }
        }
        assert_eq!(world.carriers.accepted_total("twilio"), 6);
        assert_eq!(world.carriers.accepted_total("resend"), 3);
    }
}

profiles! {
    async fn an_email_carries_its_subject_its_markup_and_its_sender(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        let letter = with(
            email("Ann.Lee@Example.COM", "Dear Ann"),
            json!({ "subject": "Your invoice", "html": "<p>Dear Ann</p>", "senderName": "Billing" }),
        );
        let arrived = world.arrival(&agent.send(letter).await.unwrap()).await;
        assert_eq!(arrived.to, "Ann.Lee@example.com");
        assert_eq!(arrived.subject.as_deref(), Some("Your invoice"));
        assert_eq!(arrived.html.as_deref(), Some("<p>Dear Ann</p>"));
        assert_eq!(arrived.from_name.as_deref(), Some("Billing"));
    }
}

profiles! {
    async fn pictures_and_templates_arrive(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let picture = "https://pictures.example.com/menu.jpg";
        let mms = agent
            .send(with(sms(ANN, "The menu"), json!({ "media": [picture] })))
            .await
            .unwrap();
        assert_eq!(world.arrival(&mms).await.media, [picture]);

        // The template may be sent at any time; a stranger has not written.
        let template = "HX00000000000000000000000000000001";
        let fields = json!({ "templateId": template, "templateVariables": { "1": "Ann", "2": "7 pm" } });
        let sent = agent.send(with(whatsapp("+4917612345678", ""), fields)).await.unwrap();
        let shown = world.arrival(&sent).await.body;
        assert_eq!(shown, format!(r#"[{template}] {{"1":"Ann","2":"7 pm"}}"#));
    }
}

profiles! {
    async fn an_agent_asks_what_became_of_its_message_by_either_id(world: &World) {
        for transport in Transport::ALL {
            let agent = world.agent(transport).await;
            let sent = agent
                .send(with(sms(ANN, "Hello"), json!({ "threadId": "t-1", "entityId": "e-1" })))
                .await
                .unwrap();
            assert_eq!((&sent["threadId"], &sent["entityId"]), (&json!("t-1"), &json!("e-1")));
            for id in ["messageId", "providerMessageId"] {
                let status = agent.status_of(sent[id].as_str().unwrap()).await.unwrap();
                assert_eq!(status["status"], "accepted");
                assert_eq!(status["messageId"], sent["messageId"]);
                assert_eq!(status["providerMessageId"], sent["providerMessageId"]);
                assert_eq!(
                    (&status["provider"], &status["attempts"]),
                    (&json!("twilio"), &json!(1))
                );
            }
            let unknown = agent.status_of("msg_0").await.unwrap_err();
            assert_eq!(unknown["code"], "MESSAGE_NOT_FOUND");
        }
    }
}

profiles! {
    async fn what_is_sent_is_counted_and_paid(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        for message in [sms(ANN, "1"), sms(ANN, "2"), email("ann@example.com", "3")] {
            agent.send(message).await.unwrap();
        }
        let refused = agent.send(sms("nobody", "4")).await.unwrap_err();
        assert_eq!(refused["code"], "INVALID_RECIPIENT");
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 3);
        assert_eq!(usage["actions"], json!({ "sms": 2, "email": 1 }));
        // Two segments at 0.0083 and a mail at 0.0009; nothing is held any more.
        let spent = 2.0 * 0.0083 + 0.0009;
        assert!(
            (usage["currentUsage"]["spendToday"].as_f64().unwrap() - spent).abs() < 1e-9,
            "{usage}"
        );
        assert!(
            (usage["costsByChannel"]["sms"].as_f64().unwrap() - 0.0166).abs() < 1e-9,
            "{usage}"
        );
        assert_eq!(usage["currentUsage"]["spendDayLimit"], 10.0);
    }
}

profiles! {
    async fn an_agent_learns_who_it_is_and_which_channels_it_has(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        let me = agent.call("comms_get_me", json!({})).await.unwrap();
        assert_eq!(me["agentId"], world.account.agent.as_str());
        assert_eq!(me["channels"]["phone"], world.account.phone);
        assert_eq!(me["channels"]["email"], world.account.email);
        assert_eq!(me["channels"]["voice"], world.account.phone, "a number that texts are sent from can be called");
        let channels = agent.call("comms_get_channel_status", json!({})).await.unwrap();
        assert_eq!(channels["phone"]["status"], "active");
        assert_eq!(channels["channels"]["whatsapp"]["phoneNumber"], world.account.phone);
        assert_eq!(channels["voiceAi"]["number"], world.account.phone);
        let pong = agent.call("comms_ping", json!({ "message": "hello" })).await.unwrap();
        assert_eq!(pong["echo"], "hello");
        assert!(agent.waiting().await.is_empty());
    }
}

profiles! {
    async fn tools_are_those_of_the_scope(world: &World) {
        let admin = world
            .account
            .colleague(&world.store, &world.gateways, "org-admin", "+14155550101")
            .await;
        for transport in [Transport::Sse, Transport::StreamableHttp] {
            let (agent, admin) = (world.agent(transport).await, world.agent_of(&admin, transport).await);
            let (seen, all) = (agent.tools().await, admin.tools().await);
            assert!(seen.contains(&"comms_send_message".to_owned()), "{seen:?}");
            assert!(!seen.contains(&"comms_set_agent_limits".to_owned()), "{seen:?}");
            assert!(all.contains(&"comms_set_agent_limits".to_owned()), "{all:?}");
            assert!(!all.iter().any(|tool| !tool.starts_with("comms_")), "{all:?}");
            // What is not shown can't be called either.
            let limits = json!({ "limits": { "maxActionsPerDay": 1 } });
            let refused = agent.call("comms_set_agent_limits", limits).await.unwrap_err();
            assert_eq!(refused["code"], "AUTH_FORBIDDEN");
            assert!(refused["error"].as_str().unwrap().starts_with("Admin access required."));
        }
    }
}

profiles! {
    async fn an_administrator_sends_as_another_agent_of_the_organization(world: &World) {
        let admin = world
            .account
            .colleague(&world.store, &world.gateways, "org-admin", "+14155550101")
            .await;
        let admin = world.agent_of(&admin, Transport::StreamableHttp).await;
        let named = with(sms(ANN, "On behalf"), json!({ "agentId": world.account.agent }));
        let receipt = admin.send(named).await.unwrap();
        assert_eq!(world.arrival(&receipt).await.from, world.account.phone);
    }
}

profiles! {
    async fn an_agent_names_no_sender_but_its_own(world: &World) {
        let agent = world.rest().await;
        let own = with(sms(ANN, "Mine"), json!({ "senderSid": world.account.phone }));
        assert_eq!(
            world.arrival(&agent.send(own).await.unwrap()).await.from,
            world.account.phone
        );
        let foreign = with(sms(ANN, "Not mine"), json!({ "senderSid": "+14155550199" }));
        assert_eq!(agent.send(foreign).await.unwrap_err()["code"], "CHANNEL_UNAVAILABLE");
        assert_eq!(world.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn a_message_that_could_not_be_sent_as_asked_is_refused(world: &World) {
        let agent = world.agent(Transport::Sse).await;
        let later = with(sms(ANN, "Later"), json!({ "scheduledAt": "2999-01-01T00:00:00Z" }));
        assert_eq!(agent.send(later).await.unwrap_err()["code"], "INVALID_ARGUMENT");
        let past = with(sms(ANN, "Past"), json!({ "scheduledAt": "2020-01-01T00:00:00Z" }));
        assert_eq!(agent.send(past).await.unwrap_err()["code"], "INVALID_ARGUMENT");
        let nothing = agent.send(json!({ "to": ANN, "channel": "sms" })).await.unwrap_err();
        assert_eq!(nothing["code"], "MISSING_FIELDS");
        let nobody = agent
            .send(json!({ "channel": "sms", "body": "Hello" }))
            .await
            .unwrap_err();
        assert_eq!(
            (&nobody["code"], &nobody["fields"]),
            (&json!("MISSING_FIELDS"), &json!(["to"]))
        );
        let pigeon = agent
            .send(with(sms(ANN, "Coo"), json!({ "channel": "pigeon" })))
            .await
            .unwrap_err();
        assert_eq!(pigeon["code"], "INVALID_ARGUMENT");
        assert_eq!(world.carriers.requests_total("twilio"), 0);
    }
}

profiles! {
    async fn a_paused_or_missing_sender_is_named_with_the_channels_that_work(world: &World) {
        let agent = world.rest().await;
        world
            .store
            .pause_channel(&world.account.agent, Channel::Sms, true)
            .await
            .unwrap();
        // What a gateway knows about its callers is at most a second old.
        let refused = crate::support::eventually("the pause is in force", async || {
            agent.send(sms(ANN, "Hello")).await.err()
        })
        .await;
        assert_eq!(refused["code"], "CHANNEL_UNAVAILABLE");
        let mut left: Vec<_> = refused["availableChannels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["email", "whatsapp"]);
    }
}
