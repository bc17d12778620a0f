//! Sends: messages arrive unchanged, over every transport and on every channel.

use butt_dial_domain::{Channel, Clock};
use serde_json::json;

use crate::support::{Transport, email, setup, sms, whatsapp, with};

const ANN: &str = "+14155550123";

profiles! {
    async fn delivers_message_unchanged_over_every_transport(cluster: &Cluster) {
        cluster.open_whatsapp_window(ANN).await;
        for transport in Transport::ALL {
            let agent = cluster.agent(transport).await;
            let body = format!("Your table is booked.\nSee you there — {transport:?} 🙂");
            for (message, channel, from) in [
                (sms(ANN, &body), Channel::Sms, &cluster.account.phone),
                (whatsapp(ANN, &body), Channel::Whatsapp, &cluster.account.phone),
                (email("ann@example.com", &body), Channel::Email, &cluster.account.email),
            ] {
                let receipt = agent.send(message.clone()).await.unwrap();
                assert_eq!(receipt["status"], "accepted");
                assert_eq!(receipt["channel"], message["channel"]);
                assert_eq!(receipt["from"], from.as_str());
                let arrived = cluster.expect_arrival(&receipt).await;
                assert_eq!((arrived.channel, &arrived.from), (channel, from));
                assert_eq!(arrived.to, message["to"].as_str().unwrap());
                assert_eq!(arrived.body, body);
            }
        }
        assert_eq!(cluster.carriers.accepted_total("twilio"), 6);
        assert_eq!(cluster.carriers.accepted_total("resend"), 3);
    }
}

profiles! {
    async fn email_has_subject_html_and_sender_name(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let message = with(
            email("Ann.Lee@Example.COM", "Dear Ann"),
            json!({ "subject": "Your invoice", "html": "<p>Dear Ann</p>", "senderName": "Billing" }),
        );
        let arrived = cluster.expect_arrival(&agent.send(message).await.unwrap()).await;
        assert_eq!(arrived.to, "Ann.Lee@example.com");
        assert_eq!(arrived.subject.as_deref(), Some("Your invoice"));
        assert_eq!(arrived.html.as_deref(), Some("<p>Dear Ann</p>"));
        assert_eq!(arrived.from_name.as_deref(), Some("Billing"));
    }
}

