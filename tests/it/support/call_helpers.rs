//! Helpers for calls: the simulated carrier plays the person, the tools of an agent play the agent.

use butt_dial_calls::{
    notifications::{self, CallNotification, NotificationKind},
    state::Responder,
};
use butt_dial_domain::{CallId, call::Direction};
use butt_dial_providers::simulator::calls::{Call, Speaker, TranscriptLine};
use serde_json::{Value, json};

use super::{Agent, Cluster, TestContext, WAIT_TIMEOUT, eventually};

/// Below `WAIT_TIMEOUT`: `Agent::call` fails one second later.
const WAIT_MS: u64 = 9_000;

pub async fn hears(call: &Call, text: &str) {
    let heard = call.wait_for_speech(|heard| heard.contains(text), WAIT_TIMEOUT).await;
    assert!(heard.is_some(), "no {text:?} in the speech: {:#?}", call.transcript());
}

/// Waits for silence, then says something that must reach the relay.
pub async fn says(call: &Call, text: &str) {
    assert!(call.wait_for_quiet(WAIT_TIMEOUT).await, "{:#?}", call.transcript());
    assert!(
        call.say(text).await,
        "{text:?} did not reach the relay: {:#?}",
        call.transcript()
    );
}

pub fn expect_heard_once(call: &Call, texts: &[&str]) {
    let heard = call.heard_text();
    for text in texts {
        assert_eq!(heard.matches(text).count(), 1, "{text:?} in {heard}");
    }
}

/// Waits for a recorded action of the carrier with this text.
pub async fn expect_carrier_action(call: &Call, action: &str) {
    let is_action = |said: &TranscriptLine| said.who == Speaker::Carrier && said.text.contains(action);
    let found = call
        .wait_until(|state| state.transcript.iter().any(is_action), WAIT_TIMEOUT)
        .await;
    assert!(found, "no carrier action {action:?}: {:#?}", call.transcript());
}

impl Agent {
    /// Calls a person and returns the call id.
    pub async fn make_call(&self, person: &str, mut arguments: Value) -> String {
        arguments["to"] = json!(person);
        let made = self.call("comms_make_call", arguments).await;
        let made = made.unwrap_or_else(|refusal| panic!("{refusal}"));
        made["callId"].as_str().expect("an id").to_owned()
    }

    /// Attends the call and returns the next turn.
    pub async fn attend(&self, call: &str) -> Value {
        let attended = self.call("comms_attend_call", json!({ "callId": call, "waitMs": WAIT_MS }));
        next_turn(attended.await)
    }

    /// Waits for an incoming call and returns its first turn.
    pub async fn attend_any(&self) -> Value {
        next_turn(self.call("comms_attend_call", json!({ "waitMs": WAIT_MS })).await)
    }

    /// Replies to a turn without waiting for the next one.
    pub async fn reply_to_turn(&self, turn: &Value, text: &str) -> Result<Value, Value> {
        let answer = json!({ "callId": turn["callId"], "turnId": turn["turnId"], "text": text, "waitMs": 0 });
        self.call("comms_call_reply", answer).await
    }

    pub async fn get_call(&self, id: &str) -> Value {
        let call = self.call("comms_get_call", json!({ "callId": id })).await;
        call.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// Waits until the end of the call is recorded, and returns the record.
    pub async fn wait_for_call_end(&self, id: &str) -> Value {
        eventually("the end of the call is recorded", async || {
            let call = self.get_call(id).await;
            (call["endReason"].is_string() && call["endedAt"].is_string()).then_some(call)
        })
        .await
    }

    /// Waits until the live call with this person is listed, and returns its id.
    pub async fn find_call_with(&self, person: &str) -> String {
        eventually("the call is listed", async || {
            let list = self.call("comms_list_calls", json!({ "live": true })).await.ok()?;
            let mut calls = list["calls"].as_array()?.iter();
            let call = calls.find(|call| call["from"] == person || call["to"] == person)?;
            call["callId"].as_str().map(str::to_owned)
        })
        .await
    }
}

/// Returns the turn in the result of a tool that waits.
pub fn next_turn(answer: Result<Value, Value>) -> Value {
    let answer = answer.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(answer["status"], "turn", "{answer}");
    answer["next"].clone()
}

impl TestContext {
    /// Waits for the call to this person and for its greeting.
    pub async fn expect_greeted_call(&self, person: &str, greeting: &str) -> Call {
        let call = self.carriers.wait_for_call(person, WAIT_TIMEOUT).await;
        let call = call.expect("the carrier places the call");
        hears(&call, greeting).await;
        call
    }

    /// Returns all voicemails so far. Waits for `count` of them, because recordings are fetched first.
    pub async fn voicemails(&self, count: usize) -> Vec<Value> {
        const LAST: &str = "That was all.";
        self.texts("+14155550199", LAST).await;
        let agent = self.rest().await;
        let (mut voicemails, mut is_last) = (Vec::new(), false);
        eventually("the voicemails arrive", async || {
            for event in agent.poll_messages().await {
                is_last |= event["body"] == LAST;
                voicemails.extend((event["channel"] == "voice" && event["type"] == "message").then_some(event));
            }
            (is_last && voicemails.len() >= count).then_some(())
        })
        .await;
        voicemails
    }
}

impl Cluster {
    /// Waits until a tool call of the agent waits for an incoming call. Offers the end of an unknown call, which does
    /// not end the wait.
    pub async fn wait_until_agent_attends(&self) {
        let agent = &self.account.agent;
        let over = CallNotification {
            event: NotificationKind::Ended,
            call_id: CallId::generate(),
            turn_id: None,
            text: None,
            digits: None,
            revocation: None,
            callee: None,
            direction: Direction::Inbound,
            from: String::new(),
            to: String::new(),
            language: String::new(),
            handled_by: Responder::Agent,
            history: Vec::new(),
            system_prompt: None,
            reason: None,
        };
        eventually("the agent waits", async || {
            notifications::offer_claim(self.calls(), agent, &over)
                .await
                .then_some(())
        })
        .await;
    }
}
