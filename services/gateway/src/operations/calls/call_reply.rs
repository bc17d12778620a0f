//! `comms_call_reply`: what the caller said is answered, and what they say next is waited for. One tool call a turn.

use butt_dial_comms::{
    Comms,
    calls::{
        known,
        orders::{self, Done, Order},
    },
};
use butt_dial_domain::{AgentId, CallId, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Next, TurnView, next, open_ear, patience, views::TurnId};
use crate::operations::{Context, Hints, Operation, Route};

pub struct CallReply;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Of the turn; the carrier's id will do too.
    #[serde(alias = "call_id", alias = "callSid", alias = "call_sid")]
    call_id: String,
    /// The turn that you answer. Without it the last one is answered, whatever was said in it.
    #[serde(default, alias = "turn_id")]
    turn_id: Option<TurnId>,
    /// What you say: short, without lists or markup, for it is read aloud.
    text: String,
    /// true: the call ends once it has been heard.
    #[serde(default)]
    end: bool,
    /// How long to wait for what the caller says next: 25000 where nothing is said, at most 50000. 0 does not wait.
    #[serde(default, alias = "wait_ms")]
    wait_ms: Option<u64>,
    /// The same key is said once.
    #[serde(default, alias = "idempotency_key")]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// It is being said.
    spoken: bool,
    /// What happened next.
    next: Option<Box<TurnView>>,
    /// turn: next is to be answered. waiting: the caller has said nothing yet; wait with comms_attend_call. ended: the call is
    /// over. ending: it ends once you have been heard. draining: this server is about to stop; wait with comms_attend_call.
    status: &'static str,
}

impl Operation for CallReply {
    const NAME: &'static str = "comms_call_reply";
    const TITLE: &'static str = "Answer in a call";
    const DESCRIPTION: &'static str = "Says something in a call, as the answer to a turn, and waits for the caller's next turn, which \
        it returns: answer that with the same tool, and so on. When the caller has spoken again meanwhile nothing is said, and \
        the refusal (TURN_SUPERSEDED) holds the turn to answer instead. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/{callId}/reply",
        status: 200,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (comms, agent) = (&context.comms, &context.caller.agent()?.agent.id);
        let call = known::resolve(comms, agent, &args.call_id).await?;
        let turn = args.turn_id.map(|turn| turn.number()).transpose()?;
        // Before anything is said, so that no answer to it is missed.
        let mut ear = open_ear(comms, agent, Some(&call)).await?;
        let order = Order::Answer {
            turn,
            text: args.text,
            is_last: true,
            ends: args.end,
            key: args.idempotency_key,
        };
        let done = answer(comms, agent, &call, order).await?;
        let what = match done.pending {
            _ if args.end => Next::Nothing("ending"),
            Some(pending) => Next::Turn(Box::new(pending)),
            None if args.wait_ms == Some(0) => Next::Nothing("waiting"),
            None => next(&context.call, &mut ear, patience(args.wait_ms)).await?,
        };
        Ok(Output {
            call_id: call.into_string(),
            spoken: true,
            status: what.status(),
            next: what.into_turn(),
        })
    }
}

/// Says it in the call. Whoever answers too late is told at once what to answer.
pub async fn answer(comms: &Comms, agent: &AgentId, call: &CallId, order: Order) -> Result<Done, Failure> {
    let failure = match orders::give(comms, agent, call, order).await {
        Err(failure) if failure.code == Code::TurnSuperseded => failure,
        other => return other,
    };
    let pending = orders::give(comms, agent, call, Order::Attend).await;
    Err(match pending.ok().and_then(|done| done.pending) {
        Some(pending) => failure.detail("next", json!(TurnView::from(pending))),
        None => failure,
    })
}
