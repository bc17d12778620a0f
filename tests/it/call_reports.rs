//! What carriers report of calls, in whatever order and however often: the record is the same, and the agent is told once.

use butt_dial_comms::calls::unheard;
use butt_dial_domain::Clock;
use butt_dial_providers::simulator::{Manner, calls::Behaviour};
use serde_json::{Value, json};

use crate::support::{Agent, PATIENCE, World, eventually, hears, says};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const GREETING: &str = "It is about the flowers.";

/// One call from its first ring to its last report.
async fn talk(world: &World, agent: &Agent, person: &str) -> String {
    let id = agent.calls(person, json!({ "greeting": GREETING })).await;
    let call = world.takes(person, GREETING).await;
    let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Do you have roses?"));
    agent.answers(&turn, "Yes, a dozen.").await.unwrap();
    hears(&call, "Yes, a dozen.").await;
    call.hang_up().await;
    assert!(call.wait_for_end(PATIENCE).await);
    id
}

profiles! {
    async fn reports_that_come_twice_late_and_backwards_make_the_same_record(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.rest().await;
        let manners = [
            Manner { copies: 1, reversed: false },
            Manner { copies: 3, reversed: false },
            Manner { copies: 2, reversed: true },
        ];
        let mut calls = Vec::new();
        for (n, manner) in manners.into_iter().enumerate() {
            world.carriers.set_manner("twilio", manner);
            calls.push(talk(world, &agent, &format!("+1415555017{n}")).await);
        }
        world.carriers.set_manner("twilio", Manner { copies: 1, reversed: false });
        world.texts(BOB, "Last").await;
        // Everything that was reported before has been read by then.
        let told = agent.take_until("Last").await;
        let mut records = Vec::new();
        for id in &calls {
            records.push(agent.call_of(id).await);
        }
        for record in &records {
            for field in ["status", "direction", "from", "handledBy", "turns", "endReason", "transcript", "cost"] {
                assert_eq!(record[field], records[0][field], "{field}: {record}");
            }
            // The socket's end, which does not tell how long the call was, is not what it is paid by.
            assert!(record["cost"].as_f64().unwrap() > 0.0, "a begun minute: {record}");
            let [started, answered, ended] = ["startedAt", "answeredAt", "endedAt"].map(|name| record[name].as_str().unwrap());
            assert!(started <= answered && answered <= ended, "{record}");
            assert!(record["durationSeconds"].as_i64().unwrap() > 0, "{record}");
            let events = told.iter().filter(|event| event["callId"] == record["callId"]);
            let events: Vec<&Value> = events.filter(|event| event["type"] == "call.ended").collect();
            assert_eq!(events.len(), 1, "{told:#?}");
            assert_eq!(events[0]["callStatus"], "completed");
        }
    }
}

profiles! {
    async fn the_carrier_is_asked_about_calls_that_nothing_is_heard_of(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.rest().await;
        world.carriers.delay_call_reports(86_400_000);
        world.carriers.set_number(BOB, Behaviour::Busy);
        let id = agent.calls(BOB, json!({})).await;
        let call = world.carriers.wait_for_call(BOB, PATIENCE).await.unwrap();
        assert!(call.wait_for_end(PATIENCE).await);
        assert_eq!(agent.call_of(&id).await["status"], "queued", "nothing was told");
        for _ in 0..2 {
            unheard::ask_about(world.comms(), Clock::System.now(), None).await.unwrap();
        }
        let seen = agent.ended_call(&id).await;
        assert_eq!(seen["status"], "busy", "{seen}");
        eventually("nothing is paid for it", async || (agent.call_of(&id).await["cost"] == json!(0.0)).then_some(())).await;
        world.texts(ANN, "Last").await;
        let told = agent.take_until("Last").await;
        let ends: Vec<&Value> = told.iter().filter(|event| event["type"] == "call.ended").collect();
        assert_eq!(ends.len(), 1, "{told:#?}");
        assert_eq!((&ends[0]["callId"], &ends[0]["callStatus"]), (&json!(id), &json!("busy")));
    }
}
