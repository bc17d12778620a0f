//! Transfers, bridges and voice messages, and the call events that an agent's host receives.

use std::time::Duration;

use butt_dial_calls::{legs, phrases};
use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::simulator::calls::{Call, CalleeBehavior, Sound};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    limits::{set_limits, spent_today},
    support::{
        Agent, CallbackHost, Cluster, RequestExt as _, Transport, WAIT_TIMEOUT, error_code, expect_carrier_action,
        expect_heard_once, hears, says, setup,
    },
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
/// A minute of a call leg in the United States, in dollars.
const LEG_PRICE: f64 = 0.014;

/// A person calls the agent and asks for another person. Returns the call and its id.
async fn receive_call_for_bob(cluster: &Cluster, agent: &Agent) -> (Call, String) {
    let (turn, call) = tokio::join!(agent.attend_any(), async {
        cluster.wait_until_agent_attends().await;
        let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
        hears(&call, "I'm an AI assistant.").await;
        says(&call, "Bob, please.").await;
        call
    });
    (call, turn["callId"].as_str().unwrap().to_owned())
}

profiles! {
    async fn transfers_no_caller_to_a_contact_that_a_person_answers(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let (call, id) = receive_call_for_bob(cluster, &agent).await;
        let taking = json!({ "agentId": cluster.account.agent.host_id(), "contact": BOB });
        let request = cluster.gateways.post("/api/v1/takeovers", &taking).bearer_auth(&cluster.account.team_token);
        request.reply().await.expect(201);
        let refused = agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap_err();
        assert_eq!(error_code(&refused), "CONVERSATION_TAKEN_OVER");
        call.hang_up().await;
    }
}

profiles! {
    async fn transfers_caller_cold_and_warm(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        for summary in [None, Some("Ann calls about the boiler.")] {
            let (call, id) = receive_call_for_bob(cluster, &agent).await;
            let arguments = json!({ "callId": id, "to": BOB, "announcementText": "I connect you.", "summary": summary });
            let transfer = agent.call("comms_transfer_call", arguments).await.unwrap();
            assert_eq!((&transfer["status"], &transfer["warm"]), (&json!("transferring"), &json!(summary.is_some())));
            hears(&call, "I connect you.").await;
            expect_carrier_action(&call, &format!("connected to {BOB}")).await;
            assert!(call.wait_for_end(WAIT_TIMEOUT).await);
            let whispers = call.transcript().iter().filter(|said| said.text.starts_with("whispers")).count();
            assert_eq!(whispers, usize::from(summary.is_some()), "{:#?}", call.transcript());
            if let Some(summary) = summary {
                expect_carrier_action(&call, &format!("whispers to {BOB}: {summary}")).await;
            }
            let record = agent.wait_for_call_end(&id).await;
            assert_eq!((&record["status"], &record["handledBy"]), (&json!("completed"), &json!("transfer")), "{record}");
        }
    }
}

profiles! {
    async fn returns_caller_to_agent_after_failed_transfer(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.set_callee_behavior(BOB, CalleeBehavior::Busy);
        let (call, id) = receive_call_for_bob(cluster, &agent).await;
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        let not_reached = phrases::PromptCatalog::default().get("en-US").not_reached.clone();
        hears(&call, &not_reached).await;
        // The agent gets a turn although the caller says nothing.
        let turn = agent.attend(&id).await;
        assert_eq!(turn["text"], "[the callee could not be reached]");
        agent.reply_to_turn(&turn, "I will tell him.").await.unwrap();
        hears(&call, "I will tell him.").await;
        expect_heard_once(&call, &["I'm an AI assistant.", &not_reached]);
        call.hang_up().await;
    }
}

profiles! {
    async fn rejects_transfer_beyond_limits(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let (called, id) = receive_call_for_bob(cluster, &agent).await;
        let outbound = agent.make_call("+14155550125", json!({ "greeting": "Shall I connect you?" })).await;
        let calling = cluster.expect_greeted_call("+14155550125", "Shall I connect you?").await;
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": 0.09 })).await;
        for call in [&id, &outbound] {
            let refused = agent.call("comms_transfer_call", json!({ "callId": call, "to": BOB })).await.unwrap_err();
            assert_eq!(refused["code"], "SPEND_LIMIT", "{refused}");
        }
        set_limits(cluster, &cluster.account, false, json!({ "maxActionsPerMinute": 1 })).await;
        let mut refused = json!({});
        for _ in 0..2 {
            refused = agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap_err();
        }
        assert_eq!(refused["code"], "RATE_LIMITED", "{refused}");
        for call in [called, calling] {
            call.hang_up().await;
            assert!(!call.transcript().iter().any(|said| said.text.contains("dials")), "{:#?}", call.transcript());
        }
    }
}

