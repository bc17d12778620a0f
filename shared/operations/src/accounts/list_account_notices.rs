//! `GET /api/v1/account-notices`: webhooks about accounts that no host has received.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time;
use crate::{Context, Hints, Operation, Route};

pub struct ListAccountNotices;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    notices: Vec<Item>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The X-BD-Delivery-Id of all attempts.
    id: String,
    org_id: String,
    event: String,
    url: String,
    attempts: i64,
    failure: Option<String>,
    created_at: String,
}

impl Operation for ListAccountNotices {
    const NAME: &'static str = "list_account_notices";
    const TITLE: &'static str = "Dead account webhooks";
    const DESCRIPTION: &'static str = "Lists webhooks about accounts, such as account.verified, that failed at every attempt, newest first. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/account-notices",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let Args {} = args;
        let notices = context.product.accounts.list_dead_notices(&context.caller).await?;
        let notices = notices.into_iter().map(|notice| Item {
            id: notice.id,
            org_id: notice.org_id.into_string(),
            event: notice.kind,
            url: notice.url,
            attempts: notice.tries,
            failure: notice.failure,
            created_at: time(notice.created_at),
        });
        Ok(Output {
            notices: notices.collect(),
        })
    }
}
