//! `comms_say`: speaks a part of a reply at once, without waiting for the caller.

use butt_dial_calls::{commands::CallCommand, lookup};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{call_reply::send_answer, views::TurnId};
use crate::{Context, Hints, Operation, Route, errors};

pub struct Say;

fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
    /// The next part of the reply. Parts are concatenated as they are: start a part with a space where one belongs.
    #[schemars(extend("examples" = ["One moment."]))]
    #[schemars(length(max = bounds::SPOKEN_TEXT))]
    text: String,
    /// false: another part follows, within eight seconds.
    #[serde(default = "yes")]
    #[schemars(extend("x-brief" = "false: more follows."))]
    last: bool,
    /// The turn that you answer. A part for an older turn is not spoken.
    #[serde(default)]
    turn_id: Option<TurnId>,
    /// The spoken language from here on, such as es-ES. The caller is understood in it as well.
    #[serde(default)]
    language: Option<String>,
    /// The carrier's name for a voice, from here on.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// A repeated request with the same key is spoken once.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// The text is being spoken.
    spoken: bool,
    /// The last turn.
    turn_id: String,
}

impl Operation for Say {
    const NAME: &'static str = "comms_say";
    const TITLE: &'static str = "Say something in a call";
    const DESCRIPTION: &'static str = "Speaks a text in a call at once and does not wait for the caller. Use it for replies in parts (last: false until the last \
        one) and for remarks that answer no turn. [scope: agent]";
    const BRIEF: &'static str = "Speaks in a call without waiting for the caller.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/{callId}/say",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::CALL_COMMAND];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (calls, agent) = (&context.product.calls, &context.caller.agent()?.agent.id);
        let call = lookup::resolve_granted(calls, &context.caller, &args.call_id).await?;
        let command = CallCommand::Answer {
            turn: args.turn_id.map(|turn| turn.number()).transpose()?,
            text: args.text,
            is_last: args.last,
            ends: false,
            key: args.idempotency_key,
            language: args.language,
            voice: args.voice,
        };
        let completed = send_answer(calls, agent, &call, command).await?;
        Ok(Output {
            call_id: call.into_string(),
            spoken: true,
            turn_id: completed.turn.to_string(),
        })
    }
}