profiles! {
    async fn ends_call_during_transfer(cluster: &Cluster) {
        cluster.carriers.set_pace(0.2);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.set_callee_behavior(BOB, CalleeBehavior::NoAnswer);
        let (call, id) = receive_call_for_bob(cluster, &agent).await;
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        expect_carrier_action(&call, &format!("dials {BOB}")).await;
        let heard = call.heard_text();
        let ended = agent.call("comms_end_call", json!({ "callId": id })).await.unwrap();
        assert_eq!(ended["status"], "ending");
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        // The prompt after a failed transfer would follow otherwise.
        assert_eq!(call.heard_text(), heard, "the callee rang until the end");
    }
}

profiles! {
    async fn plays_voice_message_to_machine_and_human(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::Sse).await;
        let machine = CalleeBehavior::Machine { after_ms: 500, greeting: "This is Ann. Speak after the beep.".into(), beeps: true };
        cluster.carriers.set_callee_behavior(ANN, machine);
        for (person, answered_by) in [(ANN, "machine_end"), (BOB, "human")] {
            let message = json!({ "to": person, "text": "Your flowers are here." });
            let sent = agent.call("comms_send_voice_message", message).await.unwrap();
            let call = cluster.carriers.wait_for_call(person, WAIT_TIMEOUT).await.unwrap();
            assert!(call.wait_for_end(WAIT_TIMEOUT).await);
            let heard: Vec<Sound> = call.heard().into_iter().map(|heard| heard.sound).collect();
            let beep = heard.iter().position(|sound| *sound == Sound::Beep);
            assert_eq!(beep, (person == ANN).then_some(0), "{heard:?}");
            // The disclosure is spoken first; the message is a sound file made from the text.
            expect_heard_once(&call, &["this is an AI assistant calling for"]);
            assert!(matches!(heard.last(), Some(Sound::File(url)) if url.contains("/media/")), "{heard:?}");
            let record = agent.wait_for_call_end(sent["callId"].as_str().unwrap()).await;
            assert_eq!((&record["answeredBy"], &record["status"]), (&json!(answered_by), &json!("completed")), "{record}");
        }
    }
}

profiles! {
    async fn leaves_greeting_on_answering_machine(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let machine = CalleeBehavior::Machine { after_ms: 500, greeting: "This is Ann. Speak after the beep.".into(), beeps: true };
        cluster.carriers.set_callee_behavior(ANN, machine);
        let arguments = json!({ "greeting": "Your flowers are here.", "machineDetection": true });
        let id = agent.make_call(ANN, arguments).await;
        let call = cluster.carriers.wait_for_call(ANN, WAIT_TIMEOUT).await.unwrap();
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        let heard: Vec<Sound> = call.heard().into_iter().map(|heard| heard.sound).collect();
        let beep = heard.iter().position(|sound| *sound == Sound::Beep).expect("a beep");
        let spoken = heard[beep..].iter().filter_map(|sound| match sound {
            Sound::Word(word) => Some(word.as_str()),
            _ => None,
        });
        let spoken = spoken.collect::<Vec<_>>().join(" ");
        assert!(spoken.contains("an AI assistant calling for") && spoken.ends_with("Your flowers are here."), "{spoken}");
        let record = agent.wait_for_call_end(&id).await;
        assert_eq!((&record["answeredBy"], &record["status"]), (&json!("machine_end"), &json!("completed")), "{record}");
    }
}

profiles! {
    async fn bridges_two_people(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let boss = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550177").await;
        let assigned = cluster.store.change(setup()).assign_channel(&boss.org, &boss.agent, Channel::Voice, &boss.phone, Clock::System.now()).await;
        assigned.unwrap();
        let agent = cluster.agent_of(&boss, Transport::StreamableHttp).await;
        let arguments = json!({ "action": "call", "callerNumber": ANN, "destinationNumber": BOB });
        let bridge = agent.call("comms_bridge_call", arguments).await.unwrap();
        assert_eq!(bridge["to"], ANN, "{bridge}");
        let call = cluster.carriers.wait_for_call(ANN, WAIT_TIMEOUT).await.unwrap();
        expect_carrier_action(&call, &format!("connected to {BOB}")).await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert!(call.heard().is_empty(), "no prompt is played: {:?}", call.heard());
        let record = agent.wait_for_call_end(bridge["callId"].as_str().unwrap()).await;
        assert_eq!(record["status"], "completed", "{record}");
    }
}

