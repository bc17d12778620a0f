//! `comms_attend_call`: attends one call, or any call of the agent. Clients that support sampling are answered by
//! `mcp/attend_loop.rs` instead.

use butt_dial_calls::{
    Calls, commands, lookup,
    notifications::{CallNotification, CallSubscription},
};
use butt_dial_domain::{AgentId, CallId, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tokio::time::Instant;

use super::{NextEvent, TurnView, subscribe_to_calls, wait_timeout, wait_turn};
use crate::{Context, Hints, Operation, Route, errors, granted};

pub struct AttendCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call. The default is your next call, including incoming calls.
    #[serde(default)]
    pub call_id: Option<String>,
    /// How long to wait, in milliseconds; the default is 25000. 0 does not wait, and no wait is longer than 50000.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// turn: answer next with comms_call_reply. waiting: no event yet; call again. ended: the call has ended. draining: this
    /// server is stopping; call again to reach another one. continue: your model has answered; call again.
    pub status: &'static str,
    /// The call that you attend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    pub next: Option<Box<TurnView>>,
}

impl Operation for AttendCall {
    const NAME: &'static str = "comms_attend_call";
    const TITLE: &'static str = "Attend a call";
    const DESCRIPTION: &'static str = "Attends a call and waits for the caller's next turn; without callId it waits for any call, including incoming ones. A \
        call that the voicemail has answered becomes yours. Returns the turn: answer it at once with comms_call_reply, \
        because the caller waits on the line. Call it in a loop to be reachable by telephone. [scope: agent]";
    const BRIEF: &'static str =
        "Waits for the next turn of a call; without callId, of any call. Answer it with comms_call_reply.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/attend",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::CALL_COMMAND, errors::WAIT];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (calls, agent) = (&context.product.calls, &context.caller.agent()?.agent.id);
        let mut call = match &args.call_id {
            Some(id) => Some(lookup::resolve_granted(calls, &context.caller, id).await?),
            None => {
                granted::require_any_call(&context.caller)?;
                None
            }
        };
        let mut subscription = subscribe_to_calls(calls, agent, call.as_ref()).await?;
        let deadline = Instant::now() + wait_timeout(args.wait_ms);
        let event = match start_attending(calls, agent, call.as_ref(), &mut subscription).await? {
            Some(pending) => NextEvent::Turn(Box::new(pending)),
            None => wait_turn(&context, agent, &mut subscription, &mut call, deadline).await?,
        };
        Ok(Output {
            status: event.status(),
            call_id: call.map(|call| call.into_string()),
            next: event.into_view(),
        })
    }
}

/// Announces that the agent attends. Returns the turn that is already pending. The subscription exists before, so
/// that no turn is missed.
pub async fn start_attending(
    calls: &Calls,
    agent: &AgentId,
    call: Option<&CallId>,
    subscription: &mut CallSubscription,
) -> Result<Option<CallNotification>, Failure> {
    match call {
        Some(call) => commands::attend(calls, agent, call).await,
        None => {
            subscription.announce_presence(agent).await;
            Ok(None)
        }
    }
}
