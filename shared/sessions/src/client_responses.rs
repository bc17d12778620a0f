//! Forwards the responses that clients post to the replica that waits for them.

use butt_dial_domain::{
    AgentId,
    client_stream::ClientResponse,
    ports::bus::{BusError, Headers},
    subjects,
};
use futures::{StreamExt, future::BoxFuture};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId};
use serde_json::Value;

use crate::{
    connection::Reach,
    local_streams::LocalStreams,
    pending_requests::{ResponseEnvelope, parse_id},
};

/// Bytes of a response on the bus, which takes 1 MiB.
const MAX_RESPONSE: usize = 512 * 1024;
/// Characters of a client's error message that are kept.
const MAX_REASON: usize = 200;

/// Subscribes to the responses for this replica. The future completes pending requests until the process drains.
pub(crate) async fn listen(streams: LocalStreams) -> Result<BoxFuture<'static, ()>, BusError> {
    let ports = streams.ports.clone();
    let mut responses = ports.bus.subscribe(&subjects::client_responses(&ports.replica)).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(responses.next()).await {
            if let Ok(envelope) = serde_json::from_slice::<ResponseEnvelope>(&message.payload) {
                streams.requests.complete(envelope);
            }
        }
    }))
}

/// Forwards the message to the replica that waits for it. Ignores a message that is no response.
pub(crate) async fn forward(streams: &LocalStreams, agent: &AgentId, reach: Reach, message: ClientJsonRpcMessage) {
    let ports = &streams.ports;
    let Some((id, result)) = parse_response(message) else {
        return;
    };
    let Some((replica, number)) = parse_id(&id) else {
        tracing::debug!("client response dropped: unknown request id");
        return;
    };
    let envelope = ResponseEnvelope {
        agent: agent.clone(),
        number,
        response: bounded(result),
        reach,
    };
    if replica == ports.replica {
        return streams.requests.complete(envelope);
    }
    let Ok(payload) = serde_json::to_vec(&envelope) else {
        return;
    };
    let subject = subjects::client_responses(&replica);
    if let Err(error) = ports.bus.publish(&subject, Headers::new(), payload.into()).await {
        tracing::warn!(%error, "client response lost; events that it confirms are delivered again");
    }
}

/// Returns the id and the result or error of a response.
fn parse_response(message: ClientJsonRpcMessage) -> Option<(RequestId, Result<Value, String>)> {
    match message {
        JsonRpcMessage::Response(response) => {
            let result = serde_json::to_value(&response.result).map_err(|error| error.to_string());
            Some((response.id, result))
        }
        JsonRpcMessage::Error(error) => Some((error.id?, Err(error.error.message.into_owned()))),
        _ => None,
    }
}

/// Limits a response to what the bus takes.
fn bounded(result: Result<Value, String>) -> ClientResponse {
    match result {
        Ok(value) if value.to_string().len() > MAX_RESPONSE => {
            ClientResponse::Failed("the client's response is larger than 512 KiB".into())
        }
        Ok(value) => ClientResponse::Result(value),
        Err(reason) => ClientResponse::Failed(reason.chars().take(MAX_REASON).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rejects_response_too_large_for_the_bus() {
        assert!(matches!(bounded(Ok(json!({ "a": 1 }))), ClientResponse::Result(_)));
        let long = json!({ "text": "\u{1}".repeat(MAX_RESPONSE / 4) });
        assert!(
            matches!(bounded(Ok(long)), ClientResponse::Failed(_)),
            "the escaped size counts"
        );
        let ClientResponse::Failed(reason) = bounded(Err("x".repeat(900))) else {
            panic!("an error");
        };
        assert_eq!(reason.len(), 200);
    }
}
