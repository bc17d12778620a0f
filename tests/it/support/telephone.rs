//! People on the telephone and agents who talk with them. A person's side is the simulated carrier's call, an agent's its
//! tools.

use butt_dial_comms::calls::{
    signal::{self, Event, Signal},
    state::Mind,
};
use butt_dial_domain::{CallId, call::Direction};
use butt_dial_providers::simulator::calls::{Call, Said, Speaker};
use serde_json::{Value, json};

use super::{Agent, PATIENCE, Stage, World, eventually};

/// Within what a test waits for: `Agent::call` gives up a second later.
const WAIT_MS: u64 = 9_000;

pub async fn hears(call: &Call, text: &str) {
    let heard = call.wait_for_speech(|heard| heard.contains(text), PATIENCE).await;
    assert!(heard.is_some(), "{text:?} was not heard: {:#?}", call.transcript());
}

/// Lets us finish, and says something that reaches us.
pub async fn says(call: &Call, text: &str) {
    assert!(call.wait_for_quiet(PATIENCE).await, "{:#?}", call.transcript());
    assert!(
        call.say(text).await,
        "{text:?} did not reach us: {:#?}",
        call.transcript()
    );
}

pub fn expect_once(call: &Call, texts: &[&str]) {
    let heard = call.heard_text();
    for text in texts {
        assert_eq!(heard.matches(text).count(), 1, "{text:?} in {heard}");
    }
}

/// What the carrier did, of what can be seen of it.
pub async fn sees(call: &Call, what: &str) {
    let is_it = |said: &Said| said.who == Speaker::Carrier && said.text.contains(what);
    let seen = call
        .wait_until(|state| state.transcript.iter().any(is_it), PATIENCE)
        .await;
    assert!(seen, "{what:?} never happened: {:#?}", call.transcript());
}

impl Agent {
    /// Calls somebody, and gives our id of the call.
    pub async fn calls(&self, person: &str, mut with: Value) -> String {
        with["to"] = json!(person);
        let made = self.call("comms_make_call", with).await;
        let made = made.unwrap_or_else(|refusal| panic!("{refusal}"));
        made["callId"].as_str().expect("an id").to_owned()
    }

    /// Attends the call, and gives the next turn.
    pub async fn turn(&self, call: &str) -> Value {
        let attended = self.call("comms_attend_call", json!({ "callId": call, "waitMs": WAIT_MS }));
        next(attended.await)
    }

    /// Waits for whoever calls, and gives their first turn.
    pub async fn anybody(&self) -> Value {
        next(self.call("comms_attend_call", json!({ "waitMs": WAIT_MS })).await)
    }

    /// Answers a turn, and waits for nothing.
    pub async fn answers(&self, turn: &Value, text: &str) -> Result<Value, Value> {
        let answer = json!({ "callId": turn["callId"], "turnId": turn["turnId"], "text": text, "waitMs": 0 });
        self.call("comms_call_reply", answer).await
    }

    pub async fn call_of(&self, id: &str) -> Value {
        let call = self.call("comms_get_call", json!({ "callId": id })).await;
        call.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// The call as it is written down in the end.
    pub async fn ended_call(&self, id: &str) -> Value {
        eventually("what the call was is written down", async || {
            let call = self.call_of(id).await;
            (call["endReason"].is_string() && call["endedAt"].is_string()).then_some(call)
        })
        .await
    }

    /// Our id of the call with this person, once it is written down.
    pub async fn call_with(&self, person: &str) -> String {
        eventually("the call is listed", async || {
            let list = self.call("comms_list_calls", json!({ "live": true })).await.ok()?;
            let mut calls = list["calls"].as_array()?.iter();
            let call = calls.find(|call| call["from"] == person || call["to"] == person)?;
            call["callId"].as_str().map(str::to_owned)
        })
        .await
    }
}

/// The turn in the answer of a tool that waits.
pub fn next(answer: Result<Value, Value>) -> Value {
    let answer = answer.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(answer["status"], "turn", "{answer}");
    answer["next"].clone()
}

impl Stage {
    /// The call of ours to this person, taken and greeted.
    pub async fn takes(&self, person: &str, greeting: &str) -> Call {
        let call = self.carriers.wait_for_call(person, PATIENCE).await;
        let call = call.expect("the carrier calls them");
        hears(&call, greeting).await;
        call
    }

    /// Everything that somebody left for the agent on the telephone up to now. `count` letters are waited for: what is
    /// recorded is fetched first.
    pub async fn letters(&self, count: usize) -> Vec<Value> {
        const LAST: &str = "That was all.";
        self.texts("+14155550199", LAST).await;
        let agent = self.rest().await;
        let (mut letters, mut is_last) = (Vec::new(), false);
        eventually("all letters come", async || {
            for event in agent.waiting().await {
                is_last |= event["body"] == LAST;
                letters.extend((event["channel"] == "voice" && event["type"] == "message").then_some(event));
            }
            (is_last && letters.len() >= count).then_some(())
        })
        .await;
        letters
    }
}

impl World {
    /// Waits until a tool call of the agent's waits for whoever calls. Told of the end of a call that it does not know, it
    /// goes on waiting.
    pub async fn somebody_waits(&self) {
        let agent = &self.account.agent;
        let over = Signal {
            event: Event::Ended,
            call_id: CallId::generate(),
            turn_id: None,
            text: None,
            direction: Direction::Inbound,
            from: String::new(),
            to: String::new(),
            language: String::new(),
            handled_by: Mind::Agent,
            history: Vec::new(),
            system_prompt: None,
            reason: None,
        };
        eventually("the agent waits", async || {
            signal::offer(self.comms(), agent, &over).await.then_some(())
        })
        .await;
    }
}
