//! `comms_say`: a piece of what the agent says, spoken at once.

use butt_dial_comms::calls::{known, orders::Order};
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{call_reply::answer, views::TurnId};
use crate::operations::{Context, Hints, Operation, Route};

pub struct Say;

fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Our id of the call, or the carrier's.
    #[serde(alias = "call_id", alias = "callSid", alias = "call_sid")]
    call_id: String,
    /// The next words. Pieces are spoken one after the other, as they are: begin a piece with a blank where one belongs.
    text: String,
    /// false: more follows, within eight seconds.
    #[serde(default = "yes")]
    last: bool,
    /// The turn that you answer; a piece for an older one is not spoken.
    #[serde(default, alias = "turn_id")]
    turn_id: Option<TurnId>,
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
    /// The last turn.
    turn_id: String,
}

impl Operation for Say {
    const NAME: &'static str = "comms_say";
    const TITLE: &'static str = "Say something in a call";
    const DESCRIPTION: &'static str = "Says something in a call at once and does not wait for what the caller says. For answers that \
        come in pieces (last: false until the last one), and for what you say without being asked. [scope: agent]";
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

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (comms, agent) = (&context.comms, &context.caller.agent()?.agent.id);
        let call = known::resolve(comms, agent, &args.call_id).await?;
        let order = Order::Answer {
            turn: args.turn_id.map(|turn| turn.number()).transpose()?,
            text: args.text,
            is_last: args.last,
            ends: false,
            key: args.idempotency_key,
        };
        let done = answer(comms, agent, &call, order).await?;
        Ok(Output {
            call_id: call.into_string(),
            spoken: true,
            turn_id: done.turn.to_string(),
        })
    }
}
