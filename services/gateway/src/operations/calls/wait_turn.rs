//! Waiting for what happens next on a call.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::{
        commands::{self, CallCommand},
        notifications::{CallSubscription, NotificationKind, CallNotification},
    },
};
use butt_dial_domain::{AgentId, CallId, Failure};

use tokio::time::Instant;

use super::TurnView;
use crate::operations::{Call, Context, call::Wanted};

const DEFAULT_MS: u64 = 25_000;
/// Proxies and clients give up on longer calls.
const MAX_MS: u64 = 50_000;

pub fn patience(wait_ms: Option<u64>) -> Duration {
    Duration::from_millis(wait_ms.unwrap_or(DEFAULT_MS).min(MAX_MS))
}

/// From now on nothing that is told of the call, or of any of the agent's, is missed.
pub async fn open_ear(comms: &Comms, agent: &AgentId, call: Option<&CallId>) -> Result<CallSubscription, Failure> {
    CallSubscription::open(comms, agent, call).await.map_err(|error| {
        tracing::warn!(%error, "calls can't be waited for");
        Failure::unavailable("calls can't be waited for right now")
    })
}

pub enum Next {
    /// Somebody is to be answered.
    Turn(Box<CallNotification>),
    Ended(Box<CallNotification>),
    /// Nothing yet, in one word: `waiting`, or `draining`.
    Nothing(&'static str),
}

impl Next {
    pub fn status(&self) -> &'static str {
        match self {
            Self::Turn(_) => "turn",
            Self::Ended(_) => "ended",
            Self::Nothing(word) => word,
        }
    }

    pub fn into_turn(self) -> Option<Box<TurnView>> {
        match self {
            Self::Turn(turn) | Self::Ended(turn) => Some(Box::new(TurnView::from(*turn))),
            Self::Nothing(_) => None,
        }
    }
}

/// The next turn of `call`, or of any. Whoever calls meanwhile is attended: the agent is with them from now on, and `call`
/// becomes theirs.
pub async fn next_turn(
    context: &Context,
    agent: &AgentId,
    ear: &mut CallSubscription,
    call: &mut Option<CallId>,
    until: Instant,
) -> Result<Next, Failure> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match next(&context.call, ear, left).await? {
            Next::Turn(signal) if signal.event == NotificationKind::Incoming => {
                match commands::send(&context.comms, agent, &signal.call_id, CallCommand::Attend).await {
                    Ok(done) => {
                        *call = Some(signal.call_id);
                        if let Some(pending) = done.pending {
                            return Ok(Next::Turn(Box::new(pending)));
                        }
                    }
                    Err(failure) => {
                        tracing::info!(%failure, call = %signal.call_id, "a call is over before it is attended");
                    }
                }
            }
            // Another call of the agent's.
            Next::Ended(signal) if call.as_ref() != Some(&signal.call_id) => {}
            what => return Ok(what),
        }
    }
}

pub async fn next(call: &Call, ear: &mut CallSubscription, patience: Duration) -> Result<Next, Failure> {
    let heard = call.while_wanted(tokio::time::timeout(patience, ear.claim_next())).await?;
    match heard {
        Wanted::Done(Ok(Some(signal))) => {
            let is_over = signal.event == NotificationKind::Ended;
            let signal = Box::new(signal);
            Ok(if is_over {
                Next::Ended(signal)
            } else {
                Next::Turn(signal)
            })
        }
        Wanted::Done(Ok(None)) => Err(Failure::unavailable("calls can't be waited for right now")),
        Wanted::Done(Err(_)) | Wanted::Gone => Ok(Next::Nothing("waiting")),
        Wanted::Draining => Ok(Next::Nothing("draining")),
    }
}