profiles! {
    async fn delivers_pictures_and_templates(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let picture = "https://pictures.example.com/menu.jpg";
        let mms = agent
            .send(with(sms(ANN, "The menu"), json!({ "media": [picture] })))
            .await
            .unwrap();
        assert_eq!(cluster.expect_arrival(&mms).await.media, [picture]);

        // A template needs no open window.
        let template = "HX00000000000000000000000000000001";
        let fields = json!({ "templateId": template, "templateVariables": { "1": "Ann", "2": "7 pm" } });
        let sent = agent.send(with(whatsapp("+4917612345678", ""), fields)).await.unwrap();
        let shown = cluster.expect_arrival(&sent).await.body;
        assert_eq!(shown, format!(r#"[{template}] {{"1":"Ann","2":"7 pm"}}"#));
    }
}

profiles! {
    async fn finds_status_by_message_id_or_carrier_id(cluster: &Cluster) {
        for transport in Transport::ALL {
            let agent = cluster.agent(transport).await;
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
    async fn counts_and_charges_sent_messages(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        for message in [sms(ANN, "1"), sms(ANN, "2"), email("ann@example.com", "3")] {
            agent.send(message).await.unwrap();
        }
        let refused = agent.send(sms("invalid", "4")).await.unwrap_err();
        assert_eq!(refused["code"], "INVALID_RECIPIENT");
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 3);
        assert_eq!(usage["actions"], json!({ "sms": 2, "email": 1 }));
        // Two segments at 0.0083 and a mail at 0.0009; no reservation is left.
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
    async fn reports_line_costs_on_usage_dashboard(cluster: &Cluster) {
        let account = &cluster.account;
        let (sender, person) = (format!("U{}", "0".repeat(32)), format!("U{}", "1".repeat(32)));
        let now = Clock::System.now();
        let assigned = cluster.store.change(setup()).assign_channel(&account.org, &account.agent, Channel::Line, &sender, now).await;
        assigned.unwrap();
        let agent = cluster.agent(Transport::Sse).await;
        agent.send(with(sms(&person, "Hello"), json!({ "channel": "line" }))).await.unwrap();
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["actions"], json!({ "line": 1 }));
        assert_eq!(usage["costsByChannel"]["line"], 0.003, "{usage}");
    }
}

profiles! {
    async fn returns_agent_identity_and_channels(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let me = agent.call("comms_get_me", json!({})).await.unwrap();
        assert_eq!(me["agentId"], cluster.account.agent.as_str());
        assert_eq!(me["channels"]["phone"], cluster.account.phone);
        assert_eq!(me["channels"]["email"], cluster.account.email);
        assert_eq!(me["channels"]["voice"], cluster.account.phone, "an SMS number accepts calls");
        let channels = agent.call("comms_get_channel_status", json!({})).await.unwrap();
        assert_eq!(channels["phone"]["status"], "active");
        assert_eq!(channels["channels"]["whatsapp"]["phoneNumber"], cluster.account.phone);
        assert_eq!(channels["voiceAi"]["number"], cluster.account.phone);
        let pong = agent.call("comms_ping", json!({ "message": "hello" })).await.unwrap();
        assert_eq!(pong["echo"], "hello");
        assert!(agent.poll_messages().await.is_empty());
    }
}

profiles! {
    async fn lists_tools_of_scope(cluster: &Cluster) {
        let admin = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101")
            .await;
        for transport in [Transport::Sse, Transport::StreamableHttp] {
            let (agent, admin) = (cluster.agent(transport).await, cluster.agent_of(&admin, transport).await);
            let (own, all) = (agent.tools().await, admin.tools().await);
            assert!(own.contains(&"comms_send_message".to_owned()), "{own:?}");
            assert!(!own.contains(&"comms_set_agent_limits".to_owned()), "{own:?}");
            assert!(all.contains(&"comms_set_agent_limits".to_owned()), "{all:?}");
            assert!(!all.iter().any(|tool| !tool.starts_with("comms_")), "{all:?}");
            // A tool outside the scope cannot be called either.
            let limits = json!({ "limits": { "maxActionsPerDay": 1 } });
            let refused = agent.call("comms_set_agent_limits", limits).await.unwrap_err();
            assert_eq!(refused["code"], "AUTH_FORBIDDEN");
            assert!(refused["error"].as_str().unwrap().starts_with("Admin access required."));
        }
    }
}

profiles! {
    async fn admin_sends_as_agent_of_own_organization(cluster: &Cluster) {
        let admin = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101")
            .await;
        let admin = cluster.agent_of(&admin, Transport::StreamableHttp).await;
        let named = with(sms(ANN, "On behalf"), json!({ "agentId": cluster.account.agent }));
        let receipt = admin.send(named).await.unwrap();
        assert_eq!(cluster.expect_arrival(&receipt).await.from, cluster.account.phone);
    }
}

profiles! {
    async fn rejects_foreign_sender_address(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let own = with(sms(ANN, "Mine"), json!({ "senderSid": cluster.account.phone }));
        assert_eq!(
            cluster.expect_arrival(&agent.send(own).await.unwrap()).await.from,
            cluster.account.phone
        );
        let foreign = with(sms(ANN, "Not mine"), json!({ "senderSid": "+14155550199" }));
        assert_eq!(agent.send(foreign).await.unwrap_err()["code"], "CHANNEL_UNAVAILABLE");
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn rejects_incomplete_or_unschedulable_message(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let later = with(sms(ANN, "Later"), json!({ "scheduledAt": "2999-01-01T00:00:00Z" }));
        assert_eq!(agent.send(later).await.unwrap_err()["code"], "INVALID_ARGUMENT");
        let past = with(sms(ANN, "Past"), json!({ "scheduledAt": "2020-01-01T00:00:00Z" }));
        assert_eq!(agent.send(past).await.unwrap_err()["code"], "INVALID_ARGUMENT");
        let nothing = agent.send(json!({ "to": ANN, "channel": "sms" })).await.unwrap_err();
        assert_eq!(nothing["code"], "MISSING_FIELDS");
        let no_recipient = agent
            .send(json!({ "channel": "sms", "body": "Hello" }))
            .await
            .unwrap_err();
        assert_eq!(
            (&no_recipient["code"], &no_recipient["fields"]),
            (&json!("MISSING_FIELDS"), &json!(["to"]))
        );
        let pigeon = agent
            .send(with(sms(ANN, "Coo"), json!({ "channel": "pigeon" })))
            .await
            .unwrap_err();
        assert_eq!(pigeon["code"], "INVALID_ARGUMENT");
        assert_eq!(cluster.carriers.requests_total("twilio"), 0);
    }
}

profiles! {
    async fn paused_channel_error_lists_available_channels(cluster: &Cluster) {
        let agent = cluster.rest().await;
        cluster
            .store
            .change(setup())
            .pause_channel(&cluster.account.agent, Channel::Sms, true)
            .await
            .unwrap();
        // A gateway caches caller profiles for at most a second.
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
