//! Calls as events of the extension: who calls, and what a caller says, pushed as it happens. There is nothing to poll: a
//! caller waits on the line, and what nobody hears now is the answering machine's.

use butt_dial_comms::{Comms, calls::notifications::NotificationKind, identity::Caller};
use butt_dial_domain::Failure;
use rmcp::{ErrorData, model::CustomResult};
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::events::{FORBIDDEN, HEARTBEAT, Outlet, PREFIX, complete, failed};
use crate::operations::{
    calls::{TurnView, open_ear},
    time,
};

const KINDS: [(NotificationKind, &str); 2] = [
    (
        NotificationKind::Incoming,
        "Somebody calls you, or talks with your answering machine: attend the call with comms_attend_call.",
    ),
    (
        NotificationKind::Turn,
        "A caller has said something and waits: answer with comms_call_reply.",
    ),
];

fn name(event: NotificationKind) -> String {
    format!("{PREFIX}{}", event.as_str())
}

pub fn catalogue() -> impl Iterator<Item = Value> {
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

/// The event of a call that the parameters name.
pub fn named(params: &Value) -> Option<NotificationKind> {
    let wanted = params.get("name")?.as_str()?;
    KINDS
        .into_iter()
        .map(|(event, _)| event)
        .find(|event| name(*event) == wanted)
}

pub async fn stream(
    comms: &Comms,
    caller: &Caller,
    event: NotificationKind,
    outlet: &Outlet<'_>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Result<CustomResult, ErrorData> {
    let agent = caller.agent().map(|profile| &profile.agent.id);
    let agent = agent.map_err(|error| ErrorData::new(FORBIDDEN, error.message, None))?;
    let mut ear = open_ear(comms, agent, None).await.map_err(|error| failed(&error))?;
    outlet
        .send("active", json!({ "cursor": null, "truncated": false }))
        .await?;
    ear.announce_presence(agent).await;
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    tokio::pin!(revoked);
    loop {
        tokio::select! {
            () = outlet.context.ct.cancelled() => break,
            () = draining.cancelled() => break,
            () = &mut revoked => {
                let error = json!({ "code": FORBIDDEN.0, "message": "the token has been revoked" });
                outlet.send("terminated", json!({ "error": error })).await?;
                break;
            }
            heard = ear.claim_next_matching(|signal| signal.event == event) => {
                let Some(signal) = heard else {
                    return Err(failed(&Failure::unavailable("calls can't be waited for right now")));
                };
                let id = format!("{}.{}", signal.call_id, signal.turn_id.as_deref().unwrap_or("0"));
                let occurrence = json!({
                    "eventId": id, "name": name(event), "timestamp": time(comms.clock.now()),
                    "data": TurnView::from(signal).into_event(), "cursor": null,
                });
                outlet.send("event", occurrence).await?;
            }
            _ = beat.tick() => outlet.send("heartbeat", json!({ "cursor": null })).await?,
        }
    }
    Ok(complete(json!({ "_meta": {} })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_in_calls_is_known_by_name() {
        assert_eq!(named(&json!({ "name": "comms.call.turn" })), Some(NotificationKind::Turn));
        for other in [json!({ "name": "comms.call.ended" }), json!({ "name": 7 }), json!(null)] {
            assert_eq!(named(&other), None, "{other}");
        }
        assert!(catalogue().all(|event| event["delivery"] == json!(["push"])));
    }
}
