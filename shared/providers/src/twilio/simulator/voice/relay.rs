//! One ConversationRelay session, from the handshake to the action callback (Twilio, ConversationRelay noun). The
//! timing is the one observed at Twilio. Unlike its documentation, the call does not end with the socket.

use super::{
    account_of,
    conversation::{Conversation, ENDED, End},
    live_call::{Flow, LiveCall},
    socket::Socket,
    twiml::Relay,
};
use crate::simulator::calls::Session;

const HANDSHAKE_MS: u64 = 410;
const ACTION_AFTER_HANG_UP_MS: u64 = 600;
const ACTION_AFTER_END_MS: u64 = 300;
const ACTION_AFTER_LOSS_MS: u64 = 1_190;

const CANNOT_CONNECT: u32 = 64_102;

pub async fn run_session(live: &mut LiveCall, action: Option<String>, relay: Relay) -> Flow {
    live.sleep(HANDSHAKE_MS).await;
    let id = format!("VX{}", uuid::Uuid::new_v4().simple());
    let opened_ms = live.call.now_ms();
    let Some(socket) = Socket::open(&live.simulator, &account_of(&live.simulator, &live.call), &relay.url).await else {
        live.alert(CANNOT_CONNECT);
        live.answer();
        return finish_session(live, action, &id, opened_ms, End::Failed(CANNOT_CONNECT)).await;
    };
    let session = Session {
        id: id.clone(),
        url: relay.url.clone(),
        opened_ms,
        ended_ms: None,
        outcome: None,
        error_code: None,
    };
    live.call.change(|state| state.sessions.push(session));
    let mut conversation = Conversation::new(live, socket, relay);
    let end = conversation.run(&id).await;
    let mut socket = conversation.socket;
    match &end {
        End::Failed(_) => socket.reset(),
        _ => socket.close(1000, "Closing websocket session").await,
    }
    finish_session(live, action, &id, opened_ms, end).await
}

/// Requests the action, which returns how the call continues.
async fn finish_session(live: &mut LiveCall, action: Option<String>, id: &str, opened_ms: u64, end: End) -> Flow {
    let (outcome, after, code) = match &end {
        End::Ended(_) => ("ended", ACTION_AFTER_END_MS, None),
        End::Failed(code) => ("failed", ACTION_AFTER_LOSS_MS, Some(*code)),
        End::CallOver(_) => ("completed", ACTION_AFTER_HANG_UP_MS, None),
        End::Redirected(_) => ("redirected", 0, None),
    };
    let now = live.call.now_ms();
    live.call.change(|state| {
        if let Some(session) = state.sessions.iter_mut().find(|session| session.id == id) {
            session.ended_ms = Some(now);
            session.outcome = Some(outcome.to_owned());
            session.error_code = code;
        }
    });
    let mut more = vec![
        ("SessionId", id.to_owned()),
        ("SessionStatus", outcome.to_owned()),
        ("SessionDuration", (now.saturating_sub(opened_ms) / 1_000).to_string()),
    ];
    match end {
        // After a redirect Twilio does not request the action.
        End::Redirected(flow) => return flow,
        End::CallOver(status) => {
            if let Some(action) = action {
                live.sleep(after).await;
                more.push(("CallStatus", status.as_str().to_owned()));
                live.simulator.post(&live.form(&action, &more)).await;
            }
            return Flow::Over(status);
        }
        End::Ended(handoff) => more.extend(handoff.map(|handoff| ("HandoffData", handoff))),
        End::Failed(code) => {
            let text = if code == ENDED {
                "Websocket ended"
            } else {
                "Network connection to WebSocket server failed."
            };
            more.push(("ErrorCode", code.to_string()));
            more.push(("ErrorMessage", text.to_owned()));
        }
    }
    if let Some(flow) = live.wait(Some(now + after)).await {
        return flow;
    }
    match action {
        Some(action) => live.fetch_and_run(&action, &more).await,
        None => Flow::Next,
    }
}
