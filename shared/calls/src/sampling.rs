//! MCP sampling: the model of the agent's client replies to a turn. The request goes to the gateway that holds the client's
//! stream, and is cancelled there when its reply is not needed any more.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, ReplicaId,
    client_stream::{ClientRequest, ClientResponse},
    ids,
    ports::bus::Headers,
    subjects,
};
use butt_dial_messaging::delivery::Listener;
use serde_json::{Value, json};

use super::{
    handle::Calls,
    notifications::HISTORY_LEN,
    revocation,
    state::{CallState, Speaker},
};

/// Added to the system prompt when the caller revokes consent.
const REVOKED: &str = "The caller does not want to be called any more. That is noted. Confirm it in one sentence, do not argue, and say goodbye.";

/// Cancels a request at the client when it is dropped before the response.
struct CancelOnDrop<'a> {
    calls: &'a Arc<Calls>,
    replica: &'a ReplicaId,
    id: Option<String>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (calls, subject) = (self.calls.clone(), subjects::cancel_request(self.replica));
        self.calls.tasks.spawn(async move {
            let cancelled = calls.bus.publish(&subject, Headers::new(), id.into()).await;
            cancelled
                .inspect_err(|error| tracing::info!(%error, "sampling request not cancelled"))
                .ok();
        });
    }
}

/// Requests a reply from the client's model (`Listener::samples`). Dropping the future cancels the request at the client.
/// The error is the reason for the log.
pub async fn sample(
    calls: &Arc<Calls>,
    agent: &AgentId,
    client: &Listener,
    params: Value,
    timeout: Duration,
) -> Result<String, String> {
    let id = ids::unique();
    let request = ClientRequest {
        id: id.clone(),
        connection: client.id.clone(),
        agent: agent.clone(),
        method: "sampling/createMessage".into(),
        params,
        deadline_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let payload = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
    let mut cancellation = CancelOnDrop {
        calls,
        replica: &client.replica,
        id: Some(id),
    };
    let subject = subjects::client_requests(&client.replica);
    let response = calls
        .bus
        .request(&subject, Headers::new(), payload.into(), timeout)
        .await;
    let response = response.map_err(|error| error.to_string())?;
    cancellation.id = None;
    match serde_json::from_slice(&response.payload) {
        Ok(ClientResponse::Result(result)) => {
            text_of(&result).ok_or_else(|| "the client's model returned no text".into())
        }
        Ok(ClientResponse::Failed(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

/// Builds the parameters of `sampling/createMessage`.
pub fn sampling_params(state: &CallState, max_tokens: u32) -> Value {
    let info = &state.info;
    let system = info.plan.system_prompt.clone().unwrap_or_else(|| {
        format!(
            "You are {}, on a telephone call. Answer in the caller's language ({}), in one to three short sentences that \
             sound well when they are read aloud: no lists, no markup.",
            info.name, state.caller_language()
        )
    });
    let revocation = revocation::heard(&state.unanswered).filter(|found| found.is_clear());
    let system = match revocation {
        Some(_) => format!("{system}\n\n{REVOKED}"),
        None => system,
    };
    let from = state.history.len().saturating_sub(HISTORY_LEN);
    let mut messages: Vec<Value> = Vec::new();
    for entry in &state.history[from..] {
        let role = match entry.by {
            Speaker::Caller => "user",
            Speaker::Agent | Speaker::Voicemail => "assistant",
        };
        // Models require alternating roles.
        match messages.last_mut() {
            Some(last) if last["role"] == role => {
                let previous = last["content"]["text"].as_str().unwrap_or_default();
                last["content"]["text"] = json!(format!("{previous} {}", entry.text));
            }
            _ => messages.push(json!({ "role": role, "content": { "type": "text", "text": entry.text } })),
        }
    }
    json!({
        "messages": messages,
        "systemPrompt": system,
        "maxTokens": max_tokens,
        "metadata": { "callId": info.call, "turnId": state.turn.to_string() },
    })
}

/// Returns the text of a result of `sampling/createMessage`. The content is one block up to revision 2025-06-18, and can be
/// a list since.
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
