//! The third act: a phone rings. The agent talks, is interrupted, and goes away; a machine takes a message for it.

use std::time::Duration;

use butt_dial_comms::provisioning::bootstrap::Bootstrapped;
use butt_dial_providers::{World, simulator::calls::Call};
use butt_dial_runtime::start::Running;
use serde_json::{Map, Value, json};

use super::client::Agent;

const ANN: &str = "+14155550123";
const PATIENCE: Duration = Duration::from_secs(20);
/// People and carriers take their time; nobody wants to wait for that here.
const PACE: f64 = 0.3;
/// Ann falls in so long after the agent has begun to speak, in her time.
const PATIENT_MS: u64 = 2_500;
const LONG_ANSWER: &str = "Let me see. Tonight we have the long table by the kitchen, the round one in the corner, the two by \
    the window, and the one on the terrace, if you do not mind the wind.";
const ANSWER: &str = "Then the round one in the corner is yours, at eight. Goodbye!";
/// What the machine asks for, and what Ann tells it.
const DICTATION: [(&str, &str); 4] = [
    ("your name", "My name is Ann."),
    ("called back", "+1 415 555 0123"),
    ("reason", "The table for four"),
    ("best time", "After five"),
];

pub async fn play(running: &Running, made: &Bootstrapped) -> Result<(), String> {
    let simulator = running.platform.simulator.as_ref().ok_or("there is no simulator")?;
    let world = simulator.world();
    world.set_pace(PACE);
    let number = made.phone_number.as_deref().ok_or("the agent has no number")?;
    let agent = Agent::connect_sse(&running.base_url(), &made.agent_token).await?;

    talk(world, number, &agent).await?;
    println!("agent   is away\n");
    leave_a_message(world, number).await?;
    let message = agent
        .wait_for_message(|event| event["channel"] == "voice", PATIENCE)
        .await?;
    println!("agent   is back and gets what waited: {}", text(&message, "body"));
    let transcript = text(&message, "voiceTranscription");
    if !transcript.contains("The table for four") {
        return Err(format!("the transcript lacks what was said: {transcript}"));
    }
    agent.leave().await;
    Ok(())
}

async fn talk(world: &World, number: &str, agent: &Agent) -> Result<(), String> {
    println!("agent   waits for calls (comms_attend_call)");
    let attends = agent.call("comms_attend_call", arguments(json!({})));
    let calls = async {
        let mut line = Line::dial(world, number).await?;
        line.hears("AI assistant").await?;
        line.says("Do you have a table for tonight?").await?;
        Ok::<_, String>(line)
    };
    let (attended, mut line) = tokio::try_join!(attends, calls)?;
    let turn = heard(&attended, "table for tonight")?;

    // The tool call returns with what Ann says next: here, what she says into the answer.
    let answers = reply(agent, turn, LONG_ANSWER, false);
    let (answered, ()) = tokio::try_join!(answers, line.interrupts("Sorry, we are four!"))?;
    let turn = heard(&answered, "we are four")?;
    let history = turn["history"].as_array().cloned().unwrap_or_default();
    let cut = history.iter().rfind(|line| line["isCut"] == true);
    let cut = cut.ok_or("nobody has told the agent that it was interrupted")?;
    println!("agent   knows that Ann has heard no more than: {}", text(cut, "text"));
    reply(agent, turn, ANSWER, true).await?;
    line.hears("Goodbye!").await?;
    line.ends().await
}

async fn reply(agent: &Agent, turn: &Value, words: &str, ends: bool) -> Result<Value, String> {
    println!("agent   comms_call_reply: {words}");
    let answer = json!({ "callId": turn["callId"], "turnId": turn["turnId"], "text": words, "end": ends });
    agent.call("comms_call_reply", arguments(answer)).await
}

/// The turn that a tool call has returned with.
fn heard<'a>(returned: &'a Value, words: &str) -> Result<&'a Value, String> {
    let turn = &returned["next"];
    if !text(turn, "text").contains(words) {
        return Err(format!("the agent has not heard {words:?} but {returned}"));
    }
    println!("agent   hears: {}", text(turn, "text"));
    Ok(turn)
}

async fn leave_a_message(world: &World, number: &str) -> Result<(), String> {
    let mut line = Line::dial(world, number).await?;
    for (asked, answer) in DICTATION {
        line.hears(asked).await?;
        line.says(answer).await?;
    }
    line.hears("Goodbye").await?;
    line.ends().await
}

/// Ann's telephone, while she is on it.
struct Line {
    call: Call,
    /// How much of what she has heard is printed already.
    shown: usize,
}

impl Line {
    async fn dial(world: &World, number: &str) -> Result<Self, String> {
        println!("phone   {ANN} calls {number}");
        let call = world.dial(ANN, number).await?;
        Ok(Self { call, shown: 0 })
    }

    /// Listens until it is quiet on the line; these words have to be among those that were spoken.
    async fn hears(&mut self, words: &str) -> Result<(), String> {
        let spoken = self.call.wait_for_speech(|heard| heard.contains(words), PATIENCE).await;
        let is_over = self.call.status().is_over();
        if spoken.is_none() || !(is_over || self.call.wait_for_quiet(PATIENCE).await) {
            return Err(format!("{words:?} was not heard, but {}", self.call.heard_text()));
        }
        let heard = self.call.heard_text();
        println!("phone   hears: {}", heard.get(self.shown..).unwrap_or_default().trim());
        self.shown = heard.len();
        Ok(())
    }

    async fn says(&self, words: &str) -> Result<(), String> {
        println!("phone   says: {words}");
        let arrived = self.call.say(words).await;
        arrived
            .then_some(())
            .ok_or_else(|| format!("nobody was told {words:?}"))
    }

    async fn interrupts(&mut self, words: &str) -> Result<(), String> {
        let arrived = self.call.barge_in_after(PATIENT_MS, words).await;
        println!("phone   interrupts: {words}");
        self.shown = self.call.heard_text().len();
        arrived
            .then_some(())
            .ok_or_else(|| format!("nobody was told {words:?}"))
    }

    async fn ends(self) -> Result<(), String> {
        if !self.call.wait_for_end(PATIENCE).await {
            return Err("the call does not end".into());
        }
        println!("phone   the call is over\n");
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
