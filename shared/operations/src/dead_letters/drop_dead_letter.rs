//! `DELETE /api/v1/dead-letters/{deadLetterId}`: drop a dead letter.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Done, Named};
use crate::{Context, Hints, Operation, Route};

pub struct DropDeadLetter;

impl Operation for DropDeadLetter {
    const NAME: &'static str = "drop_dead_letter";
    const TITLE: &'static str = "Drop a dead letter";
    const DESCRIPTION: &'static str = "Deletes a dead letter for good. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/dead-letters/{deadLetterId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Named;
    type Output = Done;

    async fn run(context: Context, args: Named) -> Result<Done, Failure> {
        context.product.inbound.drop_dead_letter(&args.dead_letter_id).await?;
        Ok(Done { success: true })
    }
}
