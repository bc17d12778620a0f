//! `GET /api/v1/providers`: the provider accounts of the organization.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::provider_view::ProviderView;
use crate::{Context, Hints, Operation, Route};

pub struct ListProviders;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    providers: Vec<ProviderView>,
}

impl Operation for ListProviders {
    const NAME: &'static str = "list_providers";
    const TITLE: &'static str = "Provider accounts";
    const DESCRIPTION: &'static str =
        "Lists the provider accounts of the organization with their state. Secrets are masked. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/providers",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let accounts = context.product.provider_accounts.list(&context.caller).await?;
        Ok(Output {
            providers: accounts.into_iter().map(ProviderView::from).collect(),
        })
    }
}
