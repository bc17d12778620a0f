//! `demo`: an agent sends, receives and calls. A real MCP client uses a real server over real sockets; only the carriers
//! are simulated, behind the same adapters as the real ones.

mod calls;
mod client;
mod inbound;
mod notification_client;
mod sse;

use std::time::Duration;

use butt_dial_accounts::{Addresses, Bootstrapped};
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

const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The messages to send: transport, channel, receiver and body.
const MESSAGES: [(&str, &str, &str, &str); 3] = [
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

/// Runs the demo. Returns true only if all messages arrived.
pub async fn run() -> Result<bool, StartError> {
    let directory = tempfile::tempdir().map_err(|error| StartError::Io {
        resource: "a directory for the demo".into(),
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
    let running = start(Config::from_parts(None, env, Deployment::SingleProcess)?, &ALL_ROLES).await?;
    println!("Started at {} with a temporary database.", running.base_url());
    let created = running.platform.product.bootstrap.run(&Addresses::default()).await?;
    println!(
        "Created an agent with {} and {}.\n",
        or_none(&created.phone_number),
        or_none(&created.email_address)
    );

    let result = run_steps(&running, &created).await;
    if let Err(problem) = &result {
        println!("FAILED: {problem}");
    }
    running.platform.stop().await;
    if result.is_ok() {
        println!(
            "\nAll messages arrived in both directions, and the calls succeeded. Now run `butt-dial` and connect your agent."
        );
    }
    Ok(result.is_ok())
}

async fn run_steps(running: &Running, created: &Bootstrapped) -> Result<(), String> {
    let base = running.base_url();
    let over_sse = Agent::connect_sse(&base, &created.agent_token).await?;
    println!("agent   connected over SSE, {} tools", over_sse.tools().await?);
    let over_http = Agent::connect_http(&base, &created.agent_token).await?;
    println!(
        "agent   connected over Streamable HTTP, {} tools\n",
        over_http.tools().await?
    );
    for (transport, channel, to, body) in MESSAGES {
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
    if total != Some(MESSAGES.len() as i64) {
        return Err("the usage dashboard does not count the sent messages".into());
    }
    over_sse.disconnect().await;
    over_http.disconnect().await;
    println!();
    inbound::run(running, created).await?;
    println!();
    calls::run(running, created).await
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
    let state = running
        .platform
        .simulator
        .as_ref()
        .ok_or("there is no simulator")?
        .state();
    let carrier_id = result["providerMessageId"]
        .as_str()
        .ok_or("the result has no providerMessageId")?
        .to_owned();
    let arrived = state
        .wait_for(
            |message: &SimulatedMessage| message.carrier_id == carrier_id,
            ARRIVAL_TIMEOUT,
        )
        .await;
    let arrived = arrived.ok_or("the message did not arrive")?;
    if arrived.body != body || arrived.to != to {
        return Err("the message arrived with another body or receiver".into());
    }
    println!(
        "phone   {} has received: {}\n",
        arrived.to,
        arrived.body.replace('\n', " / ")
    );
    Ok(())
}

fn or_none(address: &Option<String>) -> &str {
    address.as_deref().unwrap_or("none")
}
