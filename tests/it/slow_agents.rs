//! Slow agents: fillers, voicemail after the reply timeout, and turns that replace each other.

use std::time::{Duration, Instant};

use butt_dial_calls::phrases;
use serde_json::json;

use crate::support::{Transport, WAIT_TIMEOUT, error_code, hears, says};

const ANN: &str = "+14155550123";
const GREETING: &str = "I have a question.";

/// Returns the fillers in the speech, in order.
fn fillers(heard: &str) -> Vec<String> {
    let known = phrases::PromptCatalog::default().get("en-US").fillers.clone();
    let mut found: Vec<(usize, String)> = known
        .iter()
        .flat_map(|filler| heard.match_indices(filler).map(|(at, _)| (at, filler.clone())))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, filler)| filler).collect()
}

profiles! {
    async fn plays_varied_fillers_only_for_slow_agent(cluster: &Cluster) {
        const SLOW_TURNS: usize = 4;
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let id = agent.make_call(ANN, json!({ "greeting": GREETING })).await;
        let call = cluster.expect_greeted_call(ANN, GREETING).await;
        for n in 0..2 {
            let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Quick?"));
            agent.reply_to_turn(&turn, &format!("Fast answer {n}.")).await.unwrap();
            hears(&call, &format!("Fast answer {n}.")).await;
        }
        assert!(fillers(&call.heard_text()).is_empty(), "{}", call.heard_text());
        for n in 0..SLOW_TURNS {
            let (turn, started) = tokio::join!(agent.attend(&id), async {
                says(&call, "And now?").await;
                Instant::now()
            });
            let filled = call.wait_for_speech(|heard| fillers(heard).len() > n, WAIT_TIMEOUT).await;
            assert!(filled.is_some(), "{:#?}", call.transcript());
            let silent = started.elapsed();
            assert!((Duration::from_millis(1_100)..Duration::from_secs(3)).contains(&silent), "{silent:?}");
            agent.reply_to_turn(&turn, &format!("Slow answer {n}.")).await.unwrap();
            hears(&call, &format!("Slow answer {n}.")).await;
        }
        let heard = call.heard_text();
        let heard = fillers(&heard);
        assert_eq!(heard.len(), SLOW_TURNS, "{heard:?}");
        assert!(heard.windows(2).all(|pair| pair[0] != pair[1]), "{heard:?}");
        call.hang_up().await;
    }
}

profiles! {
    with [("CALL_REPLY_WITHIN_SECONDS", "2")];
    async fn silent_agent_is_replaced_by_voicemail(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let (turn, call) = tokio::join!(agent.attend_any(), async {
            cluster.wait_until_agent_attends().await;
            let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
            hears(&call, "I'm an AI assistant.").await;
            says(&call, "Can you help me?").await;
            call
        });
        hears(&call, "I'm sorry, I can't answer that right now. May I take a message?").await;
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;
        // The turn has been superseded by the voicemail conversation.
        let late = agent.reply_to_turn(&turn, "Yes, I can.").await.unwrap_err();
        assert_eq!(error_code(&late), "TURN_SUPERSEDED", "{late}");
        assert!(!call.heard_text().contains("Yes, I can."));
        call.hang_up().await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        let voicemails = cluster.voicemails(1).await;
        assert_eq!(voicemails.len(), 1, "{voicemails:?}");
        let transcript = voicemails[0]["voiceTranscription"].as_str().unwrap();
        assert!(transcript.contains("Can you help me?") && transcript.contains("My name is Ann."), "{transcript}");
    }
}

profiles! {
    async fn merges_turns_and_rejects_late_reply(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        for (n, transport) in Transport::ALL.into_iter().enumerate() {
            let (agent, person) = (cluster.agent(transport).await, format!("+1415555015{n}"));
            let id = agent.make_call(&person, json!({ "greeting": GREETING })).await;
            let call = cluster.expect_greeted_call(&person, GREETING).await;
            let (first, ()) = tokio::join!(agent.attend(&id), says(&call, "I'd like a table."));
            assert!(call.say("For two.").await);
            let late = agent.reply_to_turn(&first, "A table of wood?").await.unwrap_err();
            let second = &late["next"];
            assert_eq!((error_code(&late), &second["text"]), ("TURN_SUPERSEDED", &json!("I'd like a table. For two.")), "{late}");
            agent.reply_to_turn(second, "A table for two, then.").await.unwrap();
            hears(&call, "A table for two, then.").await;
            let again = agent.reply_to_turn(second, "A table for two, then.").await.unwrap_err();
            assert_eq!(error_code(&again), "TURN_SUPERSEDED", "{again}");
            let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Thank you."));
            assert_eq!(turn["text"], "Thank you.");
            assert_eq!(call.heard_text().matches("A table").count(), 1, "{}", call.heard_text());
            call.hang_up().await;
        }
    }
}
