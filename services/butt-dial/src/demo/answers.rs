//! The second act: people write. To an agent that listens, to one that is away, and with the one word that has to be obeyed.

use std::time::Duration;

use butt_dial_comms::provisioning::bootstrap::Bootstrapped;
use butt_dial_domain::Channel;
use butt_dial_providers::{PersonWrites, World};
use butt_dial_runtime::start::Running;
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{client::Agent, ear::Ear, sse::SseTransport};

const ANN: &str = "+14155550123";
/// A listener counts as one after two seconds; until then what comes waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn play(running: &Running, made: &Bootstrapped) -> Result<(), String> {
    let base = running.base_url();
    let simulator = running.platform.simulator.as_ref().ok_or("there is no simulator")?;
    let ann = Ann {
        world: simulator.world().clone(),
        to: made.phone_number.clone().ok_or("the agent has no number")?,
    };

    println!("agent   listens over SSE");
    let (ear, mut heard) = mpsc::unbounded_channel();
    let transport = SseTransport::connect(&base, &made.agent_token).await?;
    let listening = Ear(ear).serve(transport).await.map_err(|error| error.to_string())?;
    ann.writes("Can we make it 8 pm instead?").await?;
    let event = hear(&mut heard, "Can we make it 8 pm instead?").await?;
    println!(
        "agent   hears at once, from {}: {}\n",
        text(&event, "from"),
        text(&event, "body")
    );

    if let Err(error) = listening.cancel().await {
        tracing::debug!(%error, "the listener did not leave in good order");
    }
    println!("agent   is away");
    ann.writes("And a table by the window, please.").await?;
    let agent = Agent::connect_http(&base, &made.agent_token).await?;
    let event = wait_for(&agent, "And a table by the window, please.").await?;
    println!(
        "agent   is back and gets what waited ({}): {}\n",
        text(&event, "reason"),
        text(&event, "body")
    );

    ann.writes("STOP").await?;
    wait_for(&agent, "STOP").await?;
    let refused = send(&agent, "Shall I book it?").await;
    match refused {
        Err(text) if text.contains("CONTACT_OPTED_OUT") => println!("server  will not write to {ANN} any more\n"),
        Err(text) => return Err(text),
        Ok(_) => return Err("a message went to somebody who has said STOP".into()),
    }
    ann.writes("START").await?;
    wait_for(&agent, "START").await?;
    send(&agent, "Booked: 8 pm, by the window.").await?;
    println!("agent   may write again, and does");
    agent.leave().await;
    Ok(())
}

struct Ann {
    world: World,
    to: String,
}

impl Ann {
    async fn writes(&self, body: &str) -> Result<(), String> {
        println!("phone   {ANN} writes: {body}");
        let written = self
            .world
            .person_writes(PersonWrites::new(Channel::Sms, ANN, &self.to, body))
            .await?;
        match written.status {
            Some(200) => Ok(()),
            status => Err(format!("the carrier's webhook was answered {status:?}")),
        }
    }
}

async fn hear(heard: &mut mpsc::UnboundedReceiver<Value>, body: &str) -> Result<Value, String> {
    let listening = async {
        while let Some(event) = heard.recv().await {
            if event["body"] == body {
                return Ok(event);
            }
        }
        Err("the stream ended".to_owned())
    };
    timeout(PATIENCE, listening)
        .await
        .map_err(|_| format!("nobody heard {body:?}"))?
}

async fn wait_for(agent: &Agent, body: &str) -> Result<Value, String> {
    agent.wait_for_message(|event| event["body"] == body, PATIENCE).await
}

async fn send(agent: &Agent, body: &str) -> Result<Value, String> {
    let arguments = json!({ "to": ANN, "channel": "sms", "body": body });
    match arguments {
        Value::Object(arguments) => agent.call("comms_send_message", arguments).await,
        _ => Err("no arguments".into()),
    }
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}
