//! `comms_ack_events`: acknowledges events up to a cursor.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, pages::Cursor};

pub struct AckEvents;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The cursor of a result of comms_wait_events or comms_list_events.
    cursor: Cursor,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The number of events that were waiting.
    acknowledged: u64,
    cursor: String,
}

impl Operation for AckEvents {
    const NAME: &'static str = "comms_ack_events";
    const TITLE: &'static str = "Acknowledge events";
    const DESCRIPTION: &'static str = "Acknowledges all events up to a cursor: they are not delivered again, and their contents are deleted. Call it when you \
        have processed the events. Returns how many events were acknowledged. [scope: agent]";
    const BRIEF: &'static str = "Acknowledges all events up to a cursor.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (delivery, agent) = (&context.product.delivery, &context.caller.agent()?.agent.id);
        let cursor = args.cursor.position()?;
        delivery.check_cursor(agent, cursor).await?;
        Ok(Output {
            acknowledged: delivery.acknowledge_events(agent, cursor).await?,
            cursor: cursor.to_string(),
        })
    }
}
