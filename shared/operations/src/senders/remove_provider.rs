//! `DELETE /api/v1/providers/{providerId}`: removes a provider account that no sender uses.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct RemoveProvider;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    provider_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    id: String,
}

impl Operation for RemoveProvider {
    const NAME: &'static str = "remove_provider";
    const TITLE: &'static str = "Remove a provider account";
    const DESCRIPTION: &'static str =
        "Removes a provider account that no sender uses, and deletes its credentials. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/providers/{providerId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::Conflict]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let accounts = &context.product.provider_accounts;
        accounts.remove(&context.caller, &args.provider_id).await?;
        Ok(Output {
            success: true,
            id: args.provider_id,
        })
    }
}
