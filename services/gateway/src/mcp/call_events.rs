//! Calls as events of the Events extension: incoming calls and callers' turns, pushed as they happen. They can't be polled,
//! because the caller waits on the line: a turn without a listener goes to the voicemail.

use butt_dial_calls::notifications::NotificationKind;
use butt_dial_domain::Failure;
use butt_dial_identity::Caller;
use butt_dial_operations::{
    Product,
    calls::{TurnView, subscribe_to_calls},
    granted, time,
};
use rmcp::{ErrorData, model::CustomResult};
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::event_stream::{EventStream, HEARTBEAT, PREFIX, complete, error_of, forbidden};

const KINDS: [(NotificationKind, &str); 2] = [
    (
        NotificationKind::Incoming,
        "A person calls you or talks to your voicemail. Attend the call with comms_attend_call.",
    ),
    (
        NotificationKind::Turn,
        "A caller has spoken and waits for a reply. Answer with comms_call_reply.",
    ),
];

fn name(event: NotificationKind) -> String {
    format!("{PREFIX}{}", event.as_str())
}

/// Returns the definitions of the events, for `events/list`.
pub fn catalog() -> impl Iterator<Item = Value> {
    KINDS.into_iter().map(|(event, description)| {
        json!({
            "name": name(event),
            "description": description,
            "delivery": ["push"],
            "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
            "payloadSchema": {
                "type": "object",
                "properties": {
                    "event": { "type": "string" }, "callId": { "type": "string" }, "turnId": { "type": "string" },
                    "text": { "type": "string" }, "from": { "type": "string" }, "to": { "type": "string" },
                    "history": { "type": "array" },
                },
                "required": ["event", "callId"],
            },
        })
    })
}

/// Finds the event that the parameters name.
pub fn find(params: &Value) -> Option<NotificationKind> {
    let requested = params.get("name")?.as_str()?;
    KINDS
        .into_iter()
        .map(|(event, _)| event)
        .find(|event| name(*event) == requested)
}

/// Pushes the agent's calls until the client disconnects, the replica drains, or the token is revoked.
pub async fn stream(
    product: &Product,
    caller: &Caller,
    event: NotificationKind,
    stream: &EventStream<'_>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Result<CustomResult, ErrorData> {
    let agent = caller.agent().map(|profile| &profile.agent.id);
    let agent = agent.map_err(forbidden)?;
    granted::require_calls(caller).map_err(forbidden)?;
    let subscribed = subscribe_to_calls(&product.calls, agent, None).await;
    let mut calls = subscribed.map_err(|failure| error_of(&failure))?;
    stream
        .send("active", json!({ "cursor": null, "truncated": false }))
        .await?;
    calls.announce_presence(agent).await;
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    tokio::pin!(revoked);
    loop {
        tokio::select! {
            () = stream.context.ct.cancelled() => break,
            () = draining.cancelled() => break,
            () = &mut revoked => {
                stream.send_revoked().await?;
                break;
            }
            claimed = calls.claim_next_matching(|notification| notification.event == event) => {
                let Some(notification) = claimed else {
                    return Err(error_of(&Failure::unavailable("calls are not available right now")));
                };
                let id = format!("{}.{}", notification.call_id, notification.turn_id.as_deref().unwrap_or("0"));
                let occurrence = json!({
                    "eventId": id, "name": name(event), "timestamp": time(product.clock.now()),
                    "data": TurnView::from(notification).into_event(), "cursor": null,
                });
                stream.send("event", occurrence).await?;
            }
            _ = heartbeat.tick() => stream.send("heartbeat", json!({ "cursor": null })).await?,
        }
    }
    Ok(complete(json!({ "_meta": {} })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_call_events_by_name() {
        assert_eq!(
            find(&json!({ "name": "comms.call.turn" })),
            Some(NotificationKind::Turn)
        );
        for other in [json!({ "name": "comms.call.ended" }), json!({ "name": 7 }), json!(null)] {
            assert_eq!(find(&other), None, "{other}");
        }
        assert!(catalog().all(|event| event["delivery"] == json!(["push"])));
    }
}
