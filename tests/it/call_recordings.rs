//! Recordings of conversations: announced, stored here only, paused for card data, and deleted when the caller objects.

use butt_dial_calls::phrases::PromptCatalog;
use butt_dial_providers::simulator::calls::{Call, SimulatedRecording};
use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{Agent, Cluster, Transport, WAIT_TIMEOUT, eventually, expect_carrier_action, hears, says};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";

fn announcement() -> String {
    PromptCatalog::default().get("en-US").recorded.clone()
}

async fn record_calls(cluster: &Cluster, agent: &Agent, yes: bool) {
    let set = agent
        .call("comms_set_voice_settings", json!({ "recordCalls": yes }))
        .await
        .unwrap();
    assert_eq!(set["recordCalls"], yes);
    // Routes have the settings, and every replica gets them over the bus.
    let number = &cluster.account.phone;
    eventually("the setting holds on every replica", async || {
        let call = cluster.carriers.dial("+14155550190", number).await.unwrap();
        hears(&call, "AI").await;
        let is_recorded = call.heard_text().contains(&announcement());
        call.hang_up().await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        (is_recorded == yes).then_some(())
    })
    .await;
}

/// Waits until the carrier has a recording of the call, and returns it.
async fn recording_of(call: &Call) -> SimulatedRecording {
    assert!(
        call.wait_until(|state| !state.recordings.is_empty(), WAIT_TIMEOUT)
            .await
    );
    call.state().recordings[0].clone()
}

/// Returns the event about the recording of a call.
async fn recorded_event(agent: &Agent, call: &str) -> Value {
    let mut found = None;
    eventually("the agent gets the recording", async || {
        let events = agent.poll_messages().await;
        found = events
            .into_iter()
            .find(|event| event["event"] == "call.recorded" && event["callId"] == call);
        found.clone()
    })
    .await
}

profiles! {
    async fn announced_recording_is_stored_here_only(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let agent = cluster.rest().await;
        let id = agent.make_call(ANN, json!({ "greeting": "It is about the flowers.", "record": true })).await;
        let call = cluster.expect_greeted_call(ANN, "It is about the flowers.").await;
        assert!(call.heard_text().starts_with(&announcement()), "{}", call.heard_text());
        let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Do you have roses?"));
        agent.reply_to_turn(&turn, "Yes, a dozen.").await.unwrap();
        hears(&call, "Yes, a dozen.").await;
        call.hang_up().await;
        let recording = recording_of(&call).await;
        assert!(recording.text.contains("Do you have roses?") && recording.text.contains("Yes, a dozen."), "{}", recording.text);
        assert!(!recording.text.contains(&announcement()), "it begins after the announcement");

        let event = recorded_event(&agent, &id).await;
        assert_eq!((&event["direction"], &event["to"]), (&json!("outbound"), &json!(cluster.account.phone)));
        assert!(event.get("body").is_none() && event.get("voiceTranscription").is_none(), "it is no message: {event}");
        let file = &event["attachments"][0];
        assert_eq!(file["contentType"], "audio/x-wav", "{event}");
        let link = Url::parse(file["url"].as_str().unwrap()).unwrap();
        let sound = cluster.gateways.get(link.path()).send().await.unwrap();
        assert_eq!(sound.status(), 200);
        assert!(sound.bytes().await.unwrap().starts_with(b"RIFF"));
        assert!(cluster.carriers.is_deleted(&recording.id), "the carrier has no copy");
        assert!(event["durationSeconds"].is_number(), "{event}");
        agent.wait_for_call_end(&id).await;

        let silent = agent.make_call(BOB, json!({ "greeting": "Hello again." })).await;
        let call = cluster.expect_greeted_call(BOB, "Hello again.").await;
        call.hang_up().await;
        agent.wait_for_call_end(&silent).await;
        assert!(call.state().recordings.is_empty() && !call.heard_text().contains(&announcement()));
    }
}

profiles! {
    async fn recording_has_no_card_data_and_ends_before_a_transfer(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let agent = cluster.agent(Transport::StreamableHttp).await;
        record_calls(cluster, &agent, true).await;
        let (turn, call) = tokio::join!(agent.attend_any(), async {
            cluster.wait_until_agent_attends().await;
            let call = cluster.carriers.dial(ANN, &cluster.account.phone).await.unwrap();
            hears(&call, "I'm an AI assistant.").await;
            says(&call, "I want to pay.").await;
            call
        });
        let id = turn["callId"].as_str().unwrap().to_owned();
        for (reply, words) in [
            ("What is your card number?", "4111 1111 1111 1111"),
            ("And the security code?", "nine nine nine"),
            ("Thank you, it is paid. Anything else?", "Bob, please."),
        ] {
            let turn = agent.attend(&id).await;
            agent.reply_to_turn(&turn, reply).await.unwrap();
            hears(&call, reply).await;
            says(&call, words).await;
        }
        agent.attend(&id).await;
        agent.call("comms_transfer_call", json!({ "callId": id, "to": BOB })).await.unwrap();
        expect_carrier_action(&call, &format!("connected to {BOB}")).await;
        let recording = recording_of(&call).await;
        for (text, is_recorded) in [("I want to pay.", true), ("4111", false), ("nine nine", false), ("Bob, please.", true), ("connected", false)] {
            assert_eq!(recording.text.contains(text), is_recorded, "{text}: {}", recording.text);
        }
        recorded_event(&agent, &id).await;
        call.hang_up().await;
    }
}

profiles! {
    async fn objection_deletes_the_recording(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let agent = cluster.rest().await;
        let id = agent.make_call(ANN, json!({ "greeting": "It is about the flowers.", "record": true })).await;
        let call = cluster.expect_greeted_call(ANN, "It is about the flowers.").await;
        let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Please stop the recording."));
        agent.reply_to_turn(&turn, "Of course.").await.unwrap();
        hears(&call, "Of course.").await;
        let recording = recording_of(&call).await;
        eventually("the carrier has no copy", async || cluster.carriers.is_deleted(&recording.id).then_some(())).await;
        call.hang_up().await;
        agent.wait_for_call_end(&id).await;
        cluster.texts(BOB, "Last").await;
        let events = agent.poll_until("Last").await;
        assert!(events.iter().all(|event| event["event"] != "call.recorded"), "{events:#?}");
    }
}