profiles! {
    async fn charges_transferred_inbound_call(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let (call, id) = receive_call_for_bob(cluster, &agent).await;
        let satellite = json!({ "callId": id, "to": "+881612345678" });
        let refused = agent.call("comms_transfer_call", satellite).await.unwrap_err();
        assert_eq!((&refused["code"], &refused["rule"]), (&json!("INVALID_RECIPIENT"), &json!("destination")));
        assert_eq!(spent_today(&agent).await, 0.0);
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        expect_carrier_action(&call, &format!("connected to {BOB}")).await;
        assert_eq!(spent_today(&agent).await, LEG_PRICE);
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        agent.wait_for_call_end(&id).await;
        assert_eq!(spent_today(&agent).await, LEG_PRICE, "the end of the call keeps the charge");
    }
}

profiles! {
    async fn ends_bridge_when_budget_is_used_up(cluster: &Cluster) {
        let boss = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550177").await;
        let assigned = cluster.store.change(setup()).assign_channel(&boss.org, &boss.agent, Channel::Voice, &boss.phone, Clock::System.now()).await;
        assigned.unwrap();
        let agent = cluster.agent_of(&boss, Transport::StreamableHttp).await;
        let arguments = json!({ "action": "call", "callerNumber": ANN, "destinationNumber": BOB });
        agent.call("comms_bridge_call", arguments).await.unwrap();
        let call = cluster.carriers.wait_for_call(ANN, WAIT_TIMEOUT).await.unwrap();
        expect_carrier_action(&call, &format!("connected to {BOB}")).await;

        // The first minute is over.
        let due = async || {
            let now = Clock::System.now();
            let legs = cluster.store.list_due_call_legs(now + TimeDelta::hours(1), 9).await.unwrap();
            assert!(cluster.store.claim_call_leg(&legs[0], now - TimeDelta::seconds(1)).await.unwrap());
        };
        let before = spent_today(&agent).await;
        due().await;
        legs::charge_due(cluster.calls()).await.unwrap();
        let charged = spent_today(&agent).await - before;
        assert!((charged - 2.0 * LEG_PRICE).abs() < 1e-6, "both legs: {charged}");

        set_limits(cluster, &boss, false, json!({ "maxSpendPerDay": before + charged })).await;
        due().await;
        legs::charge_due(cluster.calls()).await.unwrap();
        assert!(call.wait_for_end(Duration::from_secs(2)).await, "ended by the server");
    }
}

profiles! {
    with [("ALLOW_PRIVATE_CALLBACKS", "true")];
    async fn voice_callback_receives_call_end_and_voicemail(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let (agent, host) = (cluster.rest().await, CallbackHost::start().await);
        let set = agent.call("comms_set_voice_callback", json!({ "voiceCallbackUrl": host.url("/calls") })).await.unwrap();
        assert!(set["signingSecret"].as_str().unwrap().starts_with("whsec_"), "{set}");

        cluster.carriers.set_callee_behavior(BOB, CalleeBehavior::Busy);
        let busy_call = agent.make_call(BOB, json!({})).await;
        let callbacks = host.expect_callbacks(1).await;
        let ended = callbacks[0].json();
        assert_eq!((callbacks[0].path.as_str(), &ended["type"]), ("/calls", &json!("call.ended")), "{ended}");
        assert_eq!((&ended["callId"], &ended["callStatus"]), (&json!(busy_call), &json!("busy")), "{ended}");
        assert!(!callbacks[0].header("webhook-signature").is_empty());

        // A voicemail is posted with its transcript; a text message is not posted here.
        let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;
        call.hang_up().await;
        cluster.texts(ANN, "And a text.").await;
        let callbacks = host.expect_callbacks(2).await;
        let voicemail = callbacks[1].json();
        assert_eq!((&voicemail["isVoiceMessage"], &voicemail["from"]), (&json!(true), &json!(ANN)), "{voicemail}");
        assert!(voicemail["voiceTranscription"].as_str().unwrap().contains("My name is Ann."), "{voicemail}");
        let texts = agent.expect_events(1).await;
        assert_eq!(texts[0]["body"], "And a text.");
        assert_eq!(host.callbacks().len(), 2, "{:?}", host.callbacks());
    }
}
