//! Calls that bring people together, and calls that only tell something: transfers, bridges, voice messages, and what an
//! agent's host is told of calls.

use butt_dial_comms::calls::phrases;
use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::simulator::calls::{Behaviour, Call, Sound};
use serde_json::json;

use crate::{
    limits::set_limits,
    support::{Agent, Host, PATIENCE, Transport, World, expect_once, hears, says, sees},
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

/// Somebody calls the agent, and asks for somebody else.
async fn asks_for_bob(world: &World, agent: &Agent) -> (Call, String) {
    let (turn, call) = tokio::join!(agent.anybody(), async {
        world.somebody_waits().await;
        let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
        hears(&call, "I'm an AI assistant.").await;
        says(&call, "Bob, please.").await;
        call
    });
    (call, turn["callId"].as_str().unwrap().to_owned())
}

profiles! {
    async fn a_caller_is_handed_to_somebody_who_may_be_told_first(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        for summary in [None, Some("Ann calls about the boiler.")] {
            let (call, id) = asks_for_bob(world, &agent).await;
            let wanted = json!({ "callId": id, "to": BOB, "announcementText": "I connect you.", "summary": summary });
            let handed = agent.call("comms_transfer_call", wanted).await.unwrap();
            assert_eq!((&handed["status"], &handed["warm"]), (&json!("transferring"), &json!(summary.is_some())));
            hears(&call, "I connect you.").await;
            sees(&call, &format!("is connected with {BOB}")).await;
            assert!(call.wait_for_end(PATIENCE).await);
            let whispers = call.transcript().iter().filter(|said| said.text.starts_with("whispers")).count();
            assert_eq!(whispers, usize::from(summary.is_some()), "{:#?}", call.transcript());
            if let Some(summary) = summary {
                sees(&call, &format!("whispers to {BOB}: {summary}")).await;
            }
            let seen = agent.ended_call(&id).await;
            assert_eq!((&seen["status"], &seen["handledBy"]), (&json!("completed"), &json!("transfer")), "{seen}");
        }
    }
}

profiles! {
    async fn a_caller_who_could_not_be_handed_over_comes_back(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.set_number(BOB, Behaviour::Busy);
        let (call, id) = asks_for_bob(world, &agent).await;
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        hears(&call, &phrases::Book::default().of("en-US").not_reached).await;
        // The agent is told, though the caller says nothing.
        let turn = agent.turn(&id).await;
        assert_eq!(turn["text"], "[nobody could be reached]");
        agent.answers(&turn, "I will tell him.").await.unwrap();
        hears(&call, "I will tell him.").await;
        expect_once(&call, &["I'm an AI assistant.", "nobody could be reached there."]);
        call.hang_up().await;
    }
}

profiles! {
    async fn who_may_not_call_can_hand_no_call_over(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        let (called, id) = asks_for_bob(world, &agent).await;
        let made = agent.calls("+14155550125", json!({ "greeting": "Shall I connect you?" })).await;
        let calling = world.takes("+14155550125", "Shall I connect you?").await;
        set_limits(world, &world.account, false, json!({ "maxSpendPerDay": 0.09 })).await;
        for call in [&id, &made] {
            let refused = agent.call("comms_transfer_call", json!({ "callId": call, "to": BOB })).await.unwrap_err();
            assert_eq!(refused["code"], "SPEND_LIMIT", "{refused}");
        }
        set_limits(world, &world.account, false, json!({ "maxActionsPerMinute": 1 })).await;
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
    async fn a_call_that_is_being_handed_over_can_be_ended(world: &World) {
        world.carriers.set_pace(0.2);
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.set_number(BOB, Behaviour::NoAnswer);
        let (call, id) = asks_for_bob(world, &agent).await;
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        sees(&call, &format!("dials {BOB}")).await;
        let ended = agent.call("comms_end_call", json!({ "callId": id })).await.unwrap();
        assert_eq!(ended["status"], "ending");
        assert!(call.wait_for_end(PATIENCE).await);
        assert!(!call.heard_text().contains("nobody could be reached"), "it still rang there: {}", call.heard_text());
    }
}

profiles! {
    async fn a_voice_message_is_left_after_the_beep_or_told_to_whoever_answers(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::Sse).await;
        let machine = Behaviour::Machine { after_ms: 500, greeting: "This is Ann. Speak after the beep.".into(), beeps: true };
        world.carriers.set_number(ANN, machine);
        for (person, who) in [(ANN, "machine_end"), (BOB, "human")] {
            let message = json!({ "to": person, "text": "Your flowers are here." });
            let sent = agent.call("comms_send_voice_message", message).await.unwrap();
            let call = world.carriers.wait_for_call(person, PATIENCE).await.unwrap();
            assert!(call.wait_for_end(PATIENCE).await);
            let heard: Vec<Sound> = call.heard().into_iter().map(|heard| heard.sound).collect();
            let beep = heard.iter().position(|sound| *sound == Sound::Beep);
            assert_eq!(beep, (person == ANN).then_some(0), "{heard:?}");
            // Who calls is said first, and the message is a sound that was made of the text.
            expect_once(&call, &["this is an AI assistant calling for"]);
            assert!(matches!(heard.last(), Some(Sound::File(url)) if url.contains("/media/")), "{heard:?}");
            let seen = agent.ended_call(sent["callId"].as_str().unwrap()).await;
            assert_eq!((&seen["answeredBy"], &seen["status"]), (&json!(who), &json!("completed")), "{seen}");
        }
    }
}

profiles! {
    async fn a_machine_that_takes_a_call_to_a_person_is_left_what_it_was_about(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        let machine = Behaviour::Machine { after_ms: 500, greeting: "This is Ann. Speak after the beep.".into(), beeps: true };
        world.carriers.set_number(ANN, machine);
        let wanted = json!({ "greeting": "Your flowers are here.", "machineDetection": true });
        let id = agent.calls(ANN, wanted).await;
        let call = world.carriers.wait_for_call(ANN, PATIENCE).await.unwrap();
        assert!(call.wait_for_end(PATIENCE).await);
        let heard: Vec<Sound> = call.heard().into_iter().map(|heard| heard.sound).collect();
        let beep = heard.iter().position(|sound| *sound == Sound::Beep).expect("a beep");
        let left = heard[beep..].iter().filter_map(|sound| match sound {
            Sound::Word(word) => Some(word.as_str()),
            _ => None,
        });
        let left = left.collect::<Vec<_>>().join(" ");
        assert!(left.contains("an AI assistant calling for") && left.ends_with("Your flowers are here."), "{left}");
        let seen = agent.ended_call(&id).await;
        assert_eq!((&seen["answeredBy"], &seen["status"]), (&json!("machine_end"), &json!("completed")), "{seen}");
    }
}

profiles! {
    async fn two_people_are_called_and_connected(world: &World) {
        world.carriers.set_pace(0.1);
        let boss = world.account.colleague(&world.store, &world.gateways, "org-admin", "+14155550177").await;
        let assigned = world.store.assign_channel(&boss.org, &boss.agent, Channel::Voice, &boss.phone, Clock::System.now());
        assigned.await.unwrap();
        let agent = world.agent_of(&boss, Transport::StreamableHttp).await;
        let wanted = json!({ "action": "call", "callerNumber": ANN, "destinationNumber": BOB });
        let made = agent.call("comms_bridge_call", wanted).await.unwrap();
        assert_eq!(made["to"], ANN, "{made}");
        let call = world.carriers.wait_for_call(ANN, PATIENCE).await.unwrap();
        sees(&call, &format!("is connected with {BOB}")).await;
        assert!(call.wait_for_end(PATIENCE).await);
        assert!(call.heard().is_empty(), "nobody speaks for us: {:?}", call.heard());
        let seen = agent.ended_call(made["callId"].as_str().unwrap()).await;
        assert_eq!(seen["status"], "completed", "{seen}");
    }
}

profiles! {
    with [("ALLOW_PRIVATE_CALLBACKS", "true")];
    async fn an_agents_host_is_told_how_calls_ended_and_what_was_left(world: &World) {
        world.carriers.set_pace(0.1);
        let (agent, host) = (world.rest().await, Host::start().await);
        let set = agent.call("comms_set_voice_callback", json!({ "voiceCallbackUrl": host.url("/calls") })).await.unwrap();
        assert!(set["signingSecret"].as_str().unwrap().starts_with("whsec_"), "{set}");

        world.carriers.set_number(BOB, Behaviour::Busy);
        let made = agent.calls(BOB, json!({})).await;
        let told = host.expect_calls(1).await;
        let ended = told[0].json();
        assert_eq!((told[0].path.as_str(), &ended["type"]), ("/calls", &json!("call.ended")), "{ended}");
        assert_eq!((&ended["callId"], &ended["callStatus"]), (&json!(made), &json!("busy")), "{ended}");
        assert!(!told[0].header("webhook-signature").is_empty());

        // A message that was left is told of with its words; a text has another way.
        let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;
        call.hang_up().await;
        world.texts(ANN, "And a text.").await;
        let told = host.expect_calls(2).await;
        let left = told[1].json();
        assert_eq!((&left["isVoiceMessage"], &left["from"]), (&json!(true), &json!(ANN)), "{left}");
        assert!(left["voiceTranscription"].as_str().unwrap().contains("My name is Ann."), "{left}");
        let texts = agent.take(1).await;
        assert_eq!(texts[0]["body"], "And a text.");
        assert_eq!(host.calls().len(), 2, "{:?}", host.calls());
    }
}
