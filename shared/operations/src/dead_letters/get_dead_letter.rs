//! `GET /api/v1/dead-letters/{deadLetterId}`: inspect a dead letter.

use butt_dial_domain::{Code, Failure, Scope};

use super::{Item, Named};
use crate::{Context, Hints, Operation, Route};

pub struct GetDeadLetter;

impl Operation for GetDeadLetter {
    const NAME: &'static str = "get_dead_letter";
    const TITLE: &'static str = "Inspect a dead letter";
    const DESCRIPTION: &'static str =
        "Returns a dead letter without message text and addresses. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/dead-letters/{deadLetterId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Named;
    type Output = Item;

    async fn run(context: Context, args: Named) -> Result<Item, Failure> {
        let letter = context.product.inbound.get_dead_letter(&args.dead_letter_id).await?;
        Ok(letter.into())
    }
}
