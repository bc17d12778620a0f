//! Telephone calls as agents make and hold them: each tool over each way in, through a real relay, to a person who hears and
//! talks.

use butt_dial_domain::Clock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Transport, eventually, expect_once, hears, next, says};

const ANN: &str = "+14155550123";
const FLOWERS: &str = "It is about the flowers.";

fn at(call: &Value, name: &str) -> DateTime<Utc> {
    let text = call[name].as_str().unwrap_or_else(|| panic!("no {name} in {call}"));
    text.parse().unwrap()
}

fn expect_in_order(text: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let found = text[from..].find(part);
        from += found.unwrap_or_else(|| panic!("no {part:?} in its place in {text}")) + part.len();
    }
}

profiles! {
    async fn an_agent_calls_a_person_and_they_talk(world: &World) {
        world.carriers.set_pace(0.1);
        for (n, transport) in Transport::ALL.into_iter().enumerate() {
            let (agent, person) = (world.agent(transport).await, format!("+1415555013{n}"));
            let wanted = json!({ "to": person, "greeting": FLOWERS, "systemPrompt": "Sell flowers." });
            let made = agent.call("comms_make_call", wanted).await.unwrap();
            let id = made["callId"].as_str().unwrap();
            // It is attended while it still rings.
            let (turn, call) = tokio::join!(agent.turn(id), async {
                let call = world.takes(&person, FLOWERS).await;
                says(&call, "Do you have roses?").await;
                call
            });
            assert_eq!((&turn["text"], &turn["systemPrompt"]), (&json!("Do you have roses?"), &json!("Sell flowers.")));
            let live = agent.call_of(id).await;
            assert_eq!((&live["live"]["isPending"], &live["live"]["handledBy"]), (&json!(true), &json!("agent")), "{live}");

            let reply = json!({ "callId": id, "turnId": turn["turnId"], "text": "Yes, a dozen.", "waitMs": 9_000 });
            let (replied, ()) = tokio::join!(agent.call("comms_call_reply", reply), async {
                hears(&call, "a dozen.").await;
                says(&call, "How much?").await;
            });
            let turn = next(replied);
            assert_eq!(turn["text"], "How much?", "{turn}");

            // Pieces are heard as they come, not once the last one is there.
            let piece = |text: &str, last| json!({ "callId": id, "turnId": turn["turnId"], "text": text, "last": last });
            agent.call("comms_say", piece("Let me count. ", false)).await.unwrap();
            hears(&call, "Let me count.").await;
            agent.call("comms_say", piece("Twelve dollars.", true)).await.unwrap();
            hears(&call, "Twelve dollars.").await;

            let ended = agent.call("comms_end_call", json!({ "callId": id, "text": "Goodbye, Ann." })).await.unwrap();
            assert_eq!(ended["status"], "ending");
            assert!(call.wait_for_end(PATIENCE).await, "{:#?}", call.transcript());
            expect_once(&call, &["AI assistant", FLOWERS, "Yes, a dozen.", "Let me count. Twelve dollars.", "Goodbye, Ann."]);

            let seen = agent.ended_call(id).await;
            assert_eq!((&seen["status"], &seen["direction"]), (&json!("completed"), &json!("outbound")), "{seen}");
            assert_eq!((&seen["from"], &seen["to"]), (&json!(world.account.phone), &json!(person)));
            assert_eq!((&seen["turns"], &seen["handledBy"]), (&json!(2), &json!("agent")), "{seen}");
            assert_eq!(seen["latency"]["turnsMs"].as_array().map(Vec::len), Some(2), "{seen}");
            assert_eq!((&seen["callSid"], &seen["cost"]), (&json!(call.id()), &made["cost"]), "a begun minute: {seen}");
            assert!(seen["cost"].as_f64().unwrap() > 0.0 && seen["durationSeconds"].as_i64().unwrap() > 5, "{seen}");
            assert!(at(&seen, "startedAt") <= at(&seen, "answeredAt"), "{seen}");
            assert!(at(&seen, "answeredAt") <= at(&seen, "endedAt"), "{seen}");
            let transcript = seen["transcript"].as_str().unwrap();
            expect_in_order(transcript, &[
                "Agent: Hello, this is an AI assistant", FLOWERS, "Caller: Do you have roses?", "Agent: Yes, a dozen.",
                "Caller: How much?", "Agent: Let me count. Twelve dollars.", "Goodbye, Ann.",
            ]);
            assert!(seen.get("live").is_none(), "{seen}");
            let over = agent.call("comms_say", json!({ "callId": id, "text": "Hello?" })).await.unwrap_err();
            assert_eq!(over["code"], "CALL_OVER", "{over}");
        }
    }
}

