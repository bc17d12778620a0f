//! `POST /api/v1/callback-url/replay`: what the callback has not taken is tried there again, now.

use butt_dial_comms::delivery::callback;
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct ReplayCallback;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    /// How many events wait. What is delivered is forgotten, and can't be called again.
    waiting: i64,
}

impl Operation for ReplayCallback {
    const NAME: &'static str = "replay_callback";
    const TITLE: &'static str = "Call my callback again";
    const DESCRIPTION: &'static str = "Tries everything that waits for you at your callback once more, oldest first, however \
        often it has failed. Needs an agent's token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/callback-url/replay",
        status: 202,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        Ok(Output {
            success: true,
            waiting: callback::replay(&context.comms, agent).await?,
        })
    }
}
