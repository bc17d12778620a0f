//! Call flows as agents see them: each tool over each transport, through a real relay, to a simulated person.

use butt_dial_domain::Clock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{Transport, WAIT_TIMEOUT, eventually, expect_heard_once, hears, next_turn, says};

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
        from += found.unwrap_or_else(|| panic!("{part:?} is missing or out of order in {text}")) + part.len();
    }
}

profiles! {
    async fn outbound_call_converses_over_every_transport(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        for (n, transport) in Transport::ALL.into_iter().enumerate() {
            let (agent, person) = (cluster.agent(transport).await, format!("+1415555013{n}"));
            let arguments = json!({ "to": person, "greeting": FLOWERS, "systemPrompt": "Sell flowers." });
            let created = agent.call("comms_make_call", arguments).await.unwrap();
            let id = created["callId"].as_str().unwrap();
            // The agent attends while the phone rings.
            let (turn, call) = tokio::join!(agent.attend(id), async {
                let call = cluster.expect_greeted_call(&person, FLOWERS).await;
                says(&call, "Do you have roses?").await;
                call
            });
            assert_eq!((&turn["text"], &turn["systemPrompt"]), (&json!("Do you have roses?"), &json!("Sell flowers.")));
            let live = agent.get_call(id).await;
            assert_eq!((&live["live"]["isPending"], &live["live"]["handledBy"]), (&json!(true), &json!("agent")), "{live}");

            let reply = json!({ "callId": id, "turnId": turn["turnId"], "text": "Yes, a dozen.", "waitMs": 9_000 });
            let (replied, ()) = tokio::join!(agent.call("comms_call_reply", reply), async {
                hears(&call, "a dozen.").await;
                says(&call, "How much?").await;
            });
            let turn = next_turn(replied);
            assert_eq!(turn["text"], "How much?", "{turn}");

            // Streamed pieces are spoken at once, before the last one arrives.
            let piece = |text: &str, last| json!({ "callId": id, "turnId": turn["turnId"], "text": text, "last": last });
            agent.call("comms_say", piece("Let me count. ", false)).await.unwrap();
            hears(&call, "Let me count.").await;
            agent.call("comms_say", piece("Twelve dollars.", true)).await.unwrap();
            hears(&call, "Twelve dollars.").await;

            let ended = agent.call("comms_end_call", json!({ "callId": id, "text": "Goodbye, Ann." })).await.unwrap();
            assert_eq!(ended["status"], "ending");
            assert!(call.wait_for_end(WAIT_TIMEOUT).await, "{:#?}", call.transcript());
            expect_heard_once(&call, &["AI assistant", FLOWERS, "Yes, a dozen.", "Let me count. Twelve dollars.", "Goodbye, Ann."]);

            let record = agent.wait_for_call_end(id).await;
            assert_eq!((&record["status"], &record["direction"]), (&json!("completed"), &json!("outbound")), "{record}");
            assert_eq!((&record["from"], &record["to"]), (&json!(cluster.account.phone), &json!(person)));
            assert_eq!((&record["turns"], &record["handledBy"]), (&json!(2), &json!("agent")), "{record}");
            assert_eq!(record["latency"]["turnsMs"].as_array().map(Vec::len), Some(2), "{record}");
            assert_eq!((&record["callSid"], &record["cost"]), (&json!(call.id()), &created["cost"]), "a started minute: {record}");
            assert!(record["cost"].as_f64().unwrap() > 0.0 && record["durationSeconds"].as_i64().unwrap() > 5, "{record}");
            assert!(at(&record, "startedAt") <= at(&record, "answeredAt"), "{record}");
            assert!(at(&record, "answeredAt") <= at(&record, "endedAt"), "{record}");
            let transcript = record["transcript"].as_str().unwrap();
            expect_in_order(transcript, &[
                "Agent: Hello, this is an AI assistant", FLOWERS, "Caller: Do you have roses?", "Agent: Yes, a dozen.",
                "Caller: How much?", "Agent: Let me count. Twelve dollars.", "Goodbye, Ann.",
            ]);
            assert!(record.get("live").is_none(), "{record}");
            let over = agent.call("comms_say", json!({ "callId": id, "text": "Hello?" })).await.unwrap_err();
            assert_eq!(over["code"], "CALL_OVER", "{over}");
        }
    }
}

profiles! {
    async fn inbound_call_record_covers_whole_call(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.set_pace(0.1);
        for person_hangs_up in [false, true] {
            let (turn, (call, greeted)) = tokio::join!(agent.attend_any(), async {
                cluster.wait_until_agent_attends().await;
                let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
                hears(&call, "I'm an AI assistant.").await;
                let greeted = Clock::System.now();
                says(&call, "Are you open?").await;
                (call, greeted)
            });
            let id = turn["callId"].as_str().unwrap();
            assert_eq!((&turn["from"], &turn["direction"]), (&json!(ANN), &json!("inbound")));
            let live = eventually("the answer is recorded", async || {
                let live = agent.get_call(id).await;
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
            assert!(call.wait_for_end(WAIT_TIMEOUT).await);
            let record = agent.wait_for_call_end(id).await;
            assert_eq!((&record["status"], &record["turns"]), (&json!("completed"), &json!(1)), "{record}");
            assert_eq!(record["answeredAt"], live["answeredAt"], "{record}");
            assert!(at(&record, "startedAt") <= at(&record, "answeredAt"), "{record}");
            assert!(at(&record, "endedAt") > greeted, "{record}");
            assert!(record["durationSeconds"].is_i64() && record.get("cost").is_none(), "{record}");
        }
    }
}

profiles! {
    async fn reports_unreachable_callee(cluster: &Cluster) {
        use butt_dial_providers::simulator::calls::CalleeBehavior;
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.carriers.set_pace(0.1);
        for (n, (behaviour, status)) in [
            (CalleeBehavior::Busy, "busy"),
            (CalleeBehavior::NoAnswer, "no-answer"),
            (CalleeBehavior::Fails, "failed"),
        ].into_iter().enumerate() {
            let person = format!("+1415555014{n}");
            cluster.carriers.set_callee_behavior(&person, behaviour);
            let id = agent.make_call(&person, json!({ "ringSeconds": 5 })).await;
            let attended = agent.call("comms_attend_call", json!({ "callId": id, "waitMs": 9_000 })).await;
            // A call that has ended already is reported as an error.
            match attended {
                Ok(attended) => assert_eq!((&attended["status"], &attended["next"]["reason"]), (&json!("ended"), &json!(status))),
                Err(over) => assert_eq!(over["code"], "CALL_OVER", "{over}"),
            }
            let record = agent.wait_for_call_end(&id).await;
            assert_eq!((&record["status"], &record["turns"]), (&json!(status), &json!(0)), "{record}");
            assert!(record.get("answeredAt").is_none(), "{record}");
            eventually("the reserved minute is released", async || {
                (agent.get_call(&id).await["cost"] == json!(0.0)).then_some(())
            })
            .await;
        }
    }
}
