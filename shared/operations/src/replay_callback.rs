//! `POST /api/v1/callback-url/replay`: retries the delivery of waiting events to the callback now.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct ReplayCallback;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    /// The number of waiting events. Delivered events can't be replayed.
    waiting: i64,
}

impl Operation for ReplayCallback {
    const NAME: &'static str = "replay_callback";
    const TITLE: &'static str = "Replay my callback";
    const DESCRIPTION: &'static str = "Retries the delivery of all your waiting events to your callback, oldest first, regardless of earlier failures. Requires \
        an agent's token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/callback-url/replay",
        status: 202,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        Ok(Output {
            success: true,
            waiting: context.product.delivery.replay_callbacks(agent).await?,
        })
    }
}
