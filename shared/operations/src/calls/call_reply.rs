//! `comms_call_reply`: answers a turn and waits for the caller's next one. One tool call per turn.

use butt_dial_calls::{
    Calls,
    commands::{self, CallCommand, CompletedCommand},
    lookup,
};
use butt_dial_domain::{AgentId, CallId, Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NextEvent, TurnView, subscribe_to_calls, views::TurnId, wait_event, wait_timeout};
use crate::{Context, Hints, Operation, Route, errors};

pub struct CallReply;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId of the turn, or the carrier's id of the call.
    call_id: String,
    /// The turn that you answer. The default is the last turn.
    #[serde(default)]
    turn_id: Option<TurnId>,
    /// The reply. It is spoken: keep it short, without lists or markup.
    #[schemars(extend("examples" = ["Yes, at eight."]))]
    #[schemars(length(max = bounds::SPOKEN_TEXT))]
    text: String,
    /// true: the call ends after the reply is spoken.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Hang up afterwards."))]
    end: bool,
    /// The spoken language from here on, such as es-ES. The caller is understood in it as well.
    #[serde(default)]
    language: Option<String>,
    /// The carrier's name for a voice, from here on.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// How long to wait for the next turn, in milliseconds; the default is 25000. 0 does not wait, and no wait is longer than 50000.
    #[serde(default)]
    wait_ms: Option<u64>,
    /// A repeated request with the same key is spoken once.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// The reply is being spoken.
    spoken: bool,
    /// The next event of the call.
    next: Option<Box<TurnView>>,
    /// turn: answer next. waiting: the caller has not spoken yet; wait with comms_attend_call. ended: the call has ended.
    /// ending: the call ends after the reply. draining: this server is stopping; wait with comms_attend_call.
    status: &'static str,
}

impl Operation for CallReply {
    const NAME: &'static str = "comms_call_reply";
    const TITLE: &'static str = "Answer in a call";
    const DESCRIPTION: &'static str = "Speaks your reply to a turn and waits for the caller's next turn, which it returns: answer that with the same tool. When \
        the caller has spoken again, nothing is spoken, and the error TURN_SUPERSEDED holds the turn to answer instead. \
        [scope: agent]";
    const BRIEF: &'static str = "Speaks your answer to a turn and returns the next turn.";
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
    const ERRORS: &'static [&'static [Code]] = &[errors::CALL_COMMAND, errors::WAIT];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (calls, agent) = (&context.product.calls, &context.caller.agent()?.agent.id);
        let call = lookup::resolve_granted(calls, &context.caller, &args.call_id).await?;
        let turn = args.turn_id.map(|turn| turn.number()).transpose()?;
        // Subscribes before the reply is spoken, so that the caller's answer is not missed.
        let mut subscription = subscribe_to_calls(calls, agent, Some(&call)).await?;
        let command = CallCommand::Answer {
            turn,
            text: args.text,
            is_last: true,
            ends: args.end,
            key: args.idempotency_key,
            language: args.language,
            voice: args.voice,
        };
        let completed = send_answer(calls, agent, &call, command).await?;
        let event = match completed.pending {
            _ if args.end => NextEvent::None("ending"),
            Some(pending) => NextEvent::Turn(Box::new(pending)),
            None if args.wait_ms == Some(0) => NextEvent::None("waiting"),
            None => wait_event(&context.request, &mut subscription, wait_timeout(args.wait_ms)).await?,
        };
        Ok(Output {
            call_id: call.into_string(),
            spoken: true,
            status: event.status(),
            next: event.into_view(),
        })
    }
}

/// Sends an answer to the call. The failure of a late answer holds the newer turn as `next`.
pub async fn send_answer(
    calls: &Calls,
    agent: &AgentId,
    call: &CallId,
    command: CallCommand,
) -> Result<CompletedCommand, Failure> {
    let failure = match commands::send(calls, agent, call, command).await {
        Err(failure) if failure.code == Code::TurnSuperseded => failure,
        other => return other,
    };
    let pending = commands::send(calls, agent, call, CallCommand::Attend).await;
    Err(match pending.ok().and_then(|completed| completed.pending) {
        Some(pending) => failure.detail("next", json!(TurnView::from(pending))),
        None => failure,
    })
}
