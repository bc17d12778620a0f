//! The recipients and channels of a restricted token, through every operation that can reach a person.

use butt_dial_domain::{Channel, Clock, Scope};
use butt_dial_operations as operations;
use butt_dial_providers::PersonMessage;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    Agent, Cluster, Transport, WAIT_TIMEOUT, Webhook, email, eventually, expect_not_granted, says, sms, whatsapp, with,
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const EVE: &str = "+14155550199";

/// Operations of agents that reach a person, with arguments for EVE. `{call}` is a call with her, `{message}` a message of hers.
fn reaching() -> Vec<(&'static str, Value)> {
    let call = |more: Value| with(json!({ "callId": "{call}" }), more);
    vec![
        ("comms_send_message", sms(EVE, "Hello")),
        (
            "comms_whatsapp_action",
            json!({ "action": "send_buttons", "to": EVE, "body": "?", "buttons": [{ "label": "Yes" }] }),
        ),
        (
            "comms_whatsapp_action",
            json!({ "action": "send_location", "to": EVE, "lat": 1, "lng": 2 }),
        ),
        ("comms_whatsapp_action", json!({ "action": "typing", "to": EVE })),
        (
            "comms_whatsapp_action",
            json!({ "action": "mark_read", "messageId": "{message}" }),
        ),
        ("comms_make_call", json!({ "to": EVE })),
        ("comms_call_on_behalf", json!({ "target": EVE, "requesterPhone": ANN })),
        ("comms_send_voice_message", json!({ "to": EVE, "text": "Hello" })),
        ("comms_send_otp", json!({ "to": EVE, "channel": "sms" })),
        (
            "comms_message_agent",
            json!({ "toAgent": "{colleague}", "body": "Hello" }),
        ),
        ("comms_attend_call", call(json!({}))),
        ("comms_call_reply", call(json!({ "text": "Hello" }))),
        ("comms_say", call(json!({ "text": "Hello" }))),
        ("comms_send_digits", call(json!({ "digits": "1" }))),
        ("comms_transfer_call", call(json!({ "to": ANN }))),
        ("comms_end_call", call(json!({ "text": "Bye" }))),
    ]
}

/// Operations of agents that change something and reach no person.
const OTHERS: &[&str] = &[
    "ack_events",
    "cancel_scheduled_message",
    "close_session",
    "create_session",
    "generate_tts",
    "get_waiting_messages",
    "grant_trust",
    "manage_inbound_filter",
    "record_consent",
    "replay_callback",
    "revoke_consent",
    "revoke_trust",
    "rotate_callback_secret",
    "rotate_token",
    "set_callback_url",
    "set_channel_block",
    "set_client_status",
    "set_voice_callback",
    "set_voice_settings",
    "subscribe_inbound",
    "update_profile",
    "verify_otp",
    "wait_events",
];

#[test]
fn operations_of_agents_are_classified_by_their_recipients() {
    let reaching = reaching();
    for definition in operations::all() {
        if definition.scope != Scope::Agent || definition.is_read_only() {
            continue;
        }
        let name = definition.name.trim_start_matches("comms_");
        let reaches = reaching.iter().any(|(tool, _)| *tool == definition.name);
        assert!(
            reaches != OTHERS.contains(&name),
            "{name} has to be in one of both lists: its recipients have to be checked, or it has none"
        );
    }
}

profiles! {
    async fn every_operation_that_reaches_people_checks_recipients(cluster: &Cluster) {
        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101").await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, EVE, &cluster.account.phone, "Hi")).await;
        let own = cluster.agent(Transport::StreamableHttp).await;
        let event = own.expect_events(1).await.remove(0);
        let call_id = own.make_call(EVE, json!({ "greeting": "Good morning." })).await;
        let call = cluster.expect_greeted_call(EVE, "Good morning.").await;
        let texts = cluster.carriers.messages().len();

        let token = cluster.restricted_token(json!({ "recipients": [ANN] })).await;
        for transport in [Transport::StreamableHttp, Transport::Sse] {
            let agent = Agent::connect(&cluster.gateways, &token, transport).await;
            for (tool, arguments) in reaching() {
                let arguments = arguments.to_string();
                let arguments = arguments.replace("{call}", &call_id).replace("{colleague}", colleague.agent.host_id());
                let arguments = arguments.replace("{message}", event["messageId"].as_str().unwrap());
                let answer = agent.call(tool, serde_json::from_str(&arguments).unwrap()).await;
                expect_not_granted(answer, "recipients", &format!("{tool} {arguments}"));
            }
        }
        assert_eq!(cluster.carriers.messages().len(), texts, "nothing has left");
        let attending = Agent::connect(&cluster.gateways, &token, Transport::Rest).await;
        let any = attending.call("comms_attend_call", json!({ "waitMs": 0 })).await.unwrap_err();
        assert_eq!(any["code"], "AUTH_FORBIDDEN", "any caller is not only ANN");
        call.hang_up().await;
        own.wait_for_call_end(&call_id).await;

        // The same operations reach the granted person.
        attending.send(sms(ANN, "Hello")).await.unwrap();
        let call_id = attending.make_call(ANN, json!({ "greeting": "Good day." })).await;
        let call = cluster.expect_greeted_call(ANN, "Good day.").await;
        let (turn, ()) = tokio::join!(attending.attend(&call_id), says(&call, "Yes?"));
        attending.reply_to_turn(&turn, "It is ready.").await.unwrap();
        let away = json!({ "callId": call_id, "to": EVE });
        expect_not_granted(attending.call("comms_transfer_call", away).await, "recipients", "a transfer to EVE");
        attending.call("comms_end_call", json!({ "callId": call_id })).await.unwrap();
    }
}

