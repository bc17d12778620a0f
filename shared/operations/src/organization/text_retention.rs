//! For how long an organization keeps texts of messages: `GET` and `PUT /api/v1/text-retention`.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct GetTextRetention;
pub struct SetTextRetention;

#[derive(Deserialize, JsonSchema)]
pub struct NoArgs {}

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// 1 to 90. 0 keeps no texts, and deletes those that are kept.
    days: u32,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// 0: no texts are kept.
    days: u32,
}

const PATH: &str = "/api/v1/text-retention";

impl Operation for GetTextRetention {
    const NAME: &'static str = "get_text_retention";
    const TITLE: &'static str = "For how long texts are kept";
    const DESCRIPTION: &'static str =
        "Returns for how many days the organization keeps texts of messages for its inbox. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: PATH,
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = NoArgs;
    type Output = Output;

    async fn run(context: Context, _: NoArgs) -> Result<Output, Failure> {
        let days = context.product.inbox.retention(context.caller.org()?).await?;
        Ok(Output { days })
    }
}

impl Operation for SetTextRetention {
    const NAME: &'static str = "set_text_retention";
    const TITLE: &'static str = "Set for how long texts are kept";
    const DESCRIPTION: &'static str = "Sets for how many days the organization keeps texts of messages for its inbox, encrypted. Without it, texts are deleted when \
        a message is settled or its agent has it. One-time codes are never kept. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: PATH,
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        context.product.inbox.set_retention(&context.caller, args.days).await?;
        Ok(Output { days: args.days })
    }
}
