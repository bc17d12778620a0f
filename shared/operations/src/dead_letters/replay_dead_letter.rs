//! `POST /api/v1/dead-letters/{deadLetterId}/replay`: replay a dead letter.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, Named};
use crate::{Context, Hints, Operation, Route};

pub struct ReplayDeadLetter;

impl Operation for ReplayDeadLetter {
    const NAME: &'static str = "replay_dead_letter";
    const TITLE: &'static str = "Replay a dead letter";
    const DESCRIPTION: &'static str = "Appends a dead letter to the stream again, within seconds. An event that was applied before is not applied twice. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/dead-letters/{deadLetterId}/replay",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Named;
    type Output = Done;

    async fn run(context: Context, args: Named) -> Result<Done, Failure> {
        let inbound = &context.product.inbound;
        inbound.request_replay(Some(&args.dead_letter_id)).await?;
        Ok(Done { success: true })
    }
}