profiles! {
    async fn copies_of_mails_and_fallbacks_are_checked(cluster: &Cluster) {
        let grants = json!({ "channels": ["email", "sms"], "recipients": ["@shop.example", "+141555501*"] });
        let token = cluster.restricted_token(grants).await;
        let agent = Agent::connect_rest(&cluster.gateways, &token);
        let mail = |more: Value| with(email("ann@shop.example", "Hello"), more);
        agent.send(mail(json!({ "cc": ["Bo@SHOP.example"] }))).await.unwrap();
        for more in [json!({ "cc": ["eve@example.com"] }), json!({ "bcc": ["bo@shop.example", "eve@example.com"] })] {
            expect_not_granted(agent.send(mail(more.clone())).await, "recipients", &more.to_string());
        }
        expect_not_granted(agent.send(email("eve@example.com", "Hello")).await, "recipients", "a mail");
        let text = |more: Value| with(sms(ANN, "Hello"), more);
        expect_not_granted(agent.send(text(json!({ "fallbackChannels": ["whatsapp"] }))).await, "channels", "a fallback");
        expect_not_granted(agent.send(text(json!({ "to": "+14165550123" }))).await, "recipients", "another beginning");
        expect_not_granted(agent.send(whatsapp(ANN, "Hello")).await, "channels", "WhatsApp");
        agent.send(text(json!({}))).await.unwrap();
    }
}

profiles! {
    async fn colleagues_are_granted_by_their_id(cluster: &Cluster) {
        let (store, gateways) = (&cluster.store, &cluster.gateways);
        let support = cluster.account.add_named(store, gateways, "support", "+14155550101").await;
        let sales = cluster.account.add_named(store, gateways, "sales", "+14155550102").await;
        let token = cluster.restricted_token(json!({ "recipients": ["agent:support"] })).await;
        let agent = Agent::connect(gateways, &token, Transport::Sse).await;
        agent.call("comms_message_agent", json!({ "toAgent": "support", "body": "One" })).await.unwrap();
        agent.send(with(sms("support", "Two"), json!({}))).await.unwrap();
        cluster.agent_of(&support, Transport::Rest).await.poll_until("Two").await;
        for to in ["sales", &sales.phone, &support.phone] {
            expect_not_granted(agent.send(sms(to, "Three")).await, "recipients", to);
        }
        let refused = agent.call("comms_message_agent", json!({ "toAgent": "sales", "body": "Three" })).await;
        expect_not_granted(refused, "recipients", "a colleague");
    }
}

profiles! {
    async fn scheduled_send_keeps_the_grants_of_its_token(cluster: &Cluster) {
        let grants = json!({ "recipients": [ANN], "maxSpend": 0.03 });
        let token = cluster.restricted_token(grants).await;
        let agent = Agent::connect_rest(&cluster.gateways, &token);
        let at = Clock::System.now() + TimeDelta::seconds(2);
        let later = |to: &str| with(sms(to, "Later"), json!({ "scheduledAt": at.to_rfc3339() }));
        expect_not_granted(agent.send(later(EVE)).await, "recipients", "a scheduled message");
        let scheduled = agent.send(later(ANN)).await.unwrap();
        let spent = async || {
            let rows = cluster.store.list_spend(&budget_of(cluster).await, "total", "total").await.unwrap();
            rows.first().map_or(0, |row| row.held + row.settled)
        };
        assert_eq!((scheduled["status"].as_str(), spent().await), (Some("scheduled"), 0));
        cluster.wait_for_acceptance(ANN).await;
        eventually("the budget of the token pays", async || (spent().await > 0).then_some(())).await;
    }
}

/// Returns the scope of the spend of the only restricted token.
async fn budget_of(cluster: &Cluster) -> String {
    let account = &cluster.account;
    let tokens = cluster
        .store
        .list_agent_tokens(&account.org, &account.agent)
        .await
        .unwrap();
    let restriction = tokens.into_iter().find_map(|token| token.principal.restriction);
    format!("tok:{}", restriction.expect("a restricted token").budget)
}

