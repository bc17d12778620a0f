//! MCP sampling: the model of the agent's own client answers a turn. The request goes to whichever gateway holds the client's
//! stream, and is withdrawn there as soon as nobody wants the answer any more.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, ReplicaId,
    client_stream::{ClientRequest, ClientResponse},
    ports::bus::Headers,
    subjects,
};
use serde_json::{Value, json};

use super::{
    notifications::HISTORY_LEN,
    state::{CallState, Speaker},
};
use crate::{Comms, delivery::listeners::Listener};

/// A request that is withdrawn at the client when this is dropped before it has been answered.
struct Withdrawal<'a> {
    comms: &'a Comms,
    replica: &'a ReplicaId,
    id: Option<String>,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (comms, subject) = (self.comms.clone(), subjects::cancel_request(self.replica));
        self.comms.tasks.spawn(async move {
            let told = comms.bus.publish(&subject, Headers::new(), id.into()).await;
            told.inspect_err(|error| tracing::info!(%error, "a client goes on with what nobody wants"))
                .ok();
        });
    }
}

/// Asks the client's model (`Listener::samples`). Dropped before the answer is there, the request is withdrawn at the client.
pub async fn sample(
    comms: &Comms,
    agent: &AgentId,
    client: &Listener,
    params: Value,
    deadline: Duration,
) -> Result<String, String> {
    let id = butt_dial_domain::ids::unique();
    let ask = ClientRequest {
        id: id.clone(),
        connection: client.id.clone(),
        agent: agent.clone(),
        method: "sampling/createMessage".into(),
        params,
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
    };
    let payload = serde_json::to_vec(&ask).map_err(|error| error.to_string())?;
    let mut withdrawal = Withdrawal {
        comms,
        replica: &client.replica,
        id: Some(id),
    };
    let answer = comms
        .bus
        .request(
            &subjects::client_requests(&client.replica),
            Headers::new(),
            payload.into(),
            deadline,
        )
        .await
        .map_err(|error| error.to_string())?;
    withdrawal.id = None;
    match serde_json::from_slice(&answer.payload) {
        Ok(ClientResponse::Result(result)) => {
            text_of(&result).ok_or_else(|| "the client's model answered with no text".into())
        }
        Ok(ClientResponse::Failed(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

/// The parameters of `sampling/createMessage`.
pub fn sampling_params(state: &CallState, max_tokens: u32) -> Value {
    let info = &state.info;
    let system = info.plan.system_prompt.clone().unwrap_or_else(|| {
        format!(
            "You are {}, on a telephone call. Answer in the caller's language ({}), in one to three short sentences that \
             sound well when they are read aloud: no lists, no markup.",
            info.name, info.language
        )
    });
    let from = state.history.len().saturating_sub(HISTORY_LEN);
    let mut messages: Vec<Value> = Vec::new();
    for line in &state.history[from..] {
        let role = match line.by {
            Speaker::Caller => "user",
            Speaker::Agent | Speaker::Voicemail => "assistant",
        };
        // Models want roles to alternate.
        match messages.last_mut() {
            Some(last) if last["role"] == role => {
                let text = format!("{} {}", last["content"]["text"].as_str().unwrap_or_default(), line.text);
                last["content"]["text"] = json!(text);
            }
            _ => messages.push(json!({ "role": role, "content": { "type": "text", "text": line.text } })),
        }
    }
    json!({
        "messages": messages,
        "systemPrompt": system,
        "maxTokens": max_tokens,
        "metadata": { "callId": info.call, "turnId": state.turn.to_string() },
    })
}

/// What a result of `sampling/createMessage` says. Content is one block up to 2025-06-18, and may be a list since.
pub fn text_of(result: &Value) -> Option<String> {
    let content = &result["content"];
    let blocks = match content {
        Value::Array(blocks) => blocks.as_slice(),
        block => std::slice::from_ref(block),
    };
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let text = texts.join(" ");
    (!text.trim().is_empty()).then_some(text)
}
