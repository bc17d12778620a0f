//! Calls to the agent: it talks to the caller and is interrupted, then it disconnects and the voicemail takes a message.

use std::time::Duration;

use butt_dial_accounts::Bootstrapped;
use butt_dial_providers::{SimulatorState, simulator::calls::Call};
use butt_dial_runtime::start::Running;
use serde_json::{Map, Value, json};

use super::client::Agent;

const ANN: &str = "+14155550123";
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// Factor on the durations of speech and carriers, to keep the demo short.
const PACE: f64 = 0.3;
/// From the start of the agent's speech to the barge-in, on the clock of the simulator.
const BARGE_IN_AFTER_MS: u64 = 2_500;
const LONG_REPLY: &str = "Let me see. Tonight we have the long table by the kitchen, the round one in the corner, the two by \
    the window, and the one on the terrace, if you do not mind the wind.";
const REPLY: &str = "Then the round one in the corner is yours, at eight. Goodbye!";
/// The questions of the voicemail and the replies of Ann.
const VOICEMAIL: [(&str, &str); 4] = [
    ("your name", "My name is Ann."),
    ("called back", "+1 415 555 0123"),
    ("reason", "The table for four"),
    ("best time", "After five"),
];

pub async fn run(running: &Running, created: &Bootstrapped) -> Result<(), String> {
    let simulator = running.platform.simulator.as_ref().ok_or("there is no simulator")?;
    let state = simulator.state();
    state.set_pace(PACE);
    let number = created.phone_number.as_deref().ok_or("the agent has no number")?;
    let agent = Agent::connect_sse(&running.base_url(), &created.agent_token).await?;

    talk(state, number, &agent).await?;
    println!("agent   is disconnected\n");
    leave_message(state, number).await?;
    let message = agent
        .wait_for_message(|event| event["channel"] == "voice", STEP_TIMEOUT)
        .await?;
    println!(
        "agent   reconnects and receives the voicemail: {}",
        text(&message, "body")
    );
    let transcript = text(&message, "voiceTranscription");
    if !transcript.contains("The table for four") {
        return Err(format!("the transcript is incomplete: {transcript}"));
    }
    agent.disconnect().await;
    Ok(())
}

async fn talk(state: &SimulatorState, number: &str, agent: &Agent) -> Result<(), String> {
    println!("agent   waits for calls (comms_attend_call)");
    let attend = agent.call("comms_attend_call", arguments(json!({})));
    let call = async {
        let mut line = Line::dial(state, number).await?;
        line.expect_speech("AI assistant").await?;
        line.speak("Do you have a table for tonight?").await?;
        Ok::<_, String>(line)
    };
    let (attended, mut line) = tokio::try_join!(attend, call)?;
    let turn = next_turn(&attended, "table for tonight")?;

    // The tool call returns with the next turn: here, the barge-in of Ann.
    let replying = reply(agent, turn, LONG_REPLY, false);
    let (replied, ()) = tokio::try_join!(replying, line.barge_in("Sorry, we are four!"))?;
    let turn = next_turn(&replied, "we are four")?;
    let history = turn["history"].as_array().cloned().unwrap_or_default();
    let interrupted = history.iter().rfind(|line| line["isCut"] == true);
    let interrupted = interrupted.ok_or("the history of the turn shows no interrupted line")?;
    println!("agent   was interrupted, Ann heard: {}", text(interrupted, "text"));
    reply(agent, turn, REPLY, true).await?;
    line.expect_speech("Goodbye!").await?;
    line.wait_for_end().await
}

async fn reply(agent: &Agent, turn: &Value, words: &str, ends: bool) -> Result<Value, String> {
    println!("agent   comms_call_reply: {words}");
    let body = json!({ "callId": turn["callId"], "turnId": turn["turnId"], "text": words, "end": ends });
    agent.call("comms_call_reply", arguments(body)).await
}

/// Returns the next turn in the result of a tool call.
fn next_turn<'a>(result: &'a Value, words: &str) -> Result<&'a Value, String> {
    let turn = &result["next"];
    if !text(turn, "text").contains(words) {
        return Err(format!("expected a turn with {words:?}, got {result}"));
    }
    println!("agent   receives a turn: {}", text(turn, "text"));
    Ok(turn)
}

async fn leave_message(state: &SimulatorState, number: &str) -> Result<(), String> {
    let mut line = Line::dial(state, number).await?;
    for (question, reply) in VOICEMAIL {
        line.expect_speech(question).await?;
        line.speak(reply).await?;
    }
    line.expect_speech("Goodbye").await?;
    line.wait_for_end().await
}

/// A call of Ann to the agent.
struct Line {
    call: Call,
    /// The length of the heard text that is printed already.
    printed: usize,
}

impl Line {
    async fn dial(state: &SimulatorState, number: &str) -> Result<Self, String> {
        println!("phone   {ANN} calls {number}");
        let call = state.dial(ANN, number).await?;
        Ok(Self { call, printed: 0 })
    }

    /// Waits until the agent is silent. Fails unless its speech contains these words.
    async fn expect_speech(&mut self, words: &str) -> Result<(), String> {
        let spoken = self
            .call
            .wait_for_speech(|heard| heard.contains(words), STEP_TIMEOUT)
            .await;
        let is_over = self.call.status().is_over();
        if spoken.is_none() || !(is_over || self.call.wait_for_quiet(STEP_TIMEOUT).await) {
            return Err(format!(
                "expected speech with {words:?}, heard {}",
                self.call.heard_text()
            ));
        }
        let heard = self.call.heard_text();
        println!(
            "phone   hears: {}",
            heard.get(self.printed..).unwrap_or_default().trim()
        );
        self.printed = heard.len();
        Ok(())
    }

    async fn speak(&self, words: &str) -> Result<(), String> {
        println!("phone   says: {words}");
        let arrived = self.call.say(words).await;
        arrived
            .then_some(())
            .ok_or_else(|| format!("the speech {words:?} did not reach the server"))
    }

    async fn barge_in(&mut self, words: &str) -> Result<(), String> {
        let arrived = self.call.barge_in_after(BARGE_IN_AFTER_MS, words).await;
        println!("phone   interrupts: {words}");
        self.printed = self.call.heard_text().len();
        arrived
            .then_some(())
            .ok_or_else(|| format!("the speech {words:?} did not reach the server"))
    }

    async fn wait_for_end(self) -> Result<(), String> {
        if !self.call.wait_for_end(STEP_TIMEOUT).await {
            return Err("the call did not end in time".into());
        }
        println!("phone   the call has ended\n");
        Ok(())
    }
}

fn arguments(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
