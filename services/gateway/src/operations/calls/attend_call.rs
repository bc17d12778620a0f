//! `comms_attend_call`: the agent is there for a call, or for any. Clients with a model of their own are asked for the answers
//! within this one tool call: `mcp/attend.rs`.

use butt_dial_comms::{
    Comms,
    calls::{
        known, orders,
        signal::{Ear, Signal},
    },
};
use butt_dial_domain::{AgentId, CallId, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use tokio::time::Instant;

use super::{Next, TurnView, next_turn, open_ear, patience};
use crate::operations::{Context, Hints, Operation, Route};

pub struct AttendCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Our id of the call, or the carrier's. Without it: whichever of your calls is next, and whoever calls you.
    #[serde(default, alias = "call_id", alias = "callSid", alias = "call_sid")]
    pub call_id: Option<String>,
    /// How long to wait: 25000 where nothing is said, at most 50000. 0 does not wait.
    #[serde(default, alias = "wait_ms")]
    pub wait_ms: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// turn: next is to be answered with comms_call_reply. waiting: nothing yet; call again. ended: the call is over.
    /// draining: this server is about to stop; call again, and another one answers. continue: you have answered through your
    /// own model; call again.
    pub status: &'static str,
    /// The call that you attend by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    pub next: Option<Box<TurnView>>,
}

impl Operation for AttendCall {
    const NAME: &'static str = "comms_attend_call";
    const TITLE: &'static str = "Attend a call";
    const DESCRIPTION: &'static str = "Says that you are there for a call, and waits for what the caller says; without callId, for \
        anybody who calls you. A call that the answering machine has taken is yours when you attend it. Returns the turn to \
        answer: do so at once with comms_call_reply, the caller waits on the line. Call it in a loop to be reachable by \
        telephone. [scope: agent]";
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

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (comms, agent) = (&context.comms, &context.caller.agent()?.agent.id);
        let mut call = match &args.call_id {
            Some(id) => Some(known::resolve(comms, agent, id).await?),
            None => None,
        };
        let mut ear = open_ear(comms, agent, call.as_ref()).await?;
        let until = Instant::now() + patience(args.wait_ms);
        let what = match arrive(comms, agent, call.as_ref(), &mut ear).await? {
            Some(pending) => Next::Turn(Box::new(pending)),
            None => next_turn(&context, agent, &mut ear, &mut call, until).await?,
        };
        Ok(Output {
            status: what.status(),
            call_id: call.map(|call| call.into_string()),
            next: what.into_turn(),
        })
    }
}

/// Says that the agent is there. Returns the turn that waits already. `ear` has been open before.
pub async fn arrive(
    comms: &Comms,
    agent: &AgentId,
    call: Option<&CallId>,
    ear: &mut Ear,
) -> Result<Option<Signal>, Failure> {
    match call {
        Some(call) => orders::attend(comms, agent, call).await,
        None => {
            ear.announce(agent).await;
            Ok(None)
        }
    }
}
