//! Agents who think, and callers who do not wait for them.

use std::time::{Duration, Instant};

use butt_dial_comms::calls::phrases;
use serde_json::json;

use crate::support::{PATIENCE, Transport, code, hears, says};

const ANN: &str = "+14155550123";
const GREETING: &str = "I have a question.";

/// The fillers in what was heard, in their order.
fn fillers(heard: &str) -> Vec<String> {
    let known = phrases::Book::default().of("en-US").fillers.clone();
    let mut found: Vec<(usize, String)> = known
        .iter()
        .flat_map(|filler| heard.match_indices(filler).map(|(at, _)| (at, filler.clone())))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, filler)| filler).collect()
}

profiles! {
    async fn a_slow_agent_is_covered_by_fillers_that_differ_and_a_fast_one_by_none(world: &World) {
        const SLOW_TURNS: usize = 4;
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        let id = agent.calls(ANN, json!({ "greeting": GREETING })).await;
        let call = world.takes(ANN, GREETING).await;
        for n in 0..2 {
            let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Quick?"));
            agent.answers(&turn, &format!("Fast answer {n}.")).await.unwrap();
            hears(&call, &format!("Fast answer {n}.")).await;
        }
        assert!(fillers(&call.heard_text()).is_empty(), "{}", call.heard_text());
        for n in 0..SLOW_TURNS {
            let (turn, asked) = tokio::join!(agent.turn(&id), async {
                says(&call, "And now?").await;
                Instant::now()
            });
            let filled = call.wait_for_speech(|heard| fillers(heard).len() > n, PATIENCE).await;
            assert!(filled.is_some(), "{:#?}", call.transcript());
            let silent = asked.elapsed();
            assert!((Duration::from_millis(1_100)..Duration::from_secs(3)).contains(&silent), "{silent:?}");
            agent.answers(&turn, &format!("Slow answer {n}.")).await.unwrap();
            hears(&call, &format!("Slow answer {n}.")).await;
        }
        let said = call.heard_text();
        let said = fillers(&said);
        assert_eq!(said.len(), SLOW_TURNS, "{said:?}");
        assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "{said:?}");
        call.hang_up().await;
    }
}

profiles! {
    with [("CALL_REPLY_WITHIN_SECONDS", "2")];
    async fn an_agent_that_never_answers_is_replaced_by_the_machine(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.agent(Transport::StreamableHttp).await;
        let (turn, call) = tokio::join!(agent.anybody(), async {
            world.somebody_waits().await;
            let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
            hears(&call, "I'm an AI assistant.").await;
            says(&call, "Can you help me?").await;
            call
        });
        hears(&call, "I'm sorry, I can't answer that right now. May I take a message?").await;
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;
        // What the agent says now answers a question that nobody waits to have answered.
        let late = agent.answers(&turn, "Yes, I can.").await.unwrap_err();
        assert_eq!(code(&late), "TURN_SUPERSEDED", "{late}");
        assert!(!call.heard_text().contains("Yes, I can."));
        call.hang_up().await;
        assert!(call.wait_for_end(PATIENCE).await);
        let letters = world.letters(1).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let transcript = letters[0]["voiceTranscription"].as_str().unwrap();
        assert!(transcript.contains("Can you help me?") && transcript.contains("My name is Ann."), "{transcript}");
    }
}

profiles! {
    async fn of_two_questions_at_once_the_last_is_answered(world: &World) {
        world.carriers.set_pace(0.1);
        for (n, transport) in Transport::ALL.into_iter().enumerate() {
            let (agent, person) = (world.agent(transport).await, format!("+1415555015{n}"));
            let id = agent.calls(&person, json!({ "greeting": GREETING })).await;
            let call = world.takes(&person, GREETING).await;
            let (first, ()) = tokio::join!(agent.turn(&id), says(&call, "I'd like a table."));
            assert!(call.say("For two.").await);
            let late = agent.answers(&first, "A table of wood?").await.unwrap_err();
            let second = &late["next"];
            assert_eq!((code(&late), &second["text"]), ("TURN_SUPERSEDED", &json!("I'd like a table. For two.")), "{late}");
            agent.answers(second, "A table for two, then.").await.unwrap();
            hears(&call, "A table for two, then.").await;
            let again = agent.answers(second, "A table for two, then.").await.unwrap_err();
            assert_eq!(code(&again), "TURN_SUPERSEDED", "{again}");
            let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Thank you."));
            assert_eq!(turn["text"], "Thank you.");
            assert_eq!(call.heard_text().matches("A table").count(), 1, "{}", call.heard_text());
            call.hang_up().await;
        }
    }
}
