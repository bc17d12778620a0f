//! Inbound messages: to a connected agent, to a disconnected agent, and the STOP keyword.

use std::time::Duration;

use butt_dial_accounts::Bootstrapped;
use butt_dial_domain::Channel;
use butt_dial_providers::{PersonMessage, SimulatorState};
use butt_dial_runtime::start::Running;
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use super::{client::Agent, notification_client::NotificationClient, sse::SseTransport};

const ANN: &str = "+14155550123";
/// Covers the grace period of a new listener, two seconds: until its end messages wait.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(running: &Running, created: &Bootstrapped) -> Result<(), String> {
    let base = running.base_url();
    let simulator = running.platform.simulator.as_ref().ok_or("there is no simulator")?;
    let ann = Ann {
        state: simulator.state().clone(),
        to: created.phone_number.clone().ok_or("the agent has no number")?,
    };

    println!("agent   listens over SSE");
    let (sender, mut notifications) = mpsc::unbounded_channel();
    let transport = SseTransport::connect(&base, &created.agent_token).await?;
    let client = NotificationClient(sender).serve(transport).await;
    let client = client.map_err(|error| error.to_string())?;
    ann.send("Can we make it 8 pm instead?").await?;
    let event = receive(&mut notifications, "Can we make it 8 pm instead?").await?;
    println!(
        "agent   receives at once, from {}: {}\n",
        text(&event, "from"),
        text(&event, "body")
    );

    if let Err(error) = client.cancel().await {
        tracing::debug!(%error, "mcp client disconnect failed");
    }
    println!("agent   is disconnected");
    ann.send("And a table by the window, please.").await?;
    let agent = Agent::connect_http(&base, &created.agent_token).await?;
    let event = wait_for(&agent, "And a table by the window, please.").await?;
    println!(
        "agent   reconnects and receives the waiting message ({}): {}\n",
        text(&event, "reason"),
        text(&event, "body")
    );

    ann.send("STOP").await?;
    wait_for(&agent, "STOP").await?;
    let result = send(&agent, "Shall I book it?").await;
    match result {
        Err(text) if text.contains("CONTACT_OPTED_OUT") => println!("server  rejects messages to {ANN} after STOP\n"),
        Err(text) => return Err(text),
        Ok(_) => return Err("a message was sent to a contact after STOP".into()),
    }
    ann.send("START").await?;
    wait_for(&agent, "START").await?;
    send(&agent, "Booked: 8 pm, by the window.").await?;
    println!("agent   sends again after START");
    agent.disconnect().await;
    Ok(())
}

struct Ann {
    state: SimulatorState,
    to: String,
}

impl Ann {
    async fn send(&self, body: &str) -> Result<(), String> {
        println!("phone   {ANN} writes: {body}");
        let written = self
            .state
            .send_as_person(PersonMessage::new(Channel::Sms, ANN, &self.to, body))
            .await?;
        match written.status {
            Some(200) => Ok(()),
            status => Err(format!("the webhook of the carrier got status {status:?}")),
        }
    }
}

async fn receive(notifications: &mut mpsc::UnboundedReceiver<Value>, body: &str) -> Result<Value, String> {
    let receiving = async {
        while let Some(event) = notifications.recv().await {
            if event["body"] == body {
                return Ok(event);
            }
        }
        Err("the stream ended".to_owned())
    };
    timeout(MESSAGE_TIMEOUT, receiving)
        .await
        .map_err(|_| format!("the agent did not receive {body:?} in time"))?
}

async fn wait_for(agent: &Agent, body: &str) -> Result<Value, String> {
    agent
        .wait_for_message(|event| event["body"] == body, MESSAGE_TIMEOUT)
        .await
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
