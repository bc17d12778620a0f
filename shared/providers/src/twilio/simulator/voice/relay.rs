//! One session of ConversationRelay, from the handshake to the action callback (Twilio, ConversationRelay noun). When things
//! happen is what Twilio was seen to do: its documentation has the call end with the socket, and it does not.

use butt_dial_domain::call::CallStatus;

use super::{
    conversation::Conversation,
    line::{Flow, Line},
    socket::Socket,
    twiml::Relay,
};
use crate::simulator::calls::Session;

const HANDSHAKE_MS: u64 = 410;
const ACTION_AFTER_HANG_UP_MS: u64 = 600;
const ACTION_AFTER_END_MS: u64 = 300;
const ACTION_AFTER_LOSS_MS: u64 = 1_190;

const CAN_NOT_CONNECT: u32 = 64_102;
pub const ENDED: u32 = 64_105;

/// Why a session is over.
pub enum End {
    /// We ended it.
    Ended(Option<String>),
    Failed(u32),
    /// The call is over.
    Over(CallStatus),
    /// Twilio was told over its API to go on otherwise.
    Elsewhere(Flow),
}

pub async fn converse(line: &mut Line, action: Option<String>, relay: Relay) -> Flow {
    line.settle(HANDSHAKE_MS).await;
    let id = format!("VX{}", uuid::Uuid::new_v4().simple());
    let opened_ms = line.call.now_ms();
    let Some(socket) = Socket::open(&line.world, &relay.url).await else {
        line.alert(CAN_NOT_CONNECT);
        line.answer();
        return ended(line, action, &id, opened_ms, End::Failed(CAN_NOT_CONNECT)).await;
    };
    let session = Session {
        id: id.clone(),
        url: relay.url.clone(),
        opened_ms,
        ended_ms: None,
        outcome: None,
        error_code: None,
    };
    line.call.change(|state| state.sessions.push(session));
    let mut conversation = Conversation::new(line, socket, relay);
    let end = conversation.run(&id).await;
    let mut socket = conversation.socket;
    match &end {
        End::Failed(_) => socket.reset(),
        _ => socket.close(1000, "Closing websocket session").await,
    }
    ended(line, action, &id, opened_ms, end).await
}

/// The action is told, and says how the call goes on.
async fn ended(line: &mut Line, action: Option<String>, id: &str, opened_ms: u64, end: End) -> Flow {
    let (outcome, after, code) = match &end {
        End::Ended(_) => ("ended", ACTION_AFTER_END_MS, None),
        End::Failed(code) => ("failed", ACTION_AFTER_LOSS_MS, Some(*code)),
        End::Over(_) => ("completed", ACTION_AFTER_HANG_UP_MS, None),
        End::Elsewhere(_) => ("redirected", 0, None),
    };
    let now = line.call.now_ms();
    line.call.change(|state| {
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
        // Twilio asks nobody: it has been told.
        End::Elsewhere(flow) => return flow,
        End::Over(status) => {
            if let Some(action) = action {
                line.settle(after).await;
                more.push(("CallStatus", status.as_str().to_owned()));
                line.world.post(&line.form(&action, &more)).await;
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
    if let Some(flow) = line.wait(Some(now + after)).await {
        return flow;
    }
    match action {
        Some(action) => line.goto(&action, &more).await,
        None => Flow::Next,
    }
}
