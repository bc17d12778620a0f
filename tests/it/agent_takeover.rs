//! Agent takeover: voicemail handles the call, and the agent returns.

use std::time::Instant;

use butt_dial_providers::simulator::{InjectedFault, RequestEnd};
use serde_json::json;

use crate::support::{Transport, WAIT_TIMEOUT, hears, says};

const ANN: &str = "+14155550123";

profiles! {
    async fn returning_agent_takes_over_from_voicemail(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        says(&call, "My name is Ann.").await;
        hears(&call, "called back on?").await;

        let agent = cluster.agent(Transport::StreamableHttp).await;
        let page = agent.call("comms_wait_events", json!({ "timeoutMs": 9_000 })).await.unwrap();
        let event = &page["events"][0];
        assert_eq!((&event["event"], &event["handledBy"]), (&json!("call.incoming"), &json!("machine")), "{page}");
        assert!(event["history"].to_string().contains("My name is Ann."), "{event}");
        let id = event["callId"].as_str().unwrap();
        let arguments = json!({ "callId": id, "text": "Hello Ann, it is me after all." });
        agent.call("comms_say", arguments).await.unwrap();
        hears(&call, "after all.").await;

        let requests_before = cluster.carriers.model_requests().len();
        for n in 1..=2 {
            let (turn, ()) = tokio::join!(agent.attend(id), says(&call, "There you are!"));
            assert_eq!((&turn["text"], &turn["handledBy"]), (&json!("There you are!"), &json!("agent")));
            agent.reply_to_turn(&turn, &format!("Here I am, {n}.")).await.unwrap();
            hears(&call, &format!("I am, {n}.")).await;
        }
        assert_eq!(cluster.carriers.model_requests().len(), requests_before, "the voicemail model got a request");
        assert!(!call.heard_text().contains("reason"), "{}", call.heard_text());
        agent.call("comms_end_call", json!({ "callId": id })).await.unwrap();
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert_eq!(agent.wait_for_call_end(id).await["handledBy"], "agent");
    }
}

profiles! {
    async fn attending_agent_cancels_voicemail_reply(cluster: &Cluster) {
        const PIECE_MS: u64 = 1_000;
        cluster.carriers.set_pace(0.1);
        let agent = cluster.rest().await;
        let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        let id = agent.find_call_with(ANN).await;
        cluster.carriers.inject_fault("anthropic", InjectedFault::Trickle { delay_ms: PIECE_MS }, 1);
        says(&call, "My name is Ann.").await;
        let started = cluster.carriers.wait_for_model_request(|request| request.first_piece_at.is_some(), WAIT_TIMEOUT).await;
        assert!(started.is_some(), "the voicemail model starts its reply");
        // An interrupted reply leaves the turn open.
        let turn = agent.attend(&id).await;
        assert_eq!(turn["text"], "My name is Ann.");
        let is_cancelled = |ended: &Option<RequestEnd>| matches!(ended, Some(RequestEnd::Cancelled(_)));
        let cancelled = cluster.carriers.wait_for_model_request(|request| is_cancelled(&request.ended), WAIT_TIMEOUT).await;
        assert!(cancelled.is_some(), "the model request is cancelled");
        agent.reply_to_turn(&turn, "Ann, I am here myself.").await.unwrap();
        hears(&call, "Ann, I am here myself.").await;
        assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
        assert!(!call.heard_text().contains("called back"), "{}", call.heard_text());
        let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Good."));
        assert_eq!(turn["text"], "Good.");
        let history = turn["history"].as_array().unwrap();
        let texts = |by: &str| history.iter().filter(|line| line["by"] == by).map(|line| line["text"].to_string()).collect::<String>();
        assert!(texts("agent").contains("I am here myself.") && !texts("agent").contains("Thank you"), "{history:?}");
        call.hang_up().await;
    }
}

profiles! {
    with [("CALL_REPLY_WITHIN_SECONDS", "2")];
    async fn silent_agent_after_takeover_is_replaced_again(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.rest().await;
        let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
        hears(&call, "your name.").await;
        let id = agent.find_call_with(ANN).await;
        cluster.carriers.inject_fault("anthropic", InjectedFault::StallMidStream, 1);
        says(&call, "My name is Ann.").await;
        hears(&call, "Thank you.").await;
        let started = Instant::now();
        assert_eq!(agent.attend(&id).await["text"], "My name is Ann.");
        hears(&call, "I can't answer that right now.").await;
        assert!(started.elapsed().as_secs() >= 1, "{:?}", started.elapsed());
        call.hang_up().await;
    }
}
