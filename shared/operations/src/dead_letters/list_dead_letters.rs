//! `GET /api/v1/dead-letters`: list dead letters.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Item;
use crate::{Context, Hints, Operation, Route};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListDeadLetters;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// 1 to 100; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::DEAD_LETTERS))]
    limit: Option<u32>,
    /// The last id of the previous page.
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    dead_letters: Vec<Item>,
    count: usize,
}

impl Operation for ListDeadLetters {
    const NAME: &'static str = "list_dead_letters";
    const TITLE: &'static str = "List dead letters";
    const DESCRIPTION: &'static str = "Lists webhook events that could not be applied, the oldest first, in pages. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/dead-letters",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let inbound = &context.product.inbound;
        let letters = inbound.list_dead_letters(args.after.as_deref(), limit).await?;
        let dead_letters: Vec<Item> = letters.into_iter().map(Item::from).collect();
        Ok(Output {
            count: dead_letters.len(),
            dead_letters,
        })
    }
}
