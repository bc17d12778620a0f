//! The answering machine has the call, and the agent comes back.

use std::time::Instant;

use butt_dial_providers::simulator::{Misbehaviour, models::Ended};
use serde_json::json;

use crate::support::{PATIENCE, Transport, hears, says};

const ANN: &str = "+14155550123";

profiles! {
    async fn an_agent_that_comes_back_takes_the_call_over_and_the_machine_is_silent(world: &World) {
        world.carriers.set_pace(0.1);
        let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;

        let agent = world.agent(Transport::StreamableHttp).await;
        let page = agent.call("comms_wait_events", json!({ "timeoutMs": 9_000 })).await.unwrap();
        let told = &page["events"][0];
        assert_eq!((&told["event"], &told["handledBy"]), (&json!("call.incoming"), &json!("machine")), "{page}");
        assert!(told["history"].to_string().contains("My name is Ann."), "{told}");
        let id = told["callId"].as_str().unwrap();
        let words = json!({ "callId": id, "text": "Hello Ann, it is me after all." });
        agent.call("comms_say", words).await.unwrap();
        hears(&call, "after all.").await;

        let asked = world.carriers.model_requests().len();
        for n in 1..=2 {
            let (turn, ()) = tokio::join!(agent.turn(id), says(&call, "There you are!"));
            assert_eq!((&turn["text"], &turn["handledBy"]), (&json!("There you are!"), &json!("agent")));
            agent.answers(&turn, &format!("Here I am, {n}.")).await.unwrap();
            hears(&call, &format!("I am, {n}.")).await;
        }
        assert_eq!(world.carriers.model_requests().len(), asked, "the machine was asked again");
        assert!(!call.heard_text().contains("reason"), "{}", call.heard_text());
        agent.call("comms_end_call", json!({ "callId": id })).await.unwrap();
        assert!(call.wait_for_end(PATIENCE).await);
        assert_eq!(agent.ended_call(id).await["handledBy"], "agent");
    }
}

profiles! {
    async fn a_machine_that_is_speaking_breaks_off_when_the_agent_attends(world: &World) {
        const PIECE_MS: u64 = 1_000;
        world.carriers.set_pace(0.1);
        let agent = world.rest().await;
        let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        let id = agent.call_with(ANN).await;
        world.carriers.misbehave("anthropic", Misbehaviour::Trickle { delay_ms: PIECE_MS }, 1);
        says(&call, "My name is Ann.").await;
        let begun = world.carriers.wait_for_model_request(|asked| asked.first_piece_at.is_some(), PATIENCE).await;
        assert!(begun.is_some(), "the machine begins to answer");
        // The turn has half an answer, which is none.
        let turn = agent.turn(&id).await;
        assert_eq!(turn["text"], "My name is Ann.");
        let is_cancelled = |ended: &Option<Ended>| matches!(ended, Some(Ended::Cancelled(_)));
        let cancelled = world.carriers.wait_for_model_request(|asked| is_cancelled(&asked.ended), PATIENCE).await;
        assert!(cancelled.is_some(), "the model is told that nobody listens");
        agent.answers(&turn, "Ann, I am here myself.").await.unwrap();
        hears(&call, "Ann, I am here myself.").await;
        assert!(call.wait_for_quiet(PATIENCE).await);
        assert!(!call.heard_text().contains("called back"), "{}", call.heard_text());
        let (turn, ()) = tokio::join!(agent.turn(&id), says(&call, "Good."));
        assert_eq!(turn["text"], "Good.");
        let said = turn["history"].as_array().unwrap();
        let words = |by: &str| said.iter().filter(|line| line["by"] == by).map(|line| line["text"].to_string()).collect::<String>();
        assert!(words("agent").contains("I am here myself.") && !words("agent").contains("Thank you"), "{said:?}");
        call.hang_up().await;
    }
}

profiles! {
    with [("CALL_REPLY_WITHIN_SECONDS", "2")];
    async fn an_agent_that_takes_over_and_says_nothing_is_replaced_again(world: &World) {
        world.carriers.set_pace(0.1);
        let agent = world.rest().await;
        let call = world.carriers.dial(ANN, &world.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        let id = agent.call_with(ANN).await;
        world.carriers.misbehave("anthropic", Misbehaviour::StallMidStream, 1);
        says(&call, "My name is Ann.").await;
        hears(&call, "Thank you.").await;
        let begun = Instant::now();
        assert_eq!(agent.turn(&id).await["text"], "My name is Ann.");
        hears(&call, "I can't answer that right now.").await;
        assert!(begun.elapsed().as_secs() >= 1, "{:?}", begun.elapsed());
        call.hang_up().await;
    }
}
