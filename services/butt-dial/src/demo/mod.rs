//! `demo`: the main job by itself. A real MCP client talks to a real server over real sockets; only the carriers are
//! simulated, and they are spoken to through the same adapters as the real ones.

mod answers;
mod client;
mod ear;
mod sse;
mod telephone;

use std::time::Duration;

use butt_dial_comms::provisioning::bootstrap::{self, Addresses, Bootstrapped};
use butt_dial_domain::ids;
use butt_dial_providers::simulator::SimulatedMessage;
use butt_dial_runtime::{
    Config,
    config::Deployment,
    platform::StartError,
    start::{Running, start},
};
use serde_json::{Map, Value, json};

use crate::serve::ALL_ROLES;

use client::Agent;

const ARRIVAL: Duration = Duration::from_secs(5);

/// What the demo sends, and over which transport.
const SCRIPT: [(&str, &str, &str, &str); 3] = [
    ("sse", "sms", "+14155550123", "Your table for two is booked for 7 pm."),
    (
        "http",
        "whatsapp",
        "+14155550124",
        "Here is the address: 5th & Main. See you there!",
    ),
    (
        "http",
        "email",
        "ann@example.com",
        "Dear Ann,\n\nthe invoice is attached.\n\nYour agent",
    ),
];

/// True only if everything really arrived.
pub async fn run() -> Result<bool, StartError> {
    let directory = tempfile::tempdir().map_err(|error| StartError::Io {
        what: "a directory for the demo".into(),
        error,
    })?;
    let data = directory.path().display().to_string();
    let env = [
        ("DATA_DIR", data.as_str()),
        ("PORT", "0"),
        ("SIMULATOR_PORT", "0"),
        ("SHUTDOWN_DELAY_SECONDS", "0"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let running = start(Config::from_parts(None, env, Deployment::Alone)?, &ALL_ROLES).await?;
    println!("Started at {} with a database of its own.", running.base_url());
    let made = bootstrap::run(&running.platform.comms, &Addresses::default()).await?;
    println!(
        "Made an agent with {} and {}.\n",
        shown(&made.phone_number),
        shown(&made.email_address)
    );

    let result = play(&running, &made).await;
    if let Err(problem) = &result {
        println!("FAILED: {problem}");
    }
    running.platform.stop().await;
    if result.is_ok() {
        println!(
            "\nEverything arrived, in both directions, and on the telephone. Now run `butt-dial` and connect an agent of your own."
        );
    }
    Ok(result.is_ok())
}

async fn play(running: &Running, made: &Bootstrapped) -> Result<(), String> {
    let base = running.base_url();
    let over_sse = Agent::connect_sse(&base, &made.agent_token).await?;
    println!("agent   connected over SSE, sees {} tools", over_sse.tools().await?);
    let over_http = Agent::connect_http(&base, &made.agent_token).await?;
    println!(
        "agent   connected over Streamable HTTP, sees {} tools\n",
        over_http.tools().await?
    );
    for (transport, channel, to, body) in SCRIPT {
        let agent = if transport == "sse" { &over_sse } else { &over_http };
        send(running, agent, channel, to, body).await?;
    }
    let status = over_sse.call("comms_get_usage_dashboard", Map::new()).await?;
    let total = status["totalActions"].as_i64();
    println!(
        "agent   comms_get_usage_dashboard: {} messages, US$ {}",
        total.unwrap_or(0),
        status["currentUsage"]["spendToday"]
    );
    if total != Some(SCRIPT.len() as i64) {
        return Err("the usage dashboard does not count what was sent".into());
    }
    over_sse.leave().await;
    over_http.leave().await;
    println!();
    answers::play(running, made).await?;
    println!();
    telephone::play(running, made).await
}

async fn send(running: &Running, agent: &Agent, channel: &str, to: &str, body: &str) -> Result<(), String> {
    let arguments = json!({ "to": to, "channel": channel, "body": body, "idempotencyKey": ids::random() });
    let Value::Object(arguments) = arguments else {
        return Err("no arguments".into());
    };
    println!(
        "agent   comms_send_message to {to} ({channel}, over {})",
        agent.transport()
    );
    let result = agent.call("comms_send_message", arguments).await?;
    println!("server  {} as {}", result["status"], result["messageId"]);
    let world = running
        .platform
        .simulator
        .as_ref()
        .ok_or("there is no simulator")?
        .world();
    let carrier_id = result["providerMessageId"]
        .as_str()
        .ok_or("the carrier gave no id")?
        .to_owned();
    let arrived = world
        .wait_for(|message: &SimulatedMessage| message.carrier_id == carrier_id, ARRIVAL)
        .await;
    let arrived = arrived.ok_or("it did not arrive")?;
    if arrived.body != body || arrived.to != to {
        return Err("something else arrived than was sent".into());
    }
    println!(
        "phone   {} has received: {}\n",
        arrived.to,
        arrived.body.replace('\n', " / ")
    );
    Ok(())
}

fn shown(address: &Option<String>) -> &str {
    address.as_deref().unwrap_or("none")
}