profiles! {
    async fn token_budget_bounds_concurrent_sends_and_rotation(cluster: &Cluster) {
        // Three texts to the United States at 0.0083 dollars.
        let token = cluster.restricted_token(json!({ "maxSpend": 0.03 })).await;
        let agent = Agent::connect_rest(&cluster.gateways, &token);
        let sends = (0..6).map(|n| agent.send(sms(ANN, &format!("Message {n}"))));
        let answers = futures::future::join_all(sends).await;
        let (sent, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(sent.len(), 3, "{sent:?}");
        for refusal in refused.into_iter().map(Result::unwrap_err) {
            assert_eq!((&refusal["code"], &refusal["scope"]), (&json!("SPEND_LIMIT"), &json!("token")), "{refusal}");
            assert_eq!((&refusal["limit"]["period"], &refusal["limit"]["limit"]), (&json!("total"), &json!(0.03)));
        }
        let rotated = agent.call("comms_rotate_token", json!({ "confirm": true })).await.unwrap();
        let rotated = Agent::connect_rest(&cluster.gateways, rotated["newToken"].as_str().unwrap());
        let refused = eventually("the budget is used up", async || {
            rotated.send(sms(ANN, "More")).await.err()
        })
        .await;
        assert_eq!((&refused["code"], &refused["scope"]), (&json!("SPEND_LIMIT"), &json!("token")), "{refused}");
        cluster.rest().await.send(sms(ANN, "Other token")).await.expect("its budget is another");
        let daily = cluster.restricted_token(json!({ "maxSpendPerDay": 0 })).await;
        let refused = Agent::connect_rest(&cluster.gateways, &daily).send(sms(ANN, "Hello")).await.unwrap_err();
        assert_eq!((&refused["scope"], &refused["limit"]["period"]), (&json!("token"), &json!("day")), "{refused}");
    }
}

/// Returns the micro-units that the budget of the only restricted token has spent and holds.
async fn spent_by_token(cluster: &Cluster) -> i64 {
    let scope = budget_of(cluster).await;
    let rows = cluster.store.list_spend(&scope, "total", "total").await.unwrap();
    rows.first().map_or(0, |row| row.held + row.settled)
}

profiles! {
    async fn token_pays_its_calls_and_transfers_no_others(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let own = cluster.agent(Transport::StreamableHttp).await;
        let token = cluster.restricted_token(json!({ "maxSpend": 1 })).await;
        let restricted = Agent::connect_rest(&cluster.gateways, &token);
        let foreign = own.make_call(ANN, json!({ "greeting": "Good morning." })).await;
        let call = cluster.expect_greeted_call(ANN, "Good morning.").await;
        let transfer = async |id: &str| restricted.call("comms_transfer_call", json!({ "callId": id, "to": EVE })).await;
        assert_eq!(transfer(&foreign).await.unwrap_err()["code"], "AUTH_FORBIDDEN");
        assert_eq!(spent_by_token(cluster).await, 0, "another token pays for the call");
        call.hang_up().await;
        own.wait_for_call_end(&foreign).await;

        let id = restricted.make_call(BOB, json!({ "greeting": "Good day." })).await;
        let call = cluster.expect_greeted_call(BOB, "Good day.").await;
        let before = spent_by_token(cluster).await;
        assert!(before > 0, "the first minute");
        transfer(&id).await.unwrap();
        assert!(spent_by_token(cluster).await > before, "the first minute of the leg");
        call.hang_up().await;
        own.wait_for_call_end(&id).await;
    }
}

profiles! {
    async fn fallback_after_receipt_keeps_grants_and_budget(cluster: &Cluster) {
        let grants = json!({ "channels": ["whatsapp", "sms"], "recipients": [ANN], "maxSpend": 1 });
        let token = cluster.restricted_token(grants).await;
        let agent = Agent::connect_rest(&cluster.gateways, &token);
        cluster.open_whatsapp_window(ANN).await;
        let message = with(whatsapp(ANN, "Are you there?"), json!({ "fallbackChannels": ["sms"] }));
        let first = agent.send(message).await.unwrap();
        let before = spent_by_token(cluster).await;
        let (id, carrier_id) = (&first["messageId"], &first["providerMessageId"]);
        let webhook = Webhook::status_with_code(cluster, id, carrier_id, ("undelivered", "63016"));
        assert_eq!(webhook.post(cluster).await.status, 200);
        let second = cluster.carriers.wait_for(|message| message.to == ANN && message.channel == Channel::Sms, WAIT_TIMEOUT);
        second.await.expect("the next channel is tried");
        eventually("the budget of the token pays", async || (spent_by_token(cluster).await > before).then_some(())).await;
    }
}