profiles! {
    async fn a_call_to_the_agent_is_known_from_its_first_word_to_its_last(world: &World) {
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.set_pace(0.1);
        for person_hangs_up in [false, true] {
            let (turn, (call, greeted)) = tokio::join!(agent.anybody(), async {
                world.somebody_waits().await;
                let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
                hears(&call, "I'm an AI assistant.").await;
                let greeted = Clock::System.now();
                says(&call, "Are you open?").await;
                (call, greeted)
            });
            let id = turn["callId"].as_str().unwrap();
            assert_eq!((&turn["from"], &turn["direction"]), (&json!(ANN), &json!("inbound")));
            let live = eventually("it is written down that the call is answered", async || {
                let live = agent.call_of(id).await;
                (live["status"] == "in-progress").then_some(live)
            })
            .await;
            assert!(at(&live, "answeredAt") <= greeted, "{greeted}: {live}");
            let answer = json!({
                "callId": id, "turnId": turn["turnId"], "text": "Until eight.", "end": !person_hangs_up, "waitMs": 0,
            });
            let replied = agent.call("comms_call_reply", answer).await.unwrap();
            hears(&call, "Until eight.").await;
            if person_hangs_up {
                call.hang_up().await;
            } else {
                assert_eq!(replied["status"], "ending");
            }
            assert!(call.wait_for_end(PATIENCE).await);
            let seen = agent.ended_call(id).await;
            assert_eq!((&seen["status"], &seen["turns"]), (&json!("completed"), &json!(1)), "{seen}");
            assert_eq!(seen["answeredAt"], live["answeredAt"], "{seen}");
            assert!(at(&seen, "startedAt") <= at(&seen, "answeredAt"), "{seen}");
            assert!(at(&seen, "endedAt") > greeted, "{seen}");
            assert!(seen["durationSeconds"].is_i64() && seen.get("cost").is_none(), "{seen}");
        }
    }
}

profiles! {
    async fn who_can_not_be_reached_is_told_as_such(world: &World) {
        use butt_dial_providers::simulator::calls::Behaviour;
        let agent = world.agent(Transport::StreamableHttp).await;
        world.carriers.set_pace(0.1);
        for (n, (behaviour, status)) in [
            (Behaviour::Busy, "busy"),
            (Behaviour::NoAnswer, "no-answer"),
            (Behaviour::Fails, "failed"),
        ].into_iter().enumerate() {
            let person = format!("+1415555014{n}");
            world.carriers.set_number(&person, behaviour);
            let id = agent.calls(&person, json!({ "ringSeconds": 5 })).await;
            let attended = agent.call("comms_attend_call", json!({ "callId": id, "waitMs": 9_000 })).await;
            // Whoever attends a call that is over by then is told so too.
            match attended {
                Ok(attended) => assert_eq!((&attended["status"], &attended["next"]["reason"]), (&json!("ended"), &json!(status))),
                Err(over) => assert_eq!(over["code"], "CALL_OVER", "{over}"),
            }
            let seen = agent.ended_call(&id).await;
            assert_eq!((&seen["status"], &seen["turns"]), (&json!(status), &json!(0)), "{seen}");
            assert!(seen.get("answeredAt").is_none(), "{seen}");
            eventually("the minute that was booked for it is free again", async || {
                (agent.call_of(&id).await["cost"] == json!(0.0)).then_some(())
            })
            .await;
        }
    }
}
