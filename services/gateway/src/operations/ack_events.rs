//! `comms_ack_events`: the agent has its events up to here.

use butt_dial_comms::delivery::log;
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, pages::Cursor};

pub struct AckEvents;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// Of a result of comms_wait_events or comms_list_events.
    cursor: Cursor,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// How many events waited for this.
    acknowledged: u64,
    cursor: String,
}

impl Operation for AckEvents {
    const NAME: &'static str = "comms_ack_events";
    const TITLE: &'static str = "Acknowledge events";
    const DESCRIPTION: &'static str = "Says that you have all events up to a cursor: they are not delivered again, and what was \
        said in them is forgotten. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        let cursor = args.cursor.position()?;
        log::check_cursor(&context.comms, agent, cursor).await?;
        Ok(Output {
            acknowledged: log::acknowledge(&context.comms, agent, cursor).await?,
            cursor: cursor.to_string(),
        })
    }
}
